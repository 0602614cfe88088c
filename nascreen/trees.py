"""A forest of regression trees with random cuts, for tables that jump where a Gaussian process is smooth.

All trees grow at once, level by level, so that a forest costs some ten array operations per level. Each is taught a
bootstrap sample, and takes at each node the best of a few cuts of random columns (P. Geurts, D. Ernst and L. Wehenkel,
Extremely randomized trees, Mach. Learn. 63, 3 (2006), doi:10.1007/s10994-006-6226-1). The rows that a tree was not
taught say how well the forest predicts (L. Breiman, Random forests, Mach. Learn. 45, 5 (2001),
doi:10.1023/A:1010933404324).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

N_TREES = 32
N_TRIES = 6
MAX_DEPTH = 7
NOISE_VARIANCES = np.exp(np.linspace(-6.0, 1.0, 15))
"""What the forest leaves unexplained is one of these, in units of the variance of what is told."""


@dataclass(frozen=True, slots=True)
class _Level:
    """Where each node of a level sends its rows, each of shape (n_trees, n_nodes).

    A row goes to ``right`` where the value of the column is at least ``cut``, to ``left`` otherwise.
    """

    column: Index
    cut: Array
    left: Index
    right: Index


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees that were taught some rows.

    Attributes:
        levels: From the roots down.
        leaves: Value of each leaf, shape (n_trees, n_leaves).
        counts: How often each tree was taught each row, shape (n_trees, n).
        noise_variance: Variance of a told value about what the forest predicts, learned from rows not taught.
        log_density: Logarithm of the density of each told value under the trees that were not taught it, NaN where
            nearly all were, shape (n,).
    """

    levels: tuple[_Level, ...]
    leaves: Array
    counts: Array
    noise_variance: float
    log_density: Array

    @classmethod
    def fit(cls, values: Array, targets: Array, seed: int = 0) -> Forest:
        """Return the forest of some rows; the same rows and seed give the same one.

        Args:
            values: Inputs, shape (n, d).
            targets: Targets of mean 0 and spread about 1, shape (n,).
            seed: Seed of samples and cuts.
        """
        rng = np.random.default_rng(seed)
        n = len(values)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=N_TREES).astype(np.float64)
        levels: list[_Level] = []
        nodes = np.zeros((N_TREES, n), dtype=np.intp)
        n_nodes = 1
        while len(levels) < MAX_DEPTH:
            level = _grown(values, targets, counts, nodes, n_nodes, rng)
            if level is None:
                break
            levels.append(level)
            nodes, n_nodes = _descended(level, values, nodes), int(level.right.max()) + 1
        totals = _sums(nodes, counts * targets, n_nodes)
        leaves = totals / np.maximum(_sums(nodes, counts, n_nodes), 1e-9)
        told = np.take_along_axis(leaves, nodes, axis=1)
        noise, density = _untaught(told, counts == 0, targets)
        return cls(tuple(levels), leaves, counts, noise, density)

    def each(self, values: Array) -> Array:
        """Return the prediction of each tree for each row, shape (n_trees, m)."""
        nodes = np.zeros((len(self.leaves), len(values)), dtype=np.intp)
        for level in self.levels:
            nodes = _descended(level, values, nodes)
        return np.take_along_axis(self.leaves, nodes, axis=1)

    def posterior(self, values: Array) -> TreePosterior:
        """Return what the trees say of some rows."""
        return TreePosterior(self.each(values))


@dataclass(frozen=True, eq=False)
class TreePosterior:
    """Predictions of all trees, shape (n_trees, m): their mean, and how they differ."""

    each: Array

    @property
    def mean(self) -> Array:
        """Mean over the trees, shape (m,)."""
        return np.asarray(self.each.mean(axis=0))

    @property
    def variance(self) -> Array:
        """Variance over the trees, shape (m,)."""
        return np.asarray(self.each.var(axis=0))

    def covariance_with(self, chosen: Index) -> Array:
        """Return the covariance over the trees with some of the rows, shape (m, k)."""
        off = self.each - self.each.mean(axis=0)
        return np.asarray(off.T @ off[:, chosen] / len(off))

    def first(self, n: int) -> TreePosterior:
        """Return the same of the first n rows alone."""
        return TreePosterior(self.each[:, :n])


def _sums(nodes: Index, weights: Array, n_nodes: int) -> Array:
    """Return the sum of the weights of the rows in each node, shape (n_trees, n_nodes)."""
    flat = np.arange(len(nodes))[:, None] * n_nodes + nodes
    sums = np.bincount(flat.ravel(), weights.ravel(), len(nodes) * n_nodes)
    return np.asarray(sums.reshape(len(nodes), n_nodes), dtype=np.float64)


def _descended(level: _Level, values: Array, nodes: Index) -> Index:
    """Return the node of the next level of each row, shape (n_trees, n)."""
    column, cut = np.take_along_axis(level.column, nodes, 1), np.take_along_axis(level.cut, nodes, 1)
    is_left = values[np.arange(len(values)), column] < cut
    return np.where(is_left, np.take_along_axis(level.left, nodes, 1), np.take_along_axis(level.right, nodes, 1))


def _grown(
    values: Array, targets: Array, counts: Array, nodes: Index, n_nodes: int, rng: np.random.Generator
) -> _Level | None:
    """Return the best of some random cuts of every node; None where no node can be cut."""
    shape = (len(nodes), n_nodes)
    size, total = _sums(nodes, counts, n_nodes), _sums(nodes, counts * targets, n_nodes)
    whole = total**2 / np.maximum(size, 1e-9)
    gain, column, cut = np.full(shape, 1e-12), np.zeros(shape, dtype=np.intp), np.full(shape, np.inf)
    members = _Members.of(nodes, counts, n_nodes)
    for _ in range(N_TRIES):
        tried = rng.integers(0, values.shape[1], shape)
        ends = values[members.drawn(rng), tried], values[members.drawn(rng), tried]
        at = ends[0] + rng.random(shape) * (ends[1] - ends[0])
        is_left = values[np.arange(len(values)), np.take_along_axis(tried, nodes, 1)] < np.take_along_axis(at, nodes, 1)
        n_left, left = _sums(nodes, counts * is_left, n_nodes), _sums(nodes, counts * targets * is_left, n_nodes)
        n_right = size - n_left
        found = left**2 / np.maximum(n_left, 1e-9) + (total - left) ** 2 / np.maximum(n_right, 1e-9) - whole
        is_better = (found > gain) & (n_left > 0) & (n_right > 0)
        gain[is_better], column[is_better], cut[is_better] = found[is_better], tried[is_better], at[is_better]
    is_cut = np.isfinite(cut)
    if not is_cut.any():
        return None
    first = np.cumsum(1 + is_cut, axis=1) - (1 + is_cut)
    return _Level(column, cut, first, first + is_cut)


@dataclass(frozen=True, slots=True)
class _Members:
    """The taught rows of every node, so that one of them can be drawn."""

    rows: Index
    starts: Index
    sizes: Index

    @classmethod
    def of(cls, nodes: Index, counts: Array, n_nodes: int) -> _Members:
        trees, rows = np.nonzero(counts)
        keys = trees * n_nodes + nodes[trees, rows]
        sizes = np.bincount(keys, minlength=len(nodes) * n_nodes)
        starts = (np.cumsum(sizes) - sizes).reshape(len(nodes), n_nodes)
        return cls(rows[np.argsort(keys, kind="stable")], starts, sizes.reshape(starts.shape))

    def drawn(self, rng: np.random.Generator) -> Index:
        """Return a row of each node; any row of an empty one, whose cut is never used."""
        places = self.starts + (rng.random(self.starts.shape) * self.sizes).astype(np.intp)
        return np.asarray(self.rows[np.minimum(places, len(self.rows) - 1)])


def _untaught(told: Array, is_out: NDArray[np.bool_], targets: Array) -> tuple[float, Array]:
    """Return the noise under which the trees explain the rows that they were not taught best, and the log density.

    Args:
        told: Prediction of each tree for each told row, shape (n_trees, n).
        is_out: Which were not taught it.
        targets: Told values, shape (n,).
    """
    n = is_out.sum(axis=0)
    mean = np.sum(told * is_out, axis=0) / np.maximum(n, 1)
    spread = np.sum((told - mean) ** 2 * is_out, axis=0) / np.maximum(n, 1)
    variance = spread + NOISE_VARIANCES[:, None]
    density = -0.5 * (np.log(2 * np.pi * variance) + (targets - mean) ** 2 / variance)
    is_usable = n > 1
    if not is_usable.any():
        return 1.0, np.full(len(targets), np.nan)
    best = int(np.argmax(density[:, is_usable].sum(axis=1)))
    return float(NOISE_VARIANCES[best]), np.where(is_usable, density[best], np.nan)
