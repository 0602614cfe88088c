"""Would it have been found? Train on papers up to a year, rank a space, and see where later compositions come.

Run as ``python experiments/rediscovery/run.py``; results go to ``results.csv`` and ``founding.csv`` beside it.

For each year Y the model learns from papers up to Y alone, hyperparameters at their defaults so that nothing later
leaks. It ranks, by conductivity at 25 °C and all as dense crystalline bodies, N random compositions of the space
together with the compositions first reported after Y. Enrichment is the share of those in the top 1 % (10 %) of the
ranking over 1 % (10 %): 1 is chance. "Good" ones reported 1e-4 S/cm or more near room temperature. The baseline ranks
by the conductivity of the nearest composition known at Y; the control ranks by nearness to any known one, since what
was reported later lies near to what was known. The random compositions were not tried, so that a good one among them
counts against the model. The values that a survey of 2015 quotes carry its year, not that of the paper that it quotes.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from nascreen import gaussian
from nascreen.chemistry import family_of, parse_formula
from nascreen.datasets import load_table, sodium_conductivity_rows
from nascreen.features import BLOCKS, feature_matrix
from nascreen.founding import EPOXY_PAPER, THIOBORATE_PAPER
from nascreen.lattices import draw, load_lattice, samples_of
from nascreen.records import Sample
from nascreen.spaces import generate
from nascreen.training import ConductivityModel, Rows, fit_conductivity, training_rows

HERE = Path(__file__).resolve().parent
YEARS = (2014, 2015, 2018, 2020)
SPACES = ("nasicon-wide", "sulfides", "halides")
N_POOL = 4000
SEEDS = (0, 1, 2)
GOOD_S_CM = 1e-4
NEAR_ROOM_C = (15.0, 35.0)
TOPS = (0.01, 0.1)

Key = frozenset[tuple[str, Fraction]]


def key_of(formula: str) -> Key:
    """Return a composition whatever its scale."""
    amounts = parse_formula(formula).amounts
    total = sum(amounts.values())
    return frozenset((symbol, (n / total).limit_denominator(2000)) for symbol, n in amounts.items())


def fit_without(rows: Rows, left_out: np.ndarray) -> ConductivityModel:
    """Fit to the rows that are not left out."""
    return fit_conductivity(rows.take(np.flatnonzero(~left_out)), parameters=gaussian.default_parameters())


def later_compositions(year: int, families: Sequence[str]) -> dict[Key, tuple[str, bool]]:
    """Return compositions first reported after a year: a formula of each, and whether it was good."""
    first: dict[Key, int] = {}
    best: dict[Key, tuple[str, float]] = {}
    for s in sodium_conductivity_rows(load_table("literature")):
        if s.year is None or family_of(parse_formula(s.formula), s.phase or None) not in families:
            continue
        key = key_of(s.formula)
        first[key] = min(first.get(key, 9999), s.year)
        is_near = NEAR_ROOM_C[0] <= (s.meas_temp_c or 0) <= NEAR_ROOM_C[1]
        sigma = (s.conductivity_s_cm or 0.0) if is_near else 0.0
        best[key] = (s.formula, max(sigma, best.get(key, ("", 0.0))[1]))
    return {k: (best[k][0], best[k][1] >= GOOD_S_CM) for k, y in first.items() if y > year}


def nearest_known(rows: Rows, known: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log10 of the conductivity near room temperature of the nearest known composition, and the nearness."""
    temps = np.array([s.meas_temp_c if s.meas_temp_c is not None else -999.0 for s in rows.samples])
    is_near = known & rows.is_conductivity & (temps >= NEAR_ROOM_C[0]) & (temps <= NEAR_ROOM_C[1])
    sigma = np.log10([s.conductivity_s_cm for s, keep in zip(rows.samples, is_near, strict=True) if keep])
    roots, there = np.sqrt(features[:, BLOCKS["fraction"]]), np.sqrt(rows.features[is_near][:, BLOCKS["fraction"]])
    squares = (roots**2).sum(1)[:, None] + (there**2).sum(1) - 2 * roots @ there.T
    return sigma[squares.argmin(axis=1)], -squares.min(axis=1)


def enrichment(scores: np.ndarray, is_late: np.ndarray, top: float) -> float:
    """Return the share of the late ones in the top over the top's own share; ties are shared out by chance."""
    order = np.lexsort((np.random.default_rng(0).random(len(scores)), -scores))
    first = order[: max(1, round(top * len(scores)))]
    return float(is_late[first].sum() / max(is_late.sum(), 1) / (len(first) / len(scores)))


def one(rows: Rows, known: np.ndarray, model: ConductivityModel, year: int, space: str) -> list[dict[str, object]]:
    """Return the enrichments of one year and space, means and spreads over the draws of the pool."""
    lattice = load_lattice(space)
    late = later_compositions(year, lattice.families)
    found: dict[tuple[str, str, float], list[float]] = {}
    for seed in SEEDS:
        drawn = [s.formula for part in draw(lattice, N_POOL, "simple", seed) for s in samples_of(lattice, part)]
        drawn = [f for f in dict.fromkeys(drawn) if key_of(f) not in late]
        formulas = [*drawn, *(f for f, _ in late.values())]
        features = feature_matrix([Sample(formula=f, phase="crystalline") for f in formulas])
        neighbour, nearness = nearest_known(rows, known, features)
        scores = {
            "model": model.lines(features)["mean of three"][:, 0],
            "nearest neighbour": neighbour,
            "nearness alone": nearness,
        }
        is_late = np.r_[np.zeros(len(drawn), dtype=bool), np.ones(len(late), dtype=bool)]
        is_good = np.r_[np.zeros(len(drawn), dtype=bool), [good for _, good in late.values()]].astype(bool)
        for method, values in scores.items():
            for which, mask in (("all", is_late), ("good", is_good)):
                for top in TOPS:
                    if mask.sum() >= 5:
                        found.setdefault((method, which, top), []).append(enrichment(values, mask, top))
    n = {"all": len(late), "good": sum(good for _, good in late.values())}
    return [
        {
            "year": year, "space": space, "later": which, "n_later": n[which], "n_pool": N_POOL, "method": method,
            "top": top, "enrichment": np.mean(v), "spread": np.std(v), "of_chance": chance(n[which], top),
        }
        for (method, which, top), v in found.items()
    ]  # fmt: skip


def chance(n_late: int, top: float) -> float:
    """Return the standard deviation of the enrichment of a random ranking."""
    return float(np.sqrt(top * (1 - top) / n_late) / top)


def founding(rows: Rows) -> list[dict[str, object]]:
    """Ask of each founding paper, with its rows left out, for what it found."""
    papers = np.array([s.paper_id for s in rows.samples])
    out: list[dict[str, object]] = []
    model = fit_without(rows, papers == THIOBORATE_PAPER)
    glasses = [s for s in generate("thioborate") if s.phase == "glass" and s.label.count(" - ") == 1]
    sigma = model.lines(feature_matrix(glasses))["mean of three"][:, 0]
    order = np.argsort(-sigma)
    place = next(i for i, j in enumerate(order, start=1) if glasses[j].formula == "Na3BS3")
    best = glasses[order[0]]
    out.append(
        {"question": "place of the 75 Na2S glass in the Na2S-B2S3 series", "answer": place, "of": len(glasses)}
        | {"note": f"first is {best.label}; 10^{sigma[order[0]]:.2f} against 10^{np.sort(sigma)[-place]:.2f} S/cm"}
    )
    model = fit_without(rows, papers == EPOXY_PAPER)
    bodies = [s for s in generate("nasicon") if s.formula == "Na3Zr2Si2PO12" and s.sinter_time_h == 10.0]
    for what, some in (
        ("of the filled bodies", [s for s in bodies if s.second_phase]),
        ("of bare bodies with the same pores", [bare(s) for s in bodies]),
    ):
        sigma = model.lines(feature_matrix(some))["mean of three"][:, 0]
        best = some[int(sigma.argmax())]
        series = ", ".join(f"{s.sinter_temp_c:.0f} °C 10^{v:.2f}" for s, v in zip(some, sigma, strict=True))
        out.append(
            {"question": f"best sintering temperature {what}", "answer": int(best.sinter_temp_c or 0), "of": len(some)}
            | {"note": series}
        )
    return out


def bare(sample: Sample) -> Sample:
    """Return the body without its filler."""
    unfilled = {"second_phase": "", "second_phase_role": "", "heat_temp_c": None, "heat_time_h": None}
    return replace(sample, phase="crystalline", **unfilled)  # type: ignore[arg-type]


def write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def main() -> None:
    rows = training_rows()
    answers = founding(rows)
    write(HERE / "founding.csv", answers)
    for row in answers:
        print(f"{row['question']}: {row['answer']} (of {row['of']}); {row['note']}", flush=True)
    years = np.array([9999 if s.year is None else s.year for s in rows.samples])
    results = []
    for year in YEARS:
        known = years <= year
        model = fit_without(rows, ~known)
        for space in SPACES:
            found = one(rows, known, model, year, space)
            results += found
            for r in found:
                print(
                    f"{r['year']} {r['space']:13} {r['later']:4} n={r['n_later']:<4} {r['method']:17} "
                    f"top {r['top']:.0%}: {r['enrichment']:.1f} ± {r['spread']:.1f} (chance 1 ± {r['of_chance']:.1f})",
                    flush=True,
                )
    write(HERE / "results.csv", results)


if __name__ == "__main__":
    sys.exit(main())
