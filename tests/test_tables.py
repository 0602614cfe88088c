"""Promises of tables: the columns of the contract, every row in its place, one sentence for what cannot be read."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nascreen import tables
from nascreen.errors import FormulaError, InputError, RangeError, TableError
from nascreen.models import load_models
from nascreen.records import COLUMN_BY_NAME, COLUMNS, Sample
from nascreen.tables import (
    CONDITION_COLUMNS,
    RESULT_COLUMNS,
    conditions_from_cells,
    guarded,
    open_table,
    predict_cells,
    read_table,
    require_balanced,
    result_cells,
    result_values,
    write_table,
)

NUMBERS = RESULT_COLUMNS[:9]
SOUND = {"formula": "Na3Zr2Si2PO12", "phase": "crystalline", "sinter_temp_c": "1200"}
UNBALANCED = "Na3.8Zr2Si2.4P0.6O12"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "samples.csv"


# ---------------------------------------------------------------- the contract


def test_the_columns_of_results_are_those_of_the_contract() -> None:
    assert RESULT_COLUMNS == (
        "conductivity_s_cm", "conductivity_lo", "conductivity_hi", "ea_ev", "ea_lo", "ea_hi", "strength_mpa",
        "strength_lo", "strength_hi", "in_domain", "domain_note", "error",
    )  # fmt: skip


def test_the_columns_of_conditions_are_those_of_the_contract_and_of_the_literature_table() -> None:
    assert CONDITION_COLUMNS == (
        "formula", "phase", "structure", "synthesis", "sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h",
        "press_mpa", "rel_density_pct", "porosity_pct", "second_phase", "second_phase_wt_pct", "second_phase_role",
        "meas_temp_c", "conductivity_kind",
    )  # fmt: skip
    assert set(CONDITION_COLUMNS) <= {column.name for column in COLUMNS}


def test_results_have_exactly_the_columns_of_the_contract_in_order() -> None:
    sound, bad = predict_cells([SOUND, {"formula": "Na3("}], load_models())
    assert tuple(sound) == tuple(bad) == RESULT_COLUMNS
    (prediction,) = load_models().predict([Sample(formula="Na3PS4")])
    assert tuple(result_cells(prediction)) == RESULT_COLUMNS
    assert tuple(result_values(prediction)) == RESULT_COLUMNS[:-1]


def test_results_are_plain_numbers_a_flag_and_a_note() -> None:
    (row,) = predict_cells([SOUND], load_models())
    assert all(float(row[name]) > 0 for name in NUMBERS)
    assert (row["in_domain"], row["domain_note"], row["error"]) == ("true", "", "")


def test_cells_and_values_say_the_same_to_six_digits() -> None:
    (prediction,) = load_models().predict([Sample(formula="Na3BS3", phase="glass")])
    cells, values = result_cells(prediction), result_values(prediction)
    for name in NUMBERS:
        assert float(cells[name]) == values[name] == pytest.approx(getattr(prediction, name), rel=5e-6)
    assert values["in_domain"] is True


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"formula": ""}, "The formula is empty"),
        ({"formula": "   "}, "The formula is empty"),
        ({}, "The formula is empty"),
        ({"formula": "Na3("}, "a bracket that is never closed"),
        ({"formula": "NaN"}, "is a missing value, not a compound"),
        ({"formula": "Na0"}, "amounts must be"),
        ({"formula": "Li3PS4"}, "holds no sodium"),
        ({**SOUND, "porosity_pct": "170"}, "The column 'porosity_pct' has the value '170'; allowed is"),
        ({**SOUND, "meas_temp_c": "-300"}, "The column 'meas_temp_c' has the value '-300'; allowed is"),
        ({**SOUND, "sinter_temp_c": "1200 C"}, "The column 'sinter_temp_c' has the value '1200 C'; allowed is"),
        ({**SOUND, "sinter_temp_c": "nan"}, "The column 'sinter_temp_c' has the value 'nan'; allowed is"),
        ({**SOUND, "phase": "liquid"}, "allowed is one of crystalline, glass, glass_ceramic, composite"),
        ({**SOUND, "rel_density_pct": "95", "porosity_pct": "40"}, "contradict each other"),
        ({**SOUND, "structure": "a\x00b"}, "cannot be printed"),
    ],
    ids=["empty", "blank", "no cell", "bracket", "nan", "zero", "lithium", "porosity", "temperature", "unit",
         "nan number", "phase", "contradiction", "nul"],
)  # fmt: skip
def test_a_bad_row_keeps_its_place_with_the_reason_and_no_numbers(cells: dict[str, str], reason: str) -> None:
    before, bad, after = predict_cells([SOUND, cells, {"formula": "Na3PS4"}], load_models())
    assert reason in bad["error"]
    assert {name: text for name, text in bad.items() if name != "error"} == dict.fromkeys(RESULT_COLUMNS[:-1], "")
    assert before["error"] == after["error"] == ""
    assert before["conductivity_s_cm"] != after["conductivity_s_cm"]


def test_rows_that_are_all_bad_are_all_kept() -> None:
    rows = predict_cells([{"formula": "Li3PS4"}] * 3, load_models())
    assert [bool(row["error"]) for row in rows] == [True] * 3


def test_no_rows_give_no_results() -> None:
    assert predict_cells([], load_models()) == []


def test_results_do_not_depend_on_where_chunks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [SOUND, {"formula": "Na3("}, {"formula": "Na3PS4"}, {"formula": "Na3BS3"}, SOUND]
    whole = predict_cells(rows, load_models())
    monkeypatch.setattr(tables, "CHUNK", 2)
    done: list[int] = []
    assert predict_cells(rows, load_models(), on_progress=done.append) == whole
    assert done == [2, 4, 5]


def test_rows_that_differ_in_temperature_alone_are_predicted_once_and_as_if_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = load_models().conductivity
    rows = [
        {"formula": formula, "meas_temp_c": temp_c}
        for temp_c in ("25", "60", "100")
        for formula in ("Na3PS4", "Na3BS3", "Na2S")
    ]
    alone = [predict_cells([row], load_models())[0] for row in rows]
    n_rows: list[int] = []
    lines = model.lines
    monkeypatch.setattr(model, "lines", lambda features: n_rows.append(len(features)) or lines(features))
    for row, expected in zip(predict_cells(rows, load_models()), alone, strict=True):
        for name in NUMBERS:
            assert float(row[name]) == pytest.approx(float(expected[name]), rel=2e-5)
        assert {**row, **dict.fromkeys(NUMBERS)} == {**expected, **dict.fromkeys(NUMBERS)}
    assert n_rows == [3]


def test_columns_that_no_model_reads_are_left_aside() -> None:
    junk = {"operator": "A. N. Other", "year": "soon", "ea_ev": "many", "strength_mpa": "-1", "": "x", "=1+1": "=1+1"}
    assert predict_cells([{**SOUND, **junk}], load_models()) == predict_cells([SOUND], load_models())


def test_the_older_name_of_the_kind_of_conductivity_is_read() -> None:
    old = conditions_from_cells({**SOUND, "sigma_kind": "bulk"})
    assert old == conditions_from_cells({**SOUND, "conductivity_kind": "bulk"})
    assert old.conductivity_kind == "bulk"


@pytest.mark.parametrize("order", ["older first", "newer first"])
def test_an_empty_cell_under_one_name_does_not_hide_the_value_under_the_other(order: str) -> None:
    names = {"sigma_kind": "bulk", "conductivity_kind": ""}
    cells = names if order == "older first" else dict(reversed(names.items()))
    assert conditions_from_cells({**SOUND, **cells}).conductivity_kind == "bulk"


@pytest.mark.parametrize("order", ["older first", "newer first"])
def test_a_value_under_both_names_is_refused(order: str) -> None:
    names = {"sigma_kind": "bulk", "conductivity_kind": "total"}
    cells = names if order == "older first" else dict(reversed(names.items()))
    with pytest.raises(TableError, match="gives the column 'conductivity_kind' twice"):
        conditions_from_cells({**SOUND, **cells})


def test_measured_values_of_a_row_are_not_read_as_conditions() -> None:
    sample = conditions_from_cells({**SOUND, "conductivity_s_cm": "1e-3", "ea_ev": "0.3", "doi": "10.1/x"})
    assert (sample.conductivity_s_cm, sample.ea_ev, sample.doi) == (None, None, "")


@pytest.mark.parametrize(
    ("cells", "error", "message"),
    [
        ({"formula": "Na3("}, FormulaError, "bracket that is never closed"),
        ({"formula": "Li3PS4"}, InputError, "holds no sodium"),
        ({**SOUND, "porosity_pct": "170"}, RangeError, "column 'porosity_pct' has the value '170'"),
    ],
    ids=["formula", "sodium", "range"],
)
def test_conditions_that_cannot_be_used_are_refused(
    cells: dict[str, str], error: type[InputError], message: str
) -> None:
    with pytest.raises(error, match=message):
        conditions_from_cells(cells)


def test_strict_refuses_what_does_not_balance_with_the_repair() -> None:
    message = r"'Na3\.8Zr2Si2\.4P0\.6O12' is not charge balanced: charge \+0\.4; Na3\.4Zr2Si2\.4P0\.6O12 balances\."
    assert conditions_from_cells({"formula": UNBALANCED}).formula == UNBALANCED
    with pytest.raises(InputError, match=message):
        conditions_from_cells({"formula": UNBALANCED}, strict=True)
    with pytest.raises(InputError, match=message):
        require_balanced(Sample(formula=UNBALANCED))
    loose, strict = (predict_cells([{"formula": UNBALANCED}], load_models(), strict=s)[0] for s in (False, True))
    assert loose["in_domain"] == "false"
    assert "not charge balanced" in strict["error"]


def test_strict_lets_pass_what_balances_and_what_cannot_be_judged() -> None:
    require_balanced(Sample(formula="Na3PS4"))
    require_balanced(Sample(formula="Na2B12H12"))


@settings(max_examples=60, deadline=None)
@given(cells=st.dictionaries(st.sampled_from((*CONDITION_COLUMNS, "sigma_kind", "odd")), st.text(max_size=30)))
def test_any_row_of_text_gets_numbers_or_a_reason(cells: dict[str, str]) -> None:
    (row,) = predict_cells([cells], load_models())
    assert bool(row["error"]) != bool(row["conductivity_s_cm"])


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"], ids=["plain", "byte-order mark"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_utf_8_is_read_with_or_without_a_mark_and_any_line_ending(source: Path, encoding: str, ending: str) -> None:
    source.write_bytes(ending.join(['formula, phase ,"note"', 'Na3PS4,glass,"α, β"', ""]).encode(encoding))
    assert read_table(source) == (
        ["formula", "phase", "note"],
        [{"formula": "Na3PS4", "phase": "glass", "note": "α, β"}],
    )


@pytest.mark.parametrize(
    ("content", "notice"),
    [
        ("formula,meas_temp_c\nNa3PS4,25.5\n".encode("utf-16"), None),
        (b"Formula,MEAS_TEMP_C\nNa3PS4,25.5\n", None),
        (b"formula;meas_temp_c\nNa3PS4;25.5\n", "The table 'samples.csv' is read as separated by semicolons."),
        (b"formula\tmeas_temp_c\nNa3PS4\t25,5\n", "Numbers of the table 'samples.csv' are read with decimal commas."),
    ],
    ids=["utf-16", "capitals", "semicolons", "decimal commas"],
)
def test_what_spreadsheets_export_is_read_and_said(source: Path, content: bytes, notice: str | None) -> None:
    source.write_bytes(content)
    table = open_table(source)
    assert (table.header, table.rows) == (["formula", "meas_temp_c"], [{"formula": "Na3PS4", "meas_temp_c": "25.5"}])
    assert table.notices[-1:] == ((notice,) if notice else ())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("meas_temp", "meas_temp_c"),
        ("sinter temp (C)", "sinter_temp_c"),
        ("Sinter_Temp_K", "sinter_temp_c"),
        ("porosty_pct", "porosity_pct"),
        ("note", None),
        ("ea_ev", None),
        ("conductivity_lo", None),
        ("Conductivity", None),
        ("given_ea_ev", None),
    ],
)
def test_a_column_that_looks_like_a_slip_is_kept_and_pointed_at(source: Path, name: str, meant: str | None) -> None:
    source.write_text(f"formula,{name}\nNa3PS4,1\n", encoding="utf-8")
    table = open_table(source)
    assert table.rows == [{"formula": "Na3PS4", name: "1"}]
    said = f"The column {name!r} of 'samples.csv' is kept but not read; did you mean {meant!r}?"
    assert table.notices == ((said,) if meant else ())


def test_a_header_alone_is_a_table_of_no_rows(source: Path) -> None:
    source.write_text("formula\n", encoding="utf-8")
    assert read_table(source) == (["formula"], [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("formula\nNa3PS4\n".encode("utf-16-le"), r"The table 'samples\.csv' .*(UTF-8|formula|NUL)"),
        ("formula,note\nNa3PS4,\xb0C\n".encode("latin-1"), r"is not UTF-8 text \(from line 2, byte 8 on\)"),
        (b"formula,note\nNa3PS4,a\x00b\n", r"'samples\.csv' holds a NUL character \(line 2, character 9\)"),
        (b"", r"'samples\.csv' has no column 'formula'; its first line must name it\."),
        (b"\n\n", r"'samples\.csv' has no column 'formula'"),
        (b"phase,porosity_pct\nglass,3\n", r"'samples\.csv' has no column 'formula'"),
        (b"Na3PS4\nNa3BS3\n", r"'samples\.csv' has no column 'formula'"),
        (b"formula,phase;structure\nNa3PS4,glass;x\n", r"may be separated by commas or by semicolons, as line 1 reads"),
        (b"formulae,phase\nNa3PS4,glass\n", r"has no column 'formula'; .* Did you mean 'formulae'\?"),
        (b"formula,Formula\nNa3PS4,x\n", r"has the column 'Formula' twice \(columns 1 and 2, as 'formula' too\)"),
        (b"formula,phase\nNa3PS4\n", r"has 1 cell in line 2 where the header has 2; correct that line\."),
        (b"formula\nNa3PS4\nNa3BS3,glass\n", r"has 2 cells in line 3 where the header has 1; correct that line\."),
        (b"formula,phase,phase\nNa3PS4,glass,glass\n", r"has the column 'phase' twice; keep one\."),
        (b"formula, formula\nNa3PS4,Na3PS4\n", r"has the column 'formula' twice; keep one\."),
        (b'formula,note\nNa3PS4,"open\n', r"cannot be read at line 2, column 2: unexpected end of data\."),
        (b'formula,note\nNa3PS4,"a"b\n', r"cannot be read at line 2, column 2: "),
        (b"formula," + b",".join(b"c%d" % i for i in range(300)) + b"\n", r"has 301 columns; at most 256 are read\."),
        (b"formula\nNa" + b"1" * 140_000 + b"\n", r"cannot be read at line 2, column 1: field larger than field limit"),
    ],
    ids=["utf-16 without mark", "latin-1", "nul", "empty", "blank lines", "no formula", "no header",
         "two separators", "near formula", "formula in capitals too", "short line", "long line", "twice",
         "formula twice", "open quote", "stray quote", "columns", "huge cell"],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_refused_in_one_sentence(source: Path, content: bytes, message: str) -> None:
    source.write_bytes(content)
    with pytest.raises(TableError, match=message) as caught:
        read_table(source)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"cannot be opened: No such file or directory\."):
        read_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match=r"cannot be opened: Is a directory\."):
        read_table(tmp_path)


def test_tables_beyond_the_limits_are_refused_not_cut(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.write_text("formula\n" + "Na3PS4\n" * 5, encoding="utf-8")
    monkeypatch.setattr(tables, "MAX_ROWS", 4)
    with pytest.raises(TableError, match=r"has more than 4 rows; split it\."):
        read_table(source)
    monkeypatch.setattr(tables, "MAX_BYTES", 10)
    with pytest.raises(TableError, match="is larger than 0 MB; split it"):
        read_table(source)


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")', "-", "="],
)
def test_no_cell_is_a_formula_to_a_spreadsheet(cell: str, tmp_path: Path) -> None:
    assert guarded(cell) == "'" + cell
    target = tmp_path / "out.csv"
    write_table(target, ["formula", cell], [{"formula": cell, cell: cell}])
    with target.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["formula", "'" + cell], ["'" + cell, "'" + cell]]


@pytest.mark.parametrize("cell", ["-40", "-1.5e-3", "+25", "0.1", "Na3PS4", "", "a=b", "1-2", "'x"])
def test_numbers_and_plain_text_are_written_as_they_are(cell: str) -> None:
    assert guarded(cell) == cell


@given(cell=st.text(max_size=20))
def test_the_guard_adds_a_quote_or_nothing(cell: str) -> None:
    assert guarded(cell) in (cell, "'" + cell)
    assert guarded(guarded(cell)) == guarded(cell)


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_numbers_are_read_back_equal(values: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("numbers") / "out.csv"
    write_table(target, ["formula", "value"], [{"formula": "Na3PS4", "value": repr(v)} for v in values])
    _, rows = read_table(target)
    assert [float(row["value"]) for row in rows] == values


def test_predictions_are_read_back_equal(tmp_path: Path) -> None:
    rows = predict_cells([SOUND, {"formula": "Na3("}, {"formula": "Na2B12H12"}], load_models())
    target = tmp_path / "out.csv"
    write_table(target, ["formula", *RESULT_COLUMNS], [{"formula": "x", **row} for row in rows])
    header, found = read_table(target)
    assert header == ["formula", *RESULT_COLUMNS]
    assert [{name: row[name] for name in RESULT_COLUMNS} for row in found] == rows


@pytest.mark.parametrize(
    "note",
    ['a, "b"', "a\nb", "a\r\nb", "a\r=1+1", "α; β", " a "],
    ids=["quotes", "lf", "crlf", "cr", "signs", "blanks"],
)
def test_text_is_read_back_equal(source: Path, note: str) -> None:
    write_table(source, ["formula", "note"], [{"formula": "Na3PS4", "note": note}])
    assert read_table(source)[1] == [{"formula": "Na3PS4", "note": note}]


def test_a_cell_that_a_row_lacks_is_written_empty(source: Path) -> None:
    write_table(source, ["formula", "phase"], [{"formula": "Na3PS4"}])
    assert read_table(source)[1] == [{"formula": "Na3PS4", "phase": ""}]


@pytest.mark.parametrize("step", ["write_text", "replace"])
def test_a_table_is_written_whole_or_not_at_all(source: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    source.write_text("the old table", encoding="utf-8")

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, step, fail)
    with pytest.raises(TableError, match=r"cannot be written: No space left on device\."):
        write_table(source, ["formula"], [{"formula": "Na3PS4"}])
    monkeypatch.undo()
    assert source.read_text(encoding="utf-8") == "the old table"


def test_a_table_that_could_not_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "out.csv"
    folder.mkdir()
    with pytest.raises(TableError, match="cannot be written: "):
        write_table(folder, ["formula"], [])
    assert list(tmp_path.iterdir()) == [folder]


def test_rows_that_fail_half_way_leave_the_old_table(source: Path) -> None:
    source.write_text("the old table", encoding="utf-8")

    def rows():  # noqa: ANN202
        yield {"formula": "Na3PS4"}
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_table(source, ["formula"], rows())
    assert source.read_text(encoding="utf-8") == "the old table"


@pytest.mark.parametrize("name", [".", "", "none/out.csv"], ids=["dot", "empty", "no folder"])
def test_a_place_where_no_table_can_be_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError, match="cannot be written"):
        write_table(Path(name), ["formula"], [])


def test_every_condition_is_a_column_with_a_meaning() -> None:
    assert all(COLUMN_BY_NAME[name].description for name in CONDITION_COLUMNS)
