"""Prediction intervals from the errors on papers left out: conformal factors, by family where it has enough data.

A factor turns a predicted standard deviation into half the width of an interval that holds a promised share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COVERAGE = 0.90
LEAST_ROWS_FOR_FAMILY = 30
LEAST_PAPERS_FOR_FAMILY = 5
LEAST_ROWS_TO_WIDEN = 5
LEAST_PAPERS_TO_WIDEN = 4
"""With less than the former and at least this, a family's own factor counts where it is the larger one."""


def conformal_factor(scaled_errors: Array, coverage: float = COVERAGE) -> float:
    """Return the split-conformal quantile of errors in units of the predicted standard deviation.

    Of n errors it is the ceil((n + 1)·coverage)-th smallest, or the largest where n is too small for that: J. Lei et
    al., J. Am. Stat. Assoc. 113, 1094 (2018), doi:10.1080/01621459.2017.1307116.

    >>> conformal_factor(np.arange(1.0, 100.0))
    90.0
    """
    # Rounded first: (n + 1)·coverage of 90.00000000000001 is the 90th.
    rank = int(np.ceil(round((len(scaled_errors) + 1) * coverage, 9)))
    return float(np.sort(scaled_errors)[min(rank, len(scaled_errors)) - 1])


def interval_factors(
    scaled_errors: Array, families: Sequence[str], groups: Sequence[str], coverage: float = COVERAGE
) -> dict[str, Any]:
    """Return conformal factors, overall and by family.

    A family of at least five papers and thirty rows has its own. One of fewer, down to four papers and five rows, has
    the larger of its own and that of all: a few rows can show that it is harder than others, not that it is easier.

    Args:
        scaled_errors: Errors in units of the predicted standard deviation, shape (n_seeds, n).
        families: Family of each row.
        groups: Group of papers of each row.
        coverage: The promised share.
    """
    names, papers = np.array(families), np.array(groups)
    overall = conformal_factor(scaled_errors.ravel(), coverage)
    by_family = {}
    for name in sorted(set(families)):
        rows = names == name
        n_rows, n_papers = int(rows.sum()), len(set(papers[rows]))
        if n_rows >= LEAST_ROWS_TO_WIDEN and n_papers >= LEAST_PAPERS_TO_WIDEN:
            own = conformal_factor(scaled_errors[:, rows].ravel(), coverage)
            is_known = n_rows >= LEAST_ROWS_FOR_FAMILY and n_papers >= LEAST_PAPERS_FOR_FAMILY
            by_family[name] = own if is_known else max(own, overall)
    return {"overall": overall, "by_family": by_family}


@dataclass(frozen=True, eq=False)
class Calibration:
    """Errors of every row by shuffle, with what decides its factor.

    Attributes:
        scaled_errors: Absolute errors in units of the predicted standard deviation, shape (n_seeds, n).
        folds: Fold of each row, shape (n_seeds, n).
        families: Family of each row.
        groups: Group of papers of each row.
    """

    scaled_errors: Array
    folds: NDArray[np.intp]
    families: Sequence[str]
    groups: Sequence[str]

    def inside(self, coverage: float = COVERAGE) -> NDArray[np.bool_]:
        """Return which rows lie inside their interval with factors from the other folds alone, shape (n_seeds, n)."""
        names, groups = np.array(self.families), np.array(self.groups)
        out = np.zeros(self.scaled_errors.shape, dtype=bool)
        for errors, fold, hit in zip(self.scaled_errors, self.folds, out, strict=True):
            for k in np.unique(fold):
                known, new = fold != k, fold == k
                factors = interval_factors(errors[None, known], names[known].tolist(), groups[known].tolist(), coverage)
                per_row = np.array([factors["by_family"].get(name, factors["overall"]) for name in names[new]])
                hit[new] = errors[new] <= per_row
        return out

    def factors(self) -> dict[str, Any]:
        """Return the factors that predictions use, from the errors of all folds."""
        return interval_factors(self.scaled_errors, self.families, self.groups)

    def coverage(self) -> dict[str, Any]:
        """Return the share inside the interval by rows and by papers, and for each family of at least five papers."""
        inside = self.inside()
        names, groups = np.array(self.families), np.array(self.groups)
        by_family = {}
        for name in sorted(set(self.families)):
            rows = names == name
            n_papers = len(set(groups[rows]))
            if n_papers >= LEAST_PAPERS_FOR_FAMILY:
                by_family[name] = {
                    "rows": float(inside[:, rows].mean()), "n_rows": int(rows.sum()), "n_papers": n_papers,
                }  # fmt: skip
        by_paper = [inside[:, groups == group].mean() for group in sorted(set(groups.tolist()))]
        return {"rows": float(inside.mean()), "papers": float(np.mean(by_paper)), "by_family": by_family}

    def curve(self, promised: Sequence[float]) -> list[float]:
        """Return the share of rows inside intervals that promise each share, with factors from the other folds."""
        return [float(self.inside(share).mean()) for share in promised]
