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
LEAST_GAIN = 1e-12
NOISE_VARIANCES = np.exp(np.linspace(-6.0, 1.0, 15))
"""What the forest leaves unexplained is one of these, in units of the variance of what is told."""


@dataclass(frozen=True, slots=True)
class _Level:
    """Where each node of a level sends its rows, each of shape (n_nodes,), counted through all trees.

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
        leaves: Value of each leaf, shape (n_leaves,), counted through all trees.
        noise_variance: Variance of a told value about what the forest predicts, learned from rows not taught.
        log_density: Logarithm of the density of each told value under the trees that were not taught it, NaN where
            nearly all were, shape (n,).
    """

    levels: tuple[_Level, ...]
    leaves: Array
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
        counts = rng.multinomial(n, np.full(n, 1 / n), size=N_TREES)
        taught = np.flatnonzero(counts)
        rows, weights = taught % n, counts.ravel()[taught].astype(np.float64)
        totals = weights * targets[rows]
        levels: list[_Level] = []
        nodes = _roots(n)
        while len(levels) < MAX_DEPTH:
            level = _grown(values, _Members.of(nodes.ravel()[taught], rows, weights, totals), rng)
            if level is None:
                break
            levels.append(level)
            nodes = _descended(level, values, nodes)
        leaf = nodes.ravel()[taught]
        leaves = np.bincount(leaf, totals) / np.bincount(leaf, weights)
        noise, density = _untaught(leaves[nodes], counts == 0, targets)
        return cls(tuple(levels), leaves, noise, density)

    def each(self, values: Array) -> Array:
        """Return the prediction of each tree for each row, shape (n_trees, m)."""
        nodes = _roots(len(values))
        for level in self.levels:
            nodes = _descended(level, values, nodes)
        return np.asarray(self.leaves[nodes])

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


def _roots(n: int) -> Index:
    """Return the node of each row before any cut, shape (n_trees, n)."""
    return np.repeat(np.arange(N_TREES)[:, None], n, axis=1)


def _descended(level: _Level, values: Array, nodes: Index) -> Index:
    """Return the node of the next level of each row, shape (n_trees, n)."""
    places = level.column[nodes] + np.arange(len(values)) * values.shape[1]
    is_left = values.ravel()[places] < level.cut[nodes]
    return np.where(is_left, level.left[nodes], level.right[nodes])


@dataclass(frozen=True, slots=True)
class _Members:
    """The taught rows of the nodes that can be cut, node by node.

    Attributes:
        rows: The rows, shape (m,).
        weights: How often each was taught.
        totals: That many times its target.
        places: Place of its node among those that can be cut.
        starts: Where the rows of each of these nodes begin, shape (k,).
        sizes: How many rows each has.
        nodes: Which nodes they are.
        n_nodes: Number of all nodes.
    """

    rows: Index
    weights: Array
    totals: Array
    places: Index
    starts: Index
    sizes: Index
    nodes: Index
    n_nodes: int

    @classmethod
    def of(cls, keys: Index, rows: Index, weights: Array, totals: Array) -> _Members:
        counts = np.bincount(keys)
        nodes = np.flatnonzero(counts > 1)
        order = np.argsort(keys, kind="stable")
        order = order[counts[keys[order]] > 1]
        sizes = counts[nodes]
        places = np.repeat(np.arange(len(nodes)), sizes)
        return cls(rows[order], weights[order], totals[order], places, np.cumsum(sizes) - sizes, sizes, nodes,
                   len(counts))  # fmt: skip

    def sums(self, weights: Array) -> Array:
        """Return the sums over the rows of each node, shape (..., k)."""
        return np.asarray(np.add.reduceat(weights, self.starts, axis=-1), dtype=np.float64)

    def drawn(self, rng: np.random.Generator) -> Index:
        """Return a row of each node for each try, shape (n_tries, k)."""
        chance = rng.random((N_TRIES, len(self.nodes)))
        return np.asarray(self.rows[self.starts + (chance * self.sizes).astype(np.intp)])


def _grown(values: Array, members: _Members, rng: np.random.Generator) -> _Level | None:
    """Return the best of some random cuts of every node; None where no node can be cut."""
    n_columns, flat = values.shape[1], values.ravel()
    if not len(members.nodes):
        return None
    tried = rng.integers(0, n_columns, (N_TRIES, len(members.nodes)))
    low, high = flat[members.drawn(rng) * n_columns + tried], flat[members.drawn(rng) * n_columns + tried]
    at = low + rng.random(tried.shape) * (high - low)
    is_left = flat[members.rows * n_columns + tried[:, members.places]] < at[:, members.places]
    n_left, left = members.sums(members.weights * is_left), members.sums(members.totals * is_left)
    size, total = members.sums(members.weights), members.sums(members.totals)
    n_right = size - n_left
    found = left**2 / np.maximum(n_left, 0.5) + (total - left) ** 2 / np.maximum(n_right, 0.5) - total**2 / size
    found = np.where((n_left > 0) & (n_right > 0), found, 0.0)
    best = found.argmax(axis=0)
    place = np.arange(len(best))
    is_better = found[best, place] > LEAST_GAIN
    if not is_better.any():
        return None
    column, cut = np.zeros(members.n_nodes, dtype=np.intp), np.full(members.n_nodes, np.inf)
    nodes = members.nodes[is_better]
    column[nodes], cut[nodes] = tried[best, place][is_better], at[best, place][is_better]
    is_cut = np.isfinite(cut)
    first = np.cumsum(1 + is_cut) - (1 + is_cut)
    return _Level(column, cut, first, first + is_cut)


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
