"""How much a row is worth by what is believed of it: acquisition functions, thresholds and dominance.

Each is a function of arrays alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

N_VOLUME_POINTS = 512


def log_expected_improvement(mean: Array, sd: Array, best: float) -> Array:
    """Return the logarithm of the expected improvement over ``best``, stable far below it.

    S. Ament et al., Unexpected Improvements to Expected Improvement for Bayesian Optimization,
    Adv. Neural Inf. Process. Syst. 36 (2023), arXiv:2310.20708, equation 9.

    Args:
        mean: Posterior means, shape (n,), higher is better.
        sd: Posterior standard deviations above 0, shape (n,).
        best: Value to beat.

    >>> bool(np.isclose(np.exp(log_expected_improvement(np.zeros(1), np.ones(1), 0.0))[0], 0.3989423))
    True
    """
    z = (np.asarray(mean) - best) / sd
    log_density = -0.5 * z * z - 0.5 * np.log(2 * np.pi)
    below = np.clip(z, -1e6, -1.0)
    # 1 + z Φ(z)/φ(z) loses its digits far below; there it tends to 1/z².
    ratio = 1 + below * np.sqrt(np.pi / 2) * erfcx(-below / np.sqrt(2))
    far = log_density + np.where(below > -1e4, np.log(np.maximum(ratio, 1e-300)), -2 * np.log(-below))
    near = np.log(np.maximum(np.exp(log_density) + z * ndtr(z), 1e-300))
    return np.asarray(np.where(z > -1, near, far) + np.log(sd))


def top_threshold(mean: Array, sd: Array, weights: Array, share: float) -> float:
    """Return the value that the expected share of all rows exceeds.

    Args:
        mean: Posterior means, or told values, shape (n,), higher is better.
        sd: Posterior standard deviations, shape (n,); about 0 for told values.
        weights: How much each row counts, such as its probability of being feasible.
        share: Share of the rows that shall lie above, 0 to 1.
    """
    low, high = float((mean - 8 * sd).min()), float((mean + 8 * sd).max())
    wanted = share * float(weights.sum())
    for _ in range(40):
        middle = 0.5 * (low + high)
        is_above = float(weights @ ndtr((mean - middle) / sd)) > wanted
        low, high = (middle, high) if is_above else (low, middle)
    return 0.5 * (low + high)


def volume_points(front: Array, reference: Array, ideal: Array, n_points: int = N_VOLUME_POINTS) -> tuple[Array, float]:
    """Return points of a box that no row of the front dominates, and the volume that each stands for.

    The points are those of the additive recurrence of the generalised golden ratio (M. Roberts, 2018), so that the
    same box gives the same points.

    Args:
        front: Rows that are told, shape (f, k), higher is better.
        reference: Lower corner of the box, shape (k,).
        ideal: Upper corner.
        n_points: Points in the whole box.
    """
    k = len(reference)
    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (k + 1))
    steps = ratio ** -np.arange(1, k + 1)
    unit = (0.5 + np.arange(1, n_points + 1)[:, None] * steps) % 1
    points = reference + unit * (ideal - reference)
    is_free = ~np.any(np.all(front[None] >= points[:, None], axis=2), axis=1)
    return points[is_free], float(np.prod(ideal - reference)) / n_points


def non_dominated(rows: Array) -> Flags:
    """Return which rows no other row dominates, shape (n,); higher is better in every column."""
    at_least = np.all(rows[:, None] >= rows[None], axis=2)
    above = np.any(rows[:, None] > rows[None], axis=2)
    return np.asarray(~np.any(at_least & above, axis=0))
