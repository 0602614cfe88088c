"""What is promised of the reviewed decisions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from nascreen.datasets import TABLE_NAMES, data_folder, load_table
from nascreen.errors import IntegrityError, TableError
from nascreen.records import Sample
from nascreen.verdicts import (
    VERDICT_COLUMNS,
    Verdict,
    apply_verdicts,
    fingerprint,
    load_verdicts,
    read_verdicts,
    rematched,
    reviewed_hash,
    reviewed_table,
    verdicts_text,
)

GLASS = Sample(sample_id="lit-9001", paper_id="p", formula="Na3BS3", phase="glass", meas_temp_c=25.0,
               conductivity_s_cm=1.1e-5)  # fmt: skip
CRYSTAL = replace(GLASS, sample_id="lit-9002", phase="crystalline", conductivity_s_cm=3.7e-10)


def decision(sample: Sample, verdict: str = "excluded", column: str = "", value: str = "") -> Verdict:
    return Verdict("literature", sample.sample_id, fingerprint(sample), "review", verdict, column, value, "why")


def test_the_shipped_decisions_come_back_byte_for_byte() -> None:
    path = data_folder() / "verdicts.csv"
    assert verdicts_text(read_verdicts(path)).encode() == path.read_bytes()


def test_every_shipped_decision_is_about_a_row_that_is_there() -> None:
    tables = {name: load_table(name) for name in TABLE_NAMES}
    assert rematched(load_verdicts(), tables) == load_verdicts()


def test_an_excluded_row_is_left_out_and_a_kept_one_is_not() -> None:
    assert apply_verdicts([GLASS, CRYSTAL], [decision(GLASS), decision(CRYSTAL, "kept")]) == (CRYSTAL,)


def test_a_correction_changes_its_column_alone() -> None:
    (found,) = apply_verdicts([GLASS], [decision(GLASS, "corrected", "meas_temp_c", "60")])
    assert found == replace(GLASS, meas_temp_c=60.0)


def test_a_correction_to_nothing_makes_a_value_unknown() -> None:
    (found,) = apply_verdicts([GLASS], [decision(GLASS, "corrected", "conductivity_s_cm", "")])
    assert found == replace(GLASS, conductivity_s_cm=None)


def test_a_decision_on_a_row_that_now_says_something_else_is_refused() -> None:
    changed = replace(GLASS, conductivity_s_cm=1.2e-5)
    with pytest.raises(IntegrityError, match=r"lit-9001.*said something else"):
        apply_verdicts([changed], [decision(GLASS)])


def test_a_decision_on_no_row_is_refused() -> None:
    with pytest.raises(IntegrityError, match=r"lit-9001.*no row"):
        apply_verdicts([CRYSTAL], [decision(GLASS)])


def test_an_import_with_rows_before_it_keeps_a_decision() -> None:
    moved = replace(GLASS, sample_id="lit-9005")
    tables = {"literature": (replace(CRYSTAL, sample_id="lit-9001"), moved)}
    (found,) = rematched([decision(GLASS)], tables)
    assert found.subject == "lit-9005"
    assert apply_verdicts(tables["literature"], [found]) == (tables["literature"][0],)


def test_an_import_without_the_row_of_a_decision_stops() -> None:
    with pytest.raises(TableError, match=r"lit-9001.*excluded: why.*judge it anew"):
        rematched([decision(GLASS)], {"literature": (CRYSTAL,)})


def test_no_two_rows_of_a_table_look_the_same_to_a_decision() -> None:
    decided = {v.fingerprint for v in load_verdicts() if v.fingerprint}
    marks = [fingerprint(s) for s in load_table("literature")]
    assert {mark for mark in decided if marks.count(mark) > 1} == set()


def test_reviewed_tables_hold_no_row_that_was_left_out() -> None:
    left_out = {v.subject for v in load_verdicts() if v.verdict == "excluded"}
    assert left_out
    assert not left_out & {s.sample_id for s in reviewed_table("literature")}
    assert len(reviewed_table("literature")) == len(load_table("literature")) - len(left_out)


def test_tables_without_decisive_verdicts_are_as_printed() -> None:
    assert reviewed_table("glasses") == load_table("glasses")


def test_the_hash_of_the_reviewed_rows_follows_decisions_and_not_their_wording(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reviewed_hash("literature")
    worded = tuple(replace(v, reason=v.reason + ".") for v in load_verdicts())
    monkeypatch.setattr("nascreen.verdicts.load_verdicts", lambda: worded)
    assert reviewed_hash("literature") == before
    fewer = tuple(v for v in load_verdicts() if v.verdict != "excluded")
    monkeypatch.setattr("nascreen.verdicts.load_verdicts", lambda: fewer)
    assert reviewed_hash("literature") != before
    assert re.fullmatch("[0-9a-f]{12}", before)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param("lithum,*,,charge,kept,,,why", "names the table 'lithum'", id="table"),
        pytest.param("lithium,*,,charge,fine,,,why", "has the verdict 'fine'", id="verdict"),
        pytest.param("lithium,*,,charge,kept,,,", "lacks a subject, check or reason", id="reason"),
        pytest.param("lithium,li-1,ab,charge,corrected,,,why", "must name a column", id="column"),
        pytest.param("lithium,li-1,ab,charge,kept,formula,,why", "must name a column", id="column-kept"),
        pytest.param("lithium,*,,charge,corrected,formula,Li,why", "no column of one row", id="all-rows"),
        pytest.param("lithium,li-1,ab,charge,corrected,formla,Li,why", "corrects 'formla'", id="unknown-column"),
    ],
)
def test_a_decision_that_cannot_be_read_is_named(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text(",".join(VERDICT_COLUMNS) + "\n" + row + "\n", encoding="utf-8")
    with pytest.raises(IntegrityError, match=re.escape(said) + ".*row 2"):
        read_verdicts(path)


@pytest.mark.parametrize("text", ["table,subject\na,b\n", "", ",".join(VERDICT_COLUMNS) + "\na,b\n"],
                         ids=["columns", "empty", "short-row"])  # fmt: skip
def test_a_file_of_other_columns_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(IntegrityError, match="must have the columns"):
        read_verdicts(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"verdicts.csv cannot be read"):
        read_verdicts(tmp_path / "verdicts.csv")
    for name in ("literature.csv", "literature.json"):
        (tmp_path / name).write_bytes((data_folder() / name).read_bytes())
    with pytest.raises(IntegrityError, match=r"verdicts.csv is missing"):
        reviewed_table("literature", tmp_path)
