"""What bounds the accuracy: which rows carry the error, and what other papers on the same sample would have said.

    python experiments/accuracy/limit.py

Reads ``predictions.csv`` (each row by models that had not seen its paper, written by ``run.py``) and writes
``limit.csv`` beside this file. Errors are mean absolute ones of log10 σ in decades. ``by_others`` is the median of
other papers on the same composition, phase and temperature (within 3 K): a lookup that no model of this table can be
expected to beat by much, since the papers themselves disagree by that much. The lines "papers repeat one another"
compare the median of each paper on a composition and temperature with that of the others: once with every text by
itself, where a review that quotes a value seems to confirm it, and once with texts that share a value as one.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from nascreen.datasets import load_table, sodium_conductivity_rows
from nascreen.quality import same_composition
from nascreen.records import Sample
from nascreen.replicates import replicate_sets, replicate_spread
from nascreen.shifts import told_by_others
from nascreen.training import Rows, literature_rows
from nascreen.verdicts import reviewed_table

HERE = Path(__file__).resolve().parent
COLUMNS = ("question", "rows", "n_rows", "n_papers", "by_model", "by_others", "share_of_all_error")
AGAINST = (0.5, 1.0)
TAIL = (0.05, 0.1, 0.2)


def conductivities() -> tuple[Rows, np.ndarray]:
    """Return the scored conductivities and what the model says of each, its paper left out."""
    rows = literature_rows()
    rows = rows.take(rows.is_conductivity)
    with (HERE / "predictions.csv").open(encoding="utf-8", newline="") as file:
        said = {r["sample_id"]: float(r["predicted"]) for r in csv.DictReader(file) if r["quantity"] != "Ea / eV"}
    return rows, np.array([said[s.sample_id] for s in rows.samples])


def other_papers(rows: Rows) -> np.ndarray:
    """Return how many other papers give a conductivity of the same composition and phase, at any temperature."""
    groups: dict[str, int] = {}
    for same in same_composition(rows.samples).values():
        n_papers = len({s.group_id for s in same})
        groups |= {s.sample_id: n_papers - 1 for s in same}
    return np.array([groups.get(s.sample_id, 0) for s in rows.samples])


def known_but_for_one(rows: Rows, off: np.ndarray) -> np.ndarray:
    """Return what is left of each error once the other rows of its paper are known: less their median error."""
    groups = np.array(rows.groups)
    out = np.full(len(off), np.nan)
    for i, group in enumerate(groups):
        others = np.flatnonzero((groups == group) & (np.arange(len(off)) != i))
        if len(others):
            out[i] = off[i] - np.median(off[others])
    return out


def misses_of_repeats(samples: Sequence[Sample], text_of: Callable[[Sample], str]) -> tuple[list[float], set[str]]:
    """Return how far each text is from the others on the same composition and temperature, and the texts.

    Args:
        samples: Conductivities.
        text_of: What counts as one text.
    """
    off, texts = [], set()
    for same in replicate_sets(samples):
        by_text: dict[str, list[float]] = {}
        for sample in same:
            by_text.setdefault(text_of(sample), []).append(float(np.log10(sample.conductivity_s_cm or np.nan)))
        said = {text: float(np.median(values)) for text, values in by_text.items()}
        if len(said) > 1:
            texts |= set(said)
            off += [abs(own - np.median([v for t, v in said.items() if t != text])) for text, own in said.items()]
    return off, texts


def repeat_lines() -> Iterator[list[object]]:
    """Yield how well papers repeat one another, by what counts as a paper."""
    printed, reviewed = (sodium_conductivity_rows(load("literature")) for load in (load_table, reviewed_table))
    for name, samples, text_of in (
        ("as printed, every text by itself", printed, lambda s: s.paper_id),
        ("as printed, texts that share a value as one", printed, lambda s: s.group_id),
        ("as reviewed, texts that share a value as one", reviewed, lambda s: s.group_id),
    ):
        off, texts = misses_of_repeats(samples, text_of)
        yield ["papers repeat one another", name, len(off), len(texts), "", f"{np.mean(off):.3f}", ""]


def subsets(rows: Rows, off: np.ndarray, told: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield question, answer and the rows that belong to it."""
    n = len(off)
    families = np.array([s.family for s in rows.samples])
    groups = np.array(rows.groups)
    yield "all", "all", np.ones(n, dtype=bool)
    yield "all", "nasicon", families == "nasicon"
    yield "all", "other families", families != "nasicon"
    is_repeated = ~np.isnan(told)
    commonest = Counter(s.formula for s, k in zip(rows.samples, is_repeated, strict=True) if k).most_common(1)[0][0]
    is_commonest = np.array([s.formula == commonest for s in rows.samples])
    yield "repeated by other papers", "yes", is_repeated
    yield "repeated by other papers", "yes, nasicon", is_repeated & (families == "nasicon")
    yield "repeated by other papers", "yes, without the commonest compound", is_repeated & ~is_commonest
    yield "repeated by other papers", "no", ~is_repeated
    others = other_papers(rows)
    for name, low, high in (("none", 0, 0), ("1", 1, 1), ("2 to 4", 2, 4), ("5 or more", 5, n)):
        yield "other papers on the composition", name, (others >= low) & (others <= high)
    gap = np.abs(told - rows.targets)
    for limit in AGAINST:
        contradicting = {g for g in set(groups[is_repeated]) if np.median(gap[is_repeated & (groups == g)]) > limit}
        inside = np.isin(groups, list(contradicting))
        yield f"paper off from others by more than {limit:g} decades", "yes", inside & is_repeated
        yield f"paper off from others by more than {limit:g} decades", "no", ~inside & is_repeated
    order = np.argsort(-np.abs(off))
    for share in TAIL:
        worst = np.isin(np.arange(n), order[: round(share * n)])
        yield f"worst {share:.0%} of the rows", "they alone", worst
        yield f"worst {share:.0%} of the rows", "all others", ~worst


def main() -> None:
    rows, said = conductivities()
    off = said - rows.targets
    told = told_by_others(rows)
    by_others = np.abs(told - rows.targets)
    groups = np.array(rows.groups)
    lines: list[list[object]] = []
    for question, answer, mask in subsets(rows, off, told):
        if mask.any():
            known = mask & ~np.isnan(told)
            lines.append([
                question, answer, int(mask.sum()), len(set(groups[mask])), f"{np.abs(off[mask]).mean():.3f}",
                f"{by_others[known].mean():.3f}" if known.sum() == mask.sum() else "",
                f"{np.abs(off[mask]).sum() / np.abs(off).sum():.3f}",
            ])  # fmt: skip
    left = known_but_for_one(rows, off)
    several = ~np.isnan(left)
    for answer, values in (("as they are", off), ("less the error of the paper's other rows", left)):
        lines.append([
            "papers of several rows", answer, int(several.sum()), len(set(groups[several])),
            f"{np.abs(values[several]).mean():.3f}", "", "",
        ])  # fmt: skip
    lines += repeat_lines()
    spread = replicate_spread(rows.samples)["all"]
    lines.append([
        "standard deviation between papers", "one composition and temperature", "", spread.n_texts, "",
        f"{spread.between_sd:.3f}", "",
    ])  # fmt: skip
    with (HERE / "limit.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(lines)
    for line in lines:
        print("  ".join(map(str, line)))


if __name__ == "__main__":
    main()
