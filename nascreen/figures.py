"""The figures of the report, as plotly's JSON.

One grey that reads on white and on black serves all lines; the page sets the colour of the text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from nascreen.campaign import Batch
from nascreen.chemistry import modifier_fraction
from nascreen.features import chemistry_of
from nascreen.models import REFERENCE_K, family_of_sample
from nascreen.overview import NEAR_ROOM_C
from nascreen.records import CENSORED_ORIGINS, Sample, citation, name_of, processing_line
from nascreen.screening import Neighbour, Scored
from nascreen.training import PROMOTED, CrossValidation, ScoreRow, require
from nascreen.wording import conductivity_text, formula_html, scientific, word

N_RANKED_ON_PAGE = 20


@dataclass(frozen=True, eq=False)
class RunResult:
    """Everything that a run reports.

    Attributes:
        cv: Out-of-fold predictions of the conductivity model.
        scores: Lines of the score tables, strength included.
        rankings: Title of a space to its candidates, best first.
        batches: Title of a space to its proposed experiments.
        measured: Measured samples, the background of the figures.
        series: Na2S-B2S3 glasses over their Na2S fraction.
        facts: What was run, as name and value.
        neighbours: Measured samples near ranked candidates, beyond those that the batches name.
        data: Figures of the measured data.
        data_counts: What the literature table holds, as `nascreen.overview.summary` counts it.
    """

    cv: CrossValidation
    scores: Sequence[ScoreRow]
    rankings: Mapping[str, Sequence[Scored]]
    batches: Mapping[str, Batch]
    measured: Sequence[Sample]
    series: Sequence[Scored]
    facts: Mapping[str, str]
    neighbours: Mapping[Sample, Sequence[Neighbour]] = field(default_factory=dict)
    data: Sequence[Figure] = ()
    data_counts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def titles(self) -> list[str]:
        """Titles of the spaces, in order."""
        return list(dict.fromkeys([*self.rankings, *self.batches]))

    def near(self, sample: Sample) -> Sequence[Neighbour]:
        """Return the measured neighbours known of a candidate, nearest first."""
        if sample in self.neighbours:
            return self.neighbours[sample]
        suggestions = (s for batch in self.batches.values() for s in batch.suggestions)
        return next((s.neighbours for s in suggestions if s.scored.sample == sample), ())


PALETTE = ("#4c78a8", "#e8973a", "#4f9d69", "#8f6bb3", "#3fa7b5", "#a9744f", "#c9a227")
OTHER_COLOUR = "#8b929a"
ACCENT = "#e0314b"
CANDIDATE_SYMBOLS = ("diamond", "star", "cross", "square")
GLASS_TABLE_FAMILIES = ("sulfide", "halosulfide")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the page: its identifier, title, what it shows in words, and plotly's JSON."""

    name: str
    title: str
    caption: str
    json: str


def family_name(sample: Sample) -> str:
    """Return the family that a sample is drawn as."""
    # The glass table names its families more coarsely than the literature does.
    return family_of_sample(sample) if sample.family in GLASS_TABLE_FAMILIES and sample.formula else sample.family


def hover_text(sample: Sample, *more: str) -> str:
    """Return what is said of a point: what it is, how it was made, more lines, and the citation; HTML."""
    source = citation(sample) if sample.paper_id or sample.doi or sample.title else ""
    lines = [
        formula_html(name_of(sample) or sample.label),
        formula_html(processing_line(sample)),
        *map(escape, more),
        escape(source),
    ]
    return "<br>".join(filter(None, lines))


def measured_text(sample: Sample) -> str:
    """Return a measured conductivity and its temperature in words."""
    sigma = "" if sample.conductivity_s_cm is None else f"measured {scientific(sample.conductivity_s_cm)} S/cm"
    return sigma if sample.meas_temp_c is None else f"{sigma} at {sample.meas_temp_c:.4g} °C"


def family_colours(samples: Iterable[Sample]) -> dict[str, str]:
    """Give the most frequent families a colour each, the same in every figure.

    Args:
        samples: The samples of all figures.
    """
    common = [name for name, _ in Counter(map(family_name, samples)).most_common(len(PALETTE)) if name]
    return dict(zip(common, PALETTE, strict=False))


def by_family(samples: Sequence[Sample], colours: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the indices of each coloured family, the others together last as ``""``.

    Args:
        samples: The samples.
        colours: Families that have a colour of their own.
    """
    out: dict[str, list[int]] = {name: [] for name in (*colours, "")}
    for i, sample in enumerate(samples):
        name = family_name(sample)
        out[name if name in colours else ""].append(i)
    return {name: rows for name, rows in out.items() if rows}


def points(name: str, x: Sequence[float], y: Sequence[float], text: Sequence[str], **marker: object) -> Any:  # noqa: ANN401
    """Return a trace of points with what is said of each.

    Args:
        name: Name in the legend.
        x: Horizontal positions.
        y: Vertical positions.
        text: What is said of each point, as HTML.
        marker: Properties of plotly's markers.
    """
    go = require("plotly.graph_objects")
    return go.Scatter(
        name=name, x=x, y=y, text=text, mode="markers", hovertemplate="%{text}<extra></extra>",
        marker={"size": 7, "opacity": 0.75, "line": {"width": 0}, **marker},
    )  # fmt: skip


def _line(name: str, x: Sequence[float], y: Sequence[float], dash: str = "solid", **more: object) -> Any:  # noqa: ANN401
    go = require("plotly.graph_objects")
    style = {"color": OTHER_COLOUR, "width": 1.5, "dash": dash}
    return go.Scatter(name=name, x=x, y=y, mode="lines", line=style, hoverinfo="skip", **more)


def _legend(title: str) -> str:
    return formula_html(title.partition(",")[0])


def _candidate_points(candidates: Mapping[str, Sequence[Scored]], place: Callable[[Scored], float | None]) -> list[Any]:
    """Return one trace per space, of the candidates that have a place on the x axis."""
    traces = []
    for i, (title, scored) in enumerate(candidates.items()):
        drawn = [(x, s) for s in scored if (x := place(s)) is not None]
        if drawn:
            traces.append(
                points(
                    f"candidates: {_legend(title)}",
                    [x for x, _ in drawn],
                    [s.prediction.conductivity_25_s_cm for _, s in drawn],
                    [hover_text(s.sample, f"predicted {conductivity_text(s)}") for _, s in drawn],
                    color=ACCENT, size=11, opacity=0.95, line={"width": 0.75, "color": "rgba(255,255,255,0.7)"},
                    symbol=CANDIDATE_SYMBOLS[i % len(CANDIDATE_SYMBOLS)],
                )
            )  # fmt: skip
    return traces


def _measured_points(
    samples: Sequence[Sample], colours: Mapping[str, str], place: Callable[[Sample], float | None]
) -> list[Any]:
    """Return one trace per family, of the measured samples that have a place on the x axis."""
    traces = []
    for name, rows in by_family(samples, colours).items():
        drawn = [(x, samples[i]) for i in rows if (x := place(samples[i])) is not None]
        if drawn:
            traces.append(
                points(
                    f"measured {escape(word(name))}" if name else "measured, other families",
                    [x for x, _ in drawn],
                    [s.conductivity_s_cm or 0 for _, s in drawn],
                    [hover_text(s, measured_text(s)) for _, s in drawn],
                    color=colours.get(name, OTHER_COLOUR),
                )
            )
    return traces


def _near_room(samples: Iterable[Sample]) -> list[Sample]:
    low, high = NEAR_ROOM_C
    return [
        s
        for s in samples
        if s.meas_temp_c is not None
        and low <= s.meas_temp_c <= high
        and s.conductivity_s_cm
        and s.value_origin not in CENSORED_ORIGINS
    ]


def _shown_candidates(result: RunResult) -> dict[str, list[Scored]]:
    """Return the candidates that the page names, each once, by space."""
    out = {}
    for title in result.titles:
        batch = result.batches.get(title)
        named = [s.scored for s in batch.suggestions] if batch else []
        named += result.rankings.get(title, ())[:N_RANKED_ON_PAGE]
        out[title] = list({s.sample: s for s in named}.values())
    return out


def log_axis(title: str, **more: object) -> dict[str, object]:
    """Return a logarithmic axis that marks the powers of ten."""
    return {"title": {"text": title}, "type": "log", "exponentformat": "power", "dtick": 1, **more}


def drawn(name: str, title: str, caption: str, traces: Sequence[Any], x: object, y: object) -> Figure:
    """Return a figure in the style of the page.

    Args:
        name: Identifier on the page.
        title: Title, which the page shows.
        caption: What is to be seen, in words.
        traces: Plotly's traces.
        x: Horizontal axis, as plotly's dictionary.
        y: Vertical axis.
    """
    go = require("plotly.graph_objects")
    axis = {"gridcolor": "rgba(139,146,154,0.25)", "zeroline": False, "linecolor": OTHER_COLOUR, "automargin": True}
    layout = {
        "template": "none", "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "xaxis": axis,
        "yaxis": axis, "margin": {"l": 60, "r": 12, "t": 34, "b": 50}, "hoverlabel": {"align": "left"},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    }  # fmt: skip
    figure = go.Figure(data=list(traces), layout=layout)
    figure.update_layout(xaxis=x, yaxis=y)
    return Figure(name, title, caption, figure.to_json())


def _parity_figure(result: RunResult, colours: Mapping[str, str]) -> Figure:
    cv = result.cv
    model = PROMOTED if PROMOTED in cv.predictions else next(iter(cv.predictions))
    rows = [i for i in np.flatnonzero(cv.rows.is_conductivity) if cv.rows.samples[int(i)].meas_temp_c is not None]
    samples = [cv.rows.samples[int(i)] for i in rows]
    kelvin = np.array([s.meas_temp_c or 0.0 for s in samples]) + 273.15
    shift = np.log10(kelvin / REFERENCE_K)
    measured, predicted = cv.rows.targets[rows] - shift, cv.predictions[model][0][rows] - shift
    texts = [
        hover_text(s, measured_text(s), f"predicted {scientific(float(10**p))} S/cm")
        for s, p in zip(samples, predicted, strict=True)
    ]
    traces = []
    for name, chosen in by_family(samples, colours).items():
        label, colour = escape(word(name)) if name else "other families", colours.get(name, OTHER_COLOUR)
        x, y = (10.0 ** measured[chosen]).tolist(), (10.0 ** predicted[chosen]).tolist()
        traces.append(points(label, x, y, [texts[i] for i in chosen], color=colour, size=6))
    ends = [float(np.floor(measured.min(initial=-2))), float(np.ceil(measured.max(initial=-1)))]
    lines = [_line("exact", [10.0**e for e in ends], [10.0**e for e in ends])]
    for decades, label in ((1, "ten times off"), (-1, "ten times too low")):
        y = [10.0 ** (e + decades) for e in ends]
        lines.append(_line(label, [10.0**e for e in ends], y, "dash", showlegend=decades > 0))
    caption = (
        "Each point is a measured sample, predicted from other papers alone. On the full line the prediction is exact; "
        "between the dashed lines it is off by less than a factor of ten."
    )
    step = {"dtick": 2} if ends[1] - ends[0] > 6 else {"dtick": 1}
    x_axis, y_axis = log_axis("Measured σ (S/cm)", **step), log_axis("Predicted σ (S/cm)", **step)
    return drawn("parity", "Predicted against measured", caption, [*lines, *traces], x_axis, y_axis)


def _energy_figure(result: RunResult, colours: Mapping[str, str]) -> Figure:
    traces = [
        *_measured_points(_near_room(result.measured), colours, lambda s: s.ea_ev),
        *_candidate_points(_shown_candidates(result), lambda s: s.prediction.ea_ev),
    ]
    caption = (
        "The upper left is where a fast conductor stands: high conductivity, and little loss in the cold. Round points "
        "were measured at 15 to 35 °C; red symbols are the candidates of this report."
    )
    axes = {"title": {"text": "Activation energy E<sub>a</sub> (eV)"}}, log_axis("σ at 25 °C (S/cm)")
    return drawn("energy", "Conductivity and activation energy", caption, traces, *axes)


def _glass_points(measured: Sequence[Sample]) -> list[Any]:
    traces = []
    glasses = [
        s
        for s in _near_room(measured)
        if s.formula
        and s.phase.startswith("glass")
        and set(chemistry_of(s.formula).composition.amounts) == {"Na", "B", "S"}
    ]
    for phase, colour, symbol in (("glass", PALETTE[0], "circle"), ("glass_ceramic", PALETTE[1], "square")):
        drawn = [s for s in glasses if s.phase == phase and modifier_fraction(chemistry_of(s.formula).composition)]
        x = [modifier_fraction(chemistry_of(s.formula).composition) or 0.0 for s in drawn]
        y = [s.conductivity_s_cm or 0 for s in drawn]
        if drawn:
            text = [hover_text(s, measured_text(s)) for s in drawn]
            traces.append(points(f"measured {word(phase)}", x, y, text, color=colour, size=9, symbol=symbol))
    return traces


def _series_figure(result: RunResult) -> Figure:
    placed = [(modifier_fraction(chemistry_of(s.sample.formula).composition), s) for s in result.series]
    series = sorted(((x, s) for x, s in placed if x is not None), key=lambda pair: pair[0])
    x = [at for at, _ in series]
    band = {"hoverinfo": "skip", "mode": "lines", "line": {"width": 0}}
    low, centre, high = (
        [float(getattr(s.prediction, name)) for _, s in series]
        for name in ("conductivity_lo", "conductivity_25_s_cm", "conductivity_hi")
    )
    go = require("plotly.graph_objects")
    traces = [
        go.Scatter(x=x, y=low, showlegend=False, **band),
        go.Scatter(x=x, y=high, name="90 % interval", fill="tonexty", fillcolor="rgba(224,49,75,0.16)", **band),
        go.Scatter(
            x=x, y=centre, name="predicted glass", mode="lines", line={"color": ACCENT, "width": 2},
            text=[hover_text(s.sample, f"predicted {conductivity_text(s)}") for _, s in series],
            hovertemplate="%{text}<extra></extra>",
        ),
    ]  # fmt: skip
    caption = (
        "How much sodium sulfide the glass should hold. The band is meant to hold nine of ten new samples; points were "
        "measured at 15 to 35 °C."
    )
    axes = (
        {"title": {"text": "x in x Na<sub>2</sub>S · (1−x) B<sub>2</sub>S<sub>3</sub>"}},
        log_axis("σ at 25 °C (S/cm)"),
    )
    shown = [*(traces if series else []), *_glass_points(result.measured)]
    return drawn("series", "Sodium sulfide in the glass", caption, shown, *axes)


def _sintering_figure(result: RunResult) -> Figure:
    measured = [s for s in _near_room(result.measured) if s.family == "nasicon"]
    candidates = {
        title: [s for s in scored if s.prediction.family == "nasicon"]
        for title, scored in _shown_candidates(result).items()
    }
    traces = [
        *_measured_points(measured, {"nasicon": PALETTE[0]}, lambda s: s.sinter_temp_c),
        *_candidate_points(candidates, lambda s: s.sample.sinter_temp_c),
    ]
    caption = (
        "NASICON alone. Round points were measured at 15 to 35 °C; red symbols are the candidates of this report. "
        "Composition, time and density differ from point to point, so this is no curve of one material."
    )
    axes = {"title": {"text": "Sintering temperature (°C)"}}, log_axis("σ at 25 °C (S/cm)")
    return drawn("sintering", "Conductivity and sintering temperature", caption, traces, *axes)


def all_figures(result: RunResult) -> list[Figure]:
    """Return the figures of the page in order.

    Raises:
        MissingExtraError: If plotly is not installed.
    """
    colours = family_colours([*_near_room(result.measured), *result.cv.rows.samples])
    return [
        _parity_figure(result, colours),
        _energy_figure(result, colours),
        _series_figure(result),
        _sintering_figure(result),
    ]
