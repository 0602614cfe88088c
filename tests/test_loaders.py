"""Promises of the loaders: verified by hash, safe to read, converted like the shipped tables, fetched when asked."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nascreen.loaders as loaders_module
from nascreen.cli import main
from nascreen.datasets import load_table
from nascreen.errors import InputError, IntegrityError, MissingExtraError, TableError
from nascreen.loaders import (
    COLLECTIONS,
    collection_folder,
    download,
    fetch,
    fetched_table,
    load_obelix,
    load_sciglass,
    sha256_of,
)
from nascreen.records import COLUMN_BY_NAME, Sample, check_sample

DELETE = "\x7f"
SCIGK = ("KOD", "GLASNO", "Author", "Year", "RO20", "RO100", "RO150", "RO300", "TG", "DENSITY", "MOD_UNG", "MIKROTV")
ATMOL = ("Kod", "GlasNo", *map(str, range(1, 95)))
OBELIX_COLUMNS = (
    "ID", "Reduced Composition", "Z", "True Composition", "Ionic conductivity (S cm-1)", "IC (Total)", "IC (Bulk)",
    "Space group", "Space group #", "a", "b", "c", "alpha", "beta", "gamma", "Family", "DOI", "Cif ID", "note",
)  # fmt: skip

Rows = Sequence[Mapping[str, object]]


def _text(columns: Sequence[str], rows: Rows, delimiter: str) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _batch(*parts: tuple[str, float]) -> str:
    return DELETE + DELETE.join(f"{name}{DELETE}mol{DELETE}0{DELETE}{mol}" for name, mol in parts) + DELETE


# Glass 7_1 is 2 Na2O + 3 SiO2; 7_2 has lithium as well; 8_1 has no resistivity; the values are made up.
PROPERTIES: Rows = (
    {"KOD": 7, "GLASNO": 1, "Author": "Doe J.", "Year": 1990, "RO20": "8.5", "RO150": "5.123", "TG": 455, "MIKROTV": 5},
    {"KOD": 7, "GLASNO": 2, "Author": "Doe J.", "Year": 1990, "RO100": "9.25", "DENSITY": 2.4},
    {"KOD": 8, "GLASNO": 1, "Author": "Roe R.", "Year": 2001, "TG": 300, "MOD_UNG": 61.5},
    {"KOD": 8, "GLASNO": 2, "Author": "Roe R.", "Year": 2001},
)
ATOMS: Rows = (
    {"Kod": 7, "GlasNo": 1, "11": 26.667, "14": 20, "8": 53.333},
    {"Kod": 7, "GlasNo": 2, "3": 10, "11": 20, "14": 20, "8": 50},
    {"Kod": 8, "GlasNo": 1, "11": 50, "5": 14.286, "16": 35.714},
    {"Kod": 8, "GlasNo": 2, "11": 50, "5": 14.286, "16": 35.714},
)
BATCHES: Rows = ({"Kod": 7, "GlasNo": 1, "Composition": _batch(("SiO2", 60), ("Na2O", 40))},)
TEXTS: Rows = ({"Kod": 7, "RefID": 31},)


def _tables(delimiter: str = "\t", **changed: Rows) -> dict[str, str]:
    return {
        "SciGK": _text(SCIGK, changed.get("scigk", PROPERTIES), delimiter),
        "AtMol": _text(ATMOL, changed.get("atmol", ATOMS), delimiter),
        "Gcomp": _text(("Kod", "GlasNo", "Composition"), BATCHES, delimiter),
        "Kod2Ref": _text(("Kod", "RefID"), TEXTS, delimiter),
    }


def _with_first(**changed: object) -> Rows:
    return [{**PROPERTIES[0], **changed}, *PROPERTIES[1:]]


def _zipped(members: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def _as_fork(tables: Mapping[str, str]) -> bytes:
    """Zip the tables as the published fork has them: each an archive of its own, in a folder."""
    return _zipped({f"SciGlass/select/{name}.csv.zip": _zipped({f"{name}.csv": t}) for name, t in tables.items()})


def _as_select(tables: Mapping[str, str]) -> bytes:
    return _zipped({f"data/select_{name}.csv.zip": _zipped({f"select_{name}.csv": t}) for name, t in tables.items()})


def _as_plain_text(tables: Mapping[str, str]) -> bytes:
    return _zipped({f"{name}.TXT": text for name, text in tables.items()})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests out of the user's folder, and off the network."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test reached for the network")

    monkeypatch.setenv("NASCREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return tmp_path / "home"


@pytest.fixture
def sciglass(tmp_path: Path) -> Path:
    path = tmp_path / "sciglass.zip"
    path.write_bytes(_as_fork(_tables()))
    return path


@pytest.fixture
def obelix(tmp_path: Path) -> Path:
    return _obelix_table(tmp_path / "all.csv")


def _entry(entry: str, **given: object) -> dict[str, object]:
    common = {"ID": entry, "Reduced Composition": "Li3PS4", "Family": "Thiophosphates", "DOI": "10.1234/Made.Up"}
    return {**common, "Ionic conductivity (S cm-1)": "1.5e-4", "Space group": "P n m a", **given}


def _obelix_table(path: Path, *rows: Mapping[str, object]) -> Path:
    entries = rows or (
        _entry("aaa", **{"IC (Total)": "1.5e-4"}),
        _entry("bbb", **{"IC (Bulk)": "1.5e-4", "DOI": "private communication"}),
        _entry("ccc", **{"Ionic conductivity (S cm-1)": "<1E-10"}),
        _entry("ddd", **{"Ionic conductivity (S cm-1)": ""}),
        _entry("eee", **{"Reduced Composition": "Li3(PS4"}),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(OBELIX_COLUMNS, entries, ","), encoding="utf-8")
    return path


def _by_id(samples: Sequence[Sample]) -> dict[str, Sample]:
    return {sample.sample_id: sample for sample in samples}


# ---------------------------------------------------------------- SciGlass


def test_a_glass_becomes_one_sample_per_standard_temperature(sciglass: Path) -> None:
    samples = _by_id(load_sciglass(sciglass).samples)
    assert list(samples) == ["sciglass-7_1-20", "sciglass-7_1-150", "sciglass-7_2-100", "sciglass-8_1"]
    cold, warm = samples["sciglass-7_1-20"], samples["sciglass-7_1-150"]
    assert cold.conductivity_s_cm == pytest.approx(10**-8.5, rel=1e-4)
    assert warm.conductivity_s_cm == pytest.approx(10**-5.123, rel=1e-4)
    assert (cold.meas_temp_c, warm.meas_temp_c) == (20, 150)
    assert (cold.value_origin, warm.value_origin) == ("tabulated_2_decimals", "computed_or_interpolated")
    assert (cold.formula, cold.label, cold.modifier_mol_pct) == ("Na26.667Si20O53.333", "60 SiO2 + 40 Na2O (mol%)", 40)
    assert (cold.tg_c, cold.hardness_gpa, cold.density_g_cm3) == (455, 5, None)
    assert (cold.paper_id, cold.first_author, cold.year) == ("sciglass-ref-31", "Doe J.", 1990)
    assert (cold.phase, cold.family, cold.collection) == ("glass", "oxide_glass", "SciGlass")


def test_a_glass_without_resistivity_keeps_its_other_properties(sciglass: Path) -> None:
    glass = _by_id(load_sciglass(sciglass).samples)["sciglass-8_1"]
    assert (glass.conductivity_s_cm, glass.meas_temp_c) == (None, None)
    assert (glass.tg_c, glass.youngs_modulus_gpa, glass.value_origin) == (300, 61.5, "cited")
    assert (glass.paper_id, glass.family) == ("sciglass-kod-8", "thioborate")


def test_the_identifiers_are_those_of_the_shipped_glasses(sciglass: Path) -> None:
    shipped, loaded = load_table("glasses")[0], load_sciglass(sciglass).samples[0]
    assert shipped.sample_id.replace("205_20001", "7_1") == loaded.sample_id
    assert shipped.group_id.replace("964", "31") == loaded.group_id


def test_sodium_only_leaves_out_other_alkali_metals(sciglass: Path) -> None:
    samples = load_sciglass(sciglass, sodium_only=True).samples
    assert {sample.sample_id for sample in samples} == {"sciglass-7_1-20", "sciglass-7_1-150", "sciglass-8_1"}


@pytest.mark.parametrize("packed", [_as_fork, _as_select, _as_plain_text])
@pytest.mark.parametrize("delimiter", ["\t", ","], ids=["tabs", "commas"])
def test_every_published_form_of_the_tables_reads_alike(
    packed: Callable[[Mapping[str, str]], bytes], delimiter: str, tmp_path: Path, sciglass: Path
) -> None:
    path = tmp_path / "other.zip"
    path.write_bytes(packed(_tables(delimiter)))
    assert load_sciglass(path).samples == load_sciglass(sciglass).samples


def test_tables_of_batches_and_texts_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    path.write_bytes(_as_fork({name: text for name, text in _tables().items() if name in ("SciGK", "AtMol")}))
    first = load_sciglass(path).samples[0]
    assert (first.label, first.modifier_mol_pct, first.paper_id) == ("", None, "sciglass-kod-7")


@pytest.mark.parametrize(
    ("changed", "reason", "n_left"),
    [
        pytest.param({"scigk": [*PROPERTIES, PROPERTIES[0]]}, "the glass stands in it twice", 2, id="twin"),
        pytest.param({"atmol": [*ATOMS, ATOMS[0]]}, "the composition stands in it twice", 2, id="twin composition"),
        pytest.param(
            {"atmol": [{**ATOMS[0], "8": 40}, *ATOMS[1:]]}, "the elements do not add up to 100 %", 2, id="sum"
        ),
        pytest.param({"scigk": _with_first(RO20=-9)}, "a value is out of bounds", 2, id="conductivity"),
        pytest.param({"scigk": _with_first(RO20="high")}, "a value is out of bounds", 2, id="no number"),
        pytest.param({"scigk": _with_first(RO150=-9)}, "a value is out of bounds", 2, id="second conductivity"),
        pytest.param({"scigk": _with_first(TG="n/a")}, "a value is out of bounds", 2, id="Tg"),
    ],
)  # fmt: skip
def test_a_glass_that_cannot_be_trusted_is_left_out_and_counted(
    changed: dict[str, Rows], reason: str, n_left: int, tmp_path: Path
) -> None:
    path = tmp_path / "odd.zip"
    path.write_bytes(_as_fork(_tables(**changed)))
    loaded = load_sciglass(path)
    assert loaded.left_out == {reason: 1}
    assert len(loaded.samples) == n_left
    assert not any("7_1" in sample.sample_id for sample in loaded.samples)


@given(log_resistivity=st.floats(-2, 20))
def test_a_resistivity_becomes_its_reciprocal(log_resistivity: float) -> None:
    (cells,) = loaders_module._measurements("1_1", {"RO20": repr(log_resistivity)})
    assert float(cells["conductivity_s_cm"]) == pytest.approx(10**-log_resistivity, rel=1e-4)


# ---------------------------------------------------------------- hashes and hostile archives


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_file_of_another_hash_is_refused(name: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(name)
    with pytest.raises(IntegrityError, match=r"has the sha256 [0-9a-f]{64} where a{64} was promised; fetch it again"):
        fetch(name, str(path), sha256="a" * 64)
    assert not collection_folder().exists()


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_file_of_the_promised_hash_is_read(name: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(name)
    promised = hashlib.sha256(path.read_bytes()).hexdigest()
    assert fetch(name, str(path), sha256=promised.upper()).loaded.sha256 == promised


def test_what_is_no_hash_is_refused(sciglass: Path) -> None:
    with pytest.raises(TableError, match=r"The sha256 'abc' is none; give 64 hexadecimal digits"):
        load_sciglass(sciglass, sha256="abc")


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"gone.zip' cannot be read \(No such file or directory\)"):
        sha256_of(tmp_path / "gone.zip")


def _damaged_member(data: bytes) -> bytes:
    return data[:60] + bytes(byte ^ 0xFF for byte in data[60:90]) + data[90:]


def _bomb() -> bytes:
    return _zipped({"SciGK.csv": b"\t" * (5 << 20), "AtMol.csv": ""})


def _inner_bomb() -> bytes:
    return _zipped({"SciGK.csv": _tables()["SciGK"], "AtMol.csv.zip": _zipped({"AtMol.csv": b"0" * (5 << 20)})})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(lambda d: d[: len(d) // 2], r"is no complete zip archive \(BadZipFile\); fetch it", id="half"),
        pytest.param(lambda d: d[:-5], r"is no complete zip archive", id="end"),
        pytest.param(lambda _: b"", r"is no complete zip archive", id="empty"),
        pytest.param(_damaged_member, r"is no complete zip archive", id="damaged"),
        pytest.param(lambda _: _bomb(), r"'SciGK.csv', which unpacks to more than 300 times its size", id="bomb"),
        pytest.param(lambda _: _inner_bomb(), r"'AtMol.csv', which unpacks to more than 300", id="bomb within"),
        pytest.param(lambda _: _zipped({"../x": "", **_tables()}), r"'../x', which leads out of its folder", id="slip"),
        pytest.param(lambda _: _zipped({"/etc/x": ""}), r"'/etc/x', which leads out of its folder", id="absolute"),
        pytest.param(lambda _: _zipped({"a\\..\\..\\x": ""}), r"which leads out of its folder", id="backslashes"),
        pytest.param(lambda _: _zipped({"C:x": ""}), r"'C:x', which leads out of its folder", id="drive"),
        pytest.param(lambda _: _zipped({f"{i}": "" for i in range(10_001)}), r"holds more than", id="many"),
        pytest.param(lambda _: _zipped({"SciGK.csv": ""}), r"lacks the table AtMol; its tables as", id="table"),
        pytest.param(
            lambda _: _zipped({**{f"{n}.csv": t for n, t in _tables().items()}, "SciGK.csv": ""}),
            r"The table 'SciGK.csv' is empty", id="empty table",
        ),
        pytest.param(
            lambda _: _as_plain_text({**_tables(), "SciGK": _tables()["SciGK"].replace("RO150", "RO_150")}),
            r"The table 'SciGK.TXT' lacks the column RO150; give the published archive", id="column",
        ),
        pytest.param(
            lambda _: _as_plain_text({**_tables(), "AtMol": _tables()["AtMol"].replace("\t11\t", "\tNa\t")}),
            r"The table 'AtMol.TXT' lacks the column 11", id="element",
        ),
        pytest.param(
            lambda _: _as_plain_text({**_tables(), "AtMol": _tables()["AtMol"].replace("\r\n7\t", "\r\nseven\t")}),
            r"names a glass 'seven', which is no number", id="identifier",
        ),
        pytest.param(
            lambda _: _as_plain_text({**_tables(), "SciGK": _tables()["SciGK"] + "9\t" + "x" * 200_000}),
            r"The table 'SciGK.TXT' cannot be read \(field larger than field limit", id="huge cell",
        ),
        pytest.param(
            lambda _: _zipped({"SciGK.csv.zip": _zipped({"a": "", "b": ""}), "AtMol.csv": _tables()["AtMol"]}),
            r"'SciGK.csv.zip' holds 2 files; allowed is one table", id="two tables in one",
        ),
    ],
)  # fmt: skip
def test_an_archive_that_is_not_the_published_one_is_refused_in_one_sentence(
    data: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.zip"
    path.write_bytes(data(_as_plain_text(_tables())))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(TableError, match=message) as refused:
        load_sciglass(path)
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    data = bytearray(_zipped({"SciGK.csv": "x"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path = tmp_path / "closed.zip"
    path.write_bytes(data)
    with pytest.raises(TableError, match=r"is encrypted; give the published one"):
        load_sciglass(path)


@given(cut=st.integers(0, 1000), flipped=st.integers(0, 1000))
def test_no_damage_leads_to_a_traceback(cut: int, flipped: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = bytearray(_as_fork(_tables()))
    data[flipped % len(data)] ^= 0x55
    path = tmp_path_factory.mktemp("damaged") / "x.zip"
    path.write_bytes(data[: len(data) - cut % 40])
    try:
        samples = load_sciglass(path).samples
    except InputError:
        return
    for sample in samples:
        check_sample(sample)


# ---------------------------------------------------------------- OBELiX


def test_an_entry_of_obelix_becomes_a_sample_at_room_temperature(obelix: Path) -> None:
    loaded = load_obelix(obelix)
    total, bulk, bound = loaded.samples
    assert (total.sample_id, total.formula, total.meas_temp_c) == ("obelix-aaa", "Li3PS4", 25)
    assert (total.conductivity_s_cm, total.conductivity_kind, total.value_origin) == (1.5e-4, "total", "measured")
    assert (total.doi, total.paper_id, total.family) == ("10.1234/made.up", "10.1234/made.up", "thiophosphates")
    assert (bulk.conductivity_kind, bulk.doi, bulk.journal) == ("bulk", "", "private communication")
    assert bulk.paper_id == "obelix-bbb"
    assert (bound.conductivity_s_cm, bound.value_origin) == (1e-10, "upper_bound")
    assert bound.conductivity_kind == "unspecified"
    assert loaded.left_out == {"no conductivity is given": 1, "a value cannot be read or is out of bounds": 1}


@pytest.mark.parametrize("column", ["ID", "Reduced Composition", "Ionic conductivity (S cm-1)", "IC (Bulk)", "DOI"])
def test_a_table_of_obelix_without_a_column_is_refused(column: str, obelix: Path) -> None:
    obelix.write_text(obelix.read_text(encoding="utf-8").replace(column, "X", 1), encoding="utf-8")
    with pytest.raises(TableError, match=r"'all.csv' lacks the column .*; its all.csv is at https://github.com"):
        load_obelix(obelix)


def test_a_table_of_obelix_that_is_no_text_is_refused(obelix: Path) -> None:
    obelix.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(TableError, match=r"'all.csv' cannot be read \('utf-8' codec"):
        load_obelix(obelix)


def _package(monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]) -> list[dict[str, Any]]:
    """Put a stand-in of the package of OBELiX in place; its class is called as the real one is."""
    calls: list[dict[str, Any]] = []

    class OBELiX:
        def __init__(self, data_path: Path, **options: object) -> None:
            calls.append({"data_path": data_path, **options})
            sys.stdout.write("Downloading data...")
            make(data_path)

    module = ModuleType("obelix")
    module.OBELiX = OBELiX  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "obelix", module)
    return calls


def test_obelix_comes_by_its_package_with_bounds_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = _package(monkeypatch, lambda folder: _obelix_table(folder / "all.csv"))
    assert len(fetch("obelix").loaded.samples) == 3
    # Without these the package would read hundreds of structures, and print bounds as values.
    assert calls[0]["no_cifs"] is True
    assert calls[0]["unspecified_low_value"] is None
    assert capsys.readouterr().out == ""


def test_a_package_that_fails_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise ConnectionError("no network\nat all")

    _package(monkeypatch, fail)
    with pytest.raises(TableError, match=r"could not fetch its data \(ConnectionError\); give its all.csv with --from"):
        fetch("obelix")


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obelix", None)
    with pytest.raises(MissingExtraError, match=r"run: pip install 'nascreen\[obelix\]', or give its all.csv"):
        fetch("obelix")


def test_the_real_package_reads_the_stand_in_and_takes_what_it_is_given(tmp_path: Path) -> None:
    _obelix_table(tmp_path / "data" / "all.csv")
    (tmp_path / "data" / "test.csv").write_text("ID\naaa\n", encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from obelix import OBELiX; "
        "read = OBELiX(data_path=Path(sys.argv[1]), no_cifs=True, unspecified_low_value=None); "
        "print(*read.dataframe['Ionic conductivity (S cm-1)'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data")], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1.5e-4", "1.5e-4", "<1E-10", "nan", "1.5e-4"]


# ---------------------------------------------------------------- fetching and keeping


@pytest.mark.parametrize("name", COLLECTIONS)
def test_what_was_fetched_is_kept_and_read_again(name: str, request: pytest.FixtureRequest, home: Path) -> None:
    path: Path = request.getfixturevalue(name)
    fetched = fetch(name, str(path))
    assert fetched.path == home / "collections" / f"{name}.csv"
    assert fetched_table(name) == fetched.loaded.samples
    record = json.loads(fetched.path.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["rows"] == len(fetched.loaded.samples)
    assert [column["name"] for column in record["columns"]] == list(COLLECTIONS[name].columns)
    assert record["archive"] == {"source": str(path), "sha256": sha256_of(path), "compared_with": "first"}
    assert sorted(p.name for p in fetched.path.parent.iterdir()) == [f"{name}.csv", f"{name}.json"]


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_kept_table_loses_no_column_that_a_loader_fills(name: str, request: pytest.FixtureRequest) -> None:
    load = {"sciglass": load_sciglass, "obelix": load_obelix}[name]
    for sample in load(request.getfixturevalue(name)).samples:
        filled = {column for column in COLUMN_BY_NAME if getattr(sample, column) not in ("", None)}
        assert filled <= set(COLLECTIONS[name].columns)


def test_the_hash_of_the_first_file_binds_the_next(sciglass: Path) -> None:
    assert fetch("sciglass", str(sciglass)).hash_from == "first"
    assert fetch("sciglass", str(sciglass)).hash_from == "recorded"
    sciglass.write_bytes(_as_plain_text(_tables()))
    with pytest.raises(IntegrityError, match=r"was promised; fetch it again, or give --sha256 with its own hash"):
        fetch("sciglass", str(sciglass))
    assert fetch("sciglass", str(sciglass), sha256=sha256_of(sciglass)).hash_from == "given"
    assert fetch("sciglass", str(sciglass)).hash_from == "recorded"


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_a_kept_table_that_was_changed_is_refused(ending: str, obelix: Path, home: Path) -> None:
    fetch("obelix", str(obelix))
    path = home / "collections" / f"obelix.{ending}"
    path.write_bytes(path.read_bytes().replace(b"0", b"1").replace(b"sha256", b"sha"))
    with pytest.raises(IntegrityError, match=r"fetch(ed; fetch)? obelix again"):
        fetched_table("obelix")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("sciglass",), r"Give --from with the archive of sciglass, a file or", id="source"),
        pytest.param(("sciglass", "gone.zip"), r"There is no file 'gone.zip'; give --from with the file", id="file"),
        pytest.param(("iclglass",), r"no collection 'iclglass'; choose one of sciglass, obelix", id="collection"),
        pytest.param(("obelix", "http://x.org/all.csv"), r"allowed are https addresses and files", id="http"),
        pytest.param(("obelix", "file:///etc/passwd"), r"allowed are https addresses and files", id="file address"),
    ],
)  # fmt: skip
def test_what_cannot_be_fetched_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(TableError, match=message):
        fetch(*arguments)


def test_a_file_without_a_sample_is_refused(obelix: Path) -> None:
    _obelix_table(obelix, _entry("aaa", **{"Ionic conductivity (S cm-1)": ""}))
    with pytest.raises(TableError, match=r"has no sample of obelix that can be used; its all.csv is at"):
        fetch("obelix", str(obelix))


def test_a_collection_that_is_not_fetched_says_how() -> None:
    with pytest.raises(TableError, match=r"sciglass is not fetched yet; run: nascreen data fetch sciglass"):
        fetched_table("sciglass")


def test_a_folder_that_cannot_be_written_is_one_sentence(obelix: Path, home: Path) -> None:
    home.write_text("a file", encoding="utf-8")
    with pytest.raises(TableError, match=r"cannot be written \(.*\); set NASCREEN_HOME to another one"):
        fetch("obelix", str(obelix))


class _Answer(io.BytesIO):
    """What `urlopen` gives for an address."""

    address = "https://x.org/all.csv"

    def geturl(self) -> str:
        return self.address


def test_an_address_is_fetched_and_read(obelix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: _Answer(obelix.read_bytes()))
    assert fetch("obelix", "https://x.org/all.csv").loaded.sha256 == sha256_of(obelix)


def test_an_address_that_leads_away_from_https_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = _Answer(b"x")
    answer.address = "http://x.org/all.csv"
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: answer)
    with pytest.raises(TableError, match=r"leads away from https; fetch the file by hand"):
        download("https://x.org/all.csv", tmp_path / "x")


def test_a_download_ends_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: _Answer(b"x" * (4 << 20)))
    monkeypatch.setattr(loaders_module, "MAX_DOWNLOAD_BYTES", 2 << 20)
    with pytest.raises(TableError, match=r"is larger than 2 MB"):
        download("https://x.org/all.csv", tmp_path / "x")
    assert (tmp_path / "x").stat().st_size <= 2 << 20


def test_an_address_that_cannot_be_reached_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(TableError, match=r"cannot be fetched \(no route\); give a file with --from"):
        download("https://x.org/all.csv", tmp_path / "x")


def test_nothing_is_fetched_by_importing_or_by_reading_what_is_kept() -> None:
    code = "import sys, nascreen.loaders; print({'urllib.request', 'obelix', 'pandas'} & sys.modules.keys() or 'none')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"


def test_the_command_says_what_was_kept_left_out_and_compared(
    obelix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["nascreen", "data", "fetch", "obelix", "--from", str(obelix)])
    main()
    out = capsys.readouterr().out
    assert "obelix: 3 samples in" in out
    assert "CC-BY-4.0" in out
    assert "left out: 1 where no conductivity is given" in out
    assert f"sha256 {sha256_of(obelix)}: recorded now and compared with nothing" in out
