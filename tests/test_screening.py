"""Promises of the screening: candidates keep their order, rankings are sorted and varied, neighbours were measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from nascreen import screening
from nascreen.errors import RangeError
from nascreen.features import chemistry_of
from nascreen.models import Prediction, load_models
from nascreen.records import CENSORED_ORIGINS, Sample, citation
from nascreen.screening import SORT_KEYS, Scored, measured_samples, nearest, rank, score
from nascreen.spaces import generate

NASICON = Sample(formula="Na3Zr2Si2PO12", phase="crystalline", sinter_temp_c=1200.0)


@pytest.fixture(scope="module")
def candidates() -> list[Sample]:
    both = [*generate("nasicon", 120, seed=1), *generate("thioborate", 60, seed=1)]
    strange = [Sample(formula="NaI", label="strange"), Sample(formula="Na3RhO3", label="strange")]
    return [*both[:90], *strange, *both[90:]]


@pytest.fixture(scope="module")
def scored(candidates: list[Sample]) -> list[Scored]:
    return score(candidates)


def _prediction(sample: Sample = NASICON, **changes: float | bool) -> Prediction:
    (prediction,) = load_models().predict([sample])
    return replace(prediction, **changes)  # type: ignore[arg-type]


def _made(formula: str, label: str, conductivity: float, *, in_domain: bool = True) -> Scored:
    """A candidate of which only what a ranking looks at is set."""
    prediction = _prediction(conductivity_s_cm=conductivity, conductivity_lo=conductivity / 10, in_domain=in_domain)
    return Scored(replace(prediction, sample=Sample(formula=formula, label=label)), 500.0, 1 / conductivity)


def _formulas(found: list[Scored]) -> list[str]:
    return [s.sample.formula for s in found]


# ---------------------------------------------------------------- scores


def test_scores_keep_the_order_and_are_of_25_degrees(candidates: list[Sample], scored: list[Scored]) -> None:
    assert [replace(s.sample, meas_temp_c=None) for s in scored] == candidates
    for s in scored:
        assert s.sample.meas_temp_c == 25.0
        assert s.prediction.conductivity_s_cm == pytest.approx(s.prediction.conductivity_25_s_cm, rel=1e-9)


def test_chunks_do_not_show(candidates: list[Sample], scored: list[Scored], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "CHUNK", 7)
    done: list[int] = []
    again = score(candidates[:30], done.append)
    assert done == [7, 14, 21, 28, 30]
    assert _formulas(again) == _formulas(scored[:30])
    sigma, before = (np.array([s.prediction.conductivity_s_cm for s in part]) for part in (again, scored[:30]))
    np.testing.assert_allclose(sigma, before, rtol=1e-5)


def test_nothing_scores_nothing() -> None:
    assert score([]) == []


@pytest.mark.parametrize(("strength_mpa", "thinnest_um"), [(15.0, 850.0), (35.0, 556.45), (60.0, 425.0)])
def test_the_thinnest_disc_and_its_resistance_are_those_by_hand(strength_mpa: float, thinnest_um: float) -> None:
    found = screening.scored(_prediction(strength_mpa=strength_mpa, conductivity_25_s_cm=1e-3))
    assert found.thinnest_um == pytest.approx(thinnest_um, abs=0.01)
    assert found.resistance_ohm_cm2 == pytest.approx(thinnest_um * 1e-4 / 1e-3, rel=1e-4)


# ---------------------------------------------------------------- rankings


@pytest.mark.parametrize("by", SORT_KEYS)
def test_a_ranking_is_sorted_with_what_is_outside_the_domain_last(scored: list[Scored], by: str) -> None:
    found = rank(scored, by, n=1000, per_system=1000)
    trusted = [s.prediction.in_domain for s in found]
    assert trusted == sorted(trusted, reverse=True)
    assert {True, False} == set(trusted)
    for part in (True, False):
        keys = [SORT_KEYS[by](s) for s in found if s.prediction.in_domain == part]
        assert keys == sorted(keys)
    assert sorted(_formulas(found)) == sorted({s.sample.formula for s in scored})


@pytest.mark.parametrize(
    ("by", "attribute", "sign"),
    [
        ("conductivity", "conductivity_s_cm", -1),
        ("conductivity_lo", "conductivity_lo", -1),
        ("ea", "ea_ev", 1),
        ("strength", "strength_mpa", -1),
    ],
)
def test_the_first_is_the_best(scored: list[Scored], by: str, attribute: str, sign: int) -> None:
    values = [sign * getattr(s.prediction, attribute) for s in scored if s.prediction.in_domain]
    assert sign * getattr(rank(scored, by, n=1)[0].prediction, attribute) == min(values)


def test_the_least_resistance_is_first(scored: list[Scored]) -> None:
    best = min(s.resistance_ohm_cm2 for s in scored if s.prediction.in_domain)
    assert rank(scored, "resistance", n=1)[0].resistance_ohm_cm2 == best


@pytest.mark.parametrize("per_system", [1, 2, 5])
def test_a_system_has_at_most_so_many_candidates_and_a_composition_one(scored: list[Scored], per_system: int) -> None:
    found = rank(scored, n=1000, per_system=per_system)
    counts = Counter(s.sample.label.partition(",")[0] for s in found)
    assert max(counts.values()) == per_system
    assert len(set(_formulas(found))) == len(found)


def test_the_best_processing_of_a_composition_is_kept() -> None:
    scored = [_made("A", "x", 1e-4), _made("A", "x", 1e-2), _made("B", "x", 1e-3), _made("C", "x, more", 1e-5)]
    assert _formulas(rank(scored, per_system=3)) == ["A", "B", "C"]
    assert rank(scored, n=1)[0].prediction.conductivity_s_cm == 1e-2
    assert _formulas(rank(scored, per_system=2)) == ["A", "B"]


def test_a_better_candidate_outside_the_domain_comes_after_a_worse_one_inside() -> None:
    scored = [_made("A", "x", 10.0, in_domain=False), _made("B", "y", 1e-9)]
    assert _formulas(rank(scored)) == ["B", "A"]


def test_equals_are_ranked_the_same_whatever_their_order() -> None:
    scored = [_made(f, f, 1e-3) for f in "CABD"]
    assert _formulas(rank(scored)) == _formulas(rank(scored[::-1])) == ["A", "B", "C", "D"]


@pytest.mark.parametrize("n", [1, 7, 20])
def test_so_many_are_returned(scored: list[Scored], n: int) -> None:
    whole = rank(scored, n=1000)
    assert rank(scored, n=n) == whole[:n]


def test_an_unknown_key_is_refused_with_the_allowed_ones(scored: list[Scored]) -> None:
    with pytest.raises(RangeError, match=f"can be sorted by {', '.join(SORT_KEYS)}; got 'colour'"):
        rank(scored, "colour")


@pytest.mark.parametrize(("n", "per_system"), [(0, 2), (-1, 2), (5, 0)])
def test_fewer_than_one_is_refused(scored: list[Scored], n: int, per_system: int) -> None:
    with pytest.raises(RangeError, match=f"must be at least 1; got {n} and {per_system} per system"):
        rank(scored, n=n, per_system=per_system)


# ---------------------------------------------------------------- neighbours


def test_neighbours_were_measured_with_a_conductivity() -> None:
    samples, positions = measured_samples()
    assert len(samples) == len(positions) > 500
    for sample in samples:
        assert sample.conductivity_s_cm
        assert sample.value_origin not in {"extrapolated", *CENSORED_ORIGINS}
        assert "Na" in sample.formula


def test_each_neighbour_is_of_another_text_and_cited(candidates: list[Sample]) -> None:
    part = candidates[::12]
    for found in nearest(part, 4):
        assert len({n.sample.group_id for n in found}) == len(found) == 4
        for neighbour in found:
            assert neighbour.citation == citation(neighbour.sample) != ""
            assert 0 <= neighbour.distance < 1.5


def _fractions(sample: Sample) -> dict[str, float]:
    amounts = chemistry_of(sample.formula).composition.amounts
    total = sum(amounts.values())
    return {symbol: float(amount / total) for symbol, amount in amounts.items()}


def test_a_measured_composition_and_phase_is_at_no_distance() -> None:
    near_room = [
        s for s in measured_samples()[0] if s.phase and s.meas_temp_c is not None and 20 <= s.meas_temp_c <= 30
    ]
    part = near_room[::25]
    assert len(part) > 5
    for sample, (first, *_) in zip(part, nearest(part, 1), strict=True):
        assert first.distance == pytest.approx(0, abs=1e-7)
        assert first.sample.phase == sample.phase
        assert _fractions(first.sample) == pytest.approx(_fractions(sample), abs=1e-6)


def test_a_distance_is_that_of_the_roots_of_fractions_and_a_phase_that_differs_counts() -> None:
    (first, *_), (other, *_) = nearest([NASICON, replace(NASICON, phase="glass_ceramic")], 1)
    assert first.distance == pytest.approx(0, abs=1e-7)
    assert 0 < other.distance <= 0.3 + 1e-9
    candidate = Sample(formula="Na3.4Zr2Si2.4P0.6O12", phase="crystalline")
    for near in nearest([candidate], 5)[0]:
        a, b = _fractions(candidate), _fractions(near.sample)
        squares = sum((a.get(k, 0) ** 0.5 - b.get(k, 0) ** 0.5) ** 2 for k in a | b)
        phase = 0.0 if near.sample.phase == "crystalline" else 0.09 if near.sample.phase else 0.045
        assert near.distance == pytest.approx((squares + phase) ** 0.5, abs=1e-6)


def test_of_equal_compositions_the_one_fired_alike_comes_first() -> None:
    low, high = (nearest([replace(NASICON, sinter_temp_c=t)], 1)[0][0].sample.sinter_temp_c for t in (1050.0, 1260.0))
    assert low is not None
    assert high is not None
    assert abs(low - 1050) < abs(high - 1050)
    assert abs(high - 1260) < abs(low - 1260)
