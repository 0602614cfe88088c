"""The store of campaigns: what was asked, told, failed and corrected, kept for years and never changed.

`open_store` gives a `Store`, whose docstring states its promises. All state is derived from events that are only
appended: a correction is one more event with author and reason.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import Row, Select, and_, func, insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError as UniquenessError

from nascreen.database import CAMPAIGNS, CANDIDATES, EVENTS, MIGRATIONS, Database, TakenError, utc_now
from nascreen.errors import ConflictError, InputError, RangeError, StoreError, UnknownNameError, shown
from nascreen.history import (
    MAX_BATCH,
    MAX_EXACT_INTEGER,
    NAME,
    Choice,
    Draft,
    Event,
    Outcome,
    Past,
    State,
    Suggestion,
    Value,
    Values,
    candidate_key,
    checked_text,
    checked_values,
    drafts_from,
    key_of_checked,
    payload_text,
    plain,
    result_payloads,
)

MAX_ATTACHED = 10_000
MAX_CANDIDATES = 1_000_000
MAX_KEY = 200
MAX_RULES = 10_000
MAX_ATTEMPTS = 1000
MAX_PAUSE_S = 0.02
_CHUNK_ROWS = 10_000
_EMPTY: Mapping[str, float] = MappingProxyType({})

Chooser = Callable[[State], Sequence[int | Choice]]


def _events() -> Select[Any]:
    """Select events in order, each with the values of its candidate at the end of the row."""
    same = and_(CANDIDATES.c.campaign_id == EVENTS.c.campaign_id, CANDIDATES.c.number == EVENTS.c.candidate)
    return select(EVENTS, CANDIDATES.c["values"]).select_from(EVENTS.outerjoin(CANDIDATES, same)).order_by(EVENTS.c.id)


# ---------------------------------------------------------------- steps within a transaction


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(
            f"The name of a campaign is {shown(name)}; allowed are 1 to 64 of a-z, 0-9, _ and -, beginning with a "
            "letter or a digit."
        )
    return name


def _whole(value: object) -> int | None:
    """Return a whole number, numpy's too; None for anything else."""
    number = None if isinstance(value, Mapping | list | tuple) else plain(value, "number")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _checked_count(n: object) -> int:
    count = _whole(n)
    if count is None or not 1 <= count <= MAX_BATCH:
        raise RangeError(f"A request asks for {shown(n)} candidates; allowed are 1 to {MAX_BATCH}.")
    return count


_ROW: Mapping[str, Any] = MappingProxyType(
    {
        "suggestion_id": None, "candidate": None, "candidate_key": None, "property": None, "request_key": None,
        "place": None, "turn": 0, "payload": "{}", "reason": "",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked for: its key, how many candidates, and by which rules, in words."""

    key: str
    n: int
    rules: str


class _Known:
    """What one process has read of a campaign so far; since rows never change, only new ones are read again."""

    def __init__(self) -> None:
        self.last: tuple[int, str] | None = None
        self.drafts: dict[int, Draft] = {}
        self.finished: dict[int, Suggestion] = {}
        self.note = ""

    def take_in(self, rows: Sequence[Row[Any]]) -> None:
        """Add further events, in order."""
        changed = drafts_from(rows, self.drafts)
        self.finished.update((number, self.drafts[number].finished()) for number in sorted(changed))
        for row in rows:
            self.last = row.id, row.time
            if row.kind == "noted" and row.suggestion_id is None:
                self.note = row.reason


class _Work:
    """One campaign within one transaction."""

    def __init__(self, connection: Connection, campaign: Row[Any], author: str = "") -> None:
        self.connection = connection
        self.campaign = campaign
        self.author = author
        self.of_campaign = EVENTS.c.campaign_id == campaign.id
        self.in_list = CANDIDATES.c.campaign_id == campaign.id

    # ------------------------------------------------------------ events

    def append(self, kind: str, **columns: Any) -> int:  # noqa: ANN401 - any column
        """Add an event and return its id."""
        common = {"campaign_id": self.campaign.id, "time": utc_now(), "author": self.author, "kind": kind}
        key = self.connection.execute(insert(EVENTS), {**_ROW, **common, **columns}).inserted_primary_key
        if key is None:
            raise StoreError("The store gave no number to a row; nothing was stored.")
        return int(key[0])

    def version(self) -> int:
        """Return the id of the last event."""
        return self.connection.execute(select(func.max(EVENTS.c.id)).where(self.of_campaign)).scalar() or 0

    def find(self, suggestion: object) -> Draft:
        """Return a suggestion of this campaign with all its events.

        Raises:
            UnknownNameError: If there is none of that id.
        """
        number = _whole(suggestion)
        if number is not None and 0 < number <= MAX_EXACT_INTEGER:
            # What happened to a suggestion has an id too, which is none of a suggestion.
            own = and_(EVENTS.c.id == number, EVENTS.c.suggestion_id.is_(None)) | (EVENTS.c.suggestion_id == number)
            drafts: dict[int, Draft] = {}
            drafts_from(self.connection.execute(_events().where(self.of_campaign, own)), drafts)
            if number in drafts:
                return drafts[number]
        raise UnknownNameError(
            f"There is no suggestion {shown(suggestion)} in the campaign {self.campaign.name!r}; check the id and the "
            "campaign."
        )

    def found(self, ids: Sequence[int]) -> dict[int, Draft]:
        """Return suggestions by id, each with all its events."""
        drafts: dict[int, Draft] = {}
        if ids:
            own = EVENTS.c.id.in_(ids) | EVENTS.c.suggestion_id.in_(ids)
            drafts_from(self.connection.execute(_events().where(own)), drafts)
        return drafts

    def batch(self, request_key: str) -> list[Draft]:
        """Return what a request handed out or attached, in order."""
        query = select(EVENTS.c.id).where(self.of_campaign, EVENTS.c.request_key == request_key)
        ids = self.connection.execute(query.order_by(EVENTS.c.place)).scalars().all()
        drafts = self.found(ids)
        return [drafts[i] for i in ids]

    def replayed(self, request: _Request) -> tuple[Suggestion, ...]:
        """Return what a request was given before; nothing where it is new.

        Raises:
            ConflictError: If the key belongs to another request.
        """
        drafts = self.batch(request.key)
        stored = json.loads(drafts[0].row.payload) if drafts else {}
        other = ""
        if drafts and stored.get("wanted") != request.n:
            other = f"an ask for {stored['wanted']}, not {request.n}" if "wanted" in stored else "attached samples"
        elif drafts and stored.get("rules", "") != request.rules:
            was, now = (shown(rules) if rules else "no rules" for rules in (stored.get("rules", ""), request.rules))
            other = f"an ask with {was}, not {now}"
        if other:
            raise ConflictError(f"The request key {shown(request.key)} belongs to {other}; choose a new key.")
        return tuple(draft.finished() for draft in drafts)

    # ------------------------------------------------------------ candidates

    def n_candidates(self) -> int:
        """Return the length of the list of candidates."""
        last = self.connection.execute(select(func.max(CANDIDATES.c.number)).where(self.in_list)).scalar()
        return 0 if last is None else last + 1

    def add_candidates(self, checked: Mapping[str, str]) -> None:
        """Fill the list of candidates, each by its key, in pieces."""
        numbered = enumerate(checked.items())
        while rows := [self.candidate_row(i, key, text) for i, (key, text) in islice(numbered, _CHUNK_ROWS)]:
            self.connection.execute(insert(CANDIDATES), rows)

    def candidate_row(self, number: int, key: str, written: str) -> dict[str, Any]:
        """Return the row of a candidate."""
        return {"campaign_id": self.campaign.id, "number": number, "key": key, "values": written}

    def number_of(self, key: str) -> int | None:
        """Return the number of the candidate with a key; None outside the list."""
        query = select(CANDIDATES.c.number).where(self.in_list, CANDIDATES.c.key == key)
        return self.connection.execute(query).scalar()

    def key_of(self, choice: Choice) -> str:
        """Return the key of a chosen candidate.

        Raises:
            InputError: If the choice is no candidate.
        """
        if isinstance(choice.candidate, Mapping):
            return candidate_key(choice.candidate)
        number = _whole(choice.candidate)
        query = select(CANDIDATES.c.key).where(self.in_list, CANDIDATES.c.number == number)
        key = None if number is None else self.connection.execute(query).scalar()
        if key is None:
            raise UnknownNameError(
                f"There is no candidate {shown(choice.candidate)}; give one of 0 to {self.n_candidates() - 1}, or its "
                "values."
            )
        return str(key)

    def number_of_choice(self, choice: Choice, key: str) -> int:
        """Return the number of a chosen candidate, adding it to the list where it is new."""
        number = self.number_of(key)
        if number is not None or not isinstance(choice.candidate, Mapping):
            return int(number or 0)
        number = self.n_candidates()
        row = self.candidate_row(number, *_candidate_texts(number, choice.candidate))
        self.connection.execute(insert(CANDIDATES), row)
        return int(row["number"])

    def free_turns(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the free ones of some keys, each with the number of times it was handed out and given back."""
        query = select(EVENTS.c.id).where(self.of_campaign, EVENTS.c.candidate_key.in_(keys))
        drafts = self.found(self.connection.execute(query).scalars().all()).values()
        taken = {draft.row.candidate_key for draft in drafts if draft.end != "abandoned"}
        turns = {key: 0 for key in keys if key not in taken}
        for draft in drafts:
            if draft.row.candidate_key in turns:
                turns[draft.row.candidate_key] += 1
        return turns

    def ask(self, request: _Request, choices: Mapping[str, Choice], turns: Mapping[str, int]) -> None:
        """Hand out candidates by key."""
        rules = {"rules": request.rules} if request.rules else {}
        for place, (key, choice) in enumerate(choices.items()):
            content = {"wanted": request.n, "batch": len(choices), **rules, "details": choice.details}
            payload = payload_text(content, "choice")
            self.append(
                "asked", candidate=self.number_of_choice(choice, key), candidate_key=key, request_key=request.key,
                place=place, turn=turns[key], payload=payload,
            )  # fmt: skip

    # ------------------------------------------------------------ results

    def tell(self, suggestion: object, payloads: Mapping[str, str]) -> bool:
        """Add results, each of which is new or the stored one, and return whether any is new."""
        draft = self.find(suggestion)
        new = {name: payload for name, payload in payloads.items() if not _is_stored(draft, name, json.loads(payload))}
        if new and draft.end:
            raise ConflictError(
                f"The suggestion {draft.row.id} has {draft.end} ({shown(draft.reason)}); reopen it to tell results."
            )
        for name, payload in new.items():
            self.append("told", suggestion_id=draft.row.id, property=name, payload=payload)
        return bool(new)

    def end(self, suggestion: object, kind: Literal["failed", "abandoned"], reason: str) -> bool:
        """End a suggestion, unless it has ended so already, and return whether this is new."""
        draft = self.find(suggestion)
        if (draft.end, draft.reason) == (kind, reason):
            return False
        if draft.end:
            raise ConflictError(
                f"The suggestion {draft.row.id} has {draft.end} already ({shown(draft.reason)}); reopen it to change "
                "that."
            )
        if kind == "abandoned":
            _check_unmade(draft)
        self.append(kind, suggestion_id=draft.row.id, turn=draft.n_ends, reason=reason)
        return True

    def take(self, outcome: Outcome, payloads: Mapping[str, str]) -> None:
        """Add what came of a suggestion; its note only with something new, so that the same again adds nothing."""
        is_new = bool(payloads) and self.tell(outcome.suggestion, payloads)
        if outcome.failure:
            is_new |= self.end(outcome.suggestion, "failed", outcome.failure)
        if is_new and outcome.note:
            self.append("noted", suggestion_id=self.find(outcome.suggestion).row.id, reason=outcome.note)

    def correct(self, draft: Draft, name: str, payload: str, reason: str) -> None:
        """Add a correction, unless it is the last one again."""
        stored, wanted = draft.results.get(name), json.loads(payload)
        if stored is None:
            raise ConflictError(f"The suggestion {draft.row.id} has no {shown(name)} to correct; tell it.")
        last = (stored.value, stored.error, stored.author, stored.reason)
        if last != (wanted["value"], wanted["error"], self.author, reason):
            self.append(
                "corrected", suggestion_id=draft.row.id, property=name, turn=stored.n_corrections + 1, payload=payload,
                reason=reason,
            )  # fmt: skip

    def attach(self, sample: _CheckedPast, digest: str, request: tuple[str, int]) -> None:
        """Add a past sample with its results.

        Args:
            sample: The sample.
            digest: Names the contents of the whole call.
            request: Key of the call, and the place of the sample in it.
        """
        key, content, results, failure = sample
        payload = payload_text({**content, "call": digest}, "past sample")
        suggestion = self.append(
            "attached", candidate=self.number_of(key), candidate_key=key, request_key=request[0], place=request[1],
            payload=payload,
        )  # fmt: skip
        for name, result in results.items():
            self.append("told", suggestion_id=suggestion, property=name, payload=result)
        if failure:
            self.append("failed", suggestion_id=suggestion, reason=failure)


def _candidate_texts(number: int, values: Values) -> tuple[str, str]:
    """Return key and written values of a candidate."""
    if number >= MAX_CANDIDATES:
        raise InputError(f"A campaign holds at most {MAX_CANDIDATES:,} candidates; narrow the list.")
    checked = checked_values(values, f"candidate {number}")
    return key_of_checked(checked), payload_text(checked, f"candidate {number}")


def _checked_candidates(candidates: Iterable[Values]) -> dict[str, str]:
    """Return the written values of candidates by key, in order.

    Raises:
        InputError: If one cannot be stored, or two are the same.
    """
    found: dict[str, str] = {}
    for number, values in enumerate(candidates):
        key, written = _candidate_texts(number, values)
        if key in found:
            other = list(found).index(key)
            raise InputError(
                f"The candidates {other} and {number} are the same ({shown(dict(values))}); keep one of them."
            )
        found[key] = written
    return found


_CheckedPast = tuple[str, dict[str, Any], dict[str, str], str]
"""Key and content of a past sample, the payloads of its results, and its failure."""


def _is_stored(draft: Draft, name: str, told: Mapping[str, Any]) -> bool:
    """Return whether a result stands as told.

    Raises:
        ConflictError: If another one stands.
    """
    stored = draft.results.get(name)
    if stored is None or (stored.value, stored.error) == (told["value"], told["error"]):
        return stored is not None
    how = f"since {stored.author} corrected it ({stored.reason})" if stored.n_corrections else "already"
    raise ConflictError(
        f"The suggestion {draft.row.id} has {shown(name)} = {_result_text(stored.value, stored.error)} {how}, not "
        f"{_result_text(told['value'], told['error'])}; correct it with author and reason where that is wrong."
    )


def _result_text(value: float | None, error: float | None) -> str:
    return "withdrawn" if value is None else f"{value!r}" if error is None else f"{value!r} ± {error!r}"


def _checked_outcome(outcome: Outcome) -> dict[str, str]:
    """Return the payloads of the results of an outcome, whose texts can be stored too."""
    checked_text(outcome.note, "note")
    checked_text(outcome.failure, "reason of a failure", is_needed=bool(outcome.failure))
    return result_payloads(outcome.values, outcome.error, f"suggestion {shown(outcome.suggestion)}")


def _checked_past(sample: Past, place: int) -> _CheckedPast:
    what = f"past sample {place + 1}"
    values = checked_values(sample.values, what)
    results = result_payloads(sample.results, sample.error, what)
    failure = checked_text(sample.failure, f"failure of {what}")
    if not results and not failure:
        raise InputError(f"The {what} has neither a result nor a failure; give one.")
    return candidate_key(values), {"values": values, "details": plain(sample.details, what)}, results, failure


def _check_unmade(draft: Draft) -> None:
    if draft.row.kind == "attached" or draft.finished().results:
        raise ConflictError(
            f"The suggestion {draft.row.id} has results and cannot be abandoned; withdraw them with a correction, or "
            "use fail."
        )


def _not_free(taken: Sequence[Choice]) -> ConflictError:
    if not taken:
        return ConflictError("The choice names a candidate twice; choose different ones.")
    return ConflictError(
        f"The candidate {shown(taken[0].candidate)} is handed out or attached already; choose from those not taken."
    )


def _checked_choices(chosen: Sequence[int | Choice], n: int) -> tuple[Choice, ...]:
    choices = tuple(c if isinstance(c, Choice) else Choice(c) for c in islice(chosen, max(10 * n, MAX_BATCH)))
    if not choices:
        raise InputError(
            "No candidate was chosen; all are handed out or ruled out, so widen the rules or abandon some."
        )
    for choice in choices:
        payload_text(choice.details, "notes of a choice")
    return choices


# ---------------------------------------------------------------- the store


class Store:
    """Campaigns in one database, with these promises, each with a test of its name.

    1. Durable: when a call returns, what it stored survives a kill, a restart and, on a disk that syncs when told
       to, a power cut.
    2. Whole: a batch is stored whole or not at all; a call that raises an error changed nothing.
    3. Idempotent: the same `tell` again is one row and no error; a different value for a told property is refused
       naming the stored one, as is a value that was corrected since; a repeated `reserve` with the same request
       key returns the same suggestions, and one with other options is refused; and so do `attach`, `fail`,
       `abandon`, `correct` and `set_note` return without a second row.
    4. Exclusive: no candidate is handed out twice unless abandoned, across threads, processes, machines and
       restarts. The database enforces it, the code only avoids hitting it.
    5. Partial: properties of one suggestion may be told one by one, in any order, months apart.
    6. Append-only: no row is ever changed or deleted; a correction is a new row with author and reason.
    7. Honest: a store that is locked, full, read-only, damaged, newer or out of reach says so in one sentence and
       stores nothing.
    8. Stable: the id of a suggestion never changes and is never given again.
    9. Exact: a value comes back as it was told, a whole number as a whole number; NaN and infinity are refused,
       and so is what exceeds 64 kB.
    10. Patient: the choice of candidates runs outside of any lock, however long it takes.

    A store object may be used from many threads, and by the children of a process that forks while none of its
    threads is in a call; it holds no connection between calls.
    """

    def __init__(self, database: Database) -> None:
        """Wrap a prepared database; use `open_store`."""
        self.database = database
        self._known: dict[int, _Known] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------ campaigns and candidates

    def create_campaign(
        self, name: str, configuration: Mapping[str, Any], candidates: Iterable[Values] = (), author: str = ""
    ) -> None:
        """Make a campaign with its list of candidates, numbered from 0 in the order given.

        Args:
            name: ``[a-z0-9][a-z0-9_-]{0,63}``.
            configuration: What the campaign has to remember, as JSON values, at most 64 kB.
            candidates: Values by column of each, at most 1,000,000; empty where the space is generated as it goes.
            author: Who makes it.

        Raises:
            InputError: If the name, the configuration or a candidate cannot be stored, or two candidates are the same.
            ConflictError: If there is a campaign of this name.
            StoreError: If the store cannot be written.
        """
        row = {
            "name": _checked_name(name), "time": utc_now(), "author": checked_text(author, "author"),
            "schema_version": len(MIGRATIONS), "configuration": payload_text(configuration, "configuration"),
        }  # fmt: skip
        taken = ConflictError(f"The campaign {name!r} exists already; open it, or choose another name.")
        checked = _checked_candidates(candidates)  # takes long, and locks nothing
        with self.database.writing() as connection:
            if connection.execute(select(CAMPAIGNS.c.id).where(CAMPAIGNS.c.name == name)).first():
                raise taken
            try:
                connection.execute(insert(CAMPAIGNS), row)
            except UniquenessError as error:
                raise taken from error
            _Work(connection, self._campaign(connection, name), author).add_candidates(checked)

    def campaigns(self) -> tuple[str, ...]:
        """Return the names of all campaigns, in the order of their creation."""
        with self.database.reading() as connection:
            return tuple(connection.execute(select(CAMPAIGNS.c.name).order_by(CAMPAIGNS.c.id)).scalars())

    def made(self, campaign: str) -> tuple[int, str]:
        """Return number and time of making of a campaign, which tell it from any other that ever has its name.

        Raises:
            UnknownNameError: If there is no such campaign.
        """
        with self._reading(campaign) as work:
            return work.campaign.id, work.campaign.time

    def candidates(self, campaign: str) -> Iterator[tuple[int, dict[str, Value]]]:
        """Yield number and values of every candidate of a campaign, in order, reading in pieces.

        Raises:
            UnknownNameError: If there is no such campaign.
        """
        last = -1
        while True:
            with self._reading(campaign) as work:
                query = select(CANDIDATES.c.number, CANDIDATES.c["values"]).order_by(CANDIDATES.c.number)
                query = query.where(work.in_list, CANDIDATES.c.number > last).limit(_CHUNK_ROWS)
                rows = work.connection.execute(query).all()
            if not rows:
                return
            last = rows[-1][0]
            yield from ((number, json.loads(values)) for number, values in rows)

    def _campaign(self, connection: Connection, name: str, *, is_locked: bool = False) -> Row[Any]:
        query = select(CAMPAIGNS).where(CAMPAIGNS.c.name == name)
        # PostgreSQL locks the row, so that writers to one campaign come in turn; SQLite has locked all already.
        row = connection.execute(query.with_for_update(key_share=True) if is_locked else query).first()
        if row is None:
            known = connection.execute(select(CAMPAIGNS.c.name).order_by(CAMPAIGNS.c.id).limit(20)).scalars().all()
            raise UnknownNameError(
                f"There is no campaign {shown(name)} in {shown(self.database.name)}; there is "
                f"{', '.join(known) or 'none'}."
            )
        return row

    @contextmanager
    def _reading(self, campaign: str) -> Iterator[_Work]:
        with self.database.reading() as connection:
            yield _Work(connection, self._campaign(connection, campaign))

    @contextmanager
    def _writing(self, campaign: str, author: str) -> Iterator[_Work]:
        checked_text(author, "author")
        with self.database.writing() as connection:
            yield _Work(connection, self._campaign(connection, campaign, is_locked=True), author)

    # ------------------------------------------------------------ reading

    def state(self, campaign: str) -> State:
        """Return what a campaign knows now.

        Raises:
            UnknownNameError: If there is no such campaign.
            StoreError: If the store cannot be read.
        """
        with self._reading(campaign) as work:
            return self._state(work)

    def _state(self, work: _Work) -> State:
        with self._lock:
            known = self._known.setdefault(work.campaign.id, _Known())
            first = known.last[0] if known.last else 0
            rows = work.connection.execute(_events().where(work.of_campaign, EVENTS.c.id >= first)).all()
            if known.last and (not rows or (rows[0].id, rows[0].time) != known.last):
                # Another file took the place of the one that was read.
                known = self._known[work.campaign.id] = _Known()
                rows = work.connection.execute(_events().where(work.of_campaign)).all()
            known.take_in(rows[1:] if known.last else rows)
            suggestions, version, note = tuple(known.finished.values()), known.last, known.note
        return State(
            campaign=work.campaign.name,
            configuration=json.loads(work.campaign.configuration),
            n_candidates=work.n_candidates(),
            version=version[0] if version else 0,
            suggestions=suggestions,
            note=note,
        )

    def history(self, campaign: str, since: int = 0) -> tuple[Event, ...]:
        """Return the events of a campaign in order.

        Args:
            campaign: Name of the campaign.
            since: Only events with a larger id.

        Raises:
            UnknownNameError: If there is no such campaign.
        """
        with self._reading(campaign) as work:
            query = select(EVENTS).where(work.of_campaign, EVENTS.c.id > since).order_by(EVENTS.c.id)
            return tuple(
                Event(
                    row.id, row.time, row.author, row.kind, row.suggestion_id, row.candidate, row.property,
                    row.request_key, json.loads(row.payload), row.reason,
                )
                for row in work.connection.execute(query)
            )  # fmt: skip

    # ------------------------------------------------------------ asking

    def reserve(
        self, campaign: str, request_key: str, choose: Chooser, n: int, author: str = "", *, rules: str = ""
    ) -> tuple[Suggestion, ...]:
        """Hand out candidates: as many of those chosen as are asked for, each to nobody else.

        ``choose`` is called without any lock, with the state of that moment; where somebody took one of its
        candidates meanwhile, it is called again with the new state. It may return more than ``n`` in order of
        preference: then the first ``n`` that are still free are taken, and it need not be called again.

        Args:
            campaign: Name of the campaign.
            request_key: Names the request; the same key again returns the same suggestions.
            choose: Returns numbers of candidates, or each a `Choice`.
            n: How many, 1 to 1000; fewer are handed out where ``choose`` returns fewer.
            author: Who asks.
            rules: By which rules is chosen, in words; they are part of the request that the key names.

        Returns:
            The suggestions in the order of choice.

        Raises:
            InputError: If the request cannot be used, or the choice is empty or no candidate.
            ConflictError: If the key belongs to another request, or a candidate chosen from an unchanged state is
                taken already.
            UnknownNameError: If there is no such campaign.
            StoreError: If the store cannot be written.
        """
        checked_text(request_key, "request key", limit=MAX_KEY, is_needed=True)
        checked_text(author, "author")
        request = _Request(request_key, _checked_count(n), checked_text(rules, "rules of a request", limit=MAX_RULES))
        for _ in range(MAX_ATTEMPTS):
            with self._reading(campaign) as work:
                if done := work.replayed(request):
                    return done
                state = self._state(work)
            choices = _checked_choices(choose(state), request.n)
            if got := self._try_to_reserve(state, request, choices, author):
                return got
            # Two that choose alike would meet again at once.
            time.sleep(random.uniform(0, MAX_PAUSE_S))  # noqa: S311 - no secret
        raise StoreError(
            f"Others took the chosen candidates {MAX_ATTEMPTS} times in turn; nothing was stored, so try again."
        )

    def _try_to_reserve(
        self, state: State, request: _Request, choices: Sequence[Choice], author: str
    ) -> tuple[Suggestion, ...]:
        """Return the suggestions, or none where somebody else was faster."""
        try:
            with self._writing(state.campaign, author) as work:
                if done := work.replayed(request):
                    return done
                by_key: dict[str, Choice] = {}
                for choice in choices:
                    by_key.setdefault(work.key_of(choice), choice)
                turns = work.free_turns(list(by_key))
                free = dict(islice(((key, choice) for key, choice in by_key.items() if key in turns), request.n))
                if len(free) == min(request.n, len(choices)):
                    work.ask(request, free, turns)
                elif work.version() == state.version:
                    raise _not_free([choice for key, choice in by_key.items() if key not in turns])
                return work.replayed(request)
        except TakenError:
            return ()

    # ------------------------------------------------------------ telling

    def tell(
        self, campaign: str, suggestion: int, values: Mapping[str, float], error: Mapping[str, float] = _EMPTY,
        author: str = "", note: str = "",
    ) -> Suggestion:  # fmt: skip
        """Store results of one suggestion; those of other properties may follow later.

        Args:
            campaign: Name of the campaign.
            suggestion: Id of the suggestion.
            values: Numbers by property.
            error: Standard uncertainties by property, for some or all of them.
            author: Who tells.
            note: What was seen, kept with the results.

        Returns:
            The suggestion as it stands afterwards.

        Raises:
            InputError: If a name or a number cannot be stored.
            ConflictError: If another value is stored, or the suggestion has ended.
            UnknownNameError: If there is no such campaign or suggestion.
            StoreError: If the store cannot be written.
        """
        return self.tell_many(campaign, [Outcome(suggestion, values, error, note)], author)[0]

    def tell_many(self, campaign: str, outcomes: Iterable[Outcome], author: str = "") -> tuple[Suggestion, ...]:
        """Store results and failures of several suggestions, all or none; see `tell` and `fail`."""
        checked = [(outcome, _checked_outcome(outcome)) for outcome in islice(outcomes, MAX_BATCH + 1)]
        if not 1 <= len(checked) <= MAX_BATCH or not all(payloads or outcome.failure for outcome, payloads in checked):
            raise InputError(
                f"A call tells 1 to {MAX_BATCH} suggestions, with at least one result each or why it failed; split or "
                "fill it."
            )
        with self._writing(campaign, author) as work:
            for outcome, payloads in checked:
                work.take(outcome, payloads)
            return tuple(work.find(outcome.suggestion).finished() for outcome, _ in checked)

    def correct(
        self, campaign: str, suggestion: int, values: Mapping[str, float | None],
        error: Mapping[str, float] = _EMPTY, *, author: str, reason: str,
    ) -> Suggestion:  # fmt: skip
        """Replace told results; the former ones stay in the history.

        Args:
            campaign: Name of the campaign.
            suggestion: Id of the suggestion.
            values: New numbers by property; None withdraws one.
            error: New standard uncertainties by property.
            author: Who corrects.
            reason: Why.

        Returns:
            The suggestion as it stands afterwards.

        Raises:
            InputError: If author, reason, a name or a number cannot be stored.
            ConflictError: If a property was never told.
            UnknownNameError: If there is no such campaign or suggestion.
            StoreError: If the store cannot be written.
        """
        checked_text(author, "author of a correction", is_needed=True)
        checked_text(reason, "reason of a correction", is_needed=True)
        payloads = result_payloads(values, error, f"suggestion {shown(suggestion)}", may_withdraw=True)
        if not payloads:
            raise InputError("A correction names no property; give at least one.")
        with self._writing(campaign, author) as work:
            draft = work.find(suggestion)
            for name, payload in payloads.items():
                work.correct(draft, name, payload, reason)
            return work.find(suggestion).finished()

    # ------------------------------------------------------------ ends

    def fail(self, campaign: str, suggestion: int, reason: str, author: str = "") -> Suggestion:
        """Say that a sample failed, with or without results before; its candidate is not handed out again.

        Raises:
            InputError: If there is no reason.
            ConflictError: If the suggestion has ended otherwise.
            UnknownNameError: If there is no such campaign or suggestion.
            StoreError: If the store cannot be written.
        """
        checked_text(reason, "reason of a failure", is_needed=True)
        return self._end(campaign, suggestion, "failed", reason, author)

    def abandon(self, campaign: str, suggestion: int, reason: str = "", author: str = "") -> Suggestion:
        """Give a candidate back unmade, so that it may be handed out again.

        Raises:
            ConflictError: If the suggestion has results or has failed, or is a past sample.
            UnknownNameError: If there is no such campaign or suggestion.
            StoreError: If the store cannot be written.
        """
        return self._end(campaign, suggestion, "abandoned", checked_text(reason, "reason"), author)

    def _end(
        self, campaign: str, suggestion: int, kind: Literal["failed", "abandoned"], reason: str, author: str
    ) -> Suggestion:
        with self._writing(campaign, author) as work:
            work.end(suggestion, kind, reason)
            return work.find(suggestion).finished()

    def reopen(self, campaign: str, suggestion: int, *, author: str, reason: str) -> Suggestion:
        """Take back a failure or an abandonment that was said by mistake.

        Raises:
            InputError: If author or reason is missing.
            ConflictError: If the suggestion has not ended, or its candidate was handed out again.
            UnknownNameError: If there is no such campaign or suggestion.
            StoreError: If the store cannot be written.
        """
        checked_text(author, "author of a reopening", is_needed=True)
        checked_text(reason, "reason of a reopening", is_needed=True)
        with self._writing(campaign, author) as work:
            draft = work.find(suggestion)
            if draft.end is None:
                raise ConflictError(f"The suggestion {suggestion} has not ended; there is nothing to reopen.")
            key = draft.row.candidate_key
            if draft.end == "abandoned" and key not in work.free_turns([key]):
                raise ConflictError(
                    f"The candidate of suggestion {suggestion} was handed out again; tell its results to the new one."
                )
            work.append("reopened", suggestion_id=suggestion, turn=draft.n_ends, reason=reason)
            return work.find(suggestion).finished()

    # ------------------------------------------------------------ past results and notes

    def attach(
        self, campaign: str, past: Iterable[Past], author: str = "", request_key: str | None = None
    ) -> tuple[Suggestion, ...]:
        """Add samples made before, all or none; those in the list of candidates are not handed out any more.

        Args:
            campaign: Name of the campaign.
            past: 1 to 1000 samples; equal ones in one call are replicates.
            author: Who adds them.
            request_key: Names the call; the same key again adds nothing. Made of the samples if None, so that the
                same table is added once.

        Returns:
            The samples as suggestions, in order.

        Raises:
            InputError: If a sample has neither result nor failure, or something that cannot be stored.
            ConflictError: If the key belongs to another request.
            UnknownNameError: If there is no such campaign.
            StoreError: If the store cannot be written.
        """
        checked = [_checked_past(sample, place) for place, sample in enumerate(islice(past, MAX_ATTACHED + 1))]
        if not 1 <= len(checked) <= MAX_ATTACHED:
            raise InputError(f"A call attaches 1 to {MAX_ATTACHED:,} samples; split it.")
        digest = hashlib.sha256(json.dumps(checked).encode()).hexdigest()[:32]
        key = f"attach-{digest}" if request_key is None else request_key
        checked_text(key, "request key", limit=MAX_KEY, is_needed=True)
        with self._writing(campaign, author) as work:
            if not work.batch(key):
                for place, sample in enumerate(checked):
                    work.attach(sample, digest, (key, place))
            drafts = work.batch(key)
        if any(json.loads(draft.row.payload).get("call") != digest for draft in drafts):
            raise ConflictError(f"The request key {shown(key)} belongs to another request; choose a new key.")
        return tuple(draft.finished() for draft in drafts)

    def set_note(self, campaign: str, text: str, suggestion: int | None = None, author: str = "") -> None:
        """Store a note on a suggestion, or on the campaign; earlier notes stay in the history.

        Raises:
            InputError: If the note is longer than 500 characters or has several lines.
            UnknownNameError: If there is no such campaign or suggestion.
            StoreError: If the store cannot be written.
        """
        checked_text(text, "note")
        with self._writing(campaign, author) as work:
            number = None if suggestion is None else work.find(suggestion).row.id
            query = select(EVENTS.c.reason).where(
                work.of_campaign, EVENTS.c.kind == "noted", EVENTS.c.suggestion_id == number
            )
            if work.connection.execute(query.order_by(EVENTS.c.id.desc()).limit(1)).scalar() != text:
                work.append("noted", suggestion_id=number, reason=text)


def open_store(url: str, *, create: bool = False) -> Store:
    """Open a store of campaigns, migrating it to the present schema where it is older.

    Args:
        url: ``sqlite:///lab.db`` or ``postgresql://user@host/name``.
        create: Whether to make the store where there is none.

    Returns:
        The store.

    Raises:
        InputError: If the address is none, or the place cannot keep the promises.
        UnknownNameError: If there is no store and none is to be made.
        StoreError: If it cannot be reached, or was written by a newer nascreen.
        IntegrityError: If it is damaged or belongs to another program.
        MissingExtraError: If PostgreSQL is wanted and psycopg is not installed.
    """
    database = Database(url)
    database.prepare(create=create)
    return Store(database)
