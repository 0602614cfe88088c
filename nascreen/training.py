"""Fit, cross-validate and export the models; the only code that imports xgboost, scikit-learn or MLflow.

Rows of one paper never stand on both sides of a split. What a fold fits, hyperparameters included, sees the
training side alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen import gaussian
from nascreen.datasets import (
    USABLE_ORIGINS,
    grouped_folds,
    has_sodium,
    sodium_conductivity_rows,
    sodium_ea_rows,
    strength_rows,
)
from nascreen.errors import MissingExtraError
from nascreen.features import BLOCKS, FEATURE_NAMES, chemistry_of, feature_matrix
from nascreen.gaussian import Array, ArrheniusProcess, Inputs
from nascreen.intervals import Calibration, conformal_factor
from nascreen.models import (
    STRENGTH_FEATURES,
    USUAL_POROSITY,
    GlassSpread,
    is_oxide_glass,
    nearest_distance,
    promoted_line,
    strength_features,
)
from nascreen.physics import BOLTZMANN_EV_K, strength_at_porosity, voigt_bound
from nascreen.records import Sample
from nascreen.replicates import replicate_spread
from nascreen.verdicts import reviewed_table

TAUGHT_BY = ("literature", "glasses", "lithium")
"""Tables that the conductivity model learns from."""
N_FOLDS = 5
N_TUNING_STEPS = 12
SPREAD_RANK = 256

TREE_SETTINGS: Mapping[str, Any] = {
    "objective": "reg:absoluteerror",
    "max_depth": 5,
    "learning_rate": 0.04,
    "subsample": 0.7,
    "colsample_bytree": 0.3,
    "tree_method": "hist",
    "nthread": 2,
}
ENERGY_TREE_SETTINGS: Mapping[str, Any] = {**TREE_SETTINGS, "max_depth": 4, "learning_rate": 0.03}
N_TREES = 500

N_FOREST_TREES = 40
FOREST_SETTINGS: Mapping[str, Any] = {"min_samples_leaf": 2, "max_features": 0.3}
ALL_BLOCKS = ("family", "fraction", "field", "magpie", "processing")
GLASS_TREE_SETTINGS: Mapping[str, Any] = {
    "max_depth": 5,
    "learning_rate": 0.05,
    "subsample": 0.5,
    "colsample_bytree": 0.15,
    "tree_method": "hist",
    "nthread": 2,
}
N_GLASS_TREES = 300
"""How many trees for each of the two temperatures."""
GLASS_OUTLIER_DECADES = 0.3
"""From about this error on, a glass pulls no harder at the trees that learn from glasses."""
MISSING = -1.0
"""What a forest sees where a value is not known."""
HOT_C = 300.0
"""The second temperature at which a forest learns a line; the first is 25 °C."""
HOT_DECADES_PER_EV = gaussian.DECADES_PER_EV * (1 / gaussian.REFERENCE_K - 1 / (HOT_C + 273.15))

TARGET_DECIMALS = 6
"""To how many decimals the lines are rounded that a forest learns from."""
GLASS_WEIGHT, LITHIUM_WEIGHT = 0.3, 0.1
"""What a borrowed glass and a lithium sample count beside a row of the literature."""
USUAL_LITHIUM_EA_EV = 0.42
"""Assumed for a lithium sample that gives no energy, to bring it from near room temperature to 25 °C."""
SAME_COMPOSITION = 0.02
"""Largest sum of differences of element fractions between two mentions of one composition."""


SIDES = {"lower_bound": 1, "upper_bound": -1}
"""On which side of the printed value the true one lies."""


def require(module: str) -> Any:  # noqa: ANN401
    """Import a training dependency, or say how to install it.

    Raises:
        MissingExtraError: If the module is not installed.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"This command needs {module.partition('.')[0]}, which is not installed; run: pip install 'nascreen[train]'"
        ) from error


@dataclass(frozen=True, eq=False)
class Rows:
    """Observations of Arrhenius lines, conductivities first or mixed with activation energies.

    Attributes:
        samples: One sample per row.
        features: Shape (n, f), columns as in `nascreen.features.FEATURE_NAMES`.
        coefficients: What each row observes of (A, E), shape (n, 2).
        targets: log10(σ·T/298.15 K) or Ea in eV, shape (n,).
        is_scored: Rows that count in a score table; the others only teach.
        sides: 1 where the true value lies above the target, -1 where below, 0 where it is the target; shape (n,).
    """

    samples: Sequence[Sample]
    features: Array
    coefficients: Array
    targets: Array
    is_scored: NDArray[np.bool_]
    sides: NDArray[np.int8]

    @property
    def groups(self) -> list[str]:
        """Group of each row: texts that quote the same value are one group."""
        return [s.group_id for s in self.samples]

    @property
    def is_conductivity(self) -> NDArray[np.bool_]:
        """Which rows are conductivities."""
        return np.asarray(self.coefficients[:, 0] != 0)

    def take(self, rows: NDArray[Any]) -> Rows:
        """Return the chosen rows, by index or mask."""
        index = np.arange(len(self.samples))[rows]
        return Rows(
            [self.samples[i] for i in index],
            self.features[index],
            self.coefficients[index],
            self.targets[index],
            self.is_scored[index],
            self.sides[index],
        )


def observations(
    conductivities: Sequence[Sample], energies: Sequence[Sample], *, is_scored: bool, features: Array | None = None
) -> Rows:
    """Return conductivity rows followed by activation-energy rows as observations of Arrhenius lines.

    Args:
        conductivities: Samples with a conductivity and its temperature.
        energies: Samples with an activation energy.
        is_scored: Whether they count in a score table.
        features: Their features where they are known already.
    """
    temp_c = np.array([s.meas_temp_c for s in conductivities], dtype=np.float64)
    sigma = np.array([s.conductivity_s_cm for s in conductivities], dtype=np.float64)
    samples = [*conductivities, *energies]
    return Rows(
        samples,
        feature_matrix(samples) if features is None else features,
        np.vstack([gaussian.conductivity_coefficients(temp_c), gaussian.energy_coefficients(len(energies))]),
        np.concatenate(
            [gaussian.scaled_log_conductivity(sigma, temp_c), np.array([s.ea_ev for s in energies], dtype=np.float64)]
        ),
        np.full(len(samples), is_scored),
        np.array([SIDES.get(s.value_origin, 0) for s in conductivities] + [0] * len(energies), dtype=np.int8),
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """Return several sets of observations as one."""
    return Rows(
        [s for part in parts for s in part.samples],
        np.vstack([part.features for part in parts]),
        np.vstack([part.coefficients for part in parts]),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.is_scored for part in parts]),
        np.concatenate([part.sides for part in parts]),
    )


def literature_rows() -> Rows:
    """Return the scored rows: sodium conductors with a formula, at every stated temperature, and their energies."""
    table = reviewed_table("literature")
    return observations(sodium_conductivity_rows(table), sodium_ea_rows(table), is_scored=True)


def chalcogenide_glass_rows() -> Rows:
    """Return the sulfide and selenide glasses of the glass table, which teach and are not scored.

    They carry the Na2S–B2S3 series over its sodium content. Suspect rows are left out, and one energy
    per glass is kept. The energies of that table are slopes of log σ; here they are those of log σT.
    """

    def is_chalcogenide(sample: Sample) -> bool:
        get = chemistry_of(sample.formula).composition.get
        return get("Na") > 0 and max(get("S"), get("Se")) > get("O")

    rows = _with_scaled_energies([s for s in reviewed_table("glasses") if s.quality == "ok" and is_chalcogenide(s)])
    energies = {s.sample_id.rpartition("-")[0]: s for s in reversed(rows) if s.ea_ev is not None}
    return observations(rows, list(energies.values()), is_scored=False)


def _with_scaled_energies(glasses: Sequence[Sample]) -> list[Sample]:
    """Return glasses with the energies of the σT form, larger by kT than the slopes of log σ that are printed.

    T is the harmonic mean of the temperatures of each glass.
    """
    inverse: dict[str, list[float]] = {}
    for s in glasses:
        if s.meas_temp_c is not None:
            inverse.setdefault(s.sample_id.rpartition("-")[0], []).append(1 / (s.meas_temp_c + 273.15))
    kelvin = {name: 1 / float(np.mean(values)) for name, values in inverse.items()}
    return [
        s
        if s.ea_ev is None
        else replace(s, ea_ev=s.ea_ev + BOLTZMANN_EV_K * kelvin.get(s.sample_id.rpartition("-")[0], USUAL_KELVIN))
        for s in glasses
    ]


USUAL_KELVIN = 400.0
"""The middle of the temperatures of the table of glasses."""


def bounded_rows() -> Rows:
    """Return the conductivities of which the literature gives a bound alone ("below 1e-7"); they are not scored."""
    rows = [s for s in reviewed_table("literature") if s.value_origin in SIDES]
    known = sodium_conductivity_rows(replace(s, value_origin="measured") for s in rows)
    names = {s.sample_id for s in known}
    return observations([s for s in rows if s.sample_id in names], [], is_scored=False)


def training_rows() -> Rows:
    """Return everything that the conductivity model learns from."""
    return joined([literature_rows(), bounded_rows(), chalcogenide_glass_rows()])


@dataclass(frozen=True, eq=False)
class BorrowedLines:
    """Arrhenius lines of glasses and of lithium samples, which teach a forest at a small weight.

    A lithium sample stands there as the sodium compound of the same formula, with its own ``lithium_fraction``,
    by which the forest tells the two apart. A glass measured at a single temperature, without an energy, has no line;
    trees boosted on glasses learn from its one value.

    Attributes:
        groups: Group of each line.
        features: Shape (n, f), columns as in `nascreen.features.FEATURE_NAMES`.
        lines: log10 σ(25 °C) and Ea in eV, NaN where there is no line, shape (n, 2).
        weights: Weight of each line, shape (n,).
        seen: What was observed of each glass, one row for each conductivity: its coefficients of (A, E) and its target,
            as in `Rows`; nothing for lithium samples. Arrays of shape (k, 3).
    """

    groups: Sequence[str]
    features: Array
    lines: Array
    weights: Array
    seen: Sequence[Array]

    def take(self, rows: NDArray[np.bool_]) -> BorrowedLines:
        """Return the chosen lines."""
        groups = [g for g, is_taken in zip(self.groups, rows, strict=True) if is_taken]
        seen = [s for s, is_taken in zip(self.seen, rows, strict=True) if is_taken]
        return BorrowedLines(groups, self.features[rows], self.lines[rows], self.weights[rows], seen)

    def complete(self) -> BorrowedLines:
        """Return those that have a line."""
        return self.take(np.asarray(~np.isnan(self.lines).any(axis=1)))

    def unknown_to(self, tested: Rows) -> BorrowedLines:
        """Return the lines that may teach what is tested on some rows.

        Left out are the groups of those rows, and sodium glasses of the composition and phase of one of them: the
        tables of glasses hold some of the papers of the literature under another name.
        """
        groups = set(tested.groups)
        is_free = np.array([g not in groups for g in self.groups], dtype=bool)
        block = np.r_[BLOCKS["fraction"], BLOCKS["phase"]]
        is_sodium = self.features[:, LITHIUM_COLUMN] == 0
        for row in np.unique(tested.features[:, block], axis=0):
            is_free &= ~(is_sodium & (np.abs(self.features[:, block] - row).sum(axis=1) < SAME_COMPOSITION))
        return self.take(is_free)


LITHIUM_COLUMN = FEATURE_NAMES.index("lithium_fraction")


def _glass_lines() -> BorrowedLines:
    """Return the glasses and their lines: through two temperatures or more, or one and the reported energy.

    The energies of that table are slopes of log σ, less by kT than those of the σT form.
    """
    glasses: dict[str, list[Sample]] = {}
    for sample in reviewed_table("glasses"):
        if (
            sample.quality == "ok"
            and has_sodium(sample)
            and sample.conductivity_s_cm
            and sample.meas_temp_c is not None
        ):
            glasses.setdefault(sample.sample_id.rpartition("-")[0], []).append(sample)
    samples, lines, points = [], [], []
    for rows in glasses.values():
        seen = observations(rows, [], is_scored=False, features=np.empty((len(rows), 0)))
        inverse = -seen.coefficients[:, 1]
        energy = rows[0].ea_ev
        if len(set(inverse)) > 1:
            slope = float(np.polyfit(inverse, seen.targets, 1)[0])
        elif energy is not None:
            slope = -(energy + float(gaussian.DECADES_PER_EV / inverse[0]) * BOLTZMANN_EV_K)
        else:
            slope = np.nan
        reference = gaussian.DECADES_PER_EV / gaussian.REFERENCE_K
        samples.append(rows[0])
        points.append(np.column_stack([seen.coefficients, seen.targets]))
        lines.append((float(np.mean(seen.targets - slope * (inverse - reference))), -slope))
    features = feature_matrix(samples)
    weights = np.full(len(samples), GLASS_WEIGHT)
    return BorrowedLines([s.group_id for s in samples], features, np.array(lines).reshape(-1, 2), weights, points)


def _lithium_lines() -> BorrowedLines:
    """Return the lines of lithium samples measured near room temperature or given with their energy."""

    def is_usable(sample: Sample) -> bool:
        amounts = chemistry_of(sample.formula).composition.amounts if sample.formula else {}
        is_near = sample.meas_temp_c is not None and ROOM_C[0] <= sample.meas_temp_c <= ROOM_C[1]
        return (
            sample.quality == "ok"
            and "Li" in amounts
            and "Na" not in amounts
            and sample.conductivity_s_cm is not None
            and sample.meas_temp_c is not None
            and sample.value_origin in USABLE_ORIGINS
            and (is_near or sample.ea_ev is not None)
        )

    rows = [s for s in reviewed_table("lithium") if is_usable(s)]
    with_sodium = [replace(s, formula=re.sub(r"Li(?![a-z])", "Na", s.formula), family="") for s in rows]
    seen = observations(rows, [], is_scored=False, features=feature_matrix(with_sodium))
    seen.features[:, LITHIUM_COLUMN] = [_lithium_fraction(s) for s in rows]
    energy = np.array([USUAL_LITHIUM_EA_EV if s.ea_ev is None else s.ea_ev for s in rows], dtype=np.float64)
    slope = seen.coefficients[:, 1] + gaussian.DECADES_PER_EV / gaussian.REFERENCE_K
    lines = np.column_stack([seen.targets - slope * energy, energy])
    nothing = [np.empty((0, 3))] * len(rows)
    return BorrowedLines(seen.groups, seen.features, lines, np.full(len(rows), LITHIUM_WEIGHT), nothing)


ROOM_C = (10.0, 60.0)


def _lithium_fraction(sample: Sample) -> float:
    composition = chemistry_of(sample.formula).composition
    return float(composition.get("Li") / composition.n_atoms)


@lru_cache(maxsize=1)
def borrowed_lines() -> BorrowedLines:
    """Return every glass and lithium sample that teaches the trees; none of them is scored."""
    parts = (_glass_lines(), _lithium_lines())
    return BorrowedLines(
        [g for part in parts for g in part.groups],
        np.vstack([part.features for part in parts]),
        np.vstack([part.lines for part in parts]),
        np.concatenate([part.weights for part in parts]),
        [seen for part in parts for seen in part.seen],
    )


@dataclass(frozen=True, eq=False)
class Scaler:
    """Means and standard deviations of the standardised blocks."""

    mean: Array
    scale: Array

    @classmethod
    def fit(cls, features: Array) -> Scaler:
        """Return the scaler of a feature matrix; fractions, family and phase are left as they are."""
        with np.errstate(invalid="ignore"):
            known = ~np.isnan(features)
            n = np.maximum(known.sum(axis=0), 1)
            mean = np.where(known, features, 0).sum(axis=0) / n
            scale = np.sqrt(np.where(known, features - mean, 0).__pow__(2).sum(axis=0) / n)
        return cls(mean, scale + 1e-9)

    def inputs(self, features: Array) -> Inputs:
        """Return the blocks that distances are taken on."""

        def standard(name: str) -> Array:
            block = BLOCKS[name]
            z = (features[:, block] - self.mean[block]) / self.scale[block]
            return np.asarray(np.clip(np.nan_to_num(z, nan=0.0), -4, 4), dtype=np.float64)

        return Inputs(
            family=features[:, BLOCKS["family"]],
            fraction=np.sqrt(features[:, BLOCKS["fraction"]]),
            field=standard("field"),
            magpie=standard("magpie"),
            processing=standard("processing"),
            phase=features[:, BLOCKS["phase"]],
        )


@dataclass(frozen=True, eq=False)
class ConductivityModel:
    """A Gaussian process over Arrhenius lines, boosted trees, and a forest that also learns from borrowed lines.

    Boosted trees see conductivities brought to 25 °C along the process's own line for that sample; the forest learns
    such lines whole, and those of glasses and lithium samples. The promoted level at 25 °C is the mean of the three,
    the activation energy that of the process and the forest: a mean of lines is a line. Oxide glasses have trees of
    their own, which have seen thousands of them at whatever temperatures they were measured.
    Boosted trees for the activation energy alone stand beside it in the score tables.

    Attributes:
        process: The Gaussian process.
        scaler: Scaler of its features.
        trees: Boosted trees, log10 σ(25 °C).
        energy_trees: Boosted trees, Ea.
        forest: Extremely randomised trees, log10(σ·T/298.15 K) at 25 °C and at `HOT_C`.
        glasses: Square roots of the element fractions of the oxide glasses that were learned from, shape (g, e).
        glass_trees: Boosted trees of oxide glasses; without them the forest answers for these.
    """

    process: ArrheniusProcess
    scaler: Scaler
    trees: Any
    energy_trees: Any
    forest: Any
    glasses: Array = field(default_factory=lambda: np.empty((0, len(FEATURE_NAMES[BLOCKS["fraction"]]))))
    glass_trees: BoostedLines | None = None

    def lines(self, features: Array) -> dict[str, Array]:
        """Return log10 σ(25 °C) and Ea of each sample by each model, arrays of shape (n, 2)."""
        latent = self.process.predict(self.scaler.inputs(features))
        by_process = np.column_stack(
            [latent[:, 0] - latent[:, 1] * gaussian.DECADES_PER_EV / gaussian.REFERENCE_K, latent[:, 1]]
        )
        single = features.astype(np.float32)
        by_trees = np.column_stack([t.inplace_predict(single) for t in (self.trees, self.energy_trees)])
        by_forest = lines_of_forest(self.forest, features)
        answered, is_glass = by_forest.copy(), is_oxide_glass(features)
        if self.glass_trees is not None and is_glass.any():
            answered[is_glass] = self.glass_trees.lines(features[is_glass])
        line = promoted_line(by_process, np.column_stack([by_trees[:, :1], answered]), is_glass)
        return dict(zip(MODEL_NAMES, (line, by_process, by_trees, by_forest), strict=True))

    def variance(self, features: Array, coefficients: Array) -> Array:
        """Return the variance of one observation per sample, noise and paper effect included, as exported."""
        projection = gaussian.spread_projection(self.process, SPREAD_RANK)
        latent = gaussian.compact_variance(self.process, projection, self.scaler.inputs(features), coefficients)
        is_glass = is_oxide_glass(features)
        if is_glass.any():
            distance = nearest_distance(np.sqrt(features[is_glass][:, BLOCKS["fraction"]]), self.glasses)
            latent[is_glass] = glass_spread().observed(coefficients[is_glass], distance)
        paper_a, paper_e, noise_s, noise_e = np.exp(2 * self.process.parameters[-4:])
        paper = paper_a * coefficients[:, 0] ** 2 + paper_e * coefficients[:, 1] ** 2
        return np.asarray(latent + paper + np.where(coefficients[:, 0] != 0, noise_s, noise_e))


@dataclass(frozen=True, eq=False)
class BoostedLines:
    """Boosted trees that foretell lines and learned from single conductivities, whatever their temperatures.

    Attributes:
        cold: Trees of log10(σ·T/298.15 K) at 25 °C, less where they start.
        hot: Those at `HOT_C`.
        start: Where both start, which keeps their sums small and so exact in single precision, shape (2,).
    """

    cold: Any
    hot: Any
    start: Array

    def lines(self, features: Array) -> Array:
        """Return log10 σ(25 °C) and Ea of each sample, shape (n, 2)."""
        single = features.astype(np.float32)
        cold, hot = np.array([t.inplace_predict(single) for t in (self.cold, self.hot)]) + self.start[:, None]
        return np.column_stack([cold, (hot - cold) / HOT_DECADES_PER_EV])


@dataclass(frozen=True, eq=False)
class TreeSettings:
    """What one kind of trees is grown with.

    Attributes:
        settings: Hyperparameters.
        n_trees: How many trees.
        blocks: Blocks of features that it sees, keys of `nascreen.features.BLOCKS`.
    """

    settings: Mapping[str, Any]
    n_trees: int
    blocks: tuple[str, ...] = ALL_BLOCKS

    def seen(self, features: Array) -> Array:
        """Return features with all that is not seen held at 0, on which no tree can branch."""
        if set(self.blocks) == set(ALL_BLOCKS):
            return features
        out = np.zeros_like(features)
        for name in self.blocks:
            out[:, BLOCKS[name]] = features[:, BLOCKS[name]]
        return out


def usual_settings() -> dict[str, TreeSettings]:
    """Return what the trees of the promoted model are grown with."""
    return {
        "boosted": TreeSettings(TREE_SETTINGS, N_TREES),
        "energy": TreeSettings(ENERGY_TREE_SETTINGS, N_TREES),
        "forest": TreeSettings(FOREST_SETTINGS, N_FOREST_TREES),
        "glasses": TreeSettings(GLASS_TREE_SETTINGS, N_GLASS_TREES),
    }


PROMOTED = "mean of three"
MODEL_NAMES = (PROMOTED, "gaussian process", "xgboost", "extra trees")


def in_six_digits(features: Array) -> Array:
    """Return features to six digits that count.

    Features of one composition differ in their last bits by the order in which they are summed; a tree that learned
    from such differences would branch on them.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        step = 10.0 ** (np.floor(np.log10(np.abs(features))) - 5)
        rounded = np.round(features / step) * step
    return np.asarray(np.where((features == 0) | np.isnan(features), features, rounded))


def without_gaps(features: Array) -> Array:
    """Return features as a forest sees them, values not known at `MISSING`."""
    return np.where(np.isnan(features), MISSING, features)


def line_to_observation(line: Array, coefficients: Array) -> Array:
    """Return what each row would observe of lines (log10 σ(25 °C), Ea), shape (n,)."""
    slope = coefficients[:, 1] + coefficients[:, 0] * gaussian.DECADES_PER_EV / gaussian.REFERENCE_K
    return np.asarray(coefficients[:, 0] * line[:, 0] + slope * line[:, 1])


def _codes(groups: Sequence[str]) -> NDArray[np.intp]:
    place = {g: i for i, g in enumerate(dict.fromkeys(groups))}
    return np.array([place[g] for g in groups], dtype=np.intp)


def replicate_weights(rows: Rows) -> Array:
    """Return the weight of each row by how far repeated measurements of its family scatter, shape (n,).

    The variance of noise of a family is that of all families times the ratio of their pooled variances; families
    with few repeats have nearly that of all. Energies count alike.
    """
    conductivities = [rows.samples[int(i)] for i in np.flatnonzero(rows.is_conductivity)]
    spreads = replicate_spread(conductivities)
    if not spreads:
        return np.ones(len(rows.samples))
    ratio = {name: (spreads["all"].between_sd / s.between_sd) ** 2 for name, s in spreads.items()}
    by_family = np.array([ratio.get(s.family or "not stated", 1.0) for s in rows.samples])
    return np.where(rows.is_conductivity, by_family, 1.0)


def process_of(
    rows: Rows, scaler: Scaler, parameters: Array | None = None, weights: Array | None = None
) -> ArrheniusProcess:
    """Return the Gaussian process of the rows, bounds at what they let expect, its outliers weighed down.

    Args:
        rows: Observations.
        scaler: Scaler of their features.
        parameters: Logarithms of hyperparameters to keep; by default they are tuned.
        weights: What each row counts, shape (n,); by default all alike.
    """
    start = gaussian.default_parameters() if parameters is None else parameters
    inputs = scaler.inputs(rows.features)
    counts = replicate_weights(rows) * (1 if weights is None else weights)
    process = ArrheniusProcess(start, inputs, rows.coefficients, rows.targets, _codes(rows.groups), counts)
    process = gaussian.with_bounds(process, rows.targets, rows.sides)
    if parameters is None:
        process = gaussian.with_bounds(gaussian.tuned(process, N_TUNING_STEPS), rows.targets, rows.sides)
    # A bound that all others agree with is no outlier, so it is weighed as what it lets expect.
    return gaussian.with_bounds(gaussian.with_robust_weights(process), rows.targets, rows.sides)


def fit_conductivity(
    rows: Rows,
    *,
    borrowed: BorrowedLines | None = None,
    parameters: Array | None = None,
    weights: Array | None = None,
    settings: Mapping[str, TreeSettings] | None = None,
    seed: int = 0,
) -> ConductivityModel:
    """Fit the conductivity model.

    Args:
        rows: Observations.
        borrowed: What else teaches the trees; by default all of `borrowed_lines`.
        parameters: Logarithms of hyperparameters to keep; by default they are tuned on ``rows``.
        weights: What each row counts, shape (n,); by default all alike.
        settings: What the trees are grown with, by kind, where it differs from `usual_settings`.
        seed: Seed of the trees.

    Returns:
        The model.
    """
    grown = {**usual_settings(), **(settings or {})}
    scaler = Scaler.fit(rows.features)
    process = process_of(rows, scaler, parameters, weights)
    counts = np.ones(len(rows.samples)) if weights is None else weights
    rows = replace(rows, targets=process.targets)  # the trees, too, see what bounds let expect
    mask = rows.is_conductivity
    at_25 = brought_to_25(process, scaler, rows)
    trees = boosted(rows.features[mask], at_25, counts[mask], grown["boosted"], seed)
    energy_trees = boosted(rows.features[~mask], rows.targets[~mask], counts[~mask], grown["energy"], seed)
    lines = borrowed_lines() if borrowed is None else borrowed
    forest = grown_forest(own_lines(process, scaler, rows), counts[mask], lines, grown["forest"], seed)
    glass_trees = None
    if _are_sodium_glasses(lines).any():
        own = rows.take(mask & is_oxide_glass(rows.features))
        glass_trees = boosted_lines(lines, grown["glasses"], seed, own)
    return ConductivityModel(process, scaler, trees, energy_trees, forest, glass_roots(lines), glass_trees)


def lines_of_forest(forest: Any, features: Array) -> Array:  # noqa: ANN401
    """Return the lines (log10 σ(25 °C), Ea) that a forest of `grown_forest` foretells, shape (n, 2)."""
    cold, hot = forest.predict(without_gaps(features)).T
    return np.column_stack([cold, (hot - cold) / HOT_DECADES_PER_EV])


def _are_sodium_glasses(lines: BorrowedLines) -> NDArray[np.bool_]:
    return np.asarray(is_oxide_glass(lines.features) & (lines.features[:, LITHIUM_COLUMN] == 0))


def glass_roots(lines: BorrowedLines) -> Array:
    """Return the square roots of the element fractions of the sodium oxide glasses among some lines, each once."""
    fractions = lines.features[_are_sodium_glasses(lines)]
    return np.unique(np.sqrt(fractions[:, BLOCKS["fraction"]]).astype(np.float32), axis=0).astype(np.float64)


@dataclass(frozen=True, eq=False)
class GlassErrors:
    """What is said of oxide glasses by trees that have not seen their reference.

    Attributes:
        off: Predicted less measured line (log10 σ(25 °C), Ea), shape (n, 2).
        distance: Distance to the nearest glass of another fold, shape (n,).
        groups: Reference of each glass.
    """

    off: Array
    distance: Array
    groups: Sequence[str]


@lru_cache(maxsize=1)
def glass_errors() -> GlassErrors:
    """Return the errors of oxide glasses that have a line, each by trees grown on the other folds of references."""
    lines = borrowed_lines()
    groups = np.array(lines.groups)
    is_glass = _are_sodium_glasses(lines)
    has_line = is_glass & ~np.isnan(lines.lines).any(axis=1)
    dealt = dict(zip(groups[is_glass], grouped_folds(groups[is_glass].tolist(), N_FOLDS, 0), strict=True))
    fold = np.array([dealt.get(group, -1) for group in groups])
    off, distance = np.full((len(groups), 2), np.nan), np.full(len(groups), np.nan)
    for k in range(N_FOLDS):
        others, tested = lines.take(fold != k), np.flatnonzero(is_glass & (fold == k))
        features = lines.features[tested]
        trees = boosted_lines(others, usual_settings()["glasses"], 0)
        off[tested] = trees.lines(features) - lines.lines[tested]
        roots = np.sqrt(features[:, BLOCKS["fraction"]])
        distance[tested] = nearest_distance(roots, glass_roots(others))
    return GlassErrors(off[has_line], distance[has_line], groups[has_line].tolist())


@lru_cache(maxsize=1)
def glass_spread() -> GlassSpread:
    """Return how far oxide glasses lie from what is said of them, from references left out."""
    errors = glass_errors()
    slope, level = np.polyfit(errors.distance, np.abs(errors.off[:, 0]), 1)
    per_distance = max(float(slope / level), 0.0)
    prefactor = errors.off[:, 0] + errors.off[:, 1] * gaussian.DECADES_PER_EV / gaussian.REFERENCE_K
    scaled = np.column_stack([prefactor, errors.off[:, 1]]) / (1 + per_distance * errors.distance)[:, None]
    (aa, ae), (_, ee) = scaled.T @ scaled / len(scaled)
    return GlassSpread(np.array([aa, ae, ee]), per_distance)


def own_lines(process: ArrheniusProcess, scaler: Scaler, rows: Rows) -> tuple[Array, Array]:
    """Return the features of every conductivity row, and its line (log10 σ(25 °C), Ea), shape (n, 2).

    The slope is that of the process, or its mean with the energy that the row gives.
    """
    mask = rows.is_conductivity
    energy = process.predict(scaler.inputs(rows.features[mask]))[:, 1]
    reported = [rows.samples[int(i)].ea_ev for i in np.flatnonzero(mask)]
    energy = np.array([e if own is None else (e + own) / 2 for e, own in zip(energy, reported, strict=True)])
    slope = rows.coefficients[mask, 1] + gaussian.DECADES_PER_EV / gaussian.REFERENCE_K
    return rows.features[mask], np.column_stack([rows.targets[mask] - slope * energy, energy])


def grown_forest(
    own: tuple[Array, Array], counts: Array, borrowed: BorrowedLines, settings: TreeSettings, seed: int
) -> Any:  # noqa: ANN401
    """Fit extremely randomised trees to whole lines, those of rows and borrowed ones.

    P. Geurts et al., Mach. Learn. 63, 3 (2006), doi:10.1007/s10994-006-6226-1. A leaf holds at least the weight of one
    row, so that borrowed lines share leaves.

    Args:
        own: Features and lines of the rows, as `own_lines` returns them.
        counts: What each of them counts.
        borrowed: What else teaches.
        settings: What the forest is grown with.
        seed: Its seed.
    """
    lent = borrowed.complete()
    features, (at_25, ea) = np.vstack([own[0], lent.features]), np.vstack([own[1], lent.lines]).T
    weights = np.concatenate([counts, lent.weights])
    kind = require("sklearn.ensemble").ExtraTreesRegressor
    forest = kind(
        settings.n_trees,
        random_state=seed,
        min_weight_fraction_leaf=1 / float(weights.sum()),
        **settings.settings,
    )
    seen = without_gaps(settings.seen(in_six_digits(features))).astype(np.float32)
    # Among splits that are equally good, the last bits of a target would decide, and with them all further draws.
    targets = np.column_stack([at_25, at_25 + HOT_DECADES_PER_EV * ea]).round(TARGET_DECIMALS)
    return forest.fit(seen, targets, sample_weight=weights)


def brought_to_25(process: ArrheniusProcess, scaler: Scaler, rows: Rows) -> Array:
    """Return log10 σ(25 °C) of every conductivity row, along the process's own line for that sample."""
    mask = rows.is_conductivity
    energy = process.predict(scaler.inputs(rows.features[mask]))[:, 1]
    slope = rows.coefficients[mask, 1] + gaussian.DECADES_PER_EV / gaussian.REFERENCE_K
    return np.asarray(rows.targets[mask] - slope * energy)


def boosted(features: Array, targets: Array, counts: Array, settings: TreeSettings, seed: int) -> Any:  # noqa: ANN401
    """Fit boosted trees; see `TreeSettings` for what they are grown with."""
    xgboost = require("xgboost")
    seen = settings.seen(in_six_digits(features)).astype(np.float32)
    data = xgboost.DMatrix(seen, label=targets, weight=counts)
    return xgboost.train({**settings.settings, "seed": seed}, data, settings.n_trees)


def boosted_lines(lent: BorrowedLines, settings: TreeSettings, seed: int, own: Rows | None = None) -> BoostedLines:
    """Boost the lines of oxide glasses on their single conductivities.

    Each conductivity is a weighted mean of the levels at 25 °C and at `HOT_C`; in turn, a tree is added to either, down
    the gradient of a loss that is square for small errors and absolute for large ones. Four glasses in ten were
    measured at one temperature alone, and have no line that could be learned whole.

    Args:
        lent: What may teach; the sodium oxide glasses among it do, one at least.
        settings: What the trees are grown with.
        seed: Their seed.
        own: Conductivities of oxide glasses in the literature, which teach beside them. Such films as are sputtered
            from the compositions of crystals are known from there alone. One counts like as many glasses of the table
            as in the forest, each with its usual number of conductivities.
    """
    xgboost = require("xgboost")
    glasses = lent.take(_are_sodium_glasses(lent))
    place = np.repeat(np.arange(len(glasses.seen)), [len(points) for points in glasses.seen])
    seen, features, counts = np.vstack(glasses.seen), glasses.features[place], np.ones(len(place))
    if own is not None and len(own.samples):
        seen = np.vstack([seen, np.column_stack([own.coefficients, own.targets])])
        features = np.vstack([features, own.features])
        counts = np.append(counts, np.full(len(own.samples), len(place) / len(glasses.seen) / GLASS_WEIGHT))
    of_a, of_e, targets = seen.T
    hotness = (of_e + of_a * gaussian.DECADES_PER_EV / gaussian.REFERENCE_K) / HOT_DECADES_PER_EV
    shares = np.array([of_a - hotness, hotness])
    start = np.linalg.lstsq(shares.T, targets, rcond=None)[0]
    single = settings.seen(in_six_digits(features)).astype(np.float32)
    data = [xgboost.DMatrix(single) for _ in start]
    parameters = {**settings.settings, "seed": seed, "base_score": 0.0}
    trees = [xgboost.Booster(parameters, [matrix]) for matrix in data]
    said = np.repeat(start[:, None], len(targets), axis=1)
    for step in range(settings.n_trees):
        for i, share in enumerate(shares):
            off = (shares * said).sum(axis=0) - targets
            pull = counts * share / np.sqrt(1 + (off / GLASS_OUTLIER_DECADES) ** 2)
            trees[i].update(data[i], step, fobj=_down(pull * off, pull * share))
            said[i] = start[i] + trees[i].predict(data[i], output_margin=True)
    cold, hot = trees
    return BoostedLines(cold, hot, start)


def _down(slope: Array, curvature: Array) -> Callable[[Any, Any], tuple[Array, Array]]:
    """Return an objective of known derivatives."""
    return lambda _said, _data: (slope, curvature)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Out-of-fold predictions of every scored row.

    Attributes:
        rows: The scored rows.
        seeds: Seeds of the shuffles of the groups.
        predictions: By model, shape (n_seeds, n): what each row should have observed.
        spreads: Predicted standard deviation, shape (n_seeds, n).
        folds: Fold of each row, shape (n_seeds, n).
    """

    rows: Rows
    seeds: tuple[int, ...]
    predictions: Mapping[str, Array]
    spreads: Array
    folds: NDArray[np.intp]

    def errors(self, model: str) -> Array:
        """Return absolute errors, shape (n_seeds, n)."""
        return np.abs(self.predictions[model] - self.rows.targets)

    def calibration(self, families: Sequence[str], *, is_conductivity: bool) -> Calibration:
        """Return what calibrates the intervals of conductivities or of energies.

        Args:
            families: Family of each row, as predictions will know it.
            is_conductivity: Which rows.
        """
        mask = self.rows.is_conductivity == is_conductivity
        scaled = (self.errors(PROMOTED) / self.spreads)[:, mask]
        names, groups = np.array(families)[mask], np.array(self.rows.groups)[mask]
        return Calibration(scaled, self.folds[:, mask], names.tolist(), groups.tolist())


def family_medians(train: Rows, test: Rows) -> Array:
    """Predict the median of the row's family among rows of the same kind, the global one where there is none."""
    out = np.empty(len(test.samples))
    for kind in (True, False):
        in_train, in_test = train.is_conductivity == kind, test.is_conductivity == kind
        values: dict[str, list[float]] = {}
        for sample, target in zip(
            np.array(train.samples, dtype=object)[in_train], train.targets[in_train], strict=True
        ):
            values.setdefault(sample.family, []).append(target)
        fallback = float(np.median(train.targets[in_train]))
        out[in_test] = [
            float(np.median(values[s.family])) if s.family in values else fallback
            for s in np.array(test.samples, dtype=object)[in_test]
        ]
    return out


def nearest_neighbours(train: Rows, test: Rows) -> Array:
    """Predict the value of the row nearest in composition and phase, then in 1/T, moved to T by its Ea or 0.45 eV."""
    columns = np.r_[
        np.arange(len(FEATURE_COLUMNS))[BLOCKS["fraction"]], np.arange(len(FEATURE_COLUMNS))[BLOCKS["phase"]]
    ]
    out = np.empty(len(test.samples))
    for kind in set(test.is_conductivity.tolist()):
        a, b = np.flatnonzero(train.is_conductivity == kind), np.flatnonzero(test.is_conductivity == kind)
        distance = gaussian.squared_distances(test.features[np.ix_(b, columns)], train.features[np.ix_(a, columns)])
        gap = test.coefficients[b, 1][:, None] - train.coefficients[a, 1][None]
        nearest = np.argmin(distance.round(9) + 1e-6 * np.abs(gap), axis=1)
        energy = np.array([train.samples[a[j]].ea_ev or gaussian.MEAN_EA_EV for j in nearest])
        out[b] = train.targets[a[nearest]] + gap[np.arange(len(b)), nearest] * energy * kind
    return out


FEATURE_COLUMNS = range(BLOCKS["phase"].stop)


def fold_of_each(rows: Rows, scored: NDArray[np.intp], folds: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the fold of every row: rows that only teach are in none, unless their group is scored elsewhere."""
    by_group = {rows.samples[int(j)].group_id: int(fold) for j, fold in zip(scored, folds, strict=True)}
    return np.array([by_group.get(s.group_id, -1) for s in rows.samples])


def cross_validate(
    rows: Rows,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    borrowed: BorrowedLines | None = None,
    parameters: Array | None = None,
    on_fold: Callable[[int, int], None] | None = None,
) -> CrossValidation:
    """Score the conductivity model and the baselines on papers they have not seen.

    Args:
        rows: What `training_rows` returns.
        seeds: One shuffle of the groups each.
        borrowed: What else teaches, as far as it is unknown to each fold; by default all of `borrowed_lines`.
        parameters: Hyperparameters to keep instead of tuning them in every fold.
        on_fold: Called with (seed, fold) after each fold.

    Returns:
        Out-of-fold predictions.
    """
    lines = borrowed_lines() if borrowed is None else borrowed
    scored = np.flatnonzero(rows.is_scored)
    place = np.full(len(rows.samples), -1)
    place[scored] = np.arange(len(scored))
    names = (*MODEL_NAMES, "nearest neighbour", "family median", "global median")
    predictions = {name: np.empty((len(seeds), len(scored))) for name in names}
    spreads = np.empty((len(seeds), len(scored)))
    folds = np.empty((len(seeds), len(scored)), dtype=np.intp)
    for i, seed in enumerate(seeds):
        folds[i] = grouped_folds([rows.samples[int(j)].group_id for j in scored], N_FOLDS, seed)
        fold = fold_of_each(rows, scored, folds[i])
        for k in range(N_FOLDS):
            test_rows = np.flatnonzero((fold == k) & rows.is_scored)
            train, test = rows.take(fold != k), rows.take(test_rows)
            model = fit_conductivity(train, borrowed=lines.unknown_to(test), parameters=parameters, seed=seed)
            at = place[test_rows]
            for name, found in model.lines(test.features).items():
                predictions[name][i, at] = line_to_observation(found, test.coefficients)
            spreads[i, at] = np.sqrt(model.variance(test.features, test.coefficients))
            known = train.take(train.is_scored)
            predictions["nearest neighbour"][i, at] = nearest_neighbours(known, test)
            predictions["family median"][i, at] = family_medians(known, test)
            for kind in (True, False):
                mask = test.is_conductivity == kind
                predictions["global median"][i, at[mask]] = np.median(known.targets[known.is_conductivity == kind])
            if on_fold:
                on_fold(seed, k)
    return CrossValidation(rows.take(scored), tuple(seeds), predictions, spreads, folds)


@dataclass(frozen=True, eq=False)
class StrengthLaw:
    """A linear law of log10 strength with a prior, papers as random effects.

    The porosity term is the law S = S0·exp(-bP) of E. Ryshkewitch, J. Am. Ceram. Soc. 36, 65 (1953),
    doi:10.1111/j.1151-2916.1953.tb12837.x, with b near 5.

    Attributes:
        coefficients: Posterior mean, shape (n_terms,).
        covariance: Posterior covariance, shape (n_terms, n_terms).
    """

    coefficients: Array
    covariance: Array


POROSITY_EXPONENT = 5.0
STRENGTH_PRIOR_MEAN = np.array([1.9, 0.4, 0.25, 0.28, -POROSITY_EXPONENT / np.log(10), 0.0])
STRENGTH_PRIOR_SD = np.array([0.3, 0.2, 0.2, 0.12, 0.8, 0.1])
"""A phosphate ceramic near 80 MPa, beta-alumina near 200, other oxides near 140, epoxy in the pores about ×1.9 (the
founding paper measured ×2.3), another second phase ×1, each within a factor of 1.3 to 2. What ceramics of these kinds
usually carry; set by people who knew the table, so that its score is a little kind."""
PAPER_SD = 0.20
WITHIN_SD = 0.15
UNSEEN_FAMILY_SD = 0.4


def fit_strength(terms: Array, log_strength: Array, groups: Sequence[str]) -> StrengthLaw:
    """Fit the strength law by generalised least squares with its prior.

    Args:
        terms: Shape (n, 6), columns as in `nascreen.models.STRENGTH_FEATURES`.
        log_strength: log10 of strength in MPa, shape (n,).
        groups: Group of each row.
    """
    codes = _codes(groups)
    noise = PAPER_SD**2 * (codes[:, None] == codes[None]) + WITHIN_SD**2 * np.eye(len(codes))
    weighted = np.linalg.solve(noise, terms)
    precision = np.diag(STRENGTH_PRIOR_SD**-2.0) + terms.T @ weighted
    covariance: Array = np.linalg.inv(precision).astype(np.float64)
    shift = weighted.T @ (log_strength - terms @ STRENGTH_PRIOR_MEAN)
    return StrengthLaw(STRENGTH_PRIOR_MEAN + covariance @ shift, covariance)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One line of a score table: mean absolute error on unseen papers.

    Attributes:
        quantity: ``log10 σ`` (all temperatures), ``log10 σ, 15–35 °C``, the same with ``measured`` (no cited or
            calculated value), ``Ea / eV``, ``log10 strength`` or the same ``within a paper``.
        subset: ``all`` or the name of a family.
        model: Model or baseline.
        error: Mean absolute error, mean over seeds.
        spread: Standard deviation over seeds.
        n_rows: Rows scored.
        n_papers: Groups of papers scored.
    """

    quantity: str
    subset: str
    model: str
    error: float
    spread: float
    n_rows: int
    n_papers: int


def score_table(cv: CrossValidation, least_rows: int = 10) -> list[ScoreRow]:
    """Return the errors of every model and baseline, overall and per family of at least ``least_rows`` rows."""
    families = np.array([s.family for s in cv.rows.samples])
    groups = np.array(cv.rows.groups)
    temp_c = np.array([np.nan if s.meas_temp_c is None else s.meas_temp_c for s in cv.rows.samples])
    is_sigma = cv.rows.is_conductivity
    near_room = is_sigma & (temp_c >= 15) & (temp_c <= 35)
    is_measured = np.array([s.value_origin == "measured" for s in cv.rows.samples])
    quantities = {
        "log10 σ": is_sigma,
        "log10 σ, 15–35 °C": near_room,
        "log10 σ, 15–35 °C, measured": near_room & is_measured,
        "Ea / eV": ~is_sigma,
    }
    out = []
    for quantity, mask in ((name, rows) for name, rows in quantities.items() if rows.any()):
        subsets = {"all": mask}
        names, counts = np.unique(families[mask], return_counts=True)
        for i in np.argsort(-counts):
            if counts[i] >= least_rows:
                subsets[str(names[i])] = mask & (families == names[i])
        for subset, rows in subsets.items():
            for model in cv.predictions:
                by_seed = cv.errors(model)[:, rows].mean(axis=1)
                n_papers = len(set(groups[rows]))
                out.append(
                    ScoreRow(
                        quantity, subset, model, float(by_seed.mean()), float(by_seed.std()), int(rows.sum()), n_papers
                    )
                )
    return out


def strength_observations() -> tuple[list[Sample], Array, Array]:
    """Return the samples of known strength, the terms of the strength law (n, 6) and log10 of strength in MPa."""
    samples = strength_rows(reviewed_table("literature"))
    terms = np.array([strength_features(s, s.family) for s in samples])
    return samples, terms, np.log10([s.strength_mpa or np.nan for s in samples])


STRENGTH_MODELS = (
    "strength law", "pores and rule of mixtures", "xgboost", "nearest neighbour", "family median", "global median",
)  # fmt: skip
STRENGTH_QUANTITIES = ("log10 strength", "log10 strength, within a paper")
EPOXY_MPA = 150.0
"""Bending strength of the cured epoxy alone, as the founding paper gives it (``epoxy-nasicon-2020``)."""


def physics_alone(train: StrengthRows, test: StrengthRows) -> Array:
    """Return log10 of strength by textbook laws, of which the strength of the dense ceramic alone is learned.

    Bare ceramics follow S0·exp(-bP) with b = 5; where a polymer fills the pores, nothing is lost to them and both
    phases share the load, (1-P)·S0 + P·S(epoxy). S0 is the median of the bare samples of the family.

    Args:
        train: What is learned from.
        test: What is predicted.

    Returns:
        log10 of strength in MPa, shape (n,).
    """

    def porosity(rows: StrengthRows) -> Array:
        return np.clip(rows.terms[:, STRENGTH_FEATURES.index("porosity")] + USUAL_POROSITY, 0, 1)

    def is_filled(rows: StrengthRows) -> NDArray[np.bool_]:
        return np.asarray(rows.terms[:, STRENGTH_FEATURES.index("pore_filled")] > 0)

    is_bare = ~is_filled(train)
    dense = (10**train.targets / strength_at_porosity(1.0, porosity(train), POROSITY_EXPONENT))[is_bare]
    families = np.array([s.family for s in train.samples])[is_bare]
    by_family = {f: float(np.median(dense[families == f])) for f in set(families)}
    own = np.array([by_family.get(s.family, float(np.median(dense))) for s in test.samples])
    bare = strength_at_porosity(own, porosity(test), POROSITY_EXPONENT)
    return np.log10(np.where(is_filled(test), voigt_bound(own, EPOXY_MPA, porosity(test)), bare))


def _strength_predictions(train: StrengthRows, test: StrengthRows, seed: int) -> dict[str, Array]:
    xgboost = require("xgboost")
    law = fit_strength(train.terms, train.targets, [s.group_id for s in train.samples])
    settings = {**TREE_SETTINGS, "max_depth": 2, "seed": seed, "colsample_bytree": 0.6}
    trees = xgboost.train(settings, xgboost.DMatrix(train.terms, label=train.targets), 150)
    families = np.array([s.family for s in train.samples])
    overall = float(np.median(train.targets))
    by_family = {f: float(np.median(train.targets[families == f])) for f in set(families)}
    nearest = gaussian.squared_distances(test.terms, train.terms).argmin(axis=1)
    return {
        "strength law": test.terms @ law.coefficients,
        "pores and rule of mixtures": physics_alone(train, test),
        "xgboost": np.asarray(trees.inplace_predict(test.terms), dtype=np.float64),
        "nearest neighbour": train.targets[nearest],
        "family median": np.array([by_family.get(s.family, overall) for s in test.samples]),
        "global median": np.full(len(test.targets), overall),
    }


@dataclass(frozen=True, eq=False)
class StrengthRows:
    """Samples of known strength with the terms of the strength law and log10 of strength in MPa."""

    samples: Sequence[Sample]
    terms: Array
    targets: Array

    def take(self, rows: NDArray[Any]) -> StrengthRows:
        """Return the chosen rows, by mask."""
        return StrengthRows([self.samples[int(i)] for i in np.flatnonzero(rows)], self.terms[rows], self.targets[rows])


def cross_validate_strength(seeds: Sequence[int] = (0, 1, 2)) -> tuple[list[ScoreRow], float]:
    """Score the strength law, boosted trees and baselines on papers they have not seen.

    Scored twice: as predicted, and between the samples of one paper, where each error is less their mean: what is left
    is how well pores, fillings and second phases are told apart.

    Returns:
        The score table, and the factor that turns the law's standard deviation into a 90 % half width.
    """
    rows = StrengthRows(*strength_observations())
    groups = [s.group_id for s in rows.samples]
    codes = _codes(groups)
    counts = np.bincount(codes)
    errors: dict[str, dict[str, list[float]]] = {q: {name: [] for name in STRENGTH_MODELS} for q in STRENGTH_QUANTITIES}
    scaled = []
    for seed in seeds:
        fold = np.array(grouped_folds(groups, N_FOLDS, seed))
        found = {name: np.empty(len(groups)) for name in STRENGTH_MODELS}
        for k in range(N_FOLDS):
            train, test = rows.take(fold != k), rows.take(fold == k)
            for name, values in _strength_predictions(train, test, seed).items():
                found[name][fold == k] = values
            law = fit_strength(train.terms, train.targets, [s.group_id for s in train.samples])
            variance = np.einsum("ij,jk,ik->i", test.terms, law.covariance, test.terms) + PAPER_SD**2 + WITHIN_SD**2
            scaled.append(np.abs(test.targets - test.terms @ law.coefficients) / np.sqrt(variance))
        for name, values in found.items():
            off = values - rows.targets
            within = (off - (np.bincount(codes, off) / counts)[codes])[counts[codes] > 1]
            for quantity, part in zip(STRENGTH_QUANTITIES, (off, within), strict=True):
                errors[quantity][name].append(float(np.abs(part).mean()))
    sizes = dict(zip(STRENGTH_QUANTITIES, (counts, counts[counts > 1]), strict=True))
    table = [
        ScoreRow(quantity, "all", name, float(np.mean(e)), float(np.std(e)), int(sizes[quantity].sum()),
                 len(sizes[quantity]))
        for quantity, by_name in errors.items()
        for name, e in by_name.items()
    ]  # fmt: skip
    return table, conformal_factor(np.concatenate(scaled))
