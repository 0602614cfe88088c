"""What several test files share: a running service on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
