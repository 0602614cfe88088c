"""Promises of the filters: the OPTIMADE grammar, a caret where it goes wrong, and nothing but bound values."""

from __future__ import annotations

import re
import sys

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nascreen.errors import InputError, MissingExtraError
from nascreen.filters import FilterColumn, FilterError, UnsupportedFilterError, _parser, read_filter

ELEMENTS = ("Na", "Zr", "Sc")
COLUMNS = [
    FilterColumn("ea_ev", "number", "Activation energy in eV"),
    FilterColumn("cost", "number", "Cost", may_be_missing=True),
    FilterColumn("phase", "text", "Phase", may_be_missing=True),
    FilterColumn("is_toxic", "flag", "Toxic"),
    FilterColumn("nelements", "number", "Elements"),
    *(FilterColumn(f"amount_{s.lower()}", "number", s) for s in ELEMENTS),
]
ROWS = [
    {"ea_ev": 0.25, "cost": 10.0, "phase": "glass", "is_toxic": False, "nelements": 2, "amount_na": 3.0,
     "amount_zr": 2.0, "amount_sc": 0.0},
    {"ea_ev": 0.35, "cost": None, "phase": None, "is_toxic": True, "nelements": 3, "amount_na": 3.4, "amount_zr": 1.6,
     "amount_sc": 0.4},
    {"ea_ev": 0.45, "cost": 30.0, "phase": 'glass "x"', "is_toxic": False, "nelements": 2, "amount_na": 1.0,
     "amount_zr": 0.0, "amount_sc": 2.0},
]  # fmt: skip


def passing(text: str) -> list[int]:
    condition = read_filter(text, COLUMNS, ELEMENTS)
    database = duckdb.connect()
    names = list(ROWS[0])
    kinds = {"number": "DOUBLE", "text": "VARCHAR", "flag": "BOOLEAN"}
    by_name = {c.name: c for c in COLUMNS}
    listed = ", ".join(f'"{n}" {kinds[by_name[n].kind]}' for n in names)
    database.execute(f"CREATE TABLE t (i INTEGER, {listed})")
    for i, row in enumerate(ROWS):
        database.execute(f"INSERT INTO t VALUES (?, {', '.join('?' * len(names))})", [i, *row.values()])
    found = database.execute(f"SELECT i FROM t WHERE {condition.sql} ORDER BY i", list(condition.values))
    return [i for (i,) in found.fetchall()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2]),
        ("ea_ev < 0.4", [0, 1]),
        ("0.4 > ea_ev", [0, 1]),
        ("0.3 < ea_ev", [1, 2]),
        ("0.35 >= ea_ev", [0, 1]),
        ("0.25 <= ea_ev AND ea_ev<=0.35", [0, 1]),
        ("ea_ev < 0.3 OR ea_ev > 0.4", [0, 2]),
        ("ea_ev < 0.3 OR ea_ev > 0.3 AND is_toxic = TRUE", [0, 1]),
        ("NOT ea_ev < 0.4", [2]),
        ("NOT (ea_ev < 0.3 OR is_toxic=TRUE)", [2]),
        ("_nascreen_ea_ev != 0.25", [1, 2]),
        ("cost > 5", [0, 2]),
        ("NOT cost > 5", [1]),
        ("cost IS KNOWN", [0, 2]),
        ("cost IS UNKNOWN", [1]),
        ('phase = "glass"', [0]),
        ('phase = "glass \\"x\\""', [2]),
        ('phase CONTAINS "x"', [2]),
        ('phase CONTAINS "%"', []),
        ('phase STARTS WITH "gl"', [0, 2]),
        ('phase STARTS "gl" AND phase ENDS WITH "ss"', [0]),
        ('elements HAS "Sc"', [1, 2]),
        ('NOT elements HAS "Sc"', [0]),
        ('elements HAS ALL "Zr","Sc"', [1]),
        ('elements HAS ANY "Zr","Xe"', [0, 1]),
        ('elements HAS "Xe"', []),
        ('elements HAS ONLY "Na","Zr"', [0]),
        ("elements LENGTH 3", [1]),
        ("elements LENGTH >= 3", [1]),
        ("nelements = 2", [0, 2]),
        ("amount_na = 3.4", [1]),
        ("amount_na > amount_zr", [0, 1, 2]),
        ("amount_sc > amount_zr", [2]),
        ("is_toxic != TRUE", [0, 2]),
        ("ea_ev < 1E-1", []),
    ],
)
def test_a_filter_keeps_what_it_says(text: str, expected: list[int]) -> None:
    assert passing(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("ea_ev <", 7, "cannot be read at character 8; expected .*a number"),
        ("ea_ev < 0.3 AND", 15, "cannot be read at character 16"),
        ("SELECT 1", 0, "cannot be read at character 1; expected .*a column"),
        ("ea_ev<3; DROP TABLE t", 7, "cannot be read at character 8"),
        ("(((ea_ev<3)", 11, r"cannot be read at character 12; expected \), AND, OR"),
        ("ea_evv < 3", 0, r"names ea_evv, which is no column \(did you mean ea_ev\?\); allowed are elements, ea_ev"),
        ("ea_ev < 3 AND colour = 2", 14, "names colour, which is no column; allowed"),
        ("phase < 3", 8, "compares phase with something else than a text in double quotation marks"),
        ('ea_ev < "3"', 8, "compares ea_ev with something else than a number"),
        ("is_toxic = 1", 11, "compares is_toxic with something else than TRUE or FALSE"),
        ("is_toxic > TRUE", 0, "orders is_toxic, which is TRUE or FALSE; use = or !="),
        ("phase = cost", 8, "compares two columns that are not both numbers"),
        ('elements = "Na"', 0, "compares elements; use elements HAS"),
        ('elements HAS "Xy"', 13, "names what is no element; write it such as"),
        ('elements HAS < "Na"', 9, "orders elements; name them without an operator"),
        ('elements HAS ANY "Na",<"Zr"', 22, "orders elements; name them without an operator"),
        ('ea_ev HAS "Na"', 0, "only elements is a list"),
        ("ea_ev LENGTH 3", 0, "only elements is a list"),
        ("ea_ev CONTAINS 3", 0, "searches in ea_ev, which is no text"),
        ("1 < 2", 4, "compares a value with a value; one side must be a column"),
        ('elements:phase HAS "a":"b"', 8, "uses a correlated list"),
        ("(" * 50 + "ea_ev<3" + ")" * 50, 40, "nests brackets deeper than 40"),
        ("ea_ev<3 OR " * 300 + "ea_ev<3", 2000, "has 3307 characters; at most 2000 are read"),
    ],
    ids=range(23),
)
def test_a_slip_is_shown_with_a_caret_under_it(text: str, place: int, message: str) -> None:
    with pytest.raises(FilterError, match=message) as caught:
        read_filter(text, COLUMNS, ELEMENTS)
    _, line, caret = str(caught.value).rsplit("\n", 2)
    column = caret.index("^")
    assert caret.strip() == "^"
    under = line[column : column + 8]
    assert text[place : place + 8].startswith(under.rstrip()) if under.strip() else place >= len(text.rstrip())


# What a person writes must not get into the query: only words of this list may stand there.
WORDS = {"", "TRUE", "FALSE", "AND", "OR", "NOT", "IS", "NULL", "coalesce", "contains", "starts_with", "suffix"}


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["ea_ev", "phase", "elements", "<", "=", "0.3", '"Na"', "AND", "OR", "NOT", "(", ")", "HAS", "ALL", ",",
             "CONTAINS", "'", ";", "--", '"; DROP', "read_csv('/etc/passwd')", "TRUE", "is_toxic", "IS", "KNOWN"]
        ),
        max_size=10,
    ).map(" ".join)
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_any_text_is_refused_in_words_or_becomes_a_condition_of_known_words(text: str) -> None:
    try:
        condition = read_filter(text, COLUMNS, ELEMENTS)
    except InputError:
        return
    bare = re.sub(r'"[a-z_]+"', "", condition.sql)
    assert set(re.split(r"[^A-Za-z_]+", bare)) <= WORDS
    assert bare.count("?") == len(condition.values)
    assert not set(bare) & set("';-/\\")


def test_without_the_parser_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _parser.cache_clear()
    monkeypatch.setitem(sys.modules, "lark", None)
    monkeypatch.setitem(sys.modules, "optimade.filterparser.lark_parser", None)
    with pytest.raises(MissingExtraError, match=r"pip install nascreen\[screen\]"):
        _parser()


# ---------------------------------------------------------------- as the specification tells a server

SERVED = [
    FilterColumn("_nascreen_ea_ev", "number", "Activation energy in eV", may_be_missing=True),
    FilterColumn("nelements", "number", "Elements", may_be_missing=True),
    FilterColumn("features", "list", "Features"),
    FilterColumn("amount_na", "number", "Na"),
]


def strict(text: str) -> tuple[str, tuple[object, ...]]:
    condition = read_filter(text, SERVED, ["Na"], is_strict=True)
    return condition.sql, condition.values


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("_other_gap < 2", "FALSE"),
        ("2 > _other_gap", "FALSE"),
        ("_other_gap IS UNKNOWN", "TRUE"),
        ("_other_gap IS KNOWN", "FALSE"),
        ('_other_list HAS ALL "a","b"', "FALSE"),
        ("_other_list LENGTH 3", "FALSE"),
        ("nelements < _other_gap", "FALSE"),
        ("NOT _other_gap = 2", "(NOT FALSE)"),
    ],
)
def test_a_name_of_another_provider_is_one_without_value(text: str, sql: str) -> None:
    condition = read_filter(text, SERVED, ["Na"], is_strict=True)
    assert condition.sql == sql
    assert condition.foreign in {("_other_gap",), ("_other_list",)}


@pytest.mark.parametrize("name", ["ea_ev", "_nascreen_nelements", "_nascreen_none", "nonsense"])
def test_a_strict_name_stands_exactly_as_it_is_listed(name: str) -> None:
    assert strict("_nascreen_ea_ev < 0.3") == ('coalesce("_nascreen_ea_ev" < ?, FALSE)', (0.3,))
    with pytest.raises(FilterError, match=f"names {name}, which is no property") as caught:
        strict(f"{name} < 0.3")
    assert not isinstance(caught.value, UnsupportedFilterError)


def test_any_list_can_be_asked_what_it_has() -> None:
    assert strict('features HAS "a"') == ('coalesce(list_contains("features", ?), FALSE)', ("a",))
    assert strict('features HAS ANY "a", 2')[1] == ("a", 2.0)
    assert " AND " in strict('features HAS ALL "a", "b"')[0]
    assert strict("features LENGTH >= 2") == ('coalesce(len("features") >= ?, FALSE)', (2,))
    assert strict("features IS KNOWN")[0] == '("features" IS NOT NULL)'
    assert strict("elements IS UNKNOWN")[0] == '("nelements" IS NULL)'


@pytest.mark.parametrize(
    "text",
    ['features HAS ONLY "a"', 'features HAS < "a"', 'features = "a"', "features HAS TRUE", '_nascreen_ea_ev = "a"',
     '_nascreen_ea_ev HAS "a"', 'features.name HAS "a"', '"a" = "b"', 'elements:features HAS "Na":"a"',
     "nelements CONTAINS 3"],
)  # fmt: skip
def test_an_optional_part_that_is_not_served_is_told_from_a_slip(text: str) -> None:
    with pytest.raises(UnsupportedFilterError, match=r"\n +.*\n +\^"):
        strict(text)


def test_half_a_character_is_refused_where_it_stands() -> None:
    with pytest.raises(FilterError, match=r"half a character.*\n.*\n {11}\^"):
        read_filter('phase = "\ud800"', COLUMNS, ELEMENTS)
