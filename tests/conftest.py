"""What several test files share: a running service on loopback."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from nascreen.access import Tokens
from nascreen.gatekeeper import Rules
from nascreen.service import Options, local_service


@contextmanager
def running(options: Options) -> Iterator[httpx.Client]:
    """Run a service in a thread and yield a client of it."""
    with local_service(options) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@contextmanager
def few_trees(n_boosted: int, n_grown: int) -> Iterator[None]:
    """Train with so few trees, in one thread: enough for promises that are not about accuracy."""
    from threadpoolctl import threadpool_limits

    from nascreen import training

    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(training, "N_TREES", n_boosted)
        patch.setattr(training, "N_FOREST_TREES", n_grown)
        patch.setattr(training, "N_GLASS_TREES", n_grown)
        for name in ("TREE_SETTINGS", "ENERGY_TREE_SETTINGS", "GLASS_TREE_SETTINGS"):
            patch.setattr(training, name, {**getattr(training, name), "nthread": 1})
        yield


def study(folder: str, name: str) -> ModuleType:
    """Load a script of a folder of ``experiments``."""
    path = Path(__file__).resolve().parents[1] / "experiments" / folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of an open service on loopback, with an empty store of campaigns."""
    folder = tmp_path_factory.mktemp("service")
    with running(Options(store=f"sqlite:///{folder}/campaigns.db", screens=folder / "screens")) as client:
        yield client


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Tokens]]:
    """A client of a service that asks for tokens, and its tokens."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    tokens = Tokens(folder / "tokens.json")
    rules = Rules(tokens=tokens, needs_token=True)
    with running(Options(rules, f"sqlite:///{folder}/campaigns.db", screens=folder / "screens")) as client:
        yield client, tokens
