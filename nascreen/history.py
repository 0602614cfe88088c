"""What the history of a campaign says: from events to suggestions and results, and what an event may hold.

Nothing here touches a database; `nascreen.store` keeps the events.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nascreen.errors import InputError, RangeError, shown

Value = str | float | int | bool | None
Values = Mapping[str, Value]
Status = Literal["pending", "told", "failed", "abandoned"]
EventRow = Any
"""A row of the table of events, with its columns as attributes and the values of its candidate at the end."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_BATCH = 1000
MAX_TEXT = 500
MAX_NAME = 100
MAX_PAYLOAD_BYTES = 65_536
MAX_EXACT_INTEGER = 2**53
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Result:
    """One told property of a suggestion, as it stands.

    Attributes:
        value: The number as told or last corrected; None where it was withdrawn.
        error: Standard uncertainty in the same unit; None where not stated.
        author: Who told or corrected it.
        time: When, in UTC.
        reason: Why it was corrected; empty for a value as first told.
        n_corrections: How often it was corrected.
        told: When it was first told, in UTC.
    """

    value: float | None
    error: float | None
    author: str
    time: str
    reason: str = ""
    n_corrections: int = 0
    told: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One candidate that was handed out, or a past sample that was attached.

    Attributes:
        id: Its number in the store, which never changes.
        candidate: Number of the candidate in the campaign's list; None for an attached sample outside it.
        key: What makes the candidate the same as another, see `candidate_key`.
        values: Values of the candidate by column.
        is_attached: True for a past sample.
        request_key: The request that handed it out.
        time: When, in UTC.
        author: Who asked or attached.
        details: What the chooser noted: prediction, reasons.
        status: ``pending`` until a result or an end is told; ``told`` with at least one result; ``failed`` or
            ``abandoned`` as the last word.
        reason: Why it failed or was abandoned.
        note: The last note.
        results: Standing results by property; withdrawn ones are left out.
        withdrawn: Properties whose value was withdrawn.
    """

    id: int
    candidate: int | None
    key: str
    values: Values
    is_attached: bool
    request_key: str
    time: str
    author: str
    details: Mapping[str, Any]
    status: Status
    reason: str
    note: str
    results: Mapping[str, Result]
    withdrawn: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class State:
    """What a campaign knows at one moment.

    Attributes:
        campaign: Name of the campaign.
        configuration: As given at its creation.
        n_candidates: Length of the list of candidates.
        version: Id of the last event; equal versions are equal states.
        suggestions: Everything asked or attached, in order.
        note: The last note on the campaign itself.
    """

    campaign: str
    configuration: Mapping[str, Any]
    n_candidates: int
    version: int
    suggestions: tuple[Suggestion, ...]
    note: str = ""

    def with_status(self, *statuses: Status) -> tuple[Suggestion, ...]:
        """Return the suggestions that have one of the given statuses, in order."""
        return tuple(s for s in self.suggestions if s.status in statuses)

    @property
    def pending(self) -> tuple[Suggestion, ...]:
        """Handed out and without any word since."""
        return self.with_status("pending")

    @property
    def taken(self) -> frozenset[str]:
        """Keys of the candidates that may not be handed out: asked and not abandoned, or attached."""
        return frozenset(s.key for s in self.suggestions if s.status != "abandoned")

    @property
    def taken_numbers(self) -> frozenset[int]:
        """Numbers of the same candidates, as far as they are in the campaign's list."""
        return frozenset(s.candidate for s in self.suggestions if s.status != "abandoned" and s.candidate is not None)

    def told(self, name: str) -> tuple[tuple[Suggestion, ...], tuple[float, ...], tuple[float | None, ...]]:
        """Return the suggestions that have a result of a property, with values and standard uncertainties."""
        having = tuple(s for s in self.suggestions if name in s.results)
        results = [s.results[name] for s in having]
        return having, tuple(r.value for r in results if r.value is not None), tuple(r.error for r in results)


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the history; the columns are those of the table ``nascreen_events``."""

    id: int
    time: str
    author: str
    kind: str
    suggestion_id: int | None
    candidate: int | None
    property: str | None
    request_key: str | None
    payload: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate that a chooser wants: its number, or its values where the space is generated as it goes."""

    candidate: int | Values
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one suggestion: numbers by property, their standard uncertainties, a note, why it failed if so."""

    suggestion: int
    values: Mapping[str, float]
    error: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """A sample made before the campaign: what it was, its results, or why it failed."""

    values: Values
    results: Mapping[str, float] = field(default_factory=dict)
    error: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------- what may be stored


def _unwrapped(value: object) -> object:
    """Return a numpy scalar as the Python number it holds, anything else as it is."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return value


def checked_number(value: object, what: str) -> int | float:
    """Return a finite number in its own type, whole or not.

    Raises:
        InputError: If it is none.
        RangeError: If it is not finite, or a whole number that other programs could not read exactly.
    """
    value = _unwrapped(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"The {what} is {shown(value)}; give a number.")
    if isinstance(value, int):
        if abs(value) > MAX_EXACT_INTEGER:
            raise RangeError(f"The {what} is {shown(value)}; whole numbers may have at most 15 digits.")
        return int(value)
    if not math.isfinite(value):
        raise RangeError(f"The {what} is {shown(value)}; give a finite number, or leave it out where it is not known.")
    return float(value)


def checked_text(value: object, what: str, *, limit: int = MAX_TEXT, is_needed: bool = False) -> str:
    """Return a printable text of one line.

    Raises:
        InputError: If it is none, too long, or empty where it is needed.
    """
    if not isinstance(value, str) or len(value) > limit or not value.isprintable() or (is_needed and not value.strip()):
        least = "1 to" if is_needed else "at most"
        raise InputError(f"The {what} is {shown(value)}; give a printable line of {least} {limit} characters.")
    return value


def plain(value: object, what: str, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value as JSON keeps it, the same on the way back.

    Raises:
        InputError: If JSON cannot keep it.
    """
    value = _unwrapped(value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return checked_number(value, what)
    if depth < _MAX_DEPTH and isinstance(value, list | tuple):
        return [plain(item, what, depth + 1) for item in value]
    if depth < _MAX_DEPTH and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(item, what, depth + 1) for key, item in value.items()}
    raise InputError(
        f"The {what} holds {shown(value)}, which cannot be stored; allowed are numbers, texts, true, false, None, and "
        f"lists and tables of these, nested at most {_MAX_DEPTH} deep."
    )


def payload_text(value: object, what: str) -> str:
    """Return the text of a table of JSON values as it is stored.

    Raises:
        InputError: If JSON cannot keep it, or it is larger than 64 kB.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"The {what} is {shown(value)}; give a table of names and values.")
    written = json.dumps(plain(value, what), allow_nan=False, separators=(",", ":"))
    if len(written) > MAX_PAYLOAD_BYTES:
        raise InputError(f"The {what} has {len(written)} bytes; at most {MAX_PAYLOAD_BYTES} are stored, so shorten it.")
    return written


def checked_values(values: object, what: str) -> dict[str, Value]:
    """Return the values of a candidate by column.

    Raises:
        InputError: If a name is no text, or a value neither number, text, Boolean nor None.
    """
    if not isinstance(values, Mapping) or not values:
        raise InputError(f"The values of the {what} are {shown(values)}; give a table of column names and values.")
    found: dict[str, Value] = {}
    for name, value in values.items():
        checked_text(name, f"name of a column of the {what}", limit=MAX_NAME, is_needed=True)
        cell = _unwrapped(value)
        if cell is not None and not isinstance(cell, bool | str):
            cell = checked_number(cell, f"column {name!r} of the {what}")
        found[name] = cell
    return found


def candidate_key(values: Values) -> str:
    """Return what makes two candidates the same: equal values, with numbers compared to 12 significant digits.

    The order of the columns, ``3`` against ``3.0``, and an empty column against a missing one make no difference.

    Args:
        values: Values by column.

    Returns:
        32 hexadecimal digits.

    Raises:
        InputError: If a value is none that can be stored.

    >>> candidate_key({"x": 0.1 + 0.2, "y": None}) == candidate_key({"x": 0.3})
    True
    """
    return key_of_checked(checked_values(values, "candidate"))


def key_of_checked(values: Values) -> str:
    """Return the `candidate_key` of values that `checked_values` returned."""
    known = {name: _rounded(value) for name, value in values.items() if value is not None}
    canonical = json.dumps(known, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _rounded(value: Value) -> Value:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Adding zero turns -0.0 into 0.0.
    return float(f"{value:.12g}") + 0.0 if is_number else value


def result_payloads(values: object, error: object, what: str, *, may_withdraw: bool = False) -> dict[str, str]:
    """Return the payload of each result by property; a value of None withdraws one, where that is allowed.

    Raises:
        InputError: If a name or a number cannot be stored, or an uncertainty stands without its value.
    """
    if not isinstance(values, Mapping) or not isinstance(error, Mapping):
        raise InputError(f"The results of {what} are {shown(values)}; give tables of property names and numbers.")
    stray = [shown(name) for name in error if name not in values]
    if stray:
        raise InputError(f"The results of {what} have an uncertainty of {stray[0]} without a value; give the value.")
    for name in values:
        checked_text(name, f"name of a property of {what}", limit=MAX_NAME, is_needed=True)
    return {
        name: _result_payload(value, error.get(name), f"{name!r} of {what}", may_withdraw=may_withdraw)
        for name, value in values.items()
    }


def _result_payload(value: object, error: object, what: str, *, may_withdraw: bool) -> str:
    number = None if value is None and may_withdraw else checked_number(value, f"value of {what}")
    uncertainty = None if error is None else checked_number(error, f"uncertainty of {what}")
    if uncertainty is not None and uncertainty < 0:
        raise RangeError(f"The uncertainty of {what} is {uncertainty!r}; give a standard deviation of at least 0.")
    return payload_text({"value": number, "error": uncertainty}, f"result {what}")


# ---------------------------------------------------------------- from events to state


class Draft:
    """A suggestion while its events are read in order."""

    def __init__(self, row: EventRow, values: str | None) -> None:
        """Begin with the event that handed it out; the values are None for a sample outside the list."""
        payload = json.loads(row.payload)
        self.row = row
        self.values: Values = json.loads(values) if values else payload["values"]
        self.details: Mapping[str, Any] = payload["details"]
        self.end: Literal["failed", "abandoned"] | None = None
        self.reason = self.note = ""
        self.results: dict[str, Result] = {}
        self.n_ends = 0

    def add(self, row: EventRow) -> None:
        """Take in the next event."""
        if row.kind in ("told", "corrected"):
            payload = json.loads(row.payload)
            former = self.results.get(row.property)
            self.results[row.property] = Result(
                payload["value"], payload["error"], row.author, row.time, row.reason, row.turn,
                row.time if former is None else former.told,
            )  # fmt: skip
        elif row.kind in ("failed", "abandoned"):
            self.end, self.reason, self.n_ends = row.kind, row.reason, self.n_ends + 1
        elif row.kind == "reopened":
            self.end, self.reason = None, ""
        else:
            self.note = row.reason

    def finished(self) -> Suggestion:
        """Return the suggestion as it stands after the events so far."""
        row = self.row
        standing = {name: result for name, result in self.results.items() if result.value is not None}
        status: Status = self.end or ("told" if standing else "pending")
        return Suggestion(
            id=row.id, candidate=row.candidate, key=row.candidate_key, values=dict(self.values),
            is_attached=row.kind == "attached", request_key=row.request_key, time=row.time, author=row.author,
            details=dict(self.details), status=status, reason=self.reason, note=self.note,
            results=standing, withdrawn=frozenset(self.results.keys() - standing.keys()),
        )  # fmt: skip


def drafts_from(rows: Iterable[EventRow], drafts: dict[int, Draft]) -> set[int]:
    """Add events, in order, to the suggestions that they belong to.

    Args:
        rows: The events.
        drafts: Suggestions by id, which are changed.

    Returns:
        Ids of the suggestions that are new or changed.
    """
    changed = set()
    for row in rows:
        if row.suggestion_id is not None:
            drafts[row.suggestion_id].add(row)
            changed.add(row.suggestion_id)
        elif row.kind != "noted":
            drafts[row.id] = Draft(row, row[-1])
            changed.add(row.id)
    return changed
