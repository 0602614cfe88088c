"""Promises of the queries: what passes, in which order, how varied, and nothing but the screen can be read."""

from __future__ import annotations

import csv
import gc
import io
import itertools
import json
import math
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nascreen.chemistry import charge_balance, parse_formula
from nascreen.cli import main
from nascreen.errors import InputError, MissingExtraError, RangeError, TableError
from nascreen.lattices import ROUTE_COLUMNS
from nascreen.models import load_models
from nascreen.queries import HIGHER_IS_BETTER, Found, Screened, _Variety, pareto_front, scored_space
from nascreen.records import FIELD_NAMES, Sample
from nascreen.screening import score
from nascreen.spaces import count, generate
from nascreen.stream import RECORD, screen

N = 1500


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("screens") / "composites"
    screen("composites", N, out, "simple", 2)
    return out


@pytest.fixture(scope="module")
def screened(folder: Path) -> Screened:
    return Screened(folder)


@pytest.fixture(scope="module")
def everything(screened: Screened) -> Found:
    return screened.query(sort="candidate", top=N)


def values(found: Found, name: str) -> list[float]:
    return [row[name] for row in found.rows]


def test_every_composition_comes_once_with_its_amounts_and_predictions(everything: Found) -> None:
    formulas = values(everything, "formula")
    assert len(set(formulas)) == len(formulas)
    assert everything.n_matching == everything.n_all == N
    picked = everything.rows[:: len(everything.rows) // 20]
    for row in picked:
        assert charge_balance(parse_formula(row["formula"])).charge == 0.0
        columns = {k: v for k, v in row.items() if k in FIELD_NAMES and k not in {"ea_ev", "strength_mpa"}}
        columns.pop("conductivity_s_cm")
        (p,) = load_models().predict([Sample(**columns)])
        assert math.log10(row["conductivity_s_cm"]) == pytest.approx(math.log10(p.conductivity_s_cm), abs=0.02)
        assert row["ea_ev"] == pytest.approx(p.ea_ev, rel=1e-3)
        assert row["ea_lo"] == pytest.approx(p.ea_lo, rel=1e-3, abs=1e-3)
        assert row["strength_hi"] == pytest.approx(p.strength_hi, rel=1e-3)
        assert row["in_domain"] == p.in_domain == (row["domain_note"] == "")


@pytest.mark.parametrize("column", [c for c in HIGHER_IS_BETTER if c != "probability"])
def test_the_best_come_first(screened: Screened, column: str) -> None:
    found = values(screened.query(sort=column, top=30), column)
    assert found == sorted(found, reverse=HIGHER_IS_BETTER[column])
    other = values(screened.query(sort=f"{column}:{'asc' if HIGHER_IS_BETTER[column] else 'desc'}", top=30), column)
    assert other == sorted(other, reverse=not HIGHER_IS_BETTER[column])


def test_a_filter_holds_for_every_row_and_counts_all_that_pass(screened: Screened, everything: Found) -> None:
    text = 'NOT elements HAS "Sc" AND conductivity_lo > 1e-6 AND sinter_temp_c < 1100 '
    text += 'AND second_phase_role = "sintering_aid"'
    found = screened.query(text, top=N)
    assert 0 < len(found.rows) <= found.n_matching < N
    for row in found.rows:
        assert "Sc" not in row["formula"]
        assert row["conductivity_lo"] > 1e-6
        assert row["sinter_temp_c"] < 1100
        assert row["second_phase_role"] == "sintering_aid"


@pytest.mark.parametrize("limit", [1, 3])
def test_a_system_has_at_most_so_many_candidates(screened: Screened, limit: int) -> None:
    found = screened.query(top=40, per_system=limit)
    systems = Counter(frozenset(parse_formula(f).amounts) for f in values(found, "formula"))
    assert max(systems.values()) == limit


def test_equal_values_share_a_rank(screened: Screened) -> None:
    found = screened.query(sort="strength_mpa", top=25)
    pairs = list(itertools.pairwise(zip(values(found, "strength_mpa"), values(found, "rank"), strict=True)))
    assert any(a == b for (a, _), (b, _) in pairs)
    for i, ((a, rank_a), (b, rank_b)) in enumerate(pairs):
        assert rank_b == (rank_a if a == b else i + 2)


def test_the_probability_of_a_target_is_that_of_the_normal_distribution(screened: Screened) -> None:
    from scipy.stats import norm

    targets = ["conductivity_s_cm > 1e-4", "ea_ev < 0.35", "strength_mpa >= 60"]
    found = screened.query(sort="probability", top=20, targets=targets)
    probabilities = values(found, "probability")
    assert probabilities == sorted(probabilities, reverse=True)
    for row in found.rows:
        sd = math.log10(row["conductivity_hi"] / row["conductivity_lo"]) / 2 / norm.ppf(0.95)
        by_sigma = norm.cdf((math.log10(row["conductivity_s_cm"]) + 4) / sd)
        by_ea = norm.cdf((0.35 - row["ea_ev"]) / ((row["ea_hi"] - row["ea_ev"]) / norm.ppf(0.95)))
        sd = math.log10(row["strength_hi"] / row["strength_lo"]) / 2 / norm.ppf(0.95)
        by_strength = norm.cdf((math.log10(row["strength_mpa"]) - math.log10(60)) / sd)
        assert row["probability"] == pytest.approx(by_sigma * by_ea * by_strength, rel=2e-3)
    assert screened.query("probability > 0.2", targets=targets[:1]).n_matching > 0


def test_a_pareto_sort_returns_the_fronts_in_order(screened: Screened, everything: Found) -> None:
    found = screened.query(sort="pareto(conductivity_lo, cost_usd_kg)", top=40)
    ranks = values(found, "rank")
    assert ranks == sorted(ranks)
    first = [row for row in found.rows if row["rank"] == 1]
    for row in first:
        assert not any(
            o["conductivity_lo"] > row["conductivity_lo"] and o["cost_usd_kg"] < row["cost_usd_kg"]
            for o in everything.rows
        )


@given(arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(2, 3)), elements=st.integers(0, 4).map(float)))
def test_the_front_is_that_of_brute_force(rows: np.ndarray) -> None:
    expected = [
        i for i, a in enumerate(rows) if not any((b >= a).all() and (b > a).any() for b in rows)
    ]  # fmt: skip
    assert pareto_front(rows).tolist() == expected


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sort": "colour"}, InputError, "The sort names 'colour'; allowed are candidate, family"),
        ({"sort": "ea_ev:up"}, InputError, "The sort names 'ea_ev:up'"),
        ({"sort": "probability"}, InputError, "The sort names 'probability'"),
        ({"sort": "pareto(ea_ev)"}, InputError, r"has 1 columns; pareto\(…\) takes 2 to 4"),
        ({"sort": "pareto(ea_ev, phase)"}, InputError, "names 'phase' in pareto"),
        ({"targets": ["conductivity_s_cm ~ 3"]}, InputError, "The target 'conductivity_s_cm ~ 3' cannot be used"),
        ({"targets": ["cost_usd_kg < 3"]}, InputError, "with one of conductivity_s_cm, ea_ev, strength_mpa"),
        ({"targets": ["ea_ev < 1e-e"]}, InputError, "The target 'ea_ev < 1e-e' cannot be used"),
        ({"top": 0}, RangeError, "number of candidates is 0; allowed is 1 to 100,000"),
        ({"per_system": 0}, RangeError, "number of candidates per system is 0"),
        ({"offset": -1}, RangeError, "The offset is -1; with 20 candidates allowed is 0 to 99,980"),
        ({"text": "ea_ev <"}, InputError, "The filter cannot be read at character 8"),
    ],
    ids=["sort", "way", "no target", "pareto of one", "pareto of text", "operator", "column", "number", "top", "system",
         "offset", "filter"],
)  # fmt: skip
def test_a_query_that_cannot_be_is_refused_with_what_is_allowed(
    screened: Screened, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        screened.query(**options)  # type: ignore[arg-type]


def test_the_database_reads_nothing_but_the_screen(screened: Screened, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n", encoding="utf-8")
    for sql in (f"SELECT * FROM read_csv('{secret}')", f"COPY (SELECT 1) TO '{tmp_path}/x.csv'", "INSTALL httpfs"):
        with pytest.raises(duckdb.Error, match=r"disabled|[Pp]ermission"):
            screened._database.execute(sql)
    with pytest.raises(duckdb.Error, match="locked"):
        screened._database.execute("SET enable_external_access = true")


def test_a_folder_without_a_finished_screen_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"holds no finished screen \(no screen.json\); make one with: nascreen screen"
    ):
        Screened(tmp_path)
    (tmp_path / RECORD).write_text("{}", encoding="utf-8")
    with pytest.raises(TableError, match=r"The record .* cannot be read \(KeyError\); screen again"):
        Screened(tmp_path)
    (tmp_path / RECORD).write_bytes((folder / RECORD).read_bytes())
    (tmp_path / "space.toml").write_bytes((folder / "space.toml").read_bytes())
    with pytest.raises(InputError, match="has lost its Parquet parts; screen again"):
        Screened(tmp_path)
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    (tmp_path / RECORD).write_text(json.dumps({**record, "elements": ["Na"]}), encoding="utf-8")
    with pytest.raises(InputError, match="holds another space than its record; screen again"):
        Screened(tmp_path)


def test_without_the_database_it_is_said_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install nascreen\[screen\]"):
        Screened(folder)


@pytest.mark.parametrize("sort", ["conductivity_lo", "strength_mpa", "pareto(conductivity_lo, cost_usd_kg)"])
def test_pages_follow_one_another_as_in_one_long_answer(screened: Screened, sort: str) -> None:
    whole = screened.query("ea_ev < 0.6", sort, top=24, per_system=9)
    pages = [screened.query("ea_ev < 0.6", sort, 8, offset=8 * i, per_system=9) for i in range(3)]
    assert len(whole.rows) == 24
    assert [row for page in pages for row in page.rows] == whole.rows
    assert all(page.has_more for page in pages)
    assert {page.n_matching for page in pages} == {whole.n_matching}
    n_all = len(screened.query("ea_ev < 0.3", sort, top=N).rows)
    assert not screened.query("ea_ev < 0.3", sort, top=10, offset=n_all - 3).has_more
    assert screened.query("ea_ev < 0.3", sort, top=10, offset=n_all).rows == []


def test_rows_are_what_json_holds_and_nothing_else(everything: Found) -> None:
    assert json.loads(json.dumps(everything.rows, allow_nan=False)) == everything.rows


def test_threads_may_ask_at_once(screened: Screened) -> None:
    texts = [f"ea_ev < {0.2 + 0.01 * i}" for i in range(24)]
    expected = [screened.query(text, top=5).rows for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: screened.query(text, top=5).rows, texts)) == expected


# ---------------------------------------------------------------- spaces of every kind


@pytest.mark.parametrize("name", ["nasicon", "thioborate"])
def test_a_space_in_code_answers_the_same_queries_with_the_scores_of_single_predictions(name: str) -> None:
    screened = scored_space(name, n=200, seed=4)
    found = screened.query("ea_ev < 2", "conductivity_lo", top=200)
    assert found.n_all == 200
    by_place = generate(name, 200, 4)
    for row in found.rows[::8]:
        sample = by_place[row["candidate"]]
        assert row["formula"] == sample.formula
        assert all(row.get(c) == (getattr(sample, c) or None) for c in ROUTE_COLUMNS)
        (p,) = score([sample])
        assert math.log10(row["conductivity_lo"]) == pytest.approx(math.log10(p.prediction.conductivity_lo), abs=0.02)
        assert row["resistance_ohm_cm2"] == pytest.approx(p.resistance_ohm_cm2, rel=0.05)
        assert row["in_domain"] == p.prediction.in_domain
    element = "Zr" if name == "nasicon" else "Ge"
    with_it = screened.query(f'elements HAS "{element}"', "ea_ev", top=200, targets=["conductivity_s_cm > 1e-4"])
    assert with_it.rows
    assert all(element in row["formula"] and 0 <= row["probability"] <= 1 for row in with_it.rows)


def test_all_of_a_space_in_code_is_scored_where_no_number_is_given() -> None:
    screened = scored_space("thioborate")
    found = screened.query(sort="candidate", top=1000)
    assert found.n_all == count("thioborate")
    assert {row["formula"] for row in found.rows} == {sample.formula for sample in generate("thioborate")}


def test_a_folder_is_kept_and_opened_again_for_the_same_request_alone(tmp_path: Path) -> None:
    first = scored_space("thioborate", 30, 1, tmp_path / "kept")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    again = scored_space("thioborate", 30, 1, tmp_path / "kept")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == written
    assert again.query().rows == first.query().rows
    for request in (("thioborate", 31, 1), ("thioborate", 30, 2), ("nasicon", 30, 1)):
        with pytest.raises(InputError, match="holds another screen"):
            scored_space(*request, tmp_path / "kept")


def test_a_folder_of_nobody_goes_with_what_opened_it() -> None:
    screened = scored_space("thioborate", 30)
    place = Path(screened.parts[0]).parent
    assert place.is_dir()
    screened.close()
    del screened
    gc.collect()
    assert not place.exists()


def test_a_screen_by_other_models_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "kept"
    assert scored_space("thioborate", 30, 0, folder).query().notes == ()
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    assert set(record["models"]) == {"conductivity", "strength"}
    record["models"]["conductivity"] = "0" * 64
    (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")
    (note,) = Screened(folder).query().notes
    words = "scored with other models (conductivity 000000000000) than the present ones (conductivity "
    assert note.startswith(words)
    code, _, said = command(["--in", str(folder)], monkeypatch, capsys)
    assert code == 0
    assert note in said
    with pytest.raises(InputError, match="scored with other models"):
        scored_space("thioborate", 30, 0, folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "perovskites"}, "allowed are nasicon, thioborate, composites"),
        ({"space": "nasicon", "n": 0}, "cannot give '0' candidates; allowed is a whole number from 1"),
        ({"space": "nasicon", "n": 9, "seed": -1}, "The seed is '-1'"),
        ({"space": "nasicon", "n": 9, "sampling": "sobol"}, "got the sampling 'sobol'. Use random"),
        ({"space": "missing.toml"}, "The space file 'missing.toml' cannot be read"),
    ],
    ids=["space", "number", "seed", "sampling", "file"],
)
def test_a_space_that_cannot_be_scored_is_refused_and_leaves_nothing(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InputError, match=message):
        scored_space(**options)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- the command


def command(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["nascreen", "rank", *arguments])
    try:
        main()
        code: object = 0
    except SystemExit as stopped:
        code = stopped.code
    return (code, *capsys.readouterr())


def test_the_command_gives_the_same_candidates_in_every_format(
    folder: Path,
    screened: Screened,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "ea_ev < 0.4"
    expected = values(screened.query(text, "cost_usd_kg", 6, per_system=2), "formula")
    asked = ["--in", str(folder), "--filter", text, "--sort", "cost_usd_kg", "--top", "6"]
    code, printed, said = command([*asked, "--format", "json"], monkeypatch, capsys)
    assert (code, [row["formula"] for row in json.loads(printed)]) == (0, expected)
    assert "1,500 candidates pass; prices of 2013-09" in said
    _, printed, _ = command([*asked, "--format", "csv"], monkeypatch, capsys)
    assert [row["formula"] for row in csv.DictReader(io.StringIO(printed))] == expected
    for form in ("csv", "json", "parquet"):
        out = tmp_path / f"found.{form}"
        code, printed, _ = command([*asked, "--format", form, "--out", str(out)], monkeypatch, capsys)
        assert code == 0
        assert f"6 candidates written to {out}" in printed
    assert pq.read_table(tmp_path / "found.parquet")["formula"].to_pylist() == expected
    with (tmp_path / "found.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["formula"] for row in csv.DictReader(file)] == expected
    _, printed, _ = command([*asked, "--target", "conductivity_s_cm > 1e-4"], monkeypatch, capsys)
    assert "USD/kg" in printed
    assert "%" in printed


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_where_nothing_passes_it_is_said_what_to_do(
    folder: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--in", str(folder), "--filter", "conductivity_lo > 1", "--format", form]
    code, printed, said = command(asked, monkeypatch, capsys)
    assert code == 0
    assert "0 of 1,500 candidates pass" in said
    assert "widen the filter, or ask for the probability of a --target" in said
    if form == "csv":
        assert printed.startswith("rank,formula,candidate,family,ea_ev")
    if form == "json":
        assert json.loads(printed) == []


@pytest.mark.parametrize(("space", "element"), [("sulfides", "Sb"), ("nasicon", "Mg"), ("thioborate", "Si")])
def test_the_command_scores_a_space_by_itself(
    space: str, element: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = command(
        [space, "--n", "120", "--filter", f'elements HAS "{element}"', "--top", "3", "--format", "json"],
        monkeypatch,
        capsys,
    )
    assert code == 0
    rows = json.loads(printed)
    assert 0 < len(rows) <= 3
    assert all(element in row["formula"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give either a space or --in FOLDER"),
        (["sulfides", "--in", "."], "Give either a space or --in FOLDER"),
        (["nasicon", "--n", "20000", "--format", "csv"], "cannot give '20000' candidates; allowed is a"),
        (["sulfides", "--format", "pdf"], "There is no format 'pdf'; allowed are table, csv, json, parquet"),
        (["sulfides", "--format", "parquet"], "Parquet needs a place"),
        (["perovskites"], "There is no space 'perovskites'; allowed are nasicon, thioborate, composites"),
    ],
    ids=["nothing", "both", "too many", "format", "no place", "unknown"],
)
def test_a_wrong_request_is_refused_before_any_work(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, said = command(arguments, monkeypatch, capsys)
    assert (code, printed) == (2, "")
    assert message in said


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=300),
    st.integers(1, 60),
    st.sampled_from([1, 2, 5, 1000]),
)
def test_variety_is_that_of_looking_at_every_composition(rows: list[tuple[int, int]], top: int, limit: int) -> None:
    compositions = np.array([[system, kind] for system, kind in rows]).reshape(-1, 2)
    expected: list[int] = []
    for place, row in enumerate(rows):
        kept = [rows[i] for i in expected]
        if row not in kept and sum(other[0] == row[0] for other in kept) < limit:
            expected.append(place)
    variety = _Variety(lambda candidates: compositions[np.array(candidates) - 7], limit, {})
    candidates = np.arange(len(rows)) + 7
    first = variety.passing(candidates, compositions[:, 0], top)
    assert first == expected[:top]
    after = first[-1] + 1 if first else 0
    rest = variety.passing(candidates[after:], compositions[after:, 0], len(rows))
    assert [place + after for place in rest] == expected[top:]
