"""Promises of the report."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from nascreen import report
from nascreen.campaign import Batch, Suggestion
from nascreen.chemistry import modifier_fraction
from nascreen.datasets import load_table
from nascreen.errors import MissingExtraError
from nascreen.features import chemistry_of
from nascreen.models import Prediction, family_of_sample
from nascreen.records import Sample, citation
from nascreen.report import RunResult, processing_line, where_model_is_worse, write_report
from nascreen.screening import Neighbour, Scored, measured_samples
from nascreen.spaces import SPACES, generate
from nascreen.training import CrossValidation, ScoreRow, observations, score_table

HOSTILE = "</script><img src=x onerror=\"alert('1')\">&amp;"
TITLES = [space.title for space in SPACES.values()]


def scored(sample: Sample, log_sigma: float = -3.0) -> Scored:
    sigma = float(10**log_sigma)
    family = family_of_sample(sample)
    note = "" if family == "nasicon" else f"no measured strength of family {family}: that of a typical oxide ceramic"
    prediction = Prediction(
        replace(sample, meas_temp_c=25.0), sigma, sigma / 6, sigma * 6, 0.31, 0.24, 0.38, 62.0, 21.0, 184.0, sigma,
        in_domain=True, domain_note=note, family=family, distance=0.1,
    )  # fmt: skip
    return Scored(prediction, 418.0, 0.0418 / sigma)


def neighbours(sample: Sample, rng: np.random.Generator) -> tuple[Neighbour, ...]:
    family = family_of_sample(sample)
    known = [s for s in measured_samples()[0] if s.family == family]
    chosen = [known[i] for i in rng.choice(len(known), 3, replace=False)]
    return tuple(Neighbour(s, 0.04 * i, citation(s)) for i, s in enumerate(chosen, start=1))


def batch(candidates: Sequence[Scored], rng: np.random.Generator) -> Batch:
    best = next(s for s in measured_samples()[0] if s.family == candidates[0].prediction.family)
    suggestions = tuple(
        Suggestion(
            c, 0.12 / i, 0.4 / i, 0.11 / i, neighbours(c.sample, rng),
            "Predicted 0.10 decades below the best measured with a spread of 0.45; expected gain 0.121 (explores: the "
            "gain lies in its uncertainty); nearest measured Na3.4Zr2Si2.4P0.6O12 at distance 0.05.",
        )
        for i, c in enumerate(candidates, start=1)
    )  # fmt: skip
    sentence = f"{best.conductivity_s_cm:.2g} S/cm at {best.meas_temp_c:g} °C, {best.formula} ({citation(best)})"
    return Batch("conductivity", sentence, -2.5, suggestions)


def cross_validation(samples: Sequence[Sample], rng: np.random.Generator) -> CrossValidation:
    known = [s for s in samples if s.conductivity_s_cm is not None]
    rows = observations(known, [s for s in known if s.ea_ev is not None][:60], is_scored=True)
    n = len(rows.targets)
    size = {
        "mean of both": 0.5,
        "gaussian process": 0.55,
        "xgboost": 0.6,
        "nearest neighbour": 0.7,
        "family median": 0.9,
    }
    scale = np.where(rows.is_conductivity, 1.0, 0.15)
    predictions = {name: rows.targets + sd * scale * rng.standard_normal((3, n)) for name, sd in size.items()}
    return CrossValidation(rows, (0, 1, 2), predictions, np.ones((3, n)), rng.integers(0, 5, (3, n)))


def make_result(n_samples: int = 400) -> RunResult:
    rng = np.random.default_rng(0)
    measured = list(measured_samples()[0])
    chosen = [measured[i] for i in sorted(rng.choice(len(measured), n_samples, replace=False))]
    cv = cross_validation(chosen, rng)
    rankings = {
        space.title: [scored(s, -2.7 - 0.02 * i) for i, s in enumerate(generate(space.name, 24))]
        for space in SPACES.values()
    }
    batches = {title: batch(ranking[:6], rng) for title, ranking in rankings.items()}
    glasses = [
        s for s in generate("thioborate") if set(chemistry_of(s.formula).composition.amounts) == {"Na", "B", "S"}
    ]
    series = [
        scored(s, -9 + 5 * (modifier_fraction(chemistry_of(s.formula).composition) or 0))
        for s in glasses
        if s.phase == "glass"
    ]
    strength = [
        ScoreRow("log10 strength", "all", "strength law", 0.18, 0.0, 41, 12),
        ScoreRow("log10 strength", "all", "family median", 0.17, 0.0, 41, 12),
    ]
    facts = {
        "data hash": "3f1c9a0b7d21",
        "nascreen": "0.1.0",
        "run finished": "2030-01-01 10:00",
        "candidates scored": "21000",
    }
    return RunResult(cv, [*score_table(cv), *strength], rankings, batches, measured, series, facts)


@pytest.fixture(scope="module")
def result() -> RunResult:
    return make_result()


@pytest.fixture(scope="module")
def folder(result: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "made" / "here"
    assert write_report(out, result) == out / "report.html"
    return out
