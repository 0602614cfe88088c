"""Promises of the proposal: exact expected improvement, and batches that are varied, trusted and repeatable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from nascreen import campaign
from nascreen.campaign import (
    CREDITED_GAIN,
    MAX_BATCH,
    N_DRAWS,
    Batch,
    literature_process,
    log_credited_improvement,
    log_expected_improvement,
    suggest,
)
from nascreen.errors import RangeError
from nascreen.features import chemistry_of
from nascreen.gaussian import Array
from nascreen.records import CENSORED_ORIGINS, Sample, citation
from nascreen.screening import Scored, best_measured, score
from nascreen.spaces import generate

MONTE_CARLO = 4 * CREDITED_GAIN / 2 / N_DRAWS**0.5
"""Four standard errors of the mean of draws between 0 and the credited gain."""


@pytest.fixture(scope="module", autouse=True)
def one_process() -> Iterator[None]:
    """The promoted process is solved once for all tests of this module."""
    process = literature_process()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign, "literature_process", lambda: process)
        yield


@pytest.fixture(scope="module")
def pools() -> dict[str, list[Scored]]:
    return {name: score(generate(name, 120, seed=5)) for name in ("nasicon", "thioborate")}


@pytest.fixture(scope="module")
def batches(pools: dict[str, list[Scored]], one_process: None) -> dict[tuple[str, str], Batch]:
    return {(n, o): suggest(pool, 6, o, seed=1) for n, pool in pools.items() for o in campaign.OBJECTIVES}


CASES = [(name, objective) for name in ("nasicon", "thioborate") for objective in campaign.OBJECTIVES]
EACH = pytest.mark.parametrize("case", CASES, ids=[f"{n} by {o}" for n, o in CASES])


# ---------------------------------------------------------------- expected improvement


def _log_improvement_by_integration(z: float, most: float = np.inf) -> float:
    """Integrate min(t, most)·φ(t - z) over t > 0, with φ(z) taken out where it would vanish."""
    low, high = max(0.0, z - 12), max(0.0, z) + 12 / max(1.0, -z / 3)
    t = np.linspace(low, high, 400_001)
    weight = np.exp(-0.5 * (t - z) ** 2 + 0.5 * min(z, 0.0) ** 2)
    integral = np.trapezoid(np.minimum(t, most) * weight, t)
    return float(np.log(integral) - 0.5 * min(z, 0.0) ** 2 - 0.5 * np.log(2 * np.pi))


@pytest.mark.parametrize("z", [-40, -20, -10, -5, -2, -1.001, -1, -0.999, -0.5, 0, 0.5, 1, 2, 5, 10], ids=str)
@pytest.mark.parametrize("sd", [0.01, 1.0, 3.0], ids=str)
def test_the_expected_improvement_equals_its_integral(z: float, sd: float) -> None:
    (found,) = log_expected_improvement(np.array([z * sd - 2]), np.array([sd]), -2.0)
    assert found == pytest.approx(_log_improvement_by_integration(z) + np.log(sd), abs=1e-5)


@pytest.mark.parametrize("z", [-10, -3, -1, 0, 0.5, 1, 3, 8], ids=str)
@pytest.mark.parametrize("sd", [0.1, 0.5, 1.5], ids=str)
def test_the_credited_improvement_equals_its_integral(z: float, sd: float) -> None:
    (found,) = log_credited_improvement(np.array([z * sd - 2]), np.array([sd]), -2.0)
    assert found == pytest.approx(_log_improvement_by_integration(z, CREDITED_GAIN / sd) + np.log(sd), abs=1e-5)


@pytest.mark.parametrize("improvement", [log_expected_improvement, log_credited_improvement], ids=["whole", "credited"])
def test_improvement_rises_with_the_mean_and_is_finite_far_below(improvement: Any) -> None:
    z = np.concatenate([np.linspace(-1e3, -40, 500, endpoint=False), np.linspace(-40, 5, 2000)])
    found = improvement(z, np.ones(len(z)), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-9).all()
    assert (np.diff(found[z < -1]) > 0).all()
    assert improvement(np.array([-1e3]), np.ones(1), 0.0)[0] == pytest.approx(-5e5, rel=1e-3)


def test_the_credited_improvement_is_at_most_the_whole_and_at_most_the_credited_gain() -> None:
    mean, sd = (grid.ravel() for grid in np.meshgrid(np.linspace(-30, 30, 301), np.geomspace(0.01, 10, 30)))
    found = log_credited_improvement(mean, sd, 0.0)
    assert (found <= log_expected_improvement(mean, sd, 0.0) + 1e-12).all()
    assert (found <= np.log(CREDITED_GAIN) + 1e-9).all()
    assert found.max() == pytest.approx(np.log(CREDITED_GAIN), abs=1e-6)


def test_below_the_best_the_more_uncertain_is_worth_more_and_well_above_it_the_surer() -> None:
    sds = np.array([0.1, 0.3, 0.8, 1.5])
    for below in (-1.0, -0.3, 0.0):
        assert (np.diff(log_credited_improvement(np.full(4, below), sds, 0.0)) > 0).all()
    assert (np.diff(log_credited_improvement(np.full(4, CREDITED_GAIN), sds, 0.0)) < 0).all()


# ---------------------------------------------------------------- the best measured


@pytest.mark.parametrize(
    "families", [["nasicon"], ["thioborate", "thiophosphate", "sulfide_other"], ["thioborate"]], ids="+".join
)
def test_the_best_measured_is_no_bound_no_quotation_not_bulk_and_near_room_temperature(families: list[str]) -> None:
    log_sigma, sample = best_measured(families)
    assert sample.value_origin not in {"cited", "extrapolated", *CENSORED_ORIGINS}
    assert sample.conductivity_kind not in {"bulk", "grain_boundary"}
    assert sample.meas_temp_c is not None
    assert 15 <= sample.meas_temp_c <= 35
    assert log_sigma == pytest.approx(np.log10(sample.conductivity_s_cm or 0))
    assert -6 < log_sigma < -1.3
    assert sample.paper_id


@pytest.mark.parametrize("families", [["nasicon"], ["thiophosphate", "thioantimonate"]], ids="+".join)
def test_the_best_of_well_known_families_was_measured_in_its_own_text(families: list[str]) -> None:
    assert best_measured(families)[1].value_origin == "measured"


def test_more_families_have_no_lower_best() -> None:
    assert best_measured(["nasicon", "thioantimonate"])[0] == max(
        best_measured([f])[0] for f in ("nasicon", "thioantimonate")
    )


def test_families_that_nobody_measured_are_refused() -> None:
    with pytest.raises(RangeError, match="No conductivity near 25 °C was measured in 'unheard, unseen'"):
        best_measured(["unheard", "unseen"])


@EACH
def test_the_best_is_said_with_value_and_source(case: tuple[str, str], batches: dict[tuple[str, str], Batch]) -> None:
    batch = batches[case]
    log_sigma, sample = best_measured([case[0]])
    assert batch.objective == case[1]
    assert citation(sample) in batch.best
    assert f"{sample.conductivity_s_cm:.2g} S/cm" in batch.best
    if case[1] == "conductivity":
        assert batch.best_value == log_sigma
    else:
        assert f"{10**-batch.best_value:.3g} Ω cm²" in batch.best


# ---------------------------------------------------------------- batches


@EACH
def test_a_batch_is_repeated_by_its_seed(
    case: tuple[str, str], pools: dict[str, list[Scored]], batches: dict[tuple[str, str], Batch]
) -> None:
    assert suggest(pools[case[0]], 6, case[1], seed=1) == batches[case]
    gains = [s.batch_gain for s in suggest(pools[case[0]], 6, case[1], seed=2).suggestions]
    assert gains != [s.batch_gain for s in batches[case].suggestions]


@EACH
def test_every_suggestion_is_a_trusted_balanced_candidate_of_the_pool_and_each_of_another_composition(
    case: tuple[str, str], pools: dict[str, list[Scored]], batches: dict[tuple[str, str], Batch]
) -> None:
    suggestions = batches[case].suggestions
    formulas = [s.scored.sample.formula for s in suggestions]
    assert len(set(formulas)) == len(formulas) == 6
    for suggestion in suggestions:
        assert suggestion.scored in pools[case[0]]
        assert suggestion.scored.prediction.in_domain
        assert chemistry_of(suggestion.scored.sample.formula).balance.is_balanced is True


@EACH
def test_each_next_experiment_adds_no_more_than_the_one_before(
    case: tuple[str, str], batches: dict[tuple[str, str], Batch]
) -> None:
    gains = [s.batch_gain for s in batches[case].suggestions]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(gains))
    assert 0 < sum(gains) <= CREDITED_GAIN


@EACH
def test_the_first_gain_is_its_expected_improvement(
    case: tuple[str, str], batches: dict[tuple[str, str], Batch]
) -> None:
    first, *others = batches[case].suggestions
    assert first.batch_gain == pytest.approx(first.expected_improvement, abs=MONTE_CARLO)
    for suggestion in others:
        assert suggestion.batch_gain <= suggestion.expected_improvement + MONTE_CARLO
    for suggestion in (first, *others):
        assert 0 < suggestion.expected_improvement <= CREDITED_GAIN
        assert 0 < suggestion.probability_of_improvement < 1


@EACH
def test_every_suggestion_names_its_neighbours_and_says_why(
    case: tuple[str, str], batches: dict[tuple[str, str], Batch]
) -> None:
    batch = batches[case]
    for s in batch.suggestions:
        assert len(s.neighbours) == 3
        assert all(n.citation for n in s.neighbours)
        side = "above" if "decades above" in s.reason else "below"
        assert s.reason.startswith("Predicted ")
        assert f"expected gain {s.expected_improvement:.3f}" in s.reason
        assert (side == "above") == (s.probability_of_improvement > 0.5)
        assert ("exploits" in s.reason) == (side == "above")


def test_a_candidate_outside_the_domain_is_never_proposed(pools: dict[str, list[Scored]]) -> None:
    tempting = replace(pools["nasicon"][0].prediction, conductivity_25_s_cm=10.0, conductivity_s_cm=10.0)
    tempting = replace(tempting, conductivity_hi=1000.0, sample=replace(tempting.sample, formula="Na3Zr2Si2PO12"))
    inside, outside = (Scored(replace(tempting, in_domain=known), 500.0, 0.01) for known in (True, False))
    rest = [s for s in pools["nasicon"][1:60] if s.sample.formula != "Na3Zr2Si2PO12"]
    assert inside in [s.scored for s in suggest([*rest, inside], 3).suggestions]
    assert outside not in [s.scored for s in suggest([*rest, outside], 3).suggestions]


def test_a_pool_outside_the_domain_is_refused(pools: dict[str, list[Scored]]) -> None:
    outside = [replace(s, prediction=replace(s.prediction, in_domain=False)) for s in pools["nasicon"][:5]]
    for pool in (outside, []):
        with pytest.raises(RangeError, match="No candidate lies within the domain of the models; choose another space"):
            suggest(pool)


def test_a_pool_of_few_compositions_gives_as_many(pools: dict[str, list[Scored]]) -> None:
    body = pools["nasicon"][0].sample
    samples = [replace(body, formula=f) for f in ("Na3Zr2Si2PO12", "Na3.2Zr2Si2.2P0.8O12")]
    twice = score([replace(s, sinter_time_h=t) for s in samples for t in (5.0, 10.0)])
    assert len(suggest(twice, 6).suggestions) == 2


@pytest.mark.parametrize(
    ("n", "objective", "message"),
    [
        (0, "conductivity", "A batch holds 1 to 24 experiments; got 0"),
        (MAX_BATCH + 1, "conductivity", "A batch holds 1 to 24 experiments; got 25"),
        (6, "beauty", "The objective must be one of conductivity, resistance; got 'beauty'"),
    ],
    ids=["none", "too many", "objective"],
)
def test_a_batch_that_cannot_be_chosen_is_refused(
    pools: dict[str, list[Scored]], n: int, objective: str, message: str
) -> None:
    with pytest.raises(RangeError, match=message):
        suggest(pools["nasicon"], n, objective)


def test_a_seed_below_0_is_refused(pools: dict[str, list[Scored]]) -> None:
    with pytest.raises(RangeError, match="The seed is -1; allowed is a whole number from 0"):
        suggest(pools["nasicon"], seed=-1)


# ---------------------------------------------------------------- joint choice


def _with_mean(formula: str, log_sigma: float, spread: float = 0.8) -> Scored:
    """A dense NASICON whose predicted conductivity is set."""
    (found,) = score([Sample(formula=formula, phase="crystalline", sinter_temp_c=1200.0, sinter_time_h=10.0)])
    sigma = 10**log_sigma
    prediction = replace(
        found.prediction, conductivity_s_cm=sigma, conductivity_25_s_cm=sigma, conductivity_hi=sigma * 10**spread
    )
    return Scored(replace(prediction, in_domain=True), found.thinnest_um, found.resistance_ohm_cm2)


ONE, TWIN, OTHER = "Na3.3Zr1.9Sc0.1Si2.2P0.8O12", "Na3.31Zr1.9Sc0.1Si2.21P0.79O12", "Na3Zr1.5Ti0.5Si2PO12"


def test_a_second_experiment_that_would_teach_the_same_is_worth_little() -> None:
    first, second = suggest([_with_mean(ONE, -2.4), _with_mean(TWIN, -2.4)], 2).suggestions
    assert second.expected_improvement > 0.03
    assert second.batch_gain < 0.5 * second.expected_improvement
    assert second.batch_gain < first.batch_gain


def test_a_twin_is_passed_over_for_another_candidate_of_less_own_worth() -> None:
    pool = [_with_mean(ONE, -2.4), _with_mean(TWIN, -2.4), _with_mean(OTHER, -2.75)]
    alone = {s.scored.sample.formula: s.expected_improvement for s in suggest(pool, 3).suggestions}
    assert alone[OTHER] < min(alone[ONE], alone[TWIN])
    chosen = [s.scored.sample.formula for s in suggest(pool, 2).suggestions]
    assert chosen[0] in {ONE, TWIN}
    assert chosen[1] == OTHER


def test_of_equal_means_the_more_uncertain_candidate_is_proposed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = [_with_mean(ONE, -3.0), _with_mean(OTHER, -3.0)]

    def covariance(scored: list[Scored], objective: str) -> Array:
        return np.diag([0.3**2 if s.sample.formula == ONE else 1.0 for s in scored])

    monkeypatch.setattr(campaign, "_objective_covariance", covariance)
    first, second = suggest(pool, 2).suggestions
    assert first.scored.sample.formula == OTHER
    assert first.expected_improvement > 2 * second.expected_improvement


def test_a_shared_error_of_strength_widens_and_ties_resistances(pools: dict[str, list[Scored]]) -> None:
    part = pools["nasicon"][:20]
    by_sigma, by_resistance = (campaign._objective_covariance(part, o) for o in campaign.OBJECTIVES)
    added = by_resistance - by_sigma
    half = np.array([np.log10(s.prediction.strength_hi / s.prediction.strength_mpa) for s in part])
    np.testing.assert_allclose(np.diag(added), (half / 1.645 / 2) ** 2, rtol=1e-6)
    off = ~np.eye(20, dtype=bool)
    assert (added[off] > 0).all()
    assert np.linalg.eigvalsh(by_resistance).min() > -1e-8


def test_draws_have_the_mean_and_covariance_asked_for() -> None:
    mean, covariance = np.array([-2.0, -3.0]), np.array([[1.0, 0.6], [0.6, 0.5]])
    draws = campaign._draws(mean, covariance, 0)
    assert draws.shape == (N_DRAWS, 2)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.15)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.2)


def test_a_large_pool_keeps_the_best_of_each_composition_first(pools: dict[str, list[Scored]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign, "POOL_SIZE", 20)
        kept = campaign._pool(pools["nasicon"], "conductivity", -2.2)
    formulas = [s.sample.formula for s in kept]
    assert len(set(formulas)) == len(formulas) == 20
    assert all(s in pools["nasicon"] for s in kept)
