"""Promises of the campaign commands: a file makes a campaign, a sheet goes out and comes back, slips are placed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from nascreen import cli
from nascreen.campaign_files import create_from_file, read_batch, tell_batch, write_batch
from nascreen.campaigns import Campaign, Objective
from nascreen.errors import ConflictError, InputError, NascreenError, TableError

FILE = """\
name = "nzsp"
store = "sqlite:///{store}"
pool = "pool.csv"
cost = "cost_eur"
measure = ["shrinkage"]
seed = 1

[[objective]]
property = "log_conductivity"

[[constraint]]
property = "strength_mpa"
at_least = 40

[batch]
shared = ["sinter_temp_c"]

[columns]
powder = "label"

[units]
shrinkage = "mm"
"""
POOL = "formula,sinter_temp_c,powder,cost_eur\n" + "".join(
    f"{formula},{temp},P{i},{5 + i}\n"
    for i, (formula, temp) in enumerate(
        (formula, temp)
        for formula in ("Na3Zr2Si2PO12", "Na3.2Zr2Si2.2P0.8O12", "Na3.4Zr2Si2.4P0.6O12")
        for temp in (1100, 1200)
    )
)
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pool.csv").write_text(POOL, encoding="utf-8")
    (tmp_path / "c.toml").write_text(FILE.format(store="lab.db"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NASCREEN_STORE", "sqlite:///lab.db")
    return tmp_path


@pytest.fixture
def say(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nascreen", "campaign", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def campaign(folder: Path) -> Campaign:
    return create_from_file(folder / "c.toml")[0]


@pytest.fixture
def sheet(campaign: Campaign, folder: Path) -> Path:
    write_batch(campaign, campaign.ask(3), folder / "b.xlsx")
    return folder / "b.xlsx"


def _fill(path: Path, **cells: Any) -> None:
    book = load_workbook(path)
    for place, value in cells.items():
        book["batch"][place] = value
    book.save(path)


def _heads(path: Path) -> dict[str, str]:
    sheet = load_workbook(path)["batch"]
    return {str(cell.value): cell.column_letter for cell in sheet[1]}


# ---------------------------------------------------------------- the file


def test_a_campaign_is_what_its_file_says(campaign: Campaign) -> None:
    s = campaign.settings
    assert (s.objectives, s.properties) == (
        (Objective("log_conductivity"),),
        ("log_conductivity", "strength_mpa", "shrinkage"),
    )
    assert (s.constraints[0].lower, s.shared, s.cost, s.seed) == (40.0, ("sinter_temp_c",), "cost_eur", 1)
    assert s.units == {"shrinkage": "mm"}
    assert campaign.pool.inputs == ("formula", "sinter_temp_c")
    assert len(campaign.pool) == 6


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param(
            "seed = 1", "sede = 1", "c.toml has the key 'sede', which is not known; allowed are name, store", id="key"
        ),
        pytest.param("seed = 1", "seed = -1", "c.toml has seed = '-1'; allowed is a whole number from 0", id="seed"),
        pytest.param(
            'name = "nzsp"', "name = 3", "c.toml has name = '3'; allowed is text in quotation marks", id="name"
        ),
        pytest.param(
            'name = "nzsp"', 'name = "N Z"', "c.toml cannot be used: The name of a campaign is 'N Z'", id="name-form"
        ),
        pytest.param('pool = "pool.csv"', "", "c.toml has pool missing; allowed is text", id="missing"),
        pytest.param('pool = "pool.csv"', 'pool = "no.csv"', "c.toml cannot be used: .* cannot be opened", id="pool"),
        pytest.param(
            "at_least = 40", 'at_least = "40"', "constraint 1.at_least = '40'; allowed is a number", id="limit"
        ),
        pytest.param(
            "at_least = 40", "", "constraint 1.at_least missing; allowed is a number, unless at_most", id="no-limit"
        ),
        pytest.param(
            '["sinter_temp_c"]', '"sinter_temp_c"', "batch.shared = .*; allowed is a list of texts", id="shared"
        ),
        pytest.param(
            '["sinter_temp_c"]', '["furnace"]', "'shared' names 'furnace', which is no column", id="shared-name"
        ),
        pytest.param(
            'property = "log_conductivity"',
            'property = "x"\nmode = "up"',
            "objective 1.mode = 'up'; allowed is max, min",
            id="mode",
        ),
        pytest.param(
            'property = "log_conductivity"',
            'property = "x"\nmode = "target"',
            "objective 1.target missing",
            id="target",
        ),
        pytest.param("[[objective]]", "[objective]", "objective = .*; allowed is tables, each under", id="objective"),
        pytest.param("[units]", "[[units]]", "units = .*; allowed is a table, under", id="units"),
        pytest.param("prop", "prop = ", "c.toml is not TOML", id="toml"),
    ],
)
def test_a_slip_in_the_file_is_named_with_key_and_what_is_allowed(folder: Path, old: str, new: str, words: str) -> None:
    text = (folder / "c.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "c.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        create_from_file(folder / "c.toml")
    assert not (folder / "lab.db").exists()


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(TableError, match=r"campaign file 'no\.toml' cannot be read"):
        create_from_file(Path("no.toml"))


def test_the_python_of_the_readme_runs(folder: Path) -> None:
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    (block,) = [one for one in blocks if "Campaign.create" in one]
    exec(block, {})
    assert [one.status for one in Campaign.open("sqlite:///lab.db").experiments()] == [
        "told", "failed", "abandoned", "pending", "told",
    ]  # fmt: skip


# ---------------------------------------------------------------- the sheet


def test_the_sheet_locks_ids_and_values_and_leaves_results_open_with_units(sheet: Path) -> None:
    book = load_workbook(sheet)["batch"]
    heads = _heads(sheet)
    assert list(heads)[-8:] == [
        "conductivity [S/cm]", "± log_conductivity [decades]", "strength [MPa]", "± strength_mpa [MPa]",
        "shrinkage [mm]", "± shrinkage [mm]", "failure", "note",
    ]  # fmt: skip
    assert book.protection.sheet
    open_heads = {head for head, letter in heads.items() if not book[f"{letter}2"].protection.locked}
    assert open_heads == set(list(heads)[-8:])
    assert all(book[f"{letter}1"].protection.locked for letter in heads.values())
    assert [book[f"A{row}"].value for row in (2, 3, 4)] == [1, 2, 3]
    assert "Na2CO3" in book[f"{heads['recipe']}2"].value
    assert "log_conductivity" in book[f"{heads['predicted']}2"].value
    assert book[f"{heads['strength [MPa]']}2"].value is None


def test_a_filled_sheet_is_told_row_by_row_in_any_known_unit(sheet: Path, campaign: Campaign) -> None:
    h = _heads(sheet)
    _fill(sheet, **{f"{h['conductivity [S/cm]']}1": "conductivity [mS/cm]", f"{h['conductivity [S/cm]']}2": 2.0,
                    f"{h['± log_conductivity [decades]']}2": 0.05, f"{h['shrinkage [mm]']}2": "0.4 mm",
                    f"{h['failure']}4": "cracked", f"{h['note']}2": "white"})  # fmt: skip
    told = tell_batch(campaign, sheet, "Ann")
    assert [one.id for one in told] == [1, 3]
    assert told[0].results["log_conductivity"] == pytest.approx(-2.69897)
    assert (told[0].error, told[0].results["shrinkage"], told[0].note) == ({"log_conductivity": 0.05}, 0.4, "white")
    assert (told[1].status, told[1].failure) == ("failed", "cracked")
    n_events = len(campaign.history())
    tell_batch(campaign, sheet, "Ann")
    assert len(campaign.history()) == n_events
    # The strength comes a month later, in the same sheet.
    _fill(sheet, **{f"{h['strength [MPa]']}2": "0.09 GPa", f"{h['strength [MPa]']}1": "strength"})
    assert tell_batch(campaign, sheet)[0].results["strength_mpa"] == pytest.approx(90)


def test_a_sheet_of_told_suggestions_can_be_written_and_read_again(campaign: Campaign, folder: Path) -> None:
    batch = campaign.ask(2)
    campaign.tell(batch[0].id, {"log_conductivity": -3.217}, {"log_conductivity": 0.1})
    write_batch(campaign, [campaign.experiment(one.id) for one in batch], folder / "again.xlsx")
    n_events = len(campaign.history())
    tell_batch(campaign, folder / "again.xlsx")
    assert len(campaign.history()) == n_events


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        pytest.param({"A3": 77}, r"cell A3 \('id'\): there is no suggestion '77' in this campaign", id="unknown-id"),
        pytest.param({"A3": 1}, r"cell A3 \('id'\): the id 1 stands twice|cell C3", id="id-twice"),
        pytest.param(
            {"C2": 1350}, r"cell C2 \('sinter_temp_c'\): '1350' is not the .* of suggestion 1; restore it", id="value"
        ),
        pytest.param(
            {"H1": "conductivity [K]"},
            r"cell H1 .*has the unit 'K', which is not known; allowed are S/cm",
            id="head-unit",
        ),
        pytest.param(
            {"H2": "2 MPa"}, r"cell H2 .*has the unit 'MPa', which is not known; allowed are S/cm", id="cell-unit"
        ),
        pytest.param({"L1": "shrinkage [cm]"}, r"cell L1 .*the unit is 'cm'; allowed is 'mm'", id="own-unit"),
        pytest.param({"L2": "4 cm"}, r"cell L2 .*has the unit 'cm'; allowed is 'mm'", id="own-cell-unit"),
        pytest.param({"L2": "four"}, r"cell L2 .*'four' is no number", id="no-number"),
        pytest.param({"H2": "good"}, r"cell H2 ", id="no-quantity"),
        pytest.param({"H2": 2000}, r"cell H2 .*allowed is a number above 0 and up to 100 S/cm", id="bounds"),
        pytest.param(
            {"H1": "hardness [GPa]"},
            r"cell H1 .*no property of the campaign is named so; allowed are conduct",
            id="head",
        ),
        pytest.param({"H1": "strength [GPa]"}, r"cell J1 .*strength_mpa has a column already", id="twice"),
        pytest.param({"I2": 0.1}, r"cell I2 .*an uncertainty of log_conductivity needs its value", id="lone-error"),
        pytest.param({"H2": 0.001, "I2": -0.1}, r"cell I2 .*is below 0; give a standard deviation", id="negative"),
        pytest.param({}, "has no result and no failure; fill in a cell first", id="empty"),
    ],
)
def test_a_wrong_cell_is_named_and_nothing_of_the_sheet_is_stored(
    sheet: Path, campaign: Campaign, cells: dict[str, Any], words: str
) -> None:
    heads = _heads(sheet)
    assert (heads["sinter_temp_c"], heads["conductivity [S/cm]"], heads["shrinkage [mm]"]) == ("C", "H", "L")
    _fill(sheet, **({"H4": 0.002} if cells else {}), **cells)
    n_events = len(campaign.history())
    with pytest.raises(TableError, match=words):
        tell_batch(campaign, sheet)
    assert len(campaign.history()) == n_events


def test_a_value_that_contradicts_a_told_one_is_refused_with_all_of_its_sheet(sheet: Path, campaign: Campaign) -> None:
    campaign.tell(1, {"shrinkage": 0.3})
    _fill(sheet, L2=0.4, L3=0.2)
    with pytest.raises(ConflictError, match=r"suggestion 1 has 'shrinkage' = 0\.3 already, not 0\.4"):
        tell_batch(campaign, sheet)
    assert campaign.experiment(2).status == "pending"


def test_ends_that_contradict_the_stored_ones_are_refused_by_cell(sheet: Path, campaign: Campaign) -> None:
    campaign.abandon(1)
    campaign.fail(2, "cracked")
    _fill(sheet, N2="melted")
    with pytest.raises(TableError, match=r"cell N2 .*suggestion 1 was given back; reopen it first"):
        read_batch(campaign, sheet)
    _fill(sheet, N2=None, N3="melted")
    with pytest.raises(TableError, match=r"cell N3 .*has failed already \('cracked'\); reopen it"):
        read_batch(campaign, sheet)


def test_a_sheet_is_never_overwritten(sheet: Path, campaign: Campaign, folder: Path) -> None:
    with pytest.raises(TableError, match="exists already and may hold results"):
        write_batch(campaign, campaign.experiments(), sheet)
    with pytest.raises(TableError, match=r"must end in \.xlsx"):
        write_batch(campaign, campaign.experiments(), folder / "b.ods")
    with pytest.raises(TableError, match=r"folder of the sheet .* does not exist"):
        write_batch(campaign, campaign.experiments(), folder / "no" / "b.xlsx")


def test_text_that_looks_like_a_formula_of_a_spreadsheet_stays_text(folder: Path) -> None:
    table = {"powder": ["=1+1", "b", "=cmd()"], "x": [1, 2, 3]}
    campaign = Campaign.create("sqlite:///t.db", "t", table, [Objective("y")])
    batch = campaign.ask(3)
    write_batch(campaign, batch, folder / "t.xlsx")
    cells = [row[1] for row in load_workbook(folder / "t.xlsx")["batch"].iter_rows(min_row=2)]
    assert {cell.data_type for cell in cells} == {"s"}


# ---------------------------------------------------------------- the commands


def test_the_commands_take_a_campaign_from_its_file_to_a_backup(say: Say, folder: Path) -> None:
    code, out, _ = say("new", "c.toml", "--by", "Ann")
    assert (code, "over 6 candidates (max log_conductivity) is kept in sqlite:///lab.db" in out) == (0, True)
    code, out, _ = say(
        "ask", 2, "--fix", "sinter_temp_c=1200", "--forbid", 'powder = "P1"', "--xlsx", "b.xlsx", "--key", "mon"
    )
    assert code == 0
    assert re.findall(r"^#(\d)  formula .*sinter_temp_c 1200", out, flags=re.MULTILINE) == ["1", "2"]
    assert (
        "Checked: it is a candidate of the list; it is neither told nor being made; it has sinter_temp_c = 1200;" in out
    )
    assert (folder / "b.xlsx").exists()
    again = say("ask", 2, "--fix", "sinter_temp_c=1200", "--forbid", 'powder = "P1"', "--key", "mon")[1]
    assert again.count("\n#") == 2
    assert say("tell", 1, "log_conductivity=-3.1±0.05", "shrinkage=0.2")[1] == (
        "#1 told: log_conductivity -3.1, shrinkage 0.2 mm; still to come: strength_mpa\n"
    )
    assert say("fail", 2, "cracked")[1] == "#2 failed: cracked\n"
    assert say("reopen", 2, "--reason", "the other pellet cracked", "--by", "Ann")[1] == "#2 pending again\n"
    assert say("correct", 1, "log_conductivity=-3.2", "--reason", "wrong area", "--by", "Ann")[1].startswith(
        "#1 told: log_conductivity -3.2, shrinkage 0.2 mm"
    )
    assert say("correct", 1, "--withdraw", "shrinkage", "--reason", "wrong sample", "--by", "Ann")[1] == (
        "#1 told: log_conductivity -3.2; still to come: strength_mpa, shrinkage\n"
    )
    corrections = [e for e in Campaign.open("sqlite:///lab.db").history() if e.kind in {"corrected", "reopened"}]
    assert [(e.author, e.reason) for e in corrections] == [
        ("Ann", "the other pellet cracked"), ("Ann", "wrong area"), ("Ann", "wrong sample"),
    ]  # fmt: skip
    assert say("correct", 1, "log_conductivity=-3.1±0.05", "--reason", "right after all", "--by", "Ann")[0] == 0
    assert say("fail", 2, "cracked")[1] == "#2 failed: cracked\n"
    (folder / "past.csv").write_text(
        "formula,sinter_temp_c,log_conductivity\nNa3Zr2Si2PO12,1250,-3.6\n", encoding="utf-8"
    )
    assert say("attach", "past.csv")[1] == "1 past samples are part of the campaign\n"
    code, out, _ = say("show", "--html", "c.html")
    assert "-3.1 ± 0.05" in out
    assert "best: #1" in out
    assert (folder / "c.html").stat().st_size > 1e6
    assert "#1  formula" in say("show", 1)[1]
    assert "another batch of 2 is expected to gain" in say("outlook", 2)[1]
    asked = say("ask", 1)[1]
    assert say("abandon", re.findall(r"#(\d+)  ", asked)[0])[1].endswith("abandoned\n")
    assert say("export", "c.csv")[1] == "4 suggestions written to c.csv\n"
    assert "optuna-dashboard sqlite:///o.db" in say("export", "--optuna", "sqlite:///o.db")[1]
    assert say("backup", "copy.db")[0] == 0
    assert say("restore", "copy.db", "--store", "sqlite:///new.db")[0] == 0
    assert say("check", "--store", "sqlite:///new.db")[1] == "The store sqlite:///new.db is sound\n"
    assert "best: #1" in say("show", "--store", "sqlite:///new.db")[1]


def test_a_sheet_is_written_though_nobody_reads_what_is_printed(
    say: Say, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object) -> None:
        raise BrokenPipeError

    say("new", "c.toml")
    monkeypatch.setattr("nascreen.cli_campaign._print_experiment", closed)
    with pytest.raises(BrokenPipeError):
        say("ask", 1, "--xlsx", "b.xlsx")
    assert (folder / "b.xlsx").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["tell"], "Give either the id and results", id="nothing"),
        pytest.param(["tell", 1], "A call tells 1 to 1000 suggestions, with at least one result", id="no-result"),
        pytest.param(
            ["tell", 1, "log_conductivity"], "The result is 'log_conductivity'; write each property once", id="no-value"
        ),
        pytest.param(["tell", 1, "shrinkage=1e"], "The result is 'shrinkage=1e'", id="no-number"),
        pytest.param(["tell", 1, "density=1"], "is told 'density', which is no property", id="property"),
        pytest.param(["tell", 9, "shrinkage=1"], "There is no suggestion '9'", id="id"),
        pytest.param(
            ["ask", 1, "--fix", "sinter_temp_c"], "--fix is 'sinter_temp_c'; write each column once", id="fix"
        ),
        pytest.param(["ask", 1, "--fix", "sinter_temp_c=7"], "No candidate has 'sinter_temp_c = 7'", id="fix-value"),
        pytest.param(["ask", 1, "--forbid", "colour = 3"], "names colour, which is no column", id="forbid"),
        pytest.param(["ask", 1, "--xlsx", "b.csv"], "must end in .xlsx", id="xlsx"),
        pytest.param(["ask", 0], "asks for '0' candidates; allowed are 1 to 1000", id="n"),
        pytest.param(["correct", 1, "shrinkage=1"], "The author of a correction is", id="correct-author"),
        pytest.param(
            ["correct", 1, "shrinkage=1", "--withdraw", "shrinkage", "--by", "A", "--reason", "r"],
            "'shrinkage' is both corrected and withdrawn",
            id="correct-twice",
        ),
        pytest.param(
            ["correct", 1, "shrinkage=1", "--by", "A", "--reason", "r"],
            "has no 'shrinkage' to correct; tell it",
            id="correct-untold",
        ),
        pytest.param(
            ["correct", 1, "--by", "A", "--reason", "r"], "names no property; give at least", id="correct-none"
        ),
        pytest.param(["reopen", 1, "--by", "A", "--reason", "r"], "has not ended; there is nothing", id="reopen-open"),
        pytest.param(["reopen", 1, "--by", "A"], "The reason of a reopening is", id="reopen-reason"),
        pytest.param(["ask", 2, "--key", "k", "--fix", "sinter_temp_c=1100"], "belongs to an ask for 1", id="key-n"),
        pytest.param(
            ["ask", 1, "--key", "k", "--fix", "sinter_temp_c=1100"], "belongs to an ask with no rules", id="key-rules"
        ),
        pytest.param(["export"], "Give either a file ending in .csv or .json, or --optuna", id="export"),
        pytest.param(["show", "--name", "other"], "There is no campaign 'other'", id="name"),
        pytest.param(["show", "--store", "sqlite:///no.db"], "no.db", id="store"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_hands_out_nothing(
    say: Say, campaign: Campaign, words: list[object], message: str
) -> None:
    campaign.ask(1, request_key="k")
    code, _, err = say(*words)
    assert code in {1, 2}
    assert message in err
    assert "Traceback" not in err
    assert len(campaign.experiments()) == 1


def test_a_damaged_store_is_said_by_check(say: Say, campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nascreen.backups.check", lambda _: ("Row 3 is wrong.",))
    code, _, err = say("check")
    assert (code, err) == (
        1,
        "nascreen: The store has 1 faults, of which the first is: Row 3 is wrong. Restore a backup.\n",
    )
    assert issubclass(InputError, NascreenError)
