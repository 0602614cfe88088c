"""Promoted models: load by hash, predict with intervals, say where trust ends.

A promoted model is data: ONNX graphs and arrays in ``models/NAME/``, opened only after their sha256 equals the
one in ``card.json``. Nothing here imports a training library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import FAMILIES, SYMBOLS, family_of
from nascreen.datasets import model_folder, verify_file
from nascreen.errors import FormulaError, InputError, IntegrityError
from nascreen.features import BLOCKS, FEATURE_NAMES, Chemistry, chemistry_of, feature_matrix
from nascreen.many_features import many_features
from nascreen.physics import BOLTZMANN_EV_K
from nascreen.records import Sample, check_sample

Array = NDArray[np.float64]

ROOM_TEMPERATURE_C = 25.0
REFERENCE_K = 298.15
DECADES_PER_EV = 1 / (BOLTZMANN_EV_K * np.log(10))

BLOCK_ROWS = 64
"""Rows that the process takes at once: what lies between stays in the cache."""

PRODUCT_SIZE = 2**17
"""Multiplications in one product of matrices: for more, the library of matrices wakes threads, which then spin idly."""

LEAST_MANY = 16
"""From so many samples on, features are computed as arrays."""

WIDEST_TRUSTED_DECADES = 2.0
"""Half width of the interval of log10 σ beyond which a prediction says too little to be trusted."""

DOMAIN_MARGINS = {"meas_temp_c": 25.0, "sinter_temp_c": 25.0, "heat_temp_c": 25.0, "porosity_pct": 5.0}
"""How far beyond the range seen a prediction is still trusted."""

STRENGTH_FEATURES = ("intercept", "beta_alumina", "other_oxide", "pore_filled", "porosity", "reinforced")
USUAL_POROSITY = 0.06
FILLERS = ("epoxy", "resin")
STRENGTH_FAMILIES = ("nasicon", "beta_alumina", "oxide_other", "silicate")


def _session(path: Path) -> Any:  # noqa: ANN401
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    # A second thread saves a single row nothing, and what works on many rows has threads of its own.
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def card_hash(card: Mapping[str, Any]) -> str:
    """Return the sha256 of a card without its own hash, whatever the order and spacing of its text."""
    return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()


def load_card(folder: Path, needed: Sequence[str]) -> dict[str, Any]:
    """Return the card of a promoted model after checking every file that it lists.

    Args:
        folder: Folder of the model, which holds ``card.json``.
        needed: Files that will be opened; the card must promise each.

    Raises:
        IntegrityError: If the card is missing, or a file is missing or differs from its sha256.
    """
    try:
        card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        promised = card.pop("card_sha256")
        files = {name: str(card["files"][name]) for name in needed}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"The card {folder.name}/card.json cannot be read ({type(error).__name__}); "
            "restore the file that came with nascreen, or train again."
        ) from error
    if card_hash(card) != promised:
        raise IntegrityError(
            f"The card {folder.name}/card.json is not the one that was written; "
            "restore the file that came with nascreen, or train again."
        )
    for file_name, sha256 in files.items():
        verify_file(folder / file_name, sha256)
    return card


@dataclass(frozen=True, eq=False)
class Lines:
    """Arrhenius lines of n samples with their uncertainty.

    Attributes:
        log_sigma_25: log10 of the conductivity at 25 °C in S/cm, shape (n,).
        ea_ev: Activation energy in eV, shape (n,).
        covariance: Posterior covariance of (A, E) as (AA, AE, EE), shape (n, 3).
        family: Family of each sample.
    """

    log_sigma_25: Array
    ea_ev: Array
    covariance: Array
    family: tuple[str, ...]

    def take(self, rows: NDArray[np.intp]) -> Lines:
        """Return the lines of some samples, in the order asked for."""
        family = tuple(self.family[i] for i in rows)
        return Lines(self.log_sigma_25[rows], self.ea_ev[rows], self.covariance[rows], family)


FOREST_ENERGY_SHARE = 1 / 2
"""Share of the forest in the activation energy; the process has the rest."""
GLASS = "oxide_glass"
"""The family that has trees of its own: thousands of oxide glasses teach them, a few the other parts."""
GLASS_COLUMN = BLOCKS["family"].start + FAMILIES.index(GLASS)


def is_oxide_glass(features: Array) -> NDArray[np.bool_]:
    """Return which rows of a feature matrix are oxide glasses, shape (n,)."""
    return np.asarray(features[:, GLASS_COLUMN] > 0)


def promoted_line(by_process: Array, by_trees: Array, is_glass: NDArray[np.bool_]) -> Array:
    """Return the promoted lines (log10 σ(25 °C), Ea) from their exported parts, shape (n, 2).

    Args:
        by_process: Lines of the Gaussian process, shape (n, 2).
        by_trees: log10 σ(25 °C) by boosted trees, and log10 σ(25 °C) and the activation energy by the forest, or by
            their own trees for oxide glasses, shape (n, 3).
        is_glass: Which rows are oxide glasses, shape (n,).
    """
    at_25 = (by_process[:, 0] + by_trees[:, 0] + by_trees[:, 1]) / 3
    energy = (1 - FOREST_ENERGY_SHARE) * by_process[:, 1] + FOREST_ENERGY_SHARE * by_trees[:, 2]
    return np.where(is_glass[:, None], by_trees[:, 1:], np.array([at_25, energy]).T)


def nearest_distance(roots: Array, known: Array) -> Array:
    """Return the distance of each composition to the nearest known one, shape (n,).

    Args:
        roots: Square roots of element fractions, shape (n, e).
        known: Those of the known compositions, shape (k, e).
    """
    if not len(known):
        return np.full(len(roots), np.sqrt(2))
    squares, constant = np.einsum("ij,ij->i", roots, roots), np.einsum("ij,ij->i", known, known)
    here = roots.any(axis=0) if len(roots) > 1 else slice(None)
    left, right = roots[:, here], known[:, here].T
    step = max(1, PRODUCT_SIZE // max(1, right.size))
    for start in range(0, len(roots), step):
        squares[start : start + step] += (constant - 2 * (left[start : start + step] @ right)).min(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


@dataclass(frozen=True, eq=False, slots=True)
class GlassSpread:
    """How far oxide glasses lie from what is predicted, their references left out.

    Attributes:
        covariance: Of prefactor and activation energy as (AA, AE, EE), for a composition that is known, shape (3,).
        per_distance: By what share standard deviations grow with each unit of distance to the nearest known glass.
    """

    covariance: Array
    per_distance: float

    def at(self, distance: Array) -> Array:
        """Return the covariance of glasses at some distances of known ones, shape (n, 3)."""
        return np.asarray((1 + self.per_distance * distance[:, None]) ** 2 * self.covariance)

    def observed(self, coefficients: Array, distance: Array) -> Array:
        """Return the variance of what is observed of (A, E) by some coefficients of shape (n, 2), shape (n,)."""
        a, e = coefficients.T
        return np.asarray((np.column_stack([a * a, 2 * a * e, e * e]) * self.at(distance)).sum(axis=1))


class ConductivityModel:
    """The promoted model of conductivity and activation energy: a Gaussian process and trees."""

    def __init__(self, folder: Path) -> None:
        """Load the model from its folder; see `load_card` for what is refused."""
        self.folder = folder
        self.card = load_card(folder, ("process.onnx", "trees.onnx", "domain.npz"))
        if self.card["features"] != list(FEATURE_NAMES) or GLASS not in self.card:
            raise IntegrityError(
                f"The card of {folder.name} was written by another version of nascreen, which computes other features "
                "or knows no oxide glasses; restore the models that came with this one, or train again."
            )
        self._process = _session(folder / "process.onnx")
        self._trees = _session(folder / "trees.onnx")
        with np.load(folder / "domain.npz", allow_pickle=False) as arrays:
            self.known_fractions: Array = arrays["fractions"].astype(np.float64)
            self.known_glasses: Array = arrays["glasses"].astype(np.float64)
        self._prior_variance: Array = np.array(self.card["prior_variance"])
        glass = self.card[GLASS]
        self._glass_spread = GlassSpread(np.array(glass["covariance"]), glass["per_distance"])

    def lines(self, features: Array) -> Lines:
        """Predict the Arrhenius line of each row of a feature matrix of shape (n, f)."""
        latent, reduction = self._latent(features)
        (by_trees,) = self._trees.run(None, {"features": features.astype(np.float32)})
        return self.joined_lines(features, latent, reduction, by_trees)

    def distinct_lines(self, features: Array) -> Lines:
        """Predict as `lines` does, equal rows once: samples of a table often differ in their temperature alone."""
        places: dict[bytes, int] = {}
        place = np.array([places.setdefault(row.tobytes(), len(places)) for row in features])
        if len(places) == len(features):
            return self.lines(features)
        _, first = np.unique(place, return_index=True)
        return self.lines(features[first]).take(place)

    def joined_lines(self, features: Array, latent: Array, reduction: Array, by_trees: Array) -> Lines:
        """Join what process and trees say into lines.

        Args:
            features: Shape (n, f).
            latent: Mean of (A, E) by the process, shape (n, 2).
            reduction: By how much the data lower its prior variances (AA, AE, EE), shape (n, 3).
            by_trees: What the graph of trees says, as in `promoted_line`, shape (n, 3).
        """
        at_25 = latent[:, 0] - latent[:, 1] * DECADES_PER_EV / REFERENCE_K
        is_glass = is_oxide_glass(features)
        line = promoted_line(np.array([at_25, latent[:, 1]]).T, by_trees, is_glass)
        variance = self._prior_variance - reduction
        if is_glass.any():
            variance[is_glass] = self._glass_spread.at(self._distance_to_glasses(features[is_glass]))
        family = np.argmax(features[:, BLOCKS["family"]], axis=1)
        names = self.card["families"]
        return Lines(line[:, 0], line[:, 1], variance, tuple(names[i] for i in family))

    def _latent(self, features: Array) -> tuple[Array, Array]:
        """Run the process block by block, so that what lies between stays small."""
        blocks = [
            self._process.run(None, {"features": features[start : start + BLOCK_ROWS]})
            for start in range(0, len(features), BLOCK_ROWS)
        ]
        latent, reduction = zip(*blocks, strict=True)
        return np.concatenate(latent), np.concatenate(reduction)

    def log_sigma(self, lines: Lines, temp_c: Array) -> tuple[Array, Array]:
        """Return log10 σ and the half width of its 90 % interval at each temperature, shapes (n,)."""
        kelvin = np.asarray(temp_c, dtype=np.float64) + 273.15
        slope = DECADES_PER_EV * (1 / REFERENCE_K - 1 / kelvin)
        centre = lines.log_sigma_25 + slope * lines.ea_ev - np.log10(kelvin / REFERENCE_K)
        per_ev = -DECADES_PER_EV / kelvin
        aa, ae, ee = lines.covariance.T
        noise = self.card["noise_variance"]
        variance = aa + 2 * per_ev * ae + per_ev**2 * ee
        variance += noise["paper_prefactor"] + per_ev**2 * noise["paper_energy"] + noise["conductivity"]
        return centre, self._half_width("log_sigma", lines, variance)

    def ea(self, lines: Lines) -> tuple[Array, Array]:
        """Return the activation energy in eV and the half width of its 90 % interval, shapes (n,)."""
        noise = self.card["noise_variance"]
        variance = lines.covariance[:, 2] + noise["paper_energy"] + noise["energy"]
        return lines.ea_ev, self._half_width("ea_ev", lines, variance)

    def _half_width(self, name: str, lines: Lines, variance: Array) -> Array:
        factors = self.card["interval"][name]
        per_row = np.array([factors["by_family"].get(f, factors["overall"]) for f in lines.family])
        return np.asarray(per_row * np.sqrt(np.maximum(variance, 1e-6)))

    def distance(self, features: Array) -> Array:
        """Return the distance of each composition to the nearest one learned from, 0 (known) to 1.41, shape (n,).

        Oxide glasses are also compared with the glasses that their own trees have learned from.
        """
        out = nearest_distance(np.sqrt(features[:, BLOCKS["fraction"]]), self.known_fractions)
        is_glass = is_oxide_glass(features)
        if is_glass.any():
            out[is_glass] = np.minimum(out[is_glass], self._distance_to_glasses(features[is_glass]))
        return out

    def _distance_to_glasses(self, features: Array) -> Array:
        return nearest_distance(np.sqrt(features[:, BLOCKS["fraction"]]), self.known_glasses)


def strength_features(sample: Sample, family: str) -> list[float]:
    """Return the terms of the strength law for one sample, in the order of `STRENGTH_FEATURES`."""
    porosity = sample.porosity_pct
    if porosity is None and sample.rel_density_pct is not None:
        porosity = 100 - sample.rel_density_pct
    second = sample.second_phase
    is_filled = sample.second_phase_role == "pore_filler" or bool(second and any(f in second.lower() for f in FILLERS))
    return [
        1.0,
        float(family == "beta_alumina"),
        float(family in {"oxide_other", "silicate"}),
        float(is_filled),
        0.0 if porosity is None else porosity / 100 - USUAL_POROSITY,
        float(bool(second) and not is_filled),
    ]


class StrengthModel:
    """The promoted model of mechanical strength: a strength–porosity law with family and filler terms."""

    def __init__(self, folder: Path) -> None:
        """Load the model from its folder; see `load_card` for what is refused."""
        self.card = load_card(folder, ("law.onnx",))
        self._law = _session(folder / "law.onnx")

    def log_strength(self, samples: Sequence[Sample], families: Sequence[str]) -> tuple[Array, Array]:
        """Return log10 of strength in MPa and the half width of its 90 % interval, shapes (n,)."""
        terms = np.array([strength_features(s, f) for s, f in zip(samples, families, strict=True)], dtype=np.float64)
        mean, variance = self._law.run(None, {"features": terms.reshape(-1, len(STRENGTH_FEATURES))})
        unseen = np.array([f not in STRENGTH_FAMILIES for f in families])
        total = variance[:, 0] + self.card["noise_variance"] + unseen * self.card["unseen_family_variance"]
        return mean[:, 0], self.card["interval"]["log_strength"] * np.sqrt(total)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is predicted for one sample; every interval holds 90 %.

    Attributes:
        sample: The sample as it was given; no temperature means 25 °C.
        conductivity_s_cm: Conductivity in S/cm at the sample's temperature, with ``_lo`` and ``_hi``.
        ea_ev: Activation energy in eV, of the σT form.
        strength_mpa: Strength in MPa.
        conductivity_25_s_cm: Conductivity at 25 °C, on the same line.
        in_domain: False where the models have not earned trust.
        domain_note: Why, in words; also notes that do not lessen trust.
        family: Family of electrolytes.
        distance: Distance to the nearest composition learned from.
    """

    sample: Sample
    conductivity_s_cm: float
    conductivity_lo: float
    conductivity_hi: float
    ea_ev: float
    ea_lo: float
    ea_hi: float
    strength_mpa: float
    strength_lo: float
    strength_hi: float
    conductivity_25_s_cm: float
    in_domain: bool
    domain_note: str
    family: str
    distance: float


@dataclass(frozen=True, eq=False, slots=True)
class Featurized:
    """Samples that `require_usable` has let pass, as the models see them.

    Attributes:
        samples: The samples, n of them.
        chemistries: What their formulas say.
        features: Shape (n, f).
    """

    samples: Sequence[Sample]
    chemistries: Sequence[Chemistry]
    features: Array

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Featurized:
        """Compute the features of some samples."""
        chemistries = [chemistry_of(sample.formula) for sample in samples]
        is_many = len(samples) >= LEAST_MANY
        return cls(samples, chemistries, many_features(samples, chemistries) if is_many else feature_matrix(samples))


@dataclass(frozen=True, eq=False)
class Models:
    """The promoted models together."""

    conductivity: ConductivityModel
    strength: StrengthModel

    def predict(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Predict every property of each sample.

        Args:
            samples: Samples with a sodium-containing formula; a missing temperature means 25 °C.

        Returns:
            One prediction per sample.

        Raises:
            InputError: If a formula cannot be used or a quantity is out of bounds.
        """
        for sample in samples:
            require_usable(sample)
        return self.predict_usable(samples)

    def predict_usable(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Predict as `predict` does, samples that `require_usable` has let pass."""
        if not samples:
            return []
        usable = Featurized.of(samples)
        return self.predictions(usable, self.conductivity.lines(usable.features))

    def predictions(self, usable: Featurized, lines: Lines) -> list[Prediction]:
        """Return the predictions of samples whose lines are known."""
        return [Prediction(*values) for values in self.values(usable, lines)]

    def values(self, usable: Featurized, lines: Lines) -> Iterator[tuple[Any, ...]]:
        """Yield the fields of each prediction in the order of `Prediction`, where many are written and none is kept."""
        samples = usable.samples
        temp_c = np.array([ROOM_TEMPERATURE_C if s.meas_temp_c is None else s.meas_temp_c for s in samples])
        sigma = self.conductivity.log_sigma(lines, temp_c)
        energy, energy_half = self.conductivity.ea(lines)
        numbers = np.array(
            [
                *_around(*sigma), energy, np.maximum(energy - energy_half, 0), energy + energy_half,
                *_around(*self.strength.log_strength(samples, lines.family)), 10**lines.log_sigma_25,
            ]
        ).T.tolist()  # fmt: skip
        given = zip(
            samples, usable.chemistries, lines.family, self.conductivity.distance(usable.features).tolist(),
            temp_c.tolist(), sigma[1].tolist(), numbers, strict=True,
        )  # fmt: skip
        for sample, chemistry, family, distance, temp, width, values in given:
            trusted, note = self._domain(sample, chemistry, family, distance, temp, width)
            yield (sample, *values, trusted, note, family, distance)

    def _domain(
        self, sample: Sample, chemistry: Chemistry, family: str, distance: float, temp_c: float, width: float
    ) -> tuple[bool, str]:
        doubts = domain_doubts(sample, family, distance, temp_c, self.conductivity.card["domain"])
        if width > WIDEST_TRUSTED_DECADES:
            doubts.append(f"the interval spans a factor of {10 ** (2 * width):.0e}: too little is known nearby")
        balance, notes = chemistry.balance, []
        if balance.is_balanced is False:
            doubts.insert(0, f"not charge balanced: {balance.note}")
        elif balance.note:
            notes.append(balance.note)
        if sample.conductivity_kind == "grain_boundary":
            notes.append("grain boundaries alone are not predicted: the conductivity is that of the whole sample")
        if family not in STRENGTH_FAMILIES:
            notes.append(f"no measured strength of family {family}: the strength is that of a typical oxide ceramic")
        return not doubts, "; ".join([*doubts, *notes])


def _around(log_value: Array, log_half: Array) -> tuple[Array, Array, Array]:
    return 10**log_value, 10 ** (log_value - log_half), 10 ** (log_value + log_half)


def require_usable(sample: Sample) -> None:
    """Refuse a sample that no model here can say anything of.

    Raises:
        InputError: If the formula is missing, unreadable or free of sodium, or a quantity is out of bounds.
    """
    require_sodium(sample)
    check_sample(sample)


def require_sodium(sample: Sample) -> None:
    """Refuse a sample whose formula no model here can say anything of; its quantities are not looked at.

    Raises:
        InputError: If the formula is missing, unreadable or free of sodium.
    """
    if not sample.formula:
        raise FormulaError("The formula is empty; give one such as 'Na3Zr2Si2PO12'.")
    if "Na" not in chemistry_of(sample.formula).composition.counts:
        raise InputError(
            f"The formula '{sample.formula[:60]}' holds no sodium; the models are of sodium conductors alone."
        )


def elements_seen(domain: Mapping[str, Any], family: str) -> set[str]:
    """Return the elements that the models have seen in any sample, for oxide glasses also those of glasses alone."""
    return {*domain["elements"], *(domain["glass_elements"] if family == GLASS else ())}


def domain_doubts(sample: Sample, family: str, distance: float, temp_c: float, domain: Mapping[str, Any]) -> list[str]:
    """Return the reasons, in words, why a prediction has not earned trust; none where it has."""
    seen, doubts = domain["elements"], []
    unknown = [s for s in chemistry_of(sample.formula).composition.counts if s not in seen]
    unknown = unknown and sorted(set(unknown) - elements_seen(domain, family), key=SYMBOLS.index)
    if unknown:
        doubts.append(f"never seen in the data: {', '.join(unknown)}")
    n_papers = domain["papers_by_family"].get(family, 0)
    if n_papers < domain["least_papers"]:
        doubts.append(f"family {family} is known from {n_papers} paper{'s' * (n_papers != 1)} only")
    if distance > domain["largest_distance"]:
        doubts.append(
            f"composition far from all data (distance {distance:.2f}, trusted up to {domain['largest_distance']:.2f})"
        )
    for name, (low, high) in domain["ranges"].items():
        value = temp_c if name == "meas_temp_c" else getattr(sample, name)
        if value is not None and not low - DOMAIN_MARGINS[name] <= value <= high + DOMAIN_MARGINS[name]:
            doubts.append(f"{name} {value:g} is outside the {low:g} to {high:g} seen")
    return doubts


def models_in(folder: Path) -> Models:
    """Load the models kept in a folder that holds ``conductivity/`` and ``strength/``."""
    return Models(ConductivityModel(folder / "conductivity"), StrengthModel(folder / "strength"))


_loaded: list[Models] = []


def load_models() -> Models:
    """Load the promoted models, once.

    Raises:
        IntegrityError: If a file is missing or is not the promised one.
    """
    if not _loaded:
        _loaded.append(models_in(model_folder()))
    return _loaded[0]


def use_models(models: Models | None) -> None:
    """Let `load_models` return these from now on; None loads from the folder again at the next call."""
    _loaded[:] = [] if models is None else [models]


def family_of_sample(sample: Sample) -> str:
    """Return the family of a sample from its composition and phase."""
    return family_of(chemistry_of(sample.formula).composition, sample.phase or None)
