"""A campaign: ask what to measure next, tell what came out, for years, from anywhere.

What happened lies in the store (`nascreen.store`); what to choose is worked out anew from it each time
(`nascreen.optimizer`), so that the same history and seed give the same next suggestion on every machine.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from nascreen.acquisition import non_dominated
from nascreen.database import Database
from nascreen.encoding import Encoded, Kind, encode
from nascreen.errors import ConflictError, InputError, IntegrityError, TableError, UnknownNameError, shown
from nascreen.goals import (
    Settings,
    check_results,
    checked_settings,
    column_of,
    holds_all,
    is_log,
    joined,
    read_constraint,
    unit_of,
)
from nascreen.history import (
    MAX_BATCH,
    NAME,
    Choice,
    Event,
    Outcome,
    Past,
    State,
    Suggestion,
    Value,
    Values,
)
from nascreen.models import Prediction, load_models
from nascreen.optimizer import outlook as outlook_of
from nascreen.optimizer import propose
from nascreen.optuna_engine import Engine, propose_by_optuna
from nascreen.optuna_export import write_study
from nascreen.outcomes import (
    NORMAL_90,
    Experiment,
    Forecast,
    Predicted,
    Promise,
    experiment_of,
    interval,
    mean_results,
    merits_of,
    trial_of,
    write_experiments,
)
from nascreen.pools import (
    PRIOR,
    PRIOR_HIGH,
    PRIOR_LOW,
    Filter,
    Pool,
    literature_columns,
    read_pool,
    table_of,
    with_literature,
)
from nascreen.proposals import Acquisition, Constraint, Goal, Objective, Problem, Proposal, Suggested, forbid_all_but
from nascreen.records import Sample, citation, processing_line
from nascreen.screening import nearest
from nascreen.store import Store, open_store

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Flags = NDArray[np.bool_]

SD = "_sd"
"""What the name of a column ends with that holds the standard uncertainty of a property."""

SPARE = 4
"""Candidates that are chosen beyond those asked for, in case that somebody else takes one meanwhile."""

FEW = 4
"""Told values of a property below which its interval, and the outlook, say little."""

WITHIN_SHARE = 0.75
"""Share of the literature model's standard deviation by which samples of one series differ from what it says of them,
once all are off alike: 0.47 of 0.64 decades, 0.083 of 0.093 eV (`experiments/accuracy/within.py`)."""

N_NEAREST = 2
_FORMAT = 1
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Options(TypedDict, total=False):
    """What may be said of a new campaign, see `nascreen.goals.Settings`; all may be left out.

    Attributes:
        constraints: Such as ``"strength_mpa >= 40"``.
        measure: Further properties that may be told.
        shared: Columns that are the same for a whole batch.
        distinct: Columns of which a batch holds each combination once.
        cost: Column with the cost of a candidate.
        units: Unit of a property that is no column of samples.
        prior: ``auto``, ``literature`` or ``none``.
        goal: ``top`` or ``best``.
        acquisition: By what to choose.
        engine: ``own``, ``optuna_tpe`` or ``optuna_gp``.
        seed: Seed of whatever is drawn.
        kinds: What a column of the pool is: numeric, categorical, formula or label.
        n: How many candidates to draw of a space.
        author: Who makes it.
    """

    constraints: Sequence[str | Constraint]
    measure: Sequence[str]
    shared: Sequence[str]
    distinct: Sequence[str]
    cost: str
    units: Mapping[str, str]
    prior: str
    goal: Goal
    acquisition: Acquisition
    engine: Engine
    seed: int
    kinds: Mapping[str, str]
    n: int | None
    author: str


@dataclass(frozen=True, eq=False)
class Table:
    """All rows that a campaign learns from or chooses from.

    Attributes:
        pool: The candidates, and past samples outside the list after them.
        encoded: The same as numbers.
        n_candidates: How many rows are candidates.
        row_of: Row of each suggestion by its id.
    """

    pool: Pool
    encoded: Encoded
    n_candidates: int
    row_of: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class _Rules:
    """What one request cuts.

    Attributes:
        fixed: Values that some columns must have.
        cuts: Rows cut by each rule, by its words.
        preferred: Rows that are taken as long as there are any; None where none are preferred.
    """

    fixed: Mapping[str, Value]
    cuts: Mapping[str, Flags]
    preferred: Flags | None

    def forbidden(self, n_rows: int) -> Flags:
        """Return which rows must not be chosen, past samples outside the list among them, shape (n_rows,)."""
        out = np.ones(n_rows, dtype=bool)
        n = next((len(cut) for cut in self.cuts.values()), 0)
        out[:n] = np.any(np.stack(list(self.cuts.values())), axis=0)
        return out


class Campaign:
    """Ask what to measure next and tell what came out.

    Every promise of `nascreen.store.Store` holds: what is told is never lost, and nothing is handed out twice.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> pool = {"temp_c": [1000, 1100, 1200, 1300], "time_h": [2, 4, 8, 16]}
    >>> c = Campaign.create(f"sqlite:///{folder}/lab.db", "sintering", pool, [Objective("rel_density_pct")])
    >>> (s,) = c.ask(1)
    >>> c.tell(s.id, {"rel_density_pct": 92.0}).status
    'told'
    """

    def __init__(self, store: Store, name: str) -> None:
        """Wrap a campaign of a store; use `create` or `open`."""
        state = store.state(name)
        record = state.configuration
        if record.get("format") != _FORMAT or not isinstance(record.get("settings"), Mapping):
            raise ConflictError(
                f"The campaign {name!r} was not made by Campaign.create of this version; open it with the program that "
                "made it."
            )
        self.store = store
        self.name = name
        self.settings = Settings.of(record["settings"])
        self.pool = _stored_pool(store, name, record)
        self._encoded: tuple[tuple[int, ...], Encoded] | None = None

    @classmethod
    def create(
        cls, url: str | Store, name: str, pool: object, objectives: Sequence[Objective], **options: Unpack[Options]
    ) -> Campaign:
        """Make a campaign.

        Args:
            url: Address of the store, ``sqlite:///lab.db`` or ``postgresql://user@host/name``, or a `Store`; made where
                missing.
            name: ``[a-z0-9][a-z0-9_-]{0,63}``.
            pool: Candidates: a table, a list of rows or of `Sample`, the path of a CSV or XLSX file, or the name or
                TOML file of a space; see `nascreen.pools.read_pool`. A column ``prior.PROPERTY`` is the prior mean
                of a property.
            objectives: What is wanted, at least one.
            **options: See `Options`.

        Returns:
            The campaign.

        Raises:
            InputError: If the pool or an option cannot be used.
            ConflictError: If there is a campaign of this name.
            StoreError: If the store cannot be written.
        """
        known = ", ".join(Options.__annotations__)
        if unknown := [key for key in options if key not in Options.__annotations__]:
            raise InputError(f"A campaign has no option {shown(unknown[0])}; it has {known}.")
        given: dict[str, Any] = {**options}
        seed = given.get("seed", 0)
        read = read_pool(pool, kinds=given.pop("kinds", None), n=given.pop("n", None), seed=seed)
        author = given.pop("author", "")
        for key in ("measure", "shared", "distinct"):
            given[key] = _texts(key, given.get(key, ()))
        given["constraints"] = tuple(read_constraint(rule) for rule in given.get("constraints", ()))
        settings = checked_settings(Settings(objectives=tuple(objectives), **given), read)
        if settings.cost:
            read = replace(read, kinds={**read.kinds, settings.cost: "label"})
        if settings.prior != "none":
            read = with_literature(read, settings.properties)
        if settings.prior == "literature" and not any(name.startswith(PRIOR) for name in read.columns):
            raise InputError("The literature predicts nothing of these candidates; it needs a formula with sodium and "
                             "a property such as log_conductivity, or prior = 'none'.")  # fmt: skip
        rows = [read.values(row) for row in range(len(read))]
        _encoded(read)  # so that a table that cannot be learned from is refused before it is kept
        record = {
            "format": _FORMAT, "settings": settings.record(), "kinds": dict(read.kinds), "space": read.space,
            "columns": list(read.columns),
        }  # fmt: skip
        if not NAME.fullmatch(str(name)):  # before a store is made for nothing
            raise InputError(f"The name of a campaign is {shown(name)}; allowed are 1 to 64 of a-z, 0-9, _ and -.")
        store = url if isinstance(url, Store) else Store(Database(url))
        store.database.prepare(create=True)
        store.create_campaign(name, record, rows, author)
        return cls(store, name)

    @classmethod
    def open(cls, url: str, name: str = "") -> Campaign:
        """Open a campaign.

        Args:
            url: Address of the store.
            name: Name of the campaign; the only one of the store if empty.

        Raises:
            UnknownNameError: If there is no such store or campaign.
            InputError: If no name is given and the store holds several.
        """
        store = open_store(url)
        names = store.campaigns()
        if not name and len(names) != 1:
            raise InputError(f"The store holds {joined(names)}; name one campaign of it.")
        return cls(store, name or names[0])

    # ------------------------------------------------------------ asking

    def ask(
        self, n: int = 1, *, request_key: str | None = None, fixed: Values | None = None,
        forbid: Filter | None = None, prefer: Filter | None = None, author: str = "",
    ) -> tuple[Experiment, ...]:  # fmt: skip
        """Return what to measure next, each candidate handed out to nobody else.

        Args:
            n: How many, 1 to 1000; fewer come where the rules leave fewer.
            request_key: Names the request; asked again with the same key and options, the same suggestions return.
            fixed: Values that columns must have, such as ``{"sinter_temp_c": 1100}``.
            forbid: Candidates to leave out, as a filter in the OPTIMADE grammar or a function of the values.
            prefer: Candidates to take as long as there are any.
            author: Who asks.

        Returns:
            The suggestions in the order of choice.

        Raises:
            InputError: If a rule cannot be used, or leaves nothing.
            ConflictError: If the key belongs to another request.
            StoreError: If the store cannot be written.
        """
        key = request_key if request_key is not None else f"ask-{uuid.uuid4().hex}"
        rules = self._rules(fixed or {}, forbid, prefer)
        words = _request_words(fixed or {}, forbid, prefer)
        handed = self.store.reserve(self.name, key, lambda state: self._choose(state, n, rules), n, author, rules=words)
        return tuple(map(self._seen, handed))

    def _rules(self, fixed: Values, forbid: Filter | None, prefer: Filter | None) -> _Rules:
        cuts: dict[str, Flags] = {"no rule": np.zeros(len(self.pool), dtype=bool)}
        if fixed:
            columns = {name: self.pool.columns[name] for name in self.pool.visible}
            words = joined(f"{name} = {value}" for name, value in fixed.items())
            cuts[f"fixed {words}"] = forbid_all_but(columns, fixed)
        if forbid is not None:
            cuts[f"forbidden {_words(forbid)}"] = self.pool.matches(forbid)
        return _Rules(dict(fixed), cuts, None if prefer is None else self.pool.matches(prefer))

    def _choose(self, state: State, n: int, rules: _Rules) -> list[Choice]:
        """Return choices from a state, more than asked where no rule ties them together."""
        table = self.table(state)
        problem = self.problem(state, table, rules.forbidden(len(table.pool)))
        if not problem.is_open.any():
            raise InputError(f"No candidate is left: {self._cut_sentence(state, rules)} Widen the rules.")
        wanted = min(n + (0 if self.settings.shared else SPARE), MAX_BATCH)
        chosen = self._proposed(problem, wanted, rules, self.settings.seed + len(state.suggestions))
        batch = [s for _, s in chosen][:n]
        cut = self._cut_sentence(state, rules)
        near = self._literature_sentences(table, [s.index for _, s in chosen])
        return [
            Choice(s.index, self._details(state, problem, table, (proposal, s), [*literature, cut],
                                          self._checks(state, s.index, [one.index for one in batch], rules)))
            for (proposal, s), literature in zip(chosen, near, strict=True)
        ]  # fmt: skip

    def _proposed(self, problem: Problem, n: int, rules: _Rules, seed: int) -> list[tuple[Proposal, Suggested]]:
        """Return what the optimizer proposes: the preferred first, others where these run out."""
        chosen: list[tuple[Proposal, Suggested]] = []
        if rules.preferred is not None:
            others = np.ones(problem.n_rows, dtype=bool)
            others[: len(rules.preferred)] = ~rules.preferred
            first = replace(problem, forbidden=cast("Flags", problem.forbidden) | others)
            if first.is_open.any():
                chosen = self._proposals(first, n, seed)
            problem = self._after(problem, [s.index for _, s in chosen])
        if len(chosen) < n and problem.is_open.any():
            chosen += self._proposals(problem, n - len(chosen), seed)
        return chosen

    def _proposals(self, problem: Problem, n: int, seed: int) -> list[tuple[Proposal, Suggested]]:
        settings = self.settings
        if settings.engine == "own":
            made = propose(problem, n, goal=settings.goal, acquisition=settings.acquisition, seed=seed)
        else:
            made = propose_by_optuna(problem, n, settings.engine, seed)
        return [(made, one) for one in made.suggestions]

    def _after(self, problem: Problem, rows: Sequence[int]) -> Problem:
        """Return the problem with some rows chosen: they are pending, and what the batch rules then rule out is out."""
        if not rows:
            return problem
        forbidden = cast("Flags", problem.forbidden).copy()
        if problem.shared is not None:
            forbidden |= problem.shared != problem.shared[rows[0]]
        if problem.distinct is not None:
            forbidden |= np.isin(problem.distinct, problem.distinct[list(rows)])
        pending = np.r_[problem.pending, np.array(rows, dtype=np.intp)]
        return replace(problem, forbidden=forbidden, pending=pending)

    # ------------------------------------------------------------ why

    def _details(
        self, state: State, problem: Problem, table: Table, chosen: tuple[Proposal, Suggested],
        further: Sequence[str], checks: Sequence[str],
    ) -> dict[str, Any]:  # fmt: skip
        proposal, s = chosen
        n_told = _n_told(problem)
        prediction = {
            name: (None if n_told.get(name) else _prior_interval(table.pool, s.index, name))
            or interval(name, mean, s.sd[name])
            for name, mean in s.mean.items()
        }
        reasons = [
            *self._prediction_sentences(prediction, proposal, s, n_told),
            *self._nearest_sentences(state, table, problem, s),
            _pending_sentence(state),
            *further,
        ]
        return {
            "prediction": prediction, "exploration_share": s.exploration_share if prediction else None,
            "feasibility": s.feasibility if prediction else None, "acquisition": proposal.acquisition,
            "probability_of_improvement": s.probability_of_improvement if prediction else None,
            "reasons": [text for text in reasons if text], "checks": list(checks),
        }  # fmt: skip

    def _prediction_sentences(
        self, prediction: Mapping[str, Sequence[float]], proposal: Proposal, s: Suggested, n_told: Mapping[str, int]
    ) -> list[str]:
        if self.settings.engine != "own":
            return [f"Chosen by the engine {self.settings.engine} of Optuna, which predicts nothing."]
        if not prediction:
            return ["Nothing is told yet, so it is chosen to lie far from the others."]
        lines = [f"Predicted {self.value_text(name, mean)} (90 %: {lo:.4g} to {hi:.4g})."
                 for name, (mean, lo, hi) in prediction.items()]  # fmt: skip
        lines += [_few_sentence(name, n, has_prior=name in proposal.prior_weight)
                  for name, n in n_told.items() if n < FEW and name in prediction]  # fmt: skip
        aim = "widens the front" if len(self.settings.objectives) > 1 else "beats the best told"
        chance = (
            f"It {aim} with a probability of {_percent(s.probability_of_improvement)}; " if any(n_told.values()) else ""
        )
        lines.append(
            f"{chance}{_percent(s.exploration_share)} of its expected gain is owed to uncertainty (exploration), "
            f"{_percent(1 - s.exploration_share)} to what is known (exploitation)."
        )
        if s.feasibility < 0.9995:
            what = "succeeds and holds every constraint" if self.settings.constraints else "succeeds"
            lines.append(f"It {what} with a probability of {_percent(s.feasibility)}.")
        lines += [f"The prior mean of {name} counts with a weight of {weight:.2f}."
                  for name, weight in proposal.prior_weight.items()]  # fmt: skip
        return lines

    def _nearest_sentences(self, state: State, table: Table, problem: Problem, s: Suggested) -> list[str]:
        by_row: dict[int, Suggestion] = {}
        for suggestion in state.suggestions:
            if suggestion.status in {"told", "failed"}:
                by_row[table.row_of[suggestion.id]] = suggestion
        rows = list(dict.fromkeys(int(problem.told[i]) for i in s.nearest))[:N_NEAREST]
        return [f"Nearest of the campaign: {self._told_text(by_row[row])}." for row in rows if row in by_row]

    def _told_text(self, suggestion: Suggestion) -> str:
        results = [self.value_text(name, result.value) for name, result in suggestion.results.items()
                   if result.value is not None]  # fmt: skip
        end = f", which failed ({suggestion.reason})" if suggestion.status == "failed" else ""
        what = f" with {joined(results)}" if results else ""
        source = str(suggestion.details.get("source") or "")
        return f"#{suggestion.id} ({self.pool.words(suggestion.values)}){what}{end}{f'; {source}' if source else ''}"

    def _literature_sentences(self, table: Table, rows: Sequence[int]) -> list[list[str]]:
        """Return the nearest measured samples of the literature for each row, where there is a formula.

        Where the literature is the prior mean of a row and is not to be trusted there, this is said before.
        """
        samples = [table.pool.sample(table.pool.values(row)) for row in rows]
        known = [sample for sample in samples if sample is not None]
        found = iter(nearest(known, 1)) if known else iter(())
        near = [[] if sample is None else [_neighbour_sentence(one.sample, one.distance) for one in next(found)]
                for sample in samples]  # fmt: skip
        is_said = [any(_prior_interval(table.pool, row, name) for name in self.settings.properties) for row in rows]
        judged = [sample for sample, is_prior in zip(samples, is_said, strict=True) if is_prior and sample is not None]
        verdicts = iter(load_models().predict(judged)) if judged else iter(())
        return [[*(_domain_sentences(next(verdicts)) if is_prior else []), *lines]
                for is_prior, lines in zip(is_said, near, strict=True)]  # fmt: skip

    def _cut_sentence(self, state: State, rules: _Rules) -> str:
        taken = np.zeros(len(self.pool), dtype=bool)
        taken[sorted(state.taken_numbers)] = True
        left = ~taken
        parts = [f"{int(taken.sum()):,} are told or being made"]
        for words, cut in list(rules.cuts.items())[1:]:
            parts.append(f"{words} cuts {int((left & cut).sum()):,} more")
            left &= ~cut
        return f"Of {len(self.pool):,} candidates {joined(parts)}; {int(left.sum()):,} are left."

    def _checks(self, state: State, row: int, batch: Sequence[int], rules: _Rules) -> list[str]:
        """Check a choice again from the stored candidate alone, and return what was checked.

        Raises:
            IntegrityError: If it breaks a rule, which would be a defect.
        """
        values = self.pool.values(row)
        passed = {"is a candidate of the list": row < state.n_candidates}
        passed["is neither told nor being made"] = row not in state.taken_numbers
        for name, value in rules.fixed.items():
            passed[f"has {name} = {value}"] = values.get(name) == value
        for words, cut in list(rules.cuts.items())[1:]:
            if words.startswith("forbidden"):
                passed[f"is not {words}"] = not cut[row]
        if self.settings.shared:
            shared = {tuple(self.pool.columns[name][one] for name in self.settings.shared) for one in batch}
            passed[f"has the {joined(self.settings.shared)} of the whole batch"] = len(shared) == 1
        if self.settings.distinct:
            distinct = {tuple(self.pool.columns[name][one] for name in self.settings.distinct) for one in batch}
            words = f"is the only one of its {joined(self.settings.distinct)} in the batch"
            passed[words] = len(distinct) == len(batch)
        if broken := [rule for rule, is_met in passed.items() if not is_met]:
            raise IntegrityError(f"The candidate {row} was chosen though it does not hold the rule '{broken[0]}'; "
                                 "nothing was handed out. Report this defect.")  # fmt: skip
        return [rule for rule in (*passed, self.pool.check(values)) if rule]

    # ------------------------------------------------------------ telling

    def tell(
        self, suggestion: int, values: Mapping[str, float], error: Mapping[str, float] = _NOTHING,
        *, author: str = "", note: str = "",
    ) -> Experiment:  # fmt: skip
        """Store results of one suggestion; others of it may follow later.

        Args:
            suggestion: Its id.
            values: Numbers by property.
            error: Standard uncertainties by property.
            author: Who tells.
            note: What was seen.

        Raises:
            InputError: If a property is unknown, or a value impossible.
            ConflictError: If another value is stored, or the suggestion has ended.
            UnknownNameError: If there is no such suggestion.
            StoreError: If the store cannot be written.
        """
        check_results(values, error, self.settings, _named(suggestion))
        return self._seen(self.store.tell(self.name, suggestion, values, error, author, note))

    def tell_many(self, outcomes: Iterable[Outcome], author: str = "") -> tuple[Experiment, ...]:
        """Store results and failures of several suggestions, all or none; see `tell` and `fail`."""
        listed = list(outcomes)
        for one in listed:
            check_results(one.values, one.error, self.settings, _named(one.suggestion))
        return tuple(map(self._seen, self.store.tell_many(self.name, listed, author)))

    def correct(
        self, suggestion: int, values: Mapping[str, float | None], error: Mapping[str, float] = _NOTHING,
        *, author: str, reason: str,
    ) -> Experiment:  # fmt: skip
        """Replace told results, None withdrawing one; the former ones stay in the history. See `Store.correct`."""
        check_results(values, error, self.settings, _named(suggestion))
        corrected = self.store.correct(self.name, suggestion, values, error, author=author, reason=reason)
        return self._seen(corrected)

    def fail(self, suggestion: int, reason: str, author: str = "") -> Experiment:
        """Say that a sample failed, such as ``cracked``; the campaign learns from it. See `Store.fail`."""
        return self._seen(self.store.fail(self.name, suggestion, reason, author))

    def abandon(self, suggestion: int, reason: str = "", author: str = "") -> Experiment:
        """Give a candidate back unmade, so that it may be handed out again. See `Store.abandon`."""
        return self._seen(self.store.abandon(self.name, suggestion, reason, author))

    def reopen(self, suggestion: int, *, author: str, reason: str) -> Experiment:
        """Take back a failure or an abandonment said by mistake. See `Store.reopen`."""
        return self._seen(self.store.reopen(self.name, suggestion, author=author, reason=reason))

    def attach(self, rows: object, *, author: str = "", request_key: str | None = None) -> tuple[Experiment, ...]:
        """Add samples made before, all or none; candidates among them are not handed out any more.

        Args:
            rows: A table as a pool may be: the columns of the pool, any of the properties, each with its standard
                uncertainty in a column ``PROPERTY_sd``, ``failure`` for a failed sample and ``source`` for a citation;
                or `Sample` objects, whose citation is kept.
            author: Who adds them.
            request_key: Names the call; the same table is added once anyway.

        Raises:
            InputError: If a column is unknown, or a row has neither result nor failure.
            StoreError: If the store cannot be written.
        """
        if isinstance(rows, list | tuple) and rows and all(isinstance(row, Sample) for row in rows):
            cells: list[dict[str, Any]] = [self._cells_of(row) for row in rows]
        else:
            table = table_of(rows)
            cells = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        past = [self._past(row, place) for place, row in enumerate(cells, start=1)]
        past = [replace(one, details={**one.details, "prior": prior})
                for one, prior in zip(past, self._priors(past), strict=True)]  # fmt: skip
        return tuple(map(self._seen, self.store.attach(self.name, past, author, request_key)))

    def _cells_of(self, sample: Sample) -> dict[str, Value]:
        """Return a measured sample as a row of `attach`."""
        cells = {name: getattr(sample, name, None) for name in self.pool.inputs}
        for name in self.settings.properties:
            column = column_of(name)
            value = getattr(sample, column.name, None) if column else None
            if value is not None:
                cells[name] = math.log10(value) if is_log(name) else value
        if sample.outcome not in {"", "ok"}:
            cells["failure"] = sample.outcome
        return {**{k: v for k, v in cells.items() if v not in (None, "")}, "source": citation(sample)}

    def _past(self, row: Mapping[str, Any], place: int) -> Past:
        properties = self.settings.properties
        allowed = [*self.pool.visible, *properties, *(name + SD for name in properties), "failure", "source"]
        if unknown := [name for name in row if name not in allowed]:
            raise TableError(f"Row {place} of the past results has the column {shown(unknown[0])}; allowed are "
                             f"{', '.join(allowed)}.")  # fmt: skip
        given = {name: cell for name, cell in row.items() if cell is not None and cell != ""}
        results = {name: given[name] for name in properties if name in given}
        error = {name: given[name + SD] for name in properties if name + SD in given}
        check_results(results, error, self.settings, f"Row {place} of the past results")
        values = {name: given[name] for name in self.pool.visible if name in given}
        self._check_cells(values, place)
        number = self.pool.numbers_by_key.get(self.pool.key(values))
        details = {"source": str(given.get("source", ""))}
        known = values if number is None else self.pool.values(number)
        return Past(known, results, error, str(given.get("failure", "")), details)

    def _check_cells(self, values: Values, place: int) -> None:
        if not any(name in values for name in self.pool.inputs):
            raise TableError(f"Row {place} of the past results says nothing of the candidate; give "
                             f"{joined(self.pool.inputs, 'or')}.")  # fmt: skip
        for name, cell in values.items():
            is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
            if self.pool.kinds.get(name) == "numeric" and not is_number:
                raise TableError(f"Row {place} of the past results has {name} = {shown(cell)}; give a number.")

    def _priors(self, past: Sequence[Past]) -> list[dict[str, float]]:
        """Return the prior means of past samples outside the list, kept so that a later model changes nothing."""
        names = [n for n in self.settings.properties if PRIOR + n in self.pool.columns]
        if self.settings.prior == "none" or not names:
            return [{} for _ in past]
        said = literature_columns([self.pool.sample(one.values) for one in past], names)
        means = {name: said[PRIOR + name] for name in names if PRIOR + name in said}
        return [{name: cells[i] for name, cells in means.items() if cells[i] is not None} for i in range(len(past))]  # type: ignore[misc]

    # ------------------------------------------------------------ the campaign as arrays

    def state(self) -> State:
        """Return what the store knows of the campaign now."""
        return self.store.state(self.name)

    def table(self, state: State) -> Table:
        """Return all rows that the campaign learns from or chooses from."""
        row_of: dict[int, int] = {}
        extra: list[dict[str, Value]] = []
        places: dict[str, int] = {}
        for s in state.suggestions:
            number = s.candidate if s.candidate is not None and s.candidate < len(self.pool) else None
            if number is None and places.setdefault(s.key, len(extra)) == len(extra):
                prior = {PRIOR + name: value for name, value in s.details.get("prior", {}).items()}
                extra.append({**s.values, **prior})
            row_of[s.id] = len(self.pool) + places[s.key] if number is None else number
        pool = self.pool.with_rows(extra)
        ids = tuple(s.id for s in state.suggestions if row_of[s.id] >= len(self.pool))
        known = self._encoded  # one look, since another thread may replace it
        if known is None or known[0] != ids:
            known = self._encoded = ids, _encoded(pool)
        return Table(pool, known[1], len(self.pool), row_of)

    def problem(self, state: State, table: Table, forbidden: Flags | None = None) -> Problem:
        """Return a state as the arrays that the optimizer takes; rows outside the list are forbidden."""
        known = [s for s in state.suggestions if s.status in {"told", "failed"}]
        names = self.settings.properties
        values = np.array([[_standing(s, name)[0] for name in names] for s in known]).reshape(len(known), len(names))
        errors = np.array([[_standing(s, name)[1] for name in names] for s in known]).reshape(len(known), len(names))
        if forbidden is None:
            forbidden = np.arange(len(table.pool)) >= table.n_candidates
        settings = self.settings
        return Problem(
            inputs=table.encoded,
            objectives=settings.objectives,
            properties=names,
            told=np.array([table.row_of[s.id] for s in known], dtype=np.intp),
            values=values,
            variances=errors**2,
            failed=np.array([s.status == "failed" for s in known], dtype=bool),
            constraints=settings.constraints,
            pending=np.array([table.row_of[s.id] for s in state.pending], dtype=np.intp),
            forbidden=forbidden,
            costs=self._costs(table),
            prior_mean=self._prior_mean(table),
            prior_sd=self._prior_sd(),
            shared=_codes(table.pool, settings.shared),
            distinct=_codes(table.pool, settings.distinct),
        )

    def _costs(self, table: Table) -> Array | None:
        if not self.settings.cost:
            return None
        cells = table.pool.columns[self.settings.cost]
        # A past sample is not chosen again, so that its cost does not matter.
        return np.array([1.0 if not isinstance(c, int | float) or c <= 0 else c for c in cells], dtype=np.float64)

    def _prior_mean(self, table: Table) -> Array | None:
        columns = [table.pool.columns.get(PRIOR + name) for name in self.settings.properties]
        if not any(columns):
            return None
        missing = [None] * len(table.pool)
        return np.array([list(cells or missing) for cells in columns], dtype=np.float64).T

    def _prior_sd(self) -> Array | None:
        found = [_literature_sd(self.pool, name) for name in self.settings.properties]
        return None if np.isnan(found).all() else np.array(found)

    # ------------------------------------------------------------ what stands

    def experiments(self) -> tuple[Experiment, ...]:
        """Return everything that was asked or attached, in order."""
        return tuple(map(self._seen, self.state().suggestions))

    def experiment(self, suggestion: int) -> Experiment:
        """Return one suggestion.

        Raises:
            UnknownNameError: If there is none of that id.
        """
        for one in self.experiments():
            if one.id == suggestion:
                return one
        raise UnknownNameError(
            f"There is no suggestion {shown(suggestion)} in the campaign {self.name!r}; check the id."
        )

    def _seen(self, s: Suggestion) -> Experiment:
        return experiment_of(self.pool, s)

    def history(self) -> tuple[Event, ...]:
        """Return every event of the campaign in order, corrections with author and reason."""
        return self.store.history(self.name)

    def best(self) -> Experiment | None:
        """Return the best told of one objective; None where nothing is told that holds every constraint.

        Raises:
            InputError: If there are several objectives.
        """
        if len(self.settings.objectives) > 1:
            names = joined(o.name for o in self.settings.objectives)
            raise InputError(f"The campaign has several objectives ({names}), so there is a front and no best; ask for "
                             "pareto.")  # fmt: skip
        usable = self._usable()
        merits = merits_of([one.results for one in usable], self.settings.objectives)
        return usable[int(np.argmax(merits[:, 0]))] if usable else None

    def pareto(self) -> tuple[Experiment, ...]:
        """Return the told samples that no other told sample beats in every objective."""
        usable = self._usable()
        if not usable:
            return ()
        merits = merits_of([one.results for one in usable], self.settings.objectives)
        return tuple(one for one, is_kept in zip(usable, non_dominated(merits), strict=True) if is_kept)

    def _usable(self) -> list[Experiment]:
        """Return samples with every objective told and no constraint told to be broken; replicates averaged."""
        replicates: dict[str, list[Experiment]] = {}
        for s in self.state().suggestions:
            one = self._seen(s)
            if s.status == "told" and all(o.name in one.results for o in self.settings.objectives):
                replicates.setdefault(s.key, []).append(one)
        averaged = [
            replace(same[0], results=mean_results([one.results for one in same])) for same in replicates.values()
        ]
        return [one for one in averaged if holds_all(one.results, self.settings)]

    def outlook(self, n: int = 4, gain: float | None = None) -> Forecast:
        """Return what the next batch promises, as numbers and as a sentence per objective.

        Args:
            n: Size of the batch.
            gain: Gain of which the probability is wanted, in the unit of the property; 0.3 for a logarithm and a
                quarter of the told range otherwise, if None.

        Raises:
            TableError: If nothing is told yet.
            RangeError: If a number is out of range.
        """
        state = self.state()
        problem = self.problem(state, self.table(state))
        seed = self.settings.seed + len(state.suggestions)
        return Forecast(self._promise(replace(problem, objectives=(objective,)), n, gain, seed)
                        for objective in self.settings.objectives)  # fmt: skip

    def _promise(self, problem: Problem, n: int, gain: float | None, seed: int) -> Promise:
        objective = problem.objectives[0]
        told = problem.values[:, problem.properties.index(objective.name)]
        if gain is None:
            known = told[~np.isnan(told)] if np.isfinite(told).any() else np.ones(1)
            step = float(np.ptp(known)) / 4 or 0.1 * float(np.abs(known).max()) or 1.0
            gain = 0.3 if is_log(objective.name) else float(f"{step:.1g}")
        found = outlook_of(problem, n, gain=gain, seed=seed)
        unit = unit_of(objective.name, self.settings.units)
        tail = f" {unit}" if unit else ""
        best = f"{found.best:.4g}{'' if is_log(objective.name) else tail}"
        chance = _percent(found.probability_of_gain)
        sentence = (
            f"{objective.name}: best told {best}; another batch of {n} is expected to gain "
            f"{found.expected_gain:.2g}{tail}; {chance} chance that any untested candidate gains {gain:g}{tail}."
        )
        if (n_told := _n_told(problem)[objective.name]) < FEW:
            sentence += f" With {'one value' if n_told == 1 else f'{n_told} values'} told, this says little."
        return Promise(objective.name, found.best, found.expected_gain, gain, found.probability_of_gain, sentence)

    def value_text(self, name: str, value: float) -> str:
        """Return a value of a property with its name and unit."""
        unit = "" if is_log(name) else unit_of(name, self.settings.units)
        return f"{name} {value:.4g}{f' {unit}' if unit else ''}"

    # ------------------------------------------------------------ leaving

    def export(self, path: str | Path) -> None:
        """Write every experiment as a table (``.csv``), or with all reasons (``.json``).

        Raises:
            TableError: If the name ends otherwise, or the file cannot be written.
        """
        write_experiments(Path(path), self.experiments(), self.pool, self.settings)

    def export_optuna(self, url: str) -> None:
        """Write the campaign as a study of the same name into a storage of Optuna, for optuna-dashboard.

        A target is written as the distance to it. A sample with some objectives told is still running.

        Raises:
            MissingExtraError: If Optuna is not installed.
            ConflictError: If the storage has a study of that name.
            StoreError: If the storage cannot be written.
        """
        objectives = self.settings.objectives
        trials = [
            trial_of(one, self.settings, self.pool.inputs) for one in self.experiments() if one.status != "abandoned"
        ]
        columns = {name: self.pool.columns[name] for name in self.pool.inputs}
        directions = ["maximize" if o.mode == "max" else "minimize" for o in objectives]
        names = [o.name if o.target is None else f"distance of {o.name} to {o.target:g}" for o in objectives]
        write_study(url, self.name, directions, names, trials, columns)


# ---------------------------------------------------------------- small steps


def _n_told(problem: Problem) -> dict[str, int]:
    counts = (~np.isnan(problem.values)).sum(axis=0)
    return {name: int(n) for name, n in zip(problem.properties, counts, strict=True)}


def _named(suggestion: object) -> str:
    return f"Suggestion {suggestion if isinstance(suggestion, int) else shown(suggestion)}"


def _texts(what: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"The option {what!r} is {shown(given)}; give a list of names.")
    return tuple(given)


def _stored_pool(store: Store, name: str, record: Mapping[str, Any]) -> Pool:
    rows = [values for _, values in store.candidates(name)]
    return Pool({column: [row.get(column) for row in rows] for column in record["columns"]}, record["kinds"],
                record["space"])  # fmt: skip


def _encoded(pool: Pool) -> Encoded:
    kinds = {name: cast("Kind", pool.kinds[name]) for name in pool.inputs}
    return encode({name: pool.columns[name] for name in pool.inputs}, kinds)


def _codes(pool: Pool, names: Sequence[str]) -> Index | None:
    if not names:
        return None
    seen: dict[tuple[Value, ...], int] = {}
    cells = zip(*(pool.columns[name] for name in names), strict=True)
    return np.array([seen.setdefault(row, len(seen)) for row in cells], dtype=np.intp)


def _standing(s: Suggestion, name: str) -> tuple[float, float]:
    result = s.results.get(name)
    if result is None or result.value is None:
        return math.nan, math.nan
    return float(result.value), math.nan if result.error is None else float(result.error)


def _words(rule: Filter) -> str:
    return f"by {rule!r}" if isinstance(rule, str) else f"by {getattr(rule, '__name__', 'a function')}"


def _cell_words(value: Value) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.15g}" if is_number else repr(value)


def _request_words(fixed: Values, forbid: Filter | None, prefer: Filter | None) -> str:
    """Return the rules of a request in words, the same for the same rules."""
    parts = [f"{name} = {_cell_words(value)} fixed" for name, value in sorted(fixed.items())]
    parts += [f"{what} {_words(rule)}" for what, rule in (("forbidden", forbid), ("preferred", prefer)) if rule]
    return "; ".join(parts)


def _percent(share: float) -> str:
    if 0 < share < 0.01:
        return "less than 1 %"
    return "more than 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"


def _prior_interval(pool: Pool, row: int, name: str) -> list[float] | None:
    """Return what the literature says of a property by itself, with its interval; None where it says nothing.

    How much its predictions differ from one candidate to another sets the scale of a campaign, and says nothing of how
    far they are off: that is what its own interval is for.
    """
    cells = [
        pool.columns[start + name][row] for start in (PRIOR, PRIOR_LOW, PRIOR_HIGH) if start + name in pool.columns
    ]
    known = [float(cell) for cell in cells if isinstance(cell, int | float)]
    return known if len(known) == 3 else None


def _literature_sd(pool: Pool, name: str) -> float:
    """Return by how much samples of one series typically differ from what the literature says; NaN where it is mute."""
    low, high = (pool.columns.get(end + name) for end in (PRIOR_LOW, PRIOR_HIGH))
    if not low or not high:
        return np.nan
    widths = np.array(high, dtype=np.float64) - np.array(low, dtype=np.float64)
    return float(WITHIN_SHARE * np.nanmedian(widths) / 2 / NORMAL_90)


def _few_sentence(name: str, n: int, *, has_prior: bool) -> str:
    if not n and has_prior:
        return f"Nothing is told of {name} yet: it is predicted by its prior alone."
    return f"Of {name} {'one value is' if n == 1 else f'{n} values are'} told, so that its interval says little."


def _pending_sentence(state: State) -> str:
    ids = [f"#{s.id}" for s in state.pending]
    if not ids:
        return "Nothing else is being made."
    more = f" and {len(ids) - 20} more" if len(ids) > 20 else ""
    return f"Being made at the time, and counted as measured: {', '.join(ids[:20])}{more}."


def _domain_sentences(prediction: Prediction) -> list[str]:
    if prediction.in_domain:
        return []
    return [f"The literature model does not trust itself here: {prediction.domain_note}."]


def _neighbour_sentence(sample: Sample, distance: float) -> str:
    made = processing_line(sample)
    value = ""
    if sample.conductivity_s_cm is not None:
        value = f": {sample.conductivity_s_cm:.2g} S/cm at {sample.meas_temp_c:g} °C"
    return (
        f"Nearest measured elsewhere: {sample.formula}{f' ({made})' if made else ''}{value}, distance in composition "
        f"{distance:.2f}; {citation(sample)}."
    )


__all__ = [
    "Campaign", "Constraint", "Experiment", "Forecast", "Objective", "Options", "Outcome", "Predicted", "Promise",
]  # fmt: skip
