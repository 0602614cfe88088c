"""Error where less is known: a family left out whole, later papers, fewer papers; and how well papers repeat.

The headline scores are of papers dealt at random. These say what to expect of a family that nobody measured yet, of
next year's papers, and of more data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nascreen import gaussian
from nascreen.datasets import grouped_folds
from nascreen.gaussian import Array
from nascreen.replicates import replicate_sets
from nascreen.training import (
    N_FOLDS,
    PROMOTED,
    CrossValidation,
    Rows,
    borrowed_lines,
    family_medians,
    fit_conductivity,
    fold_of_each,
    line_to_observation,
    nearest_neighbours,
)

LEAST_PAPERS = 5
LEAST_ROWS = 15
YEARS = (2015, 2018, 2020)
QUANTITIES = ("log10 σ", "Ea / eV")
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
CURVE_SEEDS = (0, 1, 2)
"""Shuffles of the learning curve that stands in the card."""


@dataclass(frozen=True, slots=True)
class ShiftRow:
    """The error of one model on one split.

    Attributes:
        split: What was left out, in words.
        quantity: ``log10 σ`` or ``Ea / eV``.
        model: Model or baseline.
        error: Mean absolute error.
        n_rows: Rows scored.
        n_papers: Groups of papers scored.
    """

    split: str
    quantity: str
    model: str
    error: float
    n_rows: int
    n_papers: int


def splits(rows: Rows) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return what teaches and what is tested, by the name of the split; groups are never on both sides."""
    families = np.array([s.family for s in rows.samples])
    groups = np.array(rows.groups)
    papers = Counter(family for family, _ in {(s.family, s.group_id) for s in rows.samples if s.family})
    out = {}
    for family, n in papers.most_common():
        test = (families == family) & rows.is_scored
        if n >= LEAST_PAPERS and test.sum() >= LEAST_ROWS:
            out[f"without {family}"] = (~np.isin(groups, groups[test]) & (families != family), test)
    # A reference of a survey carries the year of the survey.
    year = np.array([0 if s.year is None or "#ref" in s.paper_id else s.year for s in rows.samples])
    for limit in YEARS:
        test = (year > limit) & rows.is_scored
        if test.any():
            out[f"learned to {limit}, tested later"] = (~np.isin(groups, groups[test]), test)
    return out


def _kinds(rows: Rows) -> dict[str, NDArray[np.bool_]]:
    return dict(zip(QUANTITIES, (rows.is_conductivity, ~rows.is_conductivity), strict=True))


def shift_scores(
    rows: Rows, *, parameters: Array | None = None, on_split: Callable[[str], None] = lambda _name: None
) -> list[ShiftRow]:
    """Score the promoted model and two lookups on every split.

    Args:
        rows: What `nascreen.training.training_rows` returns.
        parameters: Hyperparameters to keep; by default they are tuned on what teaches.
        on_split: Called with the name of each split when it is done.
    """
    out = []
    for name, (teaches, tested) in splits(rows).items():
        train, test = rows.take(teaches), rows.take(tested)
        model = fit_conductivity(train, borrowed=borrowed_lines().unknown_to(test), parameters=parameters)
        known = train.take(train.is_scored)
        found = {
            kind: line_to_observation(line, test.coefficients) for kind, line in model.lines(test.features).items()
        } | {"family median": family_medians(known, test), "nearest neighbour": nearest_neighbours(known, test)}
        for quantity, mask in _kinds(test).items():
            n_papers = len({g for g, is_in in zip(test.groups, mask, strict=True) if is_in})
            out += [
                ShiftRow(
                    name, quantity, kind, float(np.abs(values - test.targets)[mask].mean()), int(mask.sum()), n_papers
                )
                for kind, values in found.items()
                if mask.any()
            ]
        on_split(name)
    return out


# ---------------------------------------------------------------- how well papers repeat one another


def told_by_others(rows: Rows) -> Array:
    """Return for each conductivity what other papers say of it: the median of theirs, NaN where there is none.

    Others are conductivities of the same composition, phase and second phase within 3 K.

    Args:
        rows: Scored rows.

    Returns:
        Of the kind of `Rows.targets`, shape (n,).
    """
    place = {s.sample_id: i for i, s in enumerate(rows.samples) if rows.is_conductivity[i]}
    out = np.full(len(rows.samples), np.nan)
    for same in replicate_sets([rows.samples[i] for i in place.values()]):
        for sample in same:
            others = [rows.targets[place[s.sample_id]] for s in same if s.group_id != sample.group_id]
            if others:
                out[place[sample.sample_id]] = np.median(others)
    return out


@dataclass(frozen=True, slots=True)
class Reproducibility:
    """How well papers predict one another, beside the promoted model on the same rows.

    Attributes:
        n_rows: Conductivities that other papers repeat.
        n_papers: Groups of papers they come from.
        by_others: Mean absolute error of the median of the other papers, in decades.
        by_model: That of the promoted model, which has not seen the paper.
    """

    n_rows: int
    n_papers: int
    by_others: float
    by_model: float


def reproducibility(cv: CrossValidation) -> Reproducibility:
    """Return how well papers on one composition and temperature predict one another."""
    told = told_by_others(cv.rows)
    known = ~np.isnan(told)
    papers = {g for g, is_in in zip(cv.rows.groups, known, strict=True) if is_in}
    return Reproducibility(
        int(known.sum()), len(papers), float(np.abs(told - cv.rows.targets)[known].mean()),
        float(cv.errors(PROMOTED)[:, known].mean()),
    )  # fmt: skip


# ---------------------------------------------------------------- how much more data would buy


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """The error after a number of papers.

    Attributes:
        quantity: ``log10 σ`` or ``Ea / eV``.
        n_papers: Groups of papers that taught, on average over folds.
        error: Mean absolute error on papers left out.
        spread: Standard deviation over shuffles.
    """

    quantity: str
    n_papers: float
    error: float
    spread: float


def learning_curve(
    rows: Rows, seeds: Sequence[int] = (0,), on_fit: Callable[[], None] = lambda: None
) -> list[LearningPoint]:
    """Return the error on the same papers left out after a growing share of the others.

    Hyperparameters are kept at their defaults, so that small shares are not at the mercy of their tuning. Glasses and
    lithium samples teach as always: what is counted are papers of the scored table.

    Args:
        rows: What `nascreen.training.training_rows` returns.
        seeds: Shuffles of the papers.
        on_fit: Called after each fit.
    """
    scored = np.flatnonzero(rows.is_scored)
    errors = np.empty((len(SHARES), len(seeds), len(QUANTITIES)))
    papers = np.empty((len(SHARES), len(seeds), N_FOLDS))
    for j, seed in enumerate(seeds):
        folds = grouped_folds([rows.samples[int(i)].group_id for i in scored], N_FOLDS, seed)
        fold = fold_of_each(rows, scored, np.array(folds))
        for i, share in enumerate(SHARES):
            off = np.full(len(rows.samples), np.nan)
            for k in range(N_FOLDS):
                tested = (fold == k) & rows.is_scored
                teaches = (fold != k) & _is_early(rows, fold != k, share, seed)
                train, test = rows.take(teaches), rows.take(tested)
                model = fit_conductivity(
                    train,
                    borrowed=borrowed_lines().unknown_to(test),
                    parameters=gaussian.default_parameters(),
                    seed=seed,
                )
                line = model.lines(test.features)[PROMOTED]
                off[tested] = np.abs(line_to_observation(line, test.coefficients) - test.targets)
                papers[i, j, k] = len(set(train.take(train.is_scored).groups))
                on_fit()
            errors[i, j] = [float(np.nanmean(off[mask])) for mask in _kinds(rows).values()]
    return [
        LearningPoint(quantity, float(papers[i].mean()), float(errors[i, :, q].mean()), float(errors[i, :, q].std()))
        for q, quantity in enumerate(QUANTITIES)
        for i in range(len(SHARES))
    ]


def _is_early(rows: Rows, teaches: NDArray[np.bool_], share: float, seed: int) -> NDArray[np.bool_]:
    """Return which rows belong to the first share of a shuffle of the scored papers, or are not scored at all."""
    names = sorted({s.group_id for s, keep in zip(rows.samples, teaches & rows.is_scored, strict=True) if keep})
    order = np.random.default_rng(seed).permutation(len(names))
    kept = {names[int(i)] for i in order[: max(2, round(share * len(names)))]}
    groups = set(names)
    return np.array([s.group_id in kept or s.group_id not in groups for s in rows.samples])


def gain_of_more_papers(points: Sequence[LearningPoint], quantity: str, n_more: int = 20) -> tuple[float, float]:
    """Return by how much more papers should lower the error, and its standard error.

    The curve is read as a straight line in the logarithm of the number of papers, through the points from 40 % of them.

    Args:
        points: What `learning_curve` returns.
        quantity: One of `QUANTITIES`.
        n_more: How many more papers.
    """
    chosen = [p for p in points if p.quantity == quantity][1:]
    x, y = np.log([p.n_papers for p in chosen]), np.array([p.error for p in chosen])
    slope, offset = np.polyfit(x, y, 1)
    rest = y - (slope * x + offset)
    error = float(np.sqrt((rest @ rest) / (len(x) - 2) / ((x - x.mean()) ** 2).sum()))
    step = float(np.log1p(n_more / chosen[-1].n_papers))
    return -float(slope) * step, error * step


@dataclass(frozen=True, eq=False)
class Evidence:
    """What stands in a card beside the scores.

    Attributes:
        shifts: Errors of families left out and of later papers.
        curve: Errors after fewer papers.
    """

    shifts: Sequence[ShiftRow]
    curve: Sequence[LearningPoint]

    @classmethod
    def of(cls, rows: Rows) -> Evidence:
        """Return the evidence of all rows; it takes ten minutes or so."""
        return cls(shift_scores(rows), learning_curve(rows, CURVE_SEEDS))
