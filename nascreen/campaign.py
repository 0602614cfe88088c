"""Propose the next experiments by Bayesian optimization over a pool of rule-checked candidates.

The surrogate is the literature model: its mean, and the exact posterior covariance of its Gaussian process, so
that two candidates that would teach the same thing are not both proposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from nascreen import gaussian
from nascreen.acquisition import log_expected_improvement
from nascreen.errors import RangeError, shown
from nascreen.features import feature_matrix
from nascreen.gaussian import ArrheniusProcess
from nascreen.models import load_models
from nascreen.records import citation, name_of
from nascreen.screening import Neighbour, Scored, best_measured, nearest
from nascreen.training import Scaler, process_of, training_rows

Array = NDArray[np.float64]

POOL_SIZE = 500
N_DRAWS = 1024
OBJECTIVES = ("conductivity", "resistance")
MAX_BATCH = 24
CREDITED_GAIN = 0.5
"""Gain in decades up to which an improvement counts: a normal posterior promises more than any solid delivers."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One proposed experiment.

    Attributes:
        scored: The candidate with its predictions.
        expected_improvement: Expected gain over the best measured, alone, in decades of the objective; at most
            `CREDITED_GAIN` of a gain counts.
        probability_of_improvement: Probability that it beats the best measured.
        batch_gain: What it adds to the expected gain of the batch before it, in decades.
        neighbours: Nearest measured samples with their citation.
        reason: Why, in one sentence.
    """

    scored: Scored
    expected_improvement: float
    probability_of_improvement: float
    batch_gain: float
    neighbours: tuple[Neighbour, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of proposed experiments.

    Attributes:
        objective: What is optimized.
        best: The best measured value of the objective, as a sentence with its citation.
        best_value: That value in decades, higher is better.
        suggestions: The proposed experiments, in the order in which they were chosen.
    """

    objective: str
    best: str
    best_value: float
    suggestions: tuple[Suggestion, ...]


def log_credited_improvement(mean: Array, sd: Array, best: float) -> Array:
    """Return the logarithm of the expected improvement over ``best`` of which at most `CREDITED_GAIN` counts."""
    low = log_expected_improvement(mean, sd, best)
    high = log_expected_improvement(mean, sd, best + CREDITED_GAIN)
    return np.asarray(low + np.log1p(-np.exp(np.minimum(high - low, -1e-12))))


def literature_process() -> tuple[ArrheniusProcess, Scaler]:
    """Return the promoted Gaussian process with its training rows, for joint covariances."""
    card = load_models().conductivity.card
    parameters = np.log(np.array([card["hyperparameters"][name] for name in gaussian.PARAMETERS]))
    rows = training_rows()
    scaler = Scaler.fit(rows.features)
    return process_of(rows, scaler, parameters), scaler


def _objective(scored: Sequence[Scored], objective: str) -> Array:
    """Return the objective in decades, higher is better."""
    if objective == "conductivity":
        return np.log10([s.prediction.conductivity_25_s_cm for s in scored])
    return -np.log10([s.resistance_ohm_cm2 for s in scored])


def _objective_covariance(scored: Sequence[Scored], objective: str) -> Array:
    process, scaler = literature_process()
    samples = [s.sample for s in scored]
    inputs = scaler.inputs(feature_matrix(samples))
    at_25 = gaussian.conductivity_coefficients(np.full(len(samples), 25.0))
    covariance = process.joint_covariance(inputs, at_25)
    if objective == "resistance":
        log_half = np.array([np.log10(s.prediction.strength_hi / s.prediction.strength_mpa) for s in scored])
        # The law of strength is one for a whole space: its error is shared by all candidates.
        covariance = covariance + 0.25 * np.outer(log_half, log_half) / 1.645**2 * 0.5
        covariance[np.diag_indices_from(covariance)] += 0.125 * (log_half / 1.645) ** 2
    return covariance


def _incumbent(scored: Sequence[Scored], objective: str) -> tuple[float, str]:
    families = sorted({s.prediction.family for s in scored})
    log_sigma, sample = best_measured(families)
    text = f"{sample.conductivity_s_cm:.2g} S/cm at {sample.meas_temp_c:g} °C, {name_of(sample)} ({citation(sample)})"
    if objective == "conductivity":
        return log_sigma, text
    typical = float(np.median([np.log10(s.thinnest_um) for s in scored if not s.sample.second_phase] or [2.7]))
    value = log_sigma - (typical - 4)
    return value, f"{10**-value:.3g} Ω cm², estimated for a bare disc of {10**typical:.0f} µm from {text}"


def check_request(n: int, objective: str, seed: int) -> None:
    """Refuse a batch that cannot be chosen.

    Raises:
        RangeError: If an argument is out of range.
    """
    if objective not in OBJECTIVES:
        raise RangeError(f"The objective must be one of {', '.join(OBJECTIVES)}; got {shown(objective)}.")
    if not 1 <= n <= MAX_BATCH:
        raise RangeError(f"A batch holds 1 to {MAX_BATCH} experiments; got {n}.")
    if seed < 0:
        raise RangeError(f"The seed is {seed}; allowed is a whole number from 0.")


def suggest(
    scored: Sequence[Scored], n: int = 6, objective: str = "conductivity", seed: int = 0, n_neighbours: int = 3
) -> Batch:
    """Choose a batch of experiments with the largest joint expected improvement.

    Improvements count up to half a decade, so that a candidate is not proposed for the width of its interval
    alone. Candidates are first ranked by their own expected improvement; the batch is then built greedily from
    joint posterior draws (the one-shot Monte Carlo estimate of J. T. Wilson et al., arXiv:1805.10196), one
    per composition.

    Args:
        scored: Scored candidates; those outside the domain of the models are left out.
        n: Size of the batch, 1 to 24.
        objective: ``conductivity`` (σ at 25 °C) or ``resistance`` (of the thinnest self-supporting disc).
        seed: Seed of the draws.
        n_neighbours: Measured neighbours named for each.

    Returns:
        The batch; fewer than ``n`` where the pool has fewer compositions.

    Raises:
        RangeError: If an argument is out of range or no candidate is left.
    """
    check_request(n, objective, seed)
    usable = [s for s in scored if s.prediction.in_domain]
    if not usable:
        raise RangeError("No candidate lies within the domain of the models; choose another space.")
    best, sentence = _incumbent(usable, objective)
    pool = _pool(usable, objective, best)
    mean = _objective(pool, objective)
    covariance = _objective_covariance(pool, objective)
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-8))
    chosen, gains = _greedy(pool, _draws(mean, covariance, seed), best, n)
    ei = np.exp(log_credited_improvement(mean, sd, best))
    neighbours = nearest([pool[i].sample for i in chosen], n_neighbours)
    suggestions = tuple(
        Suggestion(
            pool[i], float(ei[i]), float(np.exp(log_ndtr((mean[i] - best) / sd[i]))), gain, tuple(near),
            _reason(mean[i] - best, float(sd[i]), float(ei[i]), near),
        )
        for i, gain, near in zip(chosen, gains, neighbours, strict=True)
    )  # fmt: skip
    return Batch(objective, sentence, best, suggestions)


def _pool(scored: Sequence[Scored], objective: str, best: float) -> list[Scored]:
    """Keep the candidates of largest expected improvement by the interval, the best of each composition first."""
    mean = _objective(scored, objective)
    sd = np.array([np.log10(s.prediction.conductivity_hi / s.prediction.conductivity_s_cm) / 1.645 for s in scored])
    order = np.argsort(-log_credited_improvement(mean, sd, best), kind="stable")
    firsts: list[Scored] = []
    others: list[Scored] = []
    seen: set[str] = set()
    for i in order:
        (others if scored[i].sample.formula in seen else firsts).append(scored[i])
        seen.add(scored[i].sample.formula)
    return [*firsts, *others][:POOL_SIZE]


def _draws(mean: Array, covariance: Array, seed: int) -> Array:
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0))
    normal = np.random.default_rng(seed).standard_normal((N_DRAWS, len(mean)))
    return np.asarray(mean + normal @ root.T)


def _greedy(pool: Sequence[Scored], draws: Array, best: float, n: int) -> tuple[list[int], list[float]]:
    reached = np.full(len(draws), best)
    draws = np.minimum(draws, best + CREDITED_GAIN)
    chosen: list[int] = []
    gains: list[float] = []
    formulas = np.array([s.sample.formula for s in pool])
    free = np.ones(len(pool), dtype=bool)
    while len(chosen) < n and free.any():
        gain = np.maximum(draws - reached[:, None], 0).mean(axis=0)
        pick = int(np.argmax(np.where(free, gain, -1)))
        chosen.append(pick)
        gains.append(float(gain[pick]))
        reached = np.maximum(reached, draws[:, pick])
        free &= formulas != formulas[pick]
    return chosen, gains


def _reason(lead: float, sd: float, ei: float, near: Sequence[Neighbour]) -> str:
    kind = "exploits: predicted to beat it" if lead > 0 else "explores: the gain lies in its uncertainty"
    nearest_text = (
        f"nearest measured {name_of(near[0].sample)} at distance {near[0].distance:.2f}" if near else "no neighbour"
    )
    return (
        f"Predicted {abs(lead):.2f} decades {'above' if lead > 0 else 'below'} the best reported "
        f"with a spread of {sd:.2f}; expected gain {ei:.3f} ({kind}); {nearest_text}."
    )
