"""Trees for many rows at once, with 64 rows to a machine word.

A split is one bit per row. Splits that the rows at hand cannot tell apart are cut off first, which leaves about half
of them in the candidates of one space; then every leaf's rows follow from ANDs of whole words. The sums are those of
the ONNX graph up to the rounding of single precision, since every row takes the very same branches.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.errors import IntegrityError
from nascreen.graphs import Node

Single = NDArray[np.float32]
Words = NDArray[np.uint64]
Asked = tuple[int, float, bool]
"""A comparison: feature, threshold, and whether it holds where there is no value."""

MOST_PLANES = 11
"""Bits of the number under which the leaves of several trees are looked up at once; its table stays in the cache."""

_MODES = {b"BRANCH_LT": True, b"BRANCH_LEQ": False}


@dataclass(frozen=True, eq=False, slots=True)
class _Tree:
    """One tree: its nodes by number, children first to last.

    Attributes:
        feature: Feature of a split, -1 for a leaf, shape (m,).
        threshold: What the feature is compared with, shape (m,).
        when_true: Node where the comparison holds, shape (m,).
        when_false: Node where it does not, shape (m,).
        missing_is_true: Whether a feature without a value goes where it holds, shape (m,).
        value: What a leaf adds to each target, shape (m, targets).
    """

    feature: list[int]
    threshold: list[float]
    when_true: list[int]
    when_false: list[int]
    missing_is_true: list[bool]
    value: Single


class PackedTrees:
    """An ensemble of trees that was an operation ``TreeEnsembleRegressor``."""

    def __init__(self, node: Node) -> None:
        """Take over the trees.

        Raises:
            IntegrityError: If the operation is of another kind than those that nascreen writes.
        """
        given = node.attributes
        modes = given["nodes_modes"]
        kinds = set(modes.tolist()) - {b"LEAF"}
        is_sum = given.get("post_transform", b"NONE") == b"NONE" and given.get("aggregate_function", b"SUM") == b"SUM"
        if node.operator != "TreeEnsembleRegressor" or len(kinds) > 1 or not kinds <= _MODES.keys() or not is_sum:
            raise IntegrityError("The trees of the model are of another kind than those that nascreen writes.")
        self.is_strict = _MODES[kinds.pop()] if kinds else True
        self.n_targets = int(given.get("n_targets", 1))
        base = given.get("base_values")
        self.base = np.zeros(self.n_targets, np.float32) if base is None else np.asarray(base, dtype=np.float32)
        self.trees = _trees(given, modes, self.n_targets)
        self.wanted: tuple[Asked, ...] = ()

    def __call__(self, columns: Single) -> NDArray[np.float64]:
        """Return the sum of all trees, shape (n, targets).

        Args:
            columns: Features, one row for each feature, shape (f, n), NaN where there is no value.
        """
        with np.errstate(invalid="ignore"):
            conditions = _Conditions(columns, self.wanted, is_strict=self.is_strict)
            total = np.zeros((self.n_targets, columns.shape[1]), dtype=np.float32)
            total += self.base[:, None]
            numbered = _Numbered(total)
            for tree in self.trees:
                numbered.add(*_leaves(tree, conditions))
            numbered.flush()
        # One feature after another reads each column once; the next block will mostly ask the same.
        self.wanted = tuple(sorted(conditions.known))
        return total.T.astype(np.float64)


def _trees(given: Any, modes: NDArray[Any], n_targets: int) -> list[_Tree]:  # noqa: ANN401
    numbers = given["nodes_treeids"]
    starts = np.flatnonzero(np.concatenate([[True], numbers[1:] != numbers[:-1]]))
    bounds = [*starts.tolist(), len(numbers)]
    missing = given.get("nodes_missing_value_tracks_true")
    missing = np.zeros(len(numbers), dtype=np.int64) if missing is None else missing
    value = np.zeros((len(numbers), n_targets), dtype=np.float32)
    first = dict(zip(numbers[starts].tolist(), starts.tolist(), strict=True))
    place = np.array([first[t] for t in given["target_treeids"].tolist()]) + given["target_nodeids"]
    value[place, given["target_ids"]] = given["target_weights"]
    feature = np.where(modes == b"LEAF", -1, given["nodes_featureids"])
    found = []
    for start, stop in itertools.pairwise(bounds):
        part = slice(start, stop)
        if not np.array_equal(given["nodes_nodeids"][part], np.arange(stop - start)):
            raise IntegrityError("The nodes of the model's trees are not in order.")
        found.append(
            _Tree(
                feature[part].tolist(), given["nodes_values"][part].tolist(), given["nodes_truenodeids"][part].tolist(),
                given["nodes_falsenodeids"][part].tolist(), missing[part].astype(bool).tolist(), value[part],
            )
        )  # fmt: skip
    return found


class _Conditions:
    """Comparisons of the rows at hand with thresholds, each made once."""

    def __init__(self, columns: Single, wanted: Sequence[Asked], *, is_strict: bool) -> None:
        self.columns, self.is_strict = columns, is_strict
        # Where a value is missing, so is the smallest; only there is it looked for among the others, which takes long.
        lowest, highest = columns.min(axis=1), columns.max(axis=1)
        gaps = np.isnan(lowest)
        lowest[gaps], highest[gaps] = (of.reduce(columns[gaps], axis=1) for of in (np.fmin, np.fmax))
        self.lowest, self.highest, self.has_gaps = lowest.tolist(), highest.tolist(), gaps.tolist()
        n = columns.shape[1]
        self.n_bytes = -(-n // 64) * 8
        self.all_rows = self._packed(np.ones(n, dtype=np.bool_))
        self.known: dict[Asked, Words] = {}
        self.buffer = np.empty(n, dtype=np.bool_)
        for asked in wanted:
            if self.always(asked) is None:
                self.holds(asked)

    def _packed(self, rows: NDArray[np.bool_]) -> Words:
        packed = np.packbits(rows)
        if len(packed) < self.n_bytes:
            packed = np.concatenate([packed, np.zeros(self.n_bytes - len(packed), dtype=np.uint8)])
        return packed.view(np.uint64)

    def always(self, asked: Asked) -> bool | None:
        """Tell whether a comparison holds for all rows, for none (False), or for some (None)."""
        feature, threshold, missing_is_true = asked
        low, high = self.lowest[feature], self.highest[feature]
        some_true = low < threshold if self.is_strict else low <= threshold
        some_false = high >= threshold if self.is_strict else high > threshold
        if self.has_gaps[feature]:
            some_true, some_false = some_true or missing_is_true, some_false or not missing_is_true
        return None if some_true and some_false else some_true

    def holds(self, asked: Asked) -> Words:
        """Return the rows for which a comparison holds, 64 to a word."""
        feature, threshold, missing_is_true = asked
        key = (feature, threshold, missing_is_true and self.has_gaps[feature])
        words = self.known.get(key)
        if words is None:
            compare = np.less if self.is_strict else np.less_equal
            compare(self.columns[feature], np.float32(threshold), out=self.buffer)
            if key[2]:
                self.buffer |= np.isnan(self.columns[feature])
            words = self.known[key] = self._packed(self.buffer)
        return words


def _leaves(tree: _Tree, conditions: _Conditions) -> tuple[Single, list[Words]]:
    """Return the values of the leaves that some rows reach, shape (leaves, targets), and the rows of each."""
    leaves: list[int] = []
    rows_of: list[Words] = []
    waiting = [(0, conditions.all_rows)]
    feature, threshold, missing = tree.feature, tree.threshold, tree.missing_is_true
    while waiting:
        node, rows = waiting.pop()
        while feature[node] >= 0:
            asked = feature[node], threshold[node], missing[node]
            known = conditions.always(asked)
            if known is None:
                inside = conditions.holds(asked) & rows
                waiting.append((tree.when_false[node], rows ^ inside))
                node, rows = tree.when_true[node], inside
            else:
                node = tree.when_true[node] if known else tree.when_false[node]
        leaves.append(node)
        rows_of.append(rows)
    return tree.value[leaves], rows_of


class _Numbered:
    """Adds trees to the totals, several at a time: the leaves of a row in each make one number, that is looked up."""

    def __init__(self, total: Single) -> None:
        self.total, self.n = total, total.shape[1]
        self._clear()

    def _clear(self) -> None:
        self.table = np.zeros((len(self.total), 1), dtype=np.float32)
        self.planes: list[Words] = []

    def add(self, values: Single, rows_of: Sequence[Words]) -> None:
        """Add a tree, given the values of its leaves, shape (leaves, targets), and the rows of each."""
        if len(values) == 1:
            self.total += values[0][:, None]
            return
        n_planes = (len(values) - 1).bit_length()
        if self.planes and len(self.planes) + n_planes > MOST_PLANES:
            self.flush()
        padded = np.zeros((2**n_planes, values.shape[1]), dtype=np.float32)
        padded[: len(values)] = values
        # The planes of a later tree are the lower bits of the number.
        self.table = (self.table[:, :, None] + padded.T[:, None, :]).reshape(len(self.total), -1)
        self.planes += [_plane(rows_of, bit) for bit in reversed(range(n_planes))]

    def flush(self) -> None:
        """Look up what waits and add it."""
        if not self.planes:
            return
        # Byte by byte, so that sums run over the shortest numbers.
        place = np.zeros(self.n, dtype=np.intp)
        for start in range(-(-len(self.planes) % 8), len(self.planes), 8):
            place <<= 8
            place |= _joined_bits(self.planes[max(start, 0) : start + 8], self.n)
        for target, table in enumerate(self.table):
            self.total[target] += table.take(place)
        self._clear()


def _joined_bits(planes: Sequence[Words], n: int) -> NDArray[np.uint8]:
    """Return the number that up to eight bits of each row make, highest first, shape (n,)."""
    first, *others = planes
    number = np.unpackbits(first.view(np.uint8), count=n)
    for words in others:
        number += number
        number |= np.unpackbits(words.view(np.uint8), count=n)
    return number


def _plane(rows_of: Sequence[Words], bit: int) -> Words:
    """Return the rows whose leaf's number has a bit, by runs: what changes from one leaf to the next."""
    here = [rows for i, rows in enumerate(rows_of) if i >> bit & 1]
    words = here[0].copy()
    for rows in here[1:]:
        words |= rows
    return words
