"""Is the error larger where the model says so, and does a stated probability come true? On papers left out.

    python experiments/domain/run.py [--seeds 5] [--out results]

Every row is judged as a prediction would be: distance to the nearest composition that its fold learned from, predicted
spread, and the verdict in or out of domain, all from the other folds alone; so are the factors of the intervals. Writes
``experiments/domain/results.csv`` and ``domain.html`` (figures) under ``--out``.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots
from scipy.stats import t as student

from nascreen.datasets import data_hash
from nascreen.explain import NORMAL_90
from nascreen.features import BLOCKS, chemistry_of
from nascreen.gaussian import REFERENCE_K, squared_distances
from nascreen.intervals import interval_factors
from nascreen.models import DOMAIN_MARGINS, WIDEST_TRUSTED_DECADES, domain_doubts, family_of_sample, load_models
from nascreen.training import (
    N_FOLDS,
    PROMOTED,
    CrossValidation,
    Rows,
    cross_validate,
    training_rows,
)

HERE = Path(__file__).parent
DISTANCES = (0.0, 1e-6, 0.05, 0.1, 0.2, 0.3, 1.5)
THRESHOLDS_S_CM = (1e-5, 1e-4, 1e-3)
PROBABILITIES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
SHAPES: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "normal": lambda z: student.cdf(z * NORMAL_90, 1e6),
    "Student, 5 degrees": lambda z: student.cdf(z * student.ppf(0.95, 5), 5),
    "Student, 3 degrees": lambda z: student.cdf(z * student.ppf(0.95, 3), 3),
}
"""Distributions that have the calibrated 90 % interval, of the error in half widths of it."""


REASONS: Mapping[str, str] = {
    "element never seen": "never seen in the data",
    "family of few papers": "family ",
    "composition far from all data": "composition far",
    "outside the range seen": " is outside the ",
    "interval too wide": "",
    "not charge balanced": "",
}
"""Why a prediction is not trusted, with what tells it among the doubts; the last two are judged here."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Out-of-fold conductivities, every array of shape (n_seeds, n).

    Attributes:
        error: Predicted less observed log10 σ, in decades.
        half_width: Half width of the 90 % interval, in decades.
        spread: Predicted standard deviation in decades.
        distance: Distance to the nearest composition learned from.
        reasons: Whether each of `REASONS` speaks against trust; a row is in domain where none does.
        log_sigma: Observed log10 σ in S/cm.
        groups: Group of each row, shape (n,).
    """

    error: NDArray[np.float64]
    half_width: NDArray[np.float64]
    spread: NDArray[np.float64]
    distance: NDArray[np.float64]
    reasons: Mapping[str, NDArray[np.bool_]]
    log_sigma: NDArray[np.float64]
    groups: NDArray[Any]

    @property
    def in_domain(self) -> NDArray[np.bool_]:
        """What the domain check says."""
        return np.asarray(~np.any(list(self.reasons.values()), axis=0))


def half_widths(cv: CrossValidation, families: NDArray[Any]) -> NDArray[np.float64]:
    """Return half widths of the 90 % intervals of conductivities, with factors from the other folds alone."""
    mask = cv.rows.is_conductivity
    groups = np.array(cv.rows.groups)[mask]
    scaled, spreads, folds = (cv.errors(PROMOTED) / cv.spreads)[:, mask], cv.spreads[:, mask], cv.folds[:, mask]
    out = np.empty(scaled.shape)
    for i, fold in enumerate(folds):
        for k in range(N_FOLDS):
            known, new = fold != k, fold == k
            factors = interval_factors(scaled[i : i + 1, known], families[known].tolist(), groups[known].tolist())
            per_row = [factors["by_family"].get(name, factors["overall"]) for name in families[new]]
            out[i, new] = np.array(per_row) * spreads[i, new]
    return out


def domain_of(rows: Rows, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the domain of what some rows teach, with the limits of trust of the promoted model."""
    papers: dict[str, set[str]] = {}
    for sample in rows.samples:
        papers.setdefault(family_of_sample(sample), set()).add(sample.group_id)
    values = {name: [v for s in rows.samples if (v := getattr(s, name)) is not None] for name in DOMAIN_MARGINS}
    return {
        **limits,
        "elements": {symbol for s in rows.samples for symbol in chemistry_of(s.formula).composition.amounts},
        "papers_by_family": {name: len(texts) for name, texts in papers.items()},
        "ranges": {name: (min(v), max(v)) for name, v in values.items()},
    }


def judged(cv: CrossValidation, rows: Rows) -> Judged:
    """Judge every out-of-fold conductivity by what its own fold learned from."""
    mask = cv.rows.is_conductivity
    scored = cv.rows.take(mask)
    families = np.array([family_of_sample(s) for s in scored.samples])
    half = half_widths(cv, families)
    limits = load_models().conductivity.card["domain"]
    distance = np.empty(half.shape)
    reasons = {name: np.zeros(half.shape, dtype=bool) for name in REASONS}
    reasons["interval too wide"] = half > WIDEST_TRUSTED_DECADES
    reasons["not charge balanced"][:] = [chemistry_of(s.formula).balance.is_balanced is False for s in scored.samples]
    for i, fold in enumerate(cv.folds):
        by_group = dict(zip(cv.rows.groups, fold.tolist(), strict=True))
        of_all = np.array([by_group.get(g, -1) for g in rows.groups])
        for k in range(N_FOLDS):
            train, new = rows.take(of_all != k), np.flatnonzero(fold[mask] == k)
            roots = [np.sqrt(part.features[:, BLOCKS["fraction"]]) for part in (scored.take(new), train)]
            distance[i, new] = np.sqrt(squared_distances(*roots).min(axis=1).clip(0))
            domain = domain_of(train, limits)
            for j in new:
                sample = scored.samples[int(j)]
                doubts = domain_doubts(sample, families[j], distance[i, j], float(sample.meas_temp_c or 0), domain)
                for name, mark in REASONS.items():
                    reasons[name][i, j] |= any(mark and mark in doubt for doubt in doubts)
    kelvin = np.array([s.meas_temp_c or 0.0 for s in scored.samples]) + 273.15
    observed = np.broadcast_to(scored.targets - np.log10(kelvin / REFERENCE_K), half.shape)
    error = (cv.predictions[PROMOTED] - cv.rows.targets)[:, mask]
    return Judged(error, half, cv.spreads[:, mask], distance, reasons, observed, np.array(scored.groups))


def error_lines(study: str, bins: Sequence[tuple[str, NDArray[np.bool_]]], found: Judged) -> Iterator[dict[str, str]]:
    """Yield error and coverage in each bin: means over rows, and the spread of the seeds."""
    for name, chosen in bins:
        per_seed = [np.abs(e[c]).mean() for e, c in zip(found.error, chosen, strict=True) if c.any()]
        if not per_seed:
            continue
        papers = {g for c in chosen for g in found.groups[c]}
        inside = np.abs(found.error)[chosen] <= found.half_width[chosen]
        by_paper = [np.abs(found.error[:, found.groups == g])[chosen[:, found.groups == g]].mean() for g in papers]
        yield {
            "study": study, "bin": name, "n_rows": f"{chosen.sum() / len(chosen):.0f}", "n_papers": str(len(papers)),
            "mean_error": f"{np.mean(per_seed):.3f}", "seed_spread": f"{np.std(per_seed):.3f}",
            "mean_error_by_paper": f"{np.mean(by_paper):.3f}", "coverage_90": f"{inside.mean():.3f}",
        }  # fmt: skip


def distance_bins(found: Judged) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return which rows are how far from the nearest composition learned from."""
    out = [("0 (same composition)", found.distance < DISTANCES[1])]
    for low, high in pairwise(DISTANCES[1:]):
        name = f"{low:.2f} to {high:.2f}" if high < DISTANCES[-1] else f"{low:.2f} or more"
        name = name if low > DISTANCES[1] else f"under {high:.2f}"
        out.append((name, (found.distance >= low) & (found.distance < high)))
    return out


def spread_bins(found: Judged) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return the fifths of the predicted spread."""
    edges = np.quantile(found.spread, np.linspace(0, 1, 6))
    return [
        (f"{low:.2f} to {high:.2f} decades", (found.spread >= low) & ((found.spread < high) | (high == edges[-1])))
        for low, high in pairwise(edges)
    ]


def probability_lines(found: Judged) -> Iterator[dict[str, str]]:
    """Yield, for each threshold and bin of the stated probability, how often the threshold was exceeded."""
    for threshold in THRESHOLDS_S_CM:
        above = found.log_sigma > np.log10(threshold)
        centre = found.error + found.log_sigma - np.log10(threshold)
        for shape, distribution in SHAPES.items():
            stated = distribution(centre / found.half_width)
            yield {
                "study": f"P(σ > {threshold:.0e} S/cm), {shape}", "bin": "all", "n_rows": str(above.shape[1]),
                "stated": f"{stated.mean():.3f}", "observed": f"{above.mean():.3f}",
                "brier_score": f"{((stated - above) ** 2).mean():.4f}", "log_loss": f"{_log_loss(stated, above):.4f}",
            }  # fmt: skip
            for low, high in pairwise(PROBABILITIES):
                chosen = (stated >= low) & ((stated < high) | (high == 1))
                if chosen.any():
                    yield {
                        "study": f"P(σ > {threshold:.0e} S/cm), {shape}", "bin": f"{low:.1f} to {high:.1f}",
                        "n_rows": f"{chosen.sum() / len(chosen):.0f}",
                        "n_papers": str(len({g for c in chosen for g in found.groups[c]})),
                        "stated": f"{stated[chosen].mean():.3f}", "observed": f"{above[chosen].mean():.3f}",
                    }  # fmt: skip


def _log_loss(stated: NDArray[np.float64], above: NDArray[np.bool_]) -> float:
    p = stated.clip(1e-4, 1 - 1e-4)
    return float(-np.where(above, np.log(p), np.log(1 - p)).mean())


def drawn(lines: Sequence[Mapping[str, str]], found: Judged) -> go.Figure:
    """Return the figure: error by distance and by spread, and stated against observed probability."""
    titles = ("by distance to the nearest composition", "by predicted spread", "σ > 1 mS/cm: stated and observed")
    figure = make_subplots(rows=1, cols=3, subplot_titles=titles)
    colours = {True: "#3b6ea8", False: "#c8553d"}
    for is_in, name in ((True, "in domain"), (False, "out of domain")):
        rows = found.in_domain[0] == is_in
        for column, values in ((1, found.distance), (2, found.spread)):
            figure.add_scatter(
                x=values[0][rows], y=np.abs(found.error[0])[rows], mode="markers", name=name, legendgroup=name,
                showlegend=column == 1, marker={"size": 4, "opacity": 0.45, "color": colours[is_in]}, row=1, col=column,
            )  # fmt: skip
    for column, values in ((1, found.distance), (2, found.spread)):
        order = np.argsort(values.ravel(), kind="stable")
        parts = np.array_split(order, 12)
        x, y = ([float(a.ravel()[p].mean()) for p in parts] for a in (values, np.abs(found.error)))
        figure.add_scatter(x=x, y=y, mode="lines", name="mean of twelfths", line={"color": "#888888", "width": 3},
                           showlegend=column == 1, row=1, col=column)  # fmt: skip
    study = f"P(σ > {1e-3:.0e} S/cm), normal"
    bins = [line for line in lines if line["study"] == study and line["bin"] != "all"]
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": "#888888", "dash": "dot"}, showlegend=False,
                       row=1, col=3)  # fmt: skip
    figure.add_scatter(
        x=[float(b["stated"]) for b in bins], y=[float(b["observed"]) for b in bins], mode="markers+lines",
        text=[f"{b['n_rows']} rows, {b['n_papers']} papers" for b in bins], name="stated probability",
        line={"color": colours[True]}, row=1, col=3,
    )  # fmt: skip
    for column, title in enumerate(("distance", "predicted spread / decades", "stated probability"), start=1):
        figure.update_xaxes(title=title, row=1, col=column)
    figure.update_yaxes(title="|error| / decades", row=1, col=1)
    figure.update_yaxes(title="share above", row=1, col=3)
    return figure.update_layout(title="Error on papers left out", template="simple_white")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    started = time.process_time()
    rows = training_rows()
    cv = cross_validate(rows, range(options.seeds), on_fold=lambda s, k: print(f"seed {s} fold {k}", flush=True))
    found = judged(cv, rows)
    every = np.ones(found.error.shape, dtype=bool)
    domain = [("all", every), ("in domain", found.in_domain), ("out of domain", ~found.in_domain)]
    lines = [
        *error_lines("domain flag", domain, found),
        *error_lines("reason out of domain", list(found.reasons.items()), found),
        *error_lines("distance to the nearest composition", distance_bins(found), found),
        *error_lines("predicted spread", spread_bins(found), found),
        *probability_lines(found),
    ]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    with (HERE / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    options.out.mkdir(parents=True, exist_ok=True)
    drawn(lines, found).write_html(options.out / "domain.html")
    for line in lines:
        print("  ".join(f"{line.get(name, ''):>12}" for name in columns))
    print(
        f"data {data_hash('literature')}; {time.process_time() - started:.0f} s of processor; {options.out}/domain.html"
    )


if __name__ == "__main__":
    main()
