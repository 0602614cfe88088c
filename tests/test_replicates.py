"""What is promised of the scatter of repeated measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nascreen.records import Sample
from nascreen.replicates import PRIOR_DEGREES, pooled_sample_sets, replicate_sets, replicate_spread
from nascreen.verdicts import reviewed_table

BASE = Sample(formula="Na3Zr2Si2PO12", family="nasicon", phase="crystalline", value_origin="measured", meas_temp_c=25.0,
              conductivity_s_cm=1e-4, conductivity_kind="total")  # fmt: skip


def text(name: str, log_sigma: float, **changes: object) -> Sample:
    return replace(BASE, sample_id=f"{name}-{log_sigma}", group_id=name, conductivity_s_cm=10**log_sigma, **changes)


def many(sd: float, family: str, n: int, seed: int) -> list[Sample]:
    """Return n compositions with three texts each, whose values scatter by sd around their own mean."""
    rng = np.random.default_rng(seed)
    return [
        text(f"{family}{i}-{j}", rng.normal(-4, sd), formula=f"Na{1 + i / 100:g}Zr2P3O12", family=family)
        for i in range(n)
        for j in range(3)
    ]


def test_the_scatter_that_was_put_in_is_found() -> None:
    spread = replicate_spread([*many(0.5, "nasicon", 80, 1), *many(0.1, "halide", 80, 2)])
    assert spread["nasicon"].raw_sd == pytest.approx(0.5, rel=0.15)
    assert spread["halide"].raw_sd == pytest.approx(0.1, rel=0.15)
    assert spread["halide"].raw_sd < spread["halide"].between_sd < spread["all"].between_sd


def test_a_family_without_repeats_has_the_scatter_of_all() -> None:
    spread = replicate_spread([*many(0.5, "nasicon", 30, 1), text("lone", -3.0, family="halide")])
    assert spread["halide"].between_sd == pytest.approx(spread["all"].between_sd)
    assert math.isnan(spread["halide"].raw_sd)
    assert spread["halide"].n_sets == 0


def test_a_family_with_few_repeats_is_drawn_towards_all() -> None:
    pair = [text("a", -4.0, family="halide"), text("b", -4.0, family="halide")]
    spread = replicate_spread([*many(0.5, "nasicon", 60, 3), *pair])
    expected = math.sqrt(PRIOR_DEGREES / (PRIOR_DEGREES + 1)) * spread["all"].raw_sd
    assert spread["halide"].between_sd == pytest.approx(expected)


def test_one_bad_film_does_not_set_the_scatter_of_a_family() -> None:
    good = many(0.3, "nasicon", 60, 4)
    bad = [text("x", -9.0, formula="Na3Hf2Si2PO12"), text("y", -4.0, formula="Na3Hf2Si2PO12")]
    assert replicate_spread([*good, *bad])["all"].raw_sd == pytest.approx(replicate_spread(good)["all"].raw_sd, rel=0.1)


def test_texts_count_with_their_best_sample() -> None:
    rows = [text("a", -4.0), text("a", -7.0), text("b", -4.0)]
    assert replicate_spread(rows)["all"].raw_sd == 0
    ((_, mean, _, n),) = pooled_sample_sets(rows)
    assert (mean, n) == (pytest.approx(-4.0), 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"phase": "glass"}, {"meas_temp_c": 60.0}, {"meas_temp_c": None}, {"value_origin": "upper_bound"},
        {"conductivity_kind": "grain_boundary"}, {"second_phase": "epoxy"}, {"formula": "Na3.1Zr2Si2PO12"},
    ],
    ids="-".join,
)  # fmt: skip
def test_what_is_no_repeat_is_not_taken_for_one(changes: dict[str, object]) -> None:
    assert replicate_sets([text("a", -4.0), text("b", -5.0, **changes)]) == []


def test_without_any_repeat_there_is_no_scatter() -> None:
    assert replicate_spread([text("a", -4.0)]) == {}
    assert pooled_sample_sets([text("a", -4.0)]) == []


def test_room_temperature_nasicon_scatters_by_about_half_a_decade_between_texts() -> None:
    nasicon = replicate_spread(reviewed_table("literature"))["nasicon"]
    assert 0.35 < nasicon.between_sd < 0.6
    assert nasicon.within_sd < nasicon.between_sd
