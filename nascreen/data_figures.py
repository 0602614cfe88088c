"""Figures of the measured data, as plotly's JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nascreen.chemistry import modifier_fraction
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
from nascreen.founding import EPOXY_PAPER, THIOBORATE_PAPER
from nascreen.overview import PROCESSING, PROPERTIES, coverage, dated, near_room, record_timeline
from nascreen.quality import composition_of
from nascreen.records import CENSORED_ORIGINS, Sample
from nascreen.training import require
from nascreen.verdicts import reviewed_table
from nascreen.wording import formula_html, word

FOUNDING = {EPOXY_PAPER: "epoxy-filled NASICON", THIOBORATE_PAPER: "Na3BS3"}
SIGMA_TITLE = "Conductivity at 15–35 °C / S cm⁻¹"

Place = Callable[[Sample], float | None]


def _na2s_fraction(sample: Sample) -> float | None:
    """Return the molar fraction of Na2S in a sulfide glass or its ceramic, 0 to 1."""
    if not sample.formula or sample.phase not in ("glass", "glass_ceramic"):
        return None
    composition = composition_of(sample.formula)
    is_sulfide = composition.get("S") > 0 and composition.get("O") == 0 and composition.get("Na") > 0
    return modifier_fraction(composition) if is_sulfide else None


def _sodium_per_anion(sample: Sample) -> float | None:
    composition = composition_of(sample.formula)
    anions = sum(float(composition.get(symbol)) for symbol in ("O", "S", "Se", "F", "Cl", "Br", "I"))
    sodium = float(composition.get("Na"))
    return sodium / anions if anions and sodium else None


def _density_pct(sample: Sample) -> float | None:
    if sample.rel_density_pct is not None:
        return sample.rel_density_pct
    return None if sample.porosity_pct is None else 100 - sample.porosity_pct


@dataclass(frozen=True, slots=True)
class Axis:
    """What conductivity is drawn against."""

    name: str
    title: str
    label: str
    place: Place
    span: tuple[float, float] | None = None


AXES: tuple[Axis, ...] = (
    Axis("sinter", "Conductivity against sintering temperature", "Sintering temperature / °C",
         lambda s: s.sinter_temp_c),
    Axis("density", "Conductivity against density", "Relative density, or 100 less porosity / %", _density_pct),
    Axis("sodium", "Conductivity against sodium content", "Sodium per anion", _sodium_per_anion),
    Axis("na2s", "Conductivity of sulfide glasses against their Na2S fraction",
         "Na2S in Na2S + glass former / mol per mol", _na2s_fraction, (0.0, 1.0)),
)  # fmt: skip


def _traces(samples: Sequence[Sample], x: Place, y: Place, colours: Mapping[str, str]) -> list[Any]:
    """Return the points by family, those of the founding papers ringed."""
    usable = [s for s in samples if x(s) is not None and y(s) is not None]
    traces = []
    for family, rows in by_family(usable, colours).items():
        chosen = [usable[i] for i in rows]
        traces.append(
            points(
                word(family) if family else "other families",
                [x(s) or 0.0 for s in chosen],
                [y(s) or 0.0 for s in chosen],
                [hover_text(s, measured_text(s), s.sample_id) for s in chosen],
                color=colours.get(family, OTHER_COLOUR),
            )
        )
    for paper, name in FOUNDING.items():
        chosen = [s for s in usable if s.paper_id == paper]
        if chosen:
            ring = {"color": "rgba(0,0,0,0)", "size": 14, "opacity": 1, "line": {"width": 2.5, "color": ACCENT}}
            text = [hover_text(s, measured_text(s), s.sample_id) for s in chosen]
            traces.append(
                points(formula_html(f"founding paper: {name}"), [x(s) or 0.0 for s in chosen],
                       [y(s) or 0.0 for s in chosen], text, **ring)
            )  # fmt: skip
    return traces


def _energy_figure(samples: Sequence[Sample], colours: Mapping[str, str]) -> Figure:
    rows = [s for s in near_room(samples) if s.ea_ev is not None]
    traces = _traces(rows, lambda s: s.conductivity_s_cm, lambda s: s.ea_ev, colours)
    caption = (
        f"{len(rows)} measured samples that state both. A lower activation energy goes with a higher conductivity; the "
        "scatter at one energy is that of the prefactor."
    )
    return drawn("data-energy", "Activation energy against conductivity", caption, traces, log_axis(SIGMA_TITLE),
                 {"title": "Activation energy / eV"})  # fmt: skip


def _against(axis: Axis, samples: Sequence[Sample], colours: Mapping[str, str]) -> Figure:
    rows = [s for s in near_room(samples) if axis.place(s) is not None]
    traces = _traces(rows, axis.place, lambda s: s.conductivity_s_cm, colours)
    caption = f"{len(rows)} measured samples of {len({s.paper_id for s in rows})} texts that state it."
    horizontal = {"title": axis.label, **({"range": list(axis.span)} if axis.span else {})}
    return drawn(f"data-{axis.name}", axis.title, caption, traces, horizontal, log_axis(SIGMA_TITLE))


def _coverage_figure(samples: Sequence[Sample]) -> Figure:
    go = require("plotly.graph_objects")
    shares = coverage(samples)
    counts = {name: sum(getattr(s, name) is not None for s in samples) for name in shares}
    rows = [f"{PROPERTIES[name]} ({counts[name]})" for name in shares]
    columns = [column for column in PROCESSING if any(stated[column] for stated in shares.values())]
    z = [[round(100 * shares[name][column]) for column in columns] for name in shares]
    trace = go.Heatmap(
        x=[PROCESSING[column] for column in columns], y=rows, z=z, zmin=0, zmax=100, texttemplate="%{z}",
        colorscale="Blues", xgap=2, ygap=2, colorbar={"title": "%"},
        hovertemplate="%{y}: %{z} % state %{x}<extra></extra>",
    )  # fmt: skip
    caption = "Share of the rows of a property, in %, that state how the sample was made. Numbers of rows in brackets."
    return drawn("data-coverage", "What is known about how samples were made", caption, [trace],
                 {"tickangle": -40, "automargin": True}, {"autorange": "reversed", "automargin": True})  # fmt: skip


def _record_figure(samples: Sequence[Sample]) -> Figure:
    go = require("plotly.graph_objects")
    rows = dated(samples)
    steps = record_timeline(samples)
    years = [step.year for step in steps]
    values = [step.sample.conductivity_s_cm for step in steps]
    last = max((s.year or 0 for s in rows), default=0)
    background = points("measured samples", [s.year or 0 for s in rows], [s.conductivity_s_cm or 0.0 for s in rows],
                        [hover_text(s, measured_text(s), s.sample_id) for s in rows], color=OTHER_COLOUR)  # fmt: skip
    record = go.Scatter(
        name="best so far", x=[*years, last], y=[*values, values[-1] if values else None], mode="lines+markers+text",
        line={"shape": "hv", "color": ACCENT, "width": 2}, marker={"size": 9, "color": ACCENT},
        text=[*(formula_html(step.name) for step in steps), ""], cliponaxis=False,
        textposition=["top right", *["top left"] * len(steps)],
        hovertext=[*(hover_text(step.sample, measured_text(step.sample)) for step in steps), ""],
        hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    caption = "Measured values between 15 and 35 °C by year of publication; a step is a value above all before it."
    return drawn("data-record", "The record conductivity over the years", caption, [background, record],
                 {"title": "Year", "dtick": 5}, log_axis(SIGMA_TITLE))  # fmt: skip


def reviewed_samples() -> list[Sample]:
    """Return what the figures show: the literature table as reviewed, and the sulfide glasses at 20 °C."""
    glasses = [s for s in reviewed_table("glasses") if s.quality == "ok" and _na2s_fraction(s) is not None]
    return [*reviewed_table("literature"), *glasses]


def data_figures(samples: Sequence[Sample]) -> list[Figure]:
    """Return the figures of the measured data.

    Args:
        samples: The literature table as reviewed, with the sulfide glasses for the Na2S series.

    Raises:
        MissingExtraError: If plotly is not installed.
    """
    exact = [s for s in samples if s.value_origin not in CENSORED_ORIGINS]
    colours = family_colours(near_room(exact))
    literature = [s for s in exact if not s.sample_id.startswith("sciglass-")]
    return [
        _energy_figure(literature, colours),
        *(_against(axis, exact if axis.name == "na2s" else literature, colours) for axis in AXES),
        _coverage_figure(literature),
        _record_figure(literature),
    ]
