"""Campaigns over HTTP: those of one store kept open between requests, and how they stand as plain values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from nascreen import campaign_files as files
from nascreen.campaigns import Campaign, Constraint, Experiment, Objective, Options
from nascreen.database import Database
from nascreen.errors import BusyError, ConflictError, InputError, TableError, UnknownNameError, shown
from nascreen.goals import holds_all, is_log, result_heading, unit_of
from nascreen.history import NAME, State, Value, checked_number, checked_text
from nascreen.outcomes import experiment_of, experiment_values, export_columns, export_json, export_rows, merits_of
from nascreen.own_rows import OwnRows, parted, read_own_rows
from nascreen.pools import MAX_COLUMNS, space_names
from nascreen.spreadsheets import Limits
from nascreen.store import Store
from nascreen.tables import table_text
from nascreen.wire_campaign import (
    MOST_CELLS,
    MOST_OPEN,
    MOST_SHEET_ROWS,
    MOST_UNPACKED,
    MOST_UNPACKED_OTHER,
    MOST_WORKBOOK_CELLS,
    AskIn,
    CampaignIn,
    PoolIn,
)

LOCK_WAIT_S = 5.0
"""How long a request waits for a store that another program has locked; less than a request may take."""

MOST_KEPT = 8
MOST_KEPT_CANDIDATES = 200_000
_SHEET_LIMITS = Limits(
    n_rows=MOST_SHEET_ROWS, n_columns=2 * MAX_COLUMNS, n_unpacked=MOST_UNPACKED, n_other=MOST_UNPACKED_OTHER,
    n_cells=MOST_WORKBOOK_CELLS,
)  # fmt: skip


class OpenCampaigns:
    """The campaigns of one store, each with its candidates in memory while it is in use.

    What happened is always read from the store, which other programs may write, replace or delete meanwhile.
    """

    def __init__(self, url: str) -> None:
        """Name a store, which need not exist yet."""
        self.store = Store(Database(url, LOCK_WAIT_S))
        self._kept: OrderedDict[str, tuple[tuple[int, str], Campaign]] = OrderedDict()
        self._lock = threading.Lock()
        self._drawing = threading.Lock()

    def campaign(self, name: str) -> Campaign:
        """Return a campaign.

        Raises:
            UnknownNameError: If there is none of this name; the others are not named.
            ConflictError: If it was made by another program.
            StoreError: If the store cannot be read.
        """
        unknown = UnknownNameError(f"There is no campaign {shown(name)}; POST /v1/campaigns makes one.")
        if not NAME.fullmatch(name) or not self._has_store():
            raise unknown
        try:
            made = self.store.made(name)
        except UnknownNameError as error:
            raise unknown from error
        with self._lock:
            kept = self._kept.get(name)
        campaign = kept[1] if kept and kept[0] == made else Campaign(self.store, name)
        self._keep(name, made, campaign)
        return campaign

    def _keep(self, name: str, made: tuple[int, str], campaign: Campaign) -> None:
        with self._lock:
            self._kept[name] = made, campaign
            self._kept.move_to_end(name)
            while len(self._kept) > 1 and self._is_too_much():
                self._kept.popitem(last=False)

    def _is_too_much(self) -> bool:
        n_candidates = sum(len(campaign.pool) for _, campaign in self._kept.values())
        return len(self._kept) > MOST_KEPT or n_candidates > MOST_KEPT_CANDIDATES

    def _has_store(self) -> bool:
        try:
            self.store.database.prepare(create=False)
        except UnknownNameError:
            return False
        return True

    def create(self, given: CampaignIn, author: str) -> Campaign:
        """Make a campaign, and the store where there is none.

        Raises:
            InputError: If the pool or an option cannot be used.
            UnknownNameError: If there is no such space.
            ConflictError: If there is a campaign of this name.
            BusyError: If another one is being drawn of a space.
            StoreError: If the store cannot be written.
        """
        if self._has_store() and given.name in self.store.campaigns():  # before a space is drawn for nothing
            raise ConflictError(f"The campaign {given.name!r} exists already; open it, or choose another name.")
        objectives = [Objective(one.property, one.mode, one.target) for one in given.objectives]
        options = _options(given, author)
        past: Sequence[Mapping[str, Value]] = ()
        with self._source(given.pool) as source:
            pool = source
            if isinstance(source, OwnRows):
                own = parted(source, _properties(given), given.kinds)
                pool, past, options["kinds"] = own.pool, own.past, own.kinds
            made = Campaign.create(self.store, given.name, pool, objectives, **options)
        if past:
            made.attach(past, author=author)
        return self.campaign(made.name)

    @contextmanager
    def _source(self, pool: PoolIn) -> Iterator[object]:
        """Yield what a pool is read from: rows, or the name of a space that ships, never a file."""
        if pool.csv is not None:
            yield read_own_rows(pool.csv)
            return
        if pool.rows is not None:
            yield checked_rows(pool.rows)
            return
        if pool.space not in space_names():
            raise UnknownNameError(
                f"There is no space {shown(pool.space)}; there are {', '.join(space_names())}, or give rows."
            )
        if not self._drawing.acquire(blocking=False):
            raise BusyError("Another campaign is being drawn of a space; ask again in a moment.")
        try:
            yield pool.space
        finally:
            self._drawing.release()

    def summaries(self) -> list[dict[str, Any]]:
        """Return the campaigns in the order of their making; none where there is no store yet.

        Raises:
            StoreError: If the store cannot be read.
        """
        return [_summary(self.store.state(name)) for name in self.store.campaigns()] if self._has_store() else []


def _properties(given: CampaignIn) -> list[str]:
    wanted, held = [o.property for o in given.objectives], [c.property for c in given.constraints]
    return [*wanted, *held, *given.measure]


def _options(given: CampaignIn, author: str) -> Options:
    limits = [Constraint(one.property, one.at_least, one.at_most) for one in given.constraints]
    return {
        "constraints": limits, "measure": given.measure, "shared": given.shared, "distinct": given.distinct,
        "cost": given.cost, "units": given.units, "prior": given.prior, "goal": given.goal, "engine": given.engine,
        "seed": given.seed, "kinds": given.kinds, "n": given.n, "author": author,
    }  # fmt: skip


def _summary(state: State) -> dict[str, Any]:
    counts = {f"n_{status}": sum(s.status == status for s in state.suggestions) for status in _COUNTED}
    settings = state.configuration.get("settings", {})  # a campaign of another program has none
    objectives = [_objective(one) for one in settings.get("objectives", ())]
    return {"name": state.campaign, "n_candidates": state.n_candidates, **counts, "objectives": objectives}


_COUNTED = ("pending", "told", "failed")


def _objective(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"property": one["name"], "mode": one["mode"], "target": one["target"]}


# ---------------------------------------------------------------- what comes


def checked_rows(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Value]]:
    """Return rows in which every cell is a finite number, a printable text, a Boolean or None.

    Raises:
        TableError: If they would be too large as a table.
        InputError: If a cell is something else; the message names column and row.
    """
    columns = {name for row in rows for name in row}
    if len(rows) * len(columns) > MOST_CELLS:
        raise TableError(
            f"The {len(rows):,} rows have {len(columns):,} columns; allowed are {MOST_CELLS:,} cells, empty ones with "
            "them, so leave out rows or columns."
        )
    for place, row in enumerate(rows, start=1):
        for name, cell in row.items():
            _check_cell(cell, name, f"of row {place}")
    return list(rows)


def _check_cell(cell: object, name: str, where: str) -> None:
    if isinstance(cell, str):
        checked_text(cell, f"column {shown(name)} {where}")
    elif cell is not None and not isinstance(cell, bool):
        checked_number(cell, f"column {shown(name)} {where}")


def ask(campaign: Campaign, given: AskIn, request_key: str | None, author: str) -> tuple[Experiment, ...]:
    """Return what to measure next.

    Args:
        campaign: The campaign.
        given: How many, and by which rules.
        request_key: Names the request; the same key again gives the same answer.
        author: Who asks.

    Raises:
        InputError: If a rule cannot be used, or leaves nothing.
        ConflictError: If the key belongs to another request, or too many suggestions are open.
        StoreError: If the store cannot be written.
    """
    for name, value in given.fixed.items():
        _check_cell(value, name, "that is fixed")
        has_flags = any(isinstance(cell, bool) for cell in campaign.pool.columns.get(name, ()))
        if isinstance(value, bool) and not has_flags:  # TRUE would be taken for 1
            raise InputError(f"The column {shown(name)} is fixed at {str(value).lower()}; give a value that it holds.")
    state = campaign.state()
    is_new = request_key is None or all(s.request_key != request_key for s in state.suggestions)
    if is_new and len(state.pending) + given.n > MOST_OPEN:
        raise ConflictError(f"The campaign has {len(state.pending):,} open suggestions, and {given.n} more are asked "
                            f"for; allowed are {MOST_OPEN:,}, so tell, fail or abandon some first.")  # fmt: skip
    return campaign.ask(
        given.n, request_key=request_key, fixed=given.fixed, forbid=given.forbid, prefer=given.prefer, author=author
    )


def sheet(campaign: Campaign, ids: Sequence[int]) -> bytes:
    """Return a sheet to be filled in, of some suggestions, or of all that are being made where none is named.

    Raises:
        UnknownNameError: If there is no suggestion of an id.
        InputError: If nothing is being made.
    """
    known = {one.id: one for one in campaign.experiments()}
    if missing := [number for number in ids if number not in known]:
        raise UnknownNameError(f"There is no suggestion {missing[0]} in the campaign {campaign.name!r}; check the id.")
    batch = [known[number] for number in ids] or [one for one in known.values() if one.status == "pending"]
    if not batch:
        raise InputError(f"Nothing is being made in the campaign {campaign.name!r}; ask first, or name ids.")
    return files.batch_sheet(campaign, batch)


def tell_sheet(campaign: Campaign, data: bytes, kind: str, author: str) -> tuple[Experiment, ...]:
    """Store what a filled sheet says, all of it or nothing; the same sheet again adds nothing.

    Args:
        campaign: The campaign.
        data: Bytes of the file.
        kind: What it is said to be, ``xlsx`` or ``csv``.
        author: Who tells.

    Raises:
        TableError: If the file cannot be read, or a cell cannot be used; the message names it.
        ConflictError: If another value is stored, or a suggestion has ended.
        StoreError: If the store cannot be written.
    """
    return files.tell_sheet(campaign, f"batch.{kind}", data, author, _SHEET_LIMITS)


# ---------------------------------------------------------------- what is answered


def one_experiment(campaign: Campaign, one: Experiment) -> dict[str, Any]:
    """Return an experiment as plain values, with its candidate in words."""
    return {**experiment_values(one), "words": campaign.pool.words(one.values)}


def campaign_values(campaign: Campaign) -> dict[str, Any]:
    """Return a campaign as it stands."""
    settings, state = campaign.settings, campaign.state()
    experiments = [experiment_of(campaign.pool, s) for s in state.suggestions]
    best = campaign.best() if len(settings.objectives) == 1 else None
    return {
        "name": campaign.name,
        "settings": _settings_values(campaign),
        "properties": [
            {"name": name, "unit": unit_of(name, settings.units), "heading": result_heading(name, settings.units),
             "is_log": is_log(name)}
            for name in settings.properties
        ],
        "columns": [{"name": name, "kind": campaign.pool.kinds[name]} for name in campaign.pool.visible],
        "n_candidates": len(campaign.pool),
        "experiments": [one_experiment(campaign, one) for one in experiments],
        "best": [best.id] if best else [],
        "pareto": [one.id for one in campaign.pareto()],
        "progress": progress_values(campaign, state),
    }  # fmt: skip


def _settings_values(campaign: Campaign) -> dict[str, Any]:
    record = campaign.settings.record()
    limits = [{"property": c.name, "at_least": c.lower, "at_most": c.upper} for c in campaign.settings.constraints]
    return {
        **record, "objectives": [_objective(one) for one in record["objectives"]], "constraints": limits,
        # A campaign made by command may come from a space's file, whose folder is nobody's business.
        "space": Path(campaign.pool.space).name,
    }  # fmt: skip


def progress_values(campaign: Campaign, state: State) -> list[dict[str, Any]]:
    """Return the best value of each objective after each told result of one, in the order of telling.

    A sample that failed or breaks a constraint, as it stands now, is told and no best one.
    """
    objectives = {o.name: o for o in campaign.settings.objectives}
    told = sorted((result.told, s.id, name) for s in state.suggestions for name, result in s.results.items())
    found = {s.id: experiment_of(campaign.pool, s) for s in state.suggestions if s.results}
    best: dict[str, float] = {}
    steps: list[dict[str, Any]] = []
    for number, results in groupby(told, key=lambda one: one[1]):
        one, names = found[number], [name for _, _, name in results if name in objectives]
        if names and one.status == "told" and holds_all(one.results, campaign.settings):
            best |= {name: _better(objectives[name], best.get(name), one.results[name]) for name in names}
        if names:
            steps.append({"n": len(steps) + 1, "best": dict(best)})
    return steps


def _better(objective: Objective, former: float | None, value: float) -> float:
    if former is None:
        return value
    merits = merits_of([{objective.name: former}, {objective.name: value}], [objective])[:, 0]
    return value if merits[1] > merits[0] else former


def outlook_values(campaign: Campaign, n: int, gain: float | None) -> dict[str, Any]:
    """Return what the next batch promises, see `Campaign.outlook`."""
    return {"outlook": [asdict(promise) for promise in campaign.outlook(n, gain)]}


def export_text(campaign: Campaign, kind: str) -> str:
    """Return everything that was asked and told as ``csv`` or ``json``."""
    experiments = campaign.experiments()
    if kind == "json":
        return export_json(experiments)
    header = export_columns(campaign.pool, campaign.settings)
    return table_text(header, export_rows(experiments, campaign.pool, campaign.settings))
