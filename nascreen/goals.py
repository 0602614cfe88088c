"""What a campaign asks for: its objectives, constraints and batch rules, and what a told value may be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

from nascreen.errors import InputError, RangeError, shown
from nascreen.history import checked_number
from nascreen.optuna_engine import Engine, check_engine
from nascreen.pools import Pool
from nascreen.proposals import Acquisition, Constraint, Goal, Mode, Objective
from nascreen.records import COLUMN_BY_NAME, Column
from nascreen.units import UNITS, heading_text

PRIORS = ("auto", "literature", "none")
LOG = "log_"
"""What the name of a property begins with that is the decimal logarithm of a column of samples."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_CONDITION = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(<=|>=)\s*([-+0-9.eE]+)\s*")
LONGEST_UNIT = 30


@dataclass(frozen=True, slots=True)
class Settings:
    """What a campaign remembers of its making.

    Attributes:
        objectives: What it wants.
        constraints: What a sample must hold.
        measure: Further properties that may be told.
        shared: Columns that are the same for a whole batch, such as the settings of the furnace.
        distinct: Columns of which a batch holds each combination once, such as the formula.
        cost: Column with the cost of a candidate; empty where all cost the same.
        units: Unit of a property that is no column of samples.
        prior: ``auto`` or ``literature`` takes the literature model as prior mean where there is a formula.
        goal: ``top`` for many good ones, ``best`` for the one best.
        acquisition: By what to choose; ``auto`` follows the goal.
        engine: ``own``, or ``optuna_tpe`` or ``optuna_gp`` for Optuna's samplers.
        seed: Seed of whatever is drawn.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    measure: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    distinct: tuple[str, ...] = ()
    cost: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    prior: str = "auto"
    goal: Goal = "top"
    acquisition: Acquisition = "auto"
    engine: Engine = "own"
    seed: int = 0

    @property
    def properties(self) -> tuple[str, ...]:
        """Every property that may be told."""
        names = [*(o.name for o in self.objectives), *(c.name for c in self.constraints), *self.measure]
        return tuple(dict.fromkeys(names))

    def record(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Settings:
        """Return settings from JSON values."""
        known = {f.name: record[f.name] for f in fields(cls) if f.name in record}
        known = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
        known["objectives"] = tuple(Objective(**one) for one in record["objectives"])
        known["constraints"] = tuple(Constraint(**one) for one in record["constraints"])
        return cls(**known)


def read_constraint(rule: object) -> Constraint:
    """Return a constraint, which may be written such as ``strength_mpa >= 40``.

    Raises:
        InputError: If it is none.

    >>> read_constraint("strength_mpa >= 40")
    Constraint(name='strength_mpa', lower=40.0, upper=None)
    """
    if isinstance(rule, Constraint):
        return rule
    match = _CONDITION.fullmatch(rule) if isinstance(rule, str) else None
    try:
        limit = float(match[3]) if match else math.nan
    except ValueError:
        limit = math.nan
    if match is None or not math.isfinite(limit):
        raise InputError(f"The constraint is {shown(rule)}; write it such as 'strength_mpa >= 40', with >= or <=.")
    return Constraint(match[1], limit, None) if match[2] == ">=" else Constraint(match[1], None, limit)


def checked_settings(settings: Settings, pool: Pool) -> Settings:
    """Return settings that fit their pool.

    Raises:
        InputError: If a name, a rule or a choice cannot be used.
        RangeError: If a number is out of range.
    """
    if not settings.objectives:
        raise InputError("A campaign needs at least one objective; give Objective('log_conductivity', 'max').")
    given: Sequence[Any] = settings.objectives
    if wrong := [one for one in given if not isinstance(one, Objective)]:
        raise InputError(f"An objective is {shown(wrong[0])}; give Objective('log_conductivity', 'max').")
    for objective in settings.objectives:
        _check_objective(objective)
    names = [o.name for o in settings.objectives]
    if len(set(names)) < len(names):
        raise InputError(f"An objective is named twice ({', '.join(names)}); give each property once.")
    for constraint in settings.constraints:
        _check_limits(constraint)
    _check_choices(settings)
    for name in settings.properties:
        _check_property(name, pool)
    _check_columns(settings, pool)
    return settings


def _check_objective(objective: Objective) -> None:
    name = shown(objective.name)
    if objective.mode not in get_args(Mode):
        raise InputError(f"The mode of {name} is {shown(objective.mode)}; allowed are {', '.join(get_args(Mode))}.")
    if (objective.mode == "target") != (objective.target is not None):
        raise InputError(f"The objective {name} has a target if, and only if, its mode is target.")
    if objective.target is not None:
        checked_number(objective.target, f"target of {name}")


def _check_limits(constraint: Constraint) -> None:
    limits = [limit for limit in (constraint.lower, constraint.upper) if limit is not None]
    for limit in limits:
        checked_number(limit, f"limit of {shown(constraint.name)}")
    if not limits:
        raise InputError(f"The constraint on {shown(constraint.name)} has no limit; give a lower or an upper one.")
    if len(limits) == 2 and limits[0] >= limits[1]:
        raise RangeError(f"The constraint on {shown(constraint.name)} allows nothing between {limits[0]:g} and "
                         f"{limits[1]:g}; give the lower limit first.")  # fmt: skip


def _check_choices(settings: Settings) -> None:
    for what, value, allowed in (
        ("prior", settings.prior, PRIORS),
        ("goal", settings.goal, get_args(Goal)),
        ("acquisition", settings.acquisition, get_args(Acquisition)),
    ):
        if value not in allowed:
            raise InputError(f"The {what} is {shown(value)}; allowed are {', '.join(allowed)}.")
    seed: Any = settings.seed
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**53:
        raise RangeError(f"The seed is {shown(settings.seed)}; allowed is a whole number from 0.")
    check_engine(settings.engine)
    units: Mapping[str, Any] = settings.units
    for name, unit in units.items():
        if name not in settings.properties:
            raise InputError(f"A unit is given for {shown(name)}, which is no property of the campaign.")
        if not isinstance(unit, str) or not unit.strip() or len(unit) > LONGEST_UNIT or set(unit) & set("[]"):
            raise InputError(f"The unit of {shown(name)} is {shown(unit)}; give a short text without [ and ].")
        if column_of(name) is not None:
            raise InputError(f"The property {shown(name)} has its own unit, {unit_of(name, {})}; leave the unit out.")


def _check_property(name: object, pool: Pool) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"A property is named {shown(name)}; allowed are letters, digits and _, beginning with a "
                         "letter, such as log_conductivity.")  # fmt: skip
    if name in pool.columns:
        raise InputError(f"The property {shown(name)} is a column of the pool too; leave that out, or rename one.")


def _check_columns(settings: Settings, pool: Pool) -> None:
    rules = {"shared": settings.shared, "distinct": settings.distinct, "cost": (settings.cost,) * bool(settings.cost)}
    for what, names in rules.items():
        for name in names:
            if name not in pool.visible:
                raise InputError(f"The rule {what!r} names {shown(name)}, which is no column of the pool; it has "
                                 f"{', '.join(map(shown, pool.visible))}.")  # fmt: skip
    if settings.cost:
        for row, cell in enumerate(pool.columns[settings.cost]):
            if isinstance(cell, bool) or not isinstance(cell, int | float) or cell <= 0:
                raise RangeError(f"The cost of candidate {row} is {shown(cell)}; give every candidate a number above "
                                 "0.")  # fmt: skip


# ---------------------------------------------------------------- what a told value may be


def column_of(name: str) -> Column | None:
    """Return the column of samples that a property is, or whose decimal logarithm it is; None where it is another.

    >>> column_of("log_conductivity").name, column_of("strength_mpa").name, column_of("throughput")
    ('conductivity_s_cm', 'strength_mpa', None)
    """
    if not name.startswith(LOG):
        column = COLUMN_BY_NAME.get(name)
        return column if column is not None and column.kind == "number" else None
    for column in COLUMN_BY_NAME.values():
        is_plain = column.kind == "number" and column.unit in UNITS and column.lower == 0
        if is_plain and name == LOG + column.name.removesuffix(f"_{UNITS[column.unit][0].suffix}"):
            return column
    return None


def is_log(name: str) -> bool:
    """Return whether a property is the decimal logarithm of a column of samples."""
    return name.startswith(LOG) and column_of(name) is not None


def unit_of(name: str, units: Mapping[str, str]) -> str:
    """Return the unit of a property; empty where it has none.

    >>> unit_of("log_conductivity", {}), unit_of("strength_mpa", {}), unit_of("speed", {"speed": "mm/s"})
    ('decades', 'MPa', 'mm/s')
    """
    column = column_of(name)
    return "decades" if is_log(name) else column.unit if column else units.get(name, "")


def result_heading(name: str, units: Mapping[str, str]) -> str:
    """Return the head of the column in which a property is filled in, with its unit.

    >>> result_heading("log_conductivity", {}), result_heading("speed", {"speed": "mm/s"})
    ('conductivity [S/cm]', 'speed [mm/s]')
    """
    column = column_of(name)
    if column is not None:
        return heading_text(column.name)
    return f"{name} [{units[name]}]" if name in units else name


def check_results(values: Any, error: Any, settings: Settings, what: str) -> None:  # noqa: ANN401 - from a person
    """Refuse results of properties that a campaign does not have, or that no sample can have.

    Raises:
        InputError: If a property is unknown.
        RangeError: If a value is out of bounds.
    """
    if not isinstance(values, Mapping) or not isinstance(error, Mapping):
        raise InputError(f"The results of {what} are {shown(values)}; give tables of property names and numbers.")
    for name in (*values, *error):
        if name not in settings.properties:
            raise InputError(f"{what} is told {shown(name)}, which is no property of the campaign; it has "
                             f"{', '.join(settings.properties)}.")  # fmt: skip
    for name, value in values.items():
        if value is not None:
            check_bounds(name, float(checked_number(value, f"value of {name!r} of {what}")), what)


def check_bounds(name: str, value: float, what: str) -> None:
    """Refuse a value that no sample can have.

    Raises:
        RangeError: If it is out of the bounds of its column.
    """
    column = column_of(name)
    if column is None:
        return
    plain = 10.0 ** min(value, 300.0) if is_log(name) else value
    is_low = column.lower is not None and (plain < column.lower or (column.is_lower_open and plain <= column.lower))
    if is_low or (column.upper is not None and plain > column.upper):
        meant = f" as the logarithm of {column.name}" if is_log(name) else ""
        raise RangeError(f"{what} is told {name} = {value:g}{meant}; allowed is {column.allowed}.")


def holds(results: Mapping[str, float], constraint: Constraint) -> bool:
    """Return whether told results hold a constraint; one that is not measured yet is not broken."""
    value = results.get(constraint.name)
    return value is None or violation(value, constraint) <= 0


def violation(value: float, constraint: Constraint) -> float:
    """Return how far a value misses a constraint, above 0 where it does."""
    below = -math.inf if constraint.lower is None else constraint.lower - value
    above = -math.inf if constraint.upper is None else value - constraint.upper
    return max(below, above)


def holds_all(results: Mapping[str, float], settings: Settings) -> bool:
    """Return whether told results break no constraint."""
    return all(holds(results, constraint) for constraint in settings.constraints)


def joined(parts: Iterable[str], last: str = "and") -> str:
    """Return words as a list for people.

    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    words: Sequence[str] = list(parts)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else "none"
