"""Promises of the Gaussian process: the exact posterior, an exact gradient, one Arrhenius line, honest spread."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import truncnorm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from nascreen import gaussian
from nascreen.gaussian import (
    CONSTANT_AMPLITUDE,
    DECADES_PER_EV,
    JITTER,
    LENGTHS,
    MEAN_EA_EV,
    MEAN_PREFACTOR,
    PARAMETERS,
    Array,
    ArrheniusProcess,
    Inputs,
    compact_variance,
    conductivity_coefficients,
    default_parameters,
    energy_coefficients,
    scaled_log_conductivity,
    spread_projection,
    truncated_mean,
    tuned,
    with_bounds,
    with_robust_weights,
)

TEMPS_C = np.array([-40.0, 25.0, 80.0, 200.0, 600.0])
NO_AMPLITUDE = -20.0


def _inputs(n: int, seed: int = 0, *, is_phase_known: bool = True) -> Inputs:
    rng = np.random.default_rng(seed)
    phase = np.eye(4)[rng.integers(0, 4, n)]
    return Inputs(
        family=np.eye(3)[rng.integers(0, 3, n)],
        fraction=np.sqrt(rng.dirichlet(np.ones(5), n)),
        field=rng.standard_normal((n, 4)),
        magpie=rng.standard_normal((n, 6)),
        processing=rng.standard_normal((n, 3)),
        phase=phase if is_phase_known else 0 * phase,
    )


def _process(n: int = 30, n_papers: int = 9, seed: int = 0) -> ArrheniusProcess:
    """Make a process of conductivities and activation energies in papers of one to many rows."""
    rng = np.random.default_rng(seed)
    parameters = default_parameters() + 0.2 * rng.standard_normal(len(PARAMETERS))
    n_sigma = 2 * n // 3
    coefficients = np.vstack(
        [conductivity_coefficients(rng.choice(TEMPS_C, n_sigma)), energy_coefficients(n - n_sigma)]
    )
    lines = np.array([MEAN_PREFACTOR, MEAN_EA_EV]) + rng.standard_normal((n, 2)) * [0.8, 0.1]
    groups = np.concatenate([np.arange(n_papers), rng.integers(0, n_papers, n - n_papers)])
    targets = (coefficients * lines).sum(axis=1)
    weights = rng.uniform(0.3, 1.25, n)
    return ArrheniusProcess(parameters, _inputs(n, seed), coefficients, targets, rng.permutation(groups), weights)


def _parameters(**changes: float) -> Array:
    """Return logarithms of hyperparameters with every amplitude and noise off but the ones given."""
    off = [name not in {f"length_{k}" for k in LENGTHS} for name in PARAMETERS]
    values = np.where(off, NO_AMPLITUDE, default_parameters())
    for name, value in changes.items():
        values[PARAMETERS.index(name)] = np.log(value)
    return values


@pytest.fixture(scope="module")
def process() -> ArrheniusProcess:
    return _process()


# ---------------------------------------------------------------- what is observed


def test_at_25_degrees_the_scaled_logarithm_is_that_of_the_conductivity() -> None:
    np.testing.assert_allclose(scaled_log_conductivity(np.array([1e-3, 2e-5]), np.array([25.0, 25.0])), [-3, -4.69897])


def test_a_conductivity_observes_the_arrhenius_line_of_sigma_t() -> None:
    prefactor, ea, kelvin = 3.1, 0.4, TEMPS_C + 273.15
    sigma = 10**prefactor * 298.15 / kelvin * np.exp(-ea / (8.617333262e-5 * kelvin))
    seen = conductivity_coefficients(TEMPS_C) @ [prefactor, ea]
    np.testing.assert_allclose(scaled_log_conductivity(sigma, TEMPS_C), seen, rtol=1e-12)


def test_an_activation_energy_observes_the_slope_alone() -> None:
    np.testing.assert_array_equal(energy_coefficients(2) @ [3.1, 0.4], [0.4, 0.4])


# ---------------------------------------------------------------- the exact posterior


@pytest.mark.parametrize("block", LENGTHS[:3])
def test_mean_and_covariance_equal_those_of_scikit_learn(block: str) -> None:
    """One temperature, one paper per row, and one kernel beside the constant make a textbook process."""
    n, amplitude, length, noise, paper = 25, 0.7, 0.9, 0.2, 0.15
    parameters = _parameters(
        **{f"length_{block}": length, f"prefactor_{block}": amplitude, "noise_conductivity": noise},
        paper_prefactor=paper,
    )
    inputs, coefficients = _inputs(n), conductivity_coefficients(np.full(n, 25.0))
    targets = -4 + np.random.default_rng(1).standard_normal(n)
    ours = ArrheniusProcess(parameters, inputs, coefficients, targets, np.arange(n))
    rows = getattr(inputs, block)
    size = 1 if block == "fraction" else rows.shape[1]
    slope = coefficients[0, 1]
    constant = CONSTANT_AMPLITUDE[0] ** 2 + (CONSTANT_AMPLITUDE[1] * slope) ** 2
    kernel = ConstantKernel(constant) + ConstantKernel(amplitude**2) * Matern(length * np.sqrt(size), nu=2.5)
    theirs = GaussianProcessRegressor(kernel, alpha=noise**2 + paper**2 + JITTER, optimizer=None)
    mean = MEAN_PREFACTOR + slope * MEAN_EA_EV
    theirs.fit(rows, targets - mean)
    new, h = _inputs(12, seed=5), coefficients[:12]
    expected, covariance = theirs.predict(getattr(new, block), return_cov=True)
    np.testing.assert_allclose((ours.predict(new) * h).sum(axis=1), expected + mean, rtol=1e-7)
    np.testing.assert_allclose(ours.joint_covariance(new, h), covariance, rtol=1e-6, atol=1e-7)


def _matern(distance: float, length: float) -> float:
    r = np.sqrt(5) * distance / length
    return float((1 + r + r * r / 3) * np.exp(-r))


def _covariance_by_hand(p: ArrheniusProcess, left: Inputs, i: int, right: Inputs, j: int) -> Array:
    """Return the prior covariance of (A, E) of two samples, written out, shape (2, 2)."""
    value = dict(zip(PARAMETERS, np.exp(p.parameters), strict=True))
    matern = {}
    for name in LENGTHS:
        a, b = getattr(left, name)[i], getattr(right, name)[j]
        size = 1 if name == "fraction" else len(a)
        matern[name] = _matern(float(np.linalg.norm(a - b)) / np.sqrt(size), value[f"length_{name}"])
    kernels = {
        "family": float(left.family[i] @ right.family[j]),
        "fraction": matern["fraction"],
        "field": matern["field"],
        "magpie": matern["magpie"],
        "processing": matern["field"] * matern["processing"] * float(left.phase[i] @ right.phase[j]),
    }
    total = np.diag(np.square(CONSTANT_AMPLITUDE))
    for name, kernel in kernels.items():
        total = total + kernel * np.diag([value[f"prefactor_{name}"] ** 2, value[f"energy_{name}"] ** 2])
    return total


def test_the_posterior_equals_a_dense_solution_written_out(process: ArrheniusProcess) -> None:
    p, new = process, _inputs(4, seed=7)
    n, h = len(p.targets), p.coefficients
    value = dict(zip(PARAMETERS, np.exp(p.parameters), strict=True))
    paper = np.diag([value["paper_prefactor"] ** 2, value["paper_energy"] ** 2])
    total = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            inner = _covariance_by_hand(p, p.inputs, i, p.inputs, j) + paper * (p.groups[i] == p.groups[j])
            total[i, j] = h[i] @ inner @ h[j]
        noise = value["noise_conductivity" if h[i, 0] else "noise_energy"]
        total[i, i] += noise**2 / p.weights[i] + JITTER
    cross = np.array([[_covariance_by_hand(p, new, i, p.inputs, j) @ h[j] for j in range(n)] for i in range(4)])
    mean = np.array([MEAN_PREFACTOR, MEAN_EA_EV])
    expected = mean + np.einsum("inj,n->ij", cross, np.linalg.solve(total, p.targets - h @ mean))
    np.testing.assert_allclose(p.predict(new), expected, rtol=1e-8)
    seen = conductivity_coefficients(TEMPS_C[:4])
    prior = np.array([[seen[i] @ _covariance_by_hand(p, new, i, new, j) @ seen[j] for j in range(4)] for i in range(4)])
    half = np.einsum("ij,inj->in", seen, cross)
    np.testing.assert_allclose(
        p.joint_covariance(new, seen), prior - half @ np.linalg.solve(total, half.T), rtol=1e-8, atol=1e-10
    )


def test_leaving_a_paper_out_equals_a_fit_without_it(process: ArrheniusProcess) -> None:
    residual, variance = process.leave_paper_out()
    paper = np.diag(process.paper_covariance())
    for group in range(9):
        out = np.flatnonzero(process.groups == group)
        kept = np.flatnonzero(process.groups != group)
        rest = ArrheniusProcess(
            process.parameters, process.inputs[kept], process.coefficients[kept], process.targets[kept],
            process.groups[kept], process.weights[kept],
        )  # fmt: skip
        h = process.coefficients[out]
        mean = (rest.predict(process.inputs[out]) * h).sum(axis=1)
        latent = np.diag(rest.joint_covariance(process.inputs[out], h))
        np.testing.assert_allclose(residual[out], process.targets[out] - mean, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(variance[out], latent + paper[out] + process.noise_variance()[out], rtol=1e-6)


@pytest.mark.parametrize("i", range(len(PARAMETERS)), ids=PARAMETERS)
def test_the_gradient_of_the_loss_equals_finite_differences(process: ArrheniusProcess, i: int) -> None:
    step = 1e-5 * np.eye(len(PARAMETERS))[i]
    above, below = (process.with_parameters(process.parameters + s).loss()[0] for s in (step, -step))
    assert process.loss()[1][i] == pytest.approx((above - below) / 2e-5, rel=1e-4)


def test_tuning_lowers_the_loss_and_stays_near_the_prior(process: ArrheniusProcess) -> None:
    def penalised(p: ArrheniusProcess) -> float:
        return p.loss()[0] + 0.5 * float(np.sum(((p.parameters - default_parameters()) / gaussian.PRIOR_WIDTH) ** 2))

    found = tuned(process, 5)
    assert penalised(found) < penalised(process) - 0.1
    assert np.abs(found.parameters - default_parameters()).max() <= 2 * gaussian.PRIOR_WIDTH + 1e-9


def test_a_paper_of_many_equal_rows_counts_like_the_root_of_their_number() -> None:
    single = _process(12, 12)
    is_alone = np.isin(single.groups, np.arange(12))
    assert is_alone.all()
    residual, variance = single.leave_paper_out()
    terms = 0.5 * np.log(variance) + 2.5 * np.log1p(residual**2 / variance / 4)
    assert single.loss()[0] == pytest.approx(terms.sum(), rel=1e-9)
    grouped = ArrheniusProcess(
        single.parameters, single.inputs, single.coefficients, single.targets, np.arange(12) // 4, single.weights
    )
    residual, variance = grouped.leave_paper_out()
    terms = 0.5 * np.log(variance) + 2.5 * np.log1p(residual**2 / variance / 4)
    assert grouped.loss()[0] == pytest.approx(terms.sum() / 2, rel=1e-9)


# ---------------------------------------------------------------- one line


@pytest.mark.parametrize(("cold_c", "hot_c"), [(25.0, 200.0), (-40.0, 25.0), (300.0, 600.0)], ids=str)
def test_two_conductivities_of_one_line_give_back_that_line(cold_c: float, hot_c: float) -> None:
    line = np.array([3.4, 0.31])
    one = _inputs(1)
    h = conductivity_coefficients(np.array([cold_c, hot_c]))
    quiet = _parameters(prefactor_family=1.0, energy_family=0.2)
    process = ArrheniusProcess(quiet, one[np.array([0, 0])], h, h @ line, np.array([0, 1]))
    np.testing.assert_allclose(process.predict(one)[0], line, rtol=2e-3)


def test_a_conductivity_and_an_energy_give_back_their_line() -> None:
    line, one = np.array([1.2, 0.62]), _inputs(1)
    h = np.vstack([conductivity_coefficients(np.array([25.0])), energy_coefficients(1)])
    process = ArrheniusProcess(_parameters(prefactor_family=1.0), one[np.array([0, 0])], h, h @ line, np.array([0, 0]))
    np.testing.assert_allclose(process.predict(one)[0], line, rtol=2e-3)


def test_what_is_said_of_one_sample_at_all_temperatures_lies_on_one_line(process: ArrheniusProcess) -> None:
    """A line has two unknowns, so that its values at five temperatures have a covariance of rank two."""
    new = _inputs(1, seed=3)
    covariance = process.joint_covariance(new[np.zeros(5, dtype=np.intp)], conductivity_coefficients(TEMPS_C))
    values = np.linalg.eigvalsh(covariance)
    assert (np.abs(values[:3]) < 1e-9 * values[-1]).all()
    assert values[-2] > 1e-5 * values[-1]
    prefactor, ea = process.predict(new)[0]
    log_sigma_t = conductivity_coefficients(TEMPS_C) @ [prefactor, ea]
    np.testing.assert_allclose(np.diff(log_sigma_t) / np.diff(1 / (TEMPS_C + 273.15)), -ea * DECADES_PER_EV)


# ---------------------------------------------------------------- spread


def test_the_joint_covariance_is_symmetric_and_positive(process: ArrheniusProcess) -> None:
    new = _inputs(20, seed=11)
    covariance = process.joint_covariance(new, conductivity_coefficients(np.full(20, 25.0)))
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-9, atol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9
    assert np.diag(covariance).min() > 0


@pytest.mark.parametrize("is_phase_known", [True, False], ids=["phase known", "phase unknown"])
@pytest.mark.parametrize("kind", ["conductivity", "energy"])
def test_all_directions_give_the_exact_variance_and_fewer_a_larger(
    process: ArrheniusProcess, kind: str, *, is_phase_known: bool
) -> None:
    new = _inputs(15, seed=2, is_phase_known=is_phase_known)
    h = energy_coefficients(15) if kind == "energy" else conductivity_coefficients(np.full(15, 60.0))
    exact = np.diag(process.joint_covariance(new, h))
    found = [compact_variance(process, spread_projection(process, n), new, h) for n in (500, 30, 20, 10, 3)]
    np.testing.assert_allclose(found[0], exact, rtol=1e-7)
    np.testing.assert_allclose(found[1], exact, rtol=1e-7)
    for more, fewer in itertools.pairwise(found):
        assert (fewer >= more - 1e-12).all()
    assert found[-1].sum() > 1.01 * exact.sum()


def test_an_unknown_phase_keeps_what_the_phase_would_tell(process: ArrheniusProcess) -> None:
    h = conductivity_coefficients(np.full(30, 25.0))
    unknown = replace(process.inputs, phase=0 * process.inputs.phase)
    known, less = (np.diag(process.joint_covariance(inputs, h)) for inputs in (process.inputs, unknown))
    prior = process.covariance(gaussian._Distances.between(process.inputs, process.inputs), h, h).diagonal()
    assert less.mean() > known.mean()
    assert (less < prior).all()


def test_no_more_directions_are_kept_than_there_are_rows(process: ArrheniusProcess) -> None:
    assert spread_projection(process, 20).shape == (30, 20)
    assert spread_projection(process, 500).shape == (30, 30)


def test_the_first_directions_carry_most_at_the_rows_learned_from(process: ArrheniusProcess) -> None:
    h = conductivity_coefficients(np.full(30, 25.0))
    exact = np.diag(process.joint_covariance(process.inputs, h))
    first = compact_variance(process, spread_projection(process, 10), process.inputs, h)
    last = compact_variance(process, spread_projection(process, 30)[:, 20:], process.inputs, h)
    assert (first - exact).mean() < 0.1 * (last - exact).mean()


def test_directions_of_repeated_samples_are_finite() -> None:
    base = _process(10, 5)
    twice = np.r_[np.arange(10), np.arange(10)]
    doubled = ArrheniusProcess(
        base.parameters, base.inputs[twice], base.coefficients[twice], base.targets[twice], base.groups[twice]
    )
    h = conductivity_coefficients(np.full(10, 25.0))
    found = compact_variance(doubled, spread_projection(doubled, 20), base.inputs, h)
    np.testing.assert_allclose(found, np.diag(doubled.joint_covariance(base.inputs, h)), rtol=1e-6)


def test_an_observation_lowers_the_spread_and_a_noisier_one_less(process: ArrheniusProcess) -> None:
    at, h = process.inputs[np.array([4])], process.coefficients[[4]]
    doubtful = process.with_parameters(process.parameters, np.where(np.arange(30) == 4, 0.05, process.weights))
    prior = process.covariance(gaussian._Distances.between(at, at), h, h)[0, 0]
    sure, unsure = (p.joint_covariance(at, h)[0, 0] for p in (process, doubtful))
    assert sure < unsure < prior


# ---------------------------------------------------------------- outliers


def test_a_planted_outlier_counts_little_and_the_rest_in_full() -> None:
    rng = np.random.default_rng(4)
    inputs = replace(_inputs(40), family=np.eye(3)[np.zeros(40, dtype=int)])
    h = conductivity_coefficients(np.full(40, 25.0))
    targets = h @ [3.0, 0.4] + 0.05 * rng.standard_normal(40)
    targets[17] += 5
    weighed = with_robust_weights(ArrheniusProcess(default_parameters(), inputs, h, targets, np.arange(40)))
    others = np.delete(weighed.weights, 17)
    assert weighed.weights[17] < 0.15
    assert others.min() > 3 * weighed.weights[17]
    assert others.max() <= 1.25
    assert (others > 1).sum() >= 35
    assert np.median(others) > 1.2
    plain = ArrheniusProcess(default_parameters(), inputs, h, targets, np.arange(40))
    near = inputs[np.array([17])]
    truth = np.array([3.0, 0.4]) @ h[0]
    pull = [float(abs(p.predict(near)[0] @ h[0] - truth)) for p in (plain, weighed)]
    assert pull[1] < pull[0]


def test_the_weights_against_outliers_are_repeated_until_they_no_longer_change() -> None:
    process = _process(60, 20)
    found = with_robust_weights(process)
    residual, _ = found.leave_paper_out()
    z = residual / np.where(process.is_conductivity, *gaussian.ROBUST_SCALE)
    fixed = process.weights * np.clip(5 / (4 + z * z), 0.05, 1.25)
    np.testing.assert_allclose(found.weights, fixed, atol=5 * gaussian.CONVERGED)
    once = with_robust_weights(process, n_passes=1)
    assert np.abs(once.weights - found.weights).max() > 20 * gaussian.CONVERGED


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("side", [1, -1], ids=["lower bound", "upper bound"])
@pytest.mark.parametrize("gap", [-40.0, -6.0, -0.5, 0.0, 2.0, 8.0], ids=lambda gap: f"{gap:g} sd inside")
def test_the_mean_of_what_a_bound_allows_is_that_of_the_truncated_normal(side: int, gap: float) -> None:
    mean, sd, bound = -5.0, 0.7, -5.0 - side * gap * 0.7
    ends = ((bound - mean) / sd, np.inf) if side > 0 else (-np.inf, (bound - mean) / sd)
    found = truncated_mean(np.array([mean]), np.array([sd]), np.array([bound]), np.array([side]))
    assert found[0] == pytest.approx(truncnorm(*ends, loc=mean, scale=sd).mean(), rel=1e-6)
    assert side * (found[0] - bound) >= 0


def test_leaving_a_row_out_equals_a_fit_without_it(process: ArrheniusProcess) -> None:
    mean, variance = process.leave_row_out()
    for i in (0, 7, 29):
        kept = np.delete(np.arange(30), i)
        total = process.covariance(process.distances, process.coefficients, process.coefficients)
        total += process.paper_covariance() + np.diag(process.noise_variance())
        gain = np.linalg.solve(total[np.ix_(kept, kept)], total[kept, i])
        prior = process.targets[i] - process.residuals[i]
        assert mean[i] == pytest.approx(prior + gain @ process.residuals[kept], rel=1e-6)
        assert variance[i] == pytest.approx(total[i, i] - gain @ total[kept, i], rel=1e-6)


def _with_one_bound(process: ArrheniusProcess, bound: float, side: int) -> ArrheniusProcess:
    sides = np.zeros(30, dtype=np.int8)
    sides[4] = side
    return with_bounds(process, np.where(sides == 0, process.targets, bound), sides)


@pytest.mark.parametrize("side", [1, -1], ids=["lower bound", "upper bound"])
def test_a_bound_gives_the_posterior_of_its_likelihood(process: ArrheniusProcess, side: int) -> None:
    """By quadrature: the mean over all values that the bound allows, each weighed by what the others say of it."""
    mean, variance = (values[4] for values in process.leave_row_out())
    sd, new = np.sqrt(variance), _inputs(3, seed=9)
    bound = mean + side * 1.5 * sd
    values = bound + side * np.linspace(0, 8 * sd, 4001)
    weights = np.exp(-0.5 * ((values - mean) / sd) ** 2)
    ends = [process.with_targets(np.where(np.arange(30) == 4, v, process.targets)).predict(new) for v in (0.0, 1.0)]
    expected = ends[0] + (weights @ values / weights.sum()) * (ends[1] - ends[0])
    np.testing.assert_allclose(_with_one_bound(process, bound, side).predict(new), expected, rtol=1e-4)


def test_a_bound_that_all_others_agree_with_moves_nothing_and_a_broken_one_draws_to_its_side(
    process: ArrheniusProcess,
) -> None:
    mean, variance = (values[4] for values in process.leave_row_out())
    h, at = process.coefficients[4], process.inputs[np.array([4])]
    sd = np.sqrt(variance)
    without = process.with_targets(np.where(np.arange(30) == 4, mean, process.targets)).predict(at)[0] @ h
    kept = _with_one_bound(process, mean + 9 * sd, -1).predict(at)[0] @ h
    broken = _with_one_bound(process, mean - 3 * sd, -1).predict(at)[0] @ h
    assert kept == pytest.approx(without, abs=1e-6)
    assert broken < without - 0.05


def test_without_bounds_the_process_is_the_same(process: ArrheniusProcess) -> None:
    assert with_bounds(process, process.targets, np.zeros(30, dtype=np.int8)) is process


def test_new_parameters_leave_the_old_process_as_it_was(process: ArrheniusProcess) -> None:
    before = process.predict(_inputs(3, seed=1))
    other = process.with_parameters(process.parameters + 0.3, np.ones(30))
    assert np.abs(other.predict(_inputs(3, seed=1)) - before).max() > 1e-3
    np.testing.assert_array_equal(process.predict(_inputs(3, seed=1)), before)
