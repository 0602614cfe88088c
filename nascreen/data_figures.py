"""Figures of the measured data, as plotly's JSON.

Families differ in colour and in symbol, so that no pair is told apart by its hue alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nascreen.figures import (
    ACCENT,
    OTHER_COLOUR,
    Figure,
    by_family,
    drawn,
    family_colours,
    hover_text,
    log_axis,
    measured_text,
    points,
)
from nascreen.overview import (
    AXES,
    FOUNDING,
    PROCESSING,
    PROPERTIES,
    Point,
    conductivity_against,
    conductivity_over_years,
    coverage,
    ea_against_conductivity,
    is_stated,
    near_room,
    record_timeline,
)
from nascreen.records import Sample
from nascreen.training import require
from nascreen.wording import formula_html, word

SIGMA_TITLE = "σ at 15–35 °C (S/cm)"
EA_TITLE = "Activation energy E<sub>a</sub> (eV)"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "star")
OTHER_SYMBOL = "x"
RING = {"color": "rgba(0,0,0,0)", "size": 15, "opacity": 1, "line": {"width": 2.5, "color": ACCENT}}
TITLES: Mapping[str, str] = {
    "sinter": "Conductivity against sintering temperature",
    "density": "Conductivity against density",
    "sodium": "Conductivity against sodium content",
    "na2s": "Conductivity of sulfide glasses against their Na₂S fraction",
}
NOTES: Mapping[str, str] = {
    "sinter": "Composition, time and density differ from point to point, so this is no curve of one material.",
    "density": "Composition and firing differ from point to point. Where only the porosity is stated, the density is "
    "100 % less it; a pore-filled composite stands where it was before filling.",
    "sodium": "Columns of points are one composition, made and measured by many.",
    "na2s": "Glass former is B₂S₃, P₂S₅, SiS₂, GeS₂ or a mixture; many of the glasses are those of SciGlass at 20 °C.",
}

_GLASS_ROWS = "sciglass-"


def _hover(point: Point) -> str:
    return hover_text(point.sample, measured_text(point.sample), point.sample.sample_id)


def _trace(name: str, placed: Sequence[Point], **marker: object) -> Any:  # noqa: ANN401
    return points(name, [p.x for p in placed], [p.y for p in placed], list(map(_hover, placed)), **marker)


def _rings(placed: Sequence[Point]) -> list[Any]:
    """Return the rings around the samples of the two founding papers."""
    traces = []
    for name in FOUNDING.values():
        chosen = [p for p in placed if p.founding == name]
        if chosen:
            traces.append(_trace(formula_html(f"founding paper: {name}"), chosen, **RING))
    return traces


def _family_traces(placed: Sequence[Point], colours: Mapping[str, str]) -> list[Any]:
    """Return the points by family, those of the founding papers ringed."""
    symbols = dict(zip(colours, SYMBOLS, strict=False))
    traces = [
        _trace(
            escape(word(family)) if family else "other families",
            [placed[i] for i in rows],
            color=colours.get(family, OTHER_COLOUR),
            symbol=symbols.get(family, OTHER_SYMBOL),
            size=8,
        )
        for family, rows in by_family([p.sample for p in placed], colours).items()
    ]
    return [*traces, *_rings(placed)]


def _size(placed: Sequence[Point]) -> str:
    return f"{len(placed)} measured samples of {len({p.sample.paper_id for p in placed})} texts"


def _energy_figure(samples: Sequence[Sample], colours: Mapping[str, str]) -> Figure:
    placed = ea_against_conductivity(samples)
    caption = (
        f"{_size(placed)} that state both. Fast conductors stand at the lower right; the scatter of conductivity at "
        "one energy is that of the prefactor."
    )
    # Ticks of every decade would collide on a phone.
    axes = log_axis(SIGMA_TITLE, dtick=2), {"title": {"text": EA_TITLE}}
    traces = _family_traces(placed, colours)
    return drawn("data-energy", "Activation energy against conductivity", caption, traces, *axes)


def _against(name: str, samples: Sequence[Sample], colours: Mapping[str, str]) -> Figure:
    placed, axis = conductivity_against(name, samples), AXES[name]
    caption = f"{_size(placed)} {axis.stated}. {NOTES[name]}"
    horizontal = {"title": {"text": axis.title}, **({"range": [0, 1]} if name == "na2s" else {})}
    traces = _family_traces(placed, colours)
    return drawn(f"data-{name}", TITLES[name], caption, traces, horizontal, log_axis(SIGMA_TITLE))


def _coverage_figure(samples: Sequence[Sample]) -> Figure:
    go = require("plotly.graph_objects")
    shares = coverage(samples)
    rows = [f"{PROPERTIES[name]} ({sum(is_stated(s, name) for s in samples)})" for name in shares]
    columns = [column for column in PROCESSING if any(stated[column] for stated in shares.values())]
    percent = [[round(100 * shares[name][column]) for column in columns] for name in shares]
    trace = go.Heatmap(
        x=[PROCESSING[column] for column in columns], y=rows, z=percent, zmin=0, zmax=100, texttemplate="%{z}",
        colorscale="Blues", xgap=2, ygap=2, showscale=False, hovertemplate="%{y}: %{z} % state %{x}<extra></extra>",
    )  # fmt: skip
    caption = (
        "Share of the rows of a property, in %, that state how the sample was made and measured; in brackets the rows. "
        "The literature table as reviewed."
    )
    axes = {"tickangle": -45, "showgrid": False}, {"autorange": "reversed", "showgrid": False}
    return drawn("data-coverage", "What is known about how samples were made", caption, [trace], *axes)


def _record_figure(samples: Sequence[Sample]) -> Figure:
    go = require("plotly.graph_objects")
    placed, steps = conductivity_over_years(samples), record_timeline(samples)
    last = max((p.x for p in placed), default=0)
    x, y = [step.year for step in steps], [step.sample.conductivity_s_cm for step in steps]
    said = [hover_text(s.sample, measured_text(s.sample), s.sample.sample_id) for s in steps]
    line = go.Scatter(
        x=[*x, last], y=[*y, *y[-1:]], name="best so far", mode="lines", hoverinfo="skip", legendgroup="record",
        showlegend=False, line={"shape": "hv", "color": ACCENT, "width": 2},
    )  # fmt: skip
    best = go.Scatter(
        x=x, y=y, name="best so far", mode="lines+markers+text", legendgroup="record", cliponaxis=False,
        line={"color": ACCENT, "width": 0}, marker={"size": 10, "color": ACCENT, "symbol": "diamond"},
        text=[formula_html(step.name) for step in steps],
        textposition=["bottom right", *["top left"] * (len(steps) - 1)],
        hovertext=said, hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    n_without = len(near_room([s for s in samples if s.phase == "crystalline"])) - len(placed)
    caption = (
        "Crystalline sodium conductors, bulk or total conductivity measured at 15 to 35 °C, by year of publication; a "
        f"step is a value above all of the years before it. {n_without} such values whose year is not recorded are "
        "left out, so that the first steps may come later here than they did."
    )
    traces = [_trace("measured samples", placed, color=OTHER_COLOUR), *_rings(placed), line, best]
    axes = {"title": {"text": "Year of publication"}, "tickformat": "d"}, log_axis(SIGMA_TITLE)
    return drawn("data-record", "The record conductivity over the years", caption, traces, *axes)


def data_figures(samples: Sequence[Sample]) -> list[Figure]:
    """Return the figures of the measured data.

    Args:
        samples: The literature table as reviewed, with the sulfide glasses for the Na2S series.

    Raises:
        MissingExtraError: If plotly is not installed.
    """
    colours = family_colours(near_room(samples))
    literature = [s for s in samples if not s.sample_id.startswith(_GLASS_ROWS)]
    return [
        _energy_figure(literature, colours),
        *(_against(name, samples if name == "na2s" else literature, colours) for name in AXES),
        _coverage_figure(literature),
        _record_figure(literature),
    ]
