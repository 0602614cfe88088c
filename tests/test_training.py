"""Promises of training: no paper on both sides, baselines and scores by hand, a strength law that physics allows."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from nascreen import gaussian, training
from nascreen.datasets import load_table, sodium_conductivity_rows, sodium_ea_rows
from nascreen.errors import MissingExtraError
from nascreen.features import BLOCKS, FEATURE_NAMES, chemistry_of
from nascreen.models import STRENGTH_FEATURES, is_oxide_glass
from nascreen.records import CENSORED_ORIGINS, Sample
from nascreen.replicates import replicate_spread
from nascreen.training import (
    N_FOLDS,
    STRENGTH_PRIOR_MEAN,
    STRENGTH_PRIOR_SD,
    Array,
    BorrowedLines,
    CrossValidation,
    Rows,
    Scaler,
    ScoreRow,
    borrowed_lines,
    bounded_rows,
    chalcogenide_glass_rows,
    cross_validate,
    cross_validate_strength,
    fit_conductivity,
    fit_strength,
    in_six_digits,
    line_to_observation,
    literature_rows,
    observations,
    replicate_weights,
    require,
    score_table,
    strength_observations,
    training_rows,
)
from nascreen.verdicts import load_verdicts, reviewed_table

SEED = 3


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    # One thread: with small matrices, threads on a busy machine cost a hundred times what they save.
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(training, "N_TREES", 4)
        patch.setattr(training, "N_FOREST_TREES", 2)
        patch.setattr(training, "N_GLASS_TREES", 3)
        for name in ("TREE_SETTINGS", "ENERGY_TREE_SETTINGS", "GLASS_TREE_SETTINGS"):
            patch.setattr(training, name, {**getattr(training, name), "nthread": 1})
        yield


def _whole_papers(rows: Rows) -> Rows:
    """Return every ninth paper with all its rows."""
    kept = set(sorted(set(rows.groups))[::9])
    return rows.take(np.array([g in kept for g in rows.groups]))


@pytest.fixture(scope="module")
def rows() -> Rows:
    """A few whole papers; two glasses that only teach are made part of papers that are scored."""
    few = _whole_papers(training_rows())
    scored = [s.group_id for s, is_scored in zip(few.samples, few.is_scored, strict=True) if is_scored]
    samples = list(few.samples)
    for i, group in zip(np.flatnonzero(~few.is_scored)[:2], (scored[0], scored[-1]), strict=True):
        samples[i] = replace(samples[i], group_id=group)
    return replace(few, samples=samples)


@pytest.fixture(scope="module")
def cv(rows: Rows) -> CrossValidation:
    return cross_validate(rows, (SEED,), parameters=gaussian.default_parameters())


# ---------------------------------------------------------------- what is learned from


def test_the_scored_rows_are_those_as_reviewed() -> None:
    rows = literature_rows()
    reviewed = reviewed_table("literature")
    assert rows.is_conductivity.sum() == len(sodium_conductivity_rows(reviewed)) > 500
    assert (~rows.is_conductivity).sum() == len(sodium_ea_rows(reviewed)) > 300
    assert rows.is_scored.all()
    left_out = {v.subject for v in load_verdicts() if v.verdict == "excluded"}
    assert not left_out & {s.sample_id for s in rows.samples}


def test_a_family_whose_repeats_scatter_more_teaches_less() -> None:
    rows = literature_rows()
    weights = replicate_weights(rows)
    spreads = replicate_spread([s for s, is_sigma in zip(rows.samples, rows.is_conductivity, strict=True) if is_sigma])
    by_family = {s.family: w for s, w, is_sigma in zip(rows.samples, weights, rows.is_conductivity, strict=True)
                 if is_sigma}  # fmt: skip
    wide = max(by_family, key=lambda f: spreads[f].between_sd)
    narrow = min(by_family, key=lambda f: spreads[f].between_sd)
    assert by_family[wide] < 1 < by_family[narrow]
    assert np.all(weights[~rows.is_conductivity] == 1)


def test_trees_learn_from_six_digits() -> None:
    noisy = np.array([[0.1 + 0.2, -1234567.0, 0.0, np.nan], [0.3, -1234568.0, 0.0, np.nan]])
    first, second = in_six_digits(noisy)
    assert np.array_equal(first, second, equal_nan=True)
    np.testing.assert_allclose(first[:2], noisy[0, :2], rtol=5e-6)
    assert first[2] == 0
    assert np.isnan(first[3])


def test_without_repeats_every_row_counts_alike() -> None:
    rows = literature_rows().take(np.arange(3))
    assert replicate_weights(rows).tolist() == [1, 1, 1]


def test_glasses_teach_and_are_not_scored() -> None:
    rows = training_rows()
    n = len(literature_rows().samples)
    assert rows.is_scored[:n].all()
    assert not rows.is_scored[n:].any()
    assert len(rows.samples) == n + len(bounded_rows().samples) + len(chalcogenide_glass_rows().samples)


def test_the_glasses_hold_the_sodium_thioborates_over_their_sodium_content() -> None:
    glasses = chalcogenide_glass_rows().samples
    binary = {
        s.modifier_mol_pct for s in glasses if set(chemistry_of(s.formula).composition.amounts) == {"Na", "B", "S"}
    }
    known = sorted(x for x in binary if x is not None)
    assert len(known) >= 8
    assert known[0] <= 10
    assert known[-1] >= 60
    assert max(np.diff(known)) < 20


def test_no_oxide_glass_and_no_suspect_glass_is_learned_from() -> None:
    table = load_table("glasses")
    assert any(s.family.startswith("oxide") or "O" in s.formula for s in table)
    assert any(s.quality != "ok" for s in table)
    for sample in chalcogenide_glass_rows().samples:
        get = chemistry_of(sample.formula).composition.get
        assert get("Na") > 0
        assert max(get("S"), get("Se")) > get("O")
        assert sample.quality == "ok"


def test_one_energy_per_glass_is_learned_from() -> None:
    glasses = chalcogenide_glass_rows()
    energies = [s.sample_id.rpartition("-")[0] for s in glasses.take(~glasses.is_conductivity).samples]
    assert len(energies) == len(set(energies)) > 20


def test_grain_boundaries_teach_nothing_and_extrapolated_values_teach() -> None:
    rows = training_rows()
    assert {"measured", "cited", "extrapolated"} <= {s.value_origin for s in rows.samples}
    assert "grain_boundary" not in {s.conductivity_kind for s in rows.samples}


def test_bounds_teach_on_their_side_and_are_not_scored() -> None:
    rows = training_rows()
    bounds = rows.take(rows.sides != 0)
    table = [
        s for s in reviewed_table("literature") if s.value_origin in CENSORED_ORIGINS and s.meas_temp_c is not None
    ]
    assert {s.sample_id for s in bounds.samples} == {s.sample_id for s in table if "Na" in s.formula} != set()
    assert not bounds.is_scored.any()
    sides = {s.value_origin: int(side) for s, side in zip(bounds.samples, bounds.sides, strict=True)}
    assert sides == {"lower_bound": 1, "upper_bound": -1}
    assert all(s.value_origin not in CENSORED_ORIGINS for s in rows.take(rows.sides == 0).samples)


@pytest.mark.parametrize("side", [1, -1], ids=["lower bound", "upper bound"])
def test_process_and_trees_see_what_a_bound_lets_expect_and_not_the_bound(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    """A bound five decades inside what all others expect says nothing; five beyond draws every part to its side."""
    place = int(np.flatnonzero(rows.is_conductivity)[3])
    sides = np.zeros(len(rows.samples), dtype=np.int8)
    sides[place] = side
    taught: list[Array] = []
    brought = training.brought_to_25

    def spy(process: gaussian.ArrheniusProcess, scaler: Scaler, given: Rows) -> Array:
        taught.append(given.targets)
        np.testing.assert_array_equal(given.targets, process.targets)
        return brought(process, scaler, given)

    monkeypatch.setattr(training, "brought_to_25", spy)
    value = rows.targets[place]
    for bound in (value - 5 * side, value + 5 * side):
        targets = np.where(sides != 0, bound, rows.targets)
        fit_conductivity(replace(rows, targets=targets, sides=sides), parameters=gaussian.default_parameters())
    inside, beyond = (targets[place] for targets in taught)
    assert side * (inside - (value - 5 * side)) > 2
    assert side * (beyond - (value + 5 * side)) >= 0
    assert side * (beyond - inside) > 0.5
    np.testing.assert_array_equal(np.delete(taught[0], place), np.delete(rows.targets, place))


def test_energies_of_glasses_are_those_of_the_scaled_line() -> None:
    """The printed energy of a glass is the slope of log σ between its temperatures; that of log σT is kT larger."""
    glasses = chalcogenide_glass_rows()
    lines: dict[str, list[int]] = {}
    for i in np.flatnonzero(glasses.is_conductivity):
        lines.setdefault(glasses.samples[int(i)].sample_id.rpartition("-")[0], []).append(int(i))
    several = [rows for rows in lines.values() if len(rows) > 1 and glasses.samples[rows[0]].arrhenius_exact == "yes"]
    assert len(several) > 5
    for index in several:
        slope = np.polyfit(glasses.coefficients[index, 1], glasses.targets[index], 1)[0]
        assert glasses.samples[index[0]].ea_ev == pytest.approx(slope, abs=0.006)


def test_targets_are_what_was_reported() -> None:
    rows = literature_rows()
    for i in (0, 100, 590):
        sample = rows.samples[i]
        kelvin = (sample.meas_temp_c or 0) + 273.15
        assert rows.targets[i] == pytest.approx(np.log10((sample.conductivity_s_cm or 0) * kelvin / 298.15))
    np.testing.assert_array_equal(rows.targets[681:], [s.ea_ev for s in rows.samples[681:]])


# ---------------------------------------------------------------- no paper on both sides


def test_no_paper_is_on_both_sides_of_a_fold(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    taught: list[set[str]] = []
    n_glasses: list[int] = []

    def spy(train: Rows, *, borrowed: BorrowedLines, parameters: Array, seed: int) -> training.ConductivityModel:
        taught.append(set(train.groups) | (set(borrowed.groups) & set(rows.groups)))
        n_glasses.append(int((~train.is_scored).sum()))
        return fit_conductivity(train, borrowed=borrowed, parameters=parameters, seed=seed)

    monkeypatch.setattr(training, "fit_conductivity", spy)
    seen: list[tuple[int, int]] = []
    found = cross_validate(rows, (0, 1), parameters=gaussian.default_parameters(), on_fold=lambda *at: seen.append(at))
    assert seen == [(seed, fold) for seed in (0, 1) for fold in range(N_FOLDS)]
    scored = np.array(found.rows.groups)
    for (seed, fold), groups in zip(seen, taught, strict=True):
        tested = set(scored[found.folds[seed] == fold])
        assert tested
        assert not tested & groups
        assert tested | groups == set(rows.groups)
    n_all = int((~rows.is_scored).sum())
    assert min(n_glasses) < max(n_glasses) == n_all, "the glasses of a tested paper must not teach, all others must"


def test_each_fold_borrows_only_what_is_unknown_to_its_tested_rows(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[BorrowedLines] = []
    tested_groups: list[set[str]] = []
    used: list[BorrowedLines] = []

    def unknown_to(lines: BorrowedLines, tested: Rows) -> BorrowedLines:
        tested_groups.append(set(tested.groups))
        given.append(lines.take(np.arange(len(lines.groups)) < 30))
        return given[-1]

    def spy(train: Rows, *, borrowed: BorrowedLines, parameters: Array, seed: int) -> training.ConductivityModel:
        used.append(borrowed)
        return fit_conductivity(train, borrowed=borrowed, parameters=parameters, seed=seed)

    monkeypatch.setattr(BorrowedLines, "unknown_to", unknown_to)
    monkeypatch.setattr(training, "fit_conductivity", spy)
    found = cross_validate(rows, (SEED,), parameters=gaussian.default_parameters())
    assert [id(lines) for lines in used] == [id(lines) for lines in given]
    scored = np.array(found.rows.groups)
    assert tested_groups == [set(scored[found.folds[0] == k]) for k in range(N_FOLDS)]


def test_every_scored_row_is_tested_once_per_shuffle(cv: CrossValidation, rows: Rows) -> None:
    assert len(cv.rows.samples) == rows.is_scored.sum()
    assert set(cv.folds[0]) == set(range(N_FOLDS))
    for values in (*cv.predictions.values(), cv.spreads):
        assert values.shape == (1, len(cv.rows.samples))
        assert np.isfinite(values).all()
    assert (cv.spreads > 0).all()


@pytest.mark.parametrize("is_tuned", [False, True], ids=["kept hyperparameters", "tuned hyperparameters"])
def test_the_answers_of_a_fold_do_not_reach_its_predictions(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, *, is_tuned: bool
) -> None:
    monkeypatch.setattr(training, "N_TUNING_STEPS", 2)
    options = {"parameters": None if is_tuned else gaussian.default_parameters()}
    before = cross_validate(rows, (SEED,), **options)
    here = before.folds[0] == (3 if is_tuned else 0)
    tested = np.flatnonzero(rows.is_scored)[here]
    targets = rows.targets.copy()
    targets[tested] = np.random.default_rng(0).permutation(targets[tested]) + 1
    after = cross_validate(replace(rows, targets=targets), (SEED,), **options)
    for name, values in before.predictions.items():
        np.testing.assert_array_equal(after.predictions[name][0, here], values[0, here], err_msg=name)
        assert (after.predictions[name][0, ~here] != values[0, ~here]).any(), name
    np.testing.assert_array_equal(after.spreads[0, here], before.spreads[0, here])


def test_the_scaler_of_a_fold_sees_its_training_rows_alone(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    fit = Scaler.fit

    def spy(features: Array) -> Scaler:
        sizes.append(features.shape)
        return fit(features)

    monkeypatch.setattr(Scaler, "fit", spy)
    found = cross_validate(rows, (SEED,), parameters=gaussian.default_parameters())
    assert len(sizes) == N_FOLDS
    assert sum(len(rows.samples) - n for n, _ in sizes) >= len(found.rows.samples)


def test_missing_values_are_at_the_mean_and_far_ones_are_cut() -> None:
    features = literature_rows().features[:50].copy()
    scaler = Scaler.fit(features)
    column = BLOCKS["processing"].start
    features[0, column], features[1, column] = np.nan, 1e6
    block = scaler.inputs(features).processing
    assert block[0, 0] == 0
    assert block[1, 0] == 4
    assert np.isfinite(block).all()


# ---------------------------------------------------------------- baselines by hand


def _sample(formula: str, family: str, phase: str = "crystalline", **values: float) -> Sample:
    return Sample(formula=formula, family=family, phase=phase, group_id=f"{formula}{values}", **values)  # type: ignore[arg-type]


TRAIN = observations(
    [
        _sample("Na3Zr2Si2PO12", "nasicon", conductivity_s_cm=1e-4, meas_temp_c=25.0, ea_ev=0.3),
        _sample("Na3Zr2Si2PO12", "nasicon", conductivity_s_cm=1e-2, meas_temp_c=300.0),
        _sample("Na3PS4", "thiophosphate", conductivity_s_cm=1e-3, meas_temp_c=25.0),
        _sample("Na3PS4", "thiophosphate", "glass", conductivity_s_cm=1e-6, meas_temp_c=25.0),
    ],
    [_sample("Na3PS4", "thiophosphate", ea_ev=0.2), _sample("NaAl11O17", "beta_alumina", ea_ev=0.16)],
    is_scored=True,
)  # fmt: skip
TEST = observations(
    [
        _sample("Na3.1Zr2Si2.1P0.9O12", "nasicon", conductivity_s_cm=1, meas_temp_c=60.0),
        _sample("Na3PS4", "thiophosphate", "glass", conductivity_s_cm=1, meas_temp_c=25.0),
        _sample("NaAl11O17", "beta_alumina", conductivity_s_cm=1, meas_temp_c=25.0),
    ],
    [_sample("Na3PSe4", "selenide", ea_ev=1.0), _sample("NaAl11O17", "beta_alumina", ea_ev=1.0)],
    is_scored=True,
)


def test_the_family_median_is_that_of_the_family_else_of_all_rows_of_the_kind() -> None:
    hot = -2 + np.log10(573.15 / 298.15)
    expected = [(-4 + hot) / 2, -4.5, np.median([-4, hot, -3, -6]), 0.18, 0.16]
    np.testing.assert_allclose(training.family_medians(TRAIN, TEST), expected, rtol=1e-9)


def test_the_nearest_neighbour_is_nearest_in_composition_and_phase_and_moved_to_the_temperature() -> None:
    k_ln10 = 8.617333262e-5 * np.log(10)
    at_60 = -4 + 0.3 / k_ln10 * (1 / 298.15 - 1 / 333.15)
    found = training.nearest_neighbours(TRAIN, TEST)
    np.testing.assert_allclose(found[[0, 1, 3, 4]], [at_60, -6, 0.2, 0.16], rtol=1e-6)


def test_a_neighbour_without_an_energy_is_moved_by_the_usual_one() -> None:
    warm = observations([replace(TRAIN.samples[2], meas_temp_c=100.0)], TRAIN.samples[4:5], is_scored=True)
    known = TRAIN.take(np.array([2, 4]))  # its energy is a row of its own, and not what moves it
    energy = training.nearest_neighbours(known, warm)[0] + 3
    gap = 1 / 298.15 - 1 / 373.15
    assert energy == pytest.approx(gaussian.MEAN_EA_EV * gap / (8.617333262e-5 * np.log(10)), rel=1e-6)


def test_a_line_is_read_at_the_temperature_of_each_row() -> None:
    line = np.array([[-3.0, 0.4]] * 5)
    gap = 1 / 298.15 - 1 / 333.15
    expected = [-3 + 0.4 * gap / (8.617333262e-5 * np.log(10)), -3, -3, 0.4, 0.4]
    np.testing.assert_allclose(line_to_observation(line, TEST.coefficients), expected, rtol=1e-6)


# ---------------------------------------------------------------- the fitted model


def test_the_promoted_line_is_the_mean_of_three_at_25_degrees_and_of_two_energies_but_for_glasses(rows: Rows) -> None:
    features = rows.features.copy()
    features[:4, BLOCKS["family"]] = 0
    features[:4, FEATURE_NAMES.index("family_oxide_glass")] = 1
    model = fit_conductivity(rows, parameters=gaussian.default_parameters())
    lines = model.lines(features)
    assert tuple(lines) == training.MODEL_NAMES
    promoted, process, *others = lines.values()
    is_glass = features[:, FEATURE_NAMES.index("family_oxide_glass")] > 0
    assert 4 <= is_glass.sum() < len(is_glass)
    assert model.glass_trees is not None
    np.testing.assert_array_equal(promoted[is_glass], model.glass_trees.lines(features[is_glass]))
    without = replace(model, glass_trees=None).lines(features)[training.PROMOTED]
    np.testing.assert_array_equal(without[is_glass], others[-1][is_glass])
    np.testing.assert_array_equal(without[~is_glass], promoted[~is_glass])
    promoted, process, *others = (part[~is_glass] for part in (promoted, process, *others))
    np.testing.assert_allclose(promoted[:, 0], np.mean([process, *others], axis=0)[:, 0])
    np.testing.assert_allclose(promoted[:, 1], (process[:, 1] + others[-1][:, 1]) / 2)


def test_a_forest_does_not_hang_on_the_last_bits_of_what_it_learns(rows: Rows) -> None:
    scaler = training.Scaler.fit(rows.features)
    process = training.process_of(rows, scaler, gaussian.default_parameters())
    features, lines = training.own_lines(process, scaler, rows)
    noise = 1e-11 * np.random.default_rng(0).standard_normal(lines.shape)
    grown = [
        training.grown_forest(
            (features, own), np.ones(len(own)), borrowed_lines(), training.usual_settings()["forest"], 0
        )
        for own in (lines, lines + noise)
    ]
    before, after = (forest.predict(training.without_gaps(features)) for forest in grown)
    np.testing.assert_array_equal(after, before)


# ---------------------------------------------------------------- oxide glasses


def test_every_glass_is_predicted_by_trees_that_have_not_seen_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    boosted = training.boosted_lines

    def spy(lent: training.BorrowedLines, *rest: Any) -> training.BoostedLines:
        seen.append(set(lent.groups))
        return boosted(lent, *rest)

    monkeypatch.setattr(training, "boosted_lines", spy)
    errors = training.glass_errors.__wrapped__()
    every = set(errors.groups)
    left_out = [every - known for known in seen]
    assert len(seen) == training.N_FOLDS
    assert sum(map(len, left_out)) == len(every) == len(set.union(*left_out)) > 200
    assert errors.off.shape == (len(errors.groups), 2)
    assert np.isfinite(errors.off).all()
    assert (errors.distance >= 0).all()


def test_the_spread_of_glasses_is_that_of_their_errors_and_grows_with_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of known covariance, three times as large at a distance of 0.4 as at 0."""
    rng = np.random.default_rng(0)
    distance = rng.uniform(0, 0.4, 40_000)
    off = rng.multivariate_normal([0, 0], [[1.0, -0.05], [-0.05, 0.01]], len(distance)) * (1 + 5 * distance)[:, None]
    errors = training.GlassErrors(off, distance, ["a"] * len(distance))
    monkeypatch.setattr(training, "glass_errors", lambda: errors)
    spread = training.glass_spread.__wrapped__()
    assert spread.per_distance == pytest.approx(5, rel=0.05)
    h = gaussian.conductivity_coefficients(np.array([25.0]))[0]
    aa, ae, ee = spread.at(np.array([0.0, 0.4])).T
    np.testing.assert_allclose(aa + 2 * h[1] * ae + h[1] ** 2 * ee, [1, 9], rtol=0.06)
    np.testing.assert_allclose(ee, [0.01, 0.09], rtol=0.06)


def _seen_at(temp_c: Array, log_sigma_25: Array, ea: Array) -> list[Array]:
    """Return what is observed of lines at one temperature each."""
    coefficients = gaussian.conductivity_coefficients(temp_c)
    targets = line_to_observation(np.column_stack([log_sigma_25, ea]), coefficients)
    return list(np.column_stack([coefficients, targets])[:, None])


def test_lines_of_glasses_are_learned_from_glasses_of_one_temperature_each() -> None:
    """Two kinds of glass, told apart by their sodium, each sample measured once."""
    glasses = borrowed_lines()
    glasses = glasses.take(training._are_sodium_glasses(glasses))
    is_rich = glasses.features[:, FEATURE_NAMES.index("fraction_Na")] > 0.15
    level, energy = np.where(is_rich, -7.0, -9.0), np.where(is_rich, 0.7, 0.9)
    temp_c = np.random.default_rng(0).uniform(25, 300, len(level))
    nothing = np.full((len(level), 2), np.nan)
    single = replace(glasses, lines=nothing, seen=_seen_at(temp_c, level, energy))
    settings = replace(training.usual_settings()["glasses"], n_trees=100)
    found = training.boosted_lines(single, settings, 0).lines(glasses.features)
    off = np.abs(found - np.column_stack([level, energy]))
    assert 500 < is_rich.sum() < len(level) - 500
    np.testing.assert_array_less(np.median(off, axis=0), [0.05, 0.01])
    np.testing.assert_array_less(np.mean(off, axis=0), [0.15, 0.02])


def test_a_wild_value_hardly_moves_the_lines_of_glasses() -> None:
    glasses = borrowed_lines()
    glasses = glasses.take(training._are_sodium_glasses(glasses))
    n = len(glasses.groups)
    temp_c = np.tile([25.0, 150.0, 300.0], n)[:n]
    seen = _seen_at(temp_c, np.full(n, -8.0), np.full(n, 0.8))
    wild = [points + np.array([0, 0, 6.0]) if i % 10 == 0 else points for i, points in enumerate(seen)]
    settings = replace(training.usual_settings()["glasses"], n_trees=60)
    found = training.boosted_lines(replace(glasses, seen=wild), settings, 0).lines(glasses.features)
    assert np.median(np.abs(found[:, 0] + 8)) < 0.2, "the mean of all values is off by 0.6"


def test_glasses_of_the_literature_teach_beside_those_of_the_table() -> None:
    """A sputtered film of a crystal's composition conducts as no molten glass does."""
    rows = training.literature_rows()
    own = rows.take(rows.is_conductivity & is_oxide_glass(rows.features))
    settings = replace(training.usual_settings()["glasses"], n_trees=60)
    with_own, without = (
        training.boosted_lines(borrowed_lines(), settings, 0, taught).lines(own.features) for taught in (own, None)
    )
    off = [np.abs(line_to_observation(lines, own.coefficients) - own.targets) for lines in (with_own, without)]
    is_film = np.array([s.synthesis == "sputtering" for s in own.samples])
    assert is_film.sum() >= 3
    assert off[0][is_film].mean() < off[1][is_film].mean() / 2
    assert off[0].mean() < off[1].mean()


def test_glasses_that_may_not_teach_are_not_seen_by_the_trees_of_glasses() -> None:
    lines = borrowed_lines()
    kept = np.arange(len(lines.groups)) % 5 == 0
    left = lines.take(kept)
    assert len(left.seen) == kept.sum()
    for points, index in zip(left.seen, np.flatnonzero(kept), strict=True):
        assert points is lines.seen[index]


# ---------------------------------------------------------------- borrowed lines


def test_borrowed_lines_are_those_of_glasses_and_of_lithium_samples_written_as_sodium_ones() -> None:
    lines = borrowed_lines()
    is_lithium = lines.features[:, training.LITHIUM_COLUMN] > 0
    sodium = lines.features[:, FEATURE_NAMES.index("sodium_fraction")]
    lithium_ions = lines.features[:, FEATURE_NAMES.index("fraction_Li")]
    assert (sodium > 0).all()
    assert (lithium_ions[is_lithium] == 0).all()
    np.testing.assert_allclose(sodium[is_lithium], lines.features[is_lithium, training.LITHIUM_COLUMN])
    assert set(lines.weights[is_lithium]) == {training.LITHIUM_WEIGHT}
    assert set(lines.weights[~is_lithium]) == {training.GLASS_WEIGHT}
    assert min(is_lithium.sum(), (~is_lithium).sum()) > 1000
    assert np.isfinite(lines.complete().lines).all()
    assert len(lines.complete().groups) > 3000


def test_a_glass_of_one_temperature_and_no_energy_has_no_line_but_a_value() -> None:
    lines = borrowed_lines()
    glasses = lines.take(lines.features[:, training.LITHIUM_COLUMN] == 0)
    table = [s for s in reviewed_table("glasses") if s.quality == "ok" and s.conductivity_s_cm]
    assert sum(map(len, glasses.seen)) == len([s for s in table if s.meas_temp_c is not None])
    single = np.array([len({*points[:, 1]}) == 1 for points in glasses.seen])
    has_line = np.isfinite(glasses.lines).all(axis=1)
    assert has_line[~single].all()
    assert (~has_line).sum() > 1000
    for points, line in zip(glasses.seen, glasses.lines, strict=True):
        if np.isfinite(line).all() and len(points) == 2:
            np.testing.assert_allclose(
                line_to_observation(np.tile(line, (2, 1)), points[:, :2]).mean(), points[:, 2].mean()
            )


def test_the_line_of_a_glass_goes_through_its_conductivities() -> None:
    glasses = [s for s in load_table("glasses") if s.quality == "ok"]
    name, n_rows = Counter(s.sample_id.rpartition("-")[0] for s in glasses).most_common(1)[0]
    seen = observations([s for s in glasses if s.sample_id.rpartition("-")[0] == name], [], is_scored=False)
    assert n_rows > 2
    lines = borrowed_lines()
    (same,) = np.flatnonzero(
        (np.array(lines.groups) == seen.groups[0])
        & (np.abs(lines.features - seen.features[0]) < 1e-12)[:, 20:60].all(axis=1)
    )[:1]
    found = line_to_observation(np.tile(lines.lines[same], (n_rows, 1)), seen.coefficients)
    np.testing.assert_allclose(found, seen.targets, atol=0.05)


def test_a_borrowed_glass_of_a_tested_composition_and_the_groups_tested_do_not_teach(rows: Rows) -> None:
    lines = borrowed_lines()
    tested = replace(rows.take(np.arange(3)), features=lines.features[[5, 5, 5]])
    left = lines.unknown_to(tested)
    assert 0 < len(lines.groups) - len(left.groups) < 200
    block = np.r_[BLOCKS["fraction"], BLOCKS["phase"]]
    assert not (np.abs(left.features[:, block] - lines.features[5, block]).sum(axis=1) < 1e-6).any()
    samples = [replace(s, group_id=lines.groups[-1]) for s in tested.samples]
    assert lines.groups[-1] not in lines.unknown_to(replace(tested, samples=samples)).groups


def test_lithium_samples_of_a_tested_formula_still_teach(rows: Rows) -> None:
    lines = borrowed_lines()
    place = int(np.flatnonzero(lines.features[:, training.LITHIUM_COLUMN] > 0)[0])
    tested = replace(rows.take(np.arange(1)), features=lines.features[[place]])
    assert (lines.unknown_to(tested).features[:, training.LITHIUM_COLUMN] > 0).sum() == (
        lines.features[:, training.LITHIUM_COLUMN] > 0
    ).sum()


def test_borrowed_lines_move_the_forest_and_not_the_process_or_the_boosted_trees(rows: Rows) -> None:
    options = {"parameters": gaussian.default_parameters()}
    with_all = fit_conductivity(rows, **options).lines(rows.features)
    none = borrowed_lines().take(np.zeros(len(borrowed_lines().groups), dtype=bool))
    without = fit_conductivity(rows, borrowed=none, **options).lines(rows.features)
    for name in training.MODEL_NAMES[1:3]:
        np.testing.assert_array_equal(with_all[name], without[name])
    assert (with_all[training.MODEL_NAMES[3]] != without[training.MODEL_NAMES[3]]).any()


def test_trees_learn_from_conductivities_brought_to_25_degrees_along_the_line(rows: Rows) -> None:
    scaler = Scaler.fit(rows.features)
    process = training.process_of(rows, scaler, gaussian.default_parameters())
    brought = training.brought_to_25(process, scaler, rows)
    sigma = rows.take(rows.is_conductivity)
    energy = process.predict(scaler.inputs(sigma.features))[:, 1]
    kelvin = np.array([s.meas_temp_c or 0 for s in sigma.samples]) + 273.15
    by_hand = sigma.targets - energy / (8.617333262e-5 * np.log(10)) * (1 / 298.15 - 1 / kelvin)
    np.testing.assert_allclose(brought, by_hand, rtol=1e-6)
    assert (brought[kelvin > 400] < sigma.targets[kelvin > 400]).all()


# ---------------------------------------------------------------- the score table


def _scored(error_by_seed: tuple[float, float]) -> CrossValidation:
    n = len(TRAIN.samples)
    off = np.array(error_by_seed)[:, None] * np.array([1.0, -1.0] * (n // 2))
    return CrossValidation(
        TRAIN, (0, 1), {"model": TRAIN.targets + off, "exact": np.tile(TRAIN.targets, (2, 1))},
        np.ones((2, n)), np.zeros((2, n), dtype=np.intp),
    )  # fmt: skip


def test_scores_are_mean_absolute_errors_over_rows_and_their_spread_over_shuffles() -> None:
    table = score_table(_scored((0.2, 0.6)), least_rows=1)
    overall = {(r.quantity, r.model): r for r in table if r.subset == "all"}
    expected = {"log10 σ": (4, 4), "log10 σ, 15–35 °C": (3, 3), "Ea / eV": (2, 2)}
    assert "log10 σ, 15–35 °C, measured" not in {r.quantity for r in table}
    for quantity, (n_rows, n_papers) in expected.items():
        row = overall[quantity, "model"]
        assert row == ScoreRow(quantity, "all", "model", row.error, row.spread, n_rows, n_papers)
        assert (row.error, row.spread) == (pytest.approx(0.4), pytest.approx(0.2))
        assert overall[quantity, "exact"].error == 0


def test_a_family_has_its_own_line_from_the_least_number_of_rows() -> None:
    subsets = {(r.quantity, r.subset): r.n_rows for r in score_table(_scored((0.1, 0.1)), least_rows=2)}
    assert subsets == {
        ("log10 σ", "all"): 4, ("log10 σ", "nasicon"): 2, ("log10 σ", "thiophosphate"): 2,
        ("log10 σ, 15–35 °C", "all"): 3, ("log10 σ, 15–35 °C", "thiophosphate"): 2, ("Ea / eV", "all"): 2,
    }  # fmt: skip


def test_the_table_of_a_cross_validation_counts_its_rows(cv: CrossValidation) -> None:
    table = score_table(cv)
    for row in table:
        assert row.n_papers <= row.n_rows
        assert row.error > 0
        assert row.spread == 0
    n = {r.quantity: r.n_rows for r in table if r.subset == "all"}
    assert n["log10 σ"] + n["Ea / eV"] == len(cv.rows.samples)
    assert n["log10 σ, 15–35 °C"] < n["log10 σ"]


# ---------------------------------------------------------------- strength


def test_without_data_the_strength_law_is_its_prior() -> None:
    law = fit_strength(np.empty((0, 6)), np.empty(0), [])
    np.testing.assert_allclose(law.coefficients, STRENGTH_PRIOR_MEAN)
    np.testing.assert_allclose(law.covariance, np.diag(STRENGTH_PRIOR_SD**2))
    assert STRENGTH_PRIOR_MEAN[STRENGTH_FEATURES.index("porosity")] == pytest.approx(-5 / np.log(10))


def test_the_measured_strengths_say_that_pores_weaken_and_epoxy_in_them_strengthens() -> None:
    samples, terms, log_strength = strength_observations()
    law = fit_strength(terms, log_strength, [s.group_id for s in samples])
    of = dict(zip(STRENGTH_FEATURES, law.coefficients, strict=True))
    sd = dict(zip(STRENGTH_FEATURES, np.sqrt(np.diag(law.covariance)), strict=True))
    assert of["pore_filled"] - sd["pore_filled"] > 0
    assert of["porosity"] + sd["porosity"] < 0
    assert of["beta_alumina"] > 0
    assert 10 < 10 ** of["intercept"] < 200
    assert terms[:, STRENGTH_FEATURES.index("pore_filled")].sum() > 0


def test_one_paper_of_many_rows_does_not_count_like_many_papers() -> None:
    terms = np.tile([1.0, 0, 0, 0, 0, 0], (20, 1))
    strength = np.full(20, 3.0)
    one, many = fit_strength(terms, strength, ["a"] * 20), fit_strength(terms, strength, [str(i) for i in range(20)])
    assert one.covariance[0, 0] > 3 * many.covariance[0, 0]
    assert one.coefficients[0] < many.coefficients[0] < 3


def test_the_strength_law_equals_generalised_least_squares_by_hand() -> None:
    """One row: precision 1/sd² + 1/(paper² + within²)."""
    law = fit_strength(np.array([[1.0, 0, 0, 0, 0, 0]]), np.array([2.5]), ["a"])
    noise = training.PAPER_SD**2 + training.WITHIN_SD**2
    share = STRENGTH_PRIOR_SD[0] ** 2 / (STRENGTH_PRIOR_SD[0] ** 2 + noise)
    assert law.coefficients[0] == pytest.approx(STRENGTH_PRIOR_MEAN[0] + share * (2.5 - STRENGTH_PRIOR_MEAN[0]))
    assert law.covariance[0, 0] == pytest.approx(STRENGTH_PRIOR_SD[0] ** 2 * (1 - share))


def test_strength_is_scored_on_papers_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = training._strength_predictions

    def spy(train: training.StrengthRows, test: training.StrengthRows, seed: int) -> dict[str, Array]:
        assert not {s.group_id for s in train.samples} & {s.group_id for s in test.samples}
        return predictions(train, test, seed)

    monkeypatch.setattr(training, "_strength_predictions", spy)
    table, factor = cross_validate_strength((0, 1))
    whole, within = training.STRENGTH_QUANTITIES
    errors = {(row.quantity, row.model): row.error for row in table}
    assert set(errors) == set(itertools.product(training.STRENGTH_QUANTITIES, training.STRENGTH_MODELS))
    assert errors[whole, "strength law"] < errors[whole, "global median"]
    assert errors[within, "strength law"] < errors[within, "family median"]
    assert 1 < factor < 4
    papers = Counter(s.group_id for s in strength_observations()[0])
    several = [n for n in papers.values() if n > 1]
    assert {(row.quantity, row.n_rows, row.n_papers) for row in table} == {
        (whole, papers.total(), len(papers)), (within, sum(several), len(several))
    }  # fmt: skip


def test_textbook_laws_of_strength_by_hand() -> None:
    """Dense 100 MPa: bare at 10 % pores 100·exp(-0.5); filled there 0.9·100 + 0.1·150."""
    usual = 0.06
    terms = np.zeros((3, 6))
    terms[:, STRENGTH_FEATURES.index("porosity")] = [-usual, 0.1 - usual, 0.1 - usual]
    terms[2, STRENGTH_FEATURES.index("pore_filled")] = 1
    samples = [Sample(family="nasicon")] * 3
    dense = training.StrengthRows(samples[:1], terms[:1], np.log10([100.0]))
    found = 10 ** training.physics_alone(dense, training.StrengthRows(samples, terms, np.zeros(3)))
    np.testing.assert_allclose(found, [100, 100 * np.exp(-0.5), 105])


# ---------------------------------------------------------------- what is not installed


@pytest.mark.parametrize("module", ["xgboost", "mlflow.models"])
def test_a_missing_package_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    name = module.partition(".")[0]
    for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, name, None)
    message = rf"^This command needs {name}, which is not installed; run: pip install 'nascreen\[train\]'$"
    with pytest.raises(MissingExtraError, match=message):
        require(module)


def test_training_without_xgboost_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, rows: Rows) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingExtraError, match="needs xgboost, which is not installed"):
        fit_conductivity(rows, parameters=gaussian.default_parameters())
