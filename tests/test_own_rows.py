"""Promises of tables that people bring: read whole or refused in one sentence, and no result taken for an input."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from nascreen.campaigns import Campaign, Objective
from nascreen.errors import InputError, TableError
from nascreen.own_rows import LEAST_FORMULAS, OwnRows, parted, read_own_rows, text_of_workbook
from nascreen.wire_campaign import MOST_ATTACHED, MOST_TEXT

TABLE = """formula,sinter_temp_c,route,Density (%)
Na3Zr2Si2PO12,1100,ball mill,91.5
Na3.4Zr2Si2.4P0.6O12,1150,sol gel,
Na3.2Zr2Si2.2P0.8O12,1200,sol gel,88
"""


def kinds(rows: OwnRows) -> dict[str, str]:
    return {one.name: one.kind for one in rows.columns}


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_a_table_is_read_as_it_stands_whatever_parts_its_cells(separator: str) -> None:
    rows = read_own_rows(TABLE.replace(",", separator))
    assert kinds(rows) == {
        "formula": "formula", "sinter_temp_c": "numeric", "route": "categorical", "Density (%)": "numeric",
    }  # fmt: skip
    assert list(rows.columns[1].cells) == [1100, 1150, 1200]
    assert list(rows.columns[3].cells) == [91.5, None, 88]
    assert rows.lines == (2, 3, 4)


def test_what_was_read_is_said_of_every_column() -> None:
    found = read_own_rows(TABLE).values()
    assert found["n_rows"] == 3
    route, density = found["columns"][2:]
    assert (route["examples"], route["n_distinct"], route["low"]) == (["ball mill", "sol gel"], 2, None)
    assert (density["low"], density["high"], density["n_known"]) == (88, 91.5, 2)
    assert (density["told_as"], density["unit"]) == ("density", "%")


@pytest.mark.parametrize(
    ("heading", "cell", "name", "value"),
    [
        ("Sinter temp (K)", "1373.15", "sinter_temp_c", 1100.0),
        ("sinter_time [min]", "90", "sinter_time_h", 1.5),
        ("Milling [h]", "12", "Milling (h)", 12),
        ("T", "12", "T", 12),
        ("conductivity [mS/cm]", "0.2", "conductivity_s_cm", 2e-4),
    ],
    ids=["kelvin", "minutes", "own-brackets", "own", "conductivity"],
)
def test_a_known_heading_is_the_column_of_samples_in_its_unit(heading: str, cell: str, name: str, value: float) -> None:
    rows = read_own_rows(f"{heading},x\n{cell},1\n{cell},2\n")
    assert rows.columns[0].name == name
    assert rows.columns[0].cells[0] == pytest.approx(value)
    is_said = any("converted" in note for note in rows.notes)
    assert is_said == (value != float(cell))


@pytest.mark.parametrize(
    ("heading", "n", "kind"),
    [("Composition", 2, "formula"), ("made", LEAST_FORMULAS, "formula"), ("additive", 3, "categorical")],
    ids=["by-name", "by-cells", "few-additives"],
)
def test_formulas_are_found_by_their_name_or_where_every_cell_is_one(heading: str, n: int, kind: str) -> None:
    cells = [f"Na{3 + i / 10:g}PS4" for i in range(n)]
    rows = read_own_rows(f"{heading},x\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells)))
    assert rows.columns[0].kind == kind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        (" \n\t\n", "no rows"),
        ("a,b\n", "no row below"),
        ("a,b\n1,2\n3\n", "1 cell in line 3 where the header has 2"),
        ("a,a\n1,2\n", "twice"),
        ("a (b),a [b]\n1,2\n", "both mean"),
        ("x (a),x(a)\n1,2\n", "too alike"),
        ("formula,x\nNaX!,2\n", "line 2"),
        ("a;b\n1,234;5\n", "decimals or thousands"),
        ('a,b\n"1,2\n', "line 2"),
        ("a,b\n1,\0\n", "NUL"),
        ("a,b\n1,\x07\n", "printable"),
        ("conductivity [S/cm],conductivity_s_cm\n1,2\n", "both mean conductivity_s_cm"),
        (",".join(f"c{i}" for i in range(251)) + "\n" + ",".join("1" * 251) + "\n", "columns"),
    ],
    ids=[
        "empty", "blank", "header", "ragged", "twice", "brackets", "alike", "formula", "comma", "quote", "nul",
        "control", "same-quantity", "wide",
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        read_own_rows(text)
    assert "\n" not in str(refused.value)


@given(st.text(alphabet=st.sampled_from('ab1.,;\t\n" -é[]()=%\r'), max_size=60))
def test_any_text_is_read_whole_or_refused(text: str) -> None:
    with suppress(InputError):
        rows = read_own_rows(text)
        assert all(len(one.cells) == len(rows.lines) for one in rows.columns)


def test_a_column_of_many_texts_is_kept_and_said_not_to_be_learned_from() -> None:
    rows = read_own_rows("who,x\n" + "".join(f"sample {i},{i}\n" for i in range(201)))
    assert kinds(rows)["who"] == "label"
    assert "nothing is learned from it" in rows.notes[0]


def test_a_prior_mean_is_no_input(tmp_path: Path) -> None:
    rows = read_own_rows("x,prior.density\n1,90\n2,91\n3,92\n")
    assert kinds(rows)["prior.density"] == "label"
    assert "before any result" in rows.notes[0]
    own = parted(rows, ["density"], {})
    campaign = Campaign.create(f"sqlite:///{tmp_path}/lab.db", "own", own.pool, [Objective("density")], kinds=own.kinds)
    assert campaign.pool.inputs == ("x",)


def test_a_stray_text_among_numbers_is_said() -> None:
    rows = read_own_rows("T,x\n1,1\n2,2\nabout 3,3\n4,4\n")
    assert kinds(rows)["T"] == "categorical"
    assert rows.notes == ("The column 'T' is read as text, because line 4 holds 'about 3'; most others are numbers.",)


# ---------------------------------------------------------------- workbooks


def workbook(*rows: Sequence[Any], before: str = "", state: str = "visible") -> bytes:
    """Return a workbook whose sheet holds some rows; a None in the place of a row leaves it out."""
    book = Workbook()
    sheet = book.active
    sheet.title = "made"
    for number, row in enumerate(rows, start=1):
        for column, cell in enumerate(row or (), start=1):
            sheet.cell(number, column, cell)
            if isinstance(cell, str) and not cell.startswith("="):
                sheet.cell(number, column).data_type = "s"
    if before:
        book.create_sheet(before, 0).append(["other"])
        book.worksheets[0].sheet_state = state
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


LONG = "".join(random.Random(1).choices("0123456789", k=9999))
HEAD, ONE, TWO = ("formula", "sinter_temp_c"), ("Na3PS4", 500), ("Na3.2Si0.2P0.8S4", 520.5)


def test_a_workbook_is_read_as_the_text_of_its_cells() -> None:
    text, notes = text_of_workbook(workbook(HEAD, ONE, TWO))
    assert (text, notes) == ("formula,sinter_temp_c\nNa3PS4,500\nNa3.2Si0.2P0.8S4,520.5\n", ())
    assert read_own_rows(text).values() == read_own_rows(text.replace(",", "\t")).values() | {"notes": []}


def test_each_row_of_a_workbook_is_on_the_line_of_its_number() -> None:
    text, _ = text_of_workbook(workbook((), (), HEAD, ONE, (), ("NaQ3", 1)))
    assert read_own_rows(text.replace("NaQ3", "Na2S")).lines == (4, 6)
    with pytest.raises(TableError, match="no formula in line 6"):
        read_own_rows(text)


def test_the_first_visible_sheet_is_read_and_the_others_are_named() -> None:
    assert text_of_workbook(workbook(HEAD, ONE, before="notes", state="hidden"))[0].startswith("formula")
    text, notes = text_of_workbook(workbook(HEAD, ONE, before="notes"))
    assert (text, notes) == (
        "other\n", ("Of the table 'your rows' the first sheet 'notes' is read, not 'made'.",),
    )  # fmt: skip


@pytest.mark.parametrize(
    "head",
    [("a;b", "c"), ("a, b", "c"), ("a;b", "c, d", "e"), ("a;b",), ('"a"', "b"), ("a\nb", "c"), ("a\tb", " c ")],
    ids=["semicolon", "comma", "both", "alone", "quotes", "break", "tab"],
)
def test_whatever_a_heading_holds_is_read_back(head: Sequence[str]) -> None:
    rows = read_own_rows(text_of_workbook(workbook(head, ["x"] * len(head), ["y;z, w"] * len(head)))[0])
    assert [one.heading for one in rows.columns] == [" ".join(name.split()) for name in head]
    assert list(rows.columns[0].cells) == ["x", "y;z, w"]


CELLS = st.one_of(
    st.none(), st.integers(-(10**6), 10**6), st.floats(-1e300, 1e300), st.booleans(),
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, st.sampled_from(["x", "y,z;w\t'\""])), min_size=1, max_size=6))
def test_cells_come_back_as_they_stand_in_the_workbook(table: list[tuple[Any, ...]]) -> None:
    text, _ = text_of_workbook(workbook(("a", "b", "c"), *table))
    rows = read_own_rows(text)
    for column, given_cells in zip(rows.columns, zip(*table, strict=True), strict=True):
        for cell, wanted in zip(column.cells, given_cells, strict=True):
            if isinstance(wanted, bool) or wanted is None:
                assert cell == {True: "TRUE", False: "FALSE", None: None}[wanted]
            elif isinstance(wanted, str):
                assert str(cell or "") == " ".join(wanted.split()) or float(cell) == float(wanted)  # type: ignore[arg-type]
            else:
                assert float(cell) == pytest.approx(wanted, rel=1e-14, abs=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((), "is empty"),
        ((HEAD, ("Na3PS4", datetime(2026, 3, 1))), r"has the date or time .* in cell B2 \('sinter_temp_c'\)"),  # noqa: DTZ001
        ((HEAD, ("Na3PS4", "=400+100")), "has a formula without a result in cell B2"),
        ((("a", "A"), (1, 2)), "has the column 'A' twice"),
        ((["c"], *([i] for i in range(100_001))), "reaches to row 100001; at most 100000 rows are read"),
        (([f"c{i}" for i in range(251)], [1] * 251), "at most 250 columns are read"),
        ((["c"], *([LONG] for _ in range(MOST_TEXT // 9999 + 1))), "2,000,000 characters as text"),
    ],
    ids=["empty", "date", "formula", "twice", "rows", "wide", "long"],
)  # fmt: skip
def test_a_workbook_that_cannot_be_read_is_refused_in_one_sentence(rows: Sequence[Any], said: str) -> None:
    with pytest.raises(TableError, match=said) as refused:
        text_of_workbook(workbook(*rows))
    assert "\n" not in str(refused.value)


# ---------------------------------------------------------------- candidates and results


@pytest.mark.parametrize("name", ["density", "Density (%)"], ids=["property", "heading"])
def test_a_column_that_is_wanted_is_told_and_no_input(name: str) -> None:
    found = parted(read_own_rows(TABLE), [name], {})
    assert list(found.pool) == ["formula", "sinter_temp_c", "route"]
    assert [row[name] for row in found.past] == [91.5, 88]
    assert found.past[1]["route"] == "sol gel"
    assert len(found.pool["formula"]) == 3


def test_a_column_that_is_not_wanted_stays_an_input() -> None:
    found = parted(read_own_rows(TABLE), ["strength_mpa"], {})
    assert (list(found.pool)[-1], found.past) == ("Density (%)", [])


def test_a_conductivity_is_told_by_its_logarithm() -> None:
    rows = read_own_rows("conductivity [mS/cm],log_conductivity_sd,x\n0.1,0.05,1\n,,2\n")
    found = parted(rows, ["log_conductivity"], {})
    assert list(found.pool) == ["x"]
    (told,) = found.past
    assert told == {"x": 1, "log_conductivity": pytest.approx(-4), "log_conductivity_sd": 0.05}
    (plain,) = parted(read_own_rows("log_conductivity,x\n-4,1\n,2\n"), ["log_conductivity"], {}).past
    assert plain["log_conductivity"] == -4


def test_a_column_of_logarithms_is_told_as_it_stands() -> None:
    found = parted(read_own_rows("log10_conductivity_s_cm,x\n-4,1\n,2\n"), ["log_conductivity"], {})
    assert (list(found.pool), found.past) == (["x"], [{"x": 1, "log_conductivity": -4}])


def test_a_quantity_without_its_unit_is_said_to_be_none_that_is_known() -> None:
    rows = read_own_rows("conductivity,x\n1e-4,1\n2e-4,2\n")
    assert rows.columns[0].told_as == "conductivity"
    assert "headed 'conductivity [S/cm]' it is a known one" in rows.notes[0]


def test_failures_are_told_with_their_reason() -> None:
    found = parted(read_own_rows("x,yield,Failure\n1,5,\n2,,cracked\n3,,\n"), ["yield"], {})
    assert [row.get("failure") for row in found.past] == [None, "cracked"]
    assert list(found.pool) == ["x"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,yield\n1,cracked\n2,\n", "'cracked' in line 2; write numbers"),
        ("x,strength_mpa\n1,-4\n", "Line 2 of your rows is told strength_mpa = -4"),
        ("x,conductivity_s_cm\n1,1e-4\n2,0\n", "Line 3 of your rows has 0"),
        ("x,yield,yield_sd\n1,2,-1\n", "uncertainty -1"),
        ("yield\n1\n", "Every column holds results"),
        ("x,yield\n1,2\n,3\n", "says nothing of the sample"),
        ("conductivity_s_cm,log_conductivity,x\n1e-4,-4,1\n", "both hold results of log_conductivity"),
        ("x,yield\n" + "1,2\n" * (MOST_ATTACHED + 1), "attach the others later"),
    ],
    ids=["text", "bounds", "logarithm", "uncertainty", "no-candidate", "nameless", "twice", "many"],
)
def test_results_that_cannot_be_meant_are_refused_with_their_line(text: str, said: str) -> None:
    wanted = ["yield", "strength_mpa", "log_conductivity"]
    with pytest.raises(TableError, match=said):
        parted(read_own_rows(text), wanted, {})


@pytest.mark.parametrize(
    ("given_kinds", "said"),
    [({"nothing": "label"}, "no column 'nothing'"), ({"route": "formula"}, "'route' is no formula in line 2")],
    ids=["unknown", "no-formula"],
)
def test_a_kind_that_a_column_cannot_have_is_refused(given_kinds: dict[str, str], said: str) -> None:
    with pytest.raises(TableError, match=said):
        parted(read_own_rows(TABLE), ["density"], given_kinds)


def test_a_sample_made_twice_is_one_candidate_with_two_results() -> None:
    found = parted(read_own_rows("x,yield\n1,5\n1,6\n2,\n"), ["yield"], {})
    assert found.pool == {"x": [1, 2]}
    assert [row["yield"] for row in found.past] == [5, 6]


def test_a_parted_table_makes_a_campaign_that_knows_its_results(tmp_path: Path) -> None:
    own = parted(read_own_rows(TABLE), ["density"], {"route": "label"})
    options: dict[str, Any] = {"kinds": own.kinds}
    campaign = Campaign.create(f"sqlite:///{tmp_path}/lab.db", "own", own.pool, [Objective("density")], **options)
    told = campaign.attach(own.past)
    assert [one.results for one in told] == [{"density": 91.5}, {"density": 88}]
    (asked,) = campaign.ask(2)
    assert asked.values["formula"] == "Na3.4Zr2Si2.4P0.6O12"
    assert math.isfinite(asked.prediction["density"].mean)
