"""Optuna's samplers as another engine behind the same ask and tell.

Each encoded column is a parameter; what the sampler wants is answered with the nearest row that may be proposed.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nascreen.errors import InputError, MissingExtraError
from nascreen.proposals import Problem, Proposal, Suggested

Engine = Literal["own", "optuna_tpe", "optuna_gp"]
Array = NDArray[np.float64]

MOST_COLUMNS = 60
"""Directions of the encoded table that the sampler sees, those of largest variance."""

N_STARTUP = 10


def propose_by_optuna(problem: Problem, n: int, engine: Engine, seed: int) -> Proposal:
    """Return the rows to measure next by one of Optuna's samplers.

    Prior means, costs and stated uncertainties are not known to it; failures, pending rows and constraints are.

    Args:
        problem: The campaign.
        n: How many.
        engine: ``optuna_tpe``, or ``optuna_gp`` where torch is installed.
        seed: Seed of the sampler.

    Returns:
        The proposal, without predictions, since the sampler makes none.

    Raises:
        MissingExtraError: If Optuna, or torch for ``optuna_gp``, is not installed.
    """
    optuna = _optuna(engine)
    spots = _projected(problem.inputs.values)
    limits = {f"x{j}": (float(column.min()), float(column.max())) for j, column in enumerate(spots.T)}
    space = {name: optuna.distributions.FloatDistribution(*ends) for name, ends in limits.items()}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(
                sampler=_sampler(optuna, engine, seed, has_constraints=bool(problem.constraints)),
                directions=["maximize"] * len(problem.objectives),
            )
            study.add_trials(_past(optuna, problem, spots, space))
            rows = _chosen(problem, study, spots, space, n)
    finally:
        optuna.logging.set_verbosity(verbosity)
    found = tuple(Suggested(row, {}, {}, 1.0, 1.0, 1.0, 0.0, ()) for row in rows)
    return Proposal(found, engine, None, {}, ())


def _optuna(engine: Engine) -> Any:  # noqa: ANN401 - a module without types
    torch = " torch" if engine == "optuna_gp" else ""
    missing = MissingExtraError(
        f"The engine {engine} needs more packages; install them with: pip install nascreen[train]{torch}"
    )
    if engine == "optuna_gp" and find_spec("torch") is None:
        raise missing
    try:
        import optuna
    except ImportError as error:
        raise missing from error
    return optuna


def _projected(values: Array) -> Array:
    """Return an encoded table along its directions of largest variance, shape (n, at most MOST_COLUMNS)."""
    centred = values - values.mean(axis=0)
    if centred.shape[1] > MOST_COLUMNS:
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :MOST_COLUMNS]
        centred = centred @ axes
    return np.asarray(centred[:, np.ptp(centred, axis=0) > 1e-9])


def _sampler(optuna: Any, engine: Engine, seed: int, *, has_constraints: bool) -> Any:  # noqa: ANN401
    # From version 5 on, a sampler reads the constraints of trials by itself.
    needs_function = has_constraints and int(optuna.__version__.split(".")[0]) < 5
    constraints = (lambda trial: trial.system_attrs.get("constraints", (0.0,))) if needs_function else None
    if engine == "optuna_gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=N_STARTUP, constraints_func=constraints)
    return optuna.samplers.TPESampler(
        seed=seed, multivariate=True, constant_liar=True, n_startup_trials=N_STARTUP, constraints_func=constraints
    )


def _past(optuna: Any, problem: Problem, spots: Array, space: Any) -> list[Any]:  # noqa: ANN401
    states = optuna.trial.TrialState
    columns = [problem.properties.index(o.name) for o in problem.objectives]
    values = problem.values[:, columns].copy()
    for k, objective in enumerate(problem.objectives):
        if objective.target is not None:
            values[:, k] = -np.abs(values[:, k] - objective.target)
        elif objective.mode == "min":
            values[:, k] = -values[:, k]
    is_whole = ~np.isnan(values).any(axis=1) & ~problem.is_failed

    def trial(row: int, state: Any, told: Array | None, broken: list[float] | None) -> Any:  # noqa: ANN401
        return optuna.trial.create_trial(
            state=state, values=None if told is None else told.tolist(), distributions=space,
            params={name: float(spots[row, j]) for j, name in enumerate(space)},
            system_attrs={} if broken is None else {"constraints": broken},
        )  # fmt: skip

    found = [
        trial(int(row), states.COMPLETE, values[i], _violations(problem, i)) if is_whole[i]
        else trial(int(row), states.FAIL if problem.is_failed[i] else states.RUNNING, None, None)
        for i, row in enumerate(problem.told)
    ]  # fmt: skip
    return [*found, *(trial(int(row), states.RUNNING, None, None) for row in problem.pending)]


def _violations(problem: Problem, i: int) -> list[float] | None:
    """Return how far a result misses each constraint, above 0 where it does; a missing value misses none."""
    if not problem.constraints:
        return None
    out = []
    for constraint in problem.constraints:
        value = problem.values[i, problem.properties.index(constraint.name)]
        below = -np.inf if constraint.lower is None else constraint.lower - value
        above = -np.inf if constraint.upper is None else value - constraint.upper
        out.append(0.0 if np.isnan(value) else float(max(below, above)))
    return out


def _chosen(problem: Problem, study: Any, spots: Array, space: Any, n: int) -> list[int]:  # noqa: ANN401
    is_open = problem.is_open
    rows: list[int] = []
    while len(rows) < n and is_open.any():
        trial = study.ask(space)
        wanted = np.array([trial.params[name] for name in space])
        away = ((spots - wanted) ** 2).sum(axis=1)
        row = int(np.argmin(np.where(is_open, away, np.inf)))
        rows.append(row)
        is_open[row] = False
        if problem.shared is not None:
            is_open &= problem.shared == problem.shared[row]
        if problem.distinct is not None:
            is_open &= problem.distinct != problem.distinct[row]
    return rows


def check_engine(engine: str) -> None:
    """Refuse an engine that there is none of, or whose packages are missing.

    Raises:
        InputError: If there is none.
        MissingExtraError: If a package is missing.
    """
    if engine not in {"own", "optuna_tpe", "optuna_gp"}:
        raise InputError(f"The engine is {engine!r}; allowed are own, optuna_tpe and optuna_gp.")
    if engine != "own":
        _optuna(engine)  # type: ignore[arg-type]
