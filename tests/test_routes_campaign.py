"""Promises of campaigns over HTTP: what the library promises, from many clients, and no door to the server's disk."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sqlite3
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

import httpx
import pytest
from openpyxl import Workbook, load_workbook
from sqlalchemy.engine import Connection

from nascreen import campaign_answers, database, wire, wire_campaign
from nascreen.access import Tokens
from nascreen.campaigns import Campaign, Constraint, Objective
from nascreen.client import Client
from nascreen.errors import ConflictError, TableError
from nascreen.gatekeeper import Rules
from nascreen.goals import PRIORS, Settings
from nascreen.pools import POOL_KINDS, space_names
from nascreen.routes_campaign import MOST_IDS
from nascreen.service import Options
from nascreen.spreadsheets import XLSX
from nascreen.store import MAX_ATTACHED, MAX_KEY, open_store
from tests.conftest import running

ROWS = [
    {"sinter_temp_c": temp, "time_h": time, "route": route}
    for temp, time, route in itertools.product((1000, 1100, 1200, 1300), (2, 6, 12), ("mill", "sol gel"))
]
DENSITY = {"property": "rel_density_pct"}
Make = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with served(folder) as found:
        yield found


@contextmanager
def served(folder: Path, rules: Rules | None = None) -> Iterator[httpx.Client]:
    with running(Options(rules or Rules(), f"sqlite:///{folder}/lab.db", screens=folder / "screens")) as found:
        yield found


@pytest.fixture
def make(client: httpx.Client) -> Make:
    def made(**options: Any) -> str:
        name = f"c{uuid.uuid4().hex[:12]}"
        body = {"name": name, "pool": {"rows": ROWS}, "objectives": [DENSITY], **options}
        answered(client.post("/v1/campaigns", json=body), wire_campaign.CampaignOut, 201)
        return name

    return made


def answered(response: httpx.Response, model: type[wire.Answer], status: int = 200) -> Any:
    """Check an answer against its shape, which must hold all of it, and return it."""
    assert response.status_code == status, response.text
    found = model.model_validate_json(response.content, strict=True)
    assert json.loads(found.model_dump_json()) == response.json()
    return found


def refused(response: httpx.Response, status: int, words: str = "") -> str:
    """Check that an answer is a problem of one sentence, and return it."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    found = wire.Problem.model_validate_json(response.content)
    assert (response.status_code, found.status) == (status, status), response.text
    assert "\n" not in found.detail or "filter" in found.detail
    assert 20 < len(found.detail) < 600
    assert words in found.detail
    return found.detail


def ask(client: httpx.Client, name: str, n: int = 1, **options: Any) -> list[wire_campaign.ExperimentOut]:
    body = {"n": n, **options}
    response = client.post(f"/v1/campaigns/{name}/ask", json=body)
    return list(answered(response, wire_campaign.ExperimentsOut).experiments)


def tell(client: httpx.Client, name: str, number: int, value: float, **more: Any) -> httpx.Response:
    return client.post(f"/v1/campaigns/{name}/tell", json={"id": number, "values": {"rel_density_pct": value}, **more})


def seen(client: httpx.Client, name: str) -> wire_campaign.CampaignOut:
    found: wire_campaign.CampaignOut = answered(client.get(f"/v1/campaigns/{name}"), wire_campaign.CampaignOut)
    return found


# ---------------------------------------------------------------- from start to end


def test_a_campaign_runs_over_http_from_start_to_end(client: httpx.Client, make: Make) -> None:
    limits = [{"property": "strength_mpa", "at_least": 40}]
    name = make(constraints=limits, measure=["shrinkage"], units={"shrinkage": "mm"}, author="Anna", seed=3)
    first, second, third, fourth = ask(client, name, 4, author="Ben")
    assert (first.status, first.author) == ("pending", "Ben")
    assert first.reasons
    assert first.checks
    assert first.words == ", ".join(f"{k} {v}" for k, v in first.values.items())
    told = answered(
        tell(client, name, first.id, 91.5, error={"rel_density_pct": 0.3}, note="grey"), wire_campaign.ExperimentOut
    )
    assert (told.status, told.results, told.error, told.note) == (
        "told", {"rel_density_pct": 91.5}, {"rel_density_pct": 0.3}, "grey",
    )  # fmt: skip
    failed = client.post(f"/v1/campaigns/{name}/fail", json={"id": second.id, "reason": "cracked"})
    assert answered(failed, wire_campaign.ExperimentOut).failure == "cracked"
    back = client.post(f"/v1/campaigns/{name}/abandon", json={"id": third.id})
    assert answered(back, wire_campaign.ExperimentOut).status == "abandoned"
    again = client.post(
        f"/v1/campaigns/{name}/reopen", json={"id": second.id, "author": "Anna", "reason": "only a scratch"}
    )
    assert answered(again, wire_campaign.ExperimentOut).status == "pending"
    right = {"id": first.id, "values": {"rel_density_pct": 90.5}, "author": "Anna", "reason": "wet weight"}
    corrected = answered(client.post(f"/v1/campaigns/{name}/correct", json=right), wire_campaign.ExperimentOut)
    assert corrected.results == {"rel_density_pct": 90.5}
    past = {"rows": [{"sinter_temp_c": 1150, "time_h": 6, "rel_density_pct": 93.0, "source": "Doe 2020"}]}
    attached = answered(client.post(f"/v1/campaigns/{name}/attach", json=past), wire_campaign.ExperimentsOut)
    assert (attached.experiments[0].is_attached, attached.experiments[0].source) == (True, "Doe 2020")
    now = seen(client, name)
    assert [(one.id, one.status) for one in now.experiments] == [
        (first.id, "told"), (second.id, "pending"), (third.id, "abandoned"), (fourth.id, "pending"),
        (attached.experiments[0].id, "told"),
    ]  # fmt: skip
    assert (now.n_candidates, now.best, now.pareto) == (24, [now.experiments[4].id], [now.experiments[4].id])
    assert [step.best for step in now.progress] == [{"rel_density_pct": 90.5}, {"rel_density_pct": 93.0}]
    assert now.settings.constraints[0].at_least == 40
    assert [(p.name, p.unit, p.heading) for p in now.properties] == [
        ("rel_density_pct", "%", "rel_density [%]"), ("strength_mpa", "MPa", "strength [MPa]"),
        ("shrinkage", "mm", "shrinkage [mm]"),
    ]  # fmt: skip
    assert [(c.name, c.kind) for c in now.columns][2] == ("route", "categorical")
    outlook = answered(
        client.get(f"/v1/campaigns/{name}/outlook", params={"n": 2, "gain": 1}), wire_campaign.OutlookOut
    )
    assert outlook.outlook[0].best == 93.0
    assert "another batch of 2" in outlook.outlook[0].sentence
    listed = answered(client.get("/v1/campaigns"), wire_campaign.CampaignsOut)
    (summary,) = [one for one in listed.campaigns if one.name == name]
    assert (summary.n_candidates, summary.n_pending, summary.n_told, summary.n_failed) == (24, 2, 2, 0)
    assert summary.objectives[0].property == "rel_density_pct"


def test_over_http_the_same_is_suggested_as_by_the_library(client: httpx.Client, make: Make, tmp_path: Path) -> None:
    name = make(seed=5, shared=["sinter_temp_c"], distinct=["route"], goal="best")
    own = Campaign.create(
        f"sqlite:///{tmp_path}/own.db", "own", ROWS, [Objective("rel_density_pct")],
        seed=5, shared=["sinter_temp_c"], distinct=["route"], goal="best",
    )  # fmt: skip
    for value in (80.0, 85.0, 83.0):
        there, here = ask(client, name, 2), own.ask(2)
        assert [one.values for one in there] == [dict(one.values) for one in here]
        assert [one.reasons[1:-1] for one in there] != []
        tell(client, name, there[0].id, value)
        own.tell(here[0].id, {"rel_density_pct": value})
    rules = {"fixed": {"time_h": 6}, "forbid": 'route = "mill"', "prefer": "sinter_temp_c > 1150"}
    assert [one.values for one in ask(client, name, 1, **rules)] == [dict(one.values) for one in own.ask(1, **rules)]


OWN = """Composition,Sinter temp (K),Route,Density (%)
Na3Zr2Si2PO12,1373.15,ball mill,91.5
Na3Zr2Si2PO12,1373.15,ball mill,92
Na3.4Zr2Si2.4P0.6O12,1423.15,sol gel,
Na3.2Zr2Si2.2P0.8O12,1473.15,sol gel,88
"""


def test_a_table_is_read_as_a_campaign_would_take_it(client: httpx.Client) -> None:
    found = answered(client.post("/v1/candidates", json={"csv": OWN}), wire_campaign.OwnRowsOut)
    assert found.n_rows == 4
    said = [(one.heading, one.name, one.kind, one.n_known) for one in found.columns]
    assert said == [
        ("Composition", "formula", "formula", 4), ("Sinter temp (K)", "sinter_temp_c", "numeric", 4),
        ("Route", "Route", "categorical", 4), ("Density (%)", "Density (%)", "numeric", 3),
    ]  # fmt: skip
    assert (found.columns[3].told_as, found.columns[3].unit) == ("density", "%")


def test_a_campaign_over_a_table_knows_the_results_that_the_table_holds(client: httpx.Client) -> None:
    name = f"c{uuid.uuid4().hex[:12]}"
    wanted = {"objectives": [{"property": "density"}], "units": {"density": "%"}, "author": "Anna"}
    body = {"name": name, "pool": {"csv": OWN}, "kinds": {"Route": "label"}, **wanted}
    made = answered(client.post("/v1/campaigns", json=body), wire_campaign.CampaignOut, 201)
    assert made.n_candidates == 3
    assert [one.kind for one in made.columns] == ["formula", "numeric", "label"]
    assert [(one.results, one.is_attached, one.author) for one in made.experiments] == [
        ({"density": value}, True, "Anna") for value in (91.5, 92, 88)
    ]
    assert made.progress[-1].best == {"density": 92}
    (asked,) = ask(client, name, 2)
    assert asked.values["sinter_temp_c"] == pytest.approx(1150)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'csv' is missing"), ({"csv": ""}, "'csv' is ''"), ({"csv": 5}, "'csv' is '5'"),
        ({"csv": " "}, "There are no rows"), ({"csv": "a,b\n1\n"}, "1 cell in line 2"),
        ({"csv": "\x00"}, "NUL"), ({"csv": "a\n" + "1\n" * 100_001}, "more than 100000 rows"),
        ({"csv": ",".join(f"c{i}" for i in range(250)) + ("\n" + "1," * 249 + "1") * 2001}, "500,000 cells"),
    ],
    ids=["missing", "empty", "number", "blank", "ragged", "nul", "rows", "cells"],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_refused_in_words(client: httpx.Client, body: Any, words: str) -> None:
    refused(client.post("/v1/candidates", json=body), 422, words)


def test_a_campaign_made_by_command_is_served_and_the_other_way_round(
    client: httpx.Client, make: Make, folder: Path
) -> None:
    name = make()
    address = f"sqlite:///{folder}/lab.db"
    (one,) = Campaign.open(address, name).ask(1)
    assert [e.id for e in seen(client, name).experiments] == [one.id]
    own = f"own{uuid.uuid4().hex[:8]}"
    Campaign.create(address, own, ROWS, [Objective("rel_density_pct", "target", 95)])
    (there,) = ask(client, own)
    assert Campaign.open(address, own).experiment(there.id).values == there.values


def test_a_store_that_does_not_exist_holds_no_campaign_until_one_is_made(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        assert answered(client.get("/v1/campaigns"), wire_campaign.CampaignsOut).campaigns == []
        refused(client.get("/v1/campaigns/first"), 404, "There is no campaign 'first'; POST /v1/campaigns makes one.")
        refused(client.post("/v1/campaigns", json={"name": "first", "pool": {"rows": ROWS}, "objectives": []}), 422)
        assert not (tmp_path / "lab.db").exists()
        body = {"name": "first", "pool": {"rows": ROWS}, "objectives": [DENSITY]}
        answered(client.post("/v1/campaigns", json=body), wire_campaign.CampaignOut, 201)
        assert [one.id for one in ask(client, "first")] == [1]
        (tmp_path / "lab.db").unlink()
        assert client.get("/v1/campaigns").json() == {"campaigns": []}
        refused(client.get("/v1/campaigns/first"), 404)
        assert not (tmp_path / "lab.db").exists()


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        body = {"name": "kept", "pool": {"rows": ROWS}, "objectives": [DENSITY]}
        client.post("/v1/campaigns", json=body)
        first, _ = ask(client, "kept", 2, request_key="monday")
        tell(client, "kept", first.id, 91.0)
        before = seen(client, "kept")
    with served(tmp_path) as client:
        assert seen(client, "kept") == before
        assert [one.id for one in ask(client, "kept", 2, request_key="monday")] == [e.id for e in before.experiments]
        assert seen(client, "kept") == before


def test_another_store_in_the_place_of_the_one_that_was_read_is_seen(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        for pool in (ROWS, [{"time_h": hours} for hours in range(1, 9)]):
            (tmp_path / "lab.db").unlink(missing_ok=True)
            body = {"name": "same", "pool": {"rows": pool}, "objectives": [DENSITY], "prior": "none"}
            Campaign.create(f"sqlite:///{tmp_path}/lab.db", "same", pool, [Objective("rel_density_pct")])
            refused(client.post("/v1/campaigns", json=body), 409, "exists already")
            found = seen(client, "same")
            assert found.n_candidates == len(pool)
            assert {name for one in ask(client, "same", 2) for name in one.values} == set(pool[0])


def test_campaigns_beyond_those_kept_in_memory_are_read_again(
    client: httpx.Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_answers, "MOST_KEPT", 1)
    names = [make(pool={"rows": ROWS[: 4 + i]}) for i in range(3)]
    for name in [*names, *names]:
        ask(client, name)
    assert [seen(client, name).n_candidates for name in names] == [4, 5, 6]
    assert [len(seen(client, name).experiments) for name in names] == [2, 2, 2]


def test_of_large_campaigns_few_are_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"sqlite:///{tmp_path}/lab.db"
    opened = campaign_answers.OpenCampaigns(address)
    for i in range(campaign_answers.MOST_KEPT + 2):
        Campaign.create(address, f"c{i}", ROWS, [Objective("rel_density_pct")])
        assert opened.campaign(f"c{i}") is opened.campaign(f"c{i}")
    assert list(opened._kept) == [f"c{i}" for i in range(2, campaign_answers.MOST_KEPT + 2)]
    monkeypatch.setattr(campaign_answers, "MOST_KEPT_CANDIDATES", 2 * len(ROWS) + 1)
    opened.campaign("c0")
    assert list(opened._kept) == [f"c{campaign_answers.MOST_KEPT + 1}", "c0"]
    monkeypatch.setattr(campaign_answers, "MOST_KEPT_CANDIDATES", 1)
    assert opened.campaign("c1").name == "c1"
    assert list(opened._kept) == ["c1"]


# ---------------------------------------------------------------- the pool is a space or rows, never a file

PLACES = (
    "/etc/passwd", "x.csv", "./x.csv", "../a.toml", "a.toml", "file:///etc/passwd", "~/x.csv", "sulfides.toml",
    "../nascreen/spaces/sulfides.toml", "sulfides\x00.toml", "", "sqlite:///lab.db", "http://localhost/x.csv",
)  # fmt: skip


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put readable pools where a path would find them."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "x.csv").write_text("time_h\n1\n2\n", encoding="utf-8")
    space = Path(campaign_answers.__file__).parent / "spaces" / "sulfides.toml"
    for place in (tmp_path / "a.toml", inner / "a.toml", inner / "sulfides.toml"):
        place.write_bytes(space.read_bytes())
    monkeypatch.chdir(inner)
    monkeypatch.setenv("HOME", str(inner))
    return inner


@pytest.mark.parametrize("place", PLACES, ids=repr)
def test_no_file_of_the_server_is_a_pool(client: httpx.Client, disk: Path, place: str) -> None:
    before = client.get("/v1/campaigns").json()
    inside = str(disk / "x.csv")
    for text in (place, inside):
        for pool in (
            text,
            {"space": text},
            {"rows": text},
            {"rows": [text]},
            {"path": text},
            [text],
            {"space": [text]},
        ):
            body = {"name": "door", "pool": pool, "objectives": [DENSITY], "n": 3}
            response = client.post("/v1/campaigns", json=body)
            assert response.status_code in {404, 422}
            detail = refused(response, response.status_code)
            assert "root:" not in detail
    rows = {"name": "door", "pool": {"rows": ROWS, "space": place}, "objectives": [DENSITY]}
    refused(client.post("/v1/campaigns", json=rows), 422, "allowed is")
    assert client.get("/v1/campaigns").json() == before


def test_no_file_of_the_server_is_attached(client: httpx.Client, make: Make, disk: Path) -> None:
    name = make()
    for rows in (str(disk / "x.csv"), ["x.csv"], {"path": "x.csv"}, [["x.csv"]]):
        refused(client.post(f"/v1/campaigns/{name}/attach", json={"rows": rows}), 422)
    assert seen(client, name).experiments == []


def test_no_client_names_the_store(client: httpx.Client, make: Make, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    body = {"name": "elsewhere", "pool": {"rows": ROWS}, "objectives": [DENSITY], "store": other}
    refused(client.post("/v1/campaigns", json=body), 422, "The field 'store' is unknown")
    refused(client.post(f"/v1/campaigns/{make()}/ask", json={"store": other}), 422, "'store' is unknown")
    for path in ("/outlook", "/export", "/sheet"):
        refused(client.get(f"/v1/campaigns/{make()}{path}", params={"store": other}), 422, "store' is unknown")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("space", ["sulfides", "nasicon-wide"])
def test_a_space_that_ships_is_a_pool(client: httpx.Client, make: Make, space: str) -> None:
    assert space in space_names()
    name = make(pool={"space": space}, n=40, prior="none", objectives=[{"property": "log_conductivity"}])
    found = seen(client, name)
    assert 30 < found.n_candidates <= 40
    assert found.settings.space == space
    (one,) = ask(client, name)
    assert any("keeps every rule of the space" in check for check in one.checks)
    assert any("Nearest measured elsewhere" in reason for reason in one.reasons)


def test_a_space_is_asked_of_by_its_literature_as_prior(client: httpx.Client, make: Make) -> None:
    name = make(pool={"space": "sulfides"}, n=20, objectives=[{"property": "log_conductivity"}])
    (one,) = ask(client, name)
    assert one.prediction["log_conductivity"].lo < one.prediction["log_conductivity"].mean


def test_two_campaigns_are_not_drawn_at_once(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()
    kept = Campaign.create

    def slow(*given: Any, **options: Any) -> Campaign:
        begun.set()
        assert go.wait(20)
        return kept(*given, **options)

    def post() -> httpx.Response:
        name = f"c{uuid.uuid4().hex[:12]}"
        body = {"name": name, "pool": {"space": "sulfides"}, "n": 5, "prior": "none", "objectives": [DENSITY]}
        return client.post("/v1/campaigns", json=body)

    monkeypatch.setattr(campaign_answers.Campaign, "create", slow)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(post)
        assert begun.wait(20)
        detail = refused(post(), 429)
        go.set()
        assert first.result().status_code == 201
    assert "is being drawn of a space; ask again" in detail


def test_what_takes_longer_than_a_request_is_made_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    kept = Campaign.create

    def slow(*given: Any, **options: Any) -> Campaign:
        assert go.wait(20)
        return kept(*given, **options)

    monkeypatch.setattr(campaign_answers.Campaign, "create", slow)
    with served(tmp_path, Rules(request_seconds=2)) as client:
        body = {**body_of(), "name": "slow"}
        response = client.post("/v1/campaigns", json=body)
        assert (response.status_code, response.json()["status"]) == (504, 504)
        assert client.get("/v1/campaigns").json() == {"campaigns": []}
        go.set()
        until = time.monotonic() + 20
        while not client.get("/v1/campaigns").json()["campaigns"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        refused(client.post("/v1/campaigns", json=body), 409, "exists already")
        assert seen(client, "slow").n_candidates == len(ROWS)


def test_a_campaign_over_the_file_of_a_space_does_not_say_where_that_lies(
    client: httpx.Client, folder: Path, disk: Path
) -> None:
    name = f"f{uuid.uuid4().hex[:8]}"
    pool = str(disk / "a.toml")
    Campaign.create(f"sqlite:///{folder}/lab.db", name, pool, [Objective("log_conductivity")], n=5, prior="none")
    ask(client, name)
    text = client.get(f"/v1/campaigns/{name}").text
    assert json.loads(text)["settings"]["space"] == "a.toml"
    assert str(disk) not in text


# ---------------------------------------------------------------- bad input


def body_of(**changes: Any) -> dict[str, Any]:
    return {"name": "bad", "pool": {"rows": ROWS}, "objectives": [DENSITY], **changes}


BAD = [
    pytest.param(body_of(name="Bad Name"), 422, "'name' is 'Bad Name'; allowed is 1 to 64 of a-z, 0-9", id="name"),
    pytest.param(body_of(name="../up"), 422, "allowed is 1 to 64 of a-z", id="name-path"),
    pytest.param(body_of(name="a\n"), 422, "allowed is 1 to 64 of a-z", id="name-line"),
    pytest.param(body_of(name="a" * 65), 422, "allowed is 1 to 64 of a-z", id="name-long"),
    pytest.param(body_of(pool={}), 422, "one of a space's name, rows and csv", id="pool-empty"),
    pytest.param(body_of(pool={"rows": ROWS, "csv": "x"}), 422, "one of a space's name, rows and csv", id="pool-both"),
    pytest.param(body_of(pool={"csv": "a,b\n1\n"}), 422, "1 cell in line 2", id="csv-ragged"),
    pytest.param(body_of(pool={"csv": "rel_density_pct\n9\n"}), 422, "Every column holds results", id="csv-results"),
    pytest.param(body_of(pool={"csv": "x,rel_density_pct\n1,200\n"}), 422, "Line 2 of your rows", id="csv-bounds"),
    pytest.param(body_of(pool={"csv": "x,y\n1,2\n"}, kinds={"z": "label"}), 422, "no column 'z'", id="csv-kinds"),
    pytest.param(body_of(pool={"csv": "x\n5\n"}), 422, "No column of the candidates varies", id="csv-constant"),
    pytest.param(body_of(pool={"rows": []}), 422, "'pool.rows' is a list", id="no-rows"),
    pytest.param(body_of(pool={"rows": [{}]}), 422, "The pool is empty", id="no-cells"),
    pytest.param(body_of(pool={"rows": [{"x": [1]}]}), 422, "column 'x' of row 1 is '[1]'; give a number", id="list"),
    pytest.param(body_of(pool={"rows": [{"x": {"a": 1}}]}), 422, "column 'x' of row 1 is", id="object"),
    pytest.param(body_of(pool={"rows": [{"x": 2**60}]}), 422, "may have at most 15 digits", id="huge"),
    pytest.param(body_of(pool={"rows": [{"x": "a\x07"}]}), 422, "column 'x' of row 1 is 'a\\x07'; give", id="bell"),
    pytest.param(body_of(pool={"rows": [{"x": "a" * 501}]}), 422, "at most 500 characters", id="cell-long"),
    pytest.param(body_of(pool={"rows": [{"x": 2}, {"x": 1}, {"x": 1}]}), 422, "1 and 2 are the same", id="twice"),
    pytest.param(body_of(pool={"rows": [{"x [h]": 1}]}), 422, "is named 'x [h]'", id="column-name"),
    pytest.param(body_of(pool={"rows": [{f"x{i}": 1 for i in range(251)}]}), 422, "allowed are 250", id="columns"),
    pytest.param(body_of(pool={"rows": [{f"x{i}": i} for i in range(708)]}), 422, "500,000 cells", id="sparse"),
    pytest.param(body_of(pool={"rows": [{}] * 100_001}), 422, "'pool.rows' is a list; allowed is", id="rows"),
    pytest.param(body_of(pool={"space": "sulfides"}, n=100_001), 422, "'n' is '100001'", id="n"),
    pytest.param(body_of(pool={"space": "moon"}), 404, "There is no space 'moon'; there are", id="space"),
    pytest.param(body_of(n=3), 422, "A number of candidates is for spaces", id="n-of-rows"),
    pytest.param(body_of(objectives=[]), 422, "'objectives' is a list", id="no-objective"),
    pytest.param(body_of(objectives=[{"property": "a b"}]), 422, "A property is named 'a b'", id="property"),
    pytest.param(body_of(objectives=[{"property": "time_h"}]), 422, "is a column of the pool too", id="column"),
    pytest.param(body_of(objectives=[DENSITY, DENSITY]), 422, "An objective is named twice", id="objective-twice"),
    pytest.param(body_of(objectives=[{**DENSITY, "mode": "up"}]), 422, "allowed is 'max', 'min' or", id="mode"),
    pytest.param(body_of(objectives=[{**DENSITY, "target": 3}]), 422, "a target if, and only if", id="target"),
    pytest.param(body_of(constraints=[{"property": "x"}]), 422, "has no limit", id="no-limit"),
    pytest.param(body_of(constraints=[{"property": "x", "at_least": 2, "at_most": 1}]), 422, "allows no", id="order"),
    pytest.param(body_of(constraints=["x >= 2"]), 422, "'constraints.0' is 'x >= 2'; allowed is an object", id="text"),
    pytest.param(body_of(shared=["nothing"]), 422, "names 'nothing', which is no column", id="shared"),
    pytest.param(body_of(shared="route"), 422, "'shared' is 'route'; allowed is a valid array", id="shared-text"),
    pytest.param(body_of(cost="route"), 422, "The cost of candidate 0 is 'mill'", id="cost"),
    pytest.param(body_of(units={"x": "mm"}), 422, "'x', which is no property", id="units"),
    pytest.param(body_of(kinds={"x": "label"}), 422, "There is no column 'x' in the pool", id="kinds"),
    pytest.param(body_of(prior="literature"), 422, "needs a formula with sodium", id="prior"),
    pytest.param(body_of(engine="optuna"), 422, "'engine' is 'optuna'; allowed is 'own', 'optuna_tpe'", id="engine"),
    pytest.param(body_of(author="\x1b[31m"), 422, "allowed is a printable line of at most 500", id="author"),
    pytest.param(body_of(author="a" * 501), 422, "allowed is a printable line of at most 500", id="author-long"),
    pytest.param([], 422, "allowed is an object", id="no-object"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "words"), BAD)
def test_a_campaign_that_cannot_be_made_is_refused_in_words(
    client: httpx.Client, body: Any, status: int, words: str
) -> None:
    refused(client.post("/v1/campaigns", json=body), status, words)
    refused(client.get("/v1/campaigns/bad"), 404)


@pytest.fixture(scope="module")
def started(client: httpx.Client) -> tuple[str, int]:
    """A campaign with one open suggestion, which no test changes."""
    client.post("/v1/campaigns", json={**body_of(), "name": "started"})
    return "started", ask(client, "started", 1, request_key="first")[0].id


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        pytest.param("ask", {"n": 65}, 422, "'n' is '65'; allowed is less than or equal to 64", id="ask-65"),
        pytest.param("ask", {"n": 0}, 422, "'n' is '0'", id="ask-0"),
        pytest.param("ask", {"fixed": {"colour": 1}}, 422, "no column 'colour'", id="fixed-column"),
        pytest.param("ask", {"fixed": {"time_h": 7}}, 422, "No candidate has 'time_h = 7'", id="fixed-value"),
        pytest.param("ask", {"fixed": {"time_h": "6"}}, 422, "No candidate has", id="fixed-text"),
        pytest.param("ask", {"fixed": {"time_h": [6]}}, 422, "column 'time_h' that is fixed is '[6]'", id="fixed-list"),
        pytest.param("ask", {"fixed": {"time_h": True}}, 422, "is fixed at true; give a value", id="fixed-true"),
        pytest.param("ask", {"fixed": "time_h = 6"}, 422, "'fixed' is 'time_h = 6'", id="fixed-no-object"),
        pytest.param("ask", {"forbid": "time_h <"}, 422, "The filter ", id="forbid"),
        pytest.param("ask", {"forbid": "colour = 1"}, 422, "names colour, which is no column", id="forbid-column"),
        pytest.param("ask", {"forbid": "time_h > 0"}, 422, "No candidate is left", id="forbid-all"),
        pytest.param("ask", {"forbid": ""}, 422, "allowed is a printable line of 1 to 500", id="forbid-empty"),
        pytest.param("ask", {"forbid": ["time_h > 0"]}, 422, "'forbid' is a list", id="forbid-list"),
        pytest.param("ask", {"forbid": "__import__('os')"}, 422, "The filter ", id="forbid-code"),
        pytest.param("ask", {"prefer": "time_h > 0 " + "AND time_h > 0 " * 40}, 422, "of 1 to 500", id="prefer-long"),
        pytest.param("ask", {"request_key": ""}, 422, "allowed is a printable line of 1 to 200", id="key-empty"),
        pytest.param("ask", {"request_key": "k" * 201}, 422, "allowed is a printable line of 1 to 200", id="key-long"),
        pytest.param("tell", {}, 422, "The field 'id' is missing", id="tell-nothing"),
        pytest.param("tell", {"id": 0, "values": {"rel_density_pct": 1}}, 422, "'id' is '0'", id="tell-0"),
        pytest.param("tell", {"id": 10**9, "values": {"rel_density_pct": 1}}, 404, "no suggestion '10000", id="id"),
        pytest.param("tell", {"id": 2**60, "values": {"rel_density_pct": 1}}, 422, "'id' is", id="tell-huge"),
        pytest.param("tell", {"id": 1, "values": {}}, 422, "'values' is", id="tell-no-value"),
        pytest.param("tell", {"id": 1, "values": {"colour": 1}}, 422, "which is no property", id="tell-colour"),
        pytest.param("tell", {"id": 1, "values": {"rel_density_pct": 101}}, 422, "rel_density_pct = 101", id="bounds"),
        pytest.param("tell", {"id": 1, "values": {"rel_density_pct": 9}, "error": {"rel_density_pct": -1}}, 422,
                     "'error.rel_density_pct' is '-1'", id="error-negative"),
        pytest.param("tell", {"id": 1, "values": {"rel_density_pct": 9}, "note": "a\nb"}, 422, "'note' is", id="note"),
        pytest.param("fail", {"id": 1}, 422, "The field 'reason' is missing", id="fail-reason"),
        pytest.param("fail", {"id": 1, "reason": "  "}, 422, "a printable line of 1 to 500", id="fail-blank"),
        pytest.param("fail", {"id": 10**9, "reason": "x"}, 404, "There is no suggestion", id="fail-id"),
        pytest.param("abandon", {"id": 10**9}, 404, "There is no suggestion", id="abandon-id"),
        pytest.param("abandon", {"id": 1, "reason": "\u202e"}, 422, "'reason' is '\\u202e'", id="abandon-reason"),
        pytest.param("correct", {"id": 1, "values": {"rel_density_pct": 1}}, 422, "'author' is missing", id="correct"),
        pytest.param("correct", {"id": 1, "values": {"rel_density_pct": 1}, "author": "A", "reason": "b"}, 409,
                     "to correct; tell it", id="correct-untold"),
        pytest.param("correct", {"id": 1, "values": {}, "author": "A", "reason": "b"}, 422, "'values' is", id="none"),
        pytest.param("reopen", {"id": 1, "author": "A", "reason": "b"}, 409, "nothing to reopen", id="reopen"),
        pytest.param("reopen", {"id": 1, "author": "", "reason": "b"}, 422, "'author' is ''", id="reopen-author"),
        pytest.param("attach", {"rows": []}, 422, "'rows' is a list", id="attach-nothing"),
        pytest.param("attach", {"rows": [{"time_h": 6}]}, 422, "has neither a result nor a failure", id="attach-empty"),
        pytest.param("attach", {"rows": [{"colour": 6}]}, 422, "Row 1 of the past results has the column 'colour'",
                     id="attach-column"),
        pytest.param("attach", {"rows": [{"time_h": "six", "rel_density_pct": 9}]}, 422, "a number", id="past-text"),
        pytest.param("attach", {"rows": [{"time_h": 6, "rel_density_pct": True}]}, 422, "a number", id="past-true"),
        pytest.param("attach", {"rows": [{"time_h": 6, "failure": "a\x00"}]}, 422, "is 'a\\x00'; give", id="past-nul"),
        pytest.param("attach", {"rows": [{"rel_density_pct": 9}]}, 422, "says nothing of", id="past-none"),
        pytest.param("attach", {"rows": [{}] * 1001}, 422, "'rows' is a list; allowed is", id="attach-many"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_or_told_is_refused_in_words(
    client: httpx.Client, started: tuple[str, int], path: str, body: dict[str, Any], status: int, words: str
) -> None:
    name, number = started
    before = client.get(f"/v1/campaigns/{name}").content
    if body.get("id") == 1:
        body = {**body, "id": number}
    refused(client.post(f"/v1/campaigns/{name}/{path}", json=body), status, words)
    assert client.get(f"/v1/campaigns/{name}").content == before


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        pytest.param("outlook", 422, "Nothing is told of 'rel_density_pct'", id="nothing-told"),
        pytest.param("outlook?n=0", 422, "'query.n' is '0'", id="n-0"),
        pytest.param("outlook?n=65", 422, "'query.n' is '65'", id="n-65"),
        pytest.param("outlook?gain=-1", 422, "'query.gain' is '-1'", id="gain-negative"),
        pytest.param(
            "outlook?gain=1e999", 422, "'query.gain' is '1e999'; allowed is a finite number", id="gain-infinite"
        ),
        pytest.param("outlook?gain=nan", 422, "'query.gain' is 'nan'", id="gain-nan"),
        pytest.param("outlook?gain=true", 422, "'query.gain' is 'true'", id="gain-true"),
        pytest.param("outlook?of=x", 422, "'query.of' is unknown", id="unknown"),
        pytest.param("export?format=xlsx", 422, "'query.format' is 'xlsx'; allowed is 'json' or 'csv'", id="format"),
        pytest.param("sheet?ids=1,a", 422, "The ids are '1,a'; give", id="ids"),
        pytest.param("sheet?ids=1,,2", 422, "The ids are '1,,2'; give", id="ids-gap"),
        pytest.param("sheet?ids=%D9%A1", 422, "The ids are '\\u0661'; give", id="ids-arabic"),
        pytest.param("sheet?ids=../x", 422, "The ids are '../x'; give", id="ids-path"),
        pytest.param(f"sheet?ids={'1,' * MOST_IDS}1", 422, "give up to 200 ids", id="ids-many"),
        pytest.param("sheet?ids=999999999", 404, "There is no suggestion 999999999", id="ids-unknown"),
    ],
)
def test_a_view_that_cannot_be_given_is_refused_in_words(
    client: httpx.Client, started: tuple[str, int], path: str, status: int, words: str
) -> None:
    refused(client.get(f"/v1/campaigns/{started[0]}/{path}"), status, words)


@pytest.mark.parametrize("name", ["none", "None", "a b", "%00", "..", "a'--", "%F0%9F%A7%82", "a" * 100])
def test_an_unknown_campaign_is_not_found_on_any_address(client: httpx.Client, name: str) -> None:
    bodies = {
        "ask": {}, "tell": {"id": 1, "values": {"x": 1}}, "fail": {"id": 1, "reason": "x"}, "abandon": {"id": 1},
        "correct": {"id": 1, "values": {"x": 1}, "author": "a", "reason": "b"},
        "reopen": {"id": 1, "author": "a", "reason": "b"}, "attach": {"rows": [{"x": 1}]},
    }  # fmt: skip
    for path, body in bodies.items():
        refused(client.post(f"/v1/campaigns/{name}/{path}", json=body), 404)
    for path in ("outlook", "export", "sheet"):
        refused(client.get(f"/v1/campaigns/{name}/{path}"), 404)


NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "true", '"25"', "9" * 5000, "[25]", "{}")
NEW = '{"name":"bad","pool":{"rows":[{"x":1}]},"objectives":[%s]}'
PLACED = {
    "seed": ("", NEW.replace('"bad"', '"bad","seed":%%s') % '{"property":"d"}'),
    "n of space": ("", '{"name":"bad","pool":{"space":"sulfides"},"objectives":[{"property":"d"}],"n":%s}'),
    "target": ("", NEW % '{"property":"d","mode":"target","target":%s}'),
    "limit": ("", NEW % '{"property":"d"}],"constraints":[{"property":"e","at_least":%s}'),
    "n": ("ask", '{"n":%s}'),
    "fixed": ("ask", '{"fixed":{"time_h":%s}}'),
    "id": ("tell", '{"id":%s,"values":{"rel_density_pct":1}}'),
    "value": ("tell", '{"id":1,"values":{"rel_density_pct":%s}}'),
    "error": ("tell", '{"id":1,"values":{"rel_density_pct":1},"error":{"rel_density_pct":%s}}'),
    "corrected": ("correct", '{"id":1,"values":{"rel_density_pct":%s},"author":"a","reason":"b"}'),
    "attached": ("attach", '{"rows":[{"time_h":6,"rel_density_pct":%s}]}'),
    "attached error": ("attach", '{"rows":[{"time_h":6,"rel_density_pct":9,"rel_density_pct_sd":%s}]}'),
}  # fmt: skip


@pytest.mark.parametrize("field", PLACED)
def test_a_hostile_number_is_refused_in_words(client: httpx.Client, started: tuple[str, int], field: str) -> None:
    path, text = PLACED[field]
    address = f"/v1/campaigns/{started[0]}/{path}" if path else "/v1/campaigns"
    before = client.get(f"/v1/campaigns/{started[0]}").content
    for number in NUMBERS:
        response = client.post(address, content=text % number, headers={"content-type": "application/json"})
        assert response.status_code in {404, 422} if path == "tell" else 422, (field, number, response.text)
        refused(response, response.status_code)
    assert client.get(f"/v1/campaigns/{started[0]}").content == before


@pytest.mark.parametrize("number", ["NaN", "1e999", "[1]", "{}", "9" * 5000, '"\\u0000"'])
def test_a_hostile_cell_is_refused_in_words(client: httpx.Client, number: str) -> None:
    text = f'{{"name":"bad","pool":{{"rows":[{{"x":1}},{{"x":{number}}}]}},"objectives":[{{"property":"d"}}]}}'
    refused(client.post("/v1/campaigns", content=text, headers={"content-type": "application/json"}), 422)


def test_the_limits_of_the_wire_are_those_of_the_library() -> None:
    def literal(model: type[wire.Request], field: str) -> set[str]:
        return set(get_args(model.model_fields[field].annotation))

    assert literal(wire_campaign.CampaignIn, "prior") == set(PRIORS)
    for name in ("goal", "engine"):
        assert literal(wire_campaign.CampaignIn, name) == set(get_args(get_type_hints(Settings)[name]))
    assert literal(wire_campaign.ObjectiveIn, "mode") == set(get_args(get_type_hints(Objective)["mode"]))
    kinds = get_args(wire_campaign.CampaignIn.model_fields["kinds"].annotation)[1]
    assert set(get_args(kinds)) == set(POOL_KINDS)
    assert wire_campaign._MOST_KEY == MAX_KEY
    assert wire_campaign.MOST_ATTACHED <= MAX_ATTACHED
    assert (wire_campaign.MOST_ASKED, wire_campaign.MOST_OPEN, wire_campaign.MOST_CANDIDATES) == (64, 1000, 100_000)


# ---------------------------------------------------------------- the same again


def test_the_same_told_again_is_the_same_answer_and_another_value_a_conflict(client: httpx.Client, make: Make) -> None:
    name = make()
    (one,) = ask(client, name)
    first = tell(client, name, one.id, 91.5, error={"rel_density_pct": 0.3})
    again = tell(client, name, one.id, 91.5, error={"rel_density_pct": 0.3})
    assert (again.status_code, again.content) == (200, first.content)
    detail = refused(tell(client, name, one.id, 92.0), 409, "has 'rel_density_pct' = 91.5 ± 0.3 already, not 92.0")
    assert "correct it with author and reason" in detail
    assert seen(client, name).experiments[0].results == {"rel_density_pct": 91.5}
    for _ in range(2):
        body = {"id": one.id, "reason": "cracked"}
        answered(client.post(f"/v1/campaigns/{name}/fail", json=body), wire_campaign.ExperimentOut)
    refused(client.post(f"/v1/campaigns/{name}/fail", json={"id": one.id, "reason": "lost"}), 409, "has failed already")
    refused(client.post(f"/v1/campaigns/{name}/abandon", json={"id": one.id}), 409, "has failed already")


def test_the_number_of_a_result_is_no_suggestion(client: httpx.Client, folder: Path, make: Make) -> None:
    name = make()
    (one,) = ask(client, name)
    tell(client, name, one.id, 91.5)
    told = Campaign.open(f"sqlite:///{folder}/lab.db", name).history()[-1].id
    assert told != one.id
    refused(tell(client, name, told, 91.5), 404, f"There is no suggestion '{told}'")
    refused(client.post(f"/v1/campaigns/{name}/abandon", json={"id": told}), 404, "There is no suggestion")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD"])
def test_another_method_is_refused_with_those_allowed(client: httpx.Client, method: str) -> None:
    for path, allowed in (("", {"GET", "POST"}), ("/x", {"GET"}), ("/x/ask", {"POST"}), ("/x/export", {"GET"})):
        response = client.request(method, f"/v1/campaigns{path}")
        assert response.status_code == 405
        assert set(response.headers["allow"].split(", ")) == allowed


def test_an_ask_with_the_key_of_another_returns_the_same(client: httpx.Client, make: Make) -> None:
    name = make()
    address = f"/v1/campaigns/{name}/ask"
    first = client.post(address, json={"n": 3}, headers={"Idempotency-Key": "monday"})
    by_header = client.post(address, json={"n": 3}, headers={"Idempotency-Key": "monday"})
    by_body = client.post(address, json={"n": 3, "request_key": "monday"}, headers={"Idempotency-Key": "other"})
    assert first.content == by_header.content == by_body.content
    assert len(seen(client, name).experiments) == 3
    refused(client.post(address, json={"n": 2, "request_key": "monday"}), 409, "belongs to an ask for 3, not 2")
    refused(client.post(address, json={}, headers={"Idempotency-Key": "k" * 201}), 422, "The request key is 'kkk")
    new = client.post(address, json={"n": 3}).json(), client.post(address, json={"n": 3}).json()
    assert len({one["id"] for answer in new for one in answer["experiments"]}) == 6


def test_the_same_rows_attached_again_add_nothing(client: httpx.Client, make: Make) -> None:
    name = make()
    body = {"rows": [{"sinter_temp_c": 1000, "time_h": 2, "route": "mill", "rel_density_pct": 80.0},
                     {"sinter_temp_c": 900, "time_h": 2, "failure": "soft"}]}  # fmt: skip
    first, again = (client.post(f"/v1/campaigns/{name}/attach", json=body) for _ in range(2))
    assert first.content == again.content
    now = seen(client, name)
    assert [(one.status, one.failure) for one in now.experiments] == [("told", ""), ("failed", "soft")]
    asked = ask(client, name, 23)
    assert ROWS[0] not in [one.values for one in asked]


def test_a_campaign_is_made_once(client: httpx.Client, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    name = make()
    refused(client.post("/v1/campaigns", json={**body_of(), "name": name}), 409, "exists already")
    with monkeypatch.context() as patched:  # nothing is drawn for a name that is taken
        patched.setattr(campaign_answers.Campaign, "create", None)
        body = {**body_of(), "name": name, "pool": {"space": "sulfides"}}
        refused(client.post("/v1/campaigns", json=body), 409, "exists already")
    with ThreadPoolExecutor(4) as threads:
        body = {**body_of(), "name": f"c{uuid.uuid4().hex[:8]}"}
        statuses = list(threads.map(lambda _: client.post("/v1/campaigns", json=body).status_code, range(4)))
    assert sorted(statuses) == [201, 409, 409, 409]


# ---------------------------------------------------------------- many at once


def _asked_by_many(clients: list[httpx.Client], name: str, n_each: int) -> list[tuple[int, str]]:
    """Let many clients ask at the same moment, and return id and values of all they were given."""
    ready = threading.Barrier(len(clients))

    def run(client: httpx.Client) -> list[tuple[int, str]]:
        ready.wait()
        return [(one.id, json.dumps(one.values)) for _ in range(n_each) for one in ask(client, name, 1)]

    with ThreadPoolExecutor(len(clients)) as threads:
        return list(itertools.chain.from_iterable(threads.map(run, clients)))


def test_two_clients_that_ask_at_once_never_get_the_same_candidate(client: httpx.Client, make: Make) -> None:
    name = make()
    given = _asked_by_many([client] * 6, name, 4)
    assert len({number for number, _ in given}) == len({values for _, values in given}) == len(ROWS)
    refused(client.post(f"/v1/campaigns/{name}/ask", json={}), 422, "24 are told or being made; 0 are left")


def test_two_services_on_one_store_never_give_the_same_candidate(
    client: httpx.Client, make: Make, folder: Path
) -> None:
    name = make()
    with served(folder) as other:
        given = _asked_by_many([client, other, client, other], name, 6)
        assert len({values for _, values in given}) == len(ROWS)
        tell(client, name, given[0][0], 90.0)
        assert seen(other, name) == seen(client, name)


def test_a_campaign_that_threads_share_gives_each_the_rows_of_its_own_state(tmp_path: Path) -> None:
    class Raced(Campaign):
        """A campaign whose encoded rows another thread replaces as soon as they are kept."""

        others: Any = None

        @property
        def _encoded(self) -> Any:
            return self.__dict__["kept"] if self.others is None else self.others

        @_encoded.setter
        def _encoded(self, value: Any) -> None:
            self.others = self.__dict__.get("kept")
            self.__dict__["kept"] = value

    own = Campaign.create(f"sqlite:///{tmp_path}/own.db", "own", ROWS, [Objective("rel_density_pct")])
    raced = Raced(own.store, "own")
    raced.table(own.state())
    own.attach([{"time_h": 3, "rel_density_pct": 80.0}])
    table = raced.table(own.state())
    assert len(table.encoded.values) == len(table.pool) == len(ROWS) + 1


def test_results_told_by_many_at_once_are_all_kept(client: httpx.Client, make: Make) -> None:
    name = make()
    ids = [one.id for one in ask(client, name, 12)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda number: tell(client, name, number, 80 + number % 12), ids))
    assert {one.id: one.results["rel_density_pct"] for one in seen(client, name).experiments} == {
        number: 80 + number % 12 for number in ids
    }


def test_no_more_are_open_than_allowed(client: httpx.Client, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_answers, "MOST_OPEN", 5)
    name = make()
    first = [one.id for one in ask(client, name, 4, request_key="k")]
    refused(client.post(f"/v1/campaigns/{name}/ask", json={"n": 2}), 409, "has 4 open suggestions, and 2 more")
    ask(client, name, 1)
    assert [one.id for one in ask(client, name, 4, request_key="k")] == first
    tell(client, name, first[0], 90.0)
    ask(client, name, 1)


# ---------------------------------------------------------------- a store that cannot


def test_a_locked_store_says_so_before_the_time_of_a_request_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Rules().request_seconds / 3 > campaign_answers.LOCK_WAIT_S
    monkeypatch.setattr(campaign_answers, "LOCK_WAIT_S", 0.2)
    with served(tmp_path) as client:
        client.post("/v1/campaigns", json={**body_of(), "name": "locked"})
        (one,) = ask(client, "locked")
        with closing(sqlite3.connect(tmp_path / "lab.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused(tell(client, "locked", one.id, 90.0), 503, "is locked by another program")
            assert seen(client, "locked").experiments[0].status == "pending"
            other.execute("ROLLBACK")
            other.execute("BEGIN EXCLUSIVE")
            refused(client.get("/v1/campaigns"), 503, "is locked by another program")
            refused(client.get("/v1/campaigns/locked"), 503, "is locked by another program")
            refused(client.post("/v1/campaigns/locked/ask", json={}), 503, "is locked by another program")
        answered(tell(client, "locked", one.id, 90.0), wire_campaign.ExperimentOut)


def test_a_full_disk_says_so_and_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path) as client:
        client.post("/v1/campaigns", json={**body_of(), "name": "full"})
    with closing(sqlite3.connect(tmp_path / "lab.db")) as other:
        (pages,) = other.execute("PRAGMA page_count").fetchone()
    kept = database._begin_sqlite

    def begin(connection: Connection) -> None:
        kept(connection)
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    monkeypatch.setattr(database, "_begin_sqlite", begin)
    rows = [{"time_h": i, "source": "x" * 490, "rel_density_pct": 80.0} for i in range(100)]
    with served(tmp_path) as client:
        refused(client.post("/v1/campaigns/full/attach", json={"rows": rows}), 503, "since the disk is full")
        assert seen(client, "full").experiments == []
    monkeypatch.setattr(database, "_begin_sqlite", kept)
    with served(tmp_path) as client:
        assert client.post("/v1/campaigns/full/attach", json={"rows": rows}).status_code == 200


def test_a_damaged_store_says_so(tmp_path: Path) -> None:
    (tmp_path / "lab.db").write_bytes(b"no database at all, but longer than a header of one hundred bytes" * 20)
    with served(tmp_path) as client:
        refused(client.get("/v1/campaigns"), 503, "is damaged or no store")
        refused(client.post("/v1/campaigns", json=body_of()), 503, "is damaged or no store")


def test_a_campaign_of_another_program_is_listed_and_not_opened(client: httpx.Client, folder: Path, make: Make) -> None:
    make()
    name = f"x{uuid.uuid4().hex[:8]}"
    open_store(f"sqlite:///{folder}/lab.db").create_campaign(name, {"mine": 1}, [{"x": 1}])
    listed = answered(client.get("/v1/campaigns"), wire_campaign.CampaignsOut)
    assert [one.objectives for one in listed.campaigns if one.name == name] == [[]]
    refused(client.get(f"/v1/campaigns/{name}"), 409, "was not made by Campaign.create")


# ---------------------------------------------------------------- tokens


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Tokens]]:
    folder = tmp_path_factory.mktemp("tokens")
    tokens = Tokens(folder / "tokens.json")
    with served(folder, Rules(tokens=tokens, needs_token=True)) as found:
        owner = _bearer(tokens, "Owner", "campaign")
        for name in ("mine", "theirs"):
            body = {**body_of(), "name": name}
            assert found.post("/v1/campaigns", json=body, headers=owner).status_code == 201
        yield found, tokens


def _bearer(tokens: Tokens, label: str, *scopes: str) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens.make(label, scopes)[0]}"}


def test_a_token_for_one_campaign_reaches_that_one_alone(guarded: tuple[httpx.Client, Tokens]) -> None:
    client, tokens = guarded
    anna = _bearer(tokens, "Anna", "campaign:mine")
    posts = {
        "ask": {}, "tell": {"id": 1, "values": {"rel_density_pct": 1}}, "fail": {"id": 1, "reason": "x"},
        "abandon": {"id": 1}, "correct": {"id": 1, "values": {"rel_density_pct": 1}, "author": "a", "reason": "b"},
        "reopen": {"id": 1, "author": "a", "reason": "b"}, "attach": {"rows": [{"time_h": 1, "rel_density_pct": 1}]},
    }  # fmt: skip
    assert client.post("/v1/campaigns/mine/ask", json={}, headers=anna).status_code == 200
    for path in ("", "/outlook", "/export", "/sheet"):
        assert client.get(f"/v1/campaigns/mine{path}", headers=anna).status_code in {200, 422}
        for other in ("theirs", "none", "mine2", "MINE", "mine%2F..%2Ftheirs", "theirs%2F..%2Fmine", "%2Fmine"):
            assert client.get(f"/v1/campaigns/{other}{path}", headers=anna).status_code in {403, 404}
        refused(client.get(f"/v1/campaigns/theirs{path}", headers=anna), 403, "does not allow the campaign theirs")
    for path, body in posts.items():
        refused(client.post(f"/v1/campaigns/theirs/{path}", json=body, headers=anna), 403, "does not allow")
    owner = _bearer(tokens, "Owner", "campaign")
    assert client.get("/v1/campaigns/theirs", headers=owner).json()["experiments"] == []


def test_a_token_for_one_campaign_neither_lists_nor_makes_campaigns(guarded: tuple[httpx.Client, Tokens]) -> None:
    client, tokens = guarded
    anna = _bearer(tokens, "Anna", "campaign:mine", "campaign:gone")
    refused(
        client.get("/v1/campaigns", headers=anna), 403, "does not allow the scope campaign; it allows campaign:mine"
    )
    refused(client.post("/v1/campaigns", json={**body_of(), "name": "gone"}, headers=anna), 403, "does not allow")
    detail = refused(client.get("/v1/campaigns/gone", headers=anna), 404, "There is no campaign 'gone'")
    assert "theirs" not in detail
    refused(client.get("/v1/campaigns/mine"), 401, "brings no token")
    refused(
        client.get("/v1/campaigns/mine", headers=_bearer(tokens, "Reader", "read", "predict")), 403, "does not allow"
    )


def test_who_says_no_name_is_named_by_the_token(guarded: tuple[httpx.Client, Tokens]) -> None:
    client, tokens = guarded
    anna = _bearer(tokens, "Anna", "campaign:mine")
    address = "/v1/campaigns/mine/ask"
    by_label = client.post(address, json={}, headers=anna).json()["experiments"][0]
    by_name = client.post(address, json={"author": "Ben"}, headers=anna).json()["experiments"][0]
    assert (by_label["author"], by_name["author"]) == ("Anna", "Ben")


# ---------------------------------------------------------------- progress and the best


def _told(campaign: Campaign, *values: float, strength: float | None = None) -> list[int]:
    ids = [one.id for one in campaign.ask(len(values))]
    for number, value in zip(ids, values, strict=True):
        more = {} if strength is None else {"strength_mpa": strength}
        campaign.tell(number, {campaign.settings.objectives[0].name: value, **more})
    return ids


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        pytest.param(Objective("d"), [3.0, 3.0, 7.0, 7.0], id="max"),
        pytest.param(Objective("d", "min"), [3.0, 1.0, 1.0, 1.0], id="min"),
        pytest.param(Objective("d", "target", 5.5), [3.0, 3.0, 7.0, 5.0], id="target"),
    ],
)
def test_progress_is_the_best_value_after_each_told_result(
    client: httpx.Client, folder: Path, objective: Objective, expected: list[float]
) -> None:
    name = f"p{uuid.uuid4().hex[:8]}"
    campaign = Campaign.create(f"sqlite:///{folder}/lab.db", name, ROWS, [objective])
    _told(campaign, 3.0, 1.0, 7.0, 5.0)
    steps = seen(client, name).progress
    assert [(step.n, step.best["d"]) for step in steps] == list(enumerate(expected, start=1))


def test_progress_follows_the_order_of_telling_and_what_stands_now(client: httpx.Client, folder: Path) -> None:
    name = f"p{uuid.uuid4().hex[:8]}"
    campaign = Campaign.create(
        f"sqlite:///{folder}/lab.db", name, ROWS, [Objective("d"), Objective("e", "min")],
        constraints=[Constraint("strength_mpa", 40)],
    )  # fmt: skip
    assert seen(client, name).progress == []
    a, b, c, d = (one.id for one in campaign.ask(4))
    campaign.tell(c, {"d": 1.0, "e": 5.0})
    campaign.tell(a, {"d": 9.0})
    campaign.tell(b, {"d": 3.0})
    campaign.tell(d, {"strength_mpa": 50.0})
    campaign.tell(c, {"strength_mpa": 60.0})
    campaign.tell(b, {"e": 4.0})

    def progress() -> list[dict[str, float]]:
        return [step.best for step in seen(client, name).progress]

    assert progress() == [{"d": 1, "e": 5}, {"d": 9, "e": 5}, {"d": 9, "e": 5}, {"d": 9, "e": 4}]
    campaign.tell(a, {"strength_mpa": 10.0})
    assert progress() == [{"d": 1, "e": 5}, {"d": 1, "e": 5}, {"d": 3, "e": 5}, {"d": 3, "e": 4}]
    campaign.correct(c, {"d": 6.0}, author="A", reason="typo")
    assert progress()[0] == {"d": 6, "e": 5}
    campaign.fail(c, "fell")
    assert progress() == [{}, {}, {"d": 3}, {"d": 3, "e": 4}]
    found = seen(client, name)
    assert (found.best, found.pareto) == ([], [b])


def test_an_outlook_of_what_only_a_failed_sample_told_is_refused(client: httpx.Client, make: Make) -> None:
    name = make()
    (one,) = ask(client, name)
    tell(client, name, one.id, 90.0)
    client.post(f"/v1/campaigns/{name}/fail", json={"id": one.id, "reason": "cracked"})
    refused(client.get(f"/v1/campaigns/{name}/outlook"), 422, "Nothing is told of 'rel_density_pct'")
    found = seen(client, name)
    assert (found.best, found.pareto, found.progress[0].best) == ([], [], {})


# ---------------------------------------------------------------- files


def test_an_export_is_the_file_of_the_command(client: httpx.Client, make: Make, folder: Path, tmp_path: Path) -> None:
    name = make()
    first, second = ask(client, name, 2)
    tell(client, name, first.id, 91.0, note='=HYPERLINK("http://x")', author="Änne")
    client.post(f"/v1/campaigns/{name}/fail", json={"id": second.id, "reason": "cracked, then lost"})
    campaign = Campaign.open(f"sqlite:///{folder}/lab.db", name)
    for kind, media_type in (("csv", "text/csv; charset=utf-8"), ("json", "application/json")):
        campaign.export(tmp_path / f"own.{kind}")
        response = client.get(f"/v1/campaigns/{name}/export", params={"format": kind})
        assert response.content == (tmp_path / f"own.{kind}").read_bytes()
        assert response.headers["content-type"] == media_type
        assert response.headers["content-disposition"] == f'attachment; filename="{name}.{kind}"'
    assert client.get(f"/v1/campaigns/{name}/export").json()[0]["note"] == '=HYPERLINK("http://x")'
    assert "\"'=HYPERLINK" in client.get(f"/v1/campaigns/{name}/export?format=csv").text


def test_a_sheet_is_that_of_the_command_and_comes_back(
    client: httpx.Client, make: Make, folder: Path, tmp_path: Path
) -> None:
    from nascreen.campaign_files import tell_batch

    rows = [{"formula": f, "sinter_temp_c": t} for f in ("Na3Zr2Si2PO12", "Na3.4Zr2Si2.4P0.6O12") for t in (1100, 1200)]
    name = make(pool={"rows": rows})
    refused(client.get(f"/v1/campaigns/{name}/sheet"), 422, "Nothing is being made")
    first, second, third = ask(client, name, 3)
    tell(client, name, first.id, 91.0)
    response = client.get(f"/v1/campaigns/{name}/sheet", params={"ids": f"{third.id},{first.id}"})
    assert response.headers["content-type"] == XLSX
    assert response.headers["content-disposition"] == f'attachment; filename="{name}-batch.xlsx"'
    cells = list(load_workbook(io.BytesIO(response.content))["batch"].iter_rows(values_only=True))
    assert [row[0] for row in cells] == ["id", third.id, first.id]
    open_ones = client.get(f"/v1/campaigns/{name}/sheet").content
    book = load_workbook(io.BytesIO(open_ones))
    sheet = book["batch"]
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == [second.id, third.id]
    heads = [cell.value for cell in sheet[1]]
    assert "Na2CO3" in sheet.cell(2, heads.index("recipe") + 1).value
    sheet.cell(2, heads.index("rel_density [%]") + 1).value = 88.5
    book.save(tmp_path / "filled.xlsx")
    tell_batch(Campaign.open(f"sqlite:///{folder}/lab.db", name), tmp_path / "filled.xlsx")
    assert seen(client, name).experiments[1].results == {"rel_density_pct": 88.5}


# ---------------------------------------------------------------- the sheet that comes back


def filled(data: bytes, **cells: Any) -> bytes:
    """Return a sheet with some cells filled in, each by the name of its column and its row, such as ``failure_3``."""
    book = load_workbook(io.BytesIO(data))
    sheet = book["batch"]
    heads = {str(cell.value).partition(" [")[0]: cell.column for cell in sheet[1]}
    for place, value in cells.items():
        head, _, row = place.rpartition("_")
        sheet.cell(int(row), heads[head]).value = value
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def as_csv(data: bytes, separator: str = ",") -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator)
    writer.writerows(load_workbook(io.BytesIO(data))["batch"].iter_rows(values_only=True))
    return buffer.getvalue().encode()


def back(client: httpx.Client, name: str, data: bytes, kind: str = XLSX, **more: Any) -> httpx.Response:
    return client.post(f"/v1/campaigns/{name}/sheet", content=data, headers={"content-type": kind}, **more)


@pytest.fixture
def asked(client: httpx.Client, make: Make) -> tuple[str, bytes]:
    """A campaign of which three suggestions are being made, and their sheet."""
    name = make()
    ask(client, name, 3)
    return name, client.get(f"/v1/campaigns/{name}/sheet").content


@pytest.mark.parametrize("kind", [XLSX, "text/csv", "text/csv; charset=utf-8"], ids=["xlsx", "csv", "csv-utf-8"])
def test_a_filled_sheet_is_told_and_again_changes_nothing(
    client: httpx.Client, folder: Path, asked: tuple[str, bytes], kind: str
) -> None:
    name, sheet = asked
    cells = {"rel_density_2": 91.5, "± rel_density_pct_2": 0.3, "note_2": "grey", "failure_4": "cracked"}
    sheet = filled(sheet, note_4="on cooling", **cells)
    data = sheet if kind == XLSX else as_csv(sheet)
    found = answered(back(client, name, data, kind, params={"author": "Änne"}), wire_campaign.ExperimentsOut)
    first, third = found.experiments
    assert (first.status, first.results, first.error) == (
        "told", {"rel_density_pct": 91.5}, {"rel_density_pct": 0.3},
    )  # fmt: skip
    assert (first.note, third.status, third.failure, third.note) == ("grey", "failed", "cracked", "on cooling")
    now = seen(client, name).experiments
    assert [one.status for one in now] == ["told", "pending", "failed"]
    assert [now[0], now[2]] == list(found.experiments)
    campaign = Campaign.open(f"sqlite:///{folder}/lab.db", name)
    history = campaign.history()
    assert {event.author for event in history[3:]} == {"Änne"}
    assert answered(back(client, name, data, kind), wire_campaign.ExperimentsOut) == found
    assert campaign.history() == history


def test_a_sheet_with_decimal_commas_is_read_as_people_write_it(client: httpx.Client, asked: tuple[str, bytes]) -> None:
    name, sheet = asked
    data = as_csv(filled(sheet, rel_density_2="91,5", rel_density_3="88,25"), ";")
    found = answered(back(client, name, data, "text/csv"), wire_campaign.ExperimentsOut)
    assert [one.results["rel_density_pct"] for one in found.experiments] == [91.5, 88.25]


def _zip_bomb(sheet: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sheet)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = old.read(name)
            is_sheet = name == "xl/worksheets/sheet1.xml"
            new.writestr(name, text.replace(b"</sheetData>", b" " * 60_000_000 + b"</sheetData>") if is_sheet else text)
    return buffer.getvalue()


def _with(sheet: bytes, part: str, end: bytes, more: bytes) -> bytes:
    """Return a workbook with something before an end tag of a part, hard to pack."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sheet)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, text.replace(end, more + end) if name == part else text)
    return buffer.getvalue()


def _fonts(sheet: bytes) -> bytes:
    fonts = "".join(f'<font><sz val="{i * 7919 % 10_007}"/></font>' for i in range(50_000))
    return _with(sheet, "xl/styles.xml", b"</fonts>", fonts.encode())


def _junk(sheet: bytes) -> bytes:
    junk = "".join(f'<x y="{i * 7919 % 10_007}"/>' for i in range(100_001))
    return _with(sheet, "xl/worksheets/sheet1.xml", b"</sheetData>", junk.encode())


def _empty_cells(sheet: bytes) -> bytes:
    row = b"<row>" + b"<c/>" * 1000 + b"</row>"
    return _with(sheet, "xl/worksheets/sheet2.xml", b"</sheetData>", row * 200)


def _disguised(sheet: bytes) -> bytes:
    kind = b'<Override PartName="/xl/worksheets/sheet9.xml" ContentType="application/x.styles+xml"/>'
    return _with(sheet, "[Content_Types].xml", b"</Types>", kind)


def _protected(_: bytes) -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 500


def _renamed(sheet: bytes) -> bytes:
    book = load_workbook(io.BytesIO(sheet))
    book["batch"].title = "mine"
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(_protected, "is protected by a password", id="password"),
        pytest.param(_zip_bomb, "unpacks to more than 16 MB", id="zip-bomb"),
        pytest.param(_fonts, "has styles and the like of more than 1 MB", id="styles"),
        pytest.param(_junk, "holds too much that is no table", id="junk"),
        pytest.param(_empty_cells, "has more than 200,000 cells", id="cells"),
        pytest.param(_disguised, "has the part 'xl/worksheets/sheet9.xml' of the type", id="disguised"),
        pytest.param(lambda s: _with(s, "[Content_Types].xml", b"</Types>", b"<x>"), "is not a sound", id="types"),
        pytest.param(lambda s: _with(s, "xl/worksheets/sheet2.xml", b"</row>", b"<x>"), "is not a sound", id="xml"),
        pytest.param(lambda _: bytes(range(256)) * 40, "is not the workbook that its name says", id="random"),
        pytest.param(lambda _: b"", "is not the workbook that its name says", id="empty"),
        pytest.param(lambda _: b"PK\x03\x04" + bytes(range(256)), "is not a sound .xlsx file", id="random-zip"),
        pytest.param(lambda s: s[:-900], "is not a sound .xlsx file", id="cut"),
        pytest.param(as_csv, "is not the workbook that its name says", id="csv"),
        pytest.param(_renamed, "has no visible sheet 'batch'", id="renamed"),
        pytest.param(lambda s: filled(s, id_3=77), "cell A3 ('id'): there is no suggestion '77'", id="unknown-id"),
        pytest.param(lambda s: filled(s, sinter_temp_c_3=1), "cell B3 ('sinter_temp_c'): '1' is not the", id="changed"),
        pytest.param(lambda s: filled(s, rel_density_3=300), "cell F3 ('rel_density [%]')", id="bounds"),
        pytest.param(lambda s: filled(s, rel_density_3="dense"), "F3 ('rel_density [%]'): The column", id="no-number"),
        pytest.param(lambda s: filled(s, rel_density_3="=1+1"), "has a formula without a result", id="formula"),
        pytest.param(lambda s: filled(s, note_2="x" * 501), "give a printable line of at most 500", id="long-note"),
        pytest.param(lambda s: filled(s, rel_density_2=None), "has no result and no failure", id="unfilled"),
    ],
)  # fmt: skip
def test_a_sheet_that_cannot_be_used_is_refused_in_words_and_nothing_of_it_is_kept(
    client: httpx.Client, folder: Path, asked: tuple[str, bytes], spoil: Callable[[bytes], bytes], words: str
) -> None:
    name, sheet = asked
    before = seen(client, name)
    start = time.monotonic()
    refused(back(client, name, spoil(filled(sheet, rel_density_2=91.5))), 422, words)
    assert time.monotonic() - start < 10
    assert seen(client, name) == before


def test_a_sheet_is_told_by_the_rules_of_every_request(client: httpx.Client, asked: tuple[str, bytes]) -> None:
    name, sheet = asked
    sheet = filled(sheet, rel_density_2=91.5)
    for kind in ("application/json", "application/vnd.ms-excel", ""):
        refused(back(client, name, sheet, kind), 415, f"send {XLSX} or text/csv")
    refused(back(client, name, b"\0" * (2 * 1024**2 + 1)), 413, "larger than 2 MiB")
    refused(back(client, name, sheet, params={"author": "x" * 501}), 422, "'query.author'")
    refused(back(client, name, sheet, params={"who": "Anna"}), 422, "who")
    refused(back(client, "none", sheet), 404, "There is no campaign 'none'")
    for method in ("PUT", "DELETE", "OPTIONS"):
        response = client.request(method, f"/v1/campaigns/{name}/sheet")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert seen(client, name).experiments[0].status == "pending"


def test_a_sheet_that_contradicts_what_is_kept_is_a_conflict_with_all_of_it(
    client: httpx.Client, asked: tuple[str, bytes]
) -> None:
    name, sheet = asked
    one, _, three = seen(client, name).experiments
    tell(client, name, one.id, 90.0)
    refused(back(client, name, filled(sheet, rel_density_2=91.0, failure_3="cracked")), 409, "= 90.0 already, not 91.0")
    client.post(f"/v1/campaigns/{name}/abandon", json={"id": three.id})
    both = filled(sheet, failure_3="cracked", rel_density_4=91.0)
    refused(back(client, name, both), 409, "has abandoned")
    assert [e.status for e in seen(client, name).experiments] == ["told", "pending", "abandoned"]


def test_a_sheet_needs_the_scope_of_its_campaign_and_is_of_its_token(guarded: tuple[httpx.Client, Tokens]) -> None:
    client, tokens = guarded
    anna = _bearer(tokens, "Anna", "campaign:mine")
    asked = client.post("/v1/campaigns/mine/ask", json={"n": 2}, headers=anna).json()["experiments"]
    ids = ",".join(str(one["id"]) for one in asked)
    sheet = client.get("/v1/campaigns/mine/sheet", params={"ids": ids}, headers=anna).content
    sheet = filled(sheet, failure_2="cracked")
    address, kind = "/v1/campaigns/{}/sheet", {"content-type": XLSX}
    reader = {**_bearer(tokens, "Reader", "read", "predict"), **kind}
    refused(client.post(address.format("mine"), content=sheet, headers=reader), 403, "does not allow")
    refused(client.post(address.format("theirs"), content=sheet, headers={**anna, **kind}), 403, "does not allow")
    refused(client.post(address.format("mine"), content=sheet, headers=kind), 401, "brings no token")
    refused(client.post("/v1/candidates", content=sheet, headers=reader), 403, "does not allow")
    client.post(address.format("mine"), content=sheet, headers={**anna, **kind}).raise_for_status()
    owner = _bearer(tokens, "Owner", "campaign")
    told = client.get("/v1/campaigns/mine/export", headers=owner).json()
    assert [one["failure"] for one in told if one["id"] == asked[0]["id"]] == ["cracked"]


KILLED = """
import os, signal, sys
from pathlib import Path
from nascreen import store
from nascreen.campaign_files import tell_batch
from nascreen.campaigns import Campaign

kept = store._Work.append
def append(self, kind, **columns):
    if kind == "failed":
        os.kill(os.getpid(), signal.SIGKILL)
    return kept(self, kind, **columns)
store._Work.append = append
tell_batch(Campaign.open(sys.argv[1], sys.argv[2]), Path(sys.argv[3]))
"""


def test_a_sheet_is_kept_whole_or_not_at_all_when_killed_between_results_and_failures(
    client: httpx.Client, folder: Path, asked: tuple[str, bytes], tmp_path: Path
) -> None:
    import subprocess
    import sys

    name, sheet = asked
    data = filled(sheet, rel_density_2=91.5, failure_3="cracked")
    (tmp_path / "b.xlsx").write_bytes(data)
    words = [f"sqlite:///{folder}/lab.db", name, str(tmp_path / "b.xlsx")]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert [one.status for one in seen(client, name).experiments] == ["pending"] * 3
    answered(back(client, name, data), wire_campaign.ExperimentsOut)
    assert [one.status for one in seen(client, name).experiments] == ["told", "failed", "pending"]


def test_the_client_gives_a_sheet_back_and_reads_a_workbook(client: httpx.Client, asked: tuple[str, bytes]) -> None:
    name, _ = asked
    with Client(str(client.base_url)) as own:
        sheet = filled(own.sheet(name), rel_density_2=91.5)
        told = own.tell_sheet(name, sheet, author="Ben")
        assert [one.results for one in told] == [{"rel_density_pct": 91.5}]
        assert own.tell_sheet(name, as_csv(sheet)) == told
        with pytest.raises(TableError, match=r"there is no suggestion '77'"):
            own.tell_sheet(name, filled(sheet, id_2=77))
        (one,) = [e.id for e in own.campaign(name).experiments if e.status == "told"]
        assert len(load_workbook(io.BytesIO(own.sheet(name, [one])))["batch"]["A"]) == 2
        found = own.candidates(_workbook(OWN))
        assert found == own.candidates(OWN).model_copy(update={"csv": found.csv})


# ---------------------------------------------------------------- workbooks of candidates


def _workbook(text: str) -> bytes:
    book = Workbook()
    for row in csv.reader(io.StringIO(text)):
        book.active.append([float(cell) if cell.replace(".", "", 1).isdigit() else cell or None for cell in row])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_a_campaign_is_made_of_the_text_that_was_read_in_a_workbook(client: httpx.Client) -> None:
    response = client.post("/v1/candidates", content=_workbook(OWN), headers={"content-type": XLSX})
    found = answered(response, wire_campaign.OwnRowsOut)
    as_text = answered(client.post("/v1/candidates", json={"csv": OWN}), wire_campaign.OwnRowsOut)
    assert (found.columns, found.n_rows, as_text.csv) == (as_text.columns, as_text.n_rows, None)
    body = {"name": f"c{uuid.uuid4().hex[:12]}", "pool": {"csv": found.csv}, "objectives": [{"property": "density"}]}
    made = answered(client.post("/v1/campaigns", json=body), wire_campaign.CampaignOut, 201)
    assert (made.n_candidates, made.progress[-1].best) == (3, {"density": 92})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_protected, "is protected by a password"), (_zip_bomb, "unpacks to more than 16 MB"),
        (_fonts, "has styles and the like"), (_junk, "holds too much that is no table"),
        (lambda _: bytes(range(256)), "is not the workbook that its name says"),
        (lambda _: OWN.encode(), "is not the workbook that its name says"),
        (lambda s: s[:-900], "is not a sound .xlsx file"),
    ],
    ids=["password", "zip-bomb", "styles", "junk", "random", "csv", "cut"],
)  # fmt: skip
def test_a_workbook_that_cannot_be_read_is_refused_in_words(
    client: httpx.Client, spoil: Callable[[bytes], bytes], words: str
) -> None:
    data = spoil(_workbook(OWN))
    refused(client.post("/v1/candidates", content=data, headers={"content-type": XLSX}), 422, words)


def test_candidates_of_another_media_type_are_refused_with_those_allowed(client: httpx.Client) -> None:
    for kind in ("text/csv", "application/vnd.ms-excel", ""):
        response = client.post("/v1/candidates", content=b"a,b\n1,2\n", headers={"content-type": kind})
        refused(response, 415, f"send application/json or {XLSX}")


def test_the_routes_import_what_campaigns_need_with_the_first_request() -> None:
    import subprocess
    import sys

    code = "import sys, nascreen.service; print('sqlalchemy' in sys.modules, 'nascreen.campaigns' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_conflict_of_the_store_has_its_status() -> None:
    assert ConflictError.status == 409
