"""What follows from the founding papers, against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nascreen.errors import IntegrityError
from nascreen.founding import EPOXY_PAPER, THIOBORATE_PAPER, Derived, derived_facts
from nascreen.verdicts import reviewed_table

ROWS = reviewed_table("literature")
FACTS = {fact.quantity: fact for fact in derived_facts(ROWS)}


def fact(start: str) -> Derived:
    (found,) = [f for name, f in FACTS.items() if name.startswith(start)]
    return found


@pytest.mark.parametrize(
    ("start", "value"),
    [
        pytest.param("strength, filled over bare", 35 / 15, id="ratio"),
        pytest.param("thinnest filled disc", 850 * (15 / 35) ** 0.5, id="thickness"),
        pytest.param("rule of mixtures of ceramic and epoxy, upper", 0.9 * 15 + 0.1 * 150, id="voigt"),
        pytest.param("rule of mixtures of ceramic and epoxy, lower", 1 / (0.9 / 15 + 0.1 / 150), id="reuss"),
        pytest.param("area-specific resistance, filled, at the bare", 0.085 / 1.45e-4, id="resistance"),
        pytest.param("conductivity of the ceramic without", 1.45e-4 / 0.9**1.5, id="dense"),
        pytest.param("transference number", 1 - 7.6e-10 / (1.1e-5 + 7.6e-10), id="transference"),
        pytest.param("glass over crystal", 4.4732, id="glass-over-crystal"),
        pytest.param("porosity of the pellet, glass", 5.6, id="porosity"),
    ],
)  # fmt: skip
def test_a_number_follows_as_by_hand(start: str, value: float) -> None:
    exact = [f for name, f in FACTS.items() if name == start] or [fact(start)]
    assert exact[0].value == pytest.approx(value, rel=1e-4)


def test_the_arrhenius_law_of_the_glass_meets_its_value_at_60_degrees() -> None:
    found = fact("conductivity of the glass at 60 °C")
    assert found.measured == 5.8e-5
    assert found.value == pytest.approx(found.measured, rel=0.02)


def test_the_glass_packs_less_densely_than_its_crystal() -> None:
    volumes = {name: f.value for name, f in FACTS.items() if name.startswith("mean atomic volume")}
    assert volumes["mean atomic volume, glass"] > volumes["mean atomic volume, crystal"]


def test_epoxy_strengthens_beyond_the_rule_of_mixtures() -> None:
    upper = fact("rule of mixtures of ceramic and epoxy, upper")
    assert upper.measured is not None
    assert upper.measured > upper.value


def test_both_papers_are_there_whole() -> None:
    rows = {paper: [s for s in ROWS if s.paper_id == paper] for paper in (EPOXY_PAPER, THIOBORATE_PAPER)}
    epoxy = {(s.sinter_temp_c, s.phase, s.value_origin) for s in rows[EPOXY_PAPER]}
    assert {(900, "crystalline", "upper_bound"), (1000, "crystalline", "lower_bound"), (1100, "composite", "measured"),
            (1260, "crystalline", "measured")} <= epoxy  # fmt: skip
    own = [s for s in rows[THIOBORATE_PAPER] if s.value_origin == "measured"]
    assert {(s.phase, s.heat_temp_c, s.meas_temp_c) for s in own} == {
        ("crystalline", 700, 25), ("glass", None, 25), ("glass", None, 60), ("glass_ceramic", 200, 25),
        ("glass_ceramic", 300, 106),
    }  # fmt: skip
    assert all(s.density_g_cm3 is not None for s in own)


@pytest.mark.parametrize("paper", [EPOXY_PAPER, THIOBORATE_PAPER])
def test_a_missing_row_is_said(paper: str) -> None:
    with pytest.raises(IntegrityError, match=f"lacks a row of {paper}"):
        derived_facts([s for s in ROWS if s.paper_id != paper])


def test_a_missing_number_is_said() -> None:
    bare = [replace(s, strength_mpa=None) if s.paper_id == EPOXY_PAPER else s for s in ROWS]
    with pytest.raises(IntegrityError, match="lacks a number"):
        derived_facts(bare)
