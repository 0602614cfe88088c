"""The promoted conductivity model for many rows at once: the same numbers as the ONNX graphs, several times sooner.

Three things make the difference, none of which changes the model. Columns that do not vary among the rows at hand
enter distances as constants; the correlation of processing is computed once for each way of making; and the variance,
a quadratic form in 500 correlations, is taken on the subspace in which the candidates of a space lie. The last is the
only approximation besides single precision: its rank is chosen so that half widths move by less than `WIDTH_LIMIT`, and
rows of every block are checked against the whole form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nascreen.datasets import verify_file
from nascreen.errors import IntegrityError
from nascreen.features import BLOCKS
from nascreen.graphs import Graph, Node, read_graph
from nascreen.models import (
    DECADES_PER_EV,
    REFERENCE_K,
    ROOM_TEMPERATURE_C,
    ConductivityModel,
    Lines,
    is_oxide_glass,
)
from nascreen.packed_trees import PackedTrees

Array = NDArray[np.float64]
Single = NDArray[np.float32]

ROWS = 128
"""Rows whose correlations are held at once: they stay in the cache next to the processor."""
WIDTH_LIMIT, ENERGY_WIDTH_LIMIT = 1e-3, 3e-4
"""Most that the truncated quadratic form may move the half widths, in decades of conductivity and in eV."""
RESERVE = 5.0
"""How many times closer the form is held where its rank is chosen, since other rows may lie further out."""
LEAST_ROWS = 2048
"""Fewer rows than this go through the ONNX graphs: learning the subspace would cost more than it saves."""
N_LEARNED = 1024
N_CHECKED = 64
WIDEST = 0.8
"""A subspace of more than this share of the whole saves nothing."""
LARGEST_SCORE = 4.0
"""Standardised features are clipped here, as in the graph."""
DESCRIBED = 1
"""Place of the descriptors among the blocks of composition: fractions, descriptors, Magpie."""
NEAR = 0.01
"""Distances below this are taken again in double precision, so that a known composition is at 0."""


@dataclass(frozen=True, eq=False, slots=True)
class _Block:
    """A block of standardised features and its distances to the rows learned from.

    Attributes:
        columns: Where the block stands among the features.
        mean: Subtracted from each column; None where the square root is taken instead.
        scale: Each column is divided by it.
        trained: Rows learned from, scaled so that a distance is the argument of the correlation, shape (N, d).
        factor: By how much a standardised row is scaled likewise.
    """

    columns: slice
    mean: Array | None
    scale: Array
    trained: Array
    factor: float

    def distances(self, features: Array, varies: NDArray[np.bool_]) -> _Distances:
        """Prepare the distances of rows, given which of the features vary among them.

        Columns that do not vary are taken together into one constant for each row learned from.
        """
        here = varies[self.columns]
        some = self._scaled(features[:: max(1, len(features) // N_LEARNED), self.columns])
        still = some[:1, ~here] - self.trained[:, ~here]
        centre = some[:, here].mean(axis=0)  # near nought, the difference loses least
        trained = self.trained[:, here] - centre
        constant = (trained**2).sum(axis=1) + (still**2).sum(axis=1)
        right = np.vstack([-2 * trained.T, np.ones((1, len(trained))), constant[None]])
        part = replace(
            self,
            mean=None if self.mean is None else self.mean[here],
            scale=self.scale if self.mean is None else self.scale[here],
        )
        return _Distances(part, np.flatnonzero(here) + self.columns.start, centre, right)

    def _scaled(self, part: Array) -> Array:
        """Return columns of this block as the correlation sees them, shape (n, d)."""
        if self.mean is None:
            return np.asarray(np.sqrt(part) * self.factor)
        z = (part - self.mean) / self.scale
        z[np.isnan(z)] = 0.0
        np.maximum(z, -LARGEST_SCORE, out=z)
        np.minimum(z, LARGEST_SCORE, out=z)
        z *= self.factor
        return np.asarray(z)


@dataclass(frozen=True, eq=False, slots=True)
class _Distances:
    """Squared distances of rows to those learned from, as one product of matrices.

    Attributes:
        block: The block, its columns that do not vary left out.
        columns: The others, as places among the features, shape (d,).
        centre: Subtracted from the scaled columns, shape (d,).
        right: The second factor, shape (d + 2, N).
    """

    block: _Block
    columns: NDArray[np.intp]
    centre: Array
    right: Array

    def left(self, features: Array) -> Array:
        """Return the first factor of some rows, shape (n, d + 2)."""
        x = self.block._scaled(features[:, self.columns])  # noqa: SLF001 - of this file
        x -= self.centre
        out = np.empty((len(x), len(self.columns) + 2))
        out[:, :-2] = x
        out[:, -2] = np.einsum("ij,ij->i", x, x)
        out[:, -1] = 1
        return out


@dataclass(frozen=True, eq=False, slots=True)
class _Side:
    """How the correlations at the basis rows add up to one half of the quadratic form.

    Attributes:
        prefactor: Weight of the sum of kernels with the amplitudes of A, shape (m,); None where it is nought.
        energy: Weight of the sum with the amplitudes of E, shape (m,).
        constant: What is added to all, shape (m,).
        of_family: What is added for each family, shape (families, m).
        processed: Weight of the product of descriptors and processing, shape (m,).
        whiten: From the m correlations to what is squared, shape (m, m).
    """

    prefactor: Single | None
    energy: Single
    constant: Array
    of_family: Array
    processed: Array
    whiten: Array


@dataclass(frozen=True, eq=False, slots=True)
class _Form:
    """A quadratic form of correlations on the subspace of one space.

    Attributes:
        project: From the m correlations to what is squared, shape (m, r).
        beyond: Mean of what lies outside the subspace.
    """

    project: Single
    beyond: np.float32

    def __call__(self, correlations: Single) -> Single:
        """Return the form of each row of correlations, shape (n, m)."""
        half = correlations @ self.project
        half *= half
        return np.asarray(half @ np.ones(half.shape[1], dtype=np.float32) + self.beyond)


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """What is needed of the rows at hand before their correlations are taken.

    Attributes:
        features: The rows, shape (n, f).
        distances: Those of each block of composition.
        way: Way of making of each row, shape (n,).
        mean_by_way: Weights of the descriptors' correlations in the mean, by way, shape (ways, 2, compositions).
        form_by_way: Weights of the same at the basis rows for each side, by way, shapes (ways, m).
        kin: Which family each row has among those at hand, shape (n,).
        mean_by_kin: Constant and family parts of the mean, shape (kinds, 2).
        form_by_kin: The same at the basis rows for each side, shapes (kinds, m).
    """

    features: Array
    distances: tuple[_Distances, ...]
    way: NDArray[np.intp]
    mean_by_way: Single
    form_by_way: tuple[Single, Single]
    kin: NDArray[np.intp]
    mean_by_kin: Array
    form_by_kin: tuple[Single, Single]

    def take(self, rows: NDArray[np.intp]) -> _Rows:
        """Return some of the rows."""
        return replace(self, features=self.features[rows], way=self.way[rows], kin=self.kin[rows])


@dataclass(eq=False, slots=True)
class _Scratch:
    """Working arrays: the correlations of the three blocks, and two of the size of one.

    Attributes:
        n: Compositions learned from.
    """

    n: int
    kernels: Single = field(init=False)
    squares: Array = field(init=False)
    root: Single = field(init=False)
    power: Single = field(init=False)

    def __post_init__(self) -> None:
        """Make the arrays."""
        self.kernels = np.empty((3, ROWS, self.n), dtype=np.float32)
        self.squares = np.empty((ROWS, self.n))
        self.root = np.empty((ROWS, self.n), dtype=np.float32)
        self.power = np.empty((ROWS, self.n), dtype=np.float32)


class _Reader:
    """Reads the Gaussian process out of its graph; anything unexpected is an `IntegrityError`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def node(self, name: str, operator: str) -> Node:
        node = self.graph.nodes.get(name)
        if node is None or node.operator != operator:
            raise IntegrityError(f"The process of the model has no {operator} where one is expected ({name}).")
        return node

    def constant(self, name: str) -> Array:
        node = self.graph.nodes.get(name)
        source = self.node(name, "Cast").inputs[0] if node is not None else name
        return np.asarray(self.graph.constants[source], dtype=np.float64)

    def columns(self, name: str) -> slice:
        source, start, stop, _ = self.node(name, "Slice").inputs
        if source != "features":
            raise IntegrityError("The process of the model slices something else than its features.")
        return slice(int(self.constant(start)[0]), int(self.constant(stop)[0]))

    def block(self, name: str) -> tuple[slice, Array | None, Array]:
        node = self.graph.nodes[name]
        if node.operator == "Sqrt":
            return self.columns(node.inputs[0]), None, np.ones(1)
        known = self.node(self.node(name, "Clip").inputs[0], "Where")
        quotient = self.node(known.inputs[2], "Div")
        difference = self.node(quotient.inputs[0], "Sub")
        limits = [float(self.constant(c)) for c in node.inputs[1:]]
        if limits != [-LARGEST_SCORE, LARGEST_SCORE] or float(self.constant(known.inputs[1])) != 0.0:
            raise IntegrityError("The process of the model clips its features otherwise than is expected.")
        mean, scale = self.constant(difference.inputs[1]), self.constant(quotient.inputs[1])
        return self.columns(difference.inputs[0]), mean, scale

    def matern(self, name: str) -> _Block:
        polynomial, power = self.node(name, "Mul").inputs
        r, square, one = self.node(polynomial, "Sum").inputs
        third = self.node(square, "Mul")
        exponent = self.node(self.node(power, "Exp").inputs[0], "Neg").inputs[0]
        root, factor = self.node(r, "Mul").inputs
        shifted, doubled = self.node(self.node(self.node(root, "Sqrt").inputs[0], "Relu").inputs[0], "Sub").inputs
        product = self.node(self.node(doubled, "Mul").inputs[0], "MatMul").inputs
        squares = self.node(shifted, "Add").inputs[1]
        trained = self.constant(product[1]).T
        is_expected = (
            exponent == r and float(self.constant(one)) == 1.0
            and abs(float(self.constant(third.inputs[1])) - 1 / 3) < 1e-12
            and np.allclose(self.constant(squares), (trained**2).sum(axis=1))
        )  # fmt: skip
        if not is_expected:
            raise IntegrityError("The process of the model has another correlation than the one that is expected.")
        columns, mean, scale = self.block(product[0])
        of = float(self.constant(factor))
        return _Block(columns, mean, scale, trained * of, of)

    def product(self, name: str) -> tuple[slice, Array]:
        """Read the product of some columns with a matrix."""
        source, matrix = self.node(name, "MatMul").inputs
        return self.columns(source), self.constant(matrix)

    def gathered(self, name: str) -> tuple[str, NDArray[np.intp]]:
        """Read which correlations are taken from which others."""
        source, index = self.node(name, "Gather").inputs
        return source, np.asarray(self.graph.constants[index], dtype=np.intp)

    def halves(self, name: str) -> tuple[str, str, Array]:
        """Read the two halves of the quadratic form, and the matrix that whitens both."""
        pairs = [
            self.node(self.node(one, "ReduceSum").inputs[0], "Mul").inputs for one in self.node(name, "Concat").inputs
        ]
        of_a, of_e = pairs[1]
        whitened = self.node(of_a, "Split").inputs
        is_expected = pairs == [(of_a, of_a), (of_a, of_e), (of_e, of_e)] and of_a != of_e
        if not is_expected or self.node(of_e, "Split").inputs != whitened:
            raise IntegrityError("The process of the model multiplies other halves than is expected.")
        both, whiten = self.node(whitened[0], "MatMul").inputs
        first, second = self.node(both, "Concat").inputs
        return first, second, self.constant(whiten)

    def half(self, name: str) -> _Half:
        total, observed = self.node(name, "Mul").inputs
        composition, processed, family, constant = self.node(total, "Sum").inputs
        source, index = self.gathered(composition)
        terms = [self.node(term, "Mul").inputs for term in self.node(source, "Sum").inputs]
        near, amplitude = self.node(processed, "Mul").inputs
        return _Half(
            tuple(kernel for kernel, _ in terms), np.array([float(self.constant(a)) for _, a in terms]), index,
            near, float(self.constant(amplitude)), self.product(family), float(self.constant(constant)),
            self.constant(observed),
        )  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class _Half:
    """One half of the quadratic form before it is whitened, as it stands in the graph.

    Attributes:
        kernels: The correlations of composition.
        amplitudes: Weight of each.
        index: Which of their columns are taken.
        near: The correlations of processing at the basis rows.
        processed: Their weight.
        family: Columns of the family, and the weight of each at the basis rows.
        constant: What is added to all.
        observed: Factor of each basis row at the end.
    """

    kernels: tuple[str, ...]
    amplitudes: Array
    index: NDArray[np.intp]
    near: str
    processed: float
    family: tuple[slice, Array]
    constant: float
    observed: Array


class BulkModel:
    """The conductivity model at room temperature, for blocks of candidates of one space.

    It learns the subspace of the variance from the first block, so the blocks should be of one space.
    """

    def __init__(self, model: ConductivityModel) -> None:
        """Read the graphs of a promoted model.

        Graphs of another kind than those that `nascreen.export` writes are run as they are, which is slower;
        `why_graphs` then says why.

        Raises:
            IntegrityError: If a graph is not the promised one.
        """
        self.model = model
        self.per_ev = -DECADES_PER_EV / REFERENCE_K
        process, trees = (_graph_of(model, name) for name in ("process.onnx", "trees.onnx"))
        self.forms: tuple[_Form, _Form] | None = None
        self.why_graphs = ""
        try:
            self._read_process(_Reader(process))
            self._read_trees(trees)
        except (IntegrityError, KeyError, ValueError, IndexError) as error:
            self.why_graphs = f"the graphs of the model are of another kind than is expected: {error}"

    @property
    def has_learned(self) -> bool:
        """Whether the subspace of the variance is known, or none is needed."""
        return self.forms is not None or bool(self.why_graphs)

    def predict(self, features: Array, route: NDArray[np.intp]) -> dict[str, Array]:
        """Predict each row at 25 °C.

        Args:
            features: Shape (n, f).
            route: A number for each row; rows with the same number share all processing, shape (n,).

        Returns:
            ``log_sigma``, ``log_sigma_half``, ``ea_ev``, ``ea_half`` and ``novelty`` (distance to the nearest
            composition learned from), each of shape (n,).
        """
        model, is_large = self.model, len(features) >= LEAST_ROWS
        lines = self._lines(features, route) if is_large and not self.why_graphs else by_graphs(model, features)
        log_sigma, log_half = model.log_sigma(lines, np.full(len(features), ROOM_TEMPERATURE_C))
        ea, ea_half = model.ea(lines)
        novelty = self._novelty(features) if is_large else model.distance(features)
        return {
            "log_sigma": log_sigma, "log_sigma_half": log_half, "ea_ev": ea, "ea_half": ea_half, "novelty": novelty,
        }  # fmt: skip

    def _lines(self, features: Array, route: NDArray[np.intp]) -> Lines:
        """Return the lines of all rows, after those of a few were compared with the graphs."""
        latent, quadratic = self._process(features, route)
        lines = self._joined(features, latent, quadratic)
        some = np.linspace(0, len(features) - 1, N_CHECKED).astype(np.intp)
        if self._is_close(lines.take(some), self.model.lines(features[some])):
            return lines
        if self.forms is not None and self.forms[0].project.shape[1] < len(self.basis):
            # The subspace learned from the first block does not hold this one: take all of it from now on.
            self.forms = tuple(_Form(s.whiten.astype(np.float32), np.float32(0)) for s in self.parts)  # type: ignore[assignment]
            return self._lines(features, route)
        return by_graphs(self.model, features)

    def _widths(self, lines: Lines) -> tuple[Array, Array]:
        temp_c = np.full(len(lines.ea_ev), ROOM_TEMPERATURE_C)
        return self.model.log_sigma(lines, temp_c)[1], self.model.ea(lines)[1]

    def _is_close(self, lines: Lines, exact: Lines) -> bool:
        off = [np.abs(a - b).max() for a, b in zip(self._widths(lines), self._widths(exact), strict=True)]
        level = np.abs(lines.log_sigma_25 - exact.log_sigma_25).max()
        return bool(level <= WIDTH_LIMIT and off[0] <= WIDTH_LIMIT and off[1] <= ENERGY_WIDTH_LIMIT)

    def _tolerances(self, features: Array) -> tuple[float, float]:
        """Return how far the two variances may be off, from the narrowest interval of the families at hand."""
        noise, intervals = self.model.card["noise_variance"], self.model.card["interval"]
        codes = np.unique(np.argmax(features[:, self.family_columns], axis=1))
        names = [self.model.card["families"][code] for code in codes]
        least = (
            noise["conductivity"] + noise["paper_prefactor"] + self.per_ev**2 * noise["paper_energy"],
            noise["energy"] + noise["paper_energy"],
        )
        found = []
        for name, variance, limit in zip(("log_sigma", "ea_ev"), least, (WIDTH_LIMIT, ENERGY_WIDTH_LIMIT), strict=True):
            factors = intervals[name]
            widest = max(factors["by_family"].get(family, factors["overall"]) for family in names)
            found.append(float(2 * np.sqrt(variance) * limit / widest / RESERVE))
        return found[0], found[1]

    def _joined(self, features: Array, latent: Array, quadratic: Array) -> Lines:
        # Any split of the variance at this one temperature between A and E will do; the cross term is taken as nought.
        at_temperature, energy = quadratic.T
        reduction = np.column_stack([at_temperature - self.per_ev**2 * energy, np.zeros(len(energy)), energy])
        return self.model.joined_lines(features, latent, reduction, self._trees(features))

    def _novelty(self, features: Array) -> Array:
        """Return the distance of each composition to the nearest one learned from, shape (n,)."""
        roots = np.sqrt(features[:, BLOCKS["fraction"]])
        known = self.model.known_fractions
        varies = np.ptp(roots, axis=0) > 0
        still = ((roots[0, ~varies] - known[:, ~varies]) ** 2).sum(axis=1)
        left, right = roots[:, varies].astype(np.float32), known[:, varies]
        constant = ((right**2).sum(axis=1) + still).astype(np.float32)
        other = np.ascontiguousarray(-2 * right.T, dtype=np.float32)
        squares = np.empty(len(roots))
        for start in range(0, len(roots), ROWS):
            product = left[start : start + ROWS] @ other
            product += constant
            squares[start : start + ROWS] = product.min(axis=1)
        squares += (roots[:, varies] ** 2).sum(axis=1)
        found = np.sqrt(np.maximum(squares, 0))
        again = np.flatnonzero((squares < NEAR**2) | is_oxide_glass(features))
        found[again] = self.model.distance(features[again])
        return np.asarray(found)

    def _trees(self, features: Array) -> Array:
        columns = np.ascontiguousarray(features.T, dtype=np.float32)
        boosted = self.boosted(columns)
        columns[np.isnan(columns)] = self.missing
        return np.asarray(np.hstack([boosted, self.grown(columns)]) @ self.shares)

    def _read_trees(self, graph: Graph) -> None:
        self.missing = np.float32(graph.constants["missing"])
        self.shares = graph.constants["shares"].astype(np.float64)
        self.boosted, self.grown = PackedTrees(graph.nodes["boosted"]), PackedTrees(graph.nodes["grown"])

    def _read_process(self, reader: _Reader) -> None:
        of_family, *products, mean = reader.node("latent", "Sum").inputs
        terms = [reader.node(name, "MatMul").inputs for name in products]
        *names, processed = [kernel for kernel, _ in terms]
        *weights, made_weights = [reader.constant(w) for _, w in terms]
        self.blocks = tuple(map(reader.matern, names))
        if len({len(block.trained) for block in self.blocks}) != 1 or len(names) != DESCRIBED + 2:
            raise IntegrityError("The process of the model learned from other compositions in each block.")
        self.mean = reader.constant(mean)
        self.family_columns, self.family_weights = reader.product(of_family)
        self.weights = tuple(w.astype(np.float32) for w in weights)
        pair, phase = reader.node(processed, "Mul").inputs
        (described, composition), (made, self.made_place) = map(reader.gathered, reader.node(pair, "Mul").inputs)
        if described != names[DESCRIBED]:
            raise IntegrityError("The process of the model multiplies other correlations than is expected.")
        self.made = reader.matern(made)
        self.phase_columns, self.of_phase = reader.product(phase)
        self.made_weights = made_weights
        self.to_composition = np.zeros((len(composition), len(self.blocks[DESCRIBED].trained)), dtype=np.float32)
        self.to_composition[np.arange(len(composition)), composition] = 1
        self._read_forms(reader, names, processed, composition)

    def _read_forms(self, reader: _Reader, names: Sequence[str], processed: str, composition: NDArray[np.intp]) -> None:
        *halves, whiten = reader.halves("reduction")
        of_a, of_e = map(reader.half, halves)
        source, self.basis_made = reader.gathered(of_a.near)
        self.basis = of_a.index
        is_expected = (
            of_a.kernels == of_e.kernels == tuple(names) and of_a.near == of_e.near and source == processed
            and np.array_equal(of_a.index, of_e.index)
            and np.array_equal(self.basis, composition[self.basis_made])
            and of_a.family[0] == of_e.family[0] == self.family_columns
        )  # fmt: skip
        if not is_expected:
            raise IntegrityError("The quadratic form of the model's process has other kernels than its mean.")
        self.amplitudes = of_a.amplitudes.astype(np.float32), of_e.amplitudes.astype(np.float32)
        # The variance of a conductivity is that of A + E · per_ev, so one form holds it whole.
        a, e = of_a.observed, self.per_ev * of_e.observed
        self.parts = (
            _Side(
                a.astype(np.float32), e.astype(np.float32), of_a.constant * a + of_e.constant * e,
                of_a.family[1] * a + of_e.family[1] * e, of_a.processed * a + of_e.processed * e, whiten,
            ),
            _Side(
                None, of_e.observed.astype(np.float32), of_e.constant * of_e.observed,
                of_e.family[1] * of_e.observed, of_e.processed * of_e.observed, whiten,
            ),
        )  # fmt: skip

    def _process(self, features: Array, route: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return the mean of (A, E) and the two quadratic forms of each row, shapes (n, 2) and (n, 2)."""
        rows = self._rows(features, route)
        forms = self.forms or self._learned(rows)
        n, scratch = len(features), _Scratch(len(self.blocks[0].trained))
        latent, quadratic = np.empty((n, 2), np.float32), np.empty((n, 2), np.float32)
        for start in range(0, n, ROWS):
            part = slice(start, min(start + ROWS, n))
            kernels = self._kernels(rows, part, scratch)
            latent[part] = self._mean(kernels, rows, part)
            for j, near in enumerate(self._near(kernels, rows, part, scratch)):
                quadratic[part, j] = forms[j](near)
        return latent + rows.mean_by_kin[rows.kin], quadratic.astype(np.float64)

    def _rows(self, features: Array, route: NDArray[np.intp]) -> _Rows:
        _, first, way = np.unique(route, return_index=True, return_inverse=True)
        x = self.made._scaled(features[first, self.made.columns])  # noqa: SLF001 - of this file
        square = _squared_distances(x, self.made.trained)
        root = np.sqrt(square)
        same = features[first][:, self.phase_columns] @ self.of_phase
        made = ((1 + root + square / 3) * np.exp(-root))[:, self.made_place] * same
        mean = [(made * w).astype(np.float32) @ self.to_composition for w in self.made_weights.T]
        code = np.argmax(features[:, self.family_columns], axis=1)
        _, some, kin = np.unique(code, return_index=True, return_inverse=True)
        kind = features[some][:, self.family_columns]
        of_a, of_e = ((side.constant + kind @ side.of_family).astype(np.float32) for side in self.parts)
        by_a, by_e = ((made[:, self.basis_made] * side.processed).astype(np.float32) for side in self.parts)
        varies = ~((features == features[0]) | np.isnan(features) & np.isnan(features[0])).all(axis=0)
        return _Rows(
            features, tuple(block.distances(features, varies) for block in self.blocks), way,
            np.stack(mean, axis=1), (by_a, by_e), kin, self.mean + kind @ self.family_weights, (of_a, of_e),
        )  # fmt: skip

    def _kernels(self, rows: _Rows, part: slice, scratch: _Scratch) -> Single:
        """Return the correlations of some rows with each composition: fractions, descriptors, Magpie, (3, n, u)."""
        n = part.stop - part.start
        kernels = scratch.kernels[:, :n]
        for i, distances in enumerate(rows.distances):
            # Distances are differences of large numbers, so that they alone need double precision.
            squares = np.matmul(distances.left(rows.features[part]), distances.right, out=scratch.squares[:n])
            np.maximum(squares, 0, out=kernels[i], casting="same_kind")
            _matern(kernels[i], scratch.root[:n], scratch.power[:n])
        return kernels

    def _mean(self, kernels: Single, rows: _Rows, part: slice) -> Single:
        total = np.einsum("nu,ntu->nt", kernels[DESCRIBED], rows.mean_by_way[rows.way[part]])
        for kernel, weights in zip(kernels, self.weights, strict=True):
            total += kernel @ weights
        return np.asarray(total)

    def _near(self, kernels: Single, rows: _Rows, part: slice, scratch: _Scratch) -> Iterator[Single]:
        """Yield the correlations with the basis rows for each side, shape (n, m)."""
        n = part.stop - part.start
        by_a, by_e = (_weighted(kernels, of, scratch.power[:n]) for of in self.amplitudes)
        at = self.basis
        by_a, by_e, described = by_a.take(at, axis=1), by_e.take(at, axis=1), kernels[DESCRIBED].take(at, axis=1)
        for j, side in enumerate(self.parts):
            total = rows.form_by_way[j][rows.way[part]]
            total *= described
            total += rows.form_by_kin[j][rows.kin[part]]
            total += by_e * side.energy
            if side.prefactor is not None:
                by_a *= side.prefactor
                total += by_a
            yield total

    def _learned(self, rows: _Rows) -> tuple[_Form, _Form]:
        """Learn the subspace of each side from evenly spaced rows, and choose its rank on the rows between."""
        n = len(rows.way)
        some = rows.take(np.linspace(0, n - 1, min(n, 2 * N_LEARNED)).astype(np.intp))
        scratch = _Scratch(len(self.blocks[0].trained))
        found: tuple[list[Single], list[Single]] = ([], [])
        for start in range(0, len(some.way), ROWS):
            part = slice(start, min(start + ROWS, len(some.way)))
            kernels = self._kernels(some, part, scratch)
            for near, of in zip(self._near(kernels, some, part, scratch), found, strict=True):
                of.append(near)
        first, second = (
            _truncated(side.whiten, np.vstack(of), limit)
            for side, of, limit in zip(self.parts, found, self._tolerances(rows.features), strict=True)
        )
        self.forms = (first, second)
        return self.forms


def _graph_of(model: ConductivityModel, name: str) -> Graph:
    verify_file(model.folder / name, model.card["files"][name])
    return read_graph((model.folder / name).read_bytes())


def by_graphs(model: ConductivityModel, features: Array) -> Lines:
    """Run the graphs on as many rows at a time as stay in the cache."""
    parts = [model.lines(features[start : start + ROWS]) for start in range(0, len(features), ROWS)]
    return Lines(
        np.concatenate([part.log_sigma_25 for part in parts]),
        np.concatenate([part.ea_ev for part in parts]),
        np.concatenate([part.covariance for part in parts]),
        tuple(name for part in parts for name in part.family),
    )


def _squared_distances(left: Array, right: Array) -> Array:
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * (left @ right.T)
    return np.asarray(np.maximum(squares, 0))


def _matern(values: Single, root: Single, power: Single) -> None:
    """Turn squared distances into Matérn-5/2 correlations, in place."""
    np.sqrt(values, out=root)
    np.exp(root, out=power)
    values *= np.float32(1 / 3)
    values += root
    values += np.float32(1)
    values /= power


def _weighted(kernels: Single, weights: Single, term: Single) -> Single:
    total = kernels[0] * weights[0]
    for kernel, weight in zip(kernels[1:], weights[1:], strict=True):
        np.multiply(kernel, weight, out=term)
        total += term
    return np.asarray(total)


def _truncated(whiten: Array, correlations: Single, limit: float) -> _Form:
    """Return a form on the smallest subspace that holds it to a limit on rows not learned from.

    The subspace is that of the whitened correlations, in which what is left out is what the form lacks.
    """
    whole = correlations.astype(np.float64) @ whiten
    learned, held = whole[::2], whole[1::2]
    _, vectors = np.linalg.eigh(learned.T @ learned)
    vectors = vectors[:, ::-1]
    # Column r holds what the first r + 1 directions leave out.
    beyond, missing = (
        (part**2).sum(axis=1)[:, None] - np.cumsum((part @ vectors) ** 2, axis=1) for part in (learned, held)
    )
    means = beyond.mean(axis=0)
    is_enough = np.maximum(np.abs(missing - means).max(axis=0), np.abs(beyond - means).max(axis=0)) <= limit
    rank = int(np.argmax(is_enough)) + 1
    if not is_enough.any() or rank > WIDEST * len(whiten):
        return _Form(whiten.astype(np.float32), np.float32(0))
    return _Form((whiten @ vectors[:, :rank]).astype(np.float32), np.float32(means[rank - 1]))
