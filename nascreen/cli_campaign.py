"""The `nascreen campaign` commands: ask what to measure next, tell what came out."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nascreen.errors import InputError, IntegrityError, shown

if TYPE_CHECKING:
    from nascreen.campaigns import Campaign, Experiment

campaign_app = typer.Typer(
    help="Campaigns: ask for the next experiments, tell their results, for years.", no_args_is_help=True
)

STORE = Annotated[
    str,
    typer.Option("--store", envvar="NASCREEN_STORE", help="Address of the store, such as sqlite:///lab.db."),
]
NAME = Annotated[str, typer.Option("--name", help="Name of the campaign; not needed where the store holds one.")]
BY = Annotated[str, typer.Option("--by", help="Who does it, for the history.")]
ID = Annotated[int, typer.Argument(help="Id of the suggestion.")]
DEFAULT = "sqlite:///campaigns.db"
_TOLD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=\s*([-+0-9.eE]+)(?:\s*(?:±|\+-)\s*([-+0-9.eE]+))?")


def _opened(store: str, name: str) -> Campaign:
    from nascreen.campaigns import Campaign

    return Campaign.open(store, name)


@campaign_app.command("new")
def campaign_new(
    file: Annotated[Path, typer.Argument(help="TOML file of the campaign.")],
    store: Annotated[str, typer.Option("--store", envvar="NASCREEN_STORE", help="Instead of the file's store.")] = "",
    by: BY = "",
) -> None:
    """Make a campaign from its TOML file."""
    from nascreen.campaign_files import create_from_file

    campaign, url = create_from_file(file, store, by)
    wanted = ", ".join(f"{o.mode} {o.name}" for o in campaign.settings.objectives)
    print(f"The campaign {campaign.name} over {len(campaign.pool):,} candidates ({wanted}) is kept in {url}")
    print(f"next: nascreen campaign ask 4 --store {url} --name {campaign.name}")


@campaign_app.command("ask")
def campaign_ask(
    n: Annotated[int, typer.Argument(help="How many suggestions.")] = 1,
    store: STORE = DEFAULT,
    name: NAME = "",
    key: Annotated[str | None, typer.Option("--key", help="Names the request; the same again gives the same.")] = None,
    fix: Annotated[list[str] | None, typer.Option("--fix", help="Such as sinter_temp_c=1100; may be repeated.")] = None,
    forbid: Annotated[str | None, typer.Option("--forbid", help="Filter of what must not be suggested.")] = None,
    prefer: Annotated[str | None, typer.Option("--prefer", help="Filter of what to take while there is any.")] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", help="New sheet for the results, with recipes.")] = None,
    by: BY = "",
) -> None:
    """Ask what to measure next; every suggestion with its reasons and what it was checked against."""
    from nascreen.campaign_files import check_place, write_batch

    campaign = _opened(store, name)
    if xlsx is not None:
        check_place(xlsx)
    fixed = _fixed(campaign, fix or [])
    batch = campaign.ask(n, request_key=key, fixed=fixed, forbid=forbid, prefer=prefer, author=by)
    if xlsx is not None:  # before anything is printed, since whoever reads along may close the pipe
        write_batch(campaign, batch, xlsx)
    for one in batch:
        _print_experiment(campaign, one)
    if len(batch) < n:
        print(f"The rules leave {len(batch)} of the {n} asked for.", file=sys.stderr)
    if xlsx is not None:
        print(f"\nFill in {xlsx}, then: nascreen campaign tell --xlsx {xlsx}")


def _fixed(campaign: Campaign, texts: Sequence[str]) -> dict[str, Any]:
    """Return fixed values, each as the type that its column has."""
    fixed: dict[str, Any] = {}
    for text in texts:
        column, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not column or column in fixed:
            raise InputError(f"--fix is {shown(text)}; write each column once, such as --fix sinter_temp_c=1100")
        cells = campaign.pool.columns.get(column, ())
        fixed[column] = next((cell for cell in cells if _is_written(value, cell)), value)
    return fixed


def _is_written(text: str, cell: object) -> bool:
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return cell is not None and str(cell) == text
    try:
        return float(text) == cell
    except ValueError:
        return False


def _print_experiment(campaign: Campaign, one: Experiment) -> None:
    print(f"\n#{one.id}  {campaign.pool.words(one.values)}")
    for reason in one.reasons:
        print(f"   {reason}")
    if one.checks:
        print(f"   Checked: it {'; it '.join(one.checks)}.")


@campaign_app.command("tell")
def campaign_tell(
    suggestion: Annotated[int | None, typer.Argument(help="Id of the suggestion.")] = None,
    results: Annotated[
        list[str] | None, typer.Argument(help="Such as log_conductivity=-2.7 or 'log_conductivity=-2.7±0.05'.")
    ] = None,
    store: STORE = DEFAULT,
    name: NAME = "",
    xlsx: Annotated[Path | None, typer.Option("--xlsx", help="Sheet that ask wrote, filled in.")] = None,
    note: Annotated[str, typer.Option("--note", help="What was seen.")] = "",
    by: BY = "",
) -> None:
    """Tell results: of one suggestion, or of a filled sheet, all of it or nothing."""
    if (suggestion is None) == (xlsx is None):
        raise InputError("Give either the id and results, such as: nascreen campaign tell 12 log_conductivity=-2.7, or "
                         "--xlsx FILE.")  # fmt: skip
    campaign = _opened(store, name)
    if xlsx is not None:
        from nascreen.campaign_files import tell_batch

        for one in tell_batch(campaign, xlsx, by):
            print(_told_line(campaign, one))
    elif suggestion is not None:
        values, error = _told(results or [])
        print(_told_line(campaign, campaign.tell(suggestion, values, error, author=by, note=note)))


def _told(texts: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    values: dict[str, float] = {}
    error: dict[str, float] = {}
    for text in texts:
        match = _TOLD.fullmatch(text.strip())
        try:
            numbers = [float(part) for part in match.groups()[1:] if part is not None] if match else []
        except ValueError:
            numbers = []
        if match is None or not numbers or match[1] in values:
            raise InputError(f"The result is {shown(text)}; write each property once, such as log_conductivity=-2.7 or "
                             "'log_conductivity=-2.7±0.05'.")  # fmt: skip
        values[match[1]] = numbers[0]
        error |= dict.fromkeys([match[1]] * len(numbers[1:]), numbers[-1])
    return values, error


def _told_line(campaign: Campaign, one: Experiment) -> str:
    results = [campaign.value_text(name, value) for name, value in one.results.items()]
    missing = [name for name in campaign.settings.properties if name not in one.results]
    parts = [*results, *([f"failed ({one.failure})"] if one.status == "failed" else [])]
    later = f"; still to come: {', '.join(missing)}" if missing and one.status == "told" else ""
    return f"#{one.id} {one.status}: {', '.join(parts)}{later}"


@campaign_app.command("fail")
def campaign_fail(
    suggestion: ID,
    reason: Annotated[str, typer.Argument(help="Such as cracked.")],
    store: STORE = DEFAULT,
    name: NAME = "",
    by: BY = "",
) -> None:
    """Say that a sample failed; the campaign learns where samples succeed."""
    one = _opened(store, name).fail(suggestion, reason, by)
    print(f"#{one.id} failed: {one.failure}")


@campaign_app.command("abandon")
def campaign_abandon(
    suggestion: ID,
    reason: Annotated[str, typer.Argument(help="Why it is given back.")] = "",
    store: STORE = DEFAULT,
    name: NAME = "",
    by: BY = "",
) -> None:
    """Give a suggestion back unmade, so that it may be handed out again."""
    one = _opened(store, name).abandon(suggestion, reason, by)
    print(f"#{one.id} abandoned")


@campaign_app.command("correct")
def campaign_correct(
    suggestion: ID,
    results: Annotated[
        list[str] | None, typer.Argument(help="Such as log_conductivity=-2.9 or 'log_conductivity=-2.9±0.05'.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; needed.")] = "",
    by: BY = "",
    withdraw: Annotated[list[str] | None, typer.Option("--withdraw", help="Property told by mistake.")] = None,
    store: STORE = DEFAULT,
    name: NAME = "",
) -> None:
    """Replace told results; the former ones stay in the history with author and reason."""
    values, error = _told(results or [])
    if twice := values.keys() & set(withdraw or []):
        raise InputError(f"The property {shown(min(twice))} is both corrected and withdrawn; do one of them.")
    wanted = {**values, **dict.fromkeys(withdraw or [])}
    campaign = _opened(store, name)
    print(_told_line(campaign, campaign.correct(suggestion, wanted, error, author=by, reason=reason)))


@campaign_app.command("reopen")
def campaign_reopen(
    suggestion: ID,
    reason: Annotated[str, typer.Option("--reason", help="Why; needed.")] = "",
    by: BY = "",
    store: STORE = DEFAULT,
    name: NAME = "",
) -> None:
    """Take back a failure or an abandonment that was said by mistake."""
    one = _opened(store, name).reopen(suggestion, author=by, reason=reason)
    print(f"#{one.id} {one.status} again")


@campaign_app.command("attach")
def campaign_attach(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX with columns of the pool and of properties.")],
    store: STORE = DEFAULT,
    name: NAME = "",
    by: BY = "",
) -> None:
    """Add samples made before, all of the table or nothing."""
    attached = _opened(store, name).attach(file, author=by)
    print(f"{len(attached)} past samples are part of the campaign")


@campaign_app.command("show")
def campaign_show(
    suggestion: Annotated[int | None, typer.Argument(help="Only this suggestion, with its reasons.")] = None,
    store: STORE = DEFAULT,
    name: NAME = "",
    html: Annotated[Path | None, typer.Option("--html", help="Page with pictures.")] = None,
) -> None:
    """Show a campaign: what was asked and told, the best, and pictures."""
    campaign = _opened(store, name)
    if suggestion is not None:
        one = campaign.experiment(suggestion)
        _print_experiment(campaign, one)
        print(f"   {_told_line(campaign, one)}")
    else:
        _print_campaign(campaign)
    if html is not None:
        from nascreen.campaign_figures import write_figures

        write_figures(campaign, html)
        print(f"Pictures: {html.resolve()}")


def _print_campaign(campaign: Campaign) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{campaign.name}: {len(campaign.pool):,} candidates", title_justify="left")
    for head in ("#", "candidate", *campaign.settings.properties, "status"):
        table.add_column(head, overflow="fold")
    for one in campaign.experiments():
        results = [_result_text(one, name) for name in campaign.settings.properties]
        end = f"{one.status}{f': {one.failure}' if one.failure else ''}{' (past)' if one.is_attached else ''}"
        table.add_row(str(one.id), campaign.pool.words(one.values), *results, end)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    several = len(campaign.settings.objectives) > 1
    best = campaign.pareto() if several else tuple(filter(None, [campaign.best()]))
    if best:
        print(f"{'front' if several else 'best'}: {', '.join(f'#{one.id}' for one in best)}")


def _result_text(one: Experiment, name: str) -> str:
    if name not in one.results:
        return ""
    return f"{one.results[name]:.4g}" + (f" ± {one.error[name]:.2g}" if name in one.error else "")


@campaign_app.command("outlook")
def campaign_outlook(
    n: Annotated[int, typer.Argument(help="Size of the next batch.")] = 4,
    store: STORE = DEFAULT,
    name: NAME = "",
    gain: Annotated[float | None, typer.Option("--gain", help="Gain of which the probability is wanted.")] = None,
) -> None:
    """Say what the next batch is expected to gain."""
    print(_opened(store, name).outlook(n, gain))


@campaign_app.command("export")
def campaign_export(
    out: Annotated[Path | None, typer.Argument(help="File ending in .csv or .json.")] = None,
    store: STORE = DEFAULT,
    name: NAME = "",
    optuna: Annotated[str, typer.Option("--optuna", help="Storage for a study, such as sqlite:///optuna.db.")] = "",
) -> None:
    """Write everything that was asked and told as a table, as JSON with reasons, or as an Optuna study."""
    if (out is None) == (not optuna):
        raise InputError("Give either a file ending in .csv or .json, or --optuna sqlite:///optuna.db")
    campaign = _opened(store, name)
    if out is not None:
        campaign.export(out)
        print(f"{len(campaign.experiments())} suggestions written to {out}")
    else:
        campaign.export_optuna(optuna)
        print(f"The study {campaign.name} is written; open it with: optuna-dashboard {optuna}")


@campaign_app.command("backup")
def campaign_backup(
    out: Annotated[Path, typer.Argument(help="New file for the copy.")], store: STORE = DEFAULT
) -> None:
    """Copy a store while others may use it."""
    from nascreen.backups import backup

    print(f"The store is copied to {backup(store, out)}")


@campaign_app.command("restore")
def campaign_restore(
    file: Annotated[Path, typer.Argument(help="File that backup made.")],
    store: Annotated[str, typer.Option("--store", help="Address of the new store.")],
) -> None:
    """Make a store from a backup; an existing one is never overwritten."""
    from nascreen.backups import restore

    restore(file, store)
    print(f"The store {store} is made from {file}")


@campaign_app.command("check")
def campaign_check(store: STORE = DEFAULT) -> None:
    """Check a store: its pages, its references, and its promises."""
    from nascreen.backups import check

    faults = check(store)
    if faults:
        raise IntegrityError(
            f"The store has {len(faults)} faults, of which the first is: {faults[0]} Restore a backup."
        )
    print(f"The store {store} is sound")
