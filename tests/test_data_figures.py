"""What is promised of the figures of the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nascreen.cli import app
from nascreen.data_figures import data_figures, reviewed_samples
from nascreen.errors import TableError
from nascreen.figures import Figure
from nascreen.overview import near_room
from nascreen.report import write_data_page


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return {figure.name: figure for figure in data_figures(reviewed_samples())}


def traces(figure: Figure) -> list[dict[str, object]]:
    return list(json.loads(figure.json)["data"])


def test_the_figures_that_are_promised_are_there(figures: dict[str, Figure]) -> None:
    assert set(figures) == {"data-energy", "data-sinter", "data-density", "data-sodium", "data-na2s", "data-coverage",
                            "data-record"}  # fmt: skip
    assert all(figure.title and figure.caption for figure in figures.values())


@pytest.mark.parametrize(
    ("name", "papers"),
    [("data-sinter", 1), ("data-density", 2), ("data-sodium", 2), ("data-na2s", 1), ("data-energy", 1)],
)
def test_the_founding_papers_are_ringed(figures: dict[str, Figure], name: str, papers: int) -> None:
    rings = [t for t in traces(figures[name]) if str(t["name"]).startswith("founding paper")]
    assert len(rings) == papers


def test_every_sample_that_states_its_firing_is_drawn_once(figures: dict[str, Figure]) -> None:
    expected = [s for s in near_room(reviewed_samples()) if s.sinter_temp_c is not None]
    drawn = [t for t in traces(figures["data-sinter"]) if not str(t["name"]).startswith("founding")]
    assert sum(len(t["text"]) for t in drawn) == len(expected)  # type: ignore[arg-type]
    assert sum(s.sample_id in str(t["text"]) for t in drawn for s in expected) == len(expected)


def test_axes_have_units(figures: dict[str, Figure]) -> None:
    for name in ("data-energy", "data-sinter", "data-density", "data-na2s"):
        layout = json.loads(figures[name].json)["layout"]
        assert "/ " in layout["xaxis"]["title"]["text"]
        assert "/ " in layout["yaxis"]["title"]["text"]


def test_the_command_writes_one_page_that_needs_no_network(tmp_path: Path) -> None:
    out = tmp_path / "new" / "data.html"
    done = CliRunner().invoke(app, ["data", "plots", "--out", str(out)])
    assert done.exit_code == 0, done.exception
    text = out.read_text(encoding="utf-8")
    assert text.count('class="plot"') == 7
    assert "default-src 'none'" in text
    assert 'src="http' not in text


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be written"):
        write_data_page(tmp_path, [])
