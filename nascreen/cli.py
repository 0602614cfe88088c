"""The `nascreen` command."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nascreen import __version__
from nascreen.cli_campaign import campaign_app
from nascreen.cli_data import data_app
from nascreen.cli_explain import explain, probability_line, probability_values, threshold_of
from nascreen.cli_screen import plots, rank_screened, recipe, screen
from nascreen.cli_serve import serve, token_app
from nascreen.errors import InputError, NascreenError, RangeError

if TYPE_CHECKING:
    from nascreen.models import Prediction
    from nascreen.screening import Scored

app = typer.Typer(
    name="nascreen",
    help="Which sodium solid electrolyte to make next, how to process it, and how sure we are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
app.add_typer(campaign_app, name="campaign")
app.add_typer(token_app, name="token")
app.command()(explain)
app.command()(serve)
app.command()(recipe)
app.command()(screen)
app.command()(plots)

OUT = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
SPACE = Annotated[str, typer.Argument(help="Candidate space: nasicon or thioborate.")]
SEED = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]


def main() -> None:
    """Run the command; an error is one sentence on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app(standalone_mode=False)
    except NascreenError as error:
        print(f"nascreen: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except (typer.Exit, SystemExit) as stop:
        sys.exit(getattr(stop, "exit_code", getattr(stop, "code", 0)))
    except (typer.Abort, KeyboardInterrupt):
        print("nascreen: stopped.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        if error.format_message():
            print(f"nascreen: {error.format_message()} See: nascreen --help", file=sys.stderr)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Answer --version."""
    if show:
        print(__version__)
        raise typer.Exit


@app.command()
def predict(
    formula: Annotated[str | None, typer.Argument(help="Formula, such as Na3Zr2Si2PO12.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Table of samples instead of one formula.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the table with predictions goes.")] = None,
    phase: Annotated[str, typer.Option(help="crystalline, glass, glass_ceramic or composite.")] = "",
    sinter_temp_c: Annotated[str, typer.Option(help="Sintering temperature in °C.")] = "",
    sinter_time_h: Annotated[str, typer.Option(help="Time at the sintering temperature in h.")] = "",
    heat_temp_c: Annotated[str, typer.Option(help="Temperature of another heat treatment in °C.")] = "",
    heat_time_h: Annotated[str, typer.Option(help="Time of that heat treatment in h.")] = "",
    press_mpa: Annotated[str, typer.Option(help="Pressing pressure in MPa.")] = "",
    rel_density_pct: Annotated[str, typer.Option(help="Relative density in %.")] = "",
    porosity_pct: Annotated[str, typer.Option(help="Porosity in %, before filling.")] = "",
    second_phase: Annotated[str, typer.Option(help="Pore filler, matrix or sintering aid.")] = "",
    second_phase_role: Annotated[str, typer.Option(help="pore_filler, matrix, sintering_aid.")] = "",
    meas_temp_c: Annotated[str, typer.Option(help="Temperature of the conductivity in °C; 25 if left out.")] = "",
    above: Annotated[str, typer.Option("--above", help="Probability of more than this, in S/cm.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse formulas that are not charge balanced.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Predict conductivity, activation energy and strength, each with its 90 % interval."""
    if (formula is None) == (csv is None):
        raise InputError("Give either one formula or --csv FILE; for example: nascreen predict Na3Zr2Si2PO12")
    cells = {
        "formula": formula or "", "phase": phase, "sinter_temp_c": sinter_temp_c, "sinter_time_h": sinter_time_h,
        "heat_temp_c": heat_temp_c, "heat_time_h": heat_time_h, "press_mpa": press_mpa,
        "rel_density_pct": rel_density_pct, "porosity_pct": porosity_pct, "second_phase": second_phase,
        "second_phase_role": second_phase_role, "meas_temp_c": meas_temp_c,
    }  # fmt: skip
    if csv is not None:
        given = [
            f"--{name.replace('_', '-')}" for name, text in {**cells, "above": above, "json": as_json}.items() if text
        ]
        if given:
            raise InputError(f"With --csv the conditions are columns of the table; leave out {', '.join(given)}.")
        _predict_table(csv, out, strict=strict)
        return
    if out is not None:
        raise InputError("--out is for tables; for one formula use --json, or give --csv FILE.")
    threshold = threshold_of(above)
    from nascreen.models import load_models
    from nascreen.tables import conditions_from_cells, result_values

    sample = conditions_from_cells(cells, strict=strict)
    (prediction,) = load_models().predict([sample])
    if as_json:
        import json

        values = {**result_values(prediction), **probability_values(prediction, threshold)}
        print(json.dumps({"formula": sample.formula, **values}, ensure_ascii=False, indent=1))
    else:
        print(_prediction_text(prediction))
        if threshold is not None:
            print(f"  {probability_line(prediction, threshold)}")


def _prediction_text(p: Prediction) -> str:
    temp_c = 25.0 if p.sample.meas_temp_c is None else p.sample.meas_temp_c
    domain = f"{'inside' if p.in_domain else 'outside'}{': ' + p.domain_note if p.domain_note else ''}"
    lines = [
        f"{p.sample.formula}  (family {p.family})",
        f"  conductivity at {temp_c:g} °C  {p.conductivity_s_cm:.2e} S/cm   90 %: {_range(p)}",
        f"  activation energy      {p.ea_ev:.3f} eV         90 %: {p.ea_lo:.3f} to {p.ea_hi:.3f}",
        f"  strength               {p.strength_mpa:.0f} MPa           90 %: {p.strength_lo:.0f} to {p.strength_hi:.0f}",
        f"  domain of the models   {domain}",
    ]
    return "\n".join(lines)


def _range(p: Prediction) -> str:
    return f"{p.conductivity_lo:.1e} to {p.conductivity_hi:.1e}"


def _predict_table(source: Path, target: Path | None, *, strict: bool) -> None:
    from nascreen.models import load_models
    from nascreen.tables import CHUNK, RESULT_COLUMNS, merged_rows, open_table, predict_cells, write_table

    if target is None:
        raise InputError("A table of predictions needs a place: add --out FILE.csv")
    table = open_table(source)
    rows = table.rows
    for notice in table.notices:
        print(f"nascreen: {notice}", file=sys.stderr)
    models = load_models()
    if len(rows) > CHUNK:
        from nascreen.pipeline import progress_bar

        with progress_bar() as progress:
            task = progress.add_task("predict", total=len(rows))
            results = predict_cells(
                rows, models, strict=strict, on_progress=lambda done: progress.update(task, completed=done)
            )
    else:
        results = predict_cells(rows, models, strict=strict)
    names, merged = merged_rows(table, results)
    write_table(target, [*names, *RESULT_COLUMNS], merged)
    n_bad = sum(bool(result["error"]) for result in results)
    print(
        f"{len(rows)} rows predicted to {target}"
        + (f"; {n_bad} could not be used, see column 'error'" if n_bad else "")
    )


def _score_space(space: str, n: int | None, seed: int) -> list[Scored]:
    from nascreen.pipeline import progress_bar
    from nascreen.screening import score
    from nascreen.spaces import count, generate

    total = count(space)
    print(
        f"The space {space} holds {total:,} charge-balanced candidates; scoring {total if n is None else n:,}.",
        file=sys.stderr,
    )
    candidates = generate(space, n=n, seed=seed)
    with progress_bar() as progress:
        task = progress.add_task(f"score {space}", total=len(candidates))
        return score(candidates, on_progress=lambda done: progress.update(task, completed=done))


def _print_ranking(ranked: list[Scored]) -> None:
    from rich.console import Console
    from rich.table import Table

    from nascreen.records import processing_line
    from nascreen.stability import hints

    table = Table(title="at 25 °C, with 90 % intervals", title_justify="left")
    computed = hints([s.sample.formula for s in ranked], [s.prediction.family for s in ranked])
    has_hints = any(computed)
    names = ("#", "formula", "processing", "σ / S cm⁻¹", "Ea / eV", "strength / MPa", "disc / Ω cm²")
    for name in (*names, *(["hull / meV"] if has_hints else []), "domain"):
        table.add_column(name, overflow="fold")
    for i, (scored, hint) in enumerate(zip(ranked, computed, strict=True), start=1):
        p = scored.prediction
        table.add_row(
            str(i),
            p.sample.formula,
            processing_line(p.sample),
            f"{p.conductivity_s_cm:.1e} ({p.conductivity_lo:.0e}–{p.conductivity_hi:.0e})",
            f"{p.ea_ev:.2f} ({p.ea_lo:.2f}–{p.ea_hi:.2f})",
            f"{p.strength_mpa:.0f} ({p.strength_lo:.0f}–{p.strength_hi:.0f})",
            f"{scored.resistance_ohm_cm2:.0f}",
            *([f"{hint.energy_mev:.0f}" if hint else ""] if has_hints else []),
            "inside" if p.in_domain else f"outside: {p.domain_note}",
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@app.command()
def rank(
    space: Annotated[str | None, typer.Argument(help="Candidate space, of this package or a TOML file.")] = None,
    by: Annotated[
        str, typer.Option(help="conductivity, conductivity_lo, ea, strength or resistance.")
    ] = "conductivity_lo",
    top: Annotated[int, typer.Option(help="How many to show.")] = 20,
    per_system: Annotated[int, typer.Option(help="Most candidates of one dopant system.")] = 2,
    n: Annotated[int | None, typer.Option(help="Score a random part of the space.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File for the ranking.")] = None,
    seed: SEED = 0,
    folder: Annotated[Path | None, typer.Option("--in", help="Folder that nascreen screen wrote.")] = None,
    text: Annotated[str, typer.Option("--filter", help="Filter in the OPTIMADE grammar.")] = "",
    sort: Annotated[str, typer.Option(help="Column, column:desc, or pareto(column, column).")] = "",
    target: Annotated[list[str] | None, typer.Option(help="Such as 'conductivity_s_cm > 1e-3'; repeat.")] = None,
    form: Annotated[str, typer.Option("--format", help="table, csv, json or parquet.")] = "table",
) -> None:
    """Rank the candidates of a space, with intervals; or filter and sort those of a screen."""
    from nascreen.screening import rank as best_of
    from nascreen.spaces import SPACES

    if folder is not None or space not in SPACES or text or sort or target or form != "table":
        rank_screened(space, folder, text, sort, top, per_system, target or [], form, out, n, seed)
        return
    best_of([], by, top, per_system)  # so that a wrong option is said before the work
    ranked = best_of(_score_space(space, n, seed), by, top, per_system)
    _print_ranking(ranked)
    if out:
        from nascreen.tables import write_table

        rows = [ranking_cells(i, scored) for i, scored in enumerate(ranked, start=1)]
        write_table(out, list(rows[0]), rows)
        print(f"{len(rows)} candidates written to {out}")


@app.command()
def suggest(
    space: SPACE,
    n: Annotated[int, typer.Option("--n", help="Size of the batch.")] = 6,
    objective: Annotated[str, typer.Option(help="conductivity, or resistance of the thinnest disc.")] = "conductivity",
    seed: SEED = 0,
) -> None:
    """Propose a batch of next experiments by Bayesian optimization."""
    from nascreen.campaign import check_request
    from nascreen.campaign import suggest as propose
    from nascreen.records import name_of, processing_line

    check_request(n, objective, seed)
    batch = propose(_score_space(space, None, seed), n, objective, seed)
    print(f"Best reported: {batch.best}")
    for i, s in enumerate(batch.suggestions, start=1):
        p = s.scored.prediction
        print(f"\n{i}. {p.sample.formula}   {processing_line(p.sample)}")
        print(
            f"   σ(25 °C) {p.conductivity_s_cm:.1e} S/cm (90 %: {p.conductivity_lo:.0e} to {p.conductivity_hi:.0e}), "
            f"Ea {p.ea_ev:.2f} eV, strength {p.strength_mpa:.0f} MPa, "
            f"{s.scored.resistance_ohm_cm2:.3g} Ω cm² at {s.scored.thinnest_um:.0f} µm"
        )
        print(f"   {s.reason}")
        for near in s.neighbours:
            print(f"   near: {name_of(near.sample)} {_measured_text(near.sample)}; {near.citation}")


def _measured_text(sample: Any) -> str:  # noqa: ANN401
    from nascreen.records import processing_line

    made = processing_line(sample)
    value = f"{sample.conductivity_s_cm:.1e} S/cm at {sample.meas_temp_c:g} °C"
    return f"({made}) {value}" if made else value


def ranking_cells(position: int, scored: Scored) -> dict[str, str]:
    """Return one line of a ranking as cells."""
    from nascreen.records import cells_from_sample
    from nascreen.stability import hints
    from nascreen.tables import CONDITION_COLUMNS, result_cells

    columns = ["label", *CONDITION_COLUMNS]
    (hint,) = hints([scored.sample.formula], [scored.prediction.family])
    results = result_cells(scored.prediction)
    results.pop("error")
    return {
        "rank": str(position),
        **cells_from_sample(scored.sample, columns),
        **results,
        "thinnest_um": f"{scored.thinnest_um:.4g}",
        "resistance_ohm_cm2": f"{scored.resistance_ohm_cm2:.4g}",
        "hull_formula": hint.formula if hint else "",
        "hull_mev_atom": f"{hint.energy_mev:.4g}" if hint else "",
    }


@app.command()
def train(
    out: OUT = Path("results"),
    n_seeds: Annotated[
        int | None, typer.Option("--seeds", help="Shuffles; 3 of the papers (5 in a search), 1 of a table's rows.")
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Replace the models that predictions use.")] = False,
    table: Annotated[Path | None, typer.Option("--table", help="Learn from this CSV or CSV.gz instead.")] = None,
    target: Annotated[str, typer.Option("--target", help="Column of the table to predict.")] = "",
    formula: Annotated[str, typer.Option("--formula", help="Column of formulas; found by itself if left out.")] = "",
    group: Annotated[str, typer.Option("--group", help="Column whose values stay together in every split.")] = "",
    log: Annotated[bool, typer.Option("--log", help="Learn and score log10 of the target.")] = False,
    folds: Annotated[str, typer.Option("--folds", help="Column whose values are the outer folds.")] = "",
    n_folds: Annotated[int, typer.Option("--n-folds", help="Outer folds without such a column.")] = 5,
    test_table: Annotated[
        Path | None, typer.Option("--test-table", help="Learn from all of the table and predict this one.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", help="Column to leave aside; may be repeated.")] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave rows aside whose formula cannot be read.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Time: 10 minutes for a table, 60 for a search.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Spend at most a minute on a table, about three on a search.")
    ] = False,
    search: Annotated[
        bool, typer.Option("--search", help="Search settings and features of the built-in trees inside each fold.")
    ] = False,
    seed: SEED = 0,
) -> None:
    """Cross-validate the built-in models on papers left out, or any table of your own; track in MLflow."""
    if n_seeds is not None and n_seeds < 1:
        raise RangeError(f"The number of shuffles must be at least 1; got {n_seeds}.")
    if search:
        if table is not None or promote:
            raise InputError(
                "--search is of the built-in models, and promotes nothing; leave out --table and --promote."
            )
        _search(out, n_seeds, minutes, quick=quick)
        return
    if table is None:
        for name, value in {"target": target, "formula": formula, "group": group, "log": log, "folds": folds,
                            "test-table": test_table, "drop": drop, "skip-bad-rows": skip_bad_rows,
                            "quick": quick, "minutes": minutes is not None}.items():  # fmt: skip
            if value:
                raise InputError(f"--{name} is for a table of your own; add --table FILE.csv, or leave it out.")
        from nascreen.pipeline import train as run_training

        run_training(out, n_seeds or 3, promote=promote)
        return
    if promote:
        raise InputError("--promote is for the built-in models; leave it out with --table.")
    if not target:
        raise InputError("Which column is to be predicted? Add --target COLUMN.")
    from nascreen.columns import Options, Request
    from nascreen.tabular import print_report, train_on_table

    request = Request(target, formula, group, folds, is_log=log, dropped=tuple(drop or ()), is_skipping=skip_bad_rows)
    options = Options(
        10.0 if minutes is None else minutes,
        is_quick=quick,
        n_folds=n_folds,
        n_repeats=n_seeds or 1,
        seed=seed,
        out=out,
    )
    print_report(train_on_table(table, request, options, test_table))


def _search(out: Path, n_seeds: int | None, minutes: float | None, *, quick: bool) -> None:
    from dataclasses import replace

    from nascreen.pipeline import print_scores
    from nascreen.tuning import DATABASE, QUICK, Budget
    from nascreen.tuning import search as search_models

    budget = QUICK if quick else Budget(n_seeds=5)
    budget = replace(budget, n_seeds=n_seeds or budget.n_seeds, minutes=budget.minutes if minutes is None else minutes)
    print_scores(search_models(out, budget))
    print(f"Studies in {out}/{DATABASE}, runs in {out}/mlflow.db; the same command goes on where it was stopped.")


@app.command()
def run(out: OUT = Path("results"), seed: SEED = 0) -> None:
    """Do the main job: scores on unseen papers, rankings, the next experiments, and a report."""
    from nascreen.pipeline import run as run_all

    started = time.perf_counter()
    report = run_all(out, seed)
    print(f"\nReport: {report.resolve()}   ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
