"""The promoted conductivity model for many rows at once: the same numbers as the ONNX graphs, several times sooner.

Three things make the difference, none of which changes the model. Columns that do not vary among the rows at hand
enter distances as constants; the correlation of processing is computed once for each way of making; and the variance,
a sum of squares, is taken on the subspace in which the candidates of a space lie. The last is the
only approximation besides single precision: its rank is chosen so that half widths move by less than `WIDTH_LIMIT`, and
rows of every block are checked against the whole form.
"""

from __future__ import annotations

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
TURNED = 256
"""Rows turned into columns at once: they stay in the cache."""
LEAST_ROWS = 2048
"""Fewer rows than this go through the ONNX graphs: learning the subspace would cost more than it saves."""
N_LEARNED = 1024
N_CHECKED = 64
WIDEST = 0.8
"""A subspace of more than this share of the whole saves nothing."""
COLUMNS = "columns"
"""What the graph calls the features with one sample in each column."""
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
    """How correlations add up to what is squared in one half of the quadratic form.

    Attributes:
        prefactor: Of the sum of kernels with the amplitudes of A, shape (u, r); None where it is nought.
        energy: Of the sum with the amplitudes of E, shape (u, r).
        processed: Of the product of descriptors and processing, shape (p, r).
        constant: What is added to all, shape (r,).
        of_family: What is added for each family, shape (families, r).
    """

    prefactor: Array | None
    energy: Array
    processed: Array
    constant: Array
    of_family: Array

    def on(self, directions: Array | None = None, beyond: float = 0.0) -> _Form:
        """Return the form on some directions, shape (r, k), or on all."""

        def projected(values: Array) -> Single:
            return np.asarray(values if directions is None else values @ directions, dtype=np.float32)

        return _Form(
            None if self.prefactor is None else projected(self.prefactor), projected(self.energy),
            projected(self.processed), projected(self.constant), projected(self.of_family), np.float32(beyond),
        )  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class _Form:
    """A half of the quadratic form on the subspace of one space; its attributes are those of `_Side`.

    Attributes:
        beyond: Mean of what lies outside the subspace.
    """

    prefactor: Single | None
    energy: Single
    processed: Single
    constant: Single
    of_family: Single
    beyond: np.float32

    @property
    def rank(self) -> int:
        """How many directions the subspace has."""
        return len(self.constant)

    def half(self, near: _Near) -> Single:
        """Return what is squared of each row, shape (n, k)."""
        total = near.by_e @ self.energy
        total += near.processed @ self.processed
        if self.prefactor is not None:
            total += near.by_a @ self.prefactor
        total += (near.kinds @ self.of_family + self.constant)[near.kin]
        return np.asarray(total)

    def __call__(self, near: _Near) -> Single:
        """Return the form of each row, shape (n,)."""
        half = self.half(near)
        half *= half
        return np.asarray(half @ np.ones(half.shape[1], dtype=np.float32) + self.beyond)


@dataclass(frozen=True, eq=False, slots=True)
class _Near:
    """How near some rows are to what was learned from, as the quadratic form takes it.

    Attributes:
        by_a: Sum of the kernels of composition with the amplitudes of A, shape (n, u).
        by_e: The same with those of E.
        processed: The product of descriptors and processing, shape (n, p).
        kinds: Columns of the families at hand, shape (kinds, families).
        kin: Which of them each row has, shape (n,).
    """

    by_a: Single
    by_e: Single
    processed: Single
    kinds: Single
    kin: NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """What is needed of the rows at hand before their correlations are taken.

    Attributes:
        features: The rows, shape (n, f).
        distances: Those of each block of composition.
        way: Way of making of each row, shape (n,).
        mean_by_way: Weights of the descriptors' correlations in the mean, by way, shape (ways, 2, compositions).
        made_by_way: Correlation of processing, by way, with each kind of row learned from, shape (ways, p).
        kinds: Columns of the families at hand, shape (kinds, families).
        kin: Which of them each row has, shape (n,).
        mean_by_kin: Constant and family parts of the mean, shape (kinds, 2).
    """

    features: Array
    distances: tuple[_Distances, ...]
    way: NDArray[np.intp]
    mean_by_way: Single
    made_by_way: Single
    kinds: Single
    kin: NDArray[np.intp]
    mean_by_kin: Array

    def take(self, rows: NDArray[np.intp]) -> _Rows:
        """Return some of the rows."""
        return replace(self, features=self.features[rows], way=self.way[rows], kin=self.kin[rows])


@dataclass(eq=False, slots=True)
class _Scratch:
    """Working arrays: the correlations of the three blocks, two of the size of one, and of the processed.

    Attributes:
        n: Compositions learned from.
        n_processed: Kinds of rows learned from.
    """

    n: int
    n_processed: int
    kernels: Single = field(init=False)
    squares: Array = field(init=False)
    root: Single = field(init=False)
    power: Single = field(init=False)
    processed: Single = field(init=False)

    def __post_init__(self) -> None:
        """Make the arrays."""
        self.kernels = np.empty((3, ROWS, self.n), dtype=np.float32)
        self.squares = np.empty((ROWS, self.n))
        self.root = np.empty((ROWS, self.n), dtype=np.float32)
        self.power = np.empty((ROWS, self.n), dtype=np.float32)
        self.processed = np.empty((ROWS, self.n_processed), dtype=np.float32)


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
        source, start, stop, axis = self.node(name, "Slice").inputs
        if source != COLUMNS or int(self.constant(axis)[0]) != 0:
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
        return self.columns(difference.inputs[0]), mean.ravel(), scale.ravel()

    def matern(self, name: str) -> _Block:
        polynomial, power = self.node(name, "Div").inputs
        r, square, one = self.node(polynomial, "Sum").inputs
        distance, third = self.node(square, "Mul").inputs
        shifted, squares = self.node(self.node(distance, "Relu").inputs[0], "Add").inputs
        product, constant = self.node(shifted, "Add").inputs
        doubled, scaled = self.node(product, "MatMul").inputs
        block, factor = self.node(scaled, "Mul").inputs
        trained = self.constant(doubled) / -2
        is_expected = (
            self.node(power, "Exp").inputs == (r,) and self.node(r, "Sqrt").inputs == (distance,)
            and self.node(squares, "ReduceSumSquare").inputs[0] == scaled and float(self.constant(one)) == 1.0
            and abs(float(self.constant(third)) - 1 / 3) < 1e-12
            and np.allclose(self.constant(constant).ravel(), (trained**2).sum(axis=1))
        )  # fmt: skip
        if not is_expected:
            raise IntegrityError("The process of the model has another correlation than the one that is expected.")
        columns, mean, scale = self.block(block)
        return _Block(columns, mean, scale, trained, float(self.constant(factor)))

    def product(self, name: str) -> tuple[slice, Array]:
        """Read the product of a matrix with some columns."""
        matrix, source = self.node(name, "MatMul").inputs
        return self.columns(source), self.constant(matrix).T

    def weighted(self, name: str) -> tuple[str, Array]:
        """Read which correlations are summed, and their weights, shape (u, k)."""
        matrix, source = self.node(name, "MatMul").inputs
        return source, self.constant(matrix).T

    def gathered(self, name: str) -> tuple[str, NDArray[np.intp]]:
        """Read which correlations are taken from which others."""
        source, index = self.node(name, "Gather").inputs
        return source, np.asarray(self.graph.constants[index], dtype=np.intp)

    def turned(self, name: str) -> str:
        """Return what is transposed."""
        return self.node(name, "Transpose").inputs[0]

    def halves(self, name: str) -> tuple[_Half, _Half]:
        """Read the two halves of the quadratic form."""
        sums = self.node(self.turned(name), "Concat").inputs
        pairs = [self.node(self.node(one, "ReduceSum").inputs[0], "Mul").inputs for one in sums]
        of_a, of_e = pairs[1]
        if pairs != [(of_a, of_a), (of_a, of_e), (of_e, of_e)] or of_a == of_e:
            raise IntegrityError("The process of the model multiplies other halves than is expected.")
        (first, split), (second, other) = self.half(of_a), self.half(of_e)
        source, weights = self.weighted(split[0])
        if split != other:
            raise IntegrityError("The two halves of the model's process are not of one product.")
        made = np.hsplit(weights, 2)
        return replace(first, made=source, processed=made[0]), replace(second, made=source, processed=made[1])

    def half(self, name: str) -> tuple[_Half, tuple[str, ...]]:
        """Read one half but for the processed part, and the split that it comes from."""
        composition, made, family, constant = self.node(name, "Sum").inputs
        source, weights = self.weighted(composition)
        terms = [self.node(term, "Mul").inputs for term in self.node(source, "Sum").inputs]
        amplitudes = np.array([float(self.constant(a)) for _, a in terms])
        kernels = tuple(kernel for kernel, _ in terms)
        found = _Half(kernels, amplitudes, weights, self.product(family), self.constant(constant).ravel())
        return found, self.node(made, "Split").inputs


@dataclass(frozen=True, eq=False, slots=True)
class _Half:
    """One half of the quadratic form as it stands in the graph.

    Attributes:
        kernels: The correlations of composition.
        amplitudes: Weight of each in their sum.
        composition: From that sum to what is squared, shape (u, r).
        family: Columns of the family, and what each adds, shape (families, r).
        constant: What is added to all, shape (r,).
        made: The product of descriptors and processing.
        processed: From that to what is squared, shape (p, r).
    """

    kernels: tuple[str, ...]
    amplitudes: Array
    composition: Array
    family: tuple[slice, Array]
    constant: Array
    made: str = ""
    processed: Array = field(default_factory=lambda: np.empty((0, 0)))


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
        if self.forms is not None and self.forms[0].rank < len(self.parts[0].constant):
            # The subspace learned from the first block does not hold this one: take all of it from now on.
            self.forms = self._whole()
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
        columns = np.empty(features.shape[::-1], dtype=np.float32)
        for start in range(0, len(features), TURNED):
            columns[:, start : start + TURNED] = features[start : start + TURNED].T
        boosted, is_glass = self.boosted(columns), is_oxide_glass(features)
        glasses = columns[:, is_glass] if is_glass.any() else None
        for column in map(columns.__getitem__, np.flatnonzero(np.isnan(columns.min(axis=1)))):
            column[np.isnan(column)] = self.missing
        grown = self.grown(columns)
        if glasses is not None and self.of_glasses:
            grown[is_glass] = np.hstack([trees(glasses) for trees in self.of_glasses]) + self.glass_start
        return np.asarray(np.hstack([boosted, grown]) @ self.shares)

    def _read_trees(self, graph: Graph) -> None:
        self.missing = np.float32(graph.constants["missing"])
        self.shares = graph.constants["shares"].astype(np.float64)
        self.boosted, self.grown = PackedTrees(graph.nodes["boosted"]), PackedTrees(graph.nodes["grown"])
        # A model that learned from no oxide glass has no trees for them.
        names = ("glass_cold", "glass_hot") if "answered" in graph.nodes else ()
        self.of_glasses = tuple(PackedTrees(graph.nodes[name]) for name in names)
        self.glass_start = graph.constants["glass_start"] if names else np.zeros(2)

    def _read_process(self, reader: _Reader) -> None:
        if reader.turned(COLUMNS) != "features":
            raise IntegrityError("The process of the model takes something else than its features.")
        of_family, *products, mean = reader.node(reader.turned("latent"), "Sum").inputs
        *terms, (processed, made_weights) = map(reader.weighted, products)
        names = tuple(kernel for kernel, _ in terms)
        self.blocks = tuple(map(reader.matern, names))
        if len({len(block.trained) for block in self.blocks}) != 1 or len(names) != DESCRIBED + 2:
            raise IntegrityError("The process of the model learned from other compositions in each block.")
        self.mean = reader.constant(mean).ravel()
        self.family_columns, self.family_weights = reader.product(of_family)
        self.weights = tuple(w.astype(np.float32) for _, w in terms)
        (described, self.composition), (way, self.way_place) = map(
            reader.gathered, reader.node(processed, "Mul").inputs
        )
        if described != names[DESCRIBED]:
            raise IntegrityError("The process of the model multiplies other correlations than is expected.")
        made, phase = reader.node(way, "Mul").inputs
        source, self.made_place = reader.gathered(made)
        self.made = reader.matern(source)
        self.phase_columns, self.of_phase = reader.product(phase)
        self.made_weights = made_weights
        self.to_composition = np.zeros((len(self.composition), len(self.blocks[DESCRIBED].trained)), dtype=np.float32)
        self.to_composition[np.arange(len(self.composition)), self.composition] = 1
        self._read_forms(reader, names, processed)

    def _read_forms(self, reader: _Reader, names: tuple[str, ...], processed: str) -> None:
        of_a, of_e = reader.halves("reduction")
        is_expected = (
            of_a.kernels == of_e.kernels == names and of_a.made == of_e.made == processed
            and of_a.family[0] == of_e.family[0] == self.family_columns
        )  # fmt: skip
        if not is_expected:
            raise IntegrityError("The quadratic form of the model's process has other kernels than its mean.")
        self.amplitudes = of_a.amplitudes.astype(np.float32), of_e.amplitudes.astype(np.float32)
        # The variance of a conductivity is that of A + E · per_ev, so one form holds it whole.
        per_ev = self.per_ev
        self.parts = (
            _Side(
                of_a.composition, per_ev * of_e.composition, of_a.processed + per_ev * of_e.processed,
                of_a.constant + per_ev * of_e.constant, of_a.family[1] + per_ev * of_e.family[1],
            ),
            _Side(None, of_e.composition, of_e.processed, of_e.constant, of_e.family[1]),
        )  # fmt: skip

    def _whole(self) -> tuple[_Form, _Form]:
        return self.parts[0].on(), self.parts[1].on()

    def _process(self, features: Array, route: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return the mean of (A, E) and the two quadratic forms of each row, shapes (n, 2) and (n, 2)."""
        rows = self._rows(features, route)
        forms = self.forms or self._learned(rows)
        n, scratch = len(features), self._scratch()
        latent, quadratic = np.empty((n, 2), np.float32), np.empty((n, 2), np.float32)
        for start in range(0, n, ROWS):
            part = slice(start, min(start + ROWS, n))
            kernels = self._kernels(rows, part, scratch)
            latent[part] = self._mean(kernels, rows, part)
            near = self._near(kernels, rows, part, scratch)
            for j, form in enumerate(forms):
                quadratic[part, j] = form(near)
        return latent + rows.mean_by_kin[rows.kin], quadratic.astype(np.float64)

    def _scratch(self) -> _Scratch:
        return _Scratch(len(self.blocks[0].trained), len(self.composition))

    def _rows(self, features: Array, route: NDArray[np.intp]) -> _Rows:
        _, first, way = np.unique(route, return_index=True, return_inverse=True)
        x = self.made._scaled(features[first, self.made.columns])  # noqa: SLF001 - of this file
        square = _squared_distances(x, self.made.trained)
        root = np.sqrt(square)
        same = features[first][:, self.phase_columns] @ self.of_phase
        made = (((1 + root + square / 3) * np.exp(-root))[:, self.made_place] * same)[:, self.way_place]
        mean = [(made * w).astype(np.float32) @ self.to_composition for w in self.made_weights.T]
        code = np.argmax(features[:, self.family_columns], axis=1)
        _, some, kin = np.unique(code, return_index=True, return_inverse=True)
        kinds = features[some][:, self.family_columns]
        varies = ~((features == features[0]) | np.isnan(features) & np.isnan(features[0])).all(axis=0)
        return _Rows(
            features, tuple(block.distances(features, varies) for block in self.blocks), way,
            np.stack(mean, axis=1), made.astype(np.float32), kinds.astype(np.float32), kin,
            self.mean + kinds @ self.family_weights,
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

    def _near(self, kernels: Single, rows: _Rows, part: slice, scratch: _Scratch) -> _Near:
        n = part.stop - part.start
        by_a, by_e = (_weighted(kernels, of, scratch.power[:n]) for of in self.amplitudes)
        processed = np.take(kernels[DESCRIBED], self.composition, axis=1, out=scratch.processed[:n], mode="clip")
        processed *= rows.made_by_way[rows.way[part]]
        return _Near(by_a, by_e, processed, rows.kinds, rows.kin[part])

    def _learned(self, rows: _Rows) -> tuple[_Form, _Form]:
        """Learn the subspace of each side from evenly spaced rows, and choose its rank on the rows between."""
        n = len(rows.way)
        some = rows.take(np.linspace(0, n - 1, min(n, 2 * N_LEARNED)).astype(np.intp))
        scratch, whole = self._scratch(), self._whole()
        found: tuple[list[Single], list[Single]] = ([], [])
        for start in range(0, len(some.way), ROWS):
            part = slice(start, min(start + ROWS, len(some.way)))
            near = self._near(self._kernels(some, part, scratch), some, part, scratch)
            for of, form in zip(found, whole, strict=True):
                of.append(form.half(near))
        first, second = (
            _truncated(side, np.vstack(of), limit)
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


def _truncated(side: _Side, halves: Single, limit: float) -> _Form:
    """Return a form on the smallest subspace that holds it to a limit on rows not learned from.

    Args:
        side: The whole form.
        halves: What it squares of some rows, every other of which is learned from, shape (n, r).
        limit: Most that the form may be off.
    """
    whole = halves.astype(np.float64)
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
    if not is_enough.any() or rank > WIDEST * len(vectors):
        return side.on()
    return side.on(vectors[:, :rank], float(means[rank - 1]))
