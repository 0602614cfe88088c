"""The two long jobs: training with promotion, and the main run from data to report."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from nascreen import __version__
from nascreen.campaign import Batch, check_request, suggest
from nascreen.data_figures import data_figures
from nascreen.datasets import load_table, model_folder
from nascreen.figures import RunResult
from nascreen.models import use_models
from nascreen.overview import reviewed_samples, summary
from nascreen.records import name_of, processing_line
from nascreen.report import write_report
from nascreen.screening import Scored, measured_samples, nearest, rank, score
from nascreen.spaces import SPACES, generate
from nascreen.tracking import log_model, log_scores, predicted_figure, tracked_run
from nascreen.training import (
    N_FOLDS,
    TAUGHT_BY,
    CrossValidation,
    Rows,
    ScoreRow,
    cross_validate,
    cross_validate_strength,
    score_table,
    training_rows,
)
from nascreen.verdicts import reviewed_hash, reviewed_table

OBJECTIVES: Mapping[str, str] = {"nasicon": "resistance", "thioborate": "conductivity"}
"""NASICON discs trade conductivity against thickness; thioborate glasses are pressed, so conductivity decides."""

N_RANKED = 20
N_SUGGESTED = 6
STRENGTH_SEEDS = (0, 1, 2, 3, 4)


def progress_bar() -> Progress:
    """Return a progress bar on standard error."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True),
    )  # fmt: skip


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cross_validated(rows: Rows, seeds: Sequence[int]) -> CrossValidation:
    with progress_bar() as progress:
        task = progress.add_task("cross-validate on unseen papers", total=len(seeds) * N_FOLDS)
        return cross_validate(rows, seeds, on_fold=lambda _seed, _fold: progress.advance(task))


def print_scores(scores: Sequence[ScoreRow]) -> None:
    """Print the overall errors, models and baselines side by side."""
    table = Table(title="Mean absolute error on papers left out", title_justify="left")
    for name in ("quantity", "model", "error", "± over shuffles", "rows", "papers"):
        table.add_column(name)
    for row in scores:
        if row.subset == "all":
            table.add_row(
                row.quantity,
                row.model,
                f"{row.error:.3f}",
                f"{row.spread:.3f}" if row.spread else "one shuffle",
                str(row.n_rows),
                str(row.n_papers),
            )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def train(out: Path, n_seeds: int, *, promote: bool) -> list[ScoreRow]:
    """Cross-validate, track the run in MLflow, and promote the models if asked.

    Args:
        out: Folder that gets the MLflow store.
        n_seeds: Shuffles of the papers.
        promote: Fit on everything, export and replace the models that predictions use.

    Returns:
        The score table.
    """
    rows = training_rows()
    seeds = range(n_seeds)
    with tracked_run("train", {"n_seeds": n_seeds, "n_folds": N_FOLDS, "promote": promote}, out) as mlflow:
        cv = _cross_validated(rows, seeds)
        strength = cross_validate_strength(STRENGTH_SEEDS)
        scores = [*score_table(cv), *strength[0]]
        if promote:
            from nascreen.export import promote as write_models

            write_models(cv, rows, strength, model_folder())
            use_models(None)
        log_scores(mlflow, scores)
        mlflow.log_figure(predicted_figure(cv), "predicted_against_measured.html")
        log_model(mlflow)
    print_scores(scores)
    _say(f"Tracked in {out}/mlflow.db; to look: mlflow ui --backend-store-uri sqlite:///{out}/mlflow.db")
    return scores


def _advance(progress: Progress, task: TaskID, done: int) -> None:
    progress.update(task, completed=done)


def _score_spaces() -> dict[str, list[Scored]]:
    out = {}
    for name in SPACES:
        candidates = generate(name)
        with progress_bar() as progress:
            task = progress.add_task(f"score {len(candidates):,} {name} candidates", total=len(candidates))
            out[name] = score(candidates, partial(_advance, progress, task))
    return out


def _binary_series(scored: Sequence[Scored]) -> list[Scored]:
    """Return the Na2S–B2S3 glasses in the order of their Na2S fraction."""
    glasses = [s for s in scored if s.sample.phase == "glass" and "P2S5" not in s.sample.label]
    binary = [s for s in glasses if "SiS2" not in s.sample.label and "GeS2" not in s.sample.label]
    return sorted(binary, key=lambda s: s.sample.modifier_mol_pct or 0)


def run(out: Path, seed: int) -> Path:
    """Score on unseen papers, rank both spaces, propose the next experiments and write the report.

    Args:
        out: Folder for the results.
        seed: Seed of the shuffle and of the proposal.

    Returns:
        Path of the HTML report.
    """
    check_request(N_SUGGESTED, "conductivity", seed)
    started = time.strftime("%Y-%m-%d %H:%M")
    rows = training_rows()
    _say(f"Data: {len(load_table('literature'))} literature rows and {len(load_table('glasses'))} glass rows verified.")
    with tracked_run("run", {"seed": seed, "n_folds": N_FOLDS}, out) as mlflow:
        cv = _cross_validated(rows, (seed,))
        scores = [*score_table(cv), *cross_validate_strength(STRENGTH_SEEDS)[0]]
        print_scores(scores)
        log_scores(mlflow, scores)
        mlflow.log_figure(predicted_figure(cv), "predicted_against_measured.html")
        scored = _score_spaces()
        rankings = {SPACES[name].title: rank(found, n=N_RANKED) for name, found in scored.items()}
        batches = {
            SPACES[name].title: suggest(found, N_SUGGESTED, OBJECTIVES[name], seed) for name, found in scored.items()
        }
        facts = {
            "run started": started, "nascreen": __version__, "data hash": reviewed_hash(*TAUGHT_BY),
            "candidates scored": f"{sum(map(len, scored.values())):,}", "shuffle of the papers": str(seed),
        }  # fmt: skip
        ranked = [s.sample for found in rankings.values() for s in found]
        near = dict(zip(ranked, map(tuple, nearest(ranked, 3)), strict=True))
        result = RunResult(
            cv, scores, rankings, batches, measured_samples()[0], _binary_series(scored["thioborate"]), facts, near,
            data_figures(reviewed_samples()), summary(reviewed_table("literature")),
        )  # fmt: skip
        report = write_report(out, result)
        for name in ("report.html", "ranking.csv", "batch.csv", "scores.csv"):
            mlflow.log_artifact(str(out / name))
        log_model(mlflow)
    _print_outcome(batches)
    return report


def _print_outcome(batches: Mapping[str, Batch]) -> None:
    for title, batch in batches.items():
        print(f"\nNext experiments, {title} (best reported: {batch.best})")
        for i, s in enumerate(batch.suggestions, start=1):
            p = s.scored.prediction
            near = s.neighbours[0]
            print(
                f"  {i}. {p.sample.formula}  {processing_line(p.sample)}\n"
                f"     σ(25 °C) {p.conductivity_s_cm:.1e} S/cm, "
                f"90 %: {p.conductivity_lo:.0e} to {p.conductivity_hi:.0e}; "
                f"nearest measured {name_of(near.sample)}, {near.citation}"
            )
