"""Plots of a screen: conductivity over composition and firing, the Pareto front, and the Arrhenius fan of the best."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import family_of, parse_formula
from nascreen.errors import InputError, MissingExtraError, shown
from nascreen.features import ELEMENTS, chemistry_of, feature_matrix
from nascreen.lattices import Drawn, Lattice, Site, is_kept, samples_of
from nascreen.listed import with_sites
from nascreen.models import Models, load_models
from nascreen.overview import NEAR_ROOM_C
from nascreen.queries import HIGHER_IS_BETTER, Screened, pareto_front
from nascreen.records import CENSORED_ORIGINS, FIELD_NAMES, Sample, citation, processing_line
from nascreen.screening import measured_samples

Array = NDArray[np.float64]

MAP_COLOURS = "Viridis"
ACCENT = "#d1495b"
CALM = "#9aa3ad"
LINE_COLOURS = ("#d1495b", "#2e6f95", "#3a8f5c", "#b07d12", "#7b5ea7", "#50808e", "#a65628", "#5c5c5c")
ON_LINE = 0.03
"""A measured composition this near to a series, in the distance of `nascreen.screening`, is drawn on its map."""
FAN_TEMPS_C = np.linspace(-20.0, 120.0, 29)
CLOUD = 3000
TEMP_COLUMNS = {"sinter_temp_c": "sintering temperature / °C", "heat_temp_c": "temperature of heat treatment / °C"}


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """Compositions between two species of one site, the other sites filled with their first species.

    Attributes:
        first: Species at the start.
        second: Species that takes its place.
        x: Amount of the second, shape (n,).
        samples: The compositions, without processing.
    """

    first: str
    second: str
    x: Array
    samples: tuple[Sample, ...]


def _filled(site: Site) -> NDArray[np.int64]:
    """Fill a site with its first species as far as their ranges allow."""
    steps = np.array([s.lowest for s in site.species], dtype=np.int64)
    for i, species in enumerate(site.species):
        steps[i] += min(species.highest - species.lowest, site.n_steps - int(steps.sum()))
    return steps


def series_of(lattice: Lattice, vary: str) -> Series:
    """Return the series between two species, such as ``P:Si`` or ``B2S3:Na2S``.

    Raises:
        InputError: If the two do not stand on one site, or no composition between them keeps the rules.
    """
    first, _, second = vary.partition(":")
    for position, site in enumerate(lattice.sites):
        names = [s.formula for s in site.species]
        if first in names and second in names and first != second:
            return _series(lattice, position, names.index(first), names.index(second))
    pairs = "; ".join(f"{site.name}: {', '.join(s.formula for s in site.species)}" for site in lattice.sites)
    raise InputError(f"The series {shown(vary)} is not two species of one site; allowed are pairs of {pairs}.")


def _series(lattice: Lattice, position: int, i: int, j: int) -> Series:
    site = lattice.sites[position]
    rows = []
    for n in range(site.species[j].lowest, site.species[j].highest + 1):
        here = np.zeros(len(site.species), dtype=np.int64)
        here[j], here[i] = n, site.n_steps - n
        if site.species[i].lowest <= here[i] <= site.species[i].highest:
            parts = [here if k == position else _filled(other) for k, other in enumerate(lattice.sites)]
            rows.append(np.concatenate(parts))
    if rows:
        steps = np.array(rows)
        counts = steps @ lattice.matrix
        if lattice.mobile:
            counts[:, lattice.order.index(lattice.mobile)] -= steps @ lattice.charges
        drawn = Drawn(steps, counts, np.zeros(len(steps), dtype=np.intp))
        drawn = drawn.take(is_kept(lattice, drawn))
        column = sum(len(other.species) for other in lattice.sites[:position]) + j
        if len(drawn):
            samples = tuple(Sample(formula=s.formula) for s in samples_of(lattice, drawn))
            amount = np.asarray(drawn.steps[:, column] * float(site.step), dtype=np.float64)
            return Series(site.species[i].formula, site.species[j].formula, amount, samples)
    raise InputError(
        f"No composition between {site.species[i].formula} and {site.species[j].formula} keeps the rules of the space "
        f"{lattice.name}; take other species."
    )


def default_series(lattice: Lattice) -> str:
    """Return the pair of species between which a map is drawn if none is given."""
    for first, second in (("P", "Si"), ("B2S3", "Na2S"), ("B2O3", "Na2O")):
        if any({first, second} <= {s.formula for s in site.species} for site in lattice.sites):
            return f"{first}:{second}"
    site = max(lattice.sites, key=lambda s: len(s.species))
    return f"{site.species[0].formula}:{site.species[1].formula}"


def _graph() -> Any:  # noqa: ANN401
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise MissingExtraError("Plots need plotly; install it with: pip install nascreen[train]") from error
    return go


def _route(lattice: Lattice, column: str) -> Sample:
    """Return the route that a map is drawn for: the densest one that has the temperature."""
    having = [r.sample for r in lattice.routes if getattr(r.sample, column) is not None]
    return min(having, key=lambda s: (s.second_phase != "", s.porosity_pct or 0.0, s.synthesis != "solid_state"))


def _fractions(formula: str) -> Array:
    composition = chemistry_of(formula).composition
    return np.sqrt(np.array([composition.get(s) for s in ELEMENTS]) / composition.n_atoms)


def _measured_on(series: Series, lattice: Lattice, column: str) -> list[tuple[float, Sample]]:
    """Return measured samples whose composition lies on a series, with their place on it."""
    along = np.array([_fractions(s.formula) for s in series.samples])
    found = []
    for sample in measured_samples()[0]:
        temp_c = sample.meas_temp_c
        if (
            getattr(sample, column) is None
            or temp_c is None
            or not NEAR_ROOM_C[0] <= temp_c <= NEAR_ROOM_C[1]
            or sample.value_origin in CENSORED_ORIGINS
            or family_of(parse_formula(sample.formula), sample.phase or None) not in lattice.families
        ):
            continue
        distance = np.sqrt(((along - _fractions(sample.formula)) ** 2).sum(axis=1))
        nearest = int(distance.argmin())
        if distance[nearest] <= ON_LINE:
            found.append((float(series.x[nearest]), sample))
    return found


def _fired(route: Sample, formula: str, column: str, temp_c: float) -> Sample:
    body = replace(route, formula=formula)
    return replace(body, sinter_temp_c=temp_c) if column == "sinter_temp_c" else replace(body, heat_temp_c=temp_c)


def sigma_map(lattice: Lattice, vary: str, models: Models) -> Any:  # noqa: ANN401
    """Return a map of the conductivity at 25 °C over a series and the temperature of firing, with what was measured.

    Args:
        lattice: The space.
        vary: Two species of one site, such as ``P:Si``.
        models: The promoted models.

    Raises:
        InputError: If the space has no temperature, or the series cannot be made.
    """
    go = _graph()
    series = series_of(lattice, vary)
    column = next((c for c in TEMP_COLUMNS if any(getattr(r.sample, c) is not None for r in lattice.routes)), None)
    if column is None:
        raise InputError(f"The space {lattice.name} has no temperature of firing to draw a map over.")
    route = _route(lattice, column)
    measured = _measured_on(series, lattice, column)
    given = [t for r in lattice.routes if (t := getattr(r.sample, column)) is not None]
    given += [getattr(s, column) for _, s in measured]
    temps_c = np.linspace(min(given), max(given), 31)
    grid = [_fired(route, s.formula, column, float(t)) for t in temps_c for s in series.samples]
    predictions = models.predict(grid)
    log_sigma = np.log10([p.conductivity_25_s_cm for p in predictions]).reshape(len(temps_c), -1)
    values = [math.log10(s.conductivity_s_cm or 1) for _, s in measured]
    low, high = min([*values, log_sigma.min()]), max([*values, log_sigma.max()])
    bar = {"title": {"text": "log₁₀ σ / S cm⁻¹"}, "thickness": 14}
    heat = go.Heatmap(
        x=series.x, y=temps_c, z=log_sigma, colorscale=MAP_COLOURS, zmin=low, zmax=high, colorbar=bar, zsmooth="best",
        name="predicted", hovertemplate="x = %{x:.3g}, %{y:.0f} °C: 10^%{z:.2f} S/cm<extra>predicted</extra>",
    )  # fmt: skip
    dots = go.Scatter(
        x=[x for x, _ in measured], y=[getattr(s, column) for _, s in measured], mode="markers", name="measured",
        marker={"color": values, "colorscale": MAP_COLOURS, "cmin": low, "cmax": high, "size": 11,
                "line": {"color": "white", "width": 1.5}},
        text=[f"{s.formula}<br>{s.conductivity_s_cm:.1e} S/cm at {s.meas_temp_c:g} °C<br>{escape(citation(s))}"
              for _, s in measured],
        hovertemplate="%{text}<extra>measured</extra>",
    )  # fmt: skip
    figure = go.Figure([heat, dots])
    where = f"{series.second} in place of {series.first}, per formula unit"
    return _laid_out(figure, where, TEMP_COLUMNS[column], showlegend=False)


def pareto_plot(screened: Screened, columns: Sequence[str], text: str, highlighted: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401
    """Return two columns of a screen against each other: a part of the candidates, and the front.

    Args:
        screened: The screen.
        columns: Two columns.
        text: Filter.
        highlighted: Rows of a query to be named.
    """
    go = _graph()
    first, second = columns
    found = screened.query(text, f"pareto({first}, {second})", CLOUD)
    rows = [row for row in found.rows if first in row and second in row]
    signs = [1 if HIGHER_IS_BETTER.get(name, False) else -1 for name in columns]
    values = np.array([[sign * row[name] for sign, name in zip(signs, columns, strict=True)] for row in rows])
    front = [rows[i] for i in pareto_front(values)] if len(values) else []
    front.sort(key=lambda row: float(row[first]))

    def points(name: str, some: Sequence[Mapping[str, Any]], **style: object) -> Any:  # noqa: ANN401
        hover = [f"{row['formula']}<br>{processing_line(_sample(row))}" for row in some]
        return go.Scatter(
            x=[row[first] for row in some], y=[row[second] for row in some], name=name, text=hover,
            hovertemplate="%{text}<br>%{x:.3g}, %{y:.3g}<extra></extra>", **style,
        )  # fmt: skip

    figure = go.Figure(
        [
            points("next fronts", rows, mode="markers", marker={"color": CALM, "size": 5, "opacity": 0.5}),
            points("front", front, mode="lines+markers", line={"color": ACCENT, "shape": "hv"}, marker={"size": 8}),
            points(
                "best of the query", highlighted, mode="markers",
                marker={"symbol": "star", "size": 13, "color": "#b07d12"},
            ),
        ]
    )  # fmt: skip
    figure = _laid_out(figure, _axis(screened, first), _axis(screened, second))
    for axis, name in (("xaxis", first), ("yaxis", second)):
        if _is_logarithmic(name):
            figure.update_layout({axis: {"type": "log", "exponentformat": "power", "dtick": 1}})
    return figure


def _axis(screened: Screened, name: str) -> str:
    return next((c.description for c in screened.columns if c.name == name), name)


def _is_logarithmic(name: str) -> bool:
    return name.startswith(("conductivity", "resistance", "cost"))


def _sample(row: Mapping[str, Any]) -> Sample:
    predicted = {"conductivity_s_cm", "ea_ev", "strength_mpa"}
    return Sample(**{k: v for k, v in row.items() if k in FIELD_NAMES and k not in predicted})


def arrhenius_fan(rows: Sequence[Mapping[str, Any]], models: Models) -> Any:  # noqa: ANN401
    """Return the conductivity of candidates over temperature, with the 90 % band of the first.

    Args:
        rows: Rows of a query.
        models: The promoted models.
    """
    go = _graph()
    samples = [_sample(row) for row in rows]
    lines = models.conductivity.lines(feature_matrix(samples))
    inverse = 1000 / (FAN_TEMPS_C + 273.15)
    centre, half = (
        np.array(part)
        for part in zip(
            *(models.conductivity.log_sigma(lines, np.full(len(rows), t)) for t in FAN_TEMPS_C), strict=True
        )
    )
    band = [*(centre + half)[:, 0], *(centre - half)[::-1, 0]]
    traces = [
        go.Scatter(
            x=[*inverse, *inverse[::-1]], y=[10**v for v in band], fill="toself", line={"width": 0},
            fillcolor="rgba(209,73,91,0.15)", name="90 % of the first", hoverinfo="skip",
        )
    ]  # fmt: skip
    for i, row in enumerate(rows):
        traces.append(
            go.Scatter(
                x=inverse, y=10 ** centre[:, i], mode="lines", name=f"{i + 1}. {_subscripted(str(row['formula']))}",
                line={"color": LINE_COLOURS[i % len(LINE_COLOURS)], "width": 3 if i == 0 else 1.75},
                text=[f"{t:.0f} °C" for t in FAN_TEMPS_C],
                hovertemplate="%{text}: %{y:.2e} S/cm<extra>" + _subscripted(str(row["formula"])) + "</extra>",
            )
        )  # fmt: skip
    figure = _laid_out(go.Figure(traces), "1000 K / T", "conductivity / S cm⁻¹")
    return figure.update_layout(
        height=560 + 14 * len(rows), yaxis={"type": "log", "exponentformat": "power", "dtick": 1}
    )


def _subscripted(formula: str) -> str:
    return re.sub(r"([0-9.]+)", r"<sub>\1</sub>", escape(formula))


def _laid_out(figure: Any, x: str, y: str, **more: object) -> Any:  # noqa: ANN401
    grid = {"gridcolor": "#e6e8eb", "zeroline": False, "linecolor": "#9aa3ad", "ticks": "outside", "automargin": True}
    return figure.update_layout(
        template="none", height=520, margin={"l": 80, "r": 20, "t": 20, "b": 60},
        font={"family": "system-ui, sans-serif", "size": 14, "color": "#20262d"},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top"},
        xaxis={"title": {"text": x, "standoff": 12}, **grid},
        yaxis={"title": {"text": y, "standoff": 12}, **grid},
        **more,
    )  # fmt: skip


_CONFIG = {"displayModeBar": False, "responsive": True}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #20262d; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.15rem; margin: 2.2rem 0 0.2rem; }} p {{ color: #56606b; margin: 0; }}
</style><script>{plotly}</script></head><body><h1>{title}</h1><p>{facts}</p>
{sections}
</body></html>
"""


def write_plots(
    folder: Path, out: Path, *, vary: str = "", pareto: str = "cost_usd_kg,conductivity_lo", text: str = "",
    sort: str = "conductivity_lo", top: int = 6,
) -> None:  # fmt: skip
    """Write the plots of a screen as one page that needs no network.

    Args:
        folder: Folder that `nascreen.stream.screen` wrote.
        out: The page.
        vary: Two species of one site for the map; chosen if empty.
        pareto: Two columns, separated by a comma.
        text: Filter of the candidates.
        sort: How the best are chosen.
        top: How many of the best are drawn over temperature.

    Raises:
        InputError: If the folder, a column or the filter cannot be used, or nothing passes the filter.
        MissingExtraError: If plotly is not installed.
    """
    _graph()
    from plotly.offline import get_plotlyjs

    if not out.parent.is_dir() or out.is_dir():
        raise InputError(f"The page {shown(str(out))} cannot be written there; give a file in a folder that exists.")
    screened, models = Screened(folder), load_models()
    columns = [name.strip() for name in pareto.split(",")]
    if len(columns) != 2:
        raise InputError(f"The Pareto plot takes two columns, separated by a comma; got {shown(pareto)}.")
    best = screened.query(text, sort, top, per_system=1)
    if not best.rows:
        raise InputError("No candidate passes the filter; widen it.")
    mapped = with_sites(screened.lattice)
    figures = (
        ("Conductivity at 25 °C over composition and firing",
         "The field is predicted for a dense body; ringed points were measured near room temperature.",
         sigma_map(mapped, vary or default_series(mapped), models)),
        ("Pareto front", "No candidate is better in both; stars are the best of the query.",
         pareto_plot(screened, columns, text, best.rows)),
        ("Arrhenius fan of the best", "One candidate per set of elements; the band holds 90 %.",
         arrhenius_fan(best.rows, models)),
    )  # fmt: skip
    sections = "\n".join(
        f"<h2>{title}</h2><p>{caption}</p>{figure.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG)}"
        for title, caption, figure in figures
    )
    facts = (
        f"{best.n_matching:,} of {best.n_all:,} candidates"
        f"{f' pass <code>{escape(text)}</code>' if text else ''}; prices of {screened.record['prices']['date']}."
    )
    title = f"{screened.lattice.title}"
    page = _PAGE.format(title=escape(title), plotly=get_plotlyjs(), facts=facts, sections=sections)
    try:
        out.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"The page {shown(str(out))} cannot be written ({error.strerror}).") from error
