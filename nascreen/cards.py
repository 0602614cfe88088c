"""Cards for people: what a promoted model is for, how it was tested, how far it can be trusted.

Everything is written from the card for machines, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nascreen.shifts import LearningPoint, gain_of_more_papers
from nascreen.training import PROMOTED

N_MORE_PAPERS = 20
LOOKUPS = ("family median", "nearest neighbour", "global median")
PROPERTY_NAMES = {"log_sigma": "log10 σ", "ea_ev": "Ea"}

CONDUCTIVITY_TEXT = """## Intended use

Predicts log10 of the ionic conductivity at 25 °C and the activation energy of a sodium conductor from formula,
phase and processing; the conductivity at any temperature follows from the two by σT = A·exp(-Ea/kT). For ranking
what to make next.

Not for: lithium or other mobile ions, polymer electrolytes without a ceramic, single interfaces, or replacing a
measurement.

## Model

The mean, at 25 °C, of an exact Gaussian process over Arrhenius lines, of boosted trees (XGBoost), and of a forest
(extremely randomised trees). The forest also learns, at small weights, from glasses and from lithium samples written
as sodium ones; the activation energy is the mean of its own and that of the process. Oxide glasses are answered by
boosted trees of their own, which learned the level at 25 °C and at 300 °C from thousands of conductivities of glasses,
whatever their temperatures, and from the glasses of the literature. Conductivities of which a bound alone is known
("below 1e-7") teach by the likelihood of that bound.

Intervals hold 90 %: the spread of the process, which widens away from data, times a conformal factor from papers left
out (per family where it has at least 5 papers and 30 rows; with fewer, where its own is the wider one). Rows far from
what all other papers say count less in the process.

## Known limits

Processing is known for a third of the samples, porosity for a few. Families of few papers are said to be out of domain.
Bulk and total conductivities are told apart by one indicator only; grain boundaries alone teach nothing. What each of
these choices costs or brings stands in `experiments/accuracy/ablation.csv`.
"""

STRENGTH_TEXT = """## Intended use

Predicts the bending-like strength of oxide ceramics, bare or with pores filled by a polymer, for the thickness of
a disc. Most measured samples are lithium analogues of NASICON; tests differ (three-point bending, ring on ring).
For families without a measured sample the value is that of a typical oxide ceramic, with a wider interval.

## Model

A linear law of log10 strength: S0·exp(-bP) in porosity with a prior b = 5, terms for family, filled pores and
second phase, papers as random effects. Beside it in the table stand textbook laws of which the dense strength of the
family alone is learned (pores by the same law; in filled pores, ceramic and epoxy share the load by the rule of
mixtures), boosted trees on the same terms, and lookups.

With so few rows, the law, the textbook laws and the family median miss papers left out by nearly the same. The median
says the same of every body of a family, bare or filled; what tells bodies of one paper apart is scored as "within a
paper". The law is used since it gives what it does not know beside its mean, from which the interval follows.
"""


def card_text(card: Mapping[str, Any], text: str) -> str:
    """Return a card for people: use, model, limits, calibration, what bounds it, and the score table."""
    interval = card["interval"]
    parts = [
        [f"# {card['title']}", "", text, "## Data and protocol"],
        [f"{card['n_rows']} rows of {card['n_papers']} papers, data {card['data_hash']}; {card['protocol']}."],
        [f"Made by `{card['command']}`."],
        _calibration_lines(interval) if "coverage_of_unseen_folds" in interval else [],
        _glass_lines(card["oxide_glass"]) if "oxide_glass" in card else [],
        _limit_lines(card["reproducibility"]) if "reproducibility" in card else [],
        _curve_lines(card["learning_curve"]) if card.get("learning_curve") else [],
        _shift_lines(card["shifts"]) if "shifts" in card else [],
        ["", "## Where it is worse than a lookup", "", *worse_than_lookup(card["scores"])],
        _score_lines(card["scores"]),
        [""],
    ]
    return "\n".join(line for part in parts for line in part)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(header) + " |",
        "|---" * len(header) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _score_lines(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    header = ("quantity", "subset", "model", "error", "± over shuffles", "rows", "papers")
    rows = [
        (s["quantity"], s["subset"], s["model"], f"{s['error']:.3f}", f"{s['spread']:.3f}", str(s["n_rows"]),
         str(s["n_papers"]))
        for s in scores
    ]  # fmt: skip
    return ["", "## Mean absolute error on papers left out", "", *_table(header, rows)]


def _calibration_lines(interval: Mapping[str, Any]) -> list[str]:
    found = interval["coverage_of_unseen_folds"]
    sigma, energy = found["log_sigma"], found["ea_ev"]
    rows = [
        (PROPERTY_NAMES[name], family, f"{values['rows']:.1%}", str(values["n_rows"]), str(values["n_papers"]))
        for name, part in found.items()
        for family, values in part["by_family"].items()
    ]
    text = (
        f"Of folds that neither trained nor calibrated them, the 90 % intervals held {sigma['rows']:.1%} of the "
        f"conductivities and {energy['rows']:.1%} of the activation energies; with every paper counting once, "
        f"{sigma['papers']:.1%} and {energy['papers']:.1%}. By family of at least five papers:"
    )
    figure = "![Share of values inside against the share promised](calibration.svg)"
    table = _table(("property", "family", "inside", "rows", "papers"), rows)
    return ["", "## Calibration", "", figure, "", text, "", *table]


def _glass_lines(found: Mapping[str, Any]) -> list[str]:
    text = (
        f"{found['n_glasses']} oxide glasses of {found['n_references']} references of the glass table, each predicted "
        "by trees that have not seen its reference, are missed by "
        f"{found['error_log_sigma_25']:.2f} decades at 25 °C (most were measured hotter, and the line carried down) "
        f"and by {found['error_ea_ev']:.3f} eV. "
        "From these errors come their intervals, which widen with the distance to the nearest known glass."
    )
    return ["", "## Oxide glasses", "", text]


def _limit_lines(found: Mapping[str, Any]) -> list[str]:
    text = (
        f"{found['n_rows']} conductivities of {found['n_papers']} papers are repeated by other papers on the same "
        f"composition at the same temperature. The median of those others misses them by {found['by_others']:.2f} "
        f"decades on average; this model, which has not seen the paper, misses the same rows by "
        f"{found['by_model']:.2f}. Repeated measurements of one composition differ by {found['between_sd']:.2f} "
        "decades (standard deviation between papers)."
    )
    return ["", "## How well papers repeat one another", "", text]


def _curve_lines(points: Sequence[Mapping[str, Any]]) -> list[str]:
    curve = [LearningPoint(**point) for point in points]
    rows = [
        (p.quantity, f"{p.n_papers:.0f}", f"{p.error:.3f}", f"{p.spread:.3f}" if p.spread else "one shuffle")
        for p in curve
    ]
    readings = []
    for quantity, digits in dict.fromkeys((p.quantity, 4 if "Ea" in p.quantity else 3) for p in curve):
        gain, error = gain_of_more_papers(curve, quantity, N_MORE_PAPERS)
        readings.append(f"{gain:.{digits}f} ± {error:.{digits}f} of {quantity}")
    text = (
        f"{N_MORE_PAPERS} more papers like those known should buy {' and '.join(readings)} (a straight line in the "
        "logarithm of the number of papers, from 40 % of them on; hyperparameters at their defaults)."
    )
    table = _table(("quantity", "papers learned from", "error", "± over shuffles"), rows)
    return ["", "## Learning curve", "", text, "", *table]


def _shift_lines(shifts: Sequence[Mapping[str, Any]]) -> list[str]:
    errors: dict[tuple[str, str], dict[str, float]] = {}
    sizes = {}
    for row in shifts:
        key = row["split"], row["quantity"]
        errors.setdefault(key, {})[row["model"]] = row["error"]
        sizes[key] = (str(row["n_rows"]), str(row["n_papers"]))
    shown = (PROMOTED, "family median", "nearest neighbour")
    rows = [(*key, *(f"{found[name]:.3f}" for name in shown), *sizes[key]) for key, found in errors.items()]
    return [
        "", "## A family left out whole, and papers later than all that taught", "",
        *_table(("split", "quantity", *shown, "rows", "papers"), rows),
    ]  # fmt: skip


def worse_than_lookup(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line for each quantity and family where a lookup has the smaller error."""
    by_key: dict[tuple[str, str], dict[str, float]] = {}
    for s in scores:
        by_key.setdefault((s["quantity"], s["subset"]), {})[s["model"]] = s["error"]
    found = []
    for (quantity, subset), errors in by_key.items():
        ours = errors.get(PROMOTED, errors.get("strength law", float("inf")))
        found += [
            f"- {quantity}, {subset}: {lookup} {errors[lookup]:.3f} against {ours:.3f}"
            for lookup in LOOKUPS
            if errors[lookup] < ours
        ]
    return found or ["- Nowhere in this table."]


# ---------------------------------------------------------------- the figure

PROMISED = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
COLOURS = ("#4c78a8", "#e8973a")
INK = "#8b929a"
SIDE, MARGIN = 320, 44


def calibration_svg(promised: Sequence[float], held: Mapping[str, Sequence[float]]) -> str:
    """Draw the share of values inside an interval against the share it promises, as SVG.

    Args:
        promised: Promised shares, 0 to 1.
        held: For each property, by its name in `PROPERTY_NAMES`, the shares that were held.
    """

    def at(x: float, y: float) -> tuple[str, str]:
        return f"{MARGIN + SIDE * x:.1f}", f"{10 + SIDE * (1 - y):.1f}"

    parts = [f'<rect x="{MARGIN}" y="10" width="{SIDE}" height="{SIDE}" fill="none" stroke="{INK}"/>']
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts.append(f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="{INK}" stroke-dasharray="4 3"/>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = at(share, 0)
        parts.append(f'<text x="{x}" y="{float(y) + 15:.1f}" text-anchor="middle">{share:.0%}</text>')
        x, y = at(0, share)
        parts.append(f'<text x="{float(x) - 5:.1f}" y="{float(y) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for i, ((name, shares), colour) in enumerate(zip(held.items(), COLOURS, strict=False)):
        spots = [at(said, true) for said, true in zip(promised, shares, strict=True)]
        line = " ".join(",".join(spot) for spot in spots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts += [f'<circle cx="{cx}" cy="{cy}" r="3" fill="{colour}"/>' for cx, cy in spots]
        parts.append(f'<text x="{MARGIN + 12}" y="{30 + 16 * i}" fill="{colour}">{escape(PROPERTY_NAMES[name])}</text>')
    across, down = MARGIN + SIDE / 2, 10 + SIDE / 2
    parts.append(f'<text x="{across}" y="{SIDE + 44}" text-anchor="middle">share promised</text>')
    turned = f'transform="rotate(-90 12 {down})"'
    parts.append(f'<text x="12" y="{down}" text-anchor="middle" {turned}>share inside</text>')
    width, height = MARGIN + SIDE + 16, SIDE + 54
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11" fill="{INK}" role="img" '
        'aria-label="Share of values inside their interval against the share promised">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
