"""Promises of the candidate spaces."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest

from nascreen.chemistry import charge_balance, family_of, modifier_fraction, parse_formula
from nascreen.datasets import data_folder
from nascreen.elements import load_elements
from nascreen.errors import InputError, NascreenError, RangeError
from nascreen.records import CONDUCTIVITY_KINDS, Sample, check_sample
from nascreen.spaces import (
    CODOPANT_AMOUNTS,
    DOPANTS,
    LEAST_POROSITY_TO_FILL_PCT,
    SOLUBILITY,
    SPACES,
    ZIRCONIUM_RADIUS,
    Dopant,
    Firing,
    check_candidate,
    count,
    generate,
    nasicon_amounts,
    nasicon_candidates,
    readable_amounts,
    thioborate_candidates,
)

# Written out again, so that a slip in the package's own table cannot hide.
CHARGES = {
    "Na": 1, "Mg": 2, "Zn": 2, "Ca": 2, "Sc": 3, "Y": 3, "In": 3, "Al": 3, "Ga": 3, "La": 3, "Nd": 3, "Gd": 3, "Dy": 3,
    "Yb": 3, "Lu": 3, "B": 3, "Zr": 4, "Hf": 4, "Ti": 4, "Sn": 4, "Ge": 4, "Si": 4, "P": 5, "Nb": 5, "Ta": 5, "O": -2,
    "S": -2,
}  # fmt: skip
PIECE = re.compile(r"([A-Z][a-z]?)([0-9.]*)")
MEASURED = (
    "conductivity_s_cm", "ea_ev", "strength_mpa", "hardness_gpa", "youngs_modulus_gpa", "fracture_toughness_mpa_m05",
    "meas_temp_c", "tg_c", "density_g_cm3", "rel_density_pct", "year",
)  # fmt: skip

every_space = pytest.mark.parametrize("name", SPACES)


def amounts_of(formula: str) -> dict[str, Fraction]:
    pieces = PIECE.findall(formula)
    assert "".join(symbol + number for symbol, number in pieces) == formula
    return {symbol: Fraction(number or "1") for symbol, number in pieces}


def processing_of(sample: Sample) -> Sample:
    return replace(sample, formula="", label="", family="")


@every_space
def test_every_candidate_is_balanced_by_an_independent_sum(name: str) -> None:
    for formula in {sample.formula for sample in generate(name)}:
        assert sum(n * CHARGES[symbol] for symbol, n in amounts_of(formula).items()) == 0, formula


@every_space
def test_every_candidate_is_balanced_exactly_by_the_package_too(name: str) -> None:
    for formula in {sample.formula for sample in generate(name)}:
        verdict = charge_balance(parse_formula(formula))
        assert (verdict.is_balanced, verdict.charge, verdict.note) == (True, 0.0, ""), formula


@every_space
def test_no_candidate_stands_twice(name: str) -> None:
    def canonical(sample: Sample) -> tuple[object, ...]:
        amounts = amounts_of(sample.formula)
        total = sum(amounts.values())
        return (frozenset((s, round(float(n / total), 6)) for s, n in amounts.items()), processing_of(sample))

    keys = Counter(canonical(sample) for sample in generate(name))
    assert max(keys.values()) == 1


@every_space
def test_a_candidate_is_a_sample_without_measured_values_and_within_bounds(name: str) -> None:
    for sample in generate(name):
        assert [getattr(sample, field) for field in MEASURED] == [None] * len(MEASURED)
        assert sample.conductivity_kind not in CONDUCTIVITY_KINDS
        assert sample.label
        assert len(sample.label) <= 60
        check_sample(sample)


@every_space
def test_every_candidate_is_of_the_family_of_its_space(name: str) -> None:
    samples = generate(name)
    assert {sample.family for sample in samples} == {SPACES[name].family}
    for sample in samples[::7]:
        assert family_of(parse_formula(sample.formula), sample.phase) == SPACES[name].family


@pytest.mark.parametrize(
    ("name", "least", "most"), [("nasicon", 5000, 20_000), ("thioborate", 500, 1000)], ids=["nasicon", "thioborate"]
)
def test_the_spaces_stay_within_their_size(name: str, least: int, most: int) -> None:
    assert least <= count(name) <= most
    assert count(name) == len(generate(name))


@every_space
def test_a_choice_is_the_same_for_the_same_seed_and_differs_for_another(name: str) -> None:
    assert generate(name, 50, seed=3) == generate(name, 50, seed=3)
    assert generate(name, 50, seed=3) != generate(name, 50, seed=4)
    assert generate(name) == generate(name, seed=9)


@every_space
def test_a_choice_takes_none_twice_and_begins_with_the_smaller_choice(name: str) -> None:
    chosen = generate(name, 300, seed=1)
    assert len(set(chosen)) == 300
    assert set(chosen) <= set(generate(name))
    assert generate(name, 20, seed=1) == chosen[:20]


@every_space
def test_all_may_be_chosen_at_random(name: str) -> None:
    assert set(generate(name, count(name))) == set(generate(name))


def test_changing_a_returned_list_changes_nothing() -> None:
    generate("thioborate").clear()
    assert len(generate("thioborate")) == count("thioborate")


def test_the_epoxy_filled_founding_sample_is_in_the_nasicon_space() -> None:
    found = [
        sample
        for sample in generate("nasicon")
        if (sample.formula, sample.sinter_temp_c, sample.sinter_time_h) == ("Na3Zr2Si2PO12", 1100.0, 10.0)
    ]
    assert len(found) == 1
    assert (found[0].phase, found[0].porosity_pct) == ("composite", 10.0)
    assert (found[0].second_phase, found[0].second_phase_role) == ("epoxy", "pore_filler")
    assert (found[0].heat_temp_c, found[0].heat_time_h) == (150.0, 24.0)
    assert found[0].label == "Zr, Si 2.0"


def test_the_founding_glass_and_its_glass_ceramics_are_in_the_thioborate_space() -> None:
    found = {
        (sample.phase, sample.heat_temp_c): sample for sample in generate("thioborate") if sample.formula == "Na3BS3"
    }
    assert set(found) == {("glass", None)} | {("glass_ceramic", t) for t in (200.0, 250.0, 300.0)}
    glass = found["glass", None]
    assert (glass.synthesis, glass.press_mpa, glass.heat_time_h) == ("ball_mill", 360.0, None)
    assert glass.label == "75 Na2S - 25 B2S3 (mol%)"
    assert glass.modifier_mol_pct == 75.0
    assert found["glass_ceramic", 200.0].heat_time_h == 1.0


@pytest.mark.parametrize(
    "formula",
    ["Na3.4Zr2Si2.4P0.6O12", "Na3.1Zr1.9Sc0.1Si2PO12", "Na3.4Zr1.8Mg0.2Si2PO12", "NaZr2P3O12", "Na4Zr2Si3O12"],
)
def test_well_known_nasicons_are_in_the_space(formula: str) -> None:
    assert formula in {sample.formula for sample in generate("nasicon")}


def test_sintering_leaves_the_porosity_that_was_reported() -> None:
    for sample in generate("nasicon"):
        assert sample.sinter_temp_c is not None
        if sample.sinter_temp_c <= 1000:
            assert sample.porosity_pct is not None
            assert sample.porosity_pct >= 20
        if sample.sinter_temp_c == 1100:
            assert sample.porosity_pct == 10
        if sample.sinter_temp_c >= 1200:
            assert sample.porosity_pct is None


def test_only_open_pores_are_filled_and_only_dense_bodies_are_bare() -> None:
    for sample in generate("nasicon"):
        if sample.second_phase:
            assert (sample.phase, sample.second_phase, sample.second_phase_role) == (
                "composite",
                "epoxy",
                "pore_filler",
            )
            assert sample.porosity_pct is not None
            assert sample.porosity_pct >= LEAST_POROSITY_TO_FILL_PCT
        else:
            assert (sample.phase, sample.porosity_pct, sample.heat_temp_c) == ("crystalline", None, None)


def test_a_nasicon_fills_its_sites_and_keeps_its_sodium_in_range() -> None:
    for formula in {sample.formula for sample in generate("nasicon")}:
        amounts = amounts_of(formula)
        metals = sum(n for symbol, n in amounts.items() if symbol not in {"Na", "Si", "P", "O"})
        tetrahedral = amounts.get("Si", Fraction(0)) + amounts.get("P", Fraction(0))
        assert [metals, tetrahedral, amounts["O"]] == [2, 3, 12], formula
        assert Fraction(1, 2) <= amounts["Na"] <= 4, formula


def test_a_dopant_replaces_no_more_zirconium_than_its_radius_allows() -> None:
    radius = {dopant.symbol: dopant.radius for dopant in DOPANTS}
    for formula in {sample.formula for sample in generate("nasicon")}:
        for symbol, amount in amounts_of(formula).items():
            if symbol in radius:
                mismatch = abs(radius[symbol] / ZIRCONIUM_RADIUS - 1)
                assert amount <= (Fraction(1, 2) if mismatch < 0.17 else Fraction(1, 5) if mismatch < 0.31 else 0.05)


def test_every_dopant_is_used() -> None:
    used = set().union(*(amounts_of(sample.formula) for sample in generate("nasicon")))
    assert {dopant.symbol for dopant in DOPANTS} <= used
    assert all(dopant.mismatch <= SOLUBILITY[-1].highest_mismatch for dopant in DOPANTS)
    assert max(CODOPANT_AMOUNTS) < 1


@pytest.mark.parametrize("dopant", DOPANTS, ids=lambda dopant: dopant.symbol)
def test_radii_are_those_of_the_table_of_elements(dopant: Dopant) -> None:
    table = load_elements(data_folder())
    assert table.shannon_radius(dopant.symbol, dopant.charge) == pytest.approx(dopant.radius)
    assert table.shannon_radius("Zr", 4) == ZIRCONIUM_RADIUS


def test_a_glass_is_never_heated_and_a_glass_ceramic_always() -> None:
    for sample in generate("thioborate"):
        heat = (sample.heat_temp_c, sample.heat_time_h)
        assert heat == (None, None) if sample.phase == "glass" else None not in heat
        assert sample.phase in {"glass", "glass_ceramic"}


def test_the_label_of_a_glass_gives_its_batch() -> None:
    for sample in generate("thioborate"):
        pairs = (part.split(" ") for part in sample.label.removesuffix(" (mol%)").split(" - "))
        parts = {unit: float(percent) for percent, unit in pairs}
        assert sum(parts.values()) == pytest.approx(100, abs=0.02)
        fraction = modifier_fraction(parse_formula(sample.formula))
        assert fraction is not None
        assert sample.modifier_mol_pct is not None
        assert sample.modifier_mol_pct == pytest.approx(parts["Na2S"], abs=0.005)
        if not {"SiS2", "GeS2"} & set(parts):
            assert 100 * fraction == pytest.approx(sample.modifier_mol_pct)


def test_at_most_thirty_percent_of_the_boron_sulfide_is_replaced() -> None:
    for formula in {sample.formula for sample in generate("thioborate")}:
        amounts = amounts_of(formula)
        others = amounts.get("P", Fraction(0)) / 2 + amounts.get("Si", Fraction(0)) + amounts.get("Ge", Fraction(0))
        assert others / (others + amounts["B"] / 2) <= Fraction(3, 10), formula


def test_formulas_are_printed_with_at_most_four_decimals_and_no_rounding() -> None:
    amounts = readable_amounts({"Na": Fraction(2, 30), "B": Fraction(29, 15), "S": Fraction(44, 15)}, ["B"])
    assert amounts == {"Na": Fraction(1, 5), "B": Fraction(29, 5), "S": Fraction(44, 5)}


def test_amounts_follow_the_formula_of_the_solid_solution() -> None:
    amounts = nasicon_amounts(
        Fraction(2), {Dopant("Mg", 2, 0.72): Fraction(1, 5), Dopant("Nb", 5, 0.64): Fraction(1, 10)}
    )
    assert amounts == {
        "Na": Fraction(33, 10), "Zr": Fraction(17, 10), "Mg": Fraction(1, 5), "Nb": Fraction(1, 10), "Si": 2, "P": 1,
        "O": 12,
    }  # fmt: skip
    assert "Si" not in nasicon_amounts(Fraction(0), {})


def test_a_narrower_space_can_be_generated() -> None:
    samples = list(nasicon_candidates(dopants=[], firings=[Firing(1260.0, None)], sinter_times_h=[10.0]))
    assert len(samples) == 16
    assert {sample.label.split(",")[0] for sample in samples} == {"Zr"}
    assert {sample.heat_temp_c for sample in thioborate_candidates(heat_temps_c=[220.0])} == {None, 220.0}


FILLED = Sample(
    formula="Na3Zr2Si2PO12", phase="composite", sinter_temp_c=1100.0, porosity_pct=10.0, second_phase="epoxy",
    second_phase_role="pore_filler",
)  # fmt: skip
BARE = Sample(formula="Na3Zr2Si2PO12", phase="crystalline", sinter_temp_c=1260.0)
GLASS = Sample(formula="Na3BS3", phase="glass")


@pytest.mark.parametrize(
    ("name", "sample"), [("nasicon", FILLED), ("nasicon", BARE), ("thioborate", GLASS)], ids=["filled", "bare", "glass"]
)
def test_a_candidate_that_keeps_the_rules_passes(name: str, sample: Sample) -> None:
    check_candidate(SPACES[name], sample)


@pytest.mark.parametrize(
    ("name", "sample", "rule"),
    [
        ("nasicon", replace(BARE, formula="Na3.1Zr2Si2PO12"), "charge balanced exactly"),
        ("nasicon", replace(BARE, formula="Na0.4Zr1.4Nb0.6P3O12"), "0.5 to 4 sodium"),
        ("nasicon", replace(FILLED, sinter_temp_c=1000.0), "what the sintering temperature leaves"),
        ("nasicon", replace(FILLED, sinter_temp_c=None), "what the sintering temperature leaves"),
        ("nasicon", replace(FILLED, sinter_temp_c=1260.0, porosity_pct=None), "at least 5 % of open pores"),
        ("nasicon", replace(FILLED, phase="crystalline"), "makes a composite"),
        ("nasicon", replace(BARE, sinter_temp_c=1100.0, porosity_pct=10.0), "sintered dense"),
        ("nasicon", replace(BARE, formula="Na3PS4"), "family is nasicon"),
        ("thioborate", replace(GLASS, heat_temp_c=200.0), "below its crystallisation temperature"),
        ("thioborate", replace(GLASS, phase="glass_ceramic"), "below its crystallisation temperature"),
        ("thioborate", replace(GLASS, formula="Na2BS3"), "charge balanced exactly"),
    ],
    ids=[
        "charge",
        "sodium",
        "porosity",
        "no_firing",
        "filler",
        "phase",
        "bare",
        "family",
        "glass",
        "ceramic",
        "sulfur",
    ],
)
def test_a_candidate_that_breaks_a_rule_is_refused_by_name(name: str, sample: Sample, rule: str) -> None:
    with pytest.raises(NascreenError, match=rf"space {name} breaks a rule .*{re.escape(rule)}.* Correct the generator"):
        check_candidate(SPACES[name], sample)


def test_a_generator_that_breaks_a_rule_is_stopped() -> None:
    broken = nasicon_candidates(dopants=[], firings=[Firing(1100.0, None)], sinter_times_h=[10.0])
    with pytest.raises(NascreenError, match="what the sintering temperature leaves"):
        check_candidate(SPACES["nasicon"], next(broken))


@pytest.mark.parametrize("name", ["nasicons", "", "NASICON", None, 3, "x" * 500], ids=lambda v: str(v)[:10] or "empty")
def test_an_unknown_space_is_refused_with_the_allowed_names(name: str) -> None:
    for act in (count, generate):
        with pytest.raises(InputError, match=r"There is no candidate space '.*'; allowed are nasicon, thioborate\."):
            act(name)


@pytest.mark.parametrize(
    "n", [0, -1, 681, 2.0, True, "5"], ids=["zero", "negative", "too_many", "float", "bool", "text"]
)
def test_a_number_that_the_space_cannot_give_is_refused(n: int) -> None:
    with pytest.raises(RangeError, match=r"cannot give '.*' candidates; allowed is a whole number from 1 to 680"):
        generate("thioborate", n)


@pytest.mark.parametrize("seed", [-1, 0.5, True, None], ids=["negative", "float", "bool", "none"])
def test_a_seed_that_is_no_whole_number_is_refused(seed: int) -> None:
    with pytest.raises(RangeError, match=r"The seed is '.*'; allowed is a whole number from 0"):
        generate("thioborate", 5, seed=seed)


def test_names_in_the_table_of_spaces_agree() -> None:
    assert all(space.name == name and space.title and space.rules for name, space in SPACES.items())
