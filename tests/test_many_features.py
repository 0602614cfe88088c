"""Promises of features computed for many samples at once: the same as row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nascreen import models
from nascreen.chemistry import OXIDATION_STATES, SYMBOLS
from nascreen.datasets import has_sodium, load_table
from nascreen.features import FEATURE_NAMES, chemistry_of, feature_matrix
from nascreen.many_features import many_features
from nascreen.models import load_models
from nascreen.records import Sample
from nascreen.tables import RESULT_COLUMNS


def assert_same(samples: list[Sample]) -> None:
    """Compare with the features of each row alone: what trees see is the same to the last bit."""
    found = many_features(samples, [chemistry_of(s.formula) for s in samples])
    expected = feature_matrix(samples)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    differs = (found.astype(np.float32) != expected.astype(np.float32)) & ~np.isnan(expected)
    assert [FEATURE_NAMES[j] for j in np.flatnonzero(differs.any(axis=0))] == []


@pytest.mark.parametrize("name", ["literature", "glasses", "lithium"])
def test_every_row_of_the_tables_has_the_features_that_it_has_alone(name: str) -> None:
    assert_same([s for s in load_table(name) if s.formula])


amounts = st.one_of(st.integers(1, 20), st.decimals("0.01", "20", places=2), st.decimals("0.1", "9", places=4))
formulas = st.dictionaries(st.sampled_from(SYMBOLS), amounts, min_size=1, max_size=9).map(
    lambda parts: "".join(f"{symbol}{amount}" for symbol, amount in parts.items())
)
conditions = st.builds(
    dict,
    sinter_temp_c=st.none() | st.floats(20, 1500),
    heat_time_h=st.none() | st.floats(0, 100),
    rel_density_pct=st.none() | st.floats(40, 90),
    porosity_pct=st.none() | st.floats(0, 10),
    second_phase=st.sampled_from(["", "epoxy", "PEO", "ionic liquid", "NaF"]),
    second_phase_role=st.sampled_from(["", "matrix", "pore_filler", "sintering_aid"]),
    synthesis=st.sampled_from(["", "solid_state", "sol_gel", "ball_mill", "sps", "melt_quench"]),
    structure=st.sampled_from(["", "R-3c", "C2/c", "cubic", "amorphous"]),
    phase=st.sampled_from(["", "crystalline", "glass", "glass_ceramic", "composite"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(formulas, conditions), min_size=1, max_size=8))
def test_whatever_elements_and_conditions_meet_the_features_are_those_of_each_alone(
    drawn: list[tuple[str, dict[str, object]]],
) -> None:
    assert_same([Sample(formula=formula, **made) for formula, made in drawn])  # type: ignore[arg-type]


def test_elements_of_several_valences_and_of_none_are_described_too() -> None:
    mixed = ["Na3V2P3O12", "Na3.4V1.6Fe0.4P3O12", "NaFeO2", "Na2MnO3", "Na2B12H12", "Na3OBr", "NaTi2P3O12", "Na2S4"]
    without = [f"Na{symbol}O2" for symbol in SYMBOLS if symbol not in OXIDATION_STATES]
    assert_same([Sample(formula=formula) for formula in (*mixed, *without)])


def test_no_samples_have_no_features() -> None:
    assert many_features([], []).shape == (0, len(FEATURE_NAMES))


def test_many_samples_are_predicted_as_each_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [replace(s, meas_temp_c=t) for s in load_table("literature") for t in (None, 60.0) if has_sodium(s)][::5]
    together = load_models().predict(rows)
    monkeypatch.setattr(models, "LEAST_MANY", len(rows) + 1)
    for one, other in zip(load_models().predict(rows), together, strict=True):
        for name in RESULT_COLUMNS[:9]:
            assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9), (one.sample.formula, name)
        assert (other.sample, other.in_domain, other.domain_note) == (one.sample, one.in_domain, one.domain_note)
