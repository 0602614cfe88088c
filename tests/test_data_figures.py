"""What is promised of the figures of the data."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nascreen.cli import app
from nascreen.data_figures import data_figures
from nascreen.errors import TableError
from nascreen.figures import Figure
from nascreen.overview import near_room, record_timeline, reviewed_samples
from nascreen.records import Sample
from nascreen.report import write_data_page
from nascreen.verdicts import reviewed_table
from nascreen.wording import formula_html


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
    [("data-sinter", 1), ("data-density", 2), ("data-sodium", 2), ("data-na2s", 1), ("data-energy", 1),
     ("data-record", 1)],
)  # fmt: skip
def test_the_founding_papers_are_ringed(figures: dict[str, Figure], name: str, papers: int) -> None:
    rings = [t for t in traces(figures[name]) if str(t["name"]).startswith("founding paper")]
    assert len(rings) == papers


def test_every_sample_that_states_its_firing_is_drawn_once(figures: dict[str, Figure]) -> None:
    expected = [s for s in near_room(reviewed_samples()) if s.sinter_temp_c is not None]
    drawn = [t for t in traces(figures["data-sinter"]) if not str(t["name"]).startswith("founding")]
    assert sum(len(t["text"]) for t in drawn) == len(expected)  # type: ignore[arg-type]
    assert sum(s.sample_id in str(t["text"]) for t in drawn for s in expected) == len(expected)


def test_axes_have_units(figures: dict[str, Figure]) -> None:
    for name in ("data-energy", "data-sinter", "data-density", "data-sodium", "data-na2s"):
        layout = json.loads(figures[name].json)["layout"]
        assert re.search(r"\((S/cm|eV|°C|%|at\.%|mol/mol)\)$", layout["xaxis"]["title"]["text"])
        assert re.search(r"\((S/cm|eV)\)$", layout["yaxis"]["title"]["text"])


def test_families_differ_in_symbol_and_keep_it(figures: dict[str, Figure]) -> None:
    looks: dict[str, set[tuple[str, str]]] = {}
    for name in ("data-energy", "data-sinter", "data-density", "data-sodium", "data-na2s"):
        for trace in traces(figures[name]):
            if not str(trace["name"]).startswith("founding paper"):
                marker: dict[str, str] = trace["marker"]  # type: ignore[assignment]
                looks.setdefault(str(trace["name"]), set()).add((marker["color"], marker["symbol"]))
    assert len(looks) > 5
    assert all(len(found) == 1 for found in looks.values())
    assert len({symbol for found in looks.values() for _, symbol in found}) == len(looks)


def test_each_step_of_the_record_is_labelled_and_cited(figures: dict[str, Figure]) -> None:
    (steps,) = [t for t in traces(figures["data-record"]) if "text" in str(t["mode"])]
    expected = record_timeline(reviewed_table("literature"))
    assert steps["x"] == [s.year for s in expected]
    for step, label, said in zip(expected, steps["text"], steps["hovertext"], strict=True):  # type: ignore[call-overload]
        assert formula_html(step.name) == label
        assert escape(step.source) in said
        assert step.sample.sample_id in said


def test_hostile_text_is_escaped() -> None:
    evil = "<img src=x onerror=alert(1)>"
    sample = Sample(sample_id=evil, paper_id=evil, title=evil, family=evil, formula="Na3PS4", phase="crystalline",
                    value_origin="measured", meas_temp_c=25.0, conductivity_s_cm=1e-4, ea_ev=0.3, year=2020,
                    synthesis=evil, sinter_temp_c=300.0, rel_density_pct=90.0)  # fmt: skip
    for figure in data_figures([sample] * 3):
        assert "<img" not in json.dumps(json.loads(figure.json), ensure_ascii=False)
        assert "<img" not in figure.caption


def test_no_samples_give_figures_without_points() -> None:
    assert len(data_figures([])) == 7


@pytest.mark.parametrize(("given", "written"), [("", "data.html"), ("seen.html", "seen.html")], ids=["folder", "file"])
def test_the_command_writes_one_page_that_needs_no_network(tmp_path: Path, given: str, written: str) -> None:
    done = CliRunner().invoke(app, ["data", "plots", "--out", str(tmp_path / "new" / given)])
    assert done.exit_code == 0, done.exception
    text = (tmp_path / "new" / written).read_text(encoding="utf-8")
    assert "<h1" in text
    assert "Counts by family, year and origin" in text
    assert text.count('class="plot"') == 7
    assert "default-src 'none'" in text
    assert 'src="http' not in text


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be written"):
        write_data_page(tmp_path, [])
