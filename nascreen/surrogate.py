r"""An exact Gaussian process over the rows of a campaign: what is told, with its uncertainty.

    y = c + w m(x) + g(x) + noise,     c ~ N(0, 1),   w ~ N(0.7, 0.7²),   g ~ GP(0, a² k)

m is a prior mean, usually that of the literature model; its weight w is learned with everything else, and goes to
0 where m is wrong. k is the Matérn-3/2 correlation with a length for each group of columns (C. E. Rasmussen and
C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press 2006, sections 4.2 and 2.7), and the noise of a
row is its measured variance plus one that is learned. Lengths, amplitude and noise maximise the posterior, with an
analytic gradient; the prior of a length grows with the number of groups (C. Hvarfner, E. O. Hellsten and L. Nardi,
Vanilla Bayesian optimization performs great in high dimensions, ICML 2024, arXiv:2402.02229), so that many columns
do not make every point equally far.

Targets are expected on the scale of `TargetScale`, columns on that of `nascreen.encoding`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr

Array = NDArray[np.float64]
Index = NDArray[np.intp]

LENGTH_LOCATION = 0.0
LENGTH_WIDTH = 1.5
NOISE_LOCATION = -2.0
NOISE_WIDTH = 0.5
AMPLITUDE_WIDTH = 1.0
"""Normal priors of the logarithms of length (at one group), noise and amplitude, all as standard deviations."""

CONSTANT_VARIANCE = 1.0
WEIGHT_MEAN = 0.7
WEIGHT_VARIANCE = 0.49
JITTER = 1e-8
BOUNDS = {"length": (-4.6, 7.0), "amplitude": (-4.0, 3.0), "noise": (-5.0, 1.0)}
FIRST_ITERATIONS = 5
MAX_ITERATIONS = 50
SPREAD_KNOWN = 5.0
"""How many told values the spread of a prior mean is worth as knowledge of theirs."""

SMALLEST_SPREAD = 1e-150
"""A spread below this is none: what is divided by it may be too large for a number."""
POWERS = np.linspace(0.0, 2.0, 21)
POWER_WIDTH = 0.5
"""Normal prior of the power of the target about 1, which leaves few values as they are."""


# ---------------------------------------------------------------- the scale of a target


def yeo_johnson(values: Array, power: float | Array) -> Array:
    """Return the power transform of I.-K. Yeo and R. A. Johnson (Biometrika 87, 954, doi:10.1093/biomet/87.4.954).

    Args:
        values: Numbers of either sign.
        power: From 0 to 2, where every real number has an inverse; 1 changes nothing.
    """
    return np.asarray(np.where(values >= 0, _power(values, power), -_power(-values, 2 - np.asarray(power))))


def _power(values: Array, power: float | Array) -> Array:
    logs = np.log1p(np.maximum(values, 0))
    power = np.asarray(power, dtype=np.float64)
    is_log = np.abs(power) < 1e-9
    return np.asarray(np.where(is_log, logs, np.expm1(power * logs) / np.where(is_log, 1, power)))


def _unpower(values: Array, power: float) -> Array:
    values = np.maximum(values, 0)
    return np.asarray(np.expm1(values if power < 1e-9 else np.log1p(power * values) / power))


@dataclass(frozen=True, slots=True)
class TargetScale:
    """An increasing map of a property to numbers of mean 0 and spread 1, less skewed than the property.

    Attributes:
        location: Mean of the told values.
        spread: Their standard deviation.
        power: Power of the transform, 0 to 2.
        shift: Mean after the transform.
        stretch: Standard deviation after the transform, of values whose standard deviation is `spread`.
    """

    location: float = 0.0
    spread: float = 1.0
    power: float = 1.0
    shift: float = 0.0
    stretch: float = 1.0

    @classmethod
    def of(cls, values: Array, expected: Array | None = None, off: float = 0.0) -> TargetScale:
        """Return the scale that makes told values most nearly normal.

        Args:
            values: Told values, shape (n,).
            expected: Predicted values of the candidates. How much they differ is worth `SPREAD_KNOWN` told values as
                knowledge of the spread: two results that happen to be alike do not say that all others are.
            off: How far the predicted values are typically off, as a standard deviation.
        """
        known = 0.0 if expected is None else float(np.hypot(np.std(expected), off))
        told = float(np.std(values)) if len(values) > 1 else 0.0
        if told <= 1e-12 * np.abs(values).max(initial=0.0) + SMALLEST_SPREAD:
            told = 0.0
        if not told and known <= SMALLEST_SPREAD:
            # One value says nothing of the spread; its size is the only length there is.
            location = float(values[0]) if len(values) else 0.0
            return cls(location, abs(location) if abs(location) > SMALLEST_SPREAD else 1.0)
        location = float(np.mean(values)) if len(values) or expected is None else float(np.mean(expected))
        if len(values) < 2:
            return cls(location, known)
        weight = SPREAD_KNOWN if known > SMALLEST_SPREAD else 0.0
        spread = float(np.sqrt((len(values) * told**2 + weight * known**2) / (len(values) + weight)))
        if not told:
            return cls(location, spread)
        scaled = (values - location) / spread
        tried = yeo_johnson(scaled[None], POWERS[:, None])
        jacobian = float(np.sum(np.sign(scaled) * np.log1p(np.abs(scaled))))
        fit = -0.5 * len(scaled) * np.log(tried.var(axis=1)) + (POWERS - 1) * jacobian
        best = int(np.argmax(fit - 0.5 * ((POWERS - 1) / POWER_WIDTH) ** 2))
        stretch = float(tried[best].std() / scaled.std())
        return cls(location, spread, float(POWERS[best]), float(tried[best].mean()), stretch)

    def forward(self, values: Array) -> Array:
        """Return values of the property on this scale."""
        moved = yeo_johnson((np.asarray(values) - self.location) / self.spread, self.power)
        return np.asarray((moved - self.shift) / self.stretch)

    def inverse(self, scaled: Array) -> Array:
        """Return what `forward` made of a property."""
        moved = np.asarray(scaled) * self.stretch + self.shift
        values = np.where(moved >= 0, _unpower(moved, self.power), -_unpower(-moved, 2 - self.power))
        return np.asarray(values * self.spread + self.location)

    def slope(self, values: Array) -> Array:
        """Return the derivative of `forward`, which turns a small error of the property into one on this scale."""
        scaled = (np.asarray(values) - self.location) / self.spread
        exponent = np.where(scaled >= 0, self.power - 1, 1 - self.power)
        return np.asarray(np.exp(exponent * np.log1p(np.abs(scaled))) / (self.spread * self.stretch))

    def moments(self, mean: Array, sd: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the property whose scaled value is normal, each of shape (n,)."""
        if self.power == 1.0:
            factor = self.spread * self.stretch
            return self.inverse(mean), np.asarray(sd * factor)
        nodes, weights = np.polynomial.hermite_e.hermegauss(15)
        weights = weights / weights.sum()
        values = self.inverse(np.asarray(mean)[:, None] + np.asarray(sd)[:, None] * nodes)
        average = values @ weights
        return average, np.sqrt(np.maximum((values - average[:, None]) ** 2 @ weights, 0))


# ---------------------------------------------------------------- the process


def matern(squares: Array) -> tuple[Array, Array]:
    """Return the Matérn-3/2 correlation of squared scaled distances, and -2 times its derivative by them."""
    r = np.sqrt(3 * squares)
    decay = np.exp(-r)
    return (1 + r) * decay, 3 * decay


@dataclass(frozen=True, eq=False)
class Rows:
    """What the process is taught.

    Attributes:
        values: Encoded inputs, shape (n, d).
        groups: Group of each column, shape (d,); columns of one group share a length.
        targets: Targets on their scale, shape (n,).
        noise_variance: Known variance of each row on that scale, shape (n,).
        prior_mean: Prediction of the prior model on that scale, shape (n,); None where there is none.
    """

    values: Array
    groups: Index
    targets: Array
    noise_variance: Array
    prior_mean: Array | None = None

    def part(self, rows: Index) -> Rows:
        """Return some of the rows."""
        prior = None if self.prior_mean is None else self.prior_mean[rows]
        return Rows(self.values[rows], self.groups, self.targets[rows], self.noise_variance[rows], prior)

    @property
    def n_groups(self) -> int:
        """Number of groups of columns."""
        return int(self.groups.max()) + 1 if len(self.groups) else 0

    @cached_property
    def pairs(self) -> tuple[Index, Index]:
        """Row numbers of every pair of rows."""
        left, right = np.triu_indices(len(self.targets), 1)
        return left, right

    @cached_property
    def places(self) -> Index:
        """Place of every pair in a flattened (n, n) matrix, above the diagonal."""
        left, right = self.pairs
        return np.asarray(left * len(self.targets) + right)

    @cached_property
    def pair_means(self) -> Array:
        """Covariance of every pair through constant and weight."""
        return np.asarray(self.basis_covariance.ravel()[self.places])

    @cached_property
    def squares(self) -> Array:
        """Squared distances of every pair in each group, shape (n_groups, n (n - 1) / 2)."""
        left, right = self.pairs
        out = np.zeros((self.n_groups, len(left)))
        for group, column in zip(self.groups, self.values.T, strict=True):
            out[group] += (column[left] - column[right]) ** 2
        return out

    @cached_property
    def basis(self) -> Array:
        """Basis of the mean: a constant, and the prior mean where there is one."""
        return mean_basis(len(self.targets), self.prior_mean)

    @cached_property
    def residuals(self) -> Array:
        """Targets less the mean that is expected before anything is told."""
        return np.asarray(self.targets - self.basis @ mean_expectation(self.basis.shape[1]))

    @cached_property
    def basis_covariance(self) -> Array:
        """Covariance of the rows through constant and weight, shape (n, n)."""
        return np.asarray((self.basis * mean_variance(self.basis.shape[1])) @ self.basis.T)


def mean_basis(n: int, prior_mean: Array | None) -> Array:
    """Return the basis of the mean of n rows, shape (n, 1) or (n, 2)."""
    return np.ones((n, 1)) if prior_mean is None else np.column_stack([np.ones(n), prior_mean])


def mean_expectation(size: int) -> Array:
    """Return what constant and weight are expected to be."""
    return np.asarray([0.0, WEIGHT_MEAN][:size], dtype=np.float64)


def mean_variance(size: int) -> Array:
    """Return the prior variances of constant and weight."""
    return np.asarray([CONSTANT_VARIANCE, WEIGHT_VARIANCE][:size], dtype=np.float64)


def default_parameters(n_groups: int) -> Array:
    """Return the mode of the prior: logarithms of each length, of amplitude and of the noise's standard deviation."""
    length = LENGTH_LOCATION + 0.5 * np.log(max(n_groups, 1))
    return np.asarray([*[length] * n_groups, 0.0, NOISE_LOCATION], dtype=np.float64)


def _widths(n_groups: int) -> Array:
    return np.asarray([*[LENGTH_WIDTH] * n_groups, AMPLITUDE_WIDTH, NOISE_WIDTH], dtype=np.float64)


def loss(rows: Rows, parameters: Array) -> tuple[float, Array]:
    """Return the negative logarithm of the posterior of the parameters (to a constant), and its gradient."""
    n, g = len(rows.targets), rows.n_groups
    inverse_squares = np.exp(-2 * parameters[:g])
    amplitude, noise = np.exp(2 * parameters[g:])
    correlation, slope = matern(inverse_squares @ rows.squares)
    # LAPACK counts columns first: the upper half of a C-ordered matrix is its lower one.
    factor, failed = lapack.dpotrf(_covariance(rows, correlation, amplitude, noise).T, lower=1, overwrite_a=1)
    if failed:
        return 1e10, np.zeros_like(parameters)
    dual, _ = lapack.dpotrs(factor, rows.residuals, lower=1)
    off = (parameters - default_parameters(g)) / _widths(g)
    value = 0.5 * rows.residuals @ dual + np.log(factor.diagonal()).sum() + 0.5 * off @ off
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    left, right = rows.pairs
    # The derivative by a covariance counts each pair twice, which cancels the 1/2 of the likelihood.
    by_pair = inverse.T.ravel()[rows.places] - dual[left] * dual[right]
    by_diagonal = inverse.diagonal() - dual * dual
    gradient = np.empty(g + 2)
    gradient[:g] = (rows.squares @ (by_pair * slope)) * amplitude * inverse_squares
    gradient[g] = amplitude * (2 * by_pair @ correlation + by_diagonal.sum())
    gradient[g + 1] = noise * by_diagonal.sum() if n else 0.0
    return float(value), gradient + off / _widths(g)


def _covariance(rows: Rows, correlation: Array, amplitude: float, noise: float) -> Array:
    """Return the covariance of the rows; below the diagonal it is left empty."""
    n = len(rows.targets)
    total = np.zeros((n, n))
    total.ravel()[rows.places] = amplitude * correlation + rows.pair_means
    total[np.diag_indices(n)] = amplitude + noise + rows.noise_variance + rows.basis_covariance.diagonal() + JITTER
    return total


def _starts(n_groups: int) -> list[Array]:
    short = np.r_[np.full(n_groups, 0.5 * np.log(max(n_groups, 1)) - 1.0), 0.0, -1.0]
    return [default_parameters(n_groups), short]


def fit_parameters(rows: Rows) -> Array:
    """Return the parameters of largest posterior, from fixed starts: the same rows give the same numbers.

    Every start takes a few steps, and only the best of them goes on.
    """
    g = rows.n_groups
    if not len(rows.targets):
        return default_parameters(g)
    tried = [descend(rows, start, FIRST_ITERATIONS) for start in _starts(g)]
    best = min(tried, key=lambda found: found[1])
    return descend(rows, best[0], MAX_ITERATIONS)[0]


def descend(rows: Rows, start: Array, n_iterations: int) -> tuple[Array, float]:
    """Return parameters of a lower loss, and that loss."""
    # In units of their prior's width the parameters are about equally stiff, which saves a third of the steps.
    widths = _widths(rows.n_groups)
    limits = [BOUNDS["length"]] * rows.n_groups + [BOUNDS["amplitude"], BOUNDS["noise"]]

    def scaled_loss(scaled: Array) -> tuple[float, Array]:
        value, gradient = loss(rows, scaled * widths)
        return value, gradient * widths

    found = minimize(
        scaled_loss, start / widths, jac=True, method="L-BFGS-B",
        bounds=[(low / width, high / width) for (low, high), width in zip(limits, widths, strict=True)],
        options={"maxiter": n_iterations, "ftol": 1e-6, "gtol": 1e-3},
    )  # fmt: skip
    return np.asarray(found.x * widths), float(found.fun)


@dataclass(eq=False)
class GaussianProcess:
    """The process, conditioned on its rows.

    Attributes:
        rows: What it was taught.
        parameters: Logarithms of each length, of amplitude and of the noise's standard deviation.
    """

    rows: Rows
    parameters: Array
    _scales: Array = field(init=False, repr=False)
    _factor: Array = field(init=False, repr=False)
    _dual: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Solve for the rows."""
        rows, g = self.rows, self.rows.n_groups
        inverse = np.exp(-self.parameters[:g])
        self._scales = inverse[rows.groups] if g else np.empty(0)
        correlation, _ = matern(inverse**2 @ rows.squares)
        upper = _covariance(rows, correlation, self.amplitude_variance, self.learned_noise_variance)
        self._factor = np.asarray(np.linalg.cholesky(upper.T + np.triu(upper, 1)), dtype=np.float64)
        half = self._solve(rows.residuals)
        self._dual = solve_triangular(self._factor, half, lower=True, trans=1) if len(half) else half

    @classmethod
    def fit(cls, rows: Rows) -> GaussianProcess:
        """Return the process with the parameters of largest posterior."""
        return cls(rows, fit_parameters(rows))

    @property
    def amplitude_variance(self) -> float:
        """Variance of the process about its mean."""
        return float(np.exp(2 * self.parameters[-2]))

    @property
    def learned_noise_variance(self) -> float:
        """Variance of a row beyond its measured one."""
        return float(np.exp(2 * self.parameters[-1]))

    def stretched(self, values: Array) -> Array:
        """Return encoded rows divided by their learned lengths, shape (n, d)."""
        return np.asarray(values * self._scales)

    def _solve(self, right: Array) -> Array:
        if not len(right):
            return right
        return np.asarray(solve_triangular(self._factor, right, lower=True, check_finite=False))

    def prior_covariance(self, left: Array, right: Array, left_basis: Array, right_basis: Array) -> Array:
        """Return the covariance of encoded rows before anything is told, shape (n, m)."""
        a, b = self.stretched(left), self.stretched(right)
        squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        by_mean = (left_basis * mean_variance(left_basis.shape[1])) @ right_basis.T
        return np.asarray(self.amplitude_variance * matern(np.maximum(squares, 0))[0] + by_mean)

    def posterior(self, values: Array, prior_mean: Array | None = None) -> Posterior:
        """Return the posterior of encoded rows, without noise.

        Args:
            values: Encoded inputs, shape (m, d).
            prior_mean: Prediction of the prior model on the scale of the targets, shape (m,).
        """
        basis = mean_basis(len(values), prior_mean)
        cross = self.prior_covariance(self.rows.values, values, self.rows.basis, basis)
        half = self._solve(cross)
        mean = basis @ mean_expectation(basis.shape[1]) + cross.T @ self._dual
        prior = self.amplitude_variance + basis**2 @ mean_variance(basis.shape[1])
        variance = np.maximum(prior - (half**2).sum(axis=0), 1e-10)
        return Posterior(self, values, basis, mean, variance, half)

    @property
    def prior_weight(self) -> tuple[float, float]:
        """Posterior mean and standard deviation of the weight of the prior mean; (0, 0) where there is none."""
        basis = self.rows.basis
        if basis.shape[1] < 2:
            return 0.0, 0.0
        cross = basis[:, 1] * WEIGHT_VARIANCE
        half = self._solve(cross)
        return float(WEIGHT_MEAN + cross @ self._dual), float(np.sqrt(max(WEIGHT_VARIANCE - float(half @ half), 0.0)))

    def left_out(self, codes: Index) -> tuple[Array, Array]:
        """Return what is foretold of each target from those of all other codes: mean and variance with noise.

        Rasmussen and Williams, section 5.4.2, for blocks of rows; the parameters are those learned from all.

        Args:
            codes: Rows of one code are left out together, shape (n,).
        """
        inverse, _ = lapack.dpotri(self._factor, lower=1)
        variance = 1 / inverse.diagonal()
        mean = self.rows.targets - self._dual * variance
        for code in np.flatnonzero(np.bincount(codes) > 1):
            rows = np.flatnonzero(codes == code)
            block = np.tril(inverse[np.ix_(rows, rows)])
            covariance = np.linalg.inv(block + np.tril(block, -1).T)
            mean[rows] = self.rows.targets[rows] - covariance @ self._dual[rows]
            variance[rows] = covariance.diagonal()
        return mean, variance

    @property
    def log_evidence(self) -> float:
        """Logarithm of the evidence at the parameters of largest posterior, to a constant."""
        return -loss(self.rows, self.parameters)[0] if len(self.rows.targets) else 0.0

    def with_rows(self, values: Array, prior_mean: Array | None, noise_variance: Array) -> GaussianProcess:
        """Return the process taught further rows at their own posterior mean: the mean stays, the spread shrinks."""
        believed = self.posterior(values, prior_mean).mean
        rows = self.rows
        prior = None if rows.prior_mean is None or prior_mean is None else np.r_[rows.prior_mean, prior_mean]
        more = Rows(
            np.vstack([rows.values, values]), rows.groups, np.r_[rows.targets, believed],
            np.r_[rows.noise_variance, noise_variance], prior,
        )  # fmt: skip
        return GaussianProcess(more, self.parameters)


@dataclass(eq=False)
class Posterior:
    """The posterior of some rows; `learn` narrows it as if one of them had been measured.

    Attributes:
        process: The process.
        values: Encoded rows, shape (m, d).
        basis: Basis of their mean.
        mean: Posterior means, shape (m,).
        variance: Posterior variances, shape (m,).
        half: Covariance with what is told, divided by the factor of the told rows, shape (n, m).
    """

    process: GaussianProcess
    values: Array
    basis: Array
    mean: Array
    variance: Array
    half: Array

    @property
    def sd(self) -> Array:
        """Posterior standard deviations, shape (m,)."""
        return np.sqrt(self.variance)

    def covariance_with(self, chosen: Index) -> Array:
        """Return the posterior covariance with some of the rows, shape (m, k)."""
        prior = self.process.prior_covariance(self.values, self.values[chosen], self.basis, self.basis[chosen])
        return np.asarray(prior - self.half.T @ self.half[:, chosen])

    def first(self, n: int) -> Posterior:
        """Return the posterior of the first n rows alone."""
        return replace(
            self, values=self.values[:n], basis=self.basis[:n], mean=self.mean[:n], variance=self.variance[:n],
            half=self.half[:, :n],
        )  # fmt: skip

    def taken_as_said(self) -> Posterior:
        """Return the same with weight and constant of the prior mean taken as certain, for when nothing is told.

        Else the rows of which the prior mean says the worst would be the least certain ones, and be asked for first.
        """
        variance = np.full(len(self.mean), self.process.amplitude_variance)
        return replace(self, basis=np.zeros_like(self.basis), variance=variance)

    def learn(self, row: int) -> Posterior:
        """Return the posterior once a row had been measured at its own mean: the mean stays, the spread shrinks."""
        step = self.covariance_with(np.array([row]))[:, 0]
        step = step / np.sqrt(self.variance[row] + self.process.learned_noise_variance + JITTER)
        return replace(
            self, variance=np.maximum(self.variance - step**2, 1e-10), half=np.vstack([self.half, step[None]])
        )

    def draws(self, chosen: Index, normal: Array) -> Array:
        """Return joint draws at some of the rows, shape (n_draws, k), from standard normal ones of that shape."""
        covariance = self.covariance_with(chosen)[chosen]
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        root = vectors * np.sqrt(np.maximum(values, 0))
        return np.asarray(self.mean[chosen] + normal @ root.T)


# ---------------------------------------------------------------- the chance that a sample succeeds


def success_probability(values: Array, groups: Index, is_success: NDArray[np.bool_], asked: Array) -> Array:
    """Return the probability that each asked row gives a sample that can be measured, shape (m,).

    A probit Gaussian-process classifier by Laplace's approximation (Rasmussen and Williams, sections 3.4 and 3.5); its
    lengths are those of a regression on the outcomes.

    Args:
        values: Encoded inputs of rows whose outcome is known, shape (n, d).
        groups: Group of each column.
        is_success: Outcome of each row, shape (n,).
        asked: Encoded inputs of the rows asked for, shape (m, d).
    """
    if is_success.all():
        return np.ones(len(asked))
    signs = np.where(is_success, 1.0, -1.0)
    process = GaussianProcess.fit(Rows(values, groups, signs, np.zeros(len(signs))))
    unit = replace_amplitude(process.parameters, CLASSIFIER_AMPLITUDE)
    process = GaussianProcess(process.rows, unit)
    basis = process.rows.basis
    covariance = process.prior_covariance(values, values, basis, basis)
    latent = _laplace_mode(covariance, signs)
    slope, curvature = _probit_derivatives(latent, signs)
    cross = process.prior_covariance(values, asked, basis, mean_basis(len(asked), None))
    root = np.sqrt(curvature)
    factor = np.linalg.cholesky(np.eye(len(signs)) + root[:, None] * covariance * root)
    half = solve_triangular(factor, root[:, None] * cross, lower=True)
    variance = process.amplitude_variance + CONSTANT_VARIANCE - (half**2).sum(axis=0)
    return np.asarray(ndtr(cross.T @ slope / np.sqrt(1 + np.maximum(variance, 0))))


CLASSIFIER_AMPLITUDE = float(np.log(1.5))


def replace_amplitude(parameters: Array, log_amplitude: float) -> Array:
    """Return parameters with another amplitude."""
    out = parameters.copy()
    out[-2] = log_amplitude
    return out


def _probit_derivatives(latent: Array, signs: Array) -> tuple[Array, Array]:
    """Return first and minus the second derivative of the log likelihood by the latent values."""
    margin = signs * latent
    ratio = np.exp(-0.5 * margin**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(margin))
    return signs * ratio, np.maximum(ratio * (ratio + margin), 1e-10)


def _laplace_mode(covariance: Array, signs: Array, n_steps: int = 30) -> Array:
    latent = np.zeros(len(signs))
    for _ in range(n_steps):
        slope, curvature = _probit_derivatives(latent, signs)
        root = np.sqrt(curvature)
        inner = np.eye(len(signs)) + root[:, None] * covariance * root
        right = curvature * latent + slope
        moved = covariance @ (right - root * np.linalg.solve(inner, root * (covariance @ right)))
        step = float(np.max(np.abs(moved - latent)))
        latent = moved
        if step < 1e-9:
            break
    return latent
