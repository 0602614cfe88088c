"""A campaign as an Optuna study, which optuna-dashboard opens."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nascreen.errors import ConflictError, MissingExtraError, StoreError, shown
from nascreen.history import Value


@dataclass(frozen=True, slots=True)
class Trial:
    """One experiment as a trial.

    Attributes:
        values: Cells by column.
        objectives: Value of each objective; None where one is missing.
        violations: How far each constraint is missed, above 0 where it is; None where one is not measured.
        status: ``complete``, ``running`` or ``fail``.
        attributes: What else is shown of it.
    """

    values: Mapping[str, Value]
    objectives: Sequence[float] | None
    violations: Sequence[float] | None
    status: Literal["complete", "running", "fail"]
    attributes: Mapping[str, Any]


def write_study(
    url: str, name: str, directions: Sequence[str], names: Sequence[str], trials: Sequence[Trial],
    columns: Mapping[str, Sequence[Value]],
) -> None:  # fmt: skip
    """Write a study.

    Args:
        url: Storage of Optuna, such as ``sqlite:///optuna.db``.
        name: Name of the new study.
        directions: ``maximize`` or ``minimize`` of each objective.
        names: Name of each objective.
        trials: The experiments, in order.
        columns: Cells of all candidates and experiments by column, which set the ranges of the parameters.

    Raises:
        MissingExtraError: If Optuna is not installed.
        ConflictError: If the storage has a study of that name.
        StoreError: If the storage cannot be written.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError(
            "A study needs Optuna; install it with: pip install nascreen[train], or use nascreen campaign export."
        ) from error
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(storage=url, study_name=name, directions=list(directions))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(names))
        study.add_trials(_trials(optuna, trials, columns))
    except optuna.exceptions.DuplicatedStudyError as error:
        raise ConflictError(
            f"The storage has a study {shown(name)} already; give another storage, or delete the study there."
        ) from error
    except Exception as error:
        raise StoreError(
            f"The study cannot be written ({type(error).__name__}); give a storage such as sqlite:///optuna.db."
        ) from error
    finally:
        optuna.logging.set_verbosity(verbosity)


def _trials(optuna: Any, trials: Sequence[Trial], columns: Mapping[str, Sequence[Value]]) -> list[Any]:  # noqa: ANN401
    ranges = {name: _distribution(optuna, cells, [t.values.get(name) for t in trials])
              for name, cells in columns.items()}  # fmt: skip
    states = optuna.trial.TrialState
    found = {"complete": states.COMPLETE, "running": states.RUNNING, "fail": states.FAIL}
    return [
        optuna.trial.create_trial(
            state=found[trial.status],
            values=list(trial.objectives) if trial.status == "complete" and trial.objectives else None,
            params={n: v for n, v in trial.values.items() if v is not None},
            distributions={n: ranges[n] for n, v in trial.values.items() if v is not None},
            user_attrs=dict(trial.attributes),
            system_attrs={} if trial.violations is None else {"constraints": list(trial.violations)},
        )
        for trial in trials
    ]


def _distribution(optuna: Any, cells: Sequence[Value], used: Sequence[Value]) -> Any:  # noqa: ANN401
    known = [cell for cell in (*cells, *used) if cell is not None]
    if all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in known):
        numbers = [float(cell) for cell in known]
        return optuna.distributions.FloatDistribution(min(numbers), max(numbers))
    # A space has thousands of formulas; the study needs those that were tried.
    return optuna.distributions.CategoricalDistribution(sorted({cell for cell in used if cell is not None}, key=str))
