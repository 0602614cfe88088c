"""The `nascreen data` commands for a laboratory's own results."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nascreen.errors import InputError, shown

if TYPE_CHECKING:
    from nascreen.lab import Event

lab_app = typer.Typer()

REASON = Annotated[str, typer.Option("--reason", help="Why, for the history.")]
BY = Annotated[str, typer.Option("--by", help="Who changes it.")]
OWN = Annotated[str, typer.Argument(help="Identifier of one of your own samples.")]
MOST_NOTES = 20


@lab_app.command("add")
def data_add(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX file with your own results.")],
    lab: Annotated[str, typer.Option("--lab", help="Laboratory, for rows that do not name it.")] = "",
    operator: Annotated[str, typer.Option("--operator", help="Who made or measured the samples.")] = "",
    instrument: Annotated[str, typer.Option("--instrument", help="Instrument that measured them.")] = "",
    date: Annotated[str, typer.Option("--date", help="Day on which they were made, as YYYY-MM-DD.")] = "",
    sheet: Annotated[str | None, typer.Option("--sheet", help="Sheet of a workbook; the first if left out.")] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="Column to leave out; may be repeated.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and store nothing.")] = False,
) -> None:
    """Add your own results from a table, all of it or nothing."""
    from nascreen.lab import add, store_path

    added = add(
        file, lab=lab, operator=operator, instrument=instrument, made_on=date, sheet_name=sheet, ignored=ignore or (),
        is_dry_run=dry_run,
    )  # fmt: skip
    for note in added.notes[:MOST_NOTES]:
        print(f"nascreen: {note}", file=sys.stderr)
    if len(added.notes) > MOST_NOTES:
        print(f"nascreen: {len(added.notes) - MOST_NOTES} more such notes.", file=sys.stderr)
    done = "nothing stored (dry run)" if dry_run else f"kept in {store_path()}"
    print(f"{added.n_new} new samples, {added.n_completed} completed, {added.n_same} known already; {done}")


@lab_app.command("amend")
def data_amend(
    sample_id: OWN,
    changes: Annotated[
        list[str], typer.Option("--set", help="Column and new value, as 'strength [MPa]=95'; may be repeated.")
    ],
    reason: REASON,
    by: BY,
) -> None:
    """Change values of one of your own samples; the old ones stay in its history."""
    from nascreen.lab import amend

    parts = [change.partition("=") for change in changes]
    wrong = next((change for change, (_, sign, _) in zip(changes, parts, strict=True) if not sign), None)
    names = [name.strip() for name, _, _ in parts]
    if wrong is not None or len(set(names)) < len(names):
        raise InputError(f"The change {shown(wrong or changes)} is not column=value, each column once.")
    amend(sample_id, {name: text for name, (_, _, text) in zip(names, parts, strict=True)}, reason, by)
    print(f"{sample_id} amended")


@lab_app.command("retract")
def data_retract(sample_id: OWN, reason: REASON, by: BY) -> None:
    """Take one of your own samples out of use; it stays in the history."""
    from nascreen.lab import retract

    retract(sample_id, reason, by)
    print(f"{sample_id} retracted")


@lab_app.command("mine")
def data_mine(
    sample_id: Annotated[str | None, typer.Argument(help="Show the history of this one.")] = None,
) -> None:
    """List your own samples, or the history of one."""
    from nascreen.lab import history, lab_samples, store_path

    if sample_id is not None:
        events = history(sample_id)
        if not events:
            raise InputError(f"Your own data has no sample {shown(sample_id)}; `nascreen data mine` lists them.")
        print("\n".join(_history_lines(events)))
        return
    samples = lab_samples(include_failed=True)
    print(f"{len(samples)} samples in {store_path()}")
    for sample in samples:
        values = [
            sample.formula or sample.label,
            "" if sample.conductivity_s_cm is None else f"{sample.conductivity_s_cm:.2e} S/cm",
            "" if sample.ea_ev is None else f"{sample.ea_ev:.3f} eV",
            "" if sample.strength_mpa is None else f"{sample.strength_mpa:g} MPa",
            "" if sample.outcome in ("", "ok") else sample.outcome,
        ]
        print(f"{sample.sample_id}  {sample.group_id}  {'; '.join(filter(None, values))}")


def _history_lines(events: Iterable[Event]) -> Iterable[str]:
    before: dict[str, str] = {}
    for event in events:
        told = (event.source, f"by {event.author}" if event.author else "", event.reason)
        yield f"{event.time}  {event.action}  {'; '.join(filter(None, told))}".rstrip()
        for name in {**before, **event.cells}:
            old, new = before.get(name, ""), event.cells.get(name, "")
            if old != new:
                yield f"  {name}: {old or '(empty)'} -> {new or '(empty)'}" if before else f"  {name}: {new}"
        before = dict(event.cells)


def print_own_sample(sample_id: str) -> bool:
    """Print one of the user's own samples with its history; return whether there is one."""
    from nascreen.lab import history, store_path

    events = history(sample_id)
    if not events:
        return False
    print(f"{sample_id} in your own data, {store_path()}")
    print("\n".join(_history_lines(events)))
    return True


@lab_app.command("template")
def data_template(file: Annotated[Path, typer.Argument(help="New file ending in .csv or .xlsx.")]) -> None:
    """Write an empty table for your own results, with every column and its unit."""
    from nascreen.lab import TEMPLATE_COLUMNS, write_template

    write_template(file)
    print(f"{len(TEMPLATE_COLUMNS)} columns written to {file}")
