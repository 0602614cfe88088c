"""What is promised of BibTeX and of the card of a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bibtexparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from nascreen.bibliography import bibtex, card_lines, chosen_samples, write_bibtex
from nascreen.cli import app
from nascreen.datasets import TABLE_NAMES, load_table
from nascreen.errors import InputError, TableError
from nascreen.records import Sample
from nascreen.verdicts import load_verdicts

PAPER = Sample(sample_id="x-1", paper_id="10.1/a", group_id="g", doi="10.1/a", first_author="Kousuke Noi", year=2018,
               journal="J. Test", title="Fast Na3PS4 at 5 % & 10 °C", formula="Na3PS4", value_origin="measured",
               meas_temp_c=25.0, conductivity_s_cm=2e-4)  # fmt: skip


def parsed(text: str) -> list[dict[str, str]]:
    return list(bibtexparser.loads(text).entries)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_text_of_a_table_has_one_entry_that_a_parser_reads(name: str) -> None:
    rows = load_table(name)
    entries = parsed(bibtex(rows))
    assert len(entries) == len({s.paper_id for s in rows})
    assert len({e["ID"] for e in entries}) == len(entries)
    assert all(e.get("title") or e.get("journal") or e.get("doi") or e.get("note") for e in entries)


def test_an_entry_says_what_is_known_and_keeps_capitals() -> None:
    (entry,) = parsed(bibtex([PAPER, replace(PAPER, sample_id="x-2")]))
    assert entry["ENTRYTYPE"] == "article"
    assert entry["author"] == "Kousuke Noi and others"
    assert entry["title"] == r"{Fast} {Na3PS4} at 5 \% \& 10 °{C}"
    assert (entry["year"], entry["doi"], entry["note"]) == ("2018", "10.1/a", "2 rows")
    assert entry["ID"].startswith("noi2018fast")


def test_a_text_of_unknown_identity_says_so() -> None:
    (entry,) = parsed(bibtex([Sample(paper_id="text-1")]))
    assert (entry["ENTRYTYPE"], entry["title"]) == ("misc", "Text of unknown identity")
    assert "text-1" in entry["note"]


def test_a_reference_of_a_survey_names_the_survey() -> None:
    (entry,) = parsed(bibtex([Sample(paper_id="10.1/s#ref4", doi="10.1/s")]))
    assert entry["title"] == "{Reference 4 of the survey doi:10.1/s}"
    assert "doi" not in entry


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=60))
def test_no_title_breaks_an_entry(title: str) -> None:
    entries = parsed(bibtex([replace(PAPER, title=title), replace(PAPER, paper_id="b", doi="10.1/b", title="Second")]))
    assert {e["doi"] for e in entries} == {"10.1/a", "10.1/b"}


def test_the_same_rows_in_another_order_give_the_same_text() -> None:
    rows = load_table("literature")[:300]
    assert bibtex(rows) == bibtex(rows[::-1])


@pytest.mark.parametrize(
    ("options", "said"),
    [({"family": "cheese"}, "'cheese'.*nasicon"), ({"sample_ids": ["lit-9999"]}, "'lit-9999'")], ids=["family", "row"],
)  # fmt: skip
def test_a_choice_of_nothing_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        chosen_samples({"literature": load_table("literature")}, **options)  # type: ignore[arg-type]


def test_a_bibliography_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be written"):
        write_bibtex(tmp_path, "x")


def test_the_command_writes_the_texts_of_a_family(tmp_path: Path) -> None:
    out = tmp_path / "new" / "refs.bib"
    done = CliRunner().invoke(app, ["data", "bib", "--family", "nasicon", "--out", str(out)])
    n = len({s.paper_id for s in load_table("literature") if s.family == "nasicon"})
    assert len(parsed(out.read_text(encoding="utf-8"))) == n
    assert f"{n} texts" in done.stdout


def test_the_command_finds_rows_of_any_table() -> None:
    done = CliRunner().invoke(app, ["data", "bib", "--ids", "lit-0001, li-0001"])
    assert len(parsed(done.stdout)) == 2


def test_the_card_says_what_how_much_how_made_and_from_where() -> None:
    rows = load_table("literature")
    glass = next(s for s in rows if s.sample_id == "lit-0002")
    text = "\n".join(card_lines(glass, "literature", "some terms", rows, ["an extra line"]))
    for part in ("Na3BS3", "press at 360 MPa", "1.1e-05 S/cm at 25 °C (total)", "0.4042 eV", "measured by the authors",
                 "https://doi.org/10.1039/d0ma00777c", "read from the full text", "some terms", "balanced", "lit-0001",
                 "an extra line"):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"value_origin": "upper_bound"}, "at most 0.0002 S/cm", id="upper"),
        pytest.param({"value_origin": "lower_bound"}, "at least 0.0002 S/cm", id="lower"),
        pytest.param({"value_origin": "extrapolated"}, "calculated by the authors", id="extrapolated"),
        pytest.param({"meas_temp_c": None}, "at a temperature that the text does not state", id="temperature"),
        pytest.param({"formula": ""}, "no formula stated", id="formula"),
        pytest.param({"formula": "Na2PS4"}, "charge -1", id="charge"),
        pytest.param({"source_kind": "abstract"}, "read from the abstract", id="abstract"),
    ],
)
def test_the_card_does_not_hide_what_a_value_is(changes: dict[str, object], said: str) -> None:
    sample = replace(PAPER, **changes)
    assert said in "\n".join(card_lines(sample, "literature", "terms", [sample]))


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_every_row_has_a_card(table: str) -> None:
    rows = load_table(table)
    for sample in rows[:: max(1, len(rows) // 60)]:
        lines = card_lines(sample, table, "terms", rows)
        assert any(line.startswith("  source ") and len(line) > 22 for line in lines)


def test_the_command_shows_the_decision_about_a_row() -> None:
    verdict = next(v for v in load_verdicts() if v.verdict == "excluded")
    done = CliRunner().invoke(app, ["data", "show", verdict.subject])
    assert f"excluded: {verdict.reason}" in done.stdout
