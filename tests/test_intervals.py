"""Promises of the intervals: the exact rank, factors of other folds alone, agreement with crepes."""

from __future__ import annotations

import numpy as np
import pytest
from crepes import ConformalRegressor

from nascreen.intervals import Array, Calibration, conformal_factor, interval_factors

N_FOLDS = 5


@pytest.mark.parametrize(("n", "coverage"), [(99, 0.9), (9, 0.8), (199, 0.5), (40, 0.9), (1000, 0.95), (10, 0.9)])
def test_the_conformal_factor_is_the_error_of_the_promised_rank(n: int, coverage: float) -> None:
    """Of 1, 2, ..., n it is the ceil((n + 1)·coverage)-th, no other."""
    factor = conformal_factor(np.random.default_rng(0).permutation(np.arange(1.0, n + 1)), coverage)
    assert factor == np.ceil(round((n + 1) * coverage, 9))


def test_too_few_errors_give_the_largest() -> None:
    assert conformal_factor(np.array([0.3, 0.1, 0.2])) == 0.3


def test_the_conformal_factor_covers_what_is_exchangeable_and_hardly_more() -> None:
    """Of 19 errors the 18th: it covers exactly 18 of 20, where the next one would cover 19 of 20."""
    draws = np.abs(np.random.default_rng(7).standard_t(3, size=(20_000, 20)))
    covered = np.mean([draw[-1] <= conformal_factor(draw[:-1]) for draw in draws])
    assert covered == pytest.approx(0.9, abs=0.01)


def _errors(n: int = 400, seed: int = 2) -> tuple[Array, Array, list[str], list[str]]:
    """Return residuals, predicted standard deviations, families and papers."""
    rng = np.random.default_rng(seed)
    sd = rng.uniform(0.2, 2.0, n)
    families = rng.choice(["nasicon", "halide", "rare"], n, p=[0.7, 0.28, 0.02])
    residuals = sd * rng.standard_t(4, n) * np.where(families == "halide", 1.7, 1.0)
    return residuals, sd, families.tolist(), [f"p{i % 60}" for i in range(n)]


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_intervals_of_all_rows_are_those_of_crepes(coverage: float) -> None:
    residuals, sd, families, groups = _errors()
    factor = interval_factors((np.abs(residuals) / sd)[None], families, groups, coverage)["overall"]
    centre, new_sd = np.array([-4.0, 0.0, 2.0]), np.array([0.1, 1.0, 3.0])
    theirs = ConformalRegressor().fit(residuals, sigmas=sd).predict_int(centre, sigmas=new_sd, confidence=coverage)
    np.testing.assert_allclose(np.column_stack([centre - factor * new_sd, centre + factor * new_sd]), theirs)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_intervals_by_family_are_the_mondrian_ones_of_crepes(coverage: float) -> None:
    residuals, sd, families, groups = _errors()
    kept = np.array([name != "rare" for name in families])
    ours = interval_factors((np.abs(residuals) / sd)[None], families, groups, coverage)["by_family"]
    ours.pop("rare", None)  # of too few rows for a bin of its own
    assert set(ours) == {"nasicon", "halide"}
    bins = np.array(families)[kept]
    judge = ConformalRegressor().fit(residuals[kept], sigmas=sd[kept], bins=bins)
    for family, factor in ours.items():
        (ends,) = judge.predict_int(np.zeros(1), np.ones(1), bins=np.array([family]), confidence=coverage)
        np.testing.assert_allclose(ends, [-factor, factor])


def _calibration(errors: Array) -> Calibration:
    n = len(errors)
    folds = (np.arange(n) % N_FOLDS)[None]
    return Calibration(errors[None], folds, ["nasicon"] * n, [f"p{i % 25}" for i in range(n)])


def test_the_coverage_is_that_of_folds_which_did_not_calibrate_it() -> None:
    """A fold that is worse than all others is not covered, however large its own errors would make the factor."""
    errors = np.abs(np.random.default_rng(1).standard_normal(500))
    found = _calibration(errors).coverage()
    assert found["rows"] == pytest.approx(0.9, abs=0.02)
    assert found["papers"] == pytest.approx(found["rows"])
    assert found["by_family"] == {"nasicon": {"rows": found["rows"], "n_rows": 500, "n_papers": 25}}
    worse = np.where(np.arange(500) % N_FOLDS == 2, 100 + errors, errors)
    assert _calibration(worse).coverage()["rows"] <= 0.8


def test_a_paper_of_many_rows_counts_once_among_papers() -> None:
    errors = np.r_[np.zeros(99), 50.0]
    found = Calibration(errors[None], (np.arange(100) % 5)[None], ["x"] * 100, ["a"] * 99 + ["b"]).coverage()
    assert found["rows"] == pytest.approx(0.99)
    assert found["papers"] == pytest.approx(0.5)
    assert found["by_family"] == {}


def test_the_curve_of_calibration_keeps_what_each_share_promises() -> None:
    errors = np.abs(np.random.default_rng(5).standard_normal(2000))
    promised = (0.1, 0.5, 0.9)
    found = _calibration(errors).curve(promised)
    np.testing.assert_allclose(found, promised, atol=0.03)
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("n_rows", "n_papers", "error", "expected"),
    [
        pytest.param(40, 8, 1.0, 1.0, id="many rows, easier"),
        pytest.param(40, 8, 5.0, 5.0, id="many rows, harder"),
        pytest.param(12, 6, 1.0, 3.0, id="few rows, easier"),
        pytest.param(12, 6, 5.0, 5.0, id="few rows, harder"),
        pytest.param(40, 4, 1.0, 3.0, id="few papers, easier"),
        pytest.param(4, 4, 5.0, None, id="too few rows"),
        pytest.param(40, 3, 5.0, None, id="too few papers"),
    ],
)
def test_few_rows_can_widen_the_intervals_of_a_family_and_never_narrow_them(
    n_rows: int, n_papers: int, error: float, expected: float | None
) -> None:
    errors = np.r_[np.full(n_rows, error), np.full(600, 3.0)][None]
    families = ["some"] * n_rows + ["others"] * 600
    groups = [f"s{i % n_papers}" for i in range(n_rows)] + ["one"] * 600
    found = interval_factors(errors, families, groups)
    assert found["overall"] == 3.0
    assert found["by_family"].get("some") == expected
