"""What is promised of the report of the quality checks."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nascreen.cli import app
from nascreen.errors import InputError, TableError
from nascreen.quality import CHECKS, find_all
from nascreen.quality_report import check_html, check_text, judged, write_check
from nascreen.records import Sample
from nascreen.verdicts import Verdict

BAD = Sample(sample_id="lit-1", paper_id="<i>p</i>", group_id="g", formula="Na2Zr2Si2PO12", phase="crystalline",
             label="<script>alert(1)</script>")  # fmt: skip
TABLES = {"literature": (BAD, replace(BAD, sample_id="lit-2", formula=""))}
KEPT = Verdict("literature", "*", "", "formula", "kept", "", "", "a reason & more")


def test_the_text_names_every_check_and_every_open_finding() -> None:
    text = check_text(judged(find_all(TABLES), [KEPT]), TABLES)
    assert all(f"{name}: {check.question}" in text for name, check in CHECKS.items())
    assert "Na2Zr2Si2PO12 is not charge balanced: charge -1; Na3Zr2Si2PO12 balances. [open]" in text
    assert "literature: 1 kept" in text
    assert "2 open" in text.splitlines()[0]


def test_the_full_text_lists_what_was_decided_for_all() -> None:
    found = judged(find_all(TABLES), [KEPT])
    assert "a reason & more" not in check_text(found, TABLES)
    assert "a reason & more" in check_text(found, TABLES, is_full=True)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert all(value is None or "<" not in value for _, value in attrs)
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_shows_hostile_text_as_text() -> None:
    text = check_html(judged(find_all(TABLES), [KEPT]), TABLES, TABLES["literature"])
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert "i" not in page.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert all(f"id={name}" in text for name in CHECKS)
    assert "http" not in text.replace("http-equiv", "")


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be written"):
        write_check(tmp_path, "x")


def test_the_command_ends_well_while_every_finding_is_decided(tmp_path: Path) -> None:
    page = tmp_path / "new" / "check.html"
    done = CliRunner().invoke(app, ["data", "check", "--out", str(page)])
    assert done.exit_code == 0
    assert "every one decided" in done.stdout
    assert Page(page.read_text(encoding="utf-8")).open == []


def test_the_command_fails_while_a_finding_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nascreen.verdicts.load_verdicts", lambda: ())
    done = CliRunner().invoke(app, ["data", "check", "--check", "charge", "--table", "literature"])
    assert done.exit_code == 1
    assert "[open]" in done.stdout
    assert "slope:" not in done.stdout


@pytest.mark.parametrize("option", ["--check", "--table"])
def test_an_unknown_check_or_table_is_named(option: str) -> None:
    done = CliRunner().invoke(app, ["data", "check", option, "colour"])
    assert isinstance(done.exception, InputError)
    assert "'colour'" in str(done.exception)


def test_the_founding_numbers_are_printed() -> None:
    done = CliRunner().invoke(app, ["data", "founding"])
    assert done.exit_code == 0
    assert "2.33" in done.stdout
