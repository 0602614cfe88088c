"""Random sequences of calls on a store, held against a model made of dicts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nascreen.backups import check
from nascreen.errors import ConflictError, InputError, NascreenError, UnknownNameError
from nascreen.store import Choice, Event, Outcome, Past, Store, candidate_key, open_store

N_CANDIDATES = 6
ORIGINAL = [{"x": number, "phase": "glass"} for number in range(N_CANDIDATES)]
OTHERS = [{"x": 100.5 + number, "phase": "glass"} for number in range(3)]

PICKS = st.integers(0, 30)
PROPERTIES = st.sampled_from(["log_conductivity", "strength_mpa"])
VALUES = st.sampled_from([-2.7, 3, 0.0])
ERRORS = st.sampled_from([None, 0.05])
AUTHORS = st.sampled_from(["ada", "bo"])
REASONS = st.sampled_from(["typo", "cracked"])
CHOICES = st.lists(st.integers(0, N_CANDIDATES + len(OTHERS) - 1), min_size=1, max_size=4)


class Model:
    """What a store should hold: plain dicts, no database."""

    def __init__(self) -> None:
        self.suggestions: dict[int, dict[str, Any]] = {}
        self.requests: dict[str, tuple[int, list[int]]] = {}
        self.listed = list(ORIGINAL)
        self.note = ""

    def is_taken(self, values: dict[str, Any]) -> bool:
        return any(s["values"] == values and s["end"] != "abandoned" for s in self.suggestions.values())

    def add(self, number: int, values: dict[str, Any], *, is_attached: bool = False) -> None:
        assert number > max(self.suggestions, default=0), "an id was given again"
        self.suggestions[number] = {
            "values": values, "end": None, "reason": "", "results": {}, "note": "", "is_attached": is_attached,
        }  # fmt: skip

    def standing(self, number: int) -> dict[str, tuple[Any, Any]]:
        results = self.suggestions[number]["results"]
        return {name: result[:2] for name, result in results.items() if result[0] is not None}

    def tell(self, number: int, name: str, value: float, error: float | None) -> type[NascreenError] | None:
        suggestion = self.suggestions[number]
        stored = suggestion["results"].get(name)
        if stored is not None:
            return None if stored[:2] == (value, error) else ConflictError
        if suggestion["end"]:
            return ConflictError
        suggestion["results"][name] = (value, error, "", "")
        return None


def _error(error: float | None, name: str) -> dict[str, float]:
    return {} if error is None else {name: error}


class StoreMachine(RuleBasedStateMachine):
    """Calls in any order; every run has a store of its own."""

    new_url: Callable[[], str]

    @initialize()
    def begin(self) -> None:
        self.url = type(self).new_url()
        self.store: Store = open_store(self.url, create=True)
        self.store.create_campaign("c", {"seed": 0}, ORIGINAL)
        self.model = Model()
        self.seen: tuple[Event, ...] = ()
        self.counter = itertools.count()

    def expect(self, wanted: type[NascreenError] | None, call: Callable[[], Any]) -> Any:
        """Make a call that must give an error, or none; an error must leave no trace."""
        before = self.mark()
        try:
            answer = call()
        except NascreenError as error:
            assert wanted is not None, f"refused: {error}"
            assert isinstance(error, wanted), error
            assert self.mark() == before, "a refused call left a trace"
            return None
        assert wanted is None, "was not refused"
        return answer

    def mark(self) -> tuple[int, int]:
        """Return what grows with every row."""
        state = self.store.state("c")
        return state.version, state.n_candidates

    def pick(self, place: int) -> int | None:
        known = list(self.model.suggestions)
        return known[place % len(known)] if known else None

    @rule()
    def reopen_the_store(self) -> None:
        self.keep_the_history()
        self.store = open_store(self.url)

    @rule(numbers=CHOICES, key=st.sampled_from(["", "a", "b", "c"]), n=st.integers(1, 3))
    def ask(self, numbers: Sequence[int], key: str, n: int) -> None:
        model, request = self.model, key or f"new-{next(self.counter)}"
        pool = [*ORIGINAL, *OTHERS]
        choices = [Choice(i) if i < N_CANDIDATES else Choice(pool[i]) for i in numbers]
        known = model.requests.get(request)
        free = [pool[i] for i in dict.fromkeys(numbers) if not model.is_taken(pool[i])][:n]
        wanted: type[NascreenError] | None
        if known is not None:
            wanted = None if known[0] == n else ConflictError
        else:
            wanted = None if len(free) == min(n, len(numbers)) else ConflictError
        answer = self.expect(wanted, lambda: self.store.reserve("c", request, lambda _: choices, n))
        if answer is None:
            return
        if known is not None:
            assert [s.id for s in answer] == known[1]
            return
        assert [dict(s.values) for s in answer] == free
        for suggestion in answer:
            if dict(suggestion.values) not in model.listed:
                model.listed.append(dict(suggestion.values))
            model.add(suggestion.id, dict(suggestion.values))
        model.requests[request] = (n, [s.id for s in answer])

    @rule(place=PICKS, name=PROPERTIES, value=VALUES, error=ERRORS)
    def tell(self, place: int, name: str, value: float, error: float | None) -> None:
        number = self.pick(place)
        if number is None:
            self.expect(UnknownNameError, lambda: self.store.tell("c", 1, {name: value}))
            return
        wanted = self.model.tell(number, name, value, error)
        self.expect(wanted, lambda: self.store.tell("c", number, {name: value}, _error(error, name)))

    @rule(places=st.lists(PICKS, min_size=2, max_size=3), name=PROPERTIES, value=VALUES)
    def tell_a_batch(self, places: Sequence[int], name: str, value: float) -> None:
        numbers = [number for place in places if (number := self.pick(place)) is not None]
        if not numbers:
            return
        kept = {i: dict(s["results"]) for i, s in self.model.suggestions.items()}
        found = [self.model.tell(number, name, value, None) for number in numbers]
        wanted = next(filter(None, found), None)
        if wanted is not None:
            for i, results in kept.items():
                self.model.suggestions[i]["results"] = results
        self.expect(wanted, lambda: self.store.tell_many("c", [Outcome(i, {name: value}) for i in numbers]))

    @rule(place=PICKS, name=PROPERTIES, value=VALUES | st.none(), author=AUTHORS, reason=REASONS)
    def correct(self, place: int, name: str, value: float | None, author: str, reason: str) -> None:
        number = self.pick(place)
        if number is None:
            return
        results = self.model.suggestions[number]["results"]
        wanted = None if name in results else ConflictError
        self.expect(wanted, lambda: self.store.correct("c", number, {name: value}, author=author, reason=reason))
        if wanted is None:
            results[name] = (value, None, author, reason)

    @rule(place=PICKS, reason=REASONS, is_failure=st.booleans())
    def end(self, place: int, reason: str, is_failure: bool) -> None:
        number = self.pick(place)
        if number is None:
            return
        kind = "failed" if is_failure else "abandoned"
        suggestion = self.model.suggestions[number]
        wanted: type[NascreenError] | None = None
        if suggestion["end"]:
            wanted = None if (suggestion["end"], suggestion["reason"]) == (kind, reason) else ConflictError
        elif not is_failure and (suggestion["is_attached"] or self.model.standing(number)):
            wanted = ConflictError
        call = self.store.fail if is_failure else self.store.abandon
        self.expect(wanted, lambda: call("c", number, reason))
        if wanted is None:
            suggestion["end"], suggestion["reason"] = kind, reason

    @rule(place=PICKS, author=AUTHORS)
    def reopen(self, place: int, author: str) -> None:
        number = self.pick(place)
        if number is None:
            return
        suggestion = self.model.suggestions[number]
        is_free = suggestion["end"] == "failed" or not self.model.is_taken(suggestion["values"])
        wanted = None if suggestion["end"] and is_free else ConflictError
        self.expect(wanted, lambda: self.store.reopen("c", number, author=author, reason="mistake"))
        if wanted is None:
            suggestion["end"], suggestion["reason"] = None, ""

    @rule(number=st.integers(0, N_CANDIDATES + len(OTHERS) - 1), value=VALUES, failure=st.sampled_from(["", "melted"]))
    def attach(self, number: int, value: float, failure: str) -> None:
        values = [*ORIGINAL, *OTHERS][number]
        key = f"attach-{number}-{value}-{failure}"
        past = Past(values, {"log_conductivity": value}, failure=failure)
        answer = self.expect(None, lambda: self.store.attach("c", [past, past]))
        ids = [s.id for s in answer]
        if key in self.model.requests:
            assert ids == self.model.requests[key][1]
            return
        self.model.requests[key] = (0, ids)
        for i in ids:
            self.model.add(i, values, is_attached=True)
            suggestion = self.model.suggestions[i]
            suggestion["results"]["log_conductivity"] = (value, None, "", "")
            suggestion["end"], suggestion["reason"] = "failed" if failure else None, failure

    @rule(place=PICKS, text=st.sampled_from(["blue", "grey"]), is_on_campaign=st.booleans())
    def note(self, place: int, text: str, is_on_campaign: bool) -> None:
        number = None if is_on_campaign else self.pick(place)
        self.store.set_note("c", text, number)
        if number is None:
            self.model.note = text
        else:
            self.model.suggestions[number]["note"] = text

    @rule(value=st.sampled_from([float("nan"), float("inf"), True, "3"]))
    def tell_no_number(self, value: Any) -> None:
        self.expect(InputError, lambda: self.store.tell("c", self.pick(0) or 1, {"x": value}))

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        state = self.store.state("c")
        assert state.note == self.model.note
        assert state.n_candidates == len(self.model.listed)
        assert {s.id for s in state.suggestions} == self.model.suggestions.keys()
        for s in state.suggestions:
            wanted = self.model.suggestions[s.id]
            standing = self.model.standing(s.id)
            assert dict(s.values) == wanted["values"]
            assert s.key == candidate_key(wanted["values"])
            assert {name: (r.value, r.error) for name, r in s.results.items()} == standing
            assert [type(r.value) for r in s.results.values()] == [type(standing[n][0]) for n in s.results]
            assert s.status == (wanted["end"] or ("told" if standing else "pending"))
            assert (s.reason, s.note, s.is_attached) == (wanted["reason"], wanted["note"], wanted["is_attached"])

    def keep_the_history(self) -> None:
        history = self.store.history("c")
        assert history[: len(self.seen)] == self.seen, "a row was changed"
        self.seen = history

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.keep_the_history()
            assert check(self.url) == ()


def machine(new_url: Callable[[], str]) -> type[StoreMachine]:
    """Return the state machine over stores of some kind.

    Args:
        new_url: Gives the address of a store that does not exist yet.
    """
    return type("Machine", (StoreMachine,), {"new_url": staticmethod(new_url)})
