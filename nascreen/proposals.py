"""What a campaign asks as arrays, and what is proposed: the words between a campaign and whatever chooses for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nascreen.encoding import Encoded
from nascreen.errors import RangeError, TableError, shown

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Flags = NDArray[np.bool_]

Mode = Literal["max", "min", "target"]
Goal = Literal["top", "best"]
Acquisition = Literal["auto", "top_probability", "expected_improvement", "upper_bound", "thompson"]

MAX_BATCH = 1000


# ---------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Objective:
    """What a campaign wants of a property.

    Attributes:
        name: The property, one of `Problem.properties`.
        mode: ``max``, ``min`` or ``target``.
        target: The value wanted where the mode is ``target``.
    """

    name: str
    mode: Mode = "max"
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a property must hold, such as a strength of at least 40 MPa.

    Attributes:
        name: The property, one of `Problem.properties`.
        lower: Smallest value allowed; None for no limit.
        upper: Largest value allowed; None for no limit.
    """

    name: str
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """A campaign as arrays.

    Attributes:
        inputs: The encoded table: the candidates, and whatever else was measured (forbidden, but learned from).
        objectives: At least one.
        properties: Names of the columns of `values`.
        told: Row of the table of each result, shape (r,); a row told twice is a replicate.
        values: What was measured, NaN where it was not (yet), shape (r, p).
        variances: Known variance of each value, NaN or 0 where it is not known, shape (r, p); None for none.
        failed: Which results are failures, shape (r,); None for none.
        constraints: Conditions on properties.
        pending: Rows that are being made.
        forbidden: Rows that must not be proposed, shape (n,); None for none.
        costs: Cost of each row, above 0, shape (n,); None where all cost the same.
        prior_mean: Prediction of each property, in its unit, NaN where there is none, shape (n, p); None for none.
        prior_sd: By how much the candidates of one campaign typically differ from the prior mean of each property, as a
            standard deviation in its unit, NaN where nobody knows, shape (p,); None for none.
        shared: Code of the setting that a whole batch must share, shape (n,), such as its furnace temperature.
        distinct: Code of which a batch may hold one of each, shape (n,), such as its formula.
    """

    inputs: Encoded
    objectives: tuple[Objective, ...]
    properties: tuple[str, ...]
    told: Index
    values: Array
    variances: Array | None = None
    failed: Flags | None = None
    constraints: tuple[Constraint, ...] = ()
    pending: Index = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    forbidden: Flags | None = None
    costs: Array | None = None
    prior_mean: Array | None = None
    prior_sd: Array | None = None
    shared: Index | None = None
    distinct: Index | None = None

    def prior_off(self, column: int) -> float:
        """Return `prior_sd` of a property by its column; 0 where nobody knows."""
        return 0.0 if self.prior_sd is None else float(np.nan_to_num(self.prior_sd[column]))

    @property
    def n_rows(self) -> int:
        """Number of rows of the table."""
        return len(self.inputs.values)

    @property
    def is_failed(self) -> Flags:
        """Which results are failures."""
        return np.zeros(len(self.told), dtype=bool) if self.failed is None else self.failed

    @property
    def is_open(self) -> Flags:
        """Which rows may be proposed: not told, not failed, not pending, not forbidden."""
        out = np.ones(self.n_rows, dtype=bool) if self.forbidden is None else ~self.forbidden
        out[self.told] = False
        out[self.pending] = False
        return out


@dataclass(frozen=True, slots=True)
class Suggested:
    """One row to measure next.

    Attributes:
        index: Row of the table.
        mean: Predicted value of each property in its unit; the mean of what it may be.
        sd: Standard deviation of each.
        probability_of_improvement: Probability that it beats the best told, or that nothing told dominates it.
        feasibility: Probability that it succeeds and holds every constraint.
        exploration_share: Share of its expected gain that is owed to uncertainty, 0 to 1.
        log_utility: What it was chosen for, given those before it.
        nearest: Results nearest to it, as positions in `Problem.told`, nearest first.
    """

    index: int
    mean: Mapping[str, float]
    sd: Mapping[str, float]
    probability_of_improvement: float
    feasibility: float
    exploration_share: float
    log_utility: float
    nearest: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A batch of suggestions.

    Attributes:
        suggestions: In the order in which they were chosen; fewer than asked where the rows that may be proposed run
            out, or the batch must share a setting.
        acquisition: What they were chosen by.
        setting: Code of the setting that the batch shares; None where none is asked for.
        prior_weight: Learned weight of the prior mean of each property that has one.
        rules: Every rule that each suggestion was checked against.
    """

    suggestions: tuple[Suggested, ...]
    acquisition: str
    setting: int | None
    prior_weight: Mapping[str, float]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What further measurements promise, for one objective.

    Attributes:
        best: Best value told, in the unit of the objective; NaN where nothing is told.
        expected_gain: Expected gain of the next batch over it.
        probability_of_gain: Probability that any row not yet told beats it by at least `gain`.
        gain: The gain asked about.
    """

    best: float
    expected_gain: float
    probability_of_gain: float
    gain: float


# ---------------------------------------------------------------- refusals


def check_problem(problem: Problem, n: int, seed: int) -> None:
    """Refuse a problem that cannot be answered.

    Raises:
        RangeError: If a number or an index is out of range.
        TableError: If the arrays do not fit each other, or a name is not a property.
    """
    if not 1 <= n <= MAX_BATCH:
        raise RangeError(f"A batch holds 1 to {MAX_BATCH} experiments; got {n}.")
    if seed < 0:
        raise RangeError(f"The seed is {seed}; allowed is a whole number from 0.")
    if not problem.objectives:
        raise TableError("A campaign needs at least one objective; name a property to maximise or minimise.")
    _check_names(problem)
    _check_shapes(problem)
    for what, rows in (("told", problem.told), ("pending", problem.pending)):
        if len(rows) and not (rows.min() >= 0 and rows.max() < problem.n_rows):
            raise RangeError(f"A {what} row is outside the table; allowed is 0 to {problem.n_rows - 1}.")
    if problem.costs is not None and not (np.isfinite(problem.costs) & (problem.costs > 0)).all():
        raise RangeError("A cost is not above 0; give every candidate a cost above 0, or none at all.")
    if np.isinf(problem.values).any():
        raise RangeError("A told value is infinite; leave out what was not measured.")


def _check_names(problem: Problem) -> None:
    for name in [*(o.name for o in problem.objectives), *(c.name for c in problem.constraints)]:
        if name not in problem.properties:
            allowed = ", ".join(map(shown, problem.properties))
            raise TableError(f"There is no property {shown(name)}; choose one of {allowed}.")
    for objective in problem.objectives:
        if objective.mode not in get_args(Mode):
            raise RangeError(f"The mode of {shown(objective.name)} is {shown(objective.mode)}; allowed is max, min or "
                             "target.")  # fmt: skip
        if (objective.mode == "target") != (objective.target is not None):
            raise RangeError(f"The objective {shown(objective.name)} has a target if, and only if, its mode is target.")
    for constraint in problem.constraints:
        if constraint.lower is None and constraint.upper is None:
            raise RangeError(f"The constraint on {shown(constraint.name)} has no limit; give a lower or an upper one.")


def _check_shapes(problem: Problem) -> None:
    r, n, p = len(problem.told), problem.n_rows, len(problem.properties)
    wanted = (
        ("values", problem.values, (r, p)), ("variances", problem.variances, (r, p)), ("failed", problem.failed, (r,)),
        ("forbidden", problem.forbidden, (n,)), ("costs", problem.costs, (n,)),
        ("prior_mean", problem.prior_mean, (n, p)), ("prior_sd", problem.prior_sd, (p,)),
        ("shared", problem.shared, (n,)), ("distinct", problem.distinct, (n,)),
    )  # fmt: skip
    for name, array, shape in wanted:
        if array is not None and array.shape != shape:
            raise TableError(f"The array '{name}' has the shape {array.shape}; it must be {shape}.")


def forbid_all_but(table: Mapping[str, Sequence[object]], fixed: Mapping[str, object]) -> Flags:
    """Return which rows of a table have another value than one that is fixed, to be forbidden, shape (n,).

    Args:
        table: Cells by column.
        fixed: Value that a column must have.

    Raises:
        TableError: If there is no such column, or no row has these values.
    """
    n = len(next(iter(table.values()), ()))
    out = np.zeros(n, dtype=bool)
    for name, value in fixed.items():
        if name not in table:
            raise TableError(f"There is no column {shown(name)}; the table has {', '.join(map(shown, table))}.")
        out |= np.array([cell != value for cell in table[name]], dtype=bool)
    if out.all():
        wanted = ", ".join(f"{name} = {value}" for name, value in fixed.items())
        raise TableError(f"No candidate has {shown(wanted)}; fix values that a candidate has.")
    return out
