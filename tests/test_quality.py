"""What is promised of the quality checks: each finds what it is for, and nothing in good rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nascreen.datasets import TABLE_NAMES, load_table
from nascreen.physics import conductivity_at_sigma_t
from nascreen.quality import CHECKS, Finding, find_all, ratio_of, same_sample, settled_by
from nascreen.records import Sample
from nascreen.verdicts import Verdict, load_verdicts

GOOD = Sample(
    sample_id="lit-1", paper_id="a", group_id="g1", value_origin="measured", doi="10.1/x", formula="Na3Zr2Si2PO12",
    family="nasicon", phase="crystalline", meas_temp_c=25.0, conductivity_s_cm=6.1e-4, ea_ev=0.35,
    rel_density_pct=95.0, porosity_pct=5.0,
)  # fmt: skip
OTHER = replace(GOOD, sample_id="lit-2", paper_id="b", group_id="g2", doi="10.1/y", conductivity_s_cm=5.2e-4)


def found(check: str, *samples: Sample) -> list[Finding]:
    return find_all({"literature": samples}, [check])


def at(sample: Sample, temp_c: float, energy: float) -> Sample:
    sigma = float(conductivity_at_sigma_t(sample.conductivity_s_cm or 0.0, energy, temp_c, 25.0))
    return replace(sample, sample_id=f"lit-{temp_c:g}", meas_temp_c=temp_c, conductivity_s_cm=sigma)


@pytest.mark.parametrize("check", CHECKS)
def test_good_rows_are_not_found(check: str) -> None:
    assert found(check, GOOD, OTHER) == []


def test_the_planted_faults_are_found_each_by_its_check() -> None:
    many = [replace(GOOD, sample_id=f"lit-9{i}", conductivity_s_cm=(5 + i) * 1e-4) for i in range(9)]
    planted = {
        "formula": [replace(GOOD, formula="", label="S1")],
        "charge": [replace(GOOD, formula="Na2Zr2Si2PO12")],
        "source": [replace(GOOD, doi="")],
        "temperature": [replace(GOOD, meas_temp_c=None)],
        "magnitude": [replace(GOOD, conductivity_s_cm=0.61)],
        "slope": [GOOD, at(GOOD, 200.0, 0.55)],
        "line": [at(GOOD, t, 0.35) for t in (25.0, 60.0, 100.0)],
        "conflict": [GOOD, replace(OTHER, conductivity_s_cm=5e-6)],
        "quote": [GOOD, replace(OTHER, conductivity_s_cm=6.1e-4)],
        "repeat": [GOOD, replace(GOOD, sample_id="lit-3")],
        "density": [replace(GOOD, porosity_pct=10.0)],
        "outlier": [*many, replace(GOOD, conductivity_s_cm=1e-9, ea_ev=None)],
        "calculated": [replace(GOOD, value_origin="extrapolated")],
    }
    assert planted.keys() == CHECKS.keys()
    for check, samples in planted.items():
        (one,) = found(check, *samples)
        assert one.check == check
        assert one.table == "literature"
        assert one.text.endswith(".")
        assert set(one.sample_ids) <= {s.sample_id for s in samples}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"conductivity_s_cm": 1e-3}, id="round-number"),
        pytest.param({"conductivity_s_cm": 6.1e-4, "phase": "glass"}, id="other-phase"),
        pytest.param({"conductivity_s_cm": 6.1e-4, "sinter_temp_c": 1000.0}, id="other-firing"),
        pytest.param({"conductivity_s_cm": 6.2e-4}, id="other-value"),
        pytest.param({"conductivity_s_cm": 6.1e-4, "meas_temp_c": 60.0}, id="other-temperature"),
    ],
)
def test_a_value_that_may_be_another_measurement_is_no_quote(changes: dict[str, object]) -> None:
    first = replace(GOOD, sinter_temp_c=1200.0, conductivity_s_cm=changes.get("conductivity_s_cm", 6.1e-4))
    if changes["conductivity_s_cm"] == 6.2e-4:
        first = replace(first, conductivity_s_cm=6.1e-4)
    second = replace(OTHER, **changes)
    assert found("quote", first, second) == []


def test_a_round_number_is_a_quote_where_one_text_says_that_it_cites() -> None:
    cited = replace(OTHER, value_origin="cited", conductivity_s_cm=1e-3)
    (one,) = found("quote", replace(GOOD, conductivity_s_cm=1e-3), cited)
    assert one.sample_ids == ("lit-1", "lit-2")


def test_quotes_join_through_a_third_text() -> None:
    chain = [GOOD, replace(OTHER, conductivity_s_cm=6.15e-4),
             replace(OTHER, sample_id="lit-3", paper_id="c", conductivity_s_cm=6.2e-4)]  # fmt: skip
    (one,) = found("quote", *chain)
    assert one.sample_ids == ("lit-1", "lit-2", "lit-3")


def test_a_bound_takes_part_in_no_conflict() -> None:
    assert found("conflict", GOOD, replace(OTHER, conductivity_s_cm=1e-7, value_origin="upper_bound")) == []


def test_samples_of_one_text_that_were_made_differently_stay_apart() -> None:
    hot = replace(GOOD, sample_id="lit-3", sinter_temp_c=1100.0)
    assert [len(rows) for rows in same_sample([GOOD, hot, at(GOOD, 60.0, 0.35)])] == [2, 1]


def test_one_composition_written_in_two_ways_is_one() -> None:
    assert ratio_of("Na3Zr2(SiO4)2(PO4)") == ratio_of("Na6Zr4Si4P2O24")
    assert ratio_of("Na3.1Zr2Si2PO12") != ratio_of("Na3Zr2Si2PO12")


def test_a_decision_on_the_finding_goes_before_one_on_all() -> None:
    (one,) = found("charge", replace(GOOD, formula="Na2Zr2Si2PO12"))
    for_all = Verdict("literature", "*", "", "charge", "kept", "", "", "all")
    for_it = replace(for_all, subject="Na2Zr2Si2PO12", reason="this")
    elsewhere = replace(for_all, table="lithium")
    assert settled_by(one, [for_all, for_it]) == for_it
    assert settled_by(one, [for_all]) == for_all
    assert settled_by(one, [elsewhere, replace(for_all, check="slope")]) is None


def test_of_several_rows_the_one_that_was_changed_speaks() -> None:
    (one,) = found("quote", GOOD, replace(OTHER, conductivity_s_cm=6.1e-4))
    kept = Verdict("literature", "lit-1", "ab", "quote", "kept", "", "", "first-hand")
    out = replace(kept, subject="lit-2", verdict="excluded", reason="quotes it")
    assert settled_by(one, [kept, out]) == out


def test_every_finding_in_the_shipped_tables_is_decided() -> None:
    findings = find_all({name: load_table(name) for name in TABLE_NAMES})
    assert len(findings) > 1000
    assert [f.text for f in findings if settled_by(f, load_verdicts()) is None] == []


def test_every_decision_on_a_finding_still_has_one() -> None:
    findings = find_all({name: load_table(name) for name in TABLE_NAMES})
    subjects = {(f.table, f.check, subject) for f in findings for subject in (f.key, "*", *f.sample_ids)}
    stale = [v for v in load_verdicts() if v.check in CHECKS and (v.table, v.check, v.subject) not in subjects]
    assert stale == []


def test_every_formula_is_balanced_or_says_why_not() -> None:
    unbalanced = find_all({name: load_table(name) for name in TABLE_NAMES}, ["charge"])
    assert unbalanced
    assert all((settled_by(f, load_verdicts()) or "") and settled_by(f, load_verdicts()).reason for f in unbalanced)  # type: ignore[union-attr]
