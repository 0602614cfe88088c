"""Promises of the plots: series are compositions of the space, measured points stand where they belong, one page."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nascreen.chemistry import charge_balance, parse_formula
from nascreen.cli import main
from nascreen.errors import InputError
from nascreen.lattices import lattice_names, load_lattice
from nascreen.models import load_models
from nascreen.plots import arrhenius_fan, default_series, pareto_plot, series_of, sigma_map, write_plots
from nascreen.queries import Screened, scored_space
from nascreen.stream import screen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plots") / "glasses"
    screen("sulfide-glasses", 400, out, "simple")
    return out


def test_a_series_is_the_solid_solution_between_its_ends() -> None:
    series = series_of(load_lattice("nasicon-wide"), "P:Si")
    assert [series.samples[0].formula, series.samples[-1].formula] == ["NaZr2P3O12", "Na4Zr2Si3O12"]
    for x, sample in zip(series.x, series.samples, strict=True):
        amounts = parse_formula(sample.formula).amounts
        assert float(amounts.get("Si", Fraction(0))) == pytest.approx(x)
        assert charge_balance(parse_formula(sample.formula)).charge == 0.0


@pytest.mark.parametrize("name", lattice_names())
def test_every_space_has_a_series_of_its_own(name: str) -> None:
    assert len(series_of(load_lattice(name), default_series(load_lattice(name))).samples) > 3


@pytest.fixture(scope="module")
def drawn_map() -> tuple[Any, Any]:
    return tuple(sigma_map(load_lattice("nasicon-wide"), "P:Si", load_models()).data)


def test_measured_points_stand_at_their_own_composition_and_firing(drawn_map: tuple[Any, Any]) -> None:
    heat, dots = drawn_map
    assert len(dots.x) > 5
    for x, text in zip(dots.x, dots.text, strict=True):
        amounts = parse_formula(text.partition("<br>")[0]).amounts
        silicon = 3 * amounts["Si"] / (amounts["Si"] + amounts.get("P", 0))
        assert float(silicon) == pytest.approx(x, abs=0.3)
    np.testing.assert_allclose(heat.zmax, np.max([*heat.z.ravel(), *dots.marker.color]))


def test_the_map_is_what_the_models_predict(drawn_map: tuple[Any, Any]) -> None:
    lattice = load_lattice("nasicon-wide")
    heat, _ = drawn_map
    route = next(r.sample for r in lattice.routes if r.sample.phase == "crystalline")
    sample = replace(route, formula="Na3Zr2Si2PO12", sinter_temp_c=float(heat.y[10]))
    (p,) = load_models().predict([replace(sample, sinter_time_h=2.0)])
    column = int(np.flatnonzero(np.isclose(heat.x, 2.0))[0])
    assert heat.z[10][column] == pytest.approx(np.log10(p.conductivity_25_s_cm), abs=0.02)


def test_the_front_of_the_plot_is_beaten_by_none_of_its_points(folder: Path) -> None:
    screened = Screened(folder)
    figure = pareto_plot(screened, ("cost_usd_kg", "conductivity_lo"), "", [])
    cloud, front, _ = figure.data
    for x, y in zip(front.x, front.y, strict=True):
        assert not any(a < x and b > y for a, b in zip(cloud.x, cloud.y, strict=True))
    assert list(front.x) == sorted(front.x)


def test_the_fan_passes_through_the_conductivity_at_25_degrees(folder: Path) -> None:
    rows = Screened(folder).query(top=3).rows
    figure = arrhenius_fan(rows, load_models())
    for row, line in zip(rows, figure.data[1:], strict=True):
        at_25 = np.interp(1000 / 298.15, np.array(line.x)[::-1], np.log10(line.y)[::-1])
        assert at_25 == pytest.approx(np.log10(row["conductivity_s_cm"]), abs=0.02)


def test_the_command_writes_one_page_that_needs_no_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "plots.html"
    arguments = [
        "plots",
        "--in",
        str(folder),
        "--out",
        str(out),
        "--filter",
        "ea_ev < 0.6 AND nelements > 2",
        "--top",
        "2",
    ]
    monkeypatch.setattr(sys, "argv", ["nascreen", *arguments])
    main()
    page = out.read_text(encoding="utf-8")
    assert page.count("Plotly.newPlot(") >= 3
    assert "ea_ev &lt; 0.6 AND nelements &gt; 2" in page
    assert "src=" not in page.partition("</script>")[2].partition("<h2>")[0]
    assert str(out) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": "P:Xe"}, "The series 'P:Xe' is not two species of one site; allowed are pairs of batch: Na2S, B2S3"),
        ({"pareto": "ea_ev"}, "takes two columns, separated by a comma; got 'ea_ev'"),
        ({"text": "ea_ev > 9"}, "No candidate passes the filter; widen it"),
        ({"sort": "colour"}, "The sort names 'colour'"),
    ],
    ids=["series", "pareto", "nothing left", "sort"],
)
def test_a_wrong_request_for_plots_is_refused(
    folder: Path, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_plots(folder, tmp_path / "x.html", **options)  # type: ignore[arg-type]


def test_a_page_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"The page .* cannot be written there; give a file"):
        write_plots(folder, tmp_path / "nowhere" / "x.html")


@pytest.mark.parametrize("name", ["nasicon", "thioborate"])
def test_a_space_written_in_code_is_drawn_too(name: str, tmp_path: Path) -> None:
    scored_space(name, 60, 0, tmp_path / "kept")
    write_plots(tmp_path / "kept", tmp_path / "plots.html")
    page = (tmp_path / "plots.html").read_text(encoding="utf-8")
    assert page.count("<h2>") == 3
