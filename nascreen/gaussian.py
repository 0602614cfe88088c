r"""An exact Gaussian process over Arrhenius lines.

Every composition has two latent quantities: the logarithm of its prefactor, :math:`A`, and its activation
energy, :math:`E` in eV. All that a paper reports is a linear function of the two,

    log10(σ·T/298.15 K) = A - E / (k T ln 10)          a conductivity at temperature T
    Ea                  = E                            an activation energy

so that conductivities at every temperature, activation energies and predictions can never contradict one
another. Reported activation energies belong to the σT form of the Arrhenius law (on the samples that report
both, the σ form is off by -0.04 eV, the σT form by less than 0.005 eV; ``experiments/accuracy``), hence
the factor T. Linear observations of a Gaussian process: C. E. Rasmussen and C. K. I. Williams, Gaussian
Processes for Machine Learning (MIT Press, 2006), section 9.4; Matérn kernel: section 4.2.

The covariance of two samples is a sum of parts, each with an amplitude for A and one for E: a constant,
the family, element fractions, field descriptors, Magpie statistics, and field descriptors × processing × phase.
Rows of one paper share a paper effect that is part of the noise. Hyperparameters maximise the
leave-one-paper-out predictive likelihood, under a Student t in place of the normal, since the literature has outliers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.special import log_ndtr

from nascreen.physics import BOLTZMANN_EV_K

Array = NDArray[np.float64]

REFERENCE_K = 298.15
DECADES_PER_EV = 1 / (BOLTZMANN_EV_K * np.log(10))
"""Times 1/T (K), the decades of conductivity that 1 eV costs."""

MEAN_PREFACTOR = 2.6
MEAN_EA_EV = 0.45
CONSTANT_AMPLITUDE = (1.5, 0.2)
STUDENT_DOF = 4.0
JITTER = 1e-6

KERNELS = ("constant", "family", "fraction", "field", "magpie", "processing")
LENGTHS = ("fraction", "field", "magpie", "processing")
PARAMETERS: tuple[str, ...] = (
    *(f"length_{name}" for name in LENGTHS),
    *(f"prefactor_{name}" for name in KERNELS[1:]),
    *(f"energy_{name}" for name in KERNELS[1:]),
    "paper_prefactor", "paper_energy", "noise_conductivity", "noise_energy",
)  # fmt: skip
DEFAULTS: Mapping[str, float] = dict(
    zip(
        PARAMETERS,
        (0.17, 0.47, 0.5, 1.7, 0.3, 0.3, 0.2, 0.3, 0.3, 0.04, 0.06, 0.03, 0.06, 0.04, 0.1, 0.03, 0.35, 0.05),
        strict=True,
    )
)
PRIOR_WIDTH = 1.5
"""Standard deviation of the log-normal prior on every hyperparameter."""


def conductivity_coefficients(temp_c: Array) -> Array:
    """Return what a conductivity at each temperature observes of (A, E), shape (n, 2)."""
    kelvin = np.asarray(temp_c, dtype=np.float64) + 273.15
    return np.column_stack([np.ones_like(kelvin), -DECADES_PER_EV / kelvin])


def energy_coefficients(n: int) -> Array:
    """Return what an activation energy observes of (A, E), shape (n, 2)."""
    return np.column_stack([np.zeros(n), np.ones(n)])


def scaled_log_conductivity(conductivity_s_cm: Array, temp_c: Array) -> Array:
    """Return log10(σ·T/298.15 K), which equals log10 σ at 25 °C."""
    return np.asarray(np.log10(conductivity_s_cm) + np.log10((np.asarray(temp_c) + 273.15) / REFERENCE_K))


@dataclass(frozen=True, eq=False)
class Inputs:
    """Feature blocks of n samples, scaled for distances.

    Attributes:
        family: One-hot family, shape (n, f).
        fraction: Square roots of element fractions.
        field: Standardised descriptors, missing ones at the mean.
        magpie: Standardised Magpie statistics.
        processing: Standardised processing values, missing ones at the mean.
        phase: One-hot phase; all zero where it is not known.
    """

    family: Array
    fraction: Array
    field: Array
    magpie: Array
    processing: Array
    phase: Array

    def __getitem__(self, rows: NDArray[np.intp]) -> Inputs:
        """Return the chosen rows."""
        return Inputs(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


def squared_distances(left: Array, right: Array) -> Array:
    """Return squared Euclidean distances of shape (n, m)."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2 * left @ right.T
    return np.asarray(np.maximum(squares, 0.0))


def _matern(squares: Array, length: float) -> tuple[Array, Array]:
    """Return the Matérn-5/2 correlation and its derivative by log length."""
    r = np.sqrt(5 * squares) / length
    decay = np.exp(-r)
    return (1 + r + r * r / 3) * decay, (r * r / 3) * (1 + r) * decay


@dataclass(frozen=True, eq=False)
class _Distances:
    """Squared distances (per feature where standardised) and matches between two sets of samples."""

    by_length: Mapping[str, Array]
    family: Array
    phase: Array

    @classmethod
    def between(cls, left: Inputs, right: Inputs) -> _Distances:
        blocks = {"fraction": 1, **{name: getattr(left, name).shape[1] for name in LENGTHS[1:]}}
        by_length = {
            name: squared_distances(getattr(left, name), getattr(right, name)) / size for name, size in blocks.items()
        }
        return cls(by_length, left.family @ right.family.T, left.phase @ right.phase.T)


def correlations(parameters: Array, distances: _Distances) -> tuple[list[Array], list[list[tuple[int, Array]]]]:
    """Return the six correlation matrices, and for each length the (kernel, derivative by log length) it enters."""
    pairs = {name: _matern(distances.by_length[name], float(np.exp(parameters[i]))) for i, name in enumerate(LENGTHS)}
    (fraction, d_fraction), (described, d_described), (magpie, d_magpie), (processed, d_processed) = (
        pairs[name] for name in LENGTHS
    )
    matched = processed * distances.phase
    kernels = [np.ones_like(fraction), distances.family, fraction, described, magpie, described * matched]
    by_length = [
        [(2, d_fraction)],
        [(3, d_described), (5, d_described * matched)],
        [(4, d_magpie)],
        [(5, described * d_processed * distances.phase)],
    ]
    return kernels, by_length


def amplitudes(parameters: Array) -> tuple[Array, Array]:
    """Return the amplitudes of the six kernels, for A in decades and for E in eV."""
    values = np.exp(parameters)
    n = len(LENGTHS)
    k = len(KERNELS) - 1
    return np.r_[CONSTANT_AMPLITUDE[0], values[n : n + k]], np.r_[CONSTANT_AMPLITUDE[1], values[n + k : n + 2 * k]]


@dataclass(eq=False)
class ArrheniusProcess:
    """The fitted process.

    Attributes:
        parameters: Logarithms of the hyperparameters, in the order of `PARAMETERS`.
        inputs: Training inputs.
        coefficients: What each training row observes of (A, E), shape (n, 2).
        targets: log10(σ·T/298.15 K) or Ea in eV, shape (n,).
        groups: Integer code of the paper of each row.
        weights: Weight of each row; outliers against all other papers count less.
    """

    parameters: Array
    inputs: Inputs
    coefficients: Array
    targets: Array
    groups: NDArray[np.intp]
    weights: Array = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        """Solve for the training rows."""
        if not len(self.weights):
            self.weights = np.ones(len(self.targets))
        self.distances = _Distances.between(self.inputs, self.inputs)
        self._same_paper = (self.groups[:, None] == self.groups[None]).astype(np.float64)
        self._solve()

    @property
    def is_conductivity(self) -> NDArray[np.bool_]:
        """Which rows are conductivities."""
        return np.asarray(self.coefficients[:, 0] != 0)

    @property
    def residuals(self) -> Array:
        """Targets less the prior mean."""
        return np.asarray(self.targets - self.coefficients @ np.array([MEAN_PREFACTOR, MEAN_EA_EV]))

    def noise_variance(self) -> Array:
        """Return the noise variance of each row."""
        conductivity, energy = np.exp(2 * self.parameters[-2:])
        return np.asarray(np.where(self.is_conductivity, conductivity, energy) / self.weights + JITTER)

    def covariance(self, distances: _Distances, left: Array, right: Array) -> Array:
        """Return the prior covariance of linear functionals ``left`` (n, 2) and ``right`` (m, 2)."""
        return self._mixed(correlations(self.parameters, distances)[0], left, right)

    def _mixed(self, kernels: Sequence[Array], left: Array, right: Array) -> Array:
        prefactor, energy = amplitudes(self.parameters)
        by_a = np.outer(left[:, 0], right[:, 0])
        by_e = np.outer(left[:, 1], right[:, 1])
        total = np.zeros_like(by_a)
        for kernel, a, e in zip(kernels, prefactor, energy, strict=True):
            total += kernel * (a * a * by_a + e * e * by_e)
        return total

    def paper_covariance(self) -> Array:
        """Return the covariance that rows of one paper share beyond their samples, shape (n, n)."""
        prefactor, energy = np.exp(2 * self.parameters[-4:-2])
        h = self.coefficients
        return np.asarray(
            self._same_paper * (prefactor * np.outer(h[:, 0], h[:, 0]) + energy * np.outer(h[:, 1], h[:, 1]))
        )

    def _solve(self, *, is_new: bool = True) -> None:
        h = self.coefficients
        if is_new:
            self._kernels = correlations(self.parameters, self.distances)
            self._signal = self._mixed(self._kernels[0], h, h) + self.paper_covariance()
        total = self._signal.copy()
        total[np.diag_indices_from(total)] += self.noise_variance()
        self._factor = cho_factor(total, lower=True)
        self.dual = cho_solve(self._factor, self.residuals)

    def predict(self, inputs: Inputs) -> Array:
        """Return the posterior mean of (A, E) for each sample, shape (n, 2)."""
        distances = _Distances.between(inputs, self.inputs)
        kernels, _ = correlations(self.parameters, distances)
        weights = self.kernel_weights()
        latent = sum(kernel @ weight for kernel, weight in zip(kernels, weights, strict=True))
        return np.asarray(latent + np.array([MEAN_PREFACTOR, MEAN_EA_EV]))

    def kernel_weights(self) -> list[Array]:
        """Return, for each kernel, the (n, 2) weights that turn correlations with the training rows into (A, E)."""
        prefactor, energy = amplitudes(self.parameters)
        per_row = self.coefficients * self.dual[:, None]
        return [per_row * np.array([a * a, e * e]) for a, e in zip(prefactor, energy, strict=True)]

    def joint_covariance(self, inputs: Inputs, coefficients: Array) -> Array:
        """Return the posterior covariance of one linear functional per sample, shape (n, n)."""
        cross = self.covariance(_Distances.between(inputs, self.inputs), coefficients, self.coefficients)
        prior = self.covariance(_Distances.between(inputs, inputs), coefficients, coefficients)
        # A phase that is not known could be any: it keeps its whole prior variance.
        is_unknown = 1 - inputs.phase.sum(axis=1)
        own = np.column_stack([values[-1] ** 2 for values in amplitudes(self.parameters)]) * coefficients**2
        prior[np.diag_indices_from(prior)] += is_unknown * own.sum(axis=1)
        half = solve_triangular(self._factor[0], cross.T, lower=True)
        return np.asarray(prior - half.T @ half)

    def leave_paper_out(self, parts: NDArray[np.intp] | None = None) -> tuple[Array, Array]:
        """Return residual and variance of each row when its whole paper is left out, each of shape (n,).

        Args:
            parts: Code of what is left out with each row, such as a fold of papers, instead of its paper.
        """
        inverse = cho_solve(self._factor, np.eye(len(self.targets)))
        residual, variance = np.empty(len(self.targets)), np.empty(len(self.targets))
        for rows in _papers(self.groups if parts is None else parts):
            block = np.linalg.inv(inverse[np.ix_(rows, rows)])
            residual[rows] = block @ self.dual[rows]
            variance[rows] = np.diag(block)
        return residual, variance

    def leave_row_out(self) -> tuple[Array, Array]:
        """Return mean and variance of each row as all other rows predict it, each of shape (n,)."""
        variance = 1 / np.diag(cho_solve(self._factor, np.eye(len(self.targets))))
        return self.targets - self.dual * variance, variance

    def with_targets(self, targets: Array) -> ArrheniusProcess:
        """Return the process with other targets on the same rows."""
        other = object.__new__(ArrheniusProcess)
        other.__dict__.update(self.__dict__)
        other.targets = targets
        other.dual = cho_solve(other._factor, other.residuals)
        return other

    def _gradient(self, by_covariance: Array) -> list[float]:
        """Return the derivatives by all parameters but the noise, from those by the covariance."""
        kernels, by_length = self._kernels
        prefactor, energy = amplitudes(self.parameters)
        h = self.coefficients
        by_a, by_e = by_covariance * np.outer(h[:, 0], h[:, 0]), by_covariance * np.outer(h[:, 1], h[:, 1])
        out = [
            sum(prefactor[k] ** 2 * np.vdot(d, by_a) + energy[k] ** 2 * np.vdot(d, by_e) for k, d in parts)
            for parts in by_length
        ]
        out += [2 * a * a * np.vdot(kernel, by_a) for a, kernel in zip(prefactor[1:], kernels[1:], strict=True)]
        out += [2 * e * e * np.vdot(kernel, by_e) for e, kernel in zip(energy[1:], kernels[1:], strict=True)]
        paper_a, paper_e = np.exp(2 * self.parameters[-4:-2])
        out += [2 * paper_a * np.vdot(self._same_paper, by_a), 2 * paper_e * np.vdot(self._same_paper, by_e)]
        return [float(value) for value in out]

    def loss(self) -> tuple[float, Array]:
        """Return the negative leave-one-paper-out log likelihood (to a constant) and its gradient.

        A paper of n rows counts like the square root of n, so that one large survey does not decide.
        """
        inverse = cho_solve(self._factor, np.eye(len(self.targets)))
        value = 0.0
        by_inverse = np.zeros_like(inverse)
        by_dual = np.zeros(len(self.targets))
        for rows in _papers(self.groups):
            square = np.ix_(rows, rows)
            block = np.linalg.inv(inverse[square])
            residual, variance = block @ self.dual[rows], np.diag(block)
            share = len(rows) ** -0.5
            z2 = residual**2 / variance
            value += share * float(np.sum(0.5 * np.log(variance) + (STUDENT_DOF + 1) / 2 * np.log1p(z2 / STUDENT_DOF)))
            by_residual = share * (STUDENT_DOF + 1) * residual / variance / (STUDENT_DOF + z2)
            by_variance = share * (0.5 - (STUDENT_DOF + 1) / 2 * z2 / (STUDENT_DOF + z2)) / variance
            by_block = np.outer(by_residual, self.dual[rows]) + np.diag(by_variance)
            by_inverse[square] = -block @ by_block @ block
            by_dual[rows] = block @ by_residual
        mixed = by_inverse + np.outer(by_dual, self.residuals)
        by_covariance = -inverse @ ((mixed + mixed.T) / 2) @ inverse
        gradient = self._gradient(by_covariance)
        diagonal = np.diag(by_covariance) / self.weights
        for scale, mask in zip(
            np.exp(2 * self.parameters[-2:]), (self.is_conductivity, ~self.is_conductivity), strict=True
        ):
            gradient.append(float(2 * scale * diagonal[mask].sum()))
        return value, np.array(gradient)

    def with_parameters(self, parameters: Array, weights: Array | None = None) -> ArrheniusProcess:
        """Return the process on the same rows with other hyperparameters or weights."""
        other = object.__new__(ArrheniusProcess)
        other.__dict__.update(self.__dict__)
        other.parameters = parameters
        other.weights = self.weights if weights is None else weights
        other._solve(is_new=parameters is not self.parameters)
        return other


def _papers(groups: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    return [np.asarray(part) for part in np.split(order, cuts)]


def default_parameters() -> Array:
    """Return the logarithms of the default hyperparameters."""
    return np.asarray(np.log([DEFAULTS[name] for name in PARAMETERS]), dtype=np.float64)


def tuned(process: ArrheniusProcess, n_iterations: int) -> ArrheniusProcess:
    """Tune the hyperparameters by L-BFGS on the leave-one-paper-out likelihood with its log-normal prior."""
    centre = default_parameters()

    def objective(parameters: Array) -> tuple[float, Array]:
        pull = (parameters - centre) / PRIOR_WIDTH**2
        value, gradient = process.with_parameters(parameters).loss()
        return value + 0.5 * float((parameters - centre) @ pull), gradient + pull

    bounds = [(c - 2 * PRIOR_WIDTH, c + 2 * PRIOR_WIDTH) for c in centre]
    result = minimize(
        objective, process.parameters, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": n_iterations}
    )
    return process.with_parameters(np.asarray(result.x))


ROBUST_SCALE = (0.65, 0.1)
"""Typical error on an unseen paper, decades and eV, against which a row is an outlier."""


MOST_PASSES = 20
CONVERGED = 1e-3
SETTLED = 1e-7
"""Largest changes of a weight, and of what a bound lets expect, at which repetition ends."""


def with_robust_weights(process: ArrheniusProcess, n_passes: int = MOST_PASSES) -> ArrheniusProcess:
    """Weigh each row by how far it lies from what all other papers say (Student t weights).

    Iteratively reweighted least squares: K. L. Lange et al., J. Am. Stat. Assoc. 84, 881 (1989),
    doi:10.1080/01621459.1989.10478852.

    Args:
        process: The process; its weights are what the rows count before.
        n_passes: Most repetitions; fewer where the weights no longer change.
    """
    before, found = process.weights, np.ones(len(process.weights))
    scale = np.where(process.is_conductivity, *ROBUST_SCALE)
    for _ in range(n_passes):
        residual, _ = process.leave_paper_out()
        z = residual / scale
        weights = np.clip((STUDENT_DOF + 1) / (STUDENT_DOF + z * z), 0.05, 1.25)
        change, found = float(np.abs(weights - found).max(initial=0)), weights
        process = process.with_parameters(process.parameters, before * found)
        if change < CONVERGED:
            break
    return process


def truncated_mean(mean: Array, sd: Array, bound: Array, side: Array | NDArray[np.int8]) -> Array:
    """Return the mean of normal values of which a bound is known, shape (n,).

    Args:
        mean: Mean before the bound is known.
        sd: Standard deviation before.
        bound: The bound.
        side: 1 where the value lies above the bound, -1 where it lies below.

    >>> truncated_mean(np.zeros(2), np.ones(2), np.zeros(2), np.array([1, -1])).round(4)
    array([ 0.7979, -0.7979])
    """
    room = side * (mean - bound) / sd
    hazard = np.exp(-0.5 * room**2 - log_ndtr(room)) / np.sqrt(2 * np.pi)
    # Far beyond the bound the two terms cancel; the value then lies on it.
    inside = np.maximum(side * (mean - bound) + sd * hazard, 0.0)
    return np.asarray(bound + side * inside)


def with_bounds(process: ArrheniusProcess, bounds: Array, sides: NDArray[np.int8]) -> ArrheniusProcess:
    """Put the expected value in the place of every bound: the E step of the tobit likelihood.

    A row of which only a bound is known ("below 1e-7 S/cm") enters with the mean of the values that the bound allows,
    as all other rows predict it, until nothing changes: G. C. G. Wei and M. A. Tanner, Biometrics 47, 1297 (1991),
    doi:10.2307/2532387. A bound that all other rows agree with moves nothing; one that is broken draws the process to
    its side.

    Args:
        process: The process; targets of rows with a bound are ignored.
        bounds: The bound of each row, shape (n,); read where ``sides`` is not 0.
        sides: 1 where the value lies above its bound, -1 where below, 0 where it was measured; shape (n,).
    """
    rows = np.flatnonzero(sides)
    if not len(rows):
        return process
    variance = process.leave_row_out()[1][rows]  # of no target
    for _ in range(MOST_PASSES):
        targets = process.targets.copy()
        mean = targets[rows] - process.dual[rows] * variance
        targets[rows] = truncated_mean(mean, np.sqrt(variance), bounds[rows], sides[rows])
        change = float(np.abs(targets - process.targets).max())
        process = process.with_targets(targets)
        if change < SETTLED:
            break
    return process


def spread_projection(process: ArrheniusProcess, rank: int) -> Array:
    """Choose the directions that carry most of what the process knows, for a compact posterior variance.

    The data lower the variance of a sample by the squares of its whitened covariances with all rows learned from. They
    are taken on the leading eigenvectors of those of these rows themselves, each seen as a conductivity at 25 °C and as
    an activation energy in units of what single ones scatter by. What is left out makes a variance larger: the error
    is on the safe side.

    Args:
        process: The fitted process, of N rows.
        rank: How many directions to keep; no more than N are.

    Returns:
        From covariances with the rows to what is squared, shape (N, rank).
    """
    n = len(process.targets)
    paper_a, paper_e, noise_s, noise_e = np.exp(2 * process.parameters[-4:])
    shown = np.zeros((n, n))
    for coefficients, variance in (
        (conductivity_coefficients(np.full(n, REFERENCE_K - 273.15)), paper_a + noise_s),
        (energy_coefficients(n), paper_e + noise_e),
    ):
        cross = process.covariance(process.distances, coefficients, process.coefficients)
        whitened = solve_triangular(process._factor[0], cross.T, lower=True)  # noqa: SLF001 - of this file
        shown += whitened @ whitened.T / variance
    _, vectors = np.linalg.eigh(shown)
    return np.asarray(solve_triangular(process._factor[0], vectors[:, ::-1][:, :rank], lower=True, trans="T"))  # noqa: SLF001


def compact_variance(process: ArrheniusProcess, projection: Array, inputs: Inputs, coefficients: Array) -> Array:
    """Return the posterior variance of one linear functional per sample, by a projection, shape (n,)."""
    distances = _Distances.between(inputs, process.inputs)
    half = process.covariance(distances, coefficients, process.coefficients) @ projection
    prefactor, energy = amplitudes(process.parameters)
    prior = (prefactor**2).sum() * coefficients[:, 0] ** 2 + (energy**2).sum() * coefficients[:, 1] ** 2
    return np.asarray(prior - (half**2).sum(axis=1))
