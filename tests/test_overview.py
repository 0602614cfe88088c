"""What is promised of the counts of the tables."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from nascreen.cli import app
from nascreen.datasets import TABLE_NAMES, load_table, table_record
from nascreen.errors import InputError
from nascreen.overview import (
    AXES,
    PROPERTIES,
    chart_data,
    conductivity_against,
    counts_by_decade,
    counts_by_family,
    coverage,
    ea_against_conductivity,
    record_timeline,
    summary,
)
from nascreen.records import Sample
from nascreen.verdicts import reviewed_table

A = Sample(sample_id="a", paper_id="p", group_id="g", family="nasicon", formula="Na3Zr2Si2PO12", phase="crystalline",
           value_origin="measured", year=1998, meas_temp_c=25.0, conductivity_s_cm=1e-4,
           sinter_temp_c=1200.0)  # fmt: skip
B = replace(A, sample_id="b", paper_id="q", year=2004, conductivity_s_cm=1e-3, sinter_temp_c=None, ea_ev=0.3)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_families_decades_and_origins_each_add_up_to_the_table(name: str) -> None:
    counts = summary(load_table(name))
    for key in ("decades", "value_origin", "phase"):
        assert sum(counts[key].values()) == counts["rows"]
    families = counts["families"].values()
    assert sum(f["rows"] for f in families) == counts["rows"]
    assert all(sum(f[p] for f in families) == counts["properties"][p] for p in PROPERTIES)


def test_coverage_is_the_share_of_the_rows_that_have_the_property() -> None:
    shares = coverage([A, B])
    assert shares["conductivity_s_cm"]["sinter_temp_c"] == 0.5
    assert shares["ea_ev"]["sinter_temp_c"] == 0.0
    assert shares["ea_ev"]["phase"] == 1.0
    assert "strength_mpa" not in shares


def test_a_year_that_is_not_known_is_counted_as_such() -> None:
    assert counts_by_decade([A, B, replace(A, year=None)]) == {"1990s": 1, "2000s": 1, "year not known": 1}


def test_the_year_of_a_survey_is_not_that_of_its_references() -> None:
    assert counts_by_decade([A, replace(B, paper_id="10.1/x#ref4")]) == {"1990s": 1, "year not known": 1}


def test_the_largest_family_comes_first() -> None:
    assert list(counts_by_family([A, replace(A, family="halide"), B])) == ["nasicon", "halide"]


def test_the_record_only_rises() -> None:
    steps = record_timeline([*load_table("literature")])
    values = [step.sample.conductivity_s_cm or 0 for step in steps]
    assert len(steps) > 2
    assert values == sorted(set(values))
    assert [s.year for s in steps] == sorted(s.year for s in steps)


@pytest.mark.parametrize(
    "changes",
    [{"value_origin": "cited"}, {"value_origin": "extrapolated"}, {"meas_temp_c": 60.0}, {"meas_temp_c": None},
     {"year": None}, {"paper_id": "10.1/x#ref4"}, {"conductivity_kind": "grain_boundary"}, {"phase": "glass"},
     {"phase": "composite"}, {"formula": "Li7La3Zr2O12"}, {"value_origin": "lower_bound"}],
    ids=lambda changes: "-".join(map(str, *changes.items())),
)  # fmt: skip
def test_only_a_sodium_crystal_measured_at_room_temperature_sets_a_record(changes: dict[str, object]) -> None:
    better = replace(replace(B, sample_id="c", year=2001, conductivity_s_cm=0.5), **changes)
    assert [s.sample.sample_id for s in record_timeline([A, B, better])] == ["a", "b"]


def test_of_one_year_only_the_best_is_a_step() -> None:
    worse = replace(B, sample_id="aa", conductivity_s_cm=5e-4)
    assert [s.sample.sample_id for s in record_timeline([worse, A, B])] == ["a", "b"]


GLASS = replace(A, sample_id="g", formula="Na3BS3", phase="glass", sinter_temp_c=None)


@pytest.mark.parametrize(
    ("name", "sample", "at"),
    [
        ("sinter", A, 1200.0),
        ("sinter", B, None),
        ("sodium", A, 15.0),
        ("na2s", GLASS, 0.75),
        ("na2s", replace(GLASS, phase="crystalline"), None),
        ("na2s", replace(GLASS, formula="Na2Si2O5"), None),
        ("na2s", replace(GLASS, formula="Na2SiO2S"), None),
        ("density", replace(A, porosity_pct=12.0), 88.0),
        ("density", replace(A, porosity_pct=12.0, rel_density_pct=90.0), 90.0),
        ("density", A, None),
    ],
)  # fmt: skip
def test_a_sample_stands_where_it_states(name: str, sample: Sample, at: float | None) -> None:
    found = [(p.x, p.y) for p in conductivity_against(name, [sample])]
    assert found == ([] if at is None else [(pytest.approx(at), sample.conductivity_s_cm)])


def test_energy_stands_over_the_conductivity_of_the_same_sample() -> None:
    (point,) = ea_against_conductivity([A, B])
    assert (point.x, point.y, point.sample) == (1e-3, 0.3, B)


def test_the_numbers_of_the_figures_are_json_with_sample_and_citation() -> None:
    data = json.loads(json.dumps(chart_data(reviewed_table("literature")), allow_nan=False))
    assert {f"conductivity_against_{name}" for name in AXES} < data.keys()
    founding = {row["founding"] for row in data["conductivity_against_density"]}
    assert founding == {"", "Na3BS3", "epoxy-filled NASICON"}
    for name in ("ea_against_conductivity", "conductivity_against_sodium", "conductivity_over_years"):
        assert all(row["sample_id"] and row["citation"] and row["y"] > 0 for row in data[name])
        assert len({row["sample_id"] for row in data[name]}) == len(data[name]) > 50


def test_the_command_prints_json_that_adds_up() -> None:
    done = CliRunner().invoke(app, ["data", "stats", "--json"])
    found = json.loads(done.stdout)["literature"]
    assert found["rows"] == len(load_table("literature"))
    assert (found["licence"], found["sha256"]) == tuple(table_record("literature")[k] for k in ("licence", "sha256"))


def test_an_unknown_table_is_named() -> None:
    done = CliRunner().invoke(app, ["data", "stats", "--table", "potassium"])
    assert isinstance(done.exception, InputError)
    assert "'potassium'" in str(done.exception)
