"""Score the table trainer on the shipped tables, beside what the field would do by default.

Every table goes through `nascreen.tabular` as a user's own would: 5 outer folds, papers kept whole, everything chosen
inside the training side. `ratio` is the mean absolute error over that of a random forest on Magpie columns.

Run: python experiments/tabular/run.py [--minutes 3] [--only NAME]
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from nascreen.columns import Options, Request, prepare
from nascreen.datasets import load_table, strength_rows
from nascreen.records import Sample, cells_from_sample
from nascreen.tabular import TableResult, cross_validated

RESULTS = Path(__file__).with_name("results.csv")
MADE = ("formula", "phase", "structure", "synthesis", "sinter_temp_c", "sinter_time_h", "heat_temp_c", "press_mpa",
        "rel_density_pct", "porosity_pct", "second_phase", "conductivity_kind", "meas_temp_c", "group_id")  # fmt: skip


def _near_room(sample: Sample) -> bool:
    return sample.conductivity_s_cm is not None and sample.meas_temp_c is not None and 15 <= sample.meas_temp_c <= 35


def _one_per_glass(samples: Sequence[Sample]) -> list[Sample]:
    """Keep the first row of each glass: the others are the same glass at other temperatures."""
    return list({sample.sample_id.rpartition("-")[0]: sample for sample in reversed(samples)}.values())


def conductivity() -> list[Sample]:
    return [s for s in load_table("literature") if s.formula and _near_room(s)]


def lithium() -> list[Sample]:
    return [s for s in load_table("lithium") if s.formula and _near_room(s)]


def glass_transition() -> list[Sample]:
    return _one_per_glass([s for s in load_table("glasses") if s.tg_c is not None])


def strength() -> list[Sample]:
    return [s for s in strength_rows(load_table("literature")) if s.formula]


TABLES: dict[str, tuple[Callable[[], list[Sample]], str, tuple[str, ...], bool]] = {
    "sodium conductivity at room temperature": (conductivity, "conductivity_s_cm", MADE, True),
    "lithium conductivity at room temperature": (
        lithium, "conductivity_s_cm", ("formula", "family", "space_group", "meas_temp_c", "group_id"), True,
    ),
    "glass transition": (glass_transition, "tg_c", ("formula", "group_id"), False),
    "strength": (strength, "strength_mpa", (*MADE, "family"), True),
}  # fmt: skip


def trained(name: str, minutes: float) -> TableResult:
    load, target, columns, is_log = TABLES[name]
    rows = [cells_from_sample(sample, [*columns, target]) for sample in load()]
    table = {column: [row[column] for row in rows] for column in [*columns, target]}
    options = Options(minutes=minutes)
    return cross_validated(prepare(table, Request(target, group="group_id", is_log=is_log), options), options)


def lines_of(name: str, result: TableResult) -> list[dict[str, str]]:
    default = next(score.mae for score in result.summary if "random forest" in score.model)
    return [
        {"table": name, "scored_as": "log10" if TABLES[name][3] else "as it is", "rows": str(score.n_rows),
         "model": score.model, "mae": f"{score.mae:.4g}", "mae_spread": f"{score.mae_spread:.2g}",
         "rmse": f"{score.rmse:.4g}", "r2": f"{score.r2:.3f}", "ratio": f"{score.mae / default:.3f}",
         "coverage": f"{result.coverage:.3f}" if score.model == "nascreen" else "",
         "minutes": f"{result.options.minutes:g}"}
        for score in result.summary
    ]  # fmt: skip


def replace_lines(name: str, lines: list[dict[str, str]]) -> None:
    """Write the lines of one table, keeping those of the others."""
    kept = []
    if RESULTS.exists():
        with RESULTS.open(encoding="utf-8", newline="") as file:
            kept = [row for row in csv.DictReader(file) if row["table"] != name]
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="time for each table")
    parser.add_argument("--only", choices=list(TABLES), help="one table")
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else TABLES:
        lines = lines_of(name, trained(name, arguments.minutes))
        replace_lines(name, lines)
        for line in lines:
            print(f"{name:42} {line['model']:26} {line['mae']:>8} ± {line['mae_spread']}  {line['ratio']}", flush=True)


if __name__ == "__main__":
    main()
