"""What is promised of BibTeX and of the card of a row."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import bibtexparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nascreen.bibliography import bibtex, card_lines, chosen_samples, write_bibtex
from nascreen.cli import app
from nascreen.datasets import TABLE_NAMES, load_table
from nascreen.errors import InputError, TableError
from nascreen.records import FIELD_NAMES, Sample
from nascreen.verdicts import load_verdicts

PAPER = Sample(sample_id="x-1", paper_id="10.1/a", group_id="g", doi="10.1/a", first_author="Kousuke Noi", year=2018,
               journal="J. Test", title="Fast Na3PS4 at 5 % & 10 °C", formula="Na3PS4", value_origin="measured",
               meas_temp_c=25.0, conductivity_s_cm=2e-4)  # fmt: skip

IN_WORDS = {"value_origin", "source_kind", "synthesis", "conductivity_kind", "title"}
"""Columns that a card tells in other words."""


def parsed(text: str) -> list[dict[str, str]]:
    return list(bibtexparser.loads(text).entries)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_text_of_a_table_has_one_entry_that_a_parser_reads(name: str) -> None:
    rows = load_table(name)
    keys = re.findall(r"^@\w+\{([a-z0-9-]+),$", bibtex(rows), flags=re.MULTILINE)
    assert len(set(keys)) == len(keys) == len({s.paper_id for s in rows})
    assert keys == sorted(keys)
    # The parser takes 10 ms an entry.
    some = set(sorted({s.paper_id for s in rows})[::8])
    entries = parsed(bibtex(s for s in rows if s.paper_id in some))
    assert [e["ID"] for e in entries] == [e for e in keys if e in {f["ID"] for f in entries}]
    assert len(entries) == len(some)
    assert all(e.get("title") or e.get("journal") or e.get("doi") or e.get("note") for e in entries)


def test_an_entry_says_what_is_known_and_keeps_capitals() -> None:
    (entry,) = parsed(bibtex([PAPER, replace(PAPER, sample_id="x-2")]))
    assert entry["ENTRYTYPE"] == "article"
    assert entry["author"] == "Kousuke Noi and others"
    assert entry["title"] == r"Fast {Na3PS4} at 5 \% \& 10 °{C}"
    assert (entry["year"], entry["doi"], entry["note"]) == ("2018", "10.1/a", "nascreen rows: x-1, x-2")
    assert entry["ID"].startswith("noi2018fast")


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("Conductivity that follows the Arrhenius law", "Conductivity that follows the {Arrhenius} law"),
        ("High-Voltage Stability of Na-beta Alumina", "High-Voltage Stability of {Na-beta} Alumina"),
        ("An NMR study of NaI", "An {NMR} study of {NaI}"),
        ("On Al/Y-substituted NASICON", "On {Al}/{Y-substituted} {NASICON}"),
    ],
)
def test_formulas_and_names_keep_their_capitals_and_other_words_do_not(title: str, written: str) -> None:
    (entry,) = parsed(bibtex([replace(PAPER, title=title)]))
    assert entry["title"] == written


@pytest.mark.parametrize(
    ("reference", "journal", "fields"),
    [
        pytest.param(
            "Hoj J.W. and Engell J.-L., Mater.Sci.Eng., 1992, vol. B14, No. 2, p. 231. | Second A.B., X, 1999.",
            "Mater.Sci.Eng.",
            {"ENTRYTYPE": "article", "author": "Hoj, J.W. and Engell, J.-L.", "journal": "Mater.Sci.Eng.",
             "volume": "B14", "number": "2", "pages": "231"},
            id="article",
        ),
        pytest.param(
            "Al-Rikabi A., Hammou A. and Souquet J.-L., C.R.Acad.Sci.,Ser.C, 1992, vol. 288, p. 549.", "CRAS;C",
            {"author": "Al-Rikabi, A. and Hammou, A. and Souquet, J.-L.", "journal": "C.R.Acad.Sci.,Ser.C"},
            id="journal as a code",
        ),
        pytest.param(
            "Petrovskii G.T., Tr.Leningr.Tekhnol.Inst., 1992, p. 37.", "Tr.Leningr.Tekhnol.Inst.",
            {"ENTRYTYPE": "misc", "author": "Petrovskii, G.T.", "howpublished": "Tr.Leningr.Tekhnol.Inst."},
            id="no volume",
        ),
        pytest.param(
            "Gan Fuxi, Issledovanie Stekol. Thesis. Leningrad, 1992.", "Issledovanie Stekol. Thesis. Leningrad",
            {"ENTRYTYPE": "misc", "author": "{Gan Fuxi}", "howpublished": "Issledovanie Stekol. Thesis. Leningrad"},
            id="thesis",
        ),
    ],
)  # fmt: skip
def test_a_reference_of_sciglass_is_taken_apart(reference: str, journal: str, fields: dict[str, str]) -> None:
    first = reference.partition(" ")[0]
    sample = Sample(paper_id="sciglass-ref-1", title=reference, journal=journal, first_author=f"{first} X.", year=1992)
    (entry,) = parsed(bibtex([sample]))
    assert {name: entry[name] for name in fields} == fields
    assert "title" not in entry
    assert entry["note"] == reference
    assert entry["ID"].startswith(first.lower().replace("-", "") + "1992")


def test_every_other_text_of_a_row_is_named() -> None:
    (entry,) = parsed(bibtex([replace(PAPER, doi="10.1/early | 10.1/late")]))
    assert (entry["doi"], entry["note"]) == ("10.1/late", "also doi:10.1/early; nascreen rows: x-1")


def test_a_text_of_unknown_identity_says_so() -> None:
    (entry,) = parsed(bibtex([Sample(paper_id="text-1")]))
    assert (entry["ENTRYTYPE"], entry["title"]) == ("misc", "Text of unknown identity")
    assert "text-1" in entry["note"]


def test_a_reference_of_a_survey_names_the_survey() -> None:
    (entry,) = parsed(bibtex([Sample(paper_id="10.1/s#ref4", doi="10.1/s")]))
    assert entry["title"] == "{Reference 4 of the survey doi:10.1/s}"
    assert entry["note"] == "ref. 4 as compiled in doi:10.1/s"
    assert "doi" not in entry


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=60))
def test_no_text_breaks_an_entry(text: str) -> None:
    names = ("title", "journal", "first_author", "source_url", "sample_id", "paper_id")
    odd = replace(PAPER, doi="", **dict.fromkeys(names, text))
    entries = parsed(bibtex([odd, replace(PAPER, paper_id="survey#ref" + text), replace(PAPER, paper_id="b")]))
    assert len(entries) == 3
    assert [e["doi"] for e in entries if "doi" in e] == ["10.1/a"]
    assert len({e["ID"] for e in entries}) == 3


def test_a_doi_cannot_end_its_field() -> None:
    (entry,) = parsed(bibtex([replace(PAPER, doi="10.1/a}b{_c")]))
    assert entry["doi"] == "10.1/a%7Db%7B_c"


def test_the_same_rows_in_another_order_give_the_same_text() -> None:
    # Keys without author and title are the likeliest to collide.
    rows = (*load_table("lithium"), *load_table("literature")[:300])
    assert bibtex(rows) == bibtex(rows[::-1])


@pytest.mark.parametrize(
    ("options", "said"),
    [({"family": "cheese"}, "'cheese'.*nasicon"), ({"sample_ids": ["lit-9999"]}, "'lit-9999'"),
     ({"family": "nasicon", "sample_ids": ["lit-0001"]}, "None of these rows is of the family 'nasicon'")],
    ids=["family", "row", "both"],
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
def test_a_card_leaves_out_no_column_that_the_row_states(table: str) -> None:
    rows = load_table(table)
    for sample in rows[:: max(1, len(rows) // 40)]:
        text = "\n".join(card_lines(sample, table, "terms", rows))
        for name in FIELD_NAMES:
            value = getattr(sample, name)
            if value not in ("", None) and name not in IN_WORDS:
                said = value if isinstance(value, str) else f"{value:g}"
                first = said.partition(" | ")[0].replace("_", "-" if name == "phase" else "_")
                assert first in text, f"{sample.sample_id} {name} {value!r}"


def test_the_card_names_the_texts_that_share_the_value() -> None:
    rows = load_table("literature")
    sample = next(s for s in rows if s.sample_id == "lit-0001")
    text = "\n".join(card_lines(sample, "literature", "terms", rows))
    assert "1 other text shares values with this one\n    “A sodium-ion sulfide solid electrolyte" in text


def test_the_command_shows_the_decision_about_a_row() -> None:
    verdict = next(v for v in load_verdicts() if v.verdict == "excluded")
    done = CliRunner().invoke(app, ["data", "show", verdict.subject])
    assert f"excluded: {verdict.reason}" in done.stdout


def test_rows_that_are_no_names_are_refused() -> None:
    done = CliRunner().invoke(app, ["data", "bib", "--ids", " , "])
    assert isinstance(done.exception, InputError)
    assert "There is no row in ' , '; give identifiers" in str(done.exception)


def test_an_own_sample_is_shown_as_json_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASCREEN_HOME", str(tmp_path / "home"))
    table = tmp_path / "own.csv"
    table.write_text("sample_id,formula,phase,conductivity_s_cm,meas_temp_c\nmine-1,Na3PS4,glass,1e-5,25\n", "utf-8")
    added = CliRunner().invoke(app, ["data", "add", str(table)])
    assert added.exit_code == 0, added.exception
    shown = json.loads(CliRunner().invoke(app, ["data", "show", "mine-1", "--json"]).stdout)
    assert (shown["formula"], shown["conductivity_s_cm"]) == ("Na3PS4", 1e-5)
