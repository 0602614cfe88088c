"""Promises of the measured data over HTTP: reviewed rows, each with its source; filters that hold; clear refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ConfigDict
from typer.testing import CliRunner

from nascreen import wire, wire_data
from nascreen.catalogue import MOST_ROWS, TABLE_COLUMNS, Catalogue, Page, catalogue, chart_values
from nascreen.chemistry import parse_formula
from nascreen.cli import app as command
from nascreen.datasets import TABLE_NAMES, load_table
from nascreen.errors import InputError, RangeError
from nascreen.filters import FilterError
from nascreen.overview import near_room, record_timeline, reviewed_samples, summary
from nascreen.records import Sample, citation
from nascreen.schema import sample_from_record
from nascreen.service import Options, create_app
from nascreen.verdicts import load_verdicts, reviewed_table


class Door:
    """Asks the service without a network."""

    def __init__(self, folder: Path) -> None:
        self.app = create_app(Options(store=f"sqlite:///{folder}/campaigns.db", screens=folder / "screens"))

    def get(self, path: str, **params: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
                return await client.get(path, params=params)

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    return Door(tmp_path_factory.mktemp("data"))


def checked(answer: httpx.Response, model: type[BaseModel]) -> Any:
    """Check that a good answer has the shape that is promised, no more and no less, and return it."""
    assert answer.status_code == 200, answer.text
    closed = type(model.__name__, (model,), {"model_config": ConfigDict(extra="forbid", frozen=True)})
    closed.model_validate(answer.json(), strict=True)
    return model.model_validate(answer.json(), strict=True)


def refused(answer: httpx.Response, status: int = 422) -> str:
    """Check that an answer is a problem with one sentence, and return that."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found = wire.Problem.model_validate(answer.json())
    assert (answer.status_code, found.status) == (status, status), answer.text
    assert len(found.detail) > 20
    return found.detail


# ---------------------------------------------------------------- rows


def test_rows_are_the_reviewed_ones_with_their_citation(door: Door) -> None:
    found = checked(door.get("/v1/data/records"), wire_data.RecordsOut)
    expected = sorted(reviewed_table("literature"), key=lambda s: s.sample_id)
    assert (found.table, found.n_matching, found.offset, found.next_offset) == ("literature", len(expected), 0, 50)
    assert [r.sample_id for r in found.records] == [s.sample_id for s in expected[:50]]
    assert [r.citation for r in found.records] == [citation(s) for s in expected[:50]]


def test_a_row_over_http_is_the_row_of_the_table(door: Door) -> None:
    rows = door.get("/v1/data/records", table="glasses", limit=20).json()["records"]
    by_id = {s.sample_id: s for s in reviewed_table("glasses")}
    for row in rows:
        stated = {name: value for name, value in row.items() if name not in {"name", "processing", "citation"}}
        assert sample_from_record(stated) == by_id[row["sample_id"]]


def test_pages_hold_every_row_once(door: Door) -> None:
    ids, offset = [], 0
    while offset is not None:
        found = door.get("/v1/data/records", limit=MOST_ROWS // 3, offset=offset, sort="conductivity_s_cm:desc").json()
        ids += [row["sample_id"] for row in found["records"]]
        offset = found["next_offset"]
    assert sorted(ids) == sorted(s.sample_id for s in reviewed_table("literature"))


def test_the_last_page_names_no_next_one() -> None:
    rows, n = catalogue("literature"), len(reviewed_table("literature"))
    assert [rows.ask(limit=n - i, offset=i).next_offset for i in (0, 5)] == [None, None]
    assert rows.ask(limit=n - 1).next_offset == n - 1
    assert rows.ask(offset=n + 5) == Page((), n, None)


def test_a_text_is_compared_letter_by_letter() -> None:
    rows = catalogue("literature")
    for way in ("=", "CONTAINS", "STARTS WITH", "ENDS WITH"):
        assert rows.ask(f'family {way} "nasicon"').n_matching > 0
        assert rows.ask(f'family {way} "NASICON"').n_matching == 0


def _holds(symbol: str, s: Sample) -> bool:
    return bool(s.formula) and bool(parse_formula(s.formula).get(symbol))


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        ('elements HAS "Sc"', lambda s: _holds("Sc", s)),
        ('elements HAS ALL "Na","Zr" AND NOT elements HAS "P"',
         lambda s: _holds("Na", s) and _holds("Zr", s) and not _holds("P", s)),
        ('elements HAS ONLY "Na","B","S"',
         lambda s: bool(s.formula) and set(parse_formula(s.formula).amounts) <= {"Na", "B", "S"}),
        ('family = "nasicon" AND sinter_temp_c >= 1200',
         lambda s: s.family == "nasicon" and s.sinter_temp_c is not None and s.sinter_temp_c >= 1200),
        ("conductivity_s_cm > 1e-3 OR ea_ev < 0.2",
         lambda s: (s.conductivity_s_cm or 0) > 1e-3 or (s.ea_ev is not None and s.ea_ev < 0.2)),
        ("porosity_pct IS KNOWN", lambda s: s.porosity_pct is not None),
        ("formula IS UNKNOWN", lambda s: not s.formula),
        ('structure CONTAINS "rhombo"', lambda s: "rhombo" in s.structure),
        ('first_author STARTS WITH "S"', lambda s: s.first_author.startswith("S")),
        ('doi ENDS WITH "1"', lambda s: s.doi.endswith("1")),
        ("year < 2010", lambda s: s.year is not None and s.year < 2010),
        ("amount_na > 3", lambda s: bool(s.formula) and parse_formula(s.formula).get("Na") > 3),
        ("elements LENGTH 3", lambda s: bool(s.formula) and len(parse_formula(s.formula).amounts) == 3),
        ("NOT nelements > 3", lambda s: not s.formula or len(parse_formula(s.formula).amounts) <= 3),
        ("_nascreen_ea_ev < 0.2", lambda s: s.ea_ev is not None and s.ea_ev < 0.2),
        ("rel_density_pct > porosity_pct",
         lambda s: None not in (s.rel_density_pct, s.porosity_pct) and s.rel_density_pct > s.porosity_pct),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_filter_finds_what_python_finds(text: str, keeps: Any) -> None:
    found = {s.sample_id for s in catalogue("literature").ask(text, limit=MOST_ROWS).samples}
    assert found == {s.sample_id for s in reviewed_table("literature") if keeps(s)}
    assert found


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_every_table_is_sorted_with_unstated_values_last(door: Door, table: str) -> None:
    params = {"table": table, "sort": "conductivity_s_cm:desc", "limit": 200, "filter": "conductivity_s_cm IS KNOWN"}
    found = checked(door.get("/v1/data/records", **params), wire_data.RecordsOut)
    values = [r.conductivity_s_cm for r in found.records]
    assert values == sorted(values, reverse=True)
    last = door.get("/v1/data/records", table=table, sort="ea_ev", limit=1, offset=found.n_matching).json()
    assert last["n_matching"] == len(reviewed_table(table))
    values = [s.ea_ev for s in catalogue(table).ask(sort="ea_ev", limit=MOST_ROWS, offset=0).samples]
    known = [v for v in values if v is not None]
    assert values[: len(known)] == sorted(known)


HOSTILE = (
    "1; DROP TABLE rows", "family = 'nasicon'", 'family = "a" UNION SELECT 1', "sample_id IN (SELECT 1)", "(" * 200,
    'elements HAS "Xx"', "conductivity > 1e-4", "ea_ev < ", "place = 1", "rowid = 1", "sqlite_master = 1",
    'family LIKE "n%"', "ea_ev < 0.3 --", 'load_extension("x")', "\x00", "ea_ev < NaN", 'family = "\ud800"',
    "family = 3", "ea_ev = TRUE", '"a" = "a"', "ea_ev < 0.3 AND", "elements:ea_ev HAS 1:2", "_other_x = 1",
    "ea_ev < 1 OR " * 200 + "ea_ev < 1", "ATTACH 'x'",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_filter_is_refused_with_a_caret(door: Door, text: str) -> None:
    with pytest.raises(FilterError) as caught:
        catalogue("literature").ask(text)
    lines = str(caught.value).split("\n")
    assert len(lines) == 3
    assert lines[2].strip() == "^"
    if "\ud800" not in text:
        assert refused(door.get("/v1/data/records", filter=text)) == str(caught.value)
        assert refused(door.get("/v1/data/charts", filter=text)) == str(caught.value)


@pytest.mark.parametrize("text", ['family = "%"', 'family = "\\""', 'title CONTAINS "Robert\'); DROP TABLE rows;--"'])
def test_a_hostile_text_is_only_compared(text: str) -> None:
    assert catalogue("literature").ask(text).n_matching == 0
    assert catalogue("literature").ask().n_matching == len(reviewed_table("literature"))


def test_the_database_of_rows_can_neither_be_changed_nor_reach_a_file(tmp_path: Path) -> None:
    import sqlite3

    database = Catalogue("literature")._rows._database
    for sql in ("DELETE FROM rows", f"ATTACH '{tmp_path}/x.db' AS x", "PRAGMA query_only = OFF", "CREATE TABLE x (a)"):
        with pytest.raises(sqlite3.DatabaseError):
            database.execute(sql)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"table": "elements"}, "'literature', 'glasses' or 'lithium'"),
        ({"sort": "nothing"}, "The sort is 'nothing'; allowed are sample_id"),
        ({"sort": "ea_ev:up"}, "The sort is 'ea_ev:up'; allowed are"),
        ({"sort": 'ea_ev" DESC; --'}, "The sort is"),
        ({"limit": 0}, "greater than or equal to 1"),
        ({"limit": MOST_ROWS + 1}, f"less than or equal to {MOST_ROWS}"),
        ({"limit": "many"}, "'query.limit' is 'many'"),
        ({"offset": -1}, "greater than or equal to 0"),
        ({"columns": "all"}, "'query.columns' is unknown"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_bad_question_is_refused_in_words(door: Door, params: dict[str, Any], message: str) -> None:
    assert message in refused(door.get("/v1/data/records", **params))


def test_python_is_refused_the_same_numbers() -> None:
    for limit, offset in ((0, 0), (MOST_ROWS + 1, 0), (1, -1)):
        with pytest.raises(RangeError, match="allowed is"):
            catalogue("literature").ask(limit=limit, offset=offset)


def test_a_shape_names_every_column_of_the_tables() -> None:
    extra = {"name", "processing", "citation"}
    assert set(wire_data.RecordOut.model_fields) == {column.name for column in TABLE_COLUMNS} | extra
    kinds = {"number": float, "integer": int}
    for column in TABLE_COLUMNS[1:]:
        assert wire_data.RecordOut.model_fields[column.name].annotation == kinds.get(column.kind, str) | None


# ---------------------------------------------------------------- one row


@pytest.mark.parametrize("sample_id", ["lit-0001", "lit-0004", "li-0001", reviewed_table("glasses")[7].sample_id])
def test_a_card_is_that_of_the_command(door: Door, sample_id: str) -> None:
    found = checked(door.get(f"/v1/data/records/{sample_id}"), wire_data.CardOfRecordOut)
    printed = CliRunner().invoke(command, ["data", "show", sample_id]).output
    assert "\n".join(found.card) + "\n" == printed
    assert found.record.sample_id == sample_id
    assert found.bibtex.startswith("@")
    assert all(link.startswith("https://doi.org/10.") for link in found.doi_links)


def test_a_card_holds_corrected_values_and_why(door: Door) -> None:
    verdict = next(v for v in load_verdicts() if v.verdict == "corrected" and v.table == "literature")
    found = checked(door.get(f"/v1/data/records/{verdict.subject}"), wire_data.CardOfRecordOut)
    assert str(getattr(found.record, verdict.column) or "") == verdict.value
    assert verdict.reason in [d.reason for d in found.decisions]
    assert not found.is_excluded


def test_an_excluded_row_is_shown_as_such(door: Door) -> None:
    verdict = next(v for v in load_verdicts() if v.verdict == "excluded" and v.table == "literature")
    found = checked(door.get(f"/v1/data/records/{verdict.subject}"), wire_data.CardOfRecordOut)
    assert found.is_excluded
    assert [d.verdict for d in found.decisions] == ["excluded"]
    listed = door.get("/v1/data/records", filter=f'sample_id = "{verdict.subject}"').json()
    assert listed["n_matching"] == 0


@pytest.mark.parametrize("sample_id", ["lit-9999", "x", "lit-0001'--", "%3Cscript%3E", "LIT-0001"])
def test_a_row_that_is_not_there_is_said(door: Door, sample_id: str) -> None:
    assert "No row has the identifier" in refused(door.get(f"/v1/data/records/{sample_id}"), 404)


# ---------------------------------------------------------------- counts, points, columns


def test_statistics_are_those_of_the_reviewed_tables(door: Door) -> None:
    found = checked(door.get("/v1/data/statistics"), wire_data.StatisticsOut)
    assert [t.name for t in found.tables] == list(TABLE_NAMES)
    for table in found.tables:
        counts = summary(reviewed_table(table.name))
        assert (table.n_rows, table.n_texts, table.n_groups) == (counts["rows"], counts["texts"], counts["groups"])
        assert (table.decades, table.properties) == (counts["decades"], counts["properties"])
        assert table.n_printed == len(load_table(table.name)) >= table.n_rows
        assert {name: f.rows for name, f in table.families.items()} == {
            name: f["rows"] for name, f in counts["families"].items()
        }
    assert sum(t.n_rows for t in found.tables) == sum(f.rows for f in found.families.values())


def test_points_are_the_near_room_rows_of_the_figures(door: Door) -> None:
    found = checked(door.get("/v1/data/charts"), wire_data.ChartsOut)
    expected = {s.sample_id: s for s in near_room(reviewed_samples())}
    assert {p.sample_id for p in found.points} == set(expected)
    assert len(found.points) == len(expected) == sum(found.families.values())
    for point in found.points:
        s = expected[point.sample_id]
        assert (point.conductivity_s_cm, point.ea_ev, point.sinter_temp_c) == (
            s.conductivity_s_cm, s.ea_ev, s.sinter_temp_c,
        )  # fmt: skip
        assert point.citation == citation(s)
    assert [step.sample_id for step in found.record] == [
        step.sample.sample_id for step in record_timeline(reviewed_samples())
    ]
    assert any(p.is_founding for p in found.points)
    assert any(p.na2s_fraction for p in found.points)


def test_points_of_a_family_or_filter_are_those_of_all(door: Door) -> None:
    everything = {p["sample_id"]: p for p in chart_values()["points"]}
    family = checked(door.get("/v1/data/charts", family="thioborate"), wire_data.ChartsOut)
    assert {p.family for p in family.points} == {"thioborate"}
    assert len(family.points) == family.families["thioborate"]
    text = 'phase = "glass" AND elements HAS "B"'
    chosen = checked(door.get("/v1/data/charts", filter=text), wire_data.ChartsOut)
    assert {p.sample_id for p in chosen.points} == {
        name for name, p in everything.items() if p["phase"] == "glass" and _holds("B", Sample(formula=p["formula"]))
    }
    assert chosen.points


def test_a_family_without_points_is_refused_with_those_there_are(door: Door) -> None:
    with pytest.raises(InputError, match=r"'garnet'; allowed are .*nasicon") as caught:
        chart_values("garnet")
    assert refused(door.get("/v1/data/charts", family="garnet")) == str(caught.value)


def test_columns_say_what_they_mean_and_where_they_are(door: Door) -> None:
    found = checked(door.get("/v1/data/columns"), wire_data.DataColumnsOut)
    by_name = {c.name: c for c in found.columns}
    assert list(by_name) == [column.name for column in TABLE_COLUMNS]
    assert by_name["conductivity_s_cm"].unit == "S/cm"
    assert (by_name["porosity_pct"].lower, by_name["porosity_pct"].upper) == (0, 95)
    assert by_name["tg_c"].tables == ["glasses"]
    assert by_name["phase"].choices == ["crystalline", "glass", "glass_ceramic", "composite"]
    assert all(c.description and c.tables for c in found.columns)
