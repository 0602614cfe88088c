"""Promises of spaces, rankings and recipes over HTTP: what Python finds, with reasons; scored once; clear refusals."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from nascreen import kept_screens, routes_rank, wire, wire_rank
from nascreen.chemistry import parse_formula
from nascreen.errors import InputError, StoreError, UnknownNameError
from nascreen.filters import FilterError
from nascreen.gatekeeper import Rules
from nascreen.kept_screens import AUTO, MOST_N, KeptScreens
from nascreen.lattices import FOLDER, count_lattice, lattice_names, load_lattice
from nascreen.listed import any_lattice, space_names
from nascreen.queries import Screened, check_query, filter_columns
from nascreen.ranking import ranked_rows, reasons
from nascreen.recipes import make_recipe, recipe_text
from nascreen.records import Sample, citation, name_of, processing_line
from nascreen.screening import best_measured, nearest
from nascreen.service import Options, create_app
from nascreen.serving import ModelHolder
from nascreen.spaces import count
from nascreen.stability import hints
from nascreen.stream import RECORD, model_hashes, present_hashes
from nascreen.stream import screen as run_screen


class Door:
    """Asks a service without a network."""

    def __init__(self, folder: Path, rules: Rules | None = None) -> None:
        self.screens = folder / "screens"
        self.app = create_app(Options(rules or Rules(), f"sqlite:///{folder}/campaigns.db", screens=self.screens))

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=300) as client:
                return await client.request(method, path, **more)

        return asyncio.run(sent())

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.ask("GET", path, params=params)

    def rank(self, **params: Any) -> httpx.Response:
        return self.get("/v1/rank", **params)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    return Door(tmp_path_factory.mktemp("rank"), Rules(request_seconds=240))


def checked(answer: httpx.Response, model: type[BaseModel]) -> Any:
    """Check that a good answer has the shape that is promised, no more and no less, and return it."""
    assert answer.status_code == 200, answer.text
    found = model.model_validate(answer.json(), strict=True)
    _no_more(found, answer.json())
    return found


def _no_more(found: Any, given: Any) -> None:
    """Check that nothing was given that the shape does not name."""
    if isinstance(found, BaseModel):
        assert set(given) <= set(type(found).model_fields)
        for name, value in given.items():
            _no_more(getattr(found, name), value)
    elif isinstance(found, list):
        for one, value in zip(found, given, strict=True):
            _no_more(one, value)


def refused(answer: httpx.Response, status: int = 422) -> str:
    """Check that an answer is a problem with one sentence, and return that."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found = wire.Problem.model_validate(answer.json())
    assert (answer.status_code, found.status) == (status, status), answer.text
    assert len(found.detail) > 20
    return found.detail


# ---------------------------------------------------------------- spaces


def test_every_space_is_listed_with_its_size(door: Door) -> None:
    found = checked(door.get("/v1/spaces"), wire_rank.SpacesOut)
    assert [s.name for s in found.spaces] == list(space_names())
    sizes = {s.name: s.n_candidates for s in found.spaces}
    assert sizes["thioborate"] == count("thioborate")
    assert sizes["sulfides"] == count_lattice(load_lattice("sulfides")).candidates
    assert all(s.title and "Na" in s.elements for s in found.spaces)


@pytest.mark.parametrize("name", ["thioborate", *lattice_names()])
def test_a_space_is_shown_with_its_file_and_columns(door: Door, name: str) -> None:
    found = checked(door.get(f"/v1/spaces/{name}"), wire_rank.SpaceFileOut)
    assert found.toml == ("" if name == "thioborate" else (FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    assert [c.name for c in found.columns] == [c.name for c in filter_columns(any_lattice(name))]
    assert {f"amount_{s.lower()}" for s in found.elements} <= {c.name for c in found.columns}


PATHS = ("none", "nasicon.toml", "../spaces/sulfides.toml", "/etc/passwd", "sulfides.toml", "Nasicon", "%00")


@pytest.mark.parametrize("name", PATHS)
def test_nothing_but_the_name_of_a_space_is_opened(door: Door, tmp_path: Path, name: str) -> None:
    if "/" not in name:
        assert "allowed are nasicon, thioborate" in refused(door.get(f"/v1/spaces/{name}"), 404)
    mine = tmp_path / "mine.toml"
    shutil.copy(FOLDER / "sulfides.toml", mine)
    for one in (name, str(mine)):
        assert "There is no space" in refused(door.rank(space=one), 404)


# ---------------------------------------------------------------- rankings


def test_a_ranking_is_what_the_query_finds_in_the_same_screen(door: Door, tmp_path: Path) -> None:
    params = {"filter": 'elements HAS "Ge"', "sort": "ea_ev", "limit": 7, "per_system": 3}
    found = checked(door.rank(space="thioborate", **params), wire_rank.RankOut)
    run_screen("thioborate", count("thioborate"), tmp_path / "s", "random", 0)
    expected = Screened(tmp_path / "s").query('elements HAS "Ge"', "ea_ev", 7, per_system=3)
    assert [r.formula for r in found.rows] == [row["formula"] for row in expected.rows]
    assert [r.ea_ev for r in found.rows] == [row["ea_ev"] for row in expected.rows]
    assert (found.n_scored, found.n_matching) == (count("thioborate"), expected.n_matching)
    assert found.scored_with == present_hashes()
    assert "of 2013-09" in found.note


@pytest.mark.parametrize("space", ["sulfides", "composites"])
def test_a_space_of_sites_is_drawn_and_ranked(door: Door, space: str) -> None:
    found = checked(door.rank(space=space, n=300, seed=3, limit=20), wire_rank.RankOut)
    assert (found.space, found.n_scored) == (space, 300)
    low = [r.conductivity_lo for r in found.rows]
    assert low == sorted(low, reverse=True)
    for row in found.rows:
        assert row.conductivity_lo <= row.conductivity_s_cm <= row.conductivity_hi
        sample = Sample(**{k: v for k, v in row.model_dump().items() if k in kept_fields() and v is not None})
        assert row.processing.startswith(processing_line(sample))
        assert row.family in any_lattice(space).families


def kept_fields() -> frozenset[str]:
    from nascreen.lattices import ROUTE_COLUMNS

    return frozenset({"formula", *ROUTE_COLUMNS})


def test_pages_follow_one_another(door: Door) -> None:
    whole = door.rank(space="thioborate", limit=30).json()["rows"]
    pages, offset = [], 0
    while offset is not None and len(pages) < 30:
        page = door.rank(space="thioborate", limit=8, offset=offset).json()
        assert page["offset"] == offset
        pages += page["rows"]
        offset = page["next_offset"]
    assert pages[:30] == whole
    last = door.rank(space="thioborate", filter="candidate < 3", limit=20).json()
    assert last["next_offset"] is None


def test_targets_give_a_probability_and_the_order(door: Door) -> None:
    targets = ["conductivity_s_cm > 1e-5", "strength_mpa > 50"]
    found = checked(door.rank(space="thioborate", target=targets, limit=10), wire_rank.RankOut)
    chances = [r.probability for r in found.rows]
    assert chances == sorted(chances, reverse=True)
    assert all(0 < p < 1 for p in chances)
    one = f"candidate = {found.rows[0].candidate}"
    (alone,) = door.rank(space="thioborate", target=targets[0], filter=one).json()["rows"]
    assert chances[0] < alone["probability"], "both are harder to meet than one"
    by_filter = door.rank(space="thioborate", target=targets, filter=f"probability >= {chances[4]}").json()
    assert 0 < by_filter["n_matching"] < count("thioborate")


def test_a_front_is_ranked_by_its_number(door: Door) -> None:
    found = checked(door.rank(space="thioborate", sort="pareto(conductivity_lo,cost_usd_kg)"), wire_rank.RankOut)
    first = [r for r in found.rows if r.rank == 1]
    for one in first:
        assert not any(
            other.conductivity_lo > one.conductivity_lo and other.cost_usd_kg < one.cost_usd_kg for other in found.rows
        )


def test_a_table_of_the_ranking_holds_the_same_rows(door: Door) -> None:
    params = {"space": "thioborate", "limit": 5, "sort": "cost_usd_kg"}
    answer = door.rank(**params, format="csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="ranking.csv"'
    cells = list(csv.DictReader(io.StringIO(answer.text)))
    rows = door.rank(**params).json()["rows"]
    assert [c["formula"] for c in cells] == [r["formula"] for r in rows]
    assert [float(c["conductivity_lo"]) for c in cells] == [r["conductivity_lo"] for r in rows]
    assert [c["reasons"] for c in cells] == [" ".join(r["reasons"]) for r in rows]


def test_columns_of_a_ranking_are_those_of_its_rows_that_a_filter_may_name(door: Door) -> None:
    found = checked(door.rank(space="thioborate", limit=1), wire_rank.RankOut)
    named = {c.name for c in found.columns}
    assert named | {"rank", "formula", "processing", "domain_note", "hull_formula", "probability", "reasons"} == set(
        wire_rank.RankedOut.model_fields
    )


# ---------------------------------------------------------------- reasons


def test_reasons_compare_with_the_best_and_the_nearest_measured_and_say_what_limits_trust(door: Door) -> None:
    pages = [door.rank(space="thioborate", limit=10, sort=f"novelty:{way}") for way in ("asc", "desc")]
    rows = [row for page in pages for row in checked(page, wire_rank.RankOut).rows]
    log_best, best = best_measured(["thioborate"])
    for row in rows:
        against, near_text, trust = row.reasons
        gap = math.log10(row.conductivity_lo) - log_best
        assert f"{abs(gap):.2f} decades {'above' if gap > 0 else 'below'} the best measured" in against
        assert name_of(best) in against
        assert citation(best) in against
        sample = Sample(**{k: v for k, v in row.model_dump().items() if k in kept_fields() and v is not None})
        ((near,),) = nearest([sample], 1)
        assert name_of(near.sample) in near_text
        assert near.citation in near_text
        assert ("same composition" in near_text) == (near.distance < 0.005)
        assert trust.startswith(f"{'Inside' if row.in_domain else 'Outside'} the domain of the models")
        assert row.domain_note in trust
    assert {r.in_domain for r in rows} == {True, False}


def test_a_nasicon_has_the_hint_at_its_stability(door: Door) -> None:
    found = checked(door.rank(space="composites", n=300, seed=3, sort="hull_mev_atom", limit=5), wire_rank.RankOut)
    for row in found.rows:
        (hint,) = hints([row.formula], [row.family])
        assert hint is not None
        assert row.hull_formula == hint.formula
        assert f"hint alone: {hint.sentence.partition(':')[0]}" in row.reasons[2]
        assert len(row.reasons) == 4


@pytest.mark.parametrize(
    ("low", "said"), [(1.0, "decades above the best"), (1e-9, "decades below the best"), (None, "is at the best")]
)
def test_a_limit_above_the_best_measured_is_said_to_be_above(low: float | None, said: str) -> None:
    best = best_measured(["nasicon"])[1].conductivity_s_cm
    row = {"conductivity_lo": low or best, "conductivity_hi": 10.0, "family": "nasicon", "in_domain": True,
           "domain_note": ""}  # fmt: skip
    assert said in reasons(row, [])[0]


def test_a_family_without_measurements_is_said_to_have_none() -> None:
    row = {"conductivity_lo": 1e-4, "conductivity_hi": 1e-3, "family": "unheard", "in_domain": False,
           "domain_note": "of a family known from too few papers"}  # fmt: skip
    first, last = reasons(row, [])
    assert "of its family (unheard) nothing was measured near 25 °C" in first
    assert "known from too few papers; its 90 % interval spans 1.0 decades" in last


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({}, 422, "needs either space or screen"),
        ({"space": "thioborate", "screen": "mine"}, 422, "needs either space or screen"),
        ({"space": "nowhere"}, 404, "There is no space 'nowhere'; allowed are nasicon"),
        ({"screen": "nowhere"}, 404, "There is no screen 'nowhere'"),
        ({"screen": "../screens"}, 404, "There is no screen"),
        ({"screen": "x", "n": 5}, 422, "n and seed say nothing of it"),
        ({"space": "thioborate", "n": 681}, 422, "allowed is 1 to 680"),
        ({"space": "sulfides", "n": MOST_N + 1}, 422, f"less than or equal to {MOST_N}"),
        ({"space": "sulfides", "n": 0}, 422, "greater than or equal to 1"),
        ({"space": "thioborate", "limit": 0}, 422, "greater than or equal to 1"),
        ({"space": "thioborate", "limit": 1001}, 422, "less than or equal to 1000"),
        ({"space": "thioborate", "offset": -1}, 422, "greater than or equal to 0"),
        ({"space": "thioborate", "offset": 10_001}, 422, "less than or equal to 10000"),
        ({"space": "thioborate", "per_system": 0}, 422, "greater than or equal to 1"),
        ({"space": "thioborate", "seed": -1}, 422, "greater than or equal to 0"),
        ({"space": "thioborate", "seed": "x"}, 422, "'query.seed' is 'x'"),
        ({"space": "thioborate", "sort": "beauty"}, 422, "The sort names 'beauty'; allowed are candidate"),
        ({"space": "thioborate", "sort": "pareto(ea_ev)"}, 422, "takes 2 to 4"),
        ({"space": "thioborate", "sort": "probability"}, 422, "The sort names 'probability'"),
        ({"space": "thioborate", "target": "beauty > 3"}, 422, "The target 'beauty > 3' cannot be used"),
        ({"space": "thioborate", "target": ["ea_ev < 0.3"] * 4}, 422, "at most 3"),
        ({"space": "thioborate", "format": "xlsx"}, 422, "'json' or 'csv'"),
        ({"space": "thioborate", "top": 3}, 422, "'query.top' is unknown"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_bad_question_is_refused_in_words(door: Door, params: dict[str, Any], status: int, said: str) -> None:
    assert said in refused(door.rank(**params), status)


HOSTILE = (
    "1; DROP TABLE x", "ea_ev < ", "elements HAS 'Na'", 'elements HAS "Xx"', "conductivity > 1", "(" * 300,
    "ea_ev < 0.3) OR (1=1", "read_parquet('/etc/passwd') = 1", 'family = "a" UNION SELECT 1', "\x00", "doubts = 0",
    "system = 1", "ea_ev < 1 OR " * 200, "candidate IN (1)", "amount_xx > 1",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_filter_is_refused_with_a_caret_and_nothing_is_scored(door: Door, text: str) -> None:
    before = sorted(door.screens.glob("*"))
    with pytest.raises(FilterError) as caught:
        check_query(any_lattice("sulfides"), text, "ea_ev", ())
    assert refused(door.rank(space="sulfides", filter=text)) == str(caught.value)
    assert str(caught.value).rsplit("\n", 1)[1].strip() == "^"
    assert sorted(door.screens.glob("*")) == before


def test_a_bad_query_is_told_before_anything_is_scored(tmp_path: Path) -> None:
    fresh = Door(tmp_path)
    for params in ({"sort": "beauty"}, {"target": "beauty > 1"}, {"filter": "beauty > 1"}):
        refused(fresh.rank(space="sulfides", **params))
    assert not fresh.screens.exists()


# ---------------------------------------------------------------- kept screens


@pytest.fixture
def keeper(tmp_path: Path) -> KeptScreens:
    return KeptScreens(tmp_path / "screens", ModelHolder().folder)


def _scored_in_process(arguments: list[str]) -> None:
    space, size, sampling, seed, out, _ = arguments
    run_screen(space, int(size), Path(out), sampling, int(seed))  # type: ignore[arg-type]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Score in this process, which is faster to start, and remember what was scored."""
    asked: list[list[str]] = []

    def run(arguments: list[str]) -> None:
        asked.append(list(arguments))
        _scored_in_process(arguments)

    monkeypatch.setattr(kept_screens, "_run", run)
    return asked


def test_a_space_is_scored_once_for_the_same_question(keeper: KeptScreens, at_once: list[list[str]]) -> None:
    models = present_hashes()
    first = keeper.scored("sulfides", 50, 0, models)
    assert keeper.scored("sulfides", 50, 0, models) is first
    assert len(at_once) == 1
    again = KeptScreens(keeper.folder, keeper.models).scored("sulfides", 50, 0, models)
    assert again.query().rows == first.query().rows
    assert len(at_once) == 1
    for n, seed in ((50, 1), (51, 0)):
        keeper.scored("sulfides", n, seed, models)
    assert len(at_once) == 3


def test_threads_that_ask_at_once_score_once(keeper: KeptScreens, at_once: list[list[str]]) -> None:
    found: list[Screened] = []
    ask = lambda: found.append(keeper.scored("sulfides", 60, 0, present_hashes()))  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == len(at_once) == 1
    assert len(found) == 4


def test_other_models_score_anew(keeper: KeptScreens, at_once: list[list[str]]) -> None:
    keeper.scored("sulfides", 40, 0, present_hashes())
    with pytest.raises(StoreError, match="are not those that answer now"):
        keeper.scored("sulfides", 40, 0, {"conductivity": "0" * 64, "strength": "1" * 64})
    assert len(at_once) == 2
    assert len(list(keeper.folder.glob("*"))) == 1, "what other models scored is not kept"


def test_a_screen_that_was_not_finished_is_not_used(keeper: KeptScreens, at_once: list[list[str]]) -> None:
    keeper.scored("sulfides", 40, 0, present_hashes())
    (folder,) = keeper.folder.glob(f"{AUTO}*")
    (folder / RECORD).unlink()
    shutil.rmtree(folder)
    stale = keeper.folder / ".part-stale"
    stale.mkdir()
    os.utime(stale, (time.time() - 7200,) * 2)
    keeper.scored("sulfides", 40, 0, present_hashes())
    assert len(at_once) == 2
    assert not stale.exists()


def test_the_oldest_screens_make_room_and_those_of_people_stay(
    keeper: KeptScreens, at_once: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_screens, "MOST_KEPT", 3)
    monkeypatch.setattr(kept_screens, "MOST_OPEN", 1)
    run_screen("sulfides", 30, keeper.folder / "mine", "random", 0)
    models = present_hashes()
    for seed in range(5):
        keeper.scored("sulfides", 20, seed, models)
        for age, folder in enumerate(sorted(keeper.folder.glob(f"{AUTO}*"), reverse=True)):
            os.utime(folder / RECORD, (time.time() - 100 * age,) * 2)
    kept = sorted(path.name.split("-")[3] for path in keeper.folder.glob(f"{AUTO}*"))
    assert kept == ["2", "3", "4"]
    assert keeper.names() == ["mine"]
    assert keeper.named("mine").record["n"] == 30


def test_a_screen_that_is_being_asked_is_not_taken_away(
    keeper: KeptScreens, at_once: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_screens, "MOST_KEPT", 1)
    monkeypatch.setattr(kept_screens, "MOST_OPEN", 1)
    held = keeper.scored("sulfides", 20, 0, present_hashes())
    keeper.scored("sulfides", 20, 1, present_hashes())
    assert len(held.query().rows) > 0


@pytest.mark.parametrize(("space", "n"), [("sulfides", 0), ("sulfides", MOST_N + 1), ("thioborate", 681)])
def test_a_number_that_cannot_be_drawn_is_refused(keeper: KeptScreens, space: str, n: int) -> None:
    with pytest.raises(InputError, match="allowed is 1 to"):
        keeper.scored(space, n, 0, present_hashes())


def test_a_path_is_no_space_and_no_screen(keeper: KeptScreens, tmp_path: Path) -> None:
    run_screen("sulfides", 20, tmp_path / "outside", "random", 0)
    for name in ("../outside", str(tmp_path / "outside"), "..", ".", ""):
        with pytest.raises(UnknownNameError, match="There is no screen"):
            keeper.named(name)
        with pytest.raises(UnknownNameError, match="There is no space"):
            keeper.scored(f"{name}.toml", None, 0, present_hashes())


def test_a_screen_of_people_is_ranked_by_its_name(door: Door) -> None:
    run_screen("sulfides", 40, door.screens / "mine", "random", 7)
    found = checked(door.rank(screen="mine", limit=5), wire_rank.RankOut)
    assert (found.space, found.n_scored) == ("sulfides", 40)
    assert door.get("/v1/spaces").json()["screens"] == ["mine"]
    record = json.loads((door.screens / "mine" / RECORD).read_text(encoding="utf-8"))
    record["models"]["strength"] = "0" * 64
    shutil.copytree(door.screens / "mine", door.screens / "old")
    (door.screens / "old" / RECORD).write_text(json.dumps(record), encoding="utf-8")
    old = checked(door.rank(screen="old", limit=5), wire_rank.RankOut)
    assert "scored by other models than those that answer now" in old.note
    assert "other models" not in found.note
    shutil.rmtree(door.screens / "mine")
    shutil.rmtree(door.screens / "old")


def test_scoring_is_done_by_a_process_of_its_own(keeper: KeptScreens) -> None:
    screened = keeper.scored("thioborate", 30, 0, present_hashes())
    assert screened.record["models"] == present_hashes()
    assert len(screened.query(top=5).rows) == 5
    assert [path.name for path in keeper.folder.iterdir()] == [path.name for path in keeper.folder.glob(f"{AUTO}*")]


def test_a_process_that_fails_is_said_and_leaves_nothing(keeper: KeptScreens, tmp_path: Path) -> None:
    broken = KeptScreens(keeper.folder, tmp_path / "no models")
    with pytest.raises(StoreError, match="cannot be scored now; the log of the service says why"):
        broken.scored("thioborate", 30, 0, present_hashes())
    assert list(keeper.folder.iterdir()) == []


def test_whoever_asks_while_a_space_is_scored_is_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(arguments: list[str]) -> None:
        go_on.wait(60)
        _scored_in_process(arguments)

    monkeypatch.setattr(kept_screens, "_run", slow)
    monkeypatch.setattr(routes_rank, "PATIENCE", 0.001)
    fresh = Door(tmp_path, Rules(request_seconds=240))
    try:
        answer = fresh.rank(space="sulfides", n=20)
        assert "is being scored for the first time; ask again in 5 seconds" in refused(answer, 429)
        assert answer.headers["retry-after"] == "5"
        go_on.set()
        deadline = time.monotonic() + 60
        while not list(fresh.screens.glob(f"{AUTO}*/{RECORD}")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        monkeypatch.undo()
        assert fresh.rank(space="sulfides", n=20).status_code == 200
    finally:
        go_on.set()


def test_the_hashes_of_a_screen_are_those_of_the_models_that_answer() -> None:
    holder = ModelHolder()
    assert model_hashes(holder.models) == holder.hashes


def test_rows_without_candidates_need_no_neighbours(door: Door) -> None:
    found = checked(door.rank(space="thioborate", filter="ea_ev < 0"), wire_rank.RankOut)
    assert (found.rows, found.n_matching, found.next_offset) == ([], 0, None)
    assert ranked_rows(Screened(next(door.screens.glob(f"{AUTO}thioborate*"))).query("ea_ev < 0")) == []


# ---------------------------------------------------------------- recipes


def test_a_recipe_is_that_of_python(door: Door) -> None:
    body = {"formula": "Na3.4Zr2Si2.4P0.6O12", "batch_g": 20, "excess_pct": {"Na": 5.0},
            "purity_pct": {"Na2CO3": 99.5}, "precursors": {"P": "NH4H2PO4"}, "balance_mg": 0.1}  # fmt: skip
    found = checked(door.ask("POST", "/v1/recipe", json=body), wire_rank.RecipeOut)
    made = make_recipe("Na3.4Zr2Si2.4P0.6O12", 20, precursors={"P": "NH4H2PO4"}, excess_pct={"Na": 5.0},
                       purity_pct={"Na2CO3": 99.5}, balance_mg=0.1)  # fmt: skip
    assert found.text == recipe_text(made)
    assert [w.weigh_g for w in found.weighings] == [w.weigh_g for w in made.weighings]
    assert [w.precursor for w in found.weighings] == [w.precursor.formula for w in made.weighings]
    assert found.charge == made.charge
    assert found.gases == {name: float(n) for name, n in made.gases.items()}
    weighed = parse_formula(found.weighed_formula).amounts
    assert {s: float(n) for s, n in weighed.items()} == pytest.approx(
        {s: float(n) for s, n in made.weighed.items()}, abs=1e-4
    )
    assert found.hazards == list(made.hazards)


def test_a_sealed_recipe_says_so(door: Door) -> None:
    found = checked(door.ask("POST", "/v1/recipe", json={"formula": "Na3BS3"}), wire_rank.RecipeOut)
    assert (found.is_open, found.batch_g, found.gases) == (False, 10.0, {})
    assert any("glove box" in sentence for sentence in found.hazards)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "'formula' is missing"),
        ({"formula": ""}, "'formula' is ''"),
        ({"formula": "Na3Zr2Si2PO11"}, "not charge balanced"),
        ({"formula": "Xx"}, "'Xx'"),
        ({"formula": "Na3BS3", "batch_g": 0}, "'batch_g' is"),
        ({"formula": "Na3BS3", "batch_g": "25"}, "'batch_g' is '25'"),
        ({"formula": "Na3BS3", "batch_g": True}, "'batch_g' is true"),
        ({"formula": "Na3BS3", "batch_g": 1e-3}, "make a larger batch"),
        ({"formula": "Na3BS3", "excess_pct": {"Na": 60.0}}, "allowed is 0 to 50"),
        ({"formula": "Na3BS3", "excess_pct": {"Zr": 5.0}}, "The excess names 'Zr'"),
        ({"formula": "Na3BS3", "excess_pct": {"Nabcdef": 5.0}}, "at most 2 characters"),
        ({"formula": "Na3BS3", "purity_pct": {"Na2S": 10.0}}, "allowed is 50 to 100"),
        ({"formula": "Na3BS3", "purity_pct": {"ZrO2": 99.0}}, "The purity names 'ZrO2'"),
        ({"formula": "Na3BS3", "precursors": {"Na": "ZrO2"}}, "which it does not hold"),
        ({"formula": "Na3BS3", "precursors": {"Na": "(((("}}, "'(((('"),
        ({"formula": "Na3BS3", "precursors": {"Na": "Na" * 400}}, "at most 200 characters"),
        ({"formula": "Na3BS3", "precursors": {f"{a}{b}": "Na2S" for a in "ABCDEFG" for b in "abcdefg"}}, "at most 30"),
        ({"formula": "Na3BS3", "balance_mg": 5000}, "'balance_mg' is"),
        ({"formula": "Na3BS3", "reagents": {}}, "'reagents' is unknown"),
        ([], "is a list"),
    ],
    ids=range(20),
)
def test_a_bad_recipe_is_refused_in_words(door: Door, body: Any, said: str) -> None:
    assert said in refused(door.ask("POST", "/v1/recipe", json=body))
