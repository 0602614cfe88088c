"""Promises of own results: whole files or nothing, completed but never overwritten, every change in the history."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from nascreen import cli, lab
from nascreen.datasets import load_table, user_folder
from nascreen.errors import InputError, IntegrityError, NascreenError, TableError
from nascreen.lab import (
    OWN_COLUMNS,
    TEMPLATE_COLUMNS,
    add,
    amend,
    history,
    lab_samples,
    retract,
    store_path,
    write_template,
)
from nascreen.records import COLUMN_BY_NAME, Sample
from nascreen.units import read_heading

NASICON = "Na3Zr2Si2PO12"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: str, name: str = "results.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([*rows, ""]), encoding="utf-8")
        return path

    return write


@pytest.fixture
def stored(table: Callable[..., Path], home: Path) -> Path:
    """A store with the conductivity of one sample."""
    path = table("sample_id,formula,meas_temp_c,conductivity [mS/cm]", f"A,{NASICON},25,0.45")
    add(path, lab="KIT", operator="Ann", home=home)
    return home


def _values(home: Path, sample_id: str = "A") -> dict[str, str]:
    return dict(history(sample_id, home=home)[-1].cells)


# ---------------------------------------------------------------- adding


def test_results_are_kept_with_their_tags_in_the_units_of_the_columns(table: Callable[..., Path], home: Path) -> None:
    path = table(
        "Formula,Sinter temp (°C),meas_temp [K],conductivity [mS/cm],ea (kJ/mol),operator,batch,log_conductivity_sd",
        f"{NASICON},1200,298.15,0.45,28.1,,p1,0.05",
        f"{NASICON},1250,298.15,0.55,,Bob,,",
    )
    added = add(path, lab="KIT", operator="Ann", instrument="EIS 1", made_on="2026-02-01", home=home)
    assert (added.n_new, added.n_completed, added.n_same) == (2, 0, 0)
    assert added.ids == ("lab-2026-02-01-1", "lab-2026-02-01-2")
    first, second = lab_samples(home)
    assert (first.meas_temp_c, first.conductivity_s_cm, first.sinter_temp_c) == (25.0, 4.5e-4, 1200.0)
    assert first.ea_ev == pytest.approx(0.29124, rel=1e-4)
    assert (first.lab, first.operator, first.instrument, first.made_on) == ("KIT", "Ann", "EIS 1", "2026-02-01")
    assert (second.operator, second.family, second.value_origin) == ("Bob", "nasicon", "measured")
    assert [sample.paper_id for sample in (first, second)] == ["lab:KIT", "lab:KIT"]
    assert [sample.group_id for sample in (first, second)] == ["lab:KIT:p1", "lab:KIT:2026-02"]


def test_own_results_stay_apart_from_the_shipped_tables(stored: Path) -> None:
    shipped = {sample.sample_id for sample in load_table("literature")}
    assert not shipped & {sample.sample_id for sample in lab_samples(stored)}


def test_a_part_measured_later_completes_the_sample(stored: Path, table: Callable[..., Path]) -> None:
    path = table("sample_id,strength [MPa],conductivity_s_cm", "A,95,4.5e-4")
    added = add(path, operator="Bob", made_on="2026-03-01", home=stored)
    assert (added.n_new, added.n_completed, added.ids) == (0, 1, ("A",))
    (sample,) = lab_samples(stored)
    assert (sample.conductivity_s_cm, sample.strength_mpa) == (4.5e-4, 95.0)
    assert (sample.operator, sample.made_on) == ("Ann", "")
    assert [event.author for event in history("A", home=stored)] == ["Ann", "Bob"]


def test_another_value_is_refused_with_both_and_with_the_way_to_amend(stored: Path, table: Callable[..., Path]) -> None:
    path = table("sample_id,strength_mpa,conductivity_s_cm", "A,,4.5e-4", "A,90,", "A,95,")
    message = (
        r"line 4, column 2 \('strength_mpa'\): The sample 'A' has '90' stored as 'strength_mpa' and the file gives "
        "'95'; amend it, or give another measurement a sample_id of its own"
    )
    with pytest.raises(TableError, match=message):
        add(path, home=stored)
    assert "strength_mpa" not in _values(stored)


@pytest.mark.parametrize("between", ["nothing", "amended", "retracted"])
def test_the_same_file_twice_adds_nothing(between: str, table: Callable[..., Path], home: Path) -> None:
    path = table("sample_id,formula,strength_mpa", f"A,{NASICON},90", f",{NASICON},80", f",{NASICON},80")
    first = add(path, lab="KIT", home=home)
    assert first.n_new == 3
    for sample_id in first.ids if between != "nothing" else ():
        if between == "amended":
            amend(sample_id, {"strength_mpa": "91"}, "typing error", "Ann", home=home)
        else:
            retract(sample_id, "cracked", "Ann", home=home)
    before = lab_samples(home)
    again = add(path, lab="KIT", home=home)
    assert (again.n_new, again.n_completed, again.n_same, again.ids) == (0, 0, 3, first.ids)
    assert lab_samples(home) == before


def test_equal_rows_of_two_laboratories_are_two_samples(table: Callable[..., Path], home: Path) -> None:
    path = table("formula,strength_mpa", f"{NASICON},80")
    add(path, lab="KIT", home=home)
    assert add(path, lab="FZJ", home=home).n_new == 1


def test_an_identifier_of_another_laboratory_is_refused(stored: Path, table: Callable[..., Path]) -> None:
    with pytest.raises(TableError, match=r"line 2, column 1 .*'A' is a sample of the laboratory 'KIT'; use another"):
        add(table("sample_id,strength_mpa", "A,90"), lab="FZJ", home=stored)


def test_failed_samples_are_records_and_returned_on_request(table: Callable[..., Path], home: Path) -> None:
    path = table(
        "sample_id,formula,label,outcome,outcome_note",
        f"A,{NASICON},,ok,",
        f"B,{NASICON},,second phase,ZrO2 in XRD",
        ",,pellet of May,cracked,",
    )
    assert add(path, home=home).n_new == 3
    assert [sample.sample_id for sample in lab_samples(home)] == ["A"]
    assert [sample.outcome for sample in lab_samples(home, include_failed=True)] == ["ok", "second_phase", "cracked"]


@pytest.mark.parametrize(
    ("head", "row", "message"),
    [
        (
            "label,outcome",
            "x,ok",
            r"column 1 \('label'\): The formula is missing; only a failed sample that has a label",
        ),
        ("formula,outcome", ",melted", r"The formula is missing"),
        ("formula,outcome", f"{NASICON},exploded", r"column 2 \('outcome'\): .*allowed is one of ok, cracked, melted"),
        ("formula,made_on", f"{NASICON},01.02.2026", r"column 2 \('made_on'\): '01\.02\.2026' is no day of the past"),
        ("formula,made_on", f"{NASICON},2026-02-30", r"'2026-02-30' is no day of the past"),
        ("formula,made_on", f"{NASICON},2999-01-01", r"'2999-01-01' is no day of the past"),
        ("formula,ea_sd_ev", f"{NASICON},0.1", r"column 2 .*An uncertainty needs its value; fill 'ea \[eV\]' too"),
        ("formula,sample_id", f"{NASICON},lit-0001", r"column 2 .*'lit-0001' cannot be an identifier"),
        ("formula,sample_id", f"{NASICON},-x", r"'-x' cannot be an identifier"),
        ("formula,rel_density_pct,porosity_pct", f"{NASICON},90,30", r"column 3 .*contradict each other"),
        ("formula,meas_temp_k", f"{NASICON},5000", r"column 2 .*'4726\.85'; allowed is .* \(written as '5000'\)"),
    ],
)
def test_a_record_that_cannot_be_is_refused_with_its_cell(
    head: str, row: str, message: str, table: Callable[..., Path], home: Path
) -> None:
    with pytest.raises(TableError, match=r"The table 'results\.csv', line 2, " + r".*" + message):
        add(table(head, row), home=home)
    assert not home.exists()


def test_today_is_a_day_on_which_a_sample_may_be_made(table: Callable[..., Path], home: Path) -> None:
    today = datetime.now(UTC).date()
    add(table("formula", NASICON), made_on=today.isoformat(), home=home)
    with pytest.raises(InputError, match="is no day of the past"):
        add(table("formula", NASICON), made_on=(today + timedelta(days=3)).isoformat(), home=home)


@pytest.mark.parametrize(
    ("head", "row", "note"),
    [
        ("formula", "Na3.8Zr2Si2.4P0.6O12", "the formula is not charge balanced: charge +0.4"),
        ("formula,meas_temp_c,conductivity_s_cm", f"{NASICON},25,2", "a conductivity of 2 S/cm is above that of any"),
        ("formula,ea_ev", f"{NASICON},2", "an activation energy of 2 eV is unusual"),
        ("formula,sinter_temp_c", f"{NASICON},1.2", "a sintering temperature of 1.2 °C is unusual"),
        ("formula,phase", f"{NASICON},crystalline", "there is no result yet"),
    ],
)
def test_what_is_odd_is_kept_and_pointed_at(
    head: str, row: str, note: str, table: Callable[..., Path], home: Path
) -> None:
    added = add(table(head, row), home=home)
    assert added.n_new == 1
    assert any("'results.csv', line 2" in said and note in said for said in added.notes)


def test_a_column_may_be_left_out_by_name_only(table: Callable[..., Path], home: Path) -> None:
    path = table("formula,furnace", f"{NASICON},B")
    with pytest.raises(TableError, match="has no column 'oven' to leave out"):
        add(path, ignored=["oven"], home=home)
    assert add(path, ignored=["furnace"], home=home).n_new == 1


def test_a_trial_stores_nothing_and_says_the_same(table: Callable[..., Path], home: Path) -> None:
    path = table("sample_id,formula,strength_mpa", f"A,{NASICON},90", f"B,{NASICON},80")
    trial = add(path, is_dry_run=True, home=home)
    assert not home.exists()
    assert trial == add(path, home=home)
    more = table("sample_id,formula,strength_mpa", f"C,{NASICON},90")
    before = store_path(home).read_bytes()
    assert add(more, is_dry_run=True, home=home).n_new == 1
    assert store_path(home).read_bytes() == before


# ---------------------------------------------------------------- changing


def test_an_amended_sample_keeps_its_history(stored: Path) -> None:
    event = amend("A", {"conductivity [mS/cm]": "0.5", "label": "disc 3"}, "wrong thickness", "Ann", home=stored)
    assert lab_samples(stored)[0].conductivity_s_cm == 5e-4
    old, new = history("A", home=stored)
    assert new == event
    assert (old.cells["conductivity_s_cm"], new.cells["conductivity_s_cm"]) == ("0.00045", "0.0005")
    assert (new.action, new.author, new.reason) == ("amend", "Ann", "wrong thickness")
    amend("A", {"label": ""}, "not needed", "Ann", home=stored)
    assert "label" not in _values(stored)


def test_a_retracted_sample_is_out_of_use_but_not_forgotten(stored: Path, table: Callable[..., Path]) -> None:
    retract("A", "was lithium", "Ann", home=stored)
    assert lab_samples(stored, include_failed=True) == ()
    assert [event.action for event in history("A", home=stored)] == ["add", "retract"]
    with pytest.raises(InputError, match=r"'A' was retracted on 20\d\d-\d\d-\d\d; add it under another name"):
        retract("A", "again", "Ann", home=stored)
    with pytest.raises(TableError, match=r"line 2, column 1 .*'A' was retracted; use another identifier"):
        add(table("sample_id,strength_mpa", "A,90"), home=stored)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conductivity": "0.5"}, r"column 'conductivity_s_cm': '0.5' has no unit"),
        ({"conductivity_s_cm": "4.5e-4"}, r"has these values already; nothing was changed"),
        ({"meas_temp_c": ""}, r"A conductivity needs the temperature"),
        ({"formula": "Na3("}, r"bracket that is never closed"),
        ({"sample_id": "B"}, r"'sample_id' cannot be amended"),
        ({"doi": "10.1/x"}, r"'doi' cannot be amended"),
        ({"strngth": "1"}, r"'strngth' is not known; did you mean 'strength \[MPa\]'"),
        ({"strength_mpa": "1", "strength [GPa]": "1"}, r"gives the column 'strength_mpa' twice"),
        ({"strength_mpa": "9999"}, r"'9999'; allowed is"),
        ({}, r"names no column"),
    ],
    ids=str,
)
def test_a_change_that_cannot_be_is_refused(changes: dict[str, str], message: str, stored: Path) -> None:
    before = store_path(stored).read_bytes()
    with pytest.raises(InputError, match=message):
        amend("A", changes, "reason", "Ann", home=stored)
    assert store_path(stored).read_bytes() == before


@pytest.mark.parametrize(("reason", "author"), [("", "Ann"), ("x", " "), ("a\nb", "Ann"), ("x" * 501, "Ann")])
def test_a_change_needs_a_reason_and_an_author(reason: str, author: str, stored: Path) -> None:
    for change in (lambda: retract("A", reason, author, home=stored),
                   lambda: amend("A", {"strength_mpa": "1"}, reason, author, home=stored)):  # fmt: skip
        with pytest.raises(InputError, match=r"The (reason|author) of a change is .* 1 to 500 printable characters"):
            change()


def test_a_sample_that_is_not_there_cannot_be_changed_and_makes_no_store(home: Path) -> None:
    with pytest.raises(InputError, match=r"has no sample 'A'; `nascreen data mine` lists them"):
        retract("A", "x", "Ann", home=home)
    assert not home.exists()
    assert lab_samples(home) == ()


@pytest.mark.parametrize("statement", ["UPDATE events SET record = '{}'", "DELETE FROM events"])
def test_events_are_only_ever_appended(statement: str, stored: Path) -> None:
    connection = sqlite3.connect(store_path(stored))
    with pytest.raises(sqlite3.IntegrityError, match="events are never"):
        connection.execute(statement)
    connection.close()


_STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "amend", "retract"]), st.sampled_from("AB"), st.integers(1, 3)), max_size=12
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_no_step_changes_the_history_before_it(
    steps: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    past: dict[str, tuple[lab.Event, ...]] = {"A": (), "B": ()}
    for action, sample_id, value in steps:
        try:
            if action == "add":
                (folder / "a.csv").write_text(f"sample_id,formula,strength_mpa\n{sample_id},{NASICON},{value}\n")
                add(folder / "a.csv", home=folder)
            elif action == "amend":
                amend(sample_id, {"strength_mpa": str(value)}, "reason", "Ann", home=folder)
            else:
                retract(sample_id, "reason", "Ann", home=folder)
        except InputError:
            pass
        for name, before in past.items():
            now = history(name, home=folder)
            assert now[: len(before)] == before
            assert len(now) <= len(before) + (name == sample_id)
            past[name] = now
    current = {sample.sample_id for sample in lab_samples(folder)}
    assert current == {name for name, events in past.items() if events and events[-1].action != "retract"}


# ---------------------------------------------------------------- accidents


def test_an_error_at_any_row_stores_nothing(
    stored: Path, table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table("formula,strength_mpa", *(f"{NASICON},{n}" for n in range(1, 30)))
    write, n_written = lab._write, []

    def fail(*arguments: object) -> None:
        n_written.append(1)
        if len(n_written) == 20:
            raise KeyboardInterrupt
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lab, "_write", fail)
    with pytest.raises(KeyboardInterrupt):
        add(path, home=stored)
    monkeypatch.undo()
    assert len(lab_samples(stored)) == 1
    assert add(path, home=stored).n_new == 29


def test_a_process_killed_before_the_end_stores_nothing(stored: Path, table: Callable[..., Path]) -> None:
    path = table(
        "formula,label,structure,strength_mpa", *(f"{NASICON},{'x' * 499},{'y' * 499},{n}" for n in range(1, 2000))
    )
    code = (
        "import os, signal, sys; from pathlib import Path; from nascreen import lab; "
        "lab._end = lambda connection, is_kept: os.kill(os.getpid(), signal.SIGKILL); "
        "lab.add(Path(sys.argv[1]), home=Path(sys.argv[2]))"
    )
    before = store_path(stored).read_bytes()
    done = subprocess.run([sys.executable, "-c", code, str(path), str(stored)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    # The accident is one only if something had reached the disk.
    assert len(list(stored.iterdir())) == 2
    assert store_path(stored).read_bytes() != before
    assert [sample.sample_id for sample in lab_samples(stored)] == ["A"]
    assert add(path, home=stored).n_new == 1999


@pytest.fixture
def locked(stored: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(lab, "LOCK_WAIT_S", 0.05)
    connection = sqlite3.connect(store_path(stored), isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    yield stored
    connection.execute("ROLLBACK")
    connection.close()


def test_a_store_in_use_says_so(locked: Path, table: Callable[..., Path]) -> None:
    with pytest.raises(TableError, match=r"cannot be written \(database is locked\); another process is writing, try"):
        add(table("formula", NASICON), home=locked)


def test_a_full_disk_says_so_and_stores_nothing(
    stored: Path, table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = lab._connect

    def small(path: Path, mode: str) -> sqlite3.Connection:
        connection = connect(path, mode)
        connection.execute("PRAGMA max_page_count=8")
        return connection

    monkeypatch.setattr(lab, "_connect", small)
    with pytest.raises(TableError, match=r"cannot be written \(database or disk is full\); nothing was stored"):
        add(table("formula,label", *(f"{NASICON},{'x' * 400}" for _ in range(200))), home=stored)
    monkeypatch.undo()
    assert len(lab_samples(stored)) == 1


def test_a_folder_that_cannot_be_made_says_so(table: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(TableError, match=r"cannot be written \(.*\); nothing was stored"):
        add(table("formula", NASICON), home=tmp_path / "file" / "home")


def test_a_read_only_store_says_so(stored: Path, table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    connect = lab._connect
    monkeypatch.setattr(lab, "_connect", lambda path, _mode: connect(path, "ro"))
    with pytest.raises(TableError, match=r"cannot be written \(attempt to write a readonly database\); nothing was"):
        add(table("formula", NASICON), home=stored)
    assert len(lab_samples(stored)) == 1


@pytest.mark.parametrize("kind", ["text", "cut", "another database", "bad record", "record out of bounds"])
def test_a_damaged_store_is_refused_in_one_sentence(kind: str, stored: Path) -> None:
    path = store_path(stored)
    if kind == "text":
        path.write_bytes(b"no database at all" * 300)
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        if kind == "another database":
            path.unlink()
        connection = sqlite3.connect(path)
        if kind == "another database":
            connection.execute("CREATE TABLE events (x)")
        else:
            record = "no json" if kind == "bad record" else '{"sample_id": "A", "ea_ev": "99"}'
            connection.execute(
                "INSERT INTO events (sample_id, time, action, author, reason, source, fingerprint, record) "
                "VALUES ('A', '', 'amend', '', '', '', '', ?)", (record,))  # fmt: skip
        connection.commit()
        connection.close()
    with pytest.raises(IntegrityError, match=r"damaged|is not a store of nascreen") as caught:
        lab_samples(stored)
    assert "\n" not in str(caught.value)


def test_two_processes_that_add_at_once_lose_nothing(table: Callable[..., Path], home: Path) -> None:
    code = "import sys, pathlib as p; from nascreen.lab import add; add(p.Path(sys.argv[1]), home=p.Path(sys.argv[2]))"
    paths = [
        table(
            "sample_id,formula,strength_mpa", *(f"{name}{n},{NASICON},{n}" for n in range(1, 200)), name=f"{name}.csv"
        )
        for name in "ab"
    ]
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), str(home)]) for path in paths]
    assert [process.wait(60) for process in running] == [0, 0]
    assert len(lab_samples(home)) == 398


def test_a_thousand_rows_are_added_within_seconds(table: Callable[..., Path], home: Path) -> None:
    path = table("formula,meas_temp_c,conductivity [mS/cm]", *(f"{NASICON},25,0.{n}" for n in range(1000, 2000)))
    started = time.perf_counter()
    assert add(path, home=home).n_new == 1000
    assert time.perf_counter() - started < 10


# ---------------------------------------------------------------- folder, template, command


@pytest.mark.parametrize(
    ("settings_", "folder"),
    [
        ({"NASCREEN_HOME": "/a/b"}, "/a/b"),
        ({"XDG_DATA_HOME": "/x"}, "/x/nascreen"),
        ({"HOME": "/h"}, "/h/.local/share/nascreen"),
        ({"NASCREEN_HOME": "/a/b", "XDG_DATA_HOME": "/x"}, "/a/b"),
    ],
    ids=str,
)
def test_the_folder_of_own_data_is_the_one_asked_for(
    settings_: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NASCREEN_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings_.items():
        monkeypatch.setenv(name, value)
    assert user_folder() == Path(folder)


@pytest.mark.parametrize("name", ["own.csv", "own.xlsx"])
def test_a_filled_template_can_be_added(name: str, tmp_path: Path, home: Path) -> None:
    path = tmp_path / name
    write_template(path)
    with pytest.raises(TableError, match="has no rows below its head"):
        add(path, home=home)
    cells = {"sample_id": "A", "formula": NASICON, "meas_temp_c": 25, "conductivity_s_cm": 4.5e-4, "outcome": "ok"}
    row = [cells.get(column, "") for column in TEMPLATE_COLUMNS]
    if name.endswith("csv"):
        with path.open("a", encoding="utf-8") as file:
            file.write(",".join(map(str, row)) + "\r\n")
    else:
        book = load_workbook(path)
        book.active.append(row)
        book.save(path)
    assert add(path, home=home).n_new == 1
    assert lab_samples(home)[0].conductivity_s_cm == 4.5e-4
    with pytest.raises(TableError, match="exists already; name a new file"):
        write_template(path)


def test_a_template_of_another_kind_or_without_a_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"'a\.ods' must end in \.csv or \.xlsx"):
        write_template(tmp_path / "a.ods")
    with pytest.raises(TableError, match=r"cannot be written: No such file or directory\."):
        write_template(tmp_path / "none" / "a.csv")


def test_columns_of_own_results_are_columns_of_samples() -> None:
    assert set(TEMPLATE_COLUMNS) <= OWN_COLUMNS <= COLUMN_BY_NAME.keys()
    assert all(read_heading(column).column == column for column in OWN_COLUMNS)
    assert {name for name in OWN_COLUMNS if not hasattr(Sample(), name)} == set()


def _say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["nascreen", "data", *words])
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_commands_add_change_and_show_own_results(
    table: Callable[..., Path], home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASCREEN_HOME", str(home))
    path = str(table("sample_id;formula;meas_temp [°C];conductivity [mS/cm]", f"A;{NASICON};25;0,45"))
    code, out, err = _say(capsys, monkeypatch, "add", path, "--dry-run")
    assert (code, out) == (0, "1 new samples, 0 completed, 0 known already; nothing stored (dry run)\n")
    assert err.splitlines() == [
        "nascreen: The table 'results.csv' is read as separated by semicolons.",
        "nascreen: Numbers of the table 'results.csv' are read with decimal commas.",
    ]
    code, out, _ = _say(capsys, monkeypatch, "add", path, "--lab", "KIT", "--operator", "Ann", "--date", "2026-02-01")
    assert (code, out) == (0, f"1 new samples, 0 completed, 0 known already; kept in {home / 'lab.db'}\n")
    code, out, _ = _say(
        capsys, monkeypatch, "amend", "A", "--set", "strength [GPa]=0.09", "--reason", "new", "--by", "Bob"
    )
    assert (code, out) == (0, "A amended\n")
    code, out, _ = _say(capsys, monkeypatch, "show", "A")
    assert code == 0
    assert re.search(r"amend  by Bob; new\n  strength_mpa: \(empty\) -> 90\n", out)
    code, out, _ = _say(capsys, monkeypatch, "mine")
    assert out.splitlines()[1:] == [f"A  lab:KIT:2026-02  {NASICON}; 4.50e-04 S/cm; 90 MPa"]
    assert _say(capsys, monkeypatch, "retract", "A", "--reason", "broke", "--by", "Bob")[:2] == (0, "A retracted\n")
    assert "retract  by Bob; broke" in _say(capsys, monkeypatch, "mine", "A")[1]
    assert _say(capsys, monkeypatch, "mine")[1].startswith("0 samples in ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("add none.csv", "The table 'none.csv' cannot be opened: No such file or directory."),
        ("add results.csv --sheet x", "is text and has no sheet 'x'; leave the sheet out."),
        ("add results.csv --date tomorrow", "'tomorrow' is no day of the past; write it as YYYY-MM-DD."),
        ("add results.csv --ignore oven", "has no column 'oven' to leave out."),
        ("amend A --set strength --reason x --by y", "is not column=value, each column once."),
        ("amend A --set ea_ev=1 --set ea_ev=2 --reason x --by y", "is not column=value, each column once."),
        ("amend A --set ea_ev=1 --reason x --by y", "Your own data has no sample 'A'"),
        ("retract A --reason x --by y", "Your own data has no sample 'A'"),
        ("mine A", "Your own data has no sample 'A'"),
        ("template a.txt", "must end in .csv or .xlsx."),
    ],
    ids=str,
)
def test_what_the_commands_cannot_do_is_one_sentence(
    words: str, sentence: str, table: Callable[..., Path], home: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("NASCREEN_HOME", str(home))
    monkeypatch.chdir(table("formula", NASICON).parent)
    code, out, err = _say(capsys, monkeypatch, *words.split())
    assert (code, out) == (2, "")
    assert err.startswith("nascreen: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert not home.exists()


def test_a_row_shown_is_looked_for_in_own_results_last(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASCREEN_HOME", str(home))
    assert "No row has the identifier 'A'" in _say(capsys, monkeypatch, "show", "A")[2]
    assert not home.exists()


def test_reading_own_results_loads_no_spreadsheet_library() -> None:
    code = "import sys, nascreen.lab, nascreen.tables; sys.exit(bool({'openpyxl', 'defusedxml'} & sys.modules.keys()))"
    folder = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env={**os.environ}, check=False)
    assert done.returncode == 0


def test_every_refusal_is_an_error_of_nascreen() -> None:
    assert issubclass(lab._FaultError, NascreenError)
