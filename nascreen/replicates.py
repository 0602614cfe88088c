"""How far measurements of one composition scatter: between texts, within a text, by family and by method.

A text counts with its best sample, since many texts process badly on purpose to show a trend. Pooled variances
shrink towards that of all families, since most families have few repeated compositions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations
from statistics import fmean

from nascreen.quality import at_one_temperature, same_composition
from nascreen.records import Sample

MAD_TO_SD = 1.4826
PRIOR_DEGREES = 8.0
"""A family counts as much as the overall variance when it has this many degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviation of log10 σ of one composition at one temperature.

    Attributes:
        between_sd: Between texts, in decades, shrunk towards that of all families.
        raw_sd: The same, of this family or method alone; NaN without repeated compositions.
        within_sd: Between samples of one text, in decades, shrunk in the same way.
        n_sets: Compositions at a temperature that at least two texts report.
        n_texts: Texts in those sets.
    """

    between_sd: float
    raw_sd: float
    within_sd: float
    n_sets: int
    n_texts: int


@dataclass(frozen=True, slots=True)
class _Sums:
    """Differences of the pairs of each set, over √2, with weights that add up to the set's degrees of freedom."""

    differences: tuple[tuple[float, float], ...] = ()
    degrees: int = 0
    n_sets: int = 0
    n_texts: int = 0

    def add(self, values: Sequence[float]) -> _Sums:
        """Return the sums with one more set."""
        n = len(values)
        more = tuple((abs(a - b) / math.sqrt(2), 2 / n) for a, b in combinations(values, 2))
        return _Sums(self.differences + more, self.degrees + n - 1, self.n_sets + 1, self.n_texts + n)

    @property
    def variance(self) -> float:
        """Robust variance: a film crystallised badly on purpose is no measure of how well texts agree."""
        if not self.differences:
            return math.nan
        ordered = sorted(self.differences)
        reached = accumulate(weight for _, weight in ordered)
        middle = next(d for (d, _), sum_ in zip(ordered, reached, strict=True) if sum_ >= self.degrees / 2 - 1e-9)
        return (MAD_TO_SD * middle) ** 2


def replicate_sets(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return conductivities of one composition, phase and second phase within 3 K, where there are at least two.

    Args:
        samples: Measured samples; bounds, grain-boundary values and those without temperature are left aside.
    """
    usable = [s for s in samples if s.conductivity_kind != "grain_boundary"]
    sets = (rows for same in same_composition(usable).values() for rows in at_one_temperature(same))
    return [rows for rows in sets if len(rows) > 1]


def _log(sample: Sample) -> float:
    return math.log10(sample.conductivity_s_cm or math.nan)


def _pooled(sets: Sequence[Sequence[Sample]], label: str) -> tuple[dict[str, _Sums], dict[str, _Sums]]:
    """Return sums of squares between texts (by their best) and within a text, by family or method."""
    between: dict[str, _Sums] = defaultdict(_Sums)
    within: dict[str, _Sums] = defaultdict(_Sums)
    for rows in sets:
        by_label: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for s in rows:
            by_label[getattr(s, label) or "not stated"][s.group_id].append(_log(s))
        for name, texts in by_label.items():
            if len(texts) > 1:
                between[name] = between[name].add([max(values) for values in texts.values()])
            for values in texts.values():
                if len(values) > 1:
                    within[name] = within[name].add(values)
    return between, within


def _total(parts: Mapping[str, _Sums]) -> _Sums:
    sums = list(parts.values())
    return _Sums(
        tuple(d for p in sums for d in p.differences),
        sum(p.degrees for p in sums),
        sum(p.n_sets for p in sums),
        sum(p.n_texts for p in sums),
    )


def _shrunk(own: _Sums, overall: float) -> float:
    variance = own.variance if own.degrees else overall
    return math.sqrt((own.degrees * variance + PRIOR_DEGREES * overall) / (own.degrees + PRIOR_DEGREES))


def replicate_spread(samples: Sequence[Sample], by: str = "family") -> dict[str, Spread]:
    """Return the scatter of repeated compositions, for each family or method and for ``all``.

    Args:
        samples: Measured samples.
        by: ``family``, or a column that says how a value was obtained: ``conductivity_kind``, ``value_origin``,
            ``source_kind`` or ``synthesis``.

    Returns:
        By name of the family or method, and ``all``; empty if no composition is reported twice.
    """
    between, within = _pooled(replicate_sets(samples), by)
    if not between:
        return {}
    whole, inner = _total(between), _total(within)
    inner_variance = inner.variance if inner.degrees else whole.variance
    out = {
        "all": Spread(
            math.sqrt(whole.variance), math.sqrt(whole.variance), math.sqrt(inner_variance), whole.n_sets, whole.n_texts
        )
    }
    for name in sorted({getattr(s, by) or "not stated" for s in samples}):
        own = between.get(name, _Sums())
        out[name] = Spread(
            _shrunk(own, whole.variance),
            math.sqrt(own.variance),
            _shrunk(within.get(name, _Sums()), inner_variance),
            own.n_sets,
            own.n_texts,
        )
    return out


def pooled_sample_sets(samples: Sequence[Sample]) -> list[tuple[Sample, float, float, int]]:
    """Return each repeated composition once: a sample, the mean and standard error of log10 σ, and its n of texts.

    Texts count once each, with their best sample; the error is the scatter of their family over √n.

    Args:
        samples: Measured samples.
    """
    spreads = replicate_spread(samples)
    out = []
    for rows in replicate_sets(samples):
        texts: dict[str, list[float]] = defaultdict(list)
        for s in rows:
            texts[s.group_id].append(_log(s))
        if len(texts) > 1:
            means = [max(values) for values in texts.values()]
            sd = spreads.get(rows[0].family or "not stated", spreads["all"]).between_sd
            out.append((rows[0], fmean(means), sd / math.sqrt(len(means)), len(means)))
    return sorted(out, key=lambda found: (-found[3], found[0].formula))
