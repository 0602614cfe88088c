"""Trained models to files: ONNX graphs, arrays and cards in ``models/``."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen import __version__, gaussian
from nascreen.cards import CONDUCTIVITY_TEXT, PROMISED, STRENGTH_TEXT, calibration_svg, card_text
from nascreen.chemistry import FAMILIES, SYMBOLS
from nascreen.features import BLOCKS, FEATURE_NAMES, chemistry_of
from nascreen.gaussian import Array, ArrheniusProcess
from nascreen.intervals import COVERAGE, Calibration, conformal_factor
from nascreen.models import DOMAIN_MARGINS, GLASS, GLASS_COLUMN, STRENGTH_FEATURES, card_hash, family_of_sample
from nascreen.replicates import replicate_spread
from nascreen.shifts import Evidence, reproducibility
from nascreen.training import (
    FOREST_SETTINGS,
    GLASS_TREE_SETTINGS,
    HOT_DECADES_PER_EV,
    MISSING,
    N_FOLDS,
    N_FOREST_TREES,
    N_GLASS_TREES,
    N_TREES,
    PAPER_SD,
    SPREAD_RANK,
    TAUGHT_BY,
    TREE_SETTINGS,
    UNSEEN_FAMILY_SD,
    WITHIN_SD,
    BoostedLines,
    ConductivityModel,
    CrossValidation,
    Rows,
    ScoreRow,
    StrengthLaw,
    borrowed_lines,
    fit_conductivity,
    fit_strength,
    glass_errors,
    glass_roots,
    glass_spread,
    require,
    score_table,
    strength_observations,
)
from nascreen.verdicts import reviewed_hash, reviewed_table

OPSET = 17


class _Graph:
    """A small writer of ONNX graphs in double precision."""

    def __init__(self) -> None:
        require("onnx")
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def constant(self, values: object, dtype: type = np.float64) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values, dtype=dtype)
        return name

    def wide(self, values: Array) -> str:
        """Keep a large matrix in single precision and widen it in the graph."""
        return self("Cast", self.constant(values, np.float32), to=11)

    def __call__(self, operator: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        import onnx

        name = output or f"t{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def split(self, name: str) -> tuple[str, str]:
        """Cut a matrix into its upper and its lower half."""
        import onnx

        first, second = f"t{len(self.nodes)}", f"t{len(self.nodes)}_"
        self.nodes.append(onnx.helper.make_node("Split", [name], [first, second], axis=0))
        return first, second

    def total(self, terms: Sequence[str], output: str | None = None) -> str:
        return self("Sum", *terms, output=output)

    def model(self, n_features: int, outputs: Mapping[str, int]) -> Any:  # noqa: ANN401
        import onnx

        helper, double = onnx.helper, onnx.TensorProto.DOUBLE
        graph = helper.make_graph(
            self.nodes,
            "nascreen",
            [helper.make_tensor_value_info("features", double, [None, n_features])],
            [helper.make_tensor_value_info(name, double, [None, width]) for name, width in outputs.items()],
            [onnx.numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model


COLUMNS = "columns"
"""The features with one sample in each column: what is gathered of many samples then lies side by side."""


def _block(graph: _Graph, name: str) -> str:
    part = BLOCKS[name]
    limits = [graph.constant([value], np.int64) for value in (part.start, part.stop, 0)]
    return graph("Slice", COLUMNS, limits[0], limits[1], limits[2])


def _standard_block(graph: _Graph, model: ConductivityModel, name: str) -> str:
    part = BLOCKS[name]
    centred = graph("Sub", _block(graph, name), graph.constant(model.scaler.mean[part][:, None]))
    z = graph("Div", centred, graph.constant(model.scaler.scale[part][:, None]))
    known = graph("Where", graph("IsNaN", z), graph.constant(0.0), z)
    return graph("Clip", known, graph.constant(-4.0), graph.constant(4.0))


def _matern(graph: _Graph, block: str, trained: Array, factor: float) -> str:
    """Write the Matérn-5/2 correlation of samples with rows learned from, shape (u, n).

    Args:
        graph: Where it is written.
        block: The block of features, shape (d, n).
        trained: That of the rows learned from, shape (u, d).
        factor: What a distance is multiplied by to be the argument of the correlation.
    """
    scaled = graph("Mul", block, graph.constant(factor))
    known = (factor * trained).astype(np.float32).astype(np.float64)
    product = graph("MatMul", graph.wide(-2 * known), scaled)
    constant = graph.constant((known**2).sum(axis=1)[:, None])
    squares = graph("ReduceSumSquare", scaled, axes=[0], keepdims=1)
    distance = graph("Relu", graph("Add", graph("Add", product, constant), squares))
    r = graph("Sqrt", distance)
    third = graph("Mul", distance, graph.constant(1 / 3))
    return graph("Div", graph.total([r, third, graph.constant(1.0)]), graph("Exp", r))


@dataclass(frozen=True, eq=False, slots=True)
class _Kernel:
    """A kernel as the graph has it: many samples are of one composition or made in one way, and stand there once.

    Attributes:
        node: Its correlations with the distinct ones, shape (u, n).
        place: Which of them each row learned from is, shape (N,).
    """

    node: str
    place: NDArray[np.intp]

    def gathered(self, graph: _Graph, rows: NDArray[np.intp]) -> str:
        """Write its correlations with some of the rows learned from."""
        return graph("Gather", self.node, graph.constant(self.place[rows], np.int64), axis=0)

    def summed(self, weights: Array) -> Array:
        """Return weights of all rows learned from, shape (N, k), as those of the distinct ones, shape (u, k)."""
        found = np.zeros((int(self.place.max()) + 1, weights.shape[1]))
        np.add.at(found, self.place, weights)
        return found

    def weighted(self, graph: _Graph, weights: Array) -> str:
        """Write the sum over all rows learned from, weights of shape (N, k), as (k, n)."""
        return graph("MatMul", graph.constant(self.summed(weights).T), self.node)

    def projected(self, graph: _Graph, weights: Array) -> str:
        """Write the same for many weights, which are kept in single precision."""
        return graph("MatMul", graph.wide(self.summed(weights).T), self.node)


def _distinct(rows: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first of each kind of row, and which kind each row is."""
    _, first, place = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, place.ravel()


def _correlations(graph: _Graph, model: ConductivityModel) -> dict[str, _Kernel]:
    """Write the correlations of the blocks; those of composition have the same distinct rows."""
    process = model.process
    lengths = dict(zip(gaussian.LENGTHS, np.exp(process.parameters), strict=False))
    blocks = {"fraction": graph("Sqrt", _block(graph, "fraction"))}
    blocks |= {name: _standard_block(graph, model, name) for name in gaussian.LENGTHS[1:]}
    rows = {name: getattr(process.inputs, name) for name in blocks}
    composition = _distinct(np.hstack([rows[name] for name in blocks if name != "processing"]))
    found = {}
    for name, block in blocks.items():
        first, place = _distinct(rows[name]) if name == "processing" else composition
        size = 1 if name == "fraction" else rows[name].shape[1]
        factor = float(np.sqrt(5 / size) / lengths[name])
        found[name] = _Kernel(_matern(graph, block, rows[name][first], factor), place)
    return found


def _processed(graph: _Graph, model: ConductivityModel, field: _Kernel, made: _Kernel) -> _Kernel:
    """Write the product of descriptors, processing and phase."""
    phase = model.process.inputs.phase
    first, place = _distinct(np.column_stack([made.place, phase]))
    matched = graph("MatMul", graph.constant(phase[first]), _block(graph, "phase"))
    way = _Kernel(graph("Mul", made.gathered(graph, first), matched), place)
    first, place = _distinct(np.column_stack([field.place, way.place]))
    return _Kernel(graph("Mul", field.gathered(graph, first), way.gathered(graph, first)), place)


def process_graph(model: ConductivityModel) -> Any:  # noqa: ANN401
    """Write the Gaussian process as an ONNX graph.

    Its input is the feature matrix (n, f) in double precision. Outputs: ``latent`` (n, 2), the mean of
    (A, E); ``reduction`` (n, 3), by how much the data lower the prior variances (AA, AE, EE).
    """
    graph = _Graph()
    process = model.process
    graph("Transpose", "features", output=COLUMNS)
    found = _correlations(graph, model)
    made = found.pop("processing")
    kernels = [*found.values(), _processed(graph, model, found["field"], made)]
    constant, of_family, *weights = process.kernel_weights()
    family = _block(graph, "family")
    parts = [
        graph("MatMul", graph.constant(of_family.T @ process.inputs.family), family),
        *[kernel.weighted(graph, w) for kernel, w in zip(kernels, weights, strict=True)],
    ]
    mean = np.array([gaussian.MEAN_PREFACTOR, gaussian.MEAN_EA_EV]) + constant.sum(axis=0)
    graph("Transpose", graph.total([*parts, graph.constant(mean[:, None])]), output="latent")
    _write_reduction(graph, process, family, kernels)
    return graph.model(len(FEATURE_NAMES), {"latent": 2, "reduction": 3})


def _write_reduction(graph: _Graph, process: ArrheniusProcess, family: str, kernels: Sequence[_Kernel]) -> None:
    # Taken in double precision: in single precision, the sums would move a half width by more than 1e-5.
    projection = gaussian.spread_projection(process, SPREAD_RANK)
    *composition, processed = kernels
    squared = [amplitude**2 for amplitude in gaussian.amplitudes(process.parameters)]
    weights = [projection * observed[:, None] for observed in process.coefficients.T]
    both = np.hstack([a[-1] * w for a, w in zip(squared, weights, strict=True)])
    halves = []
    for amplitude, w, made in zip(squared, weights, graph.split(processed.projected(graph, both)), strict=True):
        constant, of_family, *of_composition, _ = amplitude
        scaled = [graph("Mul", k.node, graph.constant(a)) for k, a in zip(composition, of_composition, strict=True)]
        summed = _Kernel(graph.total(scaled), composition[0].place)
        terms = [
            summed.projected(graph, w),
            made,
            graph("MatMul", graph.constant(of_family * (w.T @ process.inputs.family)), family),
            graph.constant(constant * w.sum(axis=0)[:, None]),
        ]
        halves.append(graph.total(terms))
    products = [(halves[0], halves[0]), (halves[0], halves[1]), (halves[1], halves[1])]
    sums = [graph("ReduceSum", graph("Mul", *pair), graph.constant([0], np.int64), keepdims=1) for pair in products]
    graph("Transpose", graph("Concat", *sums, axis=0), output="reduction")


def boosted_node(trees: Any, output: str, features: str = "features") -> Any:  # noqa: ANN401
    """Convert boosted trees to one ONNX node from features (n, f) in single precision to ``output`` (n, 1)."""
    convert = require("onnxmltools").convert_xgboost
    types = require("onnxmltools.convert.common.data_types")
    initial = [("features", types.FloatTensorType([None, len(FEATURE_NAMES)]))]
    (node,) = convert(trees, initial_types=initial, target_opset=15).graph.node
    del node.input[:], node.output[:]
    node.input.append(features)
    node.output.append(output)
    node.name = output
    return node


def _not_above(thresholds: Array) -> NDArray[np.float32]:
    """Round down to single precision, so that the same single-precision features stay on the same side."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded.astype(np.float64) > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def forest_node(forest: Any, output: str) -> Any:  # noqa: ANN401
    """Convert a forest of scikit-learn to one ONNX node from ``known`` (n, f) to ``output`` (n, n_targets)."""
    import onnx

    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    nodes: dict[str, list[Any]] = {name: [] for name in names}
    leaves: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, estimator in enumerate(forest.estimators_):
        tree = estimator.tree_
        is_leaf = tree.children_left < 0
        columns = (
            np.full(tree.node_count, number), np.arange(tree.node_count), np.where(is_leaf, 0, tree.feature),
            np.where(is_leaf, "LEAF", "BRANCH_LEQ"), np.where(is_leaf, 0, _not_above(tree.threshold)),
            np.where(is_leaf, 0, tree.children_left), np.where(is_leaf, 0, tree.children_right),
        )  # fmt: skip
        for name, column in zip(names, columns, strict=True):
            nodes[name] += column.tolist()
        ends = np.flatnonzero(is_leaf)
        shares = tree.value[ends, :, 0] / len(forest.estimators_)
        for target in range(forest.n_outputs_):
            leaves["treeids"] += [number] * len(ends)
            leaves["nodeids"] += ends.tolist()
            leaves["ids"] += [target] * len(ends)
            leaves["weights"] += shares[:, target].tolist()
    attributes = {f"nodes_{k}": v for k, v in nodes.items()} | {f"target_{k}": v for k, v in leaves.items()}
    return onnx.helper.make_node(
        "TreeEnsembleRegressor", ["known"], [output], domain="ai.onnx.ml", n_targets=forest.n_outputs_, **attributes
    )


def _glass_part(trees: BoostedLines) -> tuple[list[Any], dict[str, Any]]:
    """Write the trees of oxide glasses, and put what they say of these in the place of what the forest says.

    They are given the rows of oxide glasses alone, so that others cost nothing.
    """
    import onnx

    make = onnx.helper.make_node
    nodes = [
        make("Gather", ["features", "glass_column"], ["kind"], axis=1),
        make("Greater", ["kind", "nought"], ["is_glass"]),
        make("NonZero", ["is_glass"], ["where"]),
        make("Transpose", ["where"], ["rows"]),
        make("GatherND", ["features", "rows"], ["glass_features"]),
        boosted_node(trees.cold, "glass_cold", "glass_features"),
        boosted_node(trees.hot, "glass_hot", "glass_features"),
        make("Concat", ["glass_cold", "glass_hot"], ["glass_single"], axis=1),
        make("Cast", ["glass_single"], ["glass_precise"], to=onnx.TensorProto.DOUBLE),
        make("Add", ["glass_precise", "glass_start"], ["glass"]),
        make("ScatterND", ["grown_precise", "rows", "glass"], ["answered"]),
    ]
    constants = {"glass_column": np.array(GLASS_COLUMN), "nought": np.float32(0), "glass_start": trees.start}
    return nodes, constants


def trees_graph(model: ConductivityModel) -> Any:  # noqa: ANN401
    """Write the trees of a conductivity model as an ONNX graph.

    Its input is ``features`` (n, f) in single precision, its output ``line`` (n, 3): log10 σ(25 °C) by boosted trees,
    and log10 σ(25 °C) and the activation energy by the forest, or by their own trees for oxide glasses.
    """
    import onnx

    make, single, double = onnx.helper.make_node, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE
    of_glasses, constants = ([], {}) if model.glass_trees is None else _glass_part(model.glass_trees)
    constants |= {
        "missing": np.float32(MISSING),
        "shares": np.array([[1, 0, 0], [0, 1, -1 / HOT_DECADES_PER_EV], [0, 0, 1 / HOT_DECADES_PER_EV]]),
    }
    nodes = [
        make("IsNaN", ["features"], ["gaps"]),
        make("Where", ["gaps", "missing", "features"], ["known"]),
        boosted_node(model.trees, "boosted"),
        make("Cast", ["boosted"], ["boosted_precise"], to=double),
        forest_node(model.forest, "grown"),
        make("Cast", ["grown"], ["grown_precise"], to=double),
        *of_glasses,
        make("Concat", ["boosted_precise", "answered" if of_glasses else "grown_precise"], ["parts"], axis=1),
        make("MatMul", ["parts", "shares"], ["line"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "trees",
        [onnx.helper.make_tensor_value_info("features", single, [None, len(FEATURE_NAMES)])],
        [onnx.helper.make_tensor_value_info("line", double, [None, 3])],
        [onnx.numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def strength_graph(law: StrengthLaw) -> Any:  # noqa: ANN401
    """Write the strength law: ``mean`` and ``variance`` (n, 1) of log10 of strength in MPa from its terms."""
    graph = _Graph()
    graph("MatMul", "features", graph.constant(law.coefficients[:, None]), output="mean")
    spread = graph("Mul", graph("MatMul", "features", graph.constant(law.covariance)), "features")
    graph("ReduceSum", spread, graph.constant([1], np.int64), output="variance", keepdims=1)
    return graph.model(len(law.coefficients), {"mean": 1, "variance": 1})


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_model(
    folder: Path,
    files: Mapping[str, bytes],
    card: Mapping[str, Any],
    text: str,
    figures: Mapping[str, bytes] | None = None,
) -> None:
    """Write the files of one promoted model, then the card that names their sha256.

    The card is written last: until then the old card refuses the new files. Figures are for people and are promised
    nowhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**files, **(figures or {})}.items():
        (folder / name).write_bytes(content)
    hashes = {name: sha256_of(folder / name) for name in files}
    whole = json.loads(json.dumps({**card, "files": hashes}))
    whole["card_sha256"] = card_hash(whole)
    (folder / "card.md").write_text(text, encoding="utf-8")
    (folder / "card.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


LEAST_PAPERS_TO_TRUST = 2
TRUSTED_DISTANCE_QUANTILE = 0.90
"""Beyond this share of the papers left out, the error on conductivity is more than twice that within it."""


def calibrations_of(cv: CrossValidation) -> dict[str, Calibration]:
    """Return what calibrates the intervals of each property, with families as predictions know them."""
    inferred = [family_of_sample(s) for s in cv.rows.samples]
    return {
        "log_sigma": cv.calibration(inferred, is_conductivity=True),
        "ea_ev": cv.calibration(inferred, is_conductivity=False),
    }


def _domain(rows: Rows, families: Sequence[str], cv: CrossValidation) -> dict[str, Any]:
    """Describe where trust was earned: elements, papers by family, ranges, distance of compositions."""
    counts: dict[str, set[str]] = {}
    for sample, family in zip(rows.samples, families, strict=True):
        counts.setdefault(family, set()).add(sample.group_id)
    elements = {s for sample in rows.samples for s in chemistry_of(sample.formula).composition.amounts}
    glasses = [s for s in reviewed_table("glasses") if s.quality == "ok" and family_of_sample(s) == GLASS]
    counts.setdefault(GLASS, set()).update(s.group_id for s in glasses)
    in_glasses = {e for sample in glasses for e in chemistry_of(sample.formula).composition.amounts}
    ranges = {}
    for name in DOMAIN_MARGINS:
        values = [v for s in rows.samples if (v := getattr(s, name)) is not None]
        ranges[name] = [min(values), max(values)]
    return {
        "elements": sorted(elements, key=SYMBOLS.index),
        "glass_elements": sorted(in_glasses, key=SYMBOLS.index),
        "papers_by_family": {name: len(papers) for name, papers in sorted(counts.items())},
        "least_papers": LEAST_PAPERS_TO_TRUST,
        "ranges": ranges,
        "largest_distance": round(_trusted_distance(cv), 3),
    }


def _trusted_distance(cv: CrossValidation) -> float:
    """Return the distance to the nearest composition of another fold that nine of ten scored rows stay within."""
    roots = np.sqrt(cv.rows.features[:, BLOCKS["fraction"]])
    fold = cv.folds[0]
    squares = gaussian.squared_distances(roots, roots)
    squares[fold[:, None] == fold[None]] = np.inf
    return float(np.sqrt(np.quantile(squares.min(axis=1), TRUSTED_DISTANCE_QUANTILE)))


def glass_factors(noise: Mapping[str, float]) -> dict[str, float]:
    """Return what turns the spread of an oxide glass into half an interval, from glasses whose reference was left out.

    Args:
        noise: Variances of noise and of the paper effect, as in the card.

    Returns:
        The factors of ``log_sigma`` (at 25 °C) and ``ea_ev``.
    """
    errors = glass_errors()
    n = len(errors.distance)
    paper = np.array([noise["paper_prefactor"], noise["paper_energy"]])
    out = {}
    for name, off, coefficients, own in (
        ("log_sigma", errors.off[:, 0], gaussian.conductivity_coefficients(np.full(n, 25.0)), noise["conductivity"]),
        ("ea_ev", errors.off[:, 1], gaussian.energy_coefficients(n), noise["energy"]),
    ):
        variance = glass_spread().observed(coefficients, errors.distance) + coefficients**2 @ paper + own
        out[name] = conformal_factor(np.abs(off) / np.sqrt(variance))
    return out


def conductivity_card(
    model: ConductivityModel, rows: Rows, cv: CrossValidation, scores: Sequence[ScoreRow], evidence: Evidence
) -> dict[str, Any]:
    """Return the card of the conductivity model, without the hashes of its files."""
    process = model.process
    prefactor, energy = gaussian.amplitudes(process.parameters)
    paper_a, paper_e, noise_s, noise_e = (float(v) for v in np.exp(2 * process.parameters[-4:]))
    calibrations = calibrations_of(cv)
    noise = {"paper_prefactor": paper_a, "paper_energy": paper_e, "conductivity": noise_s, "energy": noise_e}
    factors = {name: part.factors() for name, part in calibrations.items()}
    for name, factor in glass_factors(noise).items():
        factors[name]["by_family"][GLASS] = factor
    return {
        "name": "conductivity",
        "title": "Ionic conductivity and activation energy of sodium conductors",
        "version": __version__,
        "data_hash": reviewed_hash(*TAUGHT_BY),
        "n_rows": len(rows.samples),
        "n_papers": len(set(rows.groups)),
        "features": list(FEATURE_NAMES),
        "families": list(FAMILIES),
        "hyperparameters": {
            n: float(v) for n, v in zip(gaussian.PARAMETERS, np.exp(process.parameters), strict=True)
        },
        "tree_settings": {**TREE_SETTINGS, "n_trees": N_TREES},
        "forest_settings": {**FOREST_SETTINGS, "n_trees": N_FOREST_TREES},
        "glass_tree_settings": {**GLASS_TREE_SETTINGS, "n_trees": N_GLASS_TREES},
        "n_borrowed_lines": len(borrowed_lines().complete().groups),
        "prior_variance": [float((prefactor**2).sum()), 0.0, float((energy**2).sum())],
        "noise_variance": noise,
        GLASS: {
            "covariance": glass_spread().covariance.tolist(), "per_distance": glass_spread().per_distance,
            "error_log_sigma_25": float(np.abs(glass_errors().off[:, 0]).mean()),
            "error_ea_ev": float(np.abs(glass_errors().off[:, 1]).mean()),
            "n_glasses": len(glass_errors().groups), "n_references": len(set(glass_errors().groups)),
        },
        "interval": {
            "coverage": COVERAGE,
            **factors,
            "coverage_of_unseen_folds": {name: part.coverage() for name, part in calibrations.items()},
            "curve": {"promised": list(PROMISED)} | {name: part.curve(PROMISED) for name, part in calibrations.items()},
        },
        "domain": _domain(rows, [family_of_sample(s) for s in rows.samples], cv),
        "protocol": f"{N_FOLDS} folds grouped by paper, {len(cv.seeds)} shuffles, hyperparameters tuned in each fold",
        "reproducibility": {**asdict(reproducibility(cv)), "between_sd": _between_sd(cv)},
        "learning_curve": [asdict(point) for point in evidence.curve],
        "shifts": [asdict(row) for row in evidence.shifts],
        "scores": [asdict(row) for row in scores],
    }  # fmt: skip


def _between_sd(cv: CrossValidation) -> float:
    samples = [s for s, is_sigma in zip(cv.rows.samples, cv.rows.is_conductivity, strict=True) if is_sigma]
    spreads = replicate_spread(samples)
    return spreads["all"].between_sd if spreads else float("nan")


def strength_card(factor: float, scores: Sequence[ScoreRow], n_rows: int, n_papers: int) -> dict[str, Any]:
    """Return the card of the strength model, without the hashes of its files."""
    return {
        "name": "strength",
        "title": "Mechanical strength of ceramic and pore-filled electrolytes",
        "version": __version__,
        "data_hash": reviewed_hash("literature"),
        "n_rows": n_rows,
        "n_papers": n_papers,
        "features": list(STRENGTH_FEATURES),
        "noise_variance": PAPER_SD**2 + WITHIN_SD**2,
        "unseen_family_variance": UNSEEN_FAMILY_SD**2,
        "interval": {"coverage": COVERAGE, "log_strength": factor},
        "protocol": f"{N_FOLDS} folds grouped by paper",
        "scores": [asdict(row) for row in scores],
    }


def promote(
    cv: CrossValidation,
    rows: Rows,
    strength: tuple[list[ScoreRow], float],
    folder: Path,
    evidence: Evidence | None = None,
    command: str = "nascreen train --promote",
) -> None:
    """Fit on every row, export to ONNX and write the cards.

    Args:
        cv: Cross-validation with hyperparameters tuned inside each fold; calibrates the intervals.
        rows: What `training_rows` returns.
        strength: What `cross_validate_strength` returns.
        folder: The folder that gets ``conductivity/`` and ``strength/``.
        evidence: What stands in the card beside the scores; by default that of ``rows``.
        command: What people type to make the same again.
    """
    model = fit_conductivity(rows)
    roots = np.unique(np.sqrt(rows.features[:, BLOCKS["fraction"]]).astype(np.float32), axis=0)
    domain = io.BytesIO()
    np.savez(domain, fractions=roots, glasses=glass_roots(borrowed_lines()).astype(np.float32))
    scores = score_table(cv)
    card = conductivity_card(model, rows, cv, scores, evidence or Evidence.of(rows)) | {"command": command}
    curve = dict(card["interval"]["curve"])
    files = {
        "process.onnx": process_graph(model).SerializeToString(),
        "trees.onnx": trees_graph(model).SerializeToString(),
        "domain.npz": domain.getvalue(),
    }
    figures = {"calibration.svg": calibration_svg(curve.pop("promised"), curve).encode()}
    write_model(folder / "conductivity", files, card, card_text(card, CONDUCTIVITY_TEXT), figures)
    samples, terms, log_strength = strength_observations()
    groups = [s.group_id for s in samples]
    law = fit_strength(terms, log_strength, groups)
    table, factor = strength
    strength_model = strength_card(factor, table, len(samples), len(set(groups))) | {"command": command}
    law_file = {"law.onnx": strength_graph(law).SerializeToString()}
    write_model(folder / "strength", law_file, strength_model, card_text(strength_model, STRENGTH_TEXT))
