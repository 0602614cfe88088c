"""Promises of the shipped tables: complete, cited, verified, and split by group."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nascreen.datasets as datasets_module
from nascreen.chemistry import parse_formula
from nascreen.datasets import (
    TABLE_NAMES,
    data_folder,
    data_hash,
    distinct_formulas,
    grouped_folds,
    load_table,
    model_folder,
    sodium_conductivity_rows,
    sodium_ea_rows,
    strength_rows,
    table_record,
    verify_file,
)
from nascreen.errors import IntegrityError, RangeError, TableError
from nascreen.records import COLUMN_BY_NAME, COLUMNS, Sample, cells_from_sample, check_sample

REPOSITORY = Path(__file__).resolve().parents[1]
DATASETS = REPOSITORY / "datasets"
ROWS = {"literature": 958, "glasses": 8958, "lithium": 1907}


@pytest.fixture
def literature() -> tuple[Sample, ...]:
    return load_table("literature")


@pytest.fixture
def epoxy_paper(literature: tuple[Sample, ...]) -> list[Sample]:
    return [sample for sample in literature if sample.paper_id == "epoxy-nasicon-2020"]


@pytest.fixture
def thioborate_paper(literature: tuple[Sample, ...]) -> list[Sample]:
    return [sample for sample in literature if sample.paper_id == "10.1039/d0ma00777c"]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("import_tables", DATASETS / "import_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _copied(name: str, folder: Path) -> Path:
    for ending in ("csv", "json"):
        shutil.copy(DATASETS / f"{name}.{ending}", folder)
    return folder


def _rewritten(folder: Path, name: str, data: bytes) -> None:
    (folder / f"{name}.csv").write_bytes(data)
    record = table_record(name) | {"sha256": hashlib.sha256(data).hexdigest()}
    (folder / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_table_has_the_rows_that_its_record_promises(name: str) -> None:
    assert len(load_table(name)) == table_record(name)["rows"] == ROWS[name]


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_table_is_written_back_byte_for_byte(name: str) -> None:
    out = io.StringIO(newline="")
    columns = [column["name"] for column in table_record(name)["columns"]]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells_from_sample(sample, columns) for sample in load_table(name))
    assert out.getvalue().encode() == (DATASETS / f"{name}.csv").read_bytes()


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_sample_is_sound_and_has_an_identifier_of_its_own(name: str) -> None:
    samples = load_table(name)
    for sample in samples:
        check_sample(sample)
    assert len({sample.sample_id for sample in samples}) == len(samples)
    assert all(sample.sample_id and sample.paper_id and sample.group_id for sample in samples)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_formula_can_be_read(name: str) -> None:
    formulas = distinct_formulas(load_table(name))
    ion = "Li" if name == "lithium" else "Na"
    amounts = [parse_formula(formula).amounts for formula in formulas]
    assert sum(ion in found for found in amounts) > 0.8 * len(formulas)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_record_describes_columns_sources_and_licence(name: str) -> None:
    record = table_record(name)
    assert record["name"] == name
    assert record["file"] == f"{name}.csv"
    assert record["licence"]
    assert record["title"]
    assert record["notes"]
    assert all(source["citation"] and "doi" in source for source in record["sources"])
    for column in record["columns"]:
        assert column["unit"] == COLUMN_BY_NAME[column["name"]].unit
        assert column["description"]


def test_the_literature_has_the_columns_of_the_schema_in_order() -> None:
    assert [column["name"] for column in table_record("literature")["columns"]] == [column.name for column in COLUMNS]


def test_the_glasses_say_that_their_activation_energy_is_a_fit() -> None:
    described = {column["name"]: column["description"] for column in table_record("glasses")["columns"]}
    assert "fitted to the standard temperatures" in described["ea_ev"]


def test_the_glasses_keep_their_licence_beside_them() -> None:
    notice = (DATASETS / "LICENSE-glasses.txt").read_text(encoding="utf-8")
    for part in ("© EPAM Systems", "SciGlass", "http://opendatacommons.org/licenses/odbl/1.0/", "Share alike"):
        assert part in notice
    assert "Open Database License 1.0" in table_record("glasses")["licence"]
    assert "CC-BY-4.0" in table_record("lithium")["licence"]


def test_the_glasses_are_sodium_glasses() -> None:
    samples = load_table("glasses")
    assert {sample.phase for sample in samples} == {"glass"}
    assert {sample.meas_temp_c for sample in samples} == {20.0, 100.0, 150.0, 300.0}
    assert all("Na" in sample.formula for sample in samples)
    assert Counter(sample.quality for sample in samples) == {"ok": 6308, "suspect": 2650}


def test_the_lithium_table_says_which_values_are_bounds_and_whose_they_are() -> None:
    samples = load_table("lithium")
    assert Counter(sample.value_origin for sample in samples) == {"measured": 1856, "upper_bound": 51}
    assert Counter(s.collection for s in samples) == {"OBELiX": 588, "Liverpool ionics": 649, "Laskowski": 670}


def test_a_lithium_doi_stands_in_one_group() -> None:
    groups: dict[str, set[str]] = {}
    for sample in load_table("lithium"):
        for doi in filter(None, sample.doi.split(" | ")):
            groups.setdefault(doi, set()).add(sample.group_id)
    assert {doi for doi, found in groups.items() if len(found) > 1} == set()


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_no_table_names_a_place_that_only_its_collector_knows(name: str) -> None:
    text = "".join((DATASETS / f"{name}.{ending}").read_text(encoding="utf-8") for ending in ("csv", "json"))
    assert re.findall(r"\[t(?:ext|itle)\b|\.pdf\b|[0-9_]\.txt\b|\w/[\w-]+:\w+/", text, re.IGNORECASE) == []


def test_every_doi_of_the_literature_is_lower_case_and_its_paper_id(literature: tuple[Sample, ...]) -> None:
    for sample in literature:
        assert re.fullmatch(r"10\.[0-9]{4,}/[^\sA-Z]+|", sample.doi)
        assert not sample.doi or sample.paper_id.partition("#")[0] == sample.doi
        assert not (sample.doi and sample.source_url)


def test_the_literature_holds_as_many_texts_and_groups_as_were_collected(literature: tuple[Sample, ...]) -> None:
    assert len({sample.paper_id for sample in literature}) == 284
    assert len({sample.group_id for sample in literature}) == 222
    assert Counter(sample.value_origin for sample in literature) == {
        "measured": 723, "cited": 126, "extrapolated": 106, "lower_bound": 2, "upper_bound": 1,
    }  # fmt: skip


def test_the_epoxy_paper_is_complete(epoxy_paper: list[Sample]) -> None:
    assert [(s.sinter_temp_c, s.value_origin, s.conductivity_s_cm, s.strength_mpa) for s in epoxy_paper] == [
        (900, "upper_bound", 1e-7, None),
        (1000, "lower_bound", 1e-4, None),
        (1100, "measured", 1.45e-4, 35),
        (1260, "measured", None, 15),
        (None, "measured", None, 150),
    ]
    assert [sample.porosity_pct for sample in epoxy_paper] == [20, None, 10, None, None]
    assert epoxy_paper[2].second_phase == "epoxy"


def test_the_unnamed_copy_of_the_epoxy_paper_is_in_its_group(
    literature: tuple[Sample, ...], epoxy_paper: list[Sample]
) -> None:
    copies = {s.group_id for s in literature if (s.conductivity_s_cm, s.strength_mpa) == (1.45e-4, 35)}
    assert copies == {sample.group_id for sample in epoxy_paper}
    assert sum((s.conductivity_s_cm, s.strength_mpa) == (1.45e-4, 35) for s in literature) == 2


def test_the_thioborate_paper_is_complete(thioborate_paper: list[Sample]) -> None:
    room = [s for s in thioborate_paper if s.meas_temp_c == 25]
    by_phase = {(s.phase, s.conductivity_s_cm, s.ea_ev) for s in room}
    assert ("crystalline", 3.7e-10, 0.8188) in by_phase
    # 39 kJ/mol over the Faraday constant.
    assert ("glass", 1.1e-5, 0.4042) in by_phase
    assert round(39e3 / 96485.33212, 4) == 0.4042
    own = [s for s in thioborate_paper if s.value_origin == "measured"]
    assert {s.formula for s in own} == {"Na3BS3"}
    assert [(s.heat_temp_c, s.meas_temp_c, s.conductivity_s_cm) for s in own if s.phase == "glass_ceramic"] == [
        (200, 25, 1.2e-8),
        (300, 106, 8e-8),
    ]
    assert {s.formula for s in thioborate_paper if s.value_origin == "cited"} == {
        "Na3PS4", "Na2.88Sb0.88W0.12S4", "Na3BO3",
    }  # fmt: skip


def test_the_rows_that_teach_are_counted(literature: tuple[Sample, ...]) -> None:
    assert len(sodium_conductivity_rows(literature)) == 681
    assert len(sodium_ea_rows(literature)) == 365
    assert len(strength_rows(literature)) == 46


def test_censored_grain_boundary_and_timeless_rows_do_not_teach_conductivity() -> None:
    good: dict[str, Any] = {
        "formula": "Na3PS4",
        "conductivity_s_cm": 1e-4,
        "meas_temp_c": 25.0,
        "value_origin": "measured",
    }
    changes: list[dict[str, Any]] = [
        {"value_origin": "upper_bound"}, {"value_origin": "lower_bound"}, {"conductivity_kind": "grain_boundary"},
        {"meas_temp_c": None}, {"conductivity_s_cm": None}, {"formula": ""}, {"formula": "Li3PS4"}, {"formula": "NbN"},
    ]  # fmt: skip
    samples = [Sample(**(good | change)) for change in ({}, *changes)]
    assert sodium_conductivity_rows(samples) == samples[:1]


def test_neat_polymers_do_not_teach_strength(literature: tuple[Sample, ...]) -> None:
    left_out = {s.label for s in literature if s.strength_mpa is not None} - {
        s.label for s in strength_rows(literature)
    }
    assert sum(s.strength_mpa is not None for s in literature) == 48
    assert all("epoxy (" in label or "polymer electrolyte" in label for label in left_out)
    assert len(left_out) == 2


def test_distinct_formulas_come_in_order_of_appearance() -> None:
    samples = [Sample(formula=text) for text in ("Na3PS4", "", "Na3BS3", "Na3PS4")]
    assert distinct_formulas(samples) == ("Na3PS4", "Na3BS3")


def test_all_tables_load_within_a_second() -> None:
    code = (
        "import time; from nascreen.datasets import TABLE_NAMES, load_table; start = time.process_time(); "
        "[load_table(name) for name in TABLE_NAMES]; print(time.process_time() - start)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert float(run.stdout) < 1.0


def test_a_table_is_read_once() -> None:
    first = load_table("glasses")
    start = time.perf_counter()
    assert load_table("glasses") is first
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_a_changed_table_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path = _copied(name, tmp_path) / f"{name}.csv"
    path.write_bytes(path.read_bytes().replace(b"Na3", b"Na4", 1).replace(b"Li", b"Na", 1))
    with pytest.raises(IntegrityError, match=rf"The file {name}\.csv in .* was promised; restore the file that came"):
        load_table(name, tmp_path)


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_a_missing_file_is_refused_by_name(ending: str, tmp_path: Path) -> None:
    (_copied("lithium", tmp_path) / f"lithium.{ending}").unlink()
    with pytest.raises(IntegrityError, match=rf"lithium\.{ending} in .* cannot be read \(FileNotFoundError\); restore"):
        load_table("lithium", tmp_path)


@pytest.mark.parametrize(
    ("text", "what"),
    [("{", r"cannot be read \(JSONDecodeError\)"), ("[]", "lacks a part"), ('{"rows": 1}', "lacks a part")],
    ids=["cut", "list", "incomplete"],
)
def test_a_damaged_record_is_refused_by_name(text: str, what: str, tmp_path: Path) -> None:
    (_copied("lithium", tmp_path) / "lithium.json").write_text(text, encoding="utf-8")
    with pytest.raises(IntegrityError, match=rf"lithium\.json in .* {what}"):
        table_record("lithium", tmp_path)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda data: data + b"li-9999" + b"," * 17 + b"\n", "has 1908 rows where its record promises 1907"),
        (lambda data: data.replace(b"sample_id,paper_id", b"paper_id,sample_id", 1), "has other columns"),
        (lambda data: data.replace(b"sample_id", b"sample_no", 1), "has a row that cannot be read"),
        (lambda data: data + b"\xff", "has a row that cannot be read"),
    ],
    ids=["extra row", "swapped columns", "unknown column", "not UTF-8"],
)
def test_a_table_that_contradicts_its_record_is_refused(
    edit: Callable[[bytes], bytes], what: str, tmp_path: Path
) -> None:
    _rewritten(tmp_path, "lithium", edit((DATASETS / "lithium.csv").read_bytes()))
    with pytest.raises(IntegrityError, match=rf"lithium\.csv in .* {what}"):
        load_table("lithium", tmp_path)


@pytest.mark.parametrize("name", ["", "../literature", "Literature", "elements"])
def test_only_known_tables_are_opened(name: str) -> None:
    with pytest.raises(TableError, match=r"There is no table .*; choose one of literature, glasses, lithium"):
        load_table(name)
    with pytest.raises(TableError, match="There is no table"):
        table_record(name)


def test_verify_file_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x" * (3 << 20))
    verify_file(path, hashlib.sha256(b"x" * (3 << 20)).hexdigest())
    with pytest.raises(
        IntegrityError, match=r"model\.onnx in .* has the sha256 .* where 000000000000\.\.\. was promised"
    ):
        verify_file(path, "0" * 64)
    with pytest.raises(IntegrityError, match=r"absent\.onnx in .* cannot be read \(FileNotFoundError\)"):
        verify_file(tmp_path / "absent.onnx", "0" * 64)


def test_the_data_hash_depends_on_the_tables_alone() -> None:
    assert data_hash("literature", "glasses") == data_hash("glasses", "literature") != data_hash("literature")
    assert data_hash() == data_hash(*TABLE_NAMES)
    assert re.fullmatch("[0-9a-f]{12}", data_hash())


def test_the_checkout_is_used_where_there_is_one_else_the_installed_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_folder() == DATASETS
    assert model_folder() == REPOSITORY / "models"
    package = tmp_path / "nascreen"
    monkeypatch.setattr(datasets_module, "_PACKAGE", package)
    (tmp_path / "datasets").mkdir()
    assert data_folder() == package / "_data" / "datasets"
    assert model_folder() == package / "_data" / "models"


GROUPS = st.lists(st.sampled_from("abcdefghijkl"), min_size=4).filter(lambda groups: len(set(groups)) > 1)


@given(groups=GROUPS, seed=st.integers(0, 99), data=st.data())
def test_no_group_is_on_both_sides_of_a_fold(groups: list[str], seed: int, data: st.DataObject) -> None:
    n_folds = data.draw(st.integers(2, len(set(groups))))
    folds = grouped_folds(groups, n_folds, seed)
    fold_of = dict(zip(groups, folds, strict=True))
    assert [fold_of[group] for group in groups] == folds
    sizes = Counter(fold_of.values())
    assert set(sizes) == set(range(n_folds))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_folds_depend_on_the_seed_but_not_on_the_order_of_the_rows(literature: tuple[Sample, ...]) -> None:
    groups = [sample.group_id for sample in literature]
    folds = grouped_folds(groups, 5, 7)
    assert grouped_folds(groups[::-1], 5, 7) == folds[::-1]
    assert grouped_folds(groups, 5, 8) != folds


@pytest.mark.parametrize("n_folds", [-1, 0, 1, 4])
def test_an_impossible_number_of_folds_is_refused(n_folds: int) -> None:
    with pytest.raises(RangeError, match=rf"number of folds is {n_folds}; allowed is 2 to 3, the number of groups"):
        grouped_folds(["a", "b", "c", "c"], n_folds, 0)


@pytest.mark.parametrize(
    ("printed", "title"),
    [
        ("[title not in stored text; text begins] In this work", ""),
        ("[text without title/DOI] In a", ""),
        ("(title not printed; SPS)", ""),
        ("(Cation conductivity of single crystals)", "Cation conductivity of single crystals"),
        (" Fast ion transport (review) ", "Fast ion transport (review)"),
    ],
    ids=["no title", "no title or doi", "not printed", "described", "printed"],
)
def test_the_import_keeps_titles_and_drops_placeholders(script: ModuleType, printed: str, title: str) -> None:
    assert script.title_of(printed) == title


@pytest.mark.parametrize(
    ("source", "doi", "url"),
    [
        ("https://www.osti.gov/biblio/5398026", "", "https://www.osti.gov/biblio/5398026"),
        ("https://www.osti.gov/biblio/5398026", "10.1007/x", ""),
        ("https://archive.org/ (J. Power Sources)", "", ""),
        ("someone/collection:folder/94.txt", "", ""),
    ],
    ids=["address", "has a doi", "bare site", "no address"],
)
def test_the_import_keeps_addresses_only_where_there_is_no_doi(
    script: ModuleType, source: str, doi: str, url: str
) -> None:
    assert script.url_of({"source": source, "doi": doi}) == url


def test_the_import_stops_at_a_row_out_of_bounds_and_names_it(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "lithium_conductors.csv"
    columns = (
        "formula",
        "formula_sum",
        "sigma_s_cm",
        "censored",
        "meas_temp_c",
        "ea_ev",
        "family",
        "space_group",
        "doi",
    )
    cells = ("Li3PS4", "Li3P1S4", "-1", "", "25", "", "", "", "10.1000/x")
    path.write_text(
        ",".join((*columns, "source", "note")) + "\n" + ",".join((*cells, "x", "")) + "\n", encoding="utf-8"
    )
    with pytest.raises(SystemExit, match=r"lithium_conductors\.csv, row 1 \(Li3PS4\): The column 'conductivity_s_cm'"):
        script.to_samples(path, script.lithium_cells)
