"""Promises of the models behind the service: only good ones answer, batches are fair, nothing heavy is imported."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from nascreen import gatekeeper, serving
from nascreen.access import Tokens
from nascreen.client import Client, ServiceError
from nascreen.datasets import model_folder
from nascreen.errors import (
    AccessError,
    BusyError,
    ConflictError,
    ForbiddenError,
    FormulaError,
    IntegrityError,
    UnknownNameError,
)
from nascreen.gatekeeper import Rules
from nascreen.models import Models, card_hash, load_models, use_models
from nascreen.records import Sample
from nascreen.service import Options, create_app, make_api
from nascreen.serving import Batcher, ModelHolder, Workers
from tests.conftest import running

PACKAGE = Path(serving.__file__).parent
SAMPLE = Sample(formula="Na3Zr2Si2PO12", sinter_temp_c=1200.0)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A copy of the promoted models; those of the package answer again afterwards."""
    shutil.copytree(model_folder(), tmp_path / "models")
    yield tmp_path / "models"
    use_models(None)


def _with_other_title(folder: Path) -> str:
    """Write a card that is good but other, and return its hash."""
    path = folder / "strength" / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card.pop("card_sha256")
    card["title"] = "Another strength"
    sha = card_hash(card)
    path.write_text(json.dumps({**card, "card_sha256": sha}), encoding="utf-8")
    return sha


# ---------------------------------------------------------------- which models answer


def test_good_new_models_answer_without_a_restart(folder: Path, tmp_path: Path) -> None:
    options = Options(models=folder, store=f"sqlite:///{tmp_path}/c.db", screens=tmp_path, look_seconds=0.05)
    with running(options) as client:
        before = client.get("/v1/health").json()
        sha = _with_other_title(folder)
        for _ in range(200):
            after = client.get("/v1/health").json()
            if after["models"]["strength"] == sha:
                break
            time.sleep(0.05)
    assert after["models"] == {"conductivity": before["models"]["conductivity"], "strength": sha}
    assert after["status"] == "ok"


@pytest.mark.parametrize("file", ["conductivity/process.onnx", "conductivity/card.json", "strength/law.onnx"])
def test_a_bad_new_model_never_replaces_a_good_one(folder: Path, file: str) -> None:
    holder = ModelHolder(folder)
    good = holder.models
    path = folder / file
    sound = path.read_bytes()
    path.write_bytes(sound[:-20])
    assert not holder.refresh()
    assert holder.models is good is load_models()
    assert path.name in holder.refused
    path.write_bytes(sound)
    assert holder.refresh()
    assert holder.refused == ""


def test_models_that_predict_no_number_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = ModelHolder(folder)
    good, predict = holder.models, Models.predict
    monkeypatch.setattr(Models, "predict", lambda *given: [replace(p, ea_lo=float("nan")) for p in predict(*given)])
    _with_other_title(folder)
    assert not holder.refresh()
    assert "predict no number for Na3Zr2Si2PO12" in holder.refused
    assert holder.models is good


def test_no_damaged_file_is_opened_by_a_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 single changed bytes, spread over all files that models are made of: none gets as far as a library."""
    opened: list[Path] = []
    arrays = nullcontext(dict.fromkeys(("fractions", "glasses"), np.zeros((1, 1), dtype=np.float32)))
    monkeypatch.setattr("nascreen.models._session", lambda path, **_: opened.append(path))
    monkeypatch.setattr("nascreen.models.np.load", lambda path, **_: [opened.append(path), arrays][1])
    rng = random.Random(0)
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".onnx", ".npz"})
    n_refused = 0
    for i in range(1000):
        path = files[i % len(files)]
        place = rng.randrange(path.stat().st_size)
        with path.open("r+b") as file:
            file.seek(place)
            old = file.read(1)
            file.seek(place)
            file.write(bytes([old[0] ^ rng.randrange(1, 256)]))
        n_before = len(opened)
        with pytest.raises(IntegrityError):
            serving._tried(folder)
        n_refused += path not in opened[n_before:]
        with path.open("r+b") as file:
            file.seek(place)
            file.write(old)
    assert n_refused == 1000


def test_a_service_without_models_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"cannot be read|restore"):
        create_app(Options(models=tmp_path))


# ---------------------------------------------------------------- batches and threads


def test_samples_that_wait_are_predicted_together_and_a_bad_one_spoils_none() -> None:
    sizes: list[int] = []

    class Counting(ModelHolder):
        @property
        def models(self) -> Models:
            return load_models()

        @models.setter
        def models(self, value: Models) -> None:
            pass

    async def run() -> list[object]:
        holder = Counting()
        batcher = Batcher(holder)
        original = serving.predicted_or_error

        def counted(models: Models, samples: list[Sample]) -> object:
            sizes.append(len(samples))
            return original(models, samples)

        serving.predicted_or_error = counted  # type: ignore[assignment]
        try:
            asked = [batcher.predict(SAMPLE if i != 7 else Sample(formula="Xx")) for i in range(150)]
            return list(await asyncio.gather(*asked, return_exceptions=True))
        finally:
            serving.predicted_or_error = original

    found = asyncio.run(run())
    assert isinstance(found[7], FormulaError)
    assert sum(isinstance(one, Exception) for one in found) == 1
    assert max(sizes) <= serving.MOST_AT_ONCE
    assert len(sizes) < 10


def test_more_than_may_wait_is_put_off() -> None:
    async def run() -> list[object]:
        batcher = Batcher(ModelHolder())
        asked = [batcher.predict(SAMPLE) for _ in range(serving.MOST_WAITING + 5)]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    found = asyncio.run(run())
    assert sum(isinstance(one, BusyError) for one in found) == 5


def test_a_thread_counts_until_it_is_free_though_nobody_waits() -> None:
    async def run() -> None:
        workers = Workers(1, 0)
        first = asyncio.create_task(workers.run(lambda: time.sleep(0.3)))
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(BusyError, match="ask again"):
            await workers.run(lambda: None)
        await asyncio.sleep(0.4)
        await workers.run(lambda: None)
        workers.close()

    asyncio.run(run())


# ---------------------------------------------------------------- the document, the client, the command


def test_the_committed_document_is_that_of_the_routes() -> None:
    committed = json.loads((PACKAGE / "openapi.json").read_text(encoding="utf-8"))
    assert committed == make_api(None).openapi(), "write it anew: nascreen serve --openapi > nascreen/openapi.json"


def test_every_answer_of_the_document_has_a_shape_and_every_error_is_a_problem() -> None:
    for path, methods in make_api(None).openapi()["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            good, *_ = operation["responses"]
            assert good in {"200", "201"}
            if not path.startswith(("/optimade", "/web", "/v1/openapi")) and path != "/":
                assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_the_client_answers_as_the_models_and_raises_what_the_service_raised(service: httpx.Client) -> None:
    with Client(str(service.base_url)) as client:
        found = client.predict("Na3Zr2Si2PO12", sinter_temp_c=1200, above_s_cm=1e-4)
        (own,) = load_models().predict([SAMPLE])
        assert found.conductivity_s_cm == pytest.approx(own.conductivity_s_cm, rel=1e-5)
        assert [p.error == "" for p in client.predict_many([{"formula": "Na3PS4"}, {"formula": "Xx"}])] == [True, False]
        assert len(client.curve("Na3PS4", n=4).points) == 4
        assert client.explain("Na3BS3", phase="glass").contributions
        assert client.predict_csv("formula\nNa3PS4\n").startswith("formula,conductivity_s_cm")
        assert {m.name for m in client.models()} == {"conductivity", "strength"}
        assert client.health().status == "ok"
        assert client.card("strength").card["name"] == "strength"
        with pytest.raises(FormulaError, match="'Xx'"):
            client.predict("Xx")
        with pytest.raises(UnknownNameError, match="no model"):
            client.card("none")


def test_the_client_reaches_data_candidates_and_campaigns(service: httpx.Client) -> None:
    with Client(str(service.base_url)) as client:
        assert "thioborate" in {space.name for space in client.spaces()}
        found = client.rank("thioborate", filter='elements HAS "P"', sort="conductivity_lo", limit=3, n=200)
        assert len(found.rows) == 3
        assert all("P" in row.formula for row in found.rows)
        assert client.recipe("Na3BS3", 5.0, purity_pct={"B": 95.0}).weighings
        rows = client.records('family = "thioborate"', limit=2)
        assert len(rows.records) == 2
        assert client.record(rows.records[0].sample_id).citation
        assert client.statistics().tables
        candidates = [{"temp_c": 1000.0 + 50 * i} for i in range(6)]
        settings = {"name": "by-client", "pool": {"rows": candidates}, "objectives": [{"property": "rel_density_pct"}]}
        assert client.new_campaign(settings).n_candidates == 6
        assert [c.kind for c in client.candidates("T,route\n1,a\n2,b\n").columns] == ["numeric", "categorical"]
        first, second, third = client.ask("by-client", 3, request_key="monday")
        assert [e.id for e in client.ask("by-client", 3, request_key="monday")] == [first.id, second.id, third.id]
        assert client.tell("by-client", first.id, {"rel_density_pct": 92.0}, {"rel_density_pct": 0.5}).status == "told"
        assert client.fail("by-client", second.id, "cracked").status == "failed"
        assert client.abandon("by-client", third.id).status == "abandoned"
        assert client.attach("by-client", [{"temp_c": 900.0, "rel_density_pct": 70.0}])[0].is_attached
        assert client.outlook("by-client", 2)[0].best == 92.0
        assert "by-client" in {c.name for c in client.campaigns()}
        assert len(client.campaign("by-client").experiments) == 4
        assert client.export("by-client", "csv").count("\n") >= 4
        with pytest.raises(ConflictError, match="92"):
            client.tell("by-client", first.id, {"rel_density_pct": 50.0})


def test_the_client_says_what_is_wrong_with_its_token(guarded: tuple[httpx.Client, Tokens]) -> None:
    http, tokens = guarded
    with Client(str(http.base_url)) as client, pytest.raises(AccessError, match="no token"):
        client.predict("Na3PS4")
    text, _ = tokens.make("reader", ["read"])
    with Client(str(http.base_url), text) as client, pytest.raises(ForbiddenError, match="does not allow"):
        client.predict("Na3PS4")


def test_the_client_says_when_nobody_answers() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServiceError, match="is it running"):
        client.health()


def _serve(*options: str, home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "NASCREEN_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "nascreen.cli", "serve", *options], cwd=home, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def test_the_command_serves_and_ends_cleanly(tmp_path: Path) -> None:
    port = _free_port()
    process = _serve("--port", str(port), home=tmp_path)
    try:
        for _ in range(300):
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/v1/health", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert answer.json()["status"] == "ok"
    finally:
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert process.returncode in {0, -signal.SIGTERM}, err
    assert out == ""
    assert err.splitlines()[0].startswith(f"nascreen: http://127.0.0.1:{port}/ (open to this machine alone")
    assert [json.loads(line) for line in err.splitlines()[1:]]


@pytest.mark.parametrize("options", [["--host", "0.0.0.0"], ["--host", "::"], ["--require-token"]], ids=str)
def test_nothing_but_loopback_is_bound_without_a_token(tmp_path: Path, options: list[str]) -> None:
    process = _serve("--port", "0", *options, home=tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("nascreen: There is no valid token")
    assert len(err.splitlines()) == 1


def test_a_port_in_use_is_said_in_words(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        process = _serve("--port", str(bound.getsockname()[1]), home=tmp_path)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "cannot be bound" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.2", False), ("lab.example", False)],
)  # fmt: skip
def test_only_this_machine_is_loopback(host: str, *, is_own: bool) -> None:
    assert gatekeeper.is_loopback(host) is is_own


def test_a_prediction_imports_no_training_library() -> None:
    code = """
import asyncio, httpx, sys
from nascreen.service import create_app
async def ask():
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.post("/v1/predict", json={"formula": "Na3PS4"})
assert asyncio.run(ask()).status_code == 200
heavy = {"mlflow", "matminer", "sklearn", "xgboost", "pymatgen", "pandas", "optuna", "torch", "plotly"}
print(*heavy & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_token_revoked_by_command_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASCREEN_HOME", str(tmp_path))

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "nascreen.cli", "token", *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    text = run("new", "Anna", "--scope", "read")
    rules = Rules(tokens=Tokens(tmp_path / "tokens.json"), needs_token=True)
    with running(Options(rules, f"sqlite:///{tmp_path}/c.db", screens=tmp_path)) as client:
        headers = {"authorization": f"Bearer {text}"}
        assert client.get("/v1/models", headers=headers).status_code == 200
        token_id = run("list").split()[0]
        assert text not in run("list")
        run("revoke", token_id)
        assert client.get("/v1/models", headers=headers).status_code == 401
