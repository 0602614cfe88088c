"""What is promised of the counts of the tables."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from nascreen.cli import app
from nascreen.datasets import TABLE_NAMES, load_table
from nascreen.errors import InputError
from nascreen.overview import PROPERTIES, counts_by_decade, counts_by_family, coverage, record_timeline, summary
from nascreen.records import Sample

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
    assert "strength_mpa" not in shares


def test_a_year_that_is_not_known_is_counted_as_such() -> None:
    assert counts_by_decade([A, B, replace(A, year=None)]) == {"1990s": 1, "2000s": 1, "year not known": 1}


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
     {"year": None}, {"paper_id": "10.1/x#ref4"}, {"conductivity_kind": "grain_boundary"}],
    ids="-".join,
)  # fmt: skip
def test_what_was_not_measured_at_room_temperature_sets_no_record(changes: dict[str, object]) -> None:
    better = replace(replace(B, sample_id="c", year=2001, conductivity_s_cm=0.5), **changes)
    assert [s.sample.sample_id for s in record_timeline([A, B, better])] == ["a", "b"]


def test_the_command_prints_json_that_adds_up() -> None:
    done = CliRunner().invoke(app, ["data", "stats", "--json"])
    assert json.loads(done.stdout)["literature"]["rows"] == len(load_table("literature"))


def test_an_unknown_table_is_named() -> None:
    done = CliRunner().invoke(app, ["data", "stats", "--table", "potassium"])
    assert isinstance(done.exception, InputError)
    assert "'potassium'" in str(done.exception)
