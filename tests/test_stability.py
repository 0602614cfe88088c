"""Promises of the stability hint: the computed table, what it says, and where it says nothing."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from nascreen import stability
from nascreen.chemistry import family_of, parse_formula
from nascreen.cli import main
from nascreen.datasets import data_folder
from nascreen.errors import IntegrityError, RangeError
from nascreen.lattices import draw, joined, load_lattice, samples_of
from nascreen.queries import Screened, scored_space
from nascreen.stability import TRUSTED_DISTANCE, computed_nasicons, hints, nearest_computed, why_no_hint


def test_the_table_is_whole_and_of_nasicons() -> None:
    computed = computed_nasicons()
    assert len(computed.formulas) == len(set(computed.formulas)) == 3881 - 15
    assert {family_of(parse_formula(formula)) for formula in computed.formulas[::40]} == {"nasicon"}
    assert computed.energies_mev.max() < 500


def test_the_nearest_other_agrees_as_often_as_is_said() -> None:
    computed = computed_nasicons()
    products = computed.roots @ computed.roots.T
    np.fill_diagonal(products, -1)
    nearest = products.argmax(axis=1)
    near = np.sqrt(2 - 2 * products.max(axis=1)) <= TRUSTED_DISTANCE
    stable = computed.energies_mev <= 0
    assert (stable[nearest] == stable)[near].mean() > 0.91
    assert stable[near & stable[nearest]].mean() > 0.7
    assert np.median(np.abs(computed.energies_mev[nearest] - computed.energies_mev)[near]) < 12


def test_the_nearest_is_that_of_brute_force() -> None:
    lattice = load_lattice("nasicon-wide")
    drawn = joined(list(draw(lattice, 300, "simple", 5)))
    nearest, distance = nearest_computed(drawn.counts, lattice.order)
    computed = computed_nasicons()
    symbols = sorted({*lattice.order, *computed.elements})
    known = np.zeros((len(computed.formulas), len(symbols)))
    known[:, [symbols.index(s) for s in computed.elements]] = computed.roots
    for i, sample in enumerate(samples_of(lattice, drawn)):
        amounts = parse_formula(sample.formula).amounts
        fractions = np.array([float(amounts.get(s, 0)) for s in symbols])
        apart = np.linalg.norm(known - np.sqrt(fractions / fractions.sum()), axis=1)
        assert distance[i] == pytest.approx(apart.min(), abs=1e-6)
        assert apart[nearest[i]] == pytest.approx(apart.min(), abs=1e-6)


@pytest.mark.parametrize(
    ("formula", "family", "expected"),
    [
        ("Na3Zr2Si2PO12", "nasicon", ("Na3Zr2Si2PO12", -6.03)),
        ("Na3.4Zr2Si2.4P0.6O12", "nasicon", ("Na7Zr4Si5PO24", -0.88)),
        ("Na3.1Zr1.9Sc0.1Si2PO12", "nasicon", ("Na3Zr2Si2PO12", -6.03)),
        ("Na3V2P3O12", "nasicon", None),
        ("Na3BS3", "thioborate", None),
    ],
    ids=["itself", "near", "doped", "far", "no nasicon"],
)
def test_a_hint_is_what_was_computed_nearby(formula: str, family: str, expected: tuple[str, float] | None) -> None:
    (hint,) = hints([formula], [family])
    assert (None if hint is None else (hint.formula, hint.energy_mev)) == expected
    assert bool(why_no_hint(formula)) == (expected is None)


def test_it_is_said_why_there_is_no_hint() -> None:
    assert why_no_hint("Na3BS3") == "no stability was computed: the table is of NASICONs"
    assert "is at a distance of 0.45, trusted up to 0.15" in why_no_hint("Na3V2P3O12")


@pytest.mark.parametrize("damage", ["missing", "changed", "record"])
def test_a_table_that_is_not_the_promised_one_is_refused(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stability.csv", "stability.json"):
        (tmp_path / name).write_bytes((data_folder() / name).read_bytes())
    if damage == "missing":
        (tmp_path / "stability.csv").unlink()
    elif damage == "changed":
        (tmp_path / "stability.csv").write_bytes((data_folder() / "stability.csv").read_bytes() + b"Na,1,\n")
    else:
        (tmp_path / "stability.json").write_text("[]", encoding="utf-8")
    monkeypatch.setattr(stability, "data_folder", lambda: tmp_path)
    with pytest.raises(IntegrityError, match=r"stability\.csv"):
        computed_nasicons.__wrapped__()


# ---------------------------------------------------------------- in screens and commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("screens") / "wide"
    scored_space("nasicon-wide", 400, 3, out)
    return out


def test_a_screen_has_the_hint_of_each_candidate_as_columns(folder: Path) -> None:
    rows = Screened(folder).query(sort="candidate", top=400).rows
    expected = hints([row["formula"] for row in rows], [row["family"] for row in rows])
    assert 20 < sum(hint is not None for hint in expected) < 380
    for row, hint in zip(rows, expected, strict=True):
        assert row.get("hull_formula") == (hint.formula if hint else None)
        assert row.get("hull_mev_atom", math.nan) == pytest.approx(hint.energy_mev if hint else math.nan, nan_ok=True)
    stable = Screened(folder).query("hull_mev_atom <= 0", "hull_mev_atom", top=400)
    assert 0 < stable.n_matching < 400
    assert [row["hull_mev_atom"] for row in stable.rows] == sorted(row["hull_mev_atom"] for row in stable.rows)
    assert stable.rows[-1]["hull_mev_atom"] <= 0
    none = Screened(folder).query("hull_mev_atom IS UNKNOWN", top=400)
    assert {row["formula"] for row in none.rows} >= {
        row["formula"] for row, hint in zip(rows, expected, strict=True) if hint is None
    }
    assert none.n_matching + Screened(folder).query("hull_mev_atom IS KNOWN").n_matching == 400


def test_other_families_have_no_hint() -> None:
    found = scored_space("thioborate", 40).query()
    assert found.rows
    assert all("hull_mev_atom" not in row for row in found.rows)


def test_a_screen_of_an_earlier_version_is_read_without_hints(folder: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (part,) = tmp_path.glob("part-*.parquet")
    pq.write_table(pq.read_table(part).drop_columns(["hull_row", "hull_mev_atom", "hull_distance"]), part)
    found = Screened(tmp_path).query("hull_mev_atom IS UNKNOWN")
    assert found.n_matching == 400
    assert all("hull_formula" not in row for row in found.rows)


def command(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["nascreen", *arguments])
    try:
        main()
        code: object = 0
    except SystemExit as stopped:
        code = stopped.code
    return (code, *capsys.readouterr())


def test_a_candidate_of_a_screen_is_explained_by_its_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Screened(folder).query("hull_mev_atom IS KNOWN", top=1).rows[0]
    sample = Screened(folder).sample(row["candidate"])
    assert sample.formula == row["formula"]
    assert sample.sinter_temp_c == row.get("sinter_temp_c")
    _, _, said = command(["rank", "--in", str(folder), "--filter", "hull_mev_atom IS KNOWN"], monkeypatch, capsys)
    assert f"reasons: nascreen explain --in {folder} --candidate {row['candidate']}" in said
    asked = ["explain", "--in", str(folder), "--candidate", str(row["candidate"])]
    code, printed, _ = command(asked, monkeypatch, capsys)
    assert code == 0
    assert printed.startswith(row["formula"])
    assert f"computed for {row['hull_formula']}" in printed
    with pytest.raises(RangeError, match="There is no candidate 400 in the screen; allowed is 0 to 399"):
        Screened(folder).sample(400)


def test_the_command_for_the_reasons_can_be_typed_as_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shlex

    _, _, said = command(["rank", "nasicon", "--n", "50", "--sort", "ea_ev", "--top", "1"], monkeypatch, capsys)
    (line,) = [line for line in said.splitlines() if line.startswith("reasons: ")]
    code, printed, _ = command(shlex.split(line.removeprefix("reasons: nascreen ")), monkeypatch, capsys)
    assert code == 0
    assert "What bounds it" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give a formula, or both --in FOLDER and --candidate N"),
        (["--candidate", "3"], "Give a formula, or both --in FOLDER and --candidate N"),
        (["Na3BS3", "--in", ".", "--candidate", "3"], "says how it is made; leave out formula"),
    ],
    ids=["nothing", "no folder", "both"],
)
def test_explain_refuses_what_is_unclear(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, said = command(["explain", *arguments], monkeypatch, capsys)
    assert (code, printed) == (2, "")
    assert message in said


@pytest.mark.parametrize("name", ["nasicon-wide", "composites"])
@pytest.mark.parametrize("within", [0.02, TRUSTED_DISTANCE])
def test_looking_within_a_distance_finds_what_looking_everywhere_finds_there(name: str, within: float) -> None:
    lattice = load_lattice(name)
    counts = joined(list(draw(lattice, 3000, "simple", 7))).counts
    everywhere, apart = nearest_computed(counts, lattice.order)
    nearest, distance = nearest_computed(counts, lattice.order, within)
    near = apart <= within
    assert near.sum() > 0
    assert (nearest[near] == everywhere[near]).all()
    assert distance[near] == pytest.approx(apart[near], abs=1e-7)
    assert (nearest[~near] == -1).all()
    assert np.isinf(distance[~near]).all()
