"""Promises of the element table and of the Magpie features."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nascreen.chemistry import ATOMIC_NUMBER, SYMBOLS, AmountArrays, pad_amounts, parse_formula, parse_many
from nascreen.elements import (
    CHUNK_ROWS,
    COLUMNS,
    FIELD_COLUMNS,
    MAGPIE_NAMES,
    MAGPIE_PROPERTIES,
    ElementTable,
    load_elements,
    magpie,
)
from nascreen.errors import InputError, IntegrityError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from matminer.featurizers.composition import ElementProperty  # type: ignore[import-untyped, unused-ignore]
    from matminer.utils.data import MagpieData  # type: ignore[import-untyped, unused-ignore]
    from pymatgen.core.composition import Composition

REPOSITORY = Path(__file__).resolve().parents[1]
DATASETS = REPOSITORY / "datasets"

PLAIN = (
    "Na3Zr2Si2PO12", "Na3.4Zr2Si2.4P0.6O12", "Na3.4Zr2(SiO4)2.4(PO4)0.6", "NaAl11O17", "Na1.67Mg0.67Al10.33O17",
    "Na5YSi4O12", "Na3PS4", "Na2.9375PS3.9375Cl0.0625", "Na3SbS4", "Na2.88Sb0.88W0.12S4", "Na11Sn2PS12",
    "Na11.1Sn2.1P0.9Se12", "Na3PSe4", "Na3BS3", "Na2B12H12", "NaCB11H12", "Na2Zr0.5Y0.5Cl5.5", "Na3YCl6", "NaTaCl6",
    "Na2ZrCl6", "NaAlCl4", "Na3OBr", "Na2.99Ba0.005OCl", "Na3NH2", "NaAlH4", "NaSi2P3", "Na0.5P0.5O1.75",
    "Li7La3Zr2O12", "Li10GeP2S12", "Li1.3Al0.3Ti1.7(PO4)3", "K2Fe4O7", "H2O", "Na", "Og", "AgI",
    "Na0.0001Zr1000O999.5", "Na[Al(OH)4]",
)  # fmt: skip
TIES = (
    "NaCl", "LiNaKRb", "NaLiPS2O2", "Na4P4S4", "Na2O2", "NaPO3Na2", "Na0.5K0.5Cl1.0", "NaLiKRbCsMgCaSrBa",
    "Na0.333333Cl0.333334", "Na0.333334Cl0.333333", "Na0.33333Cl0.33334", "Na1Cl1.00001", "Na1Cl1.00002",
    "Na999.99Cl1000", "Na999.98Cl1000", "Na0.00000002O0.00000003",
)  # fmt: skip
MISSING_CELLS = ("NaHe", "XeF2", "NaXe2", "ThO2", "Na2U2O7", "PuO2", "NaHePuXeThU", "Na2Og", "NhTs", "FmMdNoLr", "CmAt")
REPEATED = ("Na2(NaO)2", "NaONaO", "Na3(Na0.5Zr)2O", "Si2Si2NaO4O4")
MANY_ELEMENTS = ("NaLiKMgCaSrBaO", "Na2.1Zr0.3Ti0.3Hf0.3Sn0.1Si1.5Ge0.5P0.9As0.1O11.9F0.1")
TRACES = ("Na3PS4Cl0.000000001", "Na3PS4Cl0.00000001")
FORMULAS = PLAIN + TIES + MISSING_CELLS + REPEATED + MANY_ELEMENTS + TRACES


@pytest.fixture(scope="module")
def table() -> ElementTable:
    return load_elements(DATASETS)


@pytest.fixture(scope="module")
def matminer_features() -> Callable[[list[str]], NDArray[np.float64]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        featurizer = ElementProperty.from_preset("magpie")

    def features(formulas: list[str]) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exact = [parse_formula(formula).amounts for formula in formulas]
            compositions = [Composition({s: float(n) for s, n in amounts.items()}) for amounts in exact]
            return np.array([featurizer.featurize(composition) for composition in compositions])

    return features


@pytest.fixture
def damaged(tmp_path: Path) -> Callable[[Callable[[str], str]], Path]:
    def write(change: Callable[[str], str]) -> Path:
        text = (DATASETS / "elements.csv").read_text(encoding="utf-8")
        (tmp_path / "elements.csv").write_text(change(text), encoding="utf-8", newline="")
        return tmp_path

    return write


def formulas_of_the_data_tables() -> Iterator[str]:
    for path in sorted(DATASETS.glob("*.csv*")):
        unpacked = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        with io.StringIO(unpacked.decode(), newline="") as file:
            reader = csv.DictReader(file)
            if "formula" in (reader.fieldnames or ()):
                yield from (row["formula"] for row in reader if row["formula"])


def test_names_are_those_of_matminer_in_its_order() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = ElementProperty.from_preset("magpie").feature_labels()
    assert tuple(labels) == MAGPIE_NAMES


@pytest.mark.parametrize("formula", [pytest.param(f, id=f) for f in FORMULAS])
def test_features_equal_those_of_matminer(
    formula: str, table: ElementTable, matminer_features: Callable[[list[str]], NDArray[np.float64]]
) -> None:
    ours = magpie(table, parse_many([formula]))
    assert ours.shape == (1, 132)
    np.testing.assert_allclose(ours, matminer_features([formula]), rtol=1e-12, atol=1e-12)


def test_features_of_a_padded_batch_equal_those_of_matminer(
    table: ElementTable, matminer_features: Callable[[list[str]], NDArray[np.float64]]
) -> None:
    ours = magpie(table, parse_many(FORMULAS))
    np.testing.assert_allclose(ours, matminer_features(list(FORMULAS)), rtol=1e-12, atol=1e-12)


def test_features_equal_those_of_matminer_on_every_formula_of_the_data_tables(
    table: ElementTable, matminer_features: Callable[[list[str]], NDArray[np.float64]]
) -> None:
    formulas = sorted(set(formulas_of_the_data_tables()))
    if not formulas:
        pytest.skip("no data table with a formula column is there")
    ours = magpie(table, parse_many(formulas))
    np.testing.assert_allclose(ours, matminer_features(formulas), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("symbol", [pytest.param(s, id=s) for s in ("He", "Xe", "Th", "U", "Pu", "Na", "Nh", "Og")])
def test_missing_cells_are_imputed_to_the_bit_as_in_matminer(symbol: str, table: ElementTable) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = MagpieData().all_elemental_props
    expected = [theirs[name][symbol] for name in MAGPIE_PROPERTIES]
    assert table.magpie[ATOMIC_NUMBER[symbol]].tolist() == expected


def test_row_zero_of_the_table_is_no_element(table: ElementTable) -> None:
    assert table.magpie.shape == (119, 22)
    assert not table.magpie[0].any()
    assert all(np.isnan(getattr(table, name)[0]) and getattr(table, name).shape == (119,) for name in FIELD_COLUMNS)


def test_mode_of_a_tie_is_the_smallest_value(table: ElementTable) -> None:
    column = MAGPIE_NAMES.index("MagpieData mode Number")
    features = magpie(table, parse_many(["NaCl", "ClNa", "Na1Cl1.00001", "Na1Cl1.00002", "NaCl2"]))
    assert features[:, column].tolist() == [11, 11, 11, 17, 17]


AMOUNTS = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 4000).map(lambda n: n / 8), min_size=1, max_size=9)


@given(rows=st.lists(AMOUNTS, min_size=1, max_size=6))
@settings(deadline=None)
def test_features_do_not_depend_on_padding(rows: list[dict[str, float]], table: ElementTable) -> None:
    together = magpie(table, pad_amounts(rows))
    alone = np.concatenate([magpie(table, pad_amounts([row])) for row in rows])
    np.testing.assert_array_equal(together, alone)


@given(row=AMOUNTS, factor=st.sampled_from([0.25, 2.0, 64.0]))
@settings(deadline=None)
def test_features_do_not_depend_on_scale(row: dict[str, float], factor: float, table: ElementTable) -> None:
    scaled = pad_amounts([{symbol: n * factor for symbol, n in row.items()}])
    np.testing.assert_allclose(magpie(table, scaled), magpie(table, pad_amounts([row])), rtol=1e-12, atol=1e-12)


@given(row=AMOUNTS)
@settings(deadline=None)
def test_features_do_not_depend_on_the_order_of_elements(row: dict[str, float], table: ElementTable) -> None:
    turned = pad_amounts([dict(reversed(row.items()))])
    np.testing.assert_allclose(magpie(table, turned), magpie(table, pad_amounts([row])), rtol=1e-12, atol=1e-12)


def test_features_do_not_depend_on_where_the_empty_slots_are(table: ElementTable) -> None:
    gap_first = AmountArrays(np.array([[0, 11, 0, 17]], dtype=np.int16), np.array([[0.0, 1.0, 0.0, 2.0]]))
    named_but_absent = AmountArrays(np.array([[8, 11, 92, 17]], dtype=np.int16), np.array([[0.0, 1.0, 0.0, 2.0]]))
    expected = magpie(table, parse_many(["NaCl2"]))
    np.testing.assert_array_equal(magpie(table, gap_first), expected)
    np.testing.assert_array_equal(magpie(table, named_but_absent), expected)


def test_features_do_not_depend_on_the_chunk_a_row_falls_into(table: ElementTable) -> None:
    formulas = [f"Na{1 + i / 1000:.3f}PS4" for i in range(40)] * (2 * CHUNK_ROWS // 40 + 1)
    features = magpie(table, parse_many(formulas))
    assert len(features) > 2 * CHUNK_ROWS
    np.testing.assert_array_equal(features, np.resize(features[:40], features.shape))


def test_no_compositions_give_no_rows(table: ElementTable) -> None:
    assert magpie(table, parse_many([])).shape == (0, 132)


def test_inputs_are_left_as_they_were(table: ElementTable) -> None:
    arrays = parse_many(["NaCl", "Na3PS4"])
    before = arrays.atomic_number.copy(), arrays.amount.copy()
    magpie(table, arrays)
    np.testing.assert_array_equal(arrays.atomic_number, before[0])
    np.testing.assert_array_equal(arrays.amount, before[1])


@pytest.mark.parametrize(
    ("number", "amount"),
    [
        pytest.param(0, 0.0, id="no-element"),
        pytest.param(11, 0.0, id="amount-zero"),
        pytest.param(11, 1e-9, id="amount-below-the-trace"),
        pytest.param(0, 1.0, id="amount-of-nothing"),
        pytest.param(11, -1.0, id="negative"),
        pytest.param(11, np.nan, id="nan"),
        pytest.param(11, np.inf, id="infinite"),
        pytest.param(119, 1.0, id="beyond-the-table"),
        pytest.param(-1, 1.0, id="negative-number"),
    ],
)
def test_a_row_that_is_no_composition_is_refused(number: int, amount: float, table: ElementTable) -> None:
    arrays = AmountArrays(np.array([[11], [number]], dtype=np.int16), np.array([[1.0], [amount]]))
    with pytest.raises(InputError, match="Row 1 is not a composition"):
        magpie(table, arrays)


def test_arrays_of_unequal_shape_are_refused(table: ElementTable) -> None:
    with pytest.raises(InputError, match=r"Amounts of shape \(1, 1\) came with elements of shape \(1, 2\)"):
        magpie(table, AmountArrays(np.array([[11, 17]], dtype=np.int16), np.array([[1.0]])))


@pytest.mark.parametrize(
    ("symbol", "charge", "coordination", "radius"),
    [
        pytest.param("Na", 1, 6, 1.02, id="sodium-octahedral"),
        pytest.param("Zr", 4, 6, 0.72, id="zirconium"),
        pytest.param("Si", 4, 4, 0.26, id="silicon-tetrahedral"),
        pytest.param("P", 5, 4, 0.17, id="phosphorus-tetrahedral"),
        pytest.param("S", -2, 6, 1.84, id="sulfide"),
        pytest.param("Fe", 3, 6, 0.645, id="high-spin-first"),
        pytest.param("Ni", 3, 6, 0.6, id="high-spin-nickel"),
        pytest.param("Na", 2, 6, None, id="no-such-ion"),
        pytest.param("S", -2, 4, None, id="not-listed-in-this-coordination"),
        pytest.param("He", 1, 6, None, id="no-ions-at-all"),
    ],
)
def test_radii_are_those_of_shannon(
    symbol: str, charge: int, coordination: int, radius: float | None, table: ElementTable
) -> None:
    assert table.shannon_radius(symbol, charge, coordination) == radius


def test_radii_are_octahedral_unless_said_otherwise(table: ElementTable) -> None:
    assert table.shannon_radius("Al", 3) == table.shannon_radius("Al", 3, 6) == 0.535


@pytest.mark.parametrize(
    ("symbol", "coordination", "message"),
    [
        pytest.param("Xx", 6, "'Xx', which is not an element symbol", id="unknown-element"),
        pytest.param("Na", 8, "coordination '8'; radii are kept for 4 and 6", id="unknown-coordination"),
    ],
)
def test_a_radius_that_cannot_be_held_is_refused(
    symbol: str, coordination: int, message: str, table: ElementTable
) -> None:
    with pytest.raises(InputError, match=message):
        table.shannon_radius(symbol, 1, coordination)


@pytest.mark.parametrize(
    ("name", "symbol", "low", "high"),
    [
        pytest.param("atomic_mass", "Na", 22.98, 23.0, id="mass-in-u"),
        pytest.param("pauling_electronegativity", "O", 3.44, 3.44, id="pauling-scale"),
        pytest.param("atomic_radius", "Na", 1.8, 1.8, id="radius-in-angstrom"),
        pytest.param("polarizability", "S", 2.9, 2.9, id="polarizability-in-cubic-angstrom"),
        pytest.param("hhi_production", "P", 2000, 2000, id="hhi-production"),
        pytest.param("hhi_reserve", "Na", 0, 10_000, id="hhi-reserve"),
        pytest.param("cost_usd_kg", "Ge", 100, 10_000, id="price"),
    ],
)
def test_columns_hold_the_unit_that_is_said(
    name: str, symbol: str, low: float, high: float, table: ElementTable
) -> None:
    assert low <= getattr(table, name)[ATOMIC_NUMBER[symbol]] <= high


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        pytest.param("pauling_electronegativity", "He", id="no-electronegativity"),
        pytest.param("cost_usd_kg", "Og", id="no-price"),
        pytest.param("cost_usd_kg", "Ne", id="price-of-another-element"),
        pytest.param("hhi_production", "Og", id="no-hhi"),
    ],
)
def test_a_missing_value_stays_missing(name: str, symbol: str, table: ElementTable) -> None:
    assert np.isnan(getattr(table, name)[ATOMIC_NUMBER[symbol]])


def test_the_table_cannot_be_changed(table: ElementTable) -> None:
    with pytest.raises(FrozenInstanceError):
        table.magpie = np.zeros((119, 22))  # type: ignore[misc]
    for name in ("magpie", *FIELD_COLUMNS):
        with pytest.raises(ValueError, match="read-only"):
            getattr(table, name)[1] = 0.0


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"elements\.csv in .* cannot be read \(FileNotFoundError\)"):
        load_elements(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda _: "", "has other columns", id="empty"),
        pytest.param(lambda t: t.replace("MeltingT", "Melting", 1), "differing: 'Melting'", id="renamed-column"),
        pytest.param(
            lambda t: t.replace("Number,MendeleevNumber", "MendeleevNumber,Number", 1),
            "differing: 'their order'",
            id="swapped-columns",
        ),
        pytest.param(lambda t: t.rpartition("Og,")[0], "has 117 rows", id="lost-row"),
        pytest.param(lambda t: t.replace("\nNa,", "\nXx,"), "not the 118 elements in order", id="unknown-element"),
        pytest.param(lambda t: t.replace("\nNa,11.0,", "\nNa,"), "does not have 32 cells", id="lost-cell"),
        pytest.param(
            lambda t: t.replace("22.98976928", "heavy"), "column 'AtomicWeight' that is not a number", id="text-cell"
        ),
        pytest.param(lambda t: t.replace("370.87", "inf"), "'MeltingT' that is not a finite", id="infinite-cell"),
        pytest.param(lambda t: t.replace("1:1.02", "1=1.02"), "a radius of Na that cannot be read", id="radius-text"),
        pytest.param(lambda t: t.replace("\nNa,", '\n"Na'), r"cannot be read \(Error\)", id="broken-quotes"),
    ],
)
def test_a_damaged_file_is_refused(
    change: Callable[[str], str], message: str, damaged: Callable[[Callable[[str], str]], Path]
) -> None:
    with pytest.raises(IntegrityError, match=message):
        load_elements(damaged(change))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "elements.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(IntegrityError, match=r"cannot be read \(UnicodeDecodeError\)"):
        load_elements(tmp_path)


def test_the_record_describes_the_file() -> None:
    record = json.loads((DATASETS / "elements.json").read_text(encoding="utf-8"))
    content = (DATASETS / record["file"]).read_bytes()
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["rows"] == content.count(b"\n") - 1 == len(SYMBOLS)
    assert [column["name"] for column in record["columns"]] == list(COLUMNS)
    assert all(column["description"] for column in record["columns"])
    assert {"name", "title", "licence", "sources"} <= set(record)


def test_neither_matminer_nor_pymatgen_nor_pandas_is_imported() -> None:
    code = "import sys, nascreen.elements; print(sorted({'matminer', 'pymatgen', 'pandas'} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
