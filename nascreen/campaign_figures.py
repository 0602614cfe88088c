"""Pictures of a campaign: progress against random search, predicted against told, what was asked, the front."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.acquisition import non_dominated
from nascreen.campaigns import Campaign, Experiment
from nascreen.errors import InputError, MissingExtraError, shown
from nascreen.goals import column_of, holds_all, is_log, unit_of
from nascreen.outcomes import merits_of
from nascreen.proposals import Objective, Problem
from nascreen.surrogate import GaussianProcess, Rows, TargetScale

Array = NDArray[np.float64]

ACCENT = "#d1495b"
CALM = "#9aa3ad"
SEA = "#2e6f95"
N_DRAWS = 256
MOST_TICKS = 15
"""Told samples below which each has a tick of its own, since there is no half a sample."""

MOST_DRAWN = 5000
MOST_SIMULATED = 1500
"""Candidates of which values are drawn for the simulated random search; more are represented by a random part."""

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


def write_figures(campaign: Campaign, out: Path) -> None:
    """Write the pictures of a campaign as one page that needs no network.

    Args:
        campaign: The campaign.
        out: The page.

    Raises:
        InputError: If nothing is told yet, or the page cannot be written there.
        MissingExtraError: If plotly is not installed.
    """
    _graph()
    from plotly.offline import get_plotlyjs

    if not out.parent.is_dir() or out.is_dir():
        raise InputError(f"The page {shown(str(out))} cannot be written there; give a file in a folder that exists.")
    experiments = campaign.experiments()
    sections = "\n".join(
        f"<h2>{escape(title)}</h2><p>{escape(caption)}</p>"
        f"{figure.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG)}"
        for title, caption, figure in _figures(campaign, experiments)
    )
    if not sections:
        raise InputError(f"Nothing is told in the campaign {campaign.name!r} yet; tell a result first.")
    counts = {status: sum(one.status == status for one in experiments) for status in ("told", "failed", "pending")}
    facts = f"{len(campaign.pool):,} candidates: " + ", ".join(f"{n} {status}" for status, n in counts.items()) + "."
    page = _PAGE.format(
        title=escape(f"Campaign {campaign.name}"), plotly=get_plotlyjs(), facts=facts, sections=sections
    )
    try:
        out.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"The page {shown(str(out))} cannot be written ({error.strerror}).") from error


def _graph() -> Any:  # noqa: ANN401 - a module without types
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise MissingExtraError("Pictures need plotly; install it with: pip install nascreen[train]") from error
    return go


def _figures(campaign: Campaign, experiments: Sequence[Experiment]) -> Iterator[tuple[str, str, Any]]:
    objectives = campaign.settings.objectives
    for objective in objectives:
        yield from _figures_of(campaign, objective, experiments)
    whole = [one for one in experiments if one.status == "told" and all(o.name in one.results for o in objectives)]
    if len(objectives) > 1 and whole:
        caption = "The front after each quarter of the told samples, the darkest last."
        yield "Pareto front over time", caption, front_figure(campaign, whole)
    if any(one.results for one in experiments):
        caption = "All candidates on the two axes along which they differ most."
        yield "What was asked", caption, map_figure(campaign, experiments)


def _figures_of(
    campaign: Campaign, objective: Objective, experiments: Sequence[Experiment]
) -> Iterator[tuple[str, str, Any]]:
    name = objective.name
    told = [one for one in experiments if name in one.results and one.status == "told"]
    if told:
        caption = (
            f"The best so far against random search, simulated {N_DRAWS} times over what is told and what the model of "
            "the campaign believes of the rest; the band holds 80 %."
        )
        yield f"Progress: {name}", caption, progress_figure(campaign, objective, told)
    foretold = [one for one in told if name in one.prediction]
    if foretold:
        n_inside = sum(one.prediction[name].lo <= one.results[name] <= one.prediction[name].hi for one in foretold)
        caption = (
            f"Each prediction as it stood when the sample was asked for; {n_inside} of {len(foretold)} told values lie "
            "in their 90 % interval."
        )
        yield f"Predicted against told: {name}", caption, calibration_figure(campaign, objective, foretold)


def _laid_out(figure: Any, x: str, y: str) -> Any:  # noqa: ANN401
    figure.update_layout(template="simple_white", height=430, margin={"l": 70, "r": 20, "t": 20, "b": 55},
                         legend={"orientation": "h", "y": 1.08, "x": 0}, font={"size": 14})  # fmt: skip
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    return figure


def axis_text(campaign: Campaign, name: str) -> str:
    """Return the name of a property with its unit, for an axis."""
    unit = unit_of(name, campaign.settings.units)
    return f"{name} / {unit}" if unit and not is_log(name) else name


# ---------------------------------------------------------------- progress


def progress_figure(campaign: Campaign, objective: Objective, told: Sequence[Experiment]) -> Any:  # noqa: ANN401
    """Draw the best so far against simulated random search."""
    go = _graph()
    merits = merits_of([one.results for one in told], [objective])[:, 0]
    best = best_so_far(merits, [holds_all(one.results, campaign.settings) for one in told])
    values = -best if objective.mode == "min" else best
    searched = random_search(campaign, objective, len(told)) * (-1.0 if objective.mode == "min" else 1.0)
    low, middle, high = np.quantile(searched, [0.1, 0.5, 0.9], axis=0)
    x = np.arange(1, len(told) + 1)
    # A band of one sample would have no width.
    around = x if len(told) > 1 else np.array([0.75, 1.25])
    low, middle, high = (np.broadcast_to(level, around.shape) for level in (low, middle, high))
    figure = go.Figure()
    figure.add_scatter(x=np.r_[around, around[::-1]], y=np.r_[low, high[::-1]], fill="toself", mode="lines",
                       fillcolor="rgba(154,163,173,0.25)", line={"width": 0}, hoverinfo="skip",
                       name="random search, 80 %")  # fmt: skip
    dotted, thick = {"color": CALM, "dash": "dot"}, {"color": ACCENT, "width": 3, "shape": "hv"}
    figure.add_scatter(x=around, y=middle, mode="lines", line=dotted, name="random search, median")
    if objective.target is None:
        look = {"color": SEA, "size": 7, "opacity": 0.6}
        figure.add_scatter(x=x, y=[one.results[objective.name] for one in told], mode="markers", name="told",
                           marker=look, text=[_label(one) for one in told])  # fmt: skip
    figure.add_scatter(x=x, y=values, mode="lines+markers", line=thick, marker={"size": 4},
                       name="campaign, best so far")  # fmt: skip
    figure.update_xaxes(tickformat="d", dtick=1 if len(told) < MOST_TICKS else None)
    y = axis_text(campaign, objective.name)
    return _laid_out(figure, "samples told", y if objective.target is None else f"- distance of {y} to target")


def best_so_far(merits: Array, is_allowed: Sequence[bool]) -> Array:
    """Return the largest merit up to each sample that holds the constraints, NaN before the first, shape (n,)."""
    best = np.maximum.accumulate(np.where(is_allowed, merits, -np.inf))
    return np.where(np.isfinite(best), best, np.nan)


def _label(one: Experiment) -> str:
    return f"#{one.id} " + ", ".join(f"{name} {value}" for name, value in one.values.items())


def random_search(campaign: Campaign, objective: Objective, n: int) -> Array:
    """Simulate random search over the candidates, told values as told and others drawn from the belief of now.

    Args:
        campaign: The campaign.
        objective: What is wanted.
        n: Samples of each search.

    Returns:
        Best merit so far, shape (N_DRAWS, n), higher is better.
    """
    rng = np.random.default_rng(campaign.settings.seed)
    state = campaign.state()
    table = campaign.table(state)
    problem = campaign.problem(state, table)
    rows = np.arange(table.n_candidates)
    if len(rows) > MOST_SIMULATED:
        rows = np.sort(rng.choice(rows, MOST_SIMULATED, replace=False))
    drawn = _drawn_values(problem, objective.name, rows, rng)
    flat = [{objective.name: float(value)} for value in drawn.ravel()]
    merits = merits_of(flat, [objective])[:, 0].reshape(drawn.shape)
    orders = np.stack([rng.permutation(len(rows))[:n] if n <= len(rows) else rng.integers(0, len(rows), n)
                       for _ in range(N_DRAWS)])  # fmt: skip
    return np.asarray(np.maximum.accumulate(np.take_along_axis(merits, orders, axis=1), axis=1))


def _drawn_values(problem: Problem, name: str, rows: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """Return draws of a property of some rows, the told ones as they are, shape (N_DRAWS, n_rows)."""
    column = problem.properties.index(name)
    is_told = ~np.isnan(problem.values[:, column])
    told, values = problem.told[is_told], problem.values[is_told, column]
    prior = None if problem.prior_mean is None else problem.prior_mean[:, column]
    prior = None if prior is None or np.isnan(prior).all() else np.where(np.isnan(prior), np.nanmean(prior), prior)
    scale = TargetScale.of(values, prior, problem.prior_off(column))
    means = None if prior is None else scale.forward(prior)
    inputs = problem.inputs
    noise = np.zeros(len(values))
    if problem.variances is not None:
        noise = np.nan_to_num(problem.variances[is_told, column]) * scale.slope(values) ** 2
    known = Rows(
        inputs.values[told], inputs.groups, scale.forward(values), noise, None if means is None else means[told]
    )
    posterior = GaussianProcess.fit(known).posterior(inputs.values[rows], None if means is None else means[rows])
    out = scale.inverse(posterior.draws(np.arange(len(rows)), rng.standard_normal((N_DRAWS, len(rows)))))
    limits = column_of(name)
    if limits is not None and not is_log(name):
        out = np.clip(out, limits.lower, limits.upper)
    for place, row in enumerate(rows):
        if (here := told == row).any():
            out[:, place] = values[here].mean()
    return np.asarray(out)


# ---------------------------------------------------------------- the others


def calibration_figure(campaign: Campaign, objective: Objective, foretold: Sequence[Experiment]) -> Any:  # noqa: ANN401
    """Draw told values against what was predicted when they were asked for."""
    go = _graph()
    name = objective.name
    x = np.array([one.results[name] for one in foretold])
    predictions = [one.prediction[name] for one in foretold]
    mean, low, high = np.array([(p.mean, p.lo, p.hi) for p in predictions]).T
    ends = [float(min(x.min(), low.min())), float(max(x.max(), high.max()))]
    figure = go.Figure()
    figure.add_scatter(x=ends, y=ends, mode="lines", line={"color": CALM, "dash": "dot"}, name="equal")
    errors = {"type": "data", "symmetric": False, "array": high - mean, "arrayminus": mean - low, "thickness": 1.2,
              "color": CALM}  # fmt: skip
    figure.add_scatter(x=x, y=mean, mode="markers", marker={"color": SEA, "size": 8}, error_y=errors,
                       name="predicted, with 90 %", text=[_label(one) for one in foretold])  # fmt: skip
    text = axis_text(campaign, name)
    return _laid_out(figure, f"told: {text}", f"predicted: {text}")


def front_figure(campaign: Campaign, whole: Sequence[Experiment]) -> Any:  # noqa: ANN401
    """Draw the Pareto front of the first two objectives after each quarter of the told samples."""
    go = _graph()
    objectives = campaign.settings.objectives[:2]
    values = np.array([[one.results[o.name] for o in objectives] for one in whole])
    merits = merits_of([one.results for one in whole], objectives)
    allowed = np.array([holds_all(one.results, campaign.settings) for one in whole])
    figure = go.Figure()
    figure.add_scatter(x=values[:, 0], y=values[:, 1], mode="markers", text=[_label(one) for one in whole], name="told",
                       marker={"color": CALM, "size": 7})  # fmt: skip
    shape = "hv" if objectives[0].mode == "min" else "vh"
    ends = {-(-len(whole) * quarter // 4): quarter for quarter in (1, 2, 3, 4)}
    for end, quarter in ends.items():
        part = np.flatnonzero(allowed[:end])
        if len(part):
            front = part[non_dominated(merits[part])]
            front = front[np.argsort(values[front, 0], kind="stable")]
            look = {"color": f"rgba(209,73,91,{0.2 + 0.2 * quarter:.1f})", "shape": shape}
            figure.add_scatter(x=values[front, 0], y=values[front, 1], mode="lines+markers", line=look,
                               name=f"front after {end}")  # fmt: skip
    return _laid_out(figure, *(axis_text(campaign, o.name) for o in objectives))


def map_figure(campaign: Campaign, experiments: Sequence[Experiment]) -> Any:  # noqa: ANN401
    """Draw all candidates on the two axes of largest variance, what was asked coloured by the first objective."""
    go = _graph()
    table = campaign.table(campaign.state())
    rng = np.random.default_rng(0)
    centred = table.encoded.values - table.encoded.values.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :2]
    spots = centred @ axes
    spots = spots if spots.shape[1] == 2 else np.c_[spots, np.zeros(len(spots))]
    # Candidates of a grid that differ along a third axis would hide each other.
    spots = spots + rng.normal(0, 0.02, spots.shape) * max(float(np.ptp(spots)), 1e-9)
    every = np.sort(rng.permutation(table.n_candidates)[:MOST_DRAWN])
    name = campaign.settings.objectives[0].name
    groups: Mapping[str, list[Experiment]] = {
        "told": [one for one in experiments if name in one.results and one.status == "told"],
        "being made": [one for one in experiments if one.status == "pending"],
        "failed": [one for one in experiments if one.status == "failed"],
    }
    figure = go.Figure()
    figure.add_scatter(x=spots[every, 0], y=spots[every, 1], mode="markers", name="candidates", hoverinfo="skip",
                         marker={"color": CALM, "size": 5, "opacity": 0.6})  # fmt: skip
    looks: Mapping[str, dict[str, Any]] = {
        "told": {"size": 10, "color": [one.results.get(name) for one in groups["told"]], "colorscale": "Viridis",
                 "colorbar": {"title": name}, "line": {"width": 1, "color": "white"}},
        "being made": {"size": 11, "color": "white", "line": {"width": 2, "color": ACCENT}},
        "failed": {"size": 10, "color": ACCENT, "symbol": "x"},
    }  # fmt: skip
    for words, members in groups.items():
        if members:
            rows = [table.row_of[one.id] for one in members]
            figure.add_scatter(x=spots[rows, 0], y=spots[rows, 1], mode="markers", name=words, marker=looks[words],
                               text=[_label(one) for one in members])  # fmt: skip
    return _laid_out(figure, "first axis", "second axis")
