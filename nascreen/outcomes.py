"""What stands of a campaign: its experiments, how good they are, and how they leave it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.errors import TableError, shown
from nascreen.goals import Settings, column_of, is_log, violation
from nascreen.history import Suggestion, Value
from nascreen.optuna_export import Trial
from nascreen.pools import Pool
from nascreen.proposals import Objective
from nascreen.tables import write_table

Array = NDArray[np.float64]

NORMAL_90 = 1.6448536269514722
"""Half width of a 90 % interval in standard deviations."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """A predicted value with its 90 % interval, in the unit of the property."""

    mean: float
    lo: float
    hi: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """A suggestion as it stands.

    Attributes:
        id: Its number in the store, which never changes; results are told to it.
        values: Cells of the candidate by column.
        prediction: What was predicted of each property when it was asked.
        reasons: Why it was chosen, as sentences.
        checks: What it was checked against after it was chosen, as sentences.
        exploration_share: Share of its expected gain that is owed to uncertainty, 0 to 1; None for a past sample.
        feasibility: Probability that it succeeds and holds every constraint; None for a past sample.
        status: ``pending``, ``told``, ``failed`` or ``abandoned``.
        results: Told values by property.
        error: Their standard uncertainties, as far as stated.
        failure: Why it failed or was abandoned.
        note: The last note.
        source: Where a past sample was reported; empty where not stated.
        is_attached: Whether it is a past sample.
        time: When it was asked or attached, in UTC.
        author: Who asked or attached it.
    """

    id: int
    values: Mapping[str, Value]
    prediction: Mapping[str, Predicted]
    reasons: tuple[str, ...]
    checks: tuple[str, ...]
    exploration_share: float | None
    feasibility: float | None
    status: str
    results: Mapping[str, float]
    error: Mapping[str, float]
    failure: str
    note: str
    source: str
    is_attached: bool
    time: str
    author: str


@dataclass(frozen=True, slots=True)
class Promise:
    """What further experiments promise for one objective.

    Attributes:
        name: The property.
        best: Best value told.
        expected_gain: Expected gain of the next batch over it.
        gain: The gain asked about.
        probability_of_gain: Probability that any untested candidate beats the best by it.
        sentence: The same for people.
    """

    name: str
    best: float
    expected_gain: float
    gain: float
    probability_of_gain: float
    sentence: str


class Forecast(tuple[Promise, ...]):
    """One promise per objective; as text, their sentences."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return the sentences."""
        return "\n".join(promise.sentence for promise in self)


def experiment_of(pool: Pool, s: Suggestion) -> Experiment:
    """Return a suggestion of the store as people see it."""
    details = s.details
    return Experiment(
        id=s.id,
        values=MappingProxyType(pool.shown_values(s.values)),
        prediction={name: Predicted(*three) for name, three in details.get("prediction", {}).items()},
        reasons=tuple(details.get("reasons", ())),
        checks=tuple(details.get("checks", ())),
        exploration_share=details.get("exploration_share"),
        feasibility=details.get("feasibility"),
        status=s.status,
        results={name: float(result.value) for name, result in s.results.items() if result.value is not None},
        error={name: float(result.error) for name, result in s.results.items() if result.error is not None},
        failure=s.reason,
        note=s.note,
        source=str(details.get("source", "")),
        is_attached=s.is_attached,
        time=s.time,
        author=s.author,
    )


def interval(name: str, mean: float, sd: float) -> list[float]:
    """Return a mean with its 90 % interval, which ends where no sample can be."""
    column = column_of(name)
    lowest = -math.inf if column is None or is_log(name) or column.lower is None else column.lower
    highest = math.inf if column is None or is_log(name) or column.upper is None else column.upper
    return [
        mean,
        max(mean - NORMAL_90 * sd, min(float(lowest), mean)),
        min(mean + NORMAL_90 * sd, max(float(highest), mean)),
    ]


def mean_results(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each property over replicates."""
    names = dict.fromkeys(name for one in results for name in one)
    told = {name: [one[name] for one in results if name in one] for name in names}
    return {name: sum(values) / len(values) for name, values in told.items()}


def merits_of(results: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> Array:
    """Return told objectives so that more is better, shape (n, n_objectives)."""
    out = np.empty((len(results), len(objectives)))
    for j, o in enumerate(objectives):
        values = np.array([one[o.name] for one in results], dtype=np.float64)
        out[:, j] = -np.abs(values - o.target) if o.target is not None else -values if o.mode == "min" else values
    return out


# ---------------------------------------------------------------- leaving


def trial_of(one: Experiment, settings: Settings, columns: Sequence[str]) -> Trial:
    """Return an experiment as a trial of Optuna; a target becomes the distance to it."""
    objectives, constraints = settings.objectives, settings.constraints
    is_whole = all(o.name in one.results for o in objectives)
    values = [one.results[o.name] if o.target is None else abs(one.results[o.name] - o.target)
              for o in objectives] if is_whole else None  # fmt: skip
    violations = [violation(one.results[c.name], c) for c in constraints if c.name in one.results]
    status: Any = "fail" if one.status == "failed" else "complete" if is_whole else "running"
    attributes: dict[str, Any] = {
        "suggestion": one.id, "author": one.author, "asked": one.time, "source": one.source,
        "failure": one.failure, "note": one.note, **{f"told {name}": v for name, v in one.results.items()},
    }  # fmt: skip
    return Trial(
        {name: one.values.get(name) for name in columns}, values,
        violations if constraints and len(violations) == len(constraints) else None, status,
        {name: value for name, value in attributes.items() if value != ""},
    )  # fmt: skip


def write_experiments(path: Path, experiments: Sequence[Experiment], pool: Pool, settings: Settings) -> None:
    """Write experiments as a table, one a row, or as JSON with all their reasons.

    Args:
        path: File ending in ``.csv`` or ``.json``.
        experiments: In the order of the rows.
        pool: The candidates, which give the columns.
        settings: The settings, which give the properties.

    Raises:
        TableError: If the name ends otherwise, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".json"}:
        raise TableError(f"The export {shown(path.name)} must end in .csv or .json.")
    if suffix == ".csv":
        write_table(path, export_columns(pool, settings), export_rows(experiments, pool, settings))
        return
    try:
        path.write_text(export_json(experiments), encoding="utf-8", newline="\n")
    except OSError as error:
        raise TableError(f"The export {shown(str(path))} cannot be written: {error.strerror}.") from error


def export_columns(pool: Pool, settings: Settings) -> list[str]:
    """Return the columns of an exported table."""
    results = [column for name in settings.properties
               for column in (name, f"{name}_sd", f"predicted_{name}", f"{name}_lo", f"{name}_hi")]  # fmt: skip
    return ["id", "status", *pool.visible, *results, "failure", "note", "source", "time", "author"]


def export_rows(experiments: Sequence[Experiment], pool: Pool, settings: Settings) -> list[dict[str, str]]:
    """Return the rows of an exported table, one experiment each."""
    return [_export_cells(one, pool, settings) for one in experiments]


def export_json(experiments: Sequence[Experiment]) -> str:
    """Return experiments as JSON with all their reasons."""
    return json.dumps([experiment_values(one) for one in experiments], ensure_ascii=False, indent=1) + "\n"


def _export_cells(one: Experiment, pool: Pool, settings: Settings) -> dict[str, str]:
    cells: dict[str, object] = {name: one.values.get(name) for name in pool.visible}
    for name in settings.properties:
        cells |= {name: one.results.get(name), f"{name}_sd": one.error.get(name)}
        if predicted := one.prediction.get(name):
            cells |= {f"predicted_{name}": predicted.mean, f"{name}_lo": predicted.lo, f"{name}_hi": predicted.hi}
    cells |= {"id": one.id, "status": one.status, "failure": one.failure, "note": one.note, "source": one.source,
              "time": one.time, "author": one.author}  # fmt: skip
    return {name: "" if cell is None else str(cell) for name, cell in cells.items()}


def experiment_values(one: Experiment) -> dict[str, Any]:
    """Return an experiment as JSON values."""
    prediction = {name: {"mean": p.mean, "lo": p.lo, "hi": p.hi} for name, p in one.prediction.items()}
    return {
        "id": one.id, "status": one.status, "values": dict(one.values), "results": dict(one.results),
        "error": dict(one.error), "prediction": prediction, "exploration_share": one.exploration_share,
        "feasibility": one.feasibility, "reasons": list(one.reasons), "checks": list(one.checks),
        "failure": one.failure, "note": one.note, "source": one.source, "is_attached": one.is_attached,
        "time": one.time, "author": one.author,
    }  # fmt: skip
