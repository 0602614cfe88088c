"""Promises of the scores under shift: what is left out teaches nothing, and the readings follow by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from nascreen import gaussian, shifts, training
from nascreen.records import Sample
from nascreen.shifts import (
    SHARES,
    YEARS,
    LearningPoint,
    Reproducibility,
    gain_of_more_papers,
    learning_curve,
    reproducibility,
    shift_scores,
    splits,
    told_by_others,
)
from nascreen.training import Array, BorrowedLines, CrossValidation, Rows, fit_conductivity, observations, training_rows
from tests.conftest import few_trees


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with few_trees(3, 2):
        yield


@pytest.fixture(scope="module")
def rows() -> Rows:
    every = training_rows()
    kept = set(sorted(set(every.groups))[::6])
    return every.take(np.array([g in kept for g in every.groups]))


def test_a_family_left_out_and_the_papers_that_hold_it_teach_nothing() -> None:
    rows = training_rows()
    samples = list(rows.samples)
    glass = int(np.flatnonzero(~rows.is_scored)[-1])
    samples[glass] = replace(samples[glass], family="thiophosphate")  # not scored, in a paper of its own
    rows = replace(rows, samples=samples)
    families = np.array([s.family for s in rows.samples])
    groups = np.array(rows.groups)
    found = splits(rows)
    names = [name for name in found if name.startswith("without ")]
    assert len(names) >= 5
    for name in names:
        teaches, tested = found[name]
        family = name.removeprefix("without ")
        assert set(families[tested]) == {family}
        assert rows.is_scored[tested].all()
        assert family not in set(families[teaches])
        assert not set(groups[teaches]) & set(groups[tested])


@pytest.mark.parametrize("limit", YEARS)
def test_what_is_tested_is_later_than_the_limit_and_its_papers_do_not_teach(limit: int) -> None:
    rows = training_rows()
    teaches, tested = splits(rows)[f"learned to {limit}, tested later"]
    groups = np.array(rows.groups)
    assert tested.any()
    assert all((s.year or 0) > limit and "#ref" not in s.paper_id for s in rows.take(tested).samples)
    assert not set(groups[teaches]) & set(groups[tested])
    later = [s for s in rows.take(teaches & rows.is_scored).samples if (s.year or 0) > limit]
    assert all("#ref" in s.paper_id for s in later), "a reference of a survey is older than the survey"


def test_the_error_under_shift_is_that_of_a_model_which_saw_none_of_it(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[set[str]] = []

    def spy(train: Rows, *, borrowed: BorrowedLines, parameters: Array | None) -> training.ConductivityModel:
        taught.append(set(train.groups) | (set(borrowed.groups) & set(rows.groups)))
        return fit_conductivity(train, borrowed=borrowed, parameters=parameters)

    monkeypatch.setattr(shifts, "fit_conductivity", spy)
    monkeypatch.setattr(shifts, "LEAST_PAPERS", 2)
    monkeypatch.setattr(shifts, "LEAST_ROWS", 5)
    seen: list[str] = []
    table = shift_scores(rows, parameters=gaussian.default_parameters(), on_split=seen.append)
    chosen = splits(rows)
    assert seen == list(chosen) != []
    for (_, tested), groups in zip(chosen.values(), taught, strict=True):
        assert not groups & set(rows.take(tested).groups)
    for row in table:
        _, tested = chosen[row.split]
        mask = rows.take(tested).is_conductivity == (row.quantity == "log10 σ")
        assert row.n_rows == mask.sum()
        assert 0 < row.n_papers <= row.n_rows
        assert row.error > 0


# ---------------------------------------------------------------- how well papers repeat one another


def _measured(group: str, log_sigma: float, temp_c: float = 25.0, formula: str = "Na3Zr2Si2PO12") -> Sample:
    return Sample(
        sample_id=f"{group}{log_sigma}{temp_c}{formula}", formula=formula, family="nasicon", phase="crystalline",
        group_id=group, value_origin="measured", meas_temp_c=temp_c, conductivity_s_cm=10**log_sigma,
    )  # fmt: skip


REPEATED = observations(
    [
        _measured("a", -3.0), _measured("a", -3.5), _measured("b", -4.0), _measured("c", -5.0),
        _measured("d", -1.0, 200.0), _measured("e", -2.0, formula="Na3PS4"),
    ],
    [],
    is_scored=True,
)  # fmt: skip


def test_what_others_say_is_the_median_of_other_papers_at_the_same_temperature() -> None:
    np.testing.assert_allclose(told_by_others(REPEATED), [-4.5, -4.5, -3.5, -3.5, np.nan, np.nan], atol=1e-9)


def test_the_model_is_compared_with_other_papers_on_the_rows_that_they_repeat() -> None:
    off = np.array([[0.1, 0.2, 0.3, 0.4, 9.0, 9.0], [0.3, 0.4, 0.5, 0.6, 9.0, 9.0]])
    cv = CrossValidation(REPEATED, (0, 1), {"mean of three": REPEATED.targets + off}, np.ones((2, 6)),
                         np.zeros((2, 6), dtype=np.intp))  # fmt: skip
    found = reproducibility(cv)
    assert found == Reproducibility(4, 3, found.by_others, found.by_model)
    assert (found.by_others, found.by_model) == (pytest.approx((1.5 + 1 + 0.5 + 1.5) / 4), pytest.approx(0.35))


# ---------------------------------------------------------------- the learning curve


def test_a_larger_share_holds_the_smaller_and_what_is_tested_never_teaches(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[Rows] = []

    def spy(train: Rows, **options: object) -> training.ConductivityModel:
        taught.append(train)
        return fit_conductivity(train, **options)

    monkeypatch.setattr(shifts, "fit_conductivity", spy)
    fits: list[None] = []
    points = learning_curve(rows, (3,), lambda: fits.append(None))
    assert len(fits) == len(taught) == len(SHARES) * shifts.N_FOLDS
    folds = np.array(shifts.grouped_folds(rows.take(rows.is_scored).groups, shifts.N_FOLDS, 3))
    for k in range(shifts.N_FOLDS):
        tested = set(np.array(rows.take(rows.is_scored).groups)[folds == k])
        of_fold = [set(taught[i * shifts.N_FOLDS + k].groups) for i in range(len(SHARES))]
        for smaller, larger in itertools.pairwise(of_fold):
            assert smaller <= larger
        assert len(of_fold[0]) < len(of_fold[-1])
        assert of_fold[-1] == set(rows.groups) - tested
    sizes = [p.n_papers for p in points if p.quantity == "log10 σ"]
    assert sizes == sorted(sizes)
    assert {p.spread for p in points} == {0.0}
    assert all(p.error > 0 for p in points)


def test_the_last_point_is_the_error_of_the_usual_folds(rows: Rows) -> None:
    (point,) = [p for p in learning_curve(rows, (3,)) if p.quantity == "log10 σ"][-1:]
    cv = training.cross_validate(rows, (3,), parameters=gaussian.default_parameters())
    assert point.error == pytest.approx(cv.errors("mean of three")[:, cv.rows.is_conductivity].mean(), rel=1e-6)


def test_the_gain_of_more_papers_is_read_from_a_line_in_the_logarithm() -> None:
    points = [LearningPoint("log10 σ", n, 1.5 - 0.2 * np.log(n), 0.0) for n in (20.0, 40.0, 60.0, 80.0, 100.0)]
    points[0] = replace(points[0], error=9.0)  # the smallest share is not read
    gain, error = gain_of_more_papers(points, "log10 σ", n_more=20)
    assert gain == pytest.approx(0.2 * np.log(1.2))
    assert error == pytest.approx(0, abs=1e-9)


def test_a_scattered_curve_says_that_its_reading_is_unsure() -> None:
    points = [LearningPoint("Ea / eV", n, e, 0.0) for n, e in
              zip((20.0, 40.0, 60.0, 80.0, 100.0), (0.2, 0.10, 0.14, 0.09, 0.12), strict=True)]  # fmt: skip
    gain, error = gain_of_more_papers(points, "Ea / eV")
    assert error > abs(gain)
