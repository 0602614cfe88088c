"""Promise of reading: every hostile file is accepted whole or refused with its place, and then stores nothing."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from nascreen.errors import TableError
from nascreen.lab import add, lab_samples, store_path
from nascreen.spreadsheets import read_sheet, with_decimal_points
from nascreen.tables import open_table

HEAD = "formula,meas_temp_c,conductivity_s_cm,label"
ROW = "Na3PS4,25,0.0002,a"
GOOD = f"{HEAD}\n{ROW}\n"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)
SHEET = "xl/worksheets/sheet1.xml"


def _book(*rows: list[Any], change: Callable[[Any], None] | None = None) -> bytes:
    book = Workbook()
    for row in rows or (HEAD.split(","), ["Na3PS4", 25, 0.0002, "a"]):
        book.active.append(row)
    if change:
        change(book)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _patched(part: str, old: str, new: str, *, data: bytes | None = None) -> bytes:
    """Return a workbook one part of which reads otherwise."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data or _book())) as source, zipfile.ZipFile(buffer, "w", 8) as target:
        for name in source.namelist():
            text = source.read(name)
            if name == part:
                assert old.encode() in text
                text = text.replace(old.encode(), new.encode(), 1)
            target.writestr(name, text)
    return buffer.getvalue()


def _with_part(name: str, content: bytes, compression: int = 8) -> bytes:
    buffer = io.BytesIO(_book())
    with zipfile.ZipFile(buffer, "a", compression) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _zip_of(**parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _many_parts() -> bytes:
    buffer = io.BytesIO(_book())
    with zipfile.ZipFile(buffer, "a") as archive:
        for i in range(1001):
            archive.writestr(f"x/{i}.txt", b"")
    return buffer.getvalue()


def _hide_first(book: Any) -> None:
    book.active.sheet_state = "hidden"
    shown_sheet = book.create_sheet("results")
    shown_sheet.append(HEAD.split(","))
    shown_sheet.append(["Na3PS4", 25, 0.0002, "a"])
    book.active = 1


def _semicolons(*rows: str) -> bytes:
    return "\n".join(["formula;meas_temp_c;conductivity [mS/cm];sinter_temp_c", *rows, ""]).encode()


_CELL = '<c r="C2" t="n"><v>0.0002</v></c>'
_ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><worksheet '
_OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><worksheet '

FILES: dict[str, tuple[str, Callable[[], bytes], str | None]] = {
    # name of the case: (file, its bytes, what the refusal says; None where it is accepted)
    "byte-order mark": ("a.csv", lambda: GOOD.encode("utf-8-sig"), None),
    "utf-16 little": ("a.csv", lambda: b"\xff\xfe" + GOOD.encode("utf-16-le"), None),
    "utf-16 big": ("a.csv", lambda: b"\xfe\xff" + GOOD.encode("utf-16-be"), None),
    "utf-16 unmarked": ("a.csv", lambda: GOOD.encode("utf-16-le"), r"NUL character \(line 1, character 2\)"),
    "utf-16 cut": ("a.csv", lambda: GOOD.encode("utf-16")[:-1], r"is not UTF-16 text \(from line \d"),
    "utf-32": ("a.csv", lambda: GOOD.encode("utf-32"), r"NUL character \(line 1, character \d"),
    "latin-1": (
        "a.csv", lambda: f"{GOOD}Na3PS4,25,1,\xb0\n".encode("latin-1"), r"UTF-8 text \(from line 3, byte 13 on"),
    "utf-8 cut": ("a.csv", lambda: GOOD.encode() + b"Na3PS4,25,1,\xc3", r"UTF-8 text \(from line 3, byte 13 on"),
    "semicolons": ("a.csv", lambda: GOOD.replace(",", ";").encode(), None),
    "tabs": ("a.csv", lambda: GOOD.replace(",", "\t").encode(), None),
    "two separators": ("a.csv", lambda: b"formula,phase;label\nNa3PS4,glass;a\n", "commas or by semicolons, as line 1"),
    "decimal commas": ("a.csv", lambda: _semicolons("Na3PS4;25;0,45;1200"), None),
    "decimals or thousands": (
        "a.csv", lambda: _semicolons("Na3PS4;25;0,45;1,200"), r"'1,200' in line 2, column 4 \('sinter_temp_c'\)"),
    "many groups": ("a.csv", lambda: _semicolons("Na3PS4;25;1,234,567;1200"), r"'1,234,567' in line 2, column 3"),
    "points and commas": ("a.csv", lambda: _semicolons("Na3PS4;25.5;0,45;1200"), r"'25.5' in line 2, column 2"),
    "both in a number": ("a.csv", lambda: _semicolons("Na3PS4;25;1.234,5;1200"), r"'1.234,5' in line 2, column 3"),
    "quoted decimal comma": (
        "a.csv", f'{HEAD}\nNa3PS4,25,"0,45",a\n'.encode, r"line 2, column 3 \('conductivity.*'0,45'"),
    "nul": ("a.csv", lambda: GOOD.encode() + b"Na3PS4,25,1,a\0\n", r"NUL character \(line 3, character 14\)"),
    "short row": ("a.csv", f"{GOOD}Na3PS4,25\n".encode, "2 cells in line 3 where the header has 4"),
    "long row": ("a.csv", f"{GOOD}{ROW},b\n".encode, "5 cells in line 3 where the header has 4"),
    "cell of 5 MB": (
        "a.csv", f"{GOOD}Na3PS4,25,1,{'x' * 5_000_000}\n".encode, "cannot be read at line 3, column 4"),
    "quoted cell of 5 MB": (
        "a.csv", f'{GOOD}Na3PS4,"{"9" * 5_000_000}",1,a\n'.encode, "cannot be read at line 3, column 2"),
    "cell of 11 kB": (
        "a.csv", f"{GOOD}Na3PS4,25,1,{'x' * 11_000}\n".encode, "11000 characters in line 3, column 4"),
    "head of 5 MB": ("a.csv", lambda: b"x" * 5_000_000, "cannot be read at line 1, column 1"),
    "open quote": ("a.csv", f'{GOOD}Na3PS4,25,1,"a\nb\n'.encode, "cannot be read at line 3, column 4"),
    "stray quote": ("a.csv", f'{GOOD}Na3PS4,"2"5,1,a\n'.encode, "cannot be read at line 3, column 2"),
    "line break in a cell": ("a.csv", f'{GOOD}Na3PS4,25,1,"a\nb"\n'.encode, "line 3, column 4 .*line break"),
    "old line ends": ("a.csv", lambda: GOOD.replace("\n", "\r").encode(), None),
    "column twice": ("a.csv", lambda: b"formula,label,label\nNa3PS4,a,b\n", "column 'label' twice"),
    "column twice in capitals": ("a.csv", lambda: b"formula,label, LABEL\nNa3PS4,a,b\n", r"twice \(columns 2 and 3"),
    "quantity twice": (
        "a.csv", lambda: b"formula,ea_ev,ea [kJ/mol]\nNa3PS4,1,96\n", r"'ea_ev' twice, as 'ea_ev' and as 'ea \[kJ"),
    "a million columns": ("a.csv", lambda: b"a," * 1_000_000 + b"a\n", "has 1000001 columns; at most 256"),
    "too many rows": ("a.csv", (f"{HEAD}\n" + f"{ROW}\n" * 20_001).encode, "more than 20000 rows"),
    "no name over values": ("a.csv", lambda: b",formula\n0,Na3PS4\n", "column 1 of the head: it has no name"),
    "two without a name": ("a.csv", lambda: b",formula,\n0,Na3PS4,1\n", "value in line 2, column 3"),
    "empty columns at the end": ("a.csv", lambda: GOOD.replace("\n", ",,,\n").encode(), None),
    "formula as text": ("a.csv", f"{GOOD}Na3PS4,25,1,=cmd|x!A1\n".encode, "line 3, column 4 .*a formula of a"),
    "formula as number": ("a.csv", f"{GOOD}Na3PS4,=20+5,1,a\n".encode, "line 3, column 2 .*a formula of a"),
    "name nearly known": (
        "a.csv", lambda: b"formula,sinter temp (C)\nNa3PS4,1200\n", r"column 2 of the head: .*did you mean .C\?"),
    "no unit": ("a.csv", lambda: b"formula,Conductivity\nNa3PS4,1\n", "line 2, column 2 .'Conductivity.*no unit"),
    "unknown column": ("a.csv", lambda: b"formula,furnace\nNa3PS4,B\n", "column 2 of the head: .*'furnace' is not"),
    "column of publications": ("a.csv", lambda: b"formula,doi\nNa3PS4,10.1/x\n", "column 2 of the head: 'doi' des"),
    "empty": ("a.csv", lambda: b"", "has no rows"),
    "head alone": ("a.csv", f"{HEAD}\n".encode, "has no rows below its head"),
    "blank": ("a.csv", lambda: b"\n\n\n", "has no rows"),
    "bell": ("a.csv", f"{GOOD}Na3PS4,25,1,a\a\n".encode, "line 3, column 4 .*cannot be printed"),
    "text turned round": ("a.csv", f"{GOOD}Na3PS4,25,1,a\u202eb\n".encode, "line 3, column 4 .*cannot be pr"),
    "not a number": ("a.csv", f"{GOOD}Na3PS4,25,nan,a\n".encode, "line 3, column 3 .*'nan'"),
    "beyond doubles": ("a.csv", f"{GOOD}Na3PS4,25,1e999,a\n".encode, "line 3, column 3 .*'1e999'"),
    "wide digits": ("a.csv", f"{GOOD}Na3PS4,\uff12\uff15,1,a\n".encode, "line 3, column 2 "),
    "typeset minus": ("a.csv", f"{GOOD}Na3PS4,\u221225,1,a\n".encode, "line 3, column 2 "),
    "impossible value": ("a.csv", f"{GOOD}Na3PS4,25,101,a\n".encode, "line 3, column 3 .*'101'; allowed is"),
    "no temperature": ("a.csv", f"{GOOD}Na3PS4,,1e-3,a\n".encode, "line 3, column 3 .*needs the temperature"),
    "no compound": ("a.csv", f"{GOOD}NaN,25,1e-3,a\n".encode, "line 3, column 1 .*is a missing value"),
    "identifier that is SQL": (
        "a.csv", f"sample_id,{HEAD}\nx'); DROP TABLE events;--,{ROW}\n".encode, None),
    "one identifier, two values": (
        "a.csv", lambda: b"sample_id,formula,strength_mpa\nA,Na3PS4,90\nA,Na3PS4,91\n", "line 3, column 3 .*'90' st"),
    "picture": ("a.csv", lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "is not UTF-8 text .from line 1, byte 1"),
    "workbook": ("a.xlsx", _book, None),
    "workbook named csv": ("a.csv", _book, None),
    "csv named workbook": ("a.xlsx", GOOD.encode, "is not the workbook that its name says"),
    "a million columns claimed": ("a.xlsx", lambda: _patched(SHEET, 'ref="A1:D2"', 'ref="A1:ZZZ1048576"'), None),
    "value in the last column": (
        "a.xlsx", lambda: _patched(SHEET, _CELL, _CELL + '<c r="XFD2"><v>1</v></c>'), "in cell XFD2"),
    "value in the last row": (
        "a.xlsx", lambda: _patched(SHEET, '<row r="2"', '<row r="1048576"'), "reaches to row 1048576"),
    "row without end": ("a.xlsx", lambda: _patched(SHEET, '<row r="2"', '<row r="99999999999999"'), "after row 1"),
    "rows out of order": ("a.xlsx", lambda: _patched(SHEET, '<row r="2"', '<row r="1"'), "row '1' after row 1"),
    "cell twice": ("a.xlsx", lambda: _patched(SHEET, _CELL, _CELL + _CELL), "cell 'C2' out of order in row 2"),
    "zip bomb": ("a.xlsx", lambda: _with_part("xl/media/x.bin", bytes(50_000_000)), "unpacks more than 200 times"),
    "too large inside": ("a.xlsx", lambda: _with_part("xl/x.bin", bytes(101_000_000)), "unpacks to more than 100 MB"),
    "entities": ("a.xlsx", lambda: _patched(SHEET, "<worksheet ", _ENTITIES), "entities .*sheet1.xml"),
    "outside entity": ("a.xlsx", lambda: _patched(SHEET, "<worksheet ", _OUTSIDE), "entities .*sheet1.xml"),
    "formula without result": (
        "a.xlsx", lambda: _patched(SHEET, _CELL, '<c r="C2"><f>1/5000</f><v></v></c>'), "without a result in cell C2"),
    "formula with result": ("a.xlsx", lambda: _patched(SHEET, "<v>0.0002</v>", "<f>1/5000</f><v>0.0002</v>"), None),
    "error in a cell": (
        "a.xlsx", lambda: _patched(SHEET, _CELL, '<c r="C2" t="e"><v>#REF!</v></c>'), "error '#REF!' in cell C2"),
    "true as a number": ("a.xlsx", lambda: _book(HEAD.split(","), ["Na3PS4", True, 1, "a"]), "cell B2 .*'TRUE'"),
    "date as a number": (
        "a.xlsx", lambda: _book(HEAD.split(","), ["Na3PS4", date(2026, 2, 1), 1, "a"]), "the date .* in cell B2"),
    "date as a date": ("a.xlsx", lambda: _book(["formula", "made_on"], ["Na3PS4", date(2026, 2, 1)]), None),
    "decimal comma as text": ("a.xlsx", lambda: _book(HEAD.split(","), ["Na3PS4", "25,5", 1, "a"]), "cell B2 .*'25,5'"),
    "merged cells": ("a.xlsx", lambda: _book(change=lambda book: book.active.merge_cells("A2:B2")), "merged .*'A2:B2'"),
    "hidden first sheet": ("a.xlsx", lambda: _book(["secret"], [1], change=_hide_first), None),
    "long text": ("a.xlsx", lambda: _book(["formula", "label"], ["Na3PS4", "x" * 30_000]), "30000 characters .* B2"),
    "text that is not there": (
        "a.xlsx", lambda: _patched(SHEET, _CELL, '<c r="C2" t="s"><v>999</v></c>'), r"is not a sound .* \(IndexError"),
    "macros": ("a.xlsm", lambda: _with_part("xl/vbaProject.bin", b"x"), "holds macros"),
    "many parts": ("a.xlsx", _many_parts, "parts inside; allowed are 1000"),
    "old workbook": ("a.xls", lambda: OLE, r"is an old \.xls file"),
    "password": ("a.xlsx", lambda: OLE + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
    "open document": ("a.ods", lambda: _zip_of(mimetype=b"application/vnd.oasis"), "is an OpenDocument file"),
    "other archive": ("a.zip", lambda: _zip_of(word=b"x"), "is a zip archive but not an .xlsx workbook"),
    "archive cut": ("a.xlsx", lambda: _book()[:-200], r"is not a sound \.xlsx file"),
    "archive damaged": ("a.xlsx", lambda: _book()[:60] + b"\xff" * 40 + _book()[100:], r"is not a sound \.xlsx file"),
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A store that holds one sample already."""
    (tmp_path / "first.csv").write_text("sample_id,formula\nfirst,Na3PS4\n", encoding="utf-8")
    add(tmp_path / "first.csv", home=tmp_path / "home")
    return tmp_path / "home"


def test_there_are_at_least_forty_of_them() -> None:
    assert len(FILES) >= 40


@pytest.mark.parametrize("case", FILES)
def test_a_hostile_file_is_accepted_or_refused_with_its_place_and_then_stores_nothing(
    case: str, tmp_path: Path, home: Path
) -> None:
    name, content, refusal = FILES[case]
    path = tmp_path / name
    path.write_bytes(content())
    before = store_path(home).read_bytes()
    if refusal is None:
        assert add(path, home=home).n_new == 1
        assert len(lab_samples(home)) == 2
        return
    with pytest.raises(TableError, match=refusal) as caught:
        add(path, home=home)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert name in str(caught.value)
    assert store_path(home).read_bytes() == before
    assert [file.name for file in home.iterdir()] == ["lab.db"]


@pytest.mark.parametrize("case", [case for case, (_, _, refusal) in FILES.items() if refusal is not None])
def test_a_refused_file_makes_no_store(case: str, tmp_path: Path) -> None:
    name, content, _ = FILES[case]
    (tmp_path / name).write_bytes(content())
    with pytest.raises(TableError, match=re.escape(name)):
        add(tmp_path / name, home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("case", FILES)
def test_a_hostile_file_cannot_break_the_reading_of_predictions_either(case: str, tmp_path: Path) -> None:
    name, content, _ = FILES[case]
    (tmp_path / name).write_bytes(content())
    try:
        table = open_table(tmp_path / name)
    except TableError:
        return
    assert all(list(row) == table.header for row in table.rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_a_sheet_or_a_table_error(data: st.DataObject, tmp_path: Path) -> None:
    # A workbook holds the time at which it was made, so its bytes are no part of what is drawn.
    seed = [GOOD.encode(), GOOD.encode("utf-16"), _book()][data.draw(st.integers(0, 2))]
    start = data.draw(st.integers(0, 10_000)) % len(seed)
    noise = data.draw(st.binary(max_size=30))
    path = tmp_path / "noise.csv"
    path.write_bytes(seed[:start] + noise + seed[start + len(noise) :])
    try:
        sheet = with_decimal_points(read_sheet(path), lambda _name: True)
    except TableError:
        return
    assert all(len(row.cells) == len(sheet.header) for row in sheet.rows)
