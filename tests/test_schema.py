"""Promises of the schema: one source, JSON records as strict as tables, and descriptions that other tools accept."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import nascreen.datasets as datasets_module
from nascreen.cli import main
from nascreen.datasets import TABLE_NAMES, data_folder, load_table
from nascreen.errors import InputError, IntegrityError, MissingExtraError, RangeError, TableError
from nascreen.records import COLUMN_BY_NAME, COLUMNS, FIELD_NAMES, VALUE_ORIGINS, Column, Sample, check_sample
from nascreen.schema import (
    DESCRIPTORS,
    FORMATS,
    MAX_RECORD_LENGTH,
    ORIGIN_MEANINGS,
    croissant,
    data_package,
    frictionless_field,
    json_from_sample,
    json_schema,
    read_tables,
    record_from_sample,
    record_model,
    reference_page,
    sample_from_json,
    sample_from_record,
    write_descriptors,
)

ALL_COLUMNS = tuple(COLUMN_BY_NAME.values())
OWN_COLUMNS = (
    Column("furnace", "choice", "", "Which furnace", choices=("tube", "box")),
    Column("dew_point_c", "number", "°C", "Dew point of the glove box", -120, 30),
    Column("yield_g", "number", "g", "Mass of the batch", 0, 1000, is_lower_open=True),
    Column("n_pellets", "integer", "", "Pellets of the batch", 1, 100),
    Column("remark", "text", "", "What was seen", upper=20),
)
"""Columns that no sample has, one of each kind."""

FRICTIONLESS = """
import json, sys
from frictionless import validate
report = validate(sys.argv[1])
rows = {task.name: task.stats.get("rows") for task in report.tasks}
print(json.dumps({"errors": report.flatten(["rowNumber", "fieldName", "type"]), "rows": rows}))
"""
CROISSANT = """
import itertools, json, sys
import mlcroissant
dataset = mlcroissant.Dataset(sys.argv[1])
issues = dataset.metadata.ctx.issues
plain = lambda value: value.decode() if isinstance(value, bytes) else value
print(json.dumps({
    "version": dataset.metadata.ctx.conforms_to.value,
    "errors": sorted(issues.errors),
    "warnings": sorted(issues.warnings),
    "rows": {
        name: [{k: plain(v) for k, v in row.items()} for row in itertools.islice(dataset.records(name), 20)]
        for name in sys.argv[2:]
    },
}))
"""


def _told_by(code: str, *arguments: str) -> dict[str, Any]:
    """Run another tool in its own process, since its imports warn and log."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


def _copied(folder: Path) -> Path:
    for path in data_folder().iterdir():
        if path.suffix in {".csv", ".json"}:
            shutil.copy(path, folder)
    return folder


# ---------------------------------------------------------------- the files beside the tables


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_the_files_beside_the_tables_say_what_the_columns_say(name: str) -> None:
    made = DESCRIPTORS[name](read_tables(data_folder()))
    assert (data_folder() / name).read_text(encoding="utf-8") == made, "run: nascreen data schema --write"


def test_frictionless_finds_no_error_in_any_table() -> None:
    told = _told_by(FRICTIONLESS, str(data_folder() / "datapackage.json"))
    assert told["errors"] == []
    assert told["rows"] == {table.name: table.record["rows"] for table in read_tables(data_folder())}


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        pytest.param("sinter_temp_c", "0", "constraint-error", id="at an open bound"),
        pytest.param("porosity_pct", "95.1", "constraint-error", id="above a bound"),
        pytest.param("phase", "liquid", "constraint-error", id="no choice"),
        pytest.param("meas_temp_c", "warm", "type-error", id="no number"),
        pytest.param("sample_id", "lit-0002", "primary-key", id="identifier of another row"),
    ],
)
def test_frictionless_refuses_what_the_columns_refuse(tmp_path: Path, column: str, value: str, kind: str) -> None:
    folder = _copied(tmp_path)
    lines = (folder / "literature.csv").read_text(encoding="utf-8").splitlines()
    cells = dict.fromkeys((c.name for c in COLUMNS), "") | {"sample_id": "own-1", column: value}
    data = "\n".join([lines[0], ",".join(cells.values()), lines[2]]).encode()
    (folder / "literature.csv").write_bytes(data)
    record = json.loads((folder / "literature.json").read_text(encoding="utf-8"))
    record |= {"sha256": hashlib.sha256(data).hexdigest(), "rows": 2}
    (folder / "literature.json").write_text(json.dumps(record), encoding="utf-8")
    for name in ("glasses", "lithium"):
        own = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        short = b"".join((folder / f"{name}.csv").read_bytes().splitlines(keepends=True)[:3])
        (folder / f"{name}.csv").write_bytes(short)
        own |= {"sha256": hashlib.sha256(short).hexdigest(), "rows": 2}
        (folder / f"{name}.json").write_text(json.dumps(own), encoding="utf-8")
    write_descriptors(folder)
    told = _told_by(FRICTIONLESS, str(folder / "datapackage.json"))
    assert kind in {error[2] for error in told["errors"]}


@pytest.fixture(scope="module")
def loaded_by_croissant() -> dict[str, Any]:
    return _told_by(CROISSANT, str(data_folder() / "croissant.json"), *TABLE_NAMES)


def test_croissant_accepts_the_description_as_version_1_1(loaded_by_croissant: dict[str, Any]) -> None:
    assert loaded_by_croissant["version"].endswith("/1.1")
    assert loaded_by_croissant["errors"] == []
    # A day of publication is promised only once there is one.
    assert all("datePublished" in warning for warning in loaded_by_croissant["warnings"])


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_croissant_reads_the_values_that_nascreen_reads(name: str, loaded_by_croissant: dict[str, Any]) -> None:
    rows = loaded_by_croissant["rows"][name]
    assert len(rows) == 20
    for row, sample in zip(rows, load_table(name), strict=False):
        assert row
        for field, value in row.items():
            own = getattr(sample, field.removeprefix(f"{name}/"))
            assert (value if value is not None else "") == (own if own is not None else "")


def test_hashes_and_sizes_are_those_of_the_files() -> None:
    tables = read_tables(data_folder())
    for file, resource in zip(croissant(tables)["distribution"], data_package(tables)["resources"], strict=True):
        data = (data_folder() / file["contentUrl"]).read_bytes()
        assert resource["path"] == file["contentUrl"]
        assert file["sha256"] == hashlib.sha256(data).hexdigest() == resource["hash"].removeprefix("sha256:")
        assert file["contentSize"] == f"{len(data)} B"
        assert resource["bytes"] == len(data)


def test_the_reference_page_has_every_column_with_its_unit_and_every_origin() -> None:
    page = reference_page(read_tables(data_folder()))
    for column in ALL_COLUMNS:
        line = next(line for line in page.splitlines() if line.startswith(f"| `{column.name}` |"))
        assert f"| {column.unit} |" in line
        assert column.description in line
    assert ORIGIN_MEANINGS.keys() == set(VALUE_ORIGINS)
    assert all(f"| `{name}` | {meaning} |" in page for name, meaning in ORIGIN_MEANINGS.items())


def test_a_table_without_a_known_licence_is_not_described(tmp_path: Path) -> None:
    folder = _copied(tmp_path)
    record = json.loads((folder / "lithium.json").read_text(encoding="utf-8"))
    (folder / "lithium.json").write_text(json.dumps(record | {"licence": "none"}), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"lithium names no known licence: 'none'; add it to LICENCES"):
        write_descriptors(folder)


def test_a_table_that_is_gone_is_not_described(tmp_path: Path) -> None:
    folder = _copied(tmp_path)
    (folder / "glasses.csv").unlink()
    with pytest.raises(IntegrityError, match=r"table glasses .* cannot be described \(FileNotFoundError\)"):
        write_descriptors(folder)


# ---------------------------------------------------------------- any columns


def test_fields_are_made_of_columns_that_no_sample_has() -> None:
    fields = {field["name"]: field for field in map(frictionless_field, OWN_COLUMNS)}
    assert fields["furnace"]["constraints"] == {"enum": ["tube", "box"]}
    assert fields["dew_point_c"]["constraints"] == {"minimum": -120, "maximum": 30}
    assert fields["yield_g"]["constraints"] == {"exclusiveMinimum": 0, "maximum": 1000}
    assert fields["yield_g"]["unit"] == "g"
    assert fields["n_pellets"]["type"] == "integer"
    assert fields["remark"]["constraints"] == {"maxLength": 20}


@pytest.mark.parametrize(
    ("record", "is_good"),
    [
        pytest.param({"furnace": "tube", "dew_point_c": -60, "yield_g": 0.5, "n_pellets": 3}, True, id="within"),
        pytest.param({}, True, id="nothing stated"),
        pytest.param({"furnace": "pit"}, False, id="no choice"),
        pytest.param({"yield_g": 0}, False, id="at an open bound"),
        pytest.param({"n_pellets": 2.0}, False, id="no integer"),
        pytest.param({"n_pellets": True}, False, id="bool"),
        pytest.param({"remark": "x" * 21}, False, id="too long"),
        pytest.param({"remark": "a\nb"}, False, id="line break"),
        pytest.param({"humidity": 3}, False, id="unknown name"),
    ],
)
def test_a_model_is_made_of_columns_that_no_sample_has(record: dict[str, Any], *, is_good: bool) -> None:
    model = record_model(OWN_COLUMNS, "Batch")
    assert _is_accepted(model.model_validate, record) is is_good


# ---------------------------------------------------------------- JSON records


def _is_accepted(read: Any, record: object) -> bool:
    try:
        read(record)
    except ValueError:
        return False
    return True


def _values(column: Column) -> st.SearchStrategy[Any]:
    if column.choices:
        return st.sampled_from(column.choices)
    if column.kind == "text":
        return st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
    lower, upper = column.lower, column.upper
    assert lower is not None
    assert upper is not None
    if column.kind == "integer":
        return st.integers(int(lower), int(upper))
    return st.floats(lower, upper, exclude_min=column.is_lower_open).map(lambda value: value + 0.0)


SAMPLES = st.fixed_dictionaries({}, optional={c.name: _values(c) for c in ALL_COLUMNS if c.name != "porosity_pct"})
ODD_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from([10**400, -0.0, "", []])
)


@given(values=SAMPLES)
def test_a_sample_comes_back_from_its_record(values: dict[str, Any]) -> None:
    sample = Sample(**values)
    assert sample_from_record(record_from_sample(sample)) == sample
    assert sample_from_json(json_from_sample(sample)) == sample


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_row_comes_back_from_its_json_text(name: str) -> None:
    samples = load_table(name)[::7]
    assert [sample_from_json(json_from_sample(sample)) for sample in samples] == list(samples)


def test_a_record_holds_what_is_stated_and_nothing_else() -> None:
    assert record_from_sample(Sample(formula="Na3PS4", meas_temp_c=0.0)) == {"formula": "Na3PS4", "meas_temp_c": 0.0}


@pytest.fixture(scope="module")
def model() -> Any:
    return record_model(ALL_COLUMNS)


@given(name=st.sampled_from(FIELD_NAMES), value=ODD_VALUES)
@example(name="sinter_temp_c", value=0)
@example(name="year", value=2019.0)
@example(name="meas_temp_c", value=True)
@example(name="press_mpa", value=10**400)
def test_the_model_accepts_exactly_what_the_reader_accepts(model: Any, name: str, value: object) -> None:
    assert _is_accepted(model.model_validate, {name: value}) is _is_accepted(sample_from_record, {name: value})


def test_the_model_knows_the_rule_that_joins_density_and_porosity(model: Any) -> None:
    with pytest.raises(ValueError, match="contradict each other"):
        model.model_validate({"rel_density_pct": 95, "porosity_pct": 20})


def test_the_json_schema_is_of_2020_12_and_has_the_bounds_of_the_columns() -> None:
    import jsonschema

    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(schema["properties"]) == [column.name for column in ALL_COLUMNS]
    for column in ALL_COLUMNS:
        described = schema["properties"][column.name]["anyOf"][0]
        if column.kind in ("number", "integer"):
            assert described["exclusiveMinimum" if column.is_lower_open else "minimum"] == column.lower
            assert described["maximum"] == column.upper
            assert described.get("unit", "") == column.unit
        elif column.choices:
            assert described["enum"] == ["", *column.choices]
        else:
            assert described["maxLength"] == column.text_limit


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        pytest.param('{"ea_ev": NaN}', RangeError, r"has the number NaN; allowed are finite", id="NaN"),
        pytest.param('{"ea_ev": -Infinity}', RangeError, r"has the number -Infinity; allowed", id="infinity"),
        pytest.param('{"ea_ev": 1e999}', RangeError, r"'ea_ev' has the value 'inf'; allowed", id="overflow"),
        pytest.param('{"ea_ev": 1' + "0" * 400 + "}", RangeError, r"'ea_ev' has the value 'inf'", id="large integer"),
        pytest.param('{"ea_ev": 1' + "0" * 5000 + "}", RangeError, r"too many digits; write it as", id="digits"),
        pytest.param('{"ea_ev": true}', RangeError, r"'ea_ev' has the value 'True'; allowed is a number", id="bool"),
        pytest.param('{"ea_ev": "0.3"}', RangeError, r"'ea_ev' has the value '0.3'", id="number as text"),
        pytest.param('{"phase": "liquid"}', RangeError, r"'phase' has the value 'liquid'; allowed is", id="choice"),
        pytest.param('{"phase": ["glass"]}', RangeError, r"'phase' has the value", id="list"),
        pytest.param('{"colour": "red"}', TableError, r"A record has no 'colour'; allowed are sample_id", id="name"),
        pytest.param('{"ea_ev": 1, "ea_ev": 2}', TableError, r"gives 'ea_ev' twice; keep one", id="twice"),
        pytest.param('{"sigma_s_cm": 1, "conductivity_s_cm": 2}', TableError, r"'conductivity_s_cm' twice", id="alias"),
        pytest.param("[1]", TableError, r"is a JSON object with columns as names; got", id="array"),
        pytest.param("{'a'}", TableError, r"is not JSON \(.*\); write an object such as", id="no JSON"),
        pytest.param("[" * 90_000, TableError, r"is not JSON \(.*\); write an object", id="deep"),
        pytest.param(" " * (MAX_RECORD_LENGTH + 1), TableError, r"has 100001 characters; allowed are", id="long"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_used_is_refused_in_one_sentence(
    text: str, error: type[InputError], message: str
) -> None:
    with pytest.raises(error, match=message) as refused:
        sample_from_json(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(Sample(ea_ev=float("nan")), id="NaN"),
        pytest.param(Sample(ea_ev=float("inf")), id="infinity"),
        pytest.param(Sample(ea_ev=True), id="bool"),
    ],
)
def test_a_sample_out_of_bounds_gives_no_record(sample: Sample) -> None:
    with pytest.raises(RangeError, match="'ea_ev' has the value"):
        json_from_sample(sample)


def test_a_number_of_numpy_becomes_a_number_of_json() -> None:
    import numpy as np

    sample = Sample(ea_ev=np.float32(0.5))  # type: ignore[arg-type]
    check_sample(sample)
    assert json_from_sample(sample) == '{"ea_ev": 0.5}'


# ---------------------------------------------------------------- pydantic and the command


def test_pydantic_is_imported_only_for_a_model() -> None:
    code = (
        "import sys; from nascreen.schema import *; from nascreen.datasets import data_folder; "
        "read_tables(data_folder()); sample_from_json('{}'); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_a_model_without_pydantic_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(MissingExtraError, match=r"need pydantic; install it with: pip install 'nascreen\[records\]'"):
        json_schema()


def _run(arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["nascreen", *arguments.split()])
    try:
        main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


@pytest.mark.parametrize("form", FORMATS)
def test_the_command_prints_each_format(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(f"data schema --format {form}", monkeypatch) == 0
    assert capsys.readouterr().out == FORMATS[form](read_tables(data_folder()))


def test_the_command_refuses_an_unknown_format(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("data schema --format xml", monkeypatch) == 2
    assert "no format 'xml'; choose one of frictionless, croissant" in capsys.readouterr().err


def test_the_command_writes_in_a_checkout_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "datasets"
    folder.mkdir()
    _copied(folder)
    (folder / "croissant.json").unlink()
    monkeypatch.setattr(datasets_module, "data_folder", lambda: folder)
    assert _run("data schema --write", monkeypatch) == 2
    assert "use --write in a checkout" in capsys.readouterr().err
    assert not (folder / "croissant.json").exists()
    (tmp_path / "pyproject.toml").touch()
    assert _run("data schema --write", monkeypatch) == 0
    written = (folder / "croissant.json").read_bytes()
    assert written == (data_folder() / "croissant.json").read_bytes()
