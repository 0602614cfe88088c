"""Spaces, ranked candidates with their reasons, and recipes as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from nascreen.chemistry import format_formula
from nascreen.errors import RangeError, UnknownNameError, shown
from nascreen.lattices import FOLDER, ROUTE_COLUMNS, Lattice, count_lattice
from nascreen.listed import any_lattice, space_names
from nascreen.queries import Found, filter_columns
from nascreen.recipes import Recipe, recipe_text
from nascreen.records import Sample, citation, name_of, processing_line
from nascreen.screening import Neighbour, best_measured, nearest
from nascreen.spaces import SPACES, count
from nascreen.stability import Hint

AMOUNT = "amount_"
_SAME = 0.005
"""Decades and distances below this are none."""


# ---------------------------------------------------------------- spaces


def require_space(name: str) -> None:
    """Refuse what is not the name of a space that comes with nascreen, a path above all.

    Raises:
        UnknownNameError: If there is no such space.
    """
    if name not in space_names():
        raise UnknownNameError(f"There is no space {shown(name)}; allowed are {', '.join(space_names())}.")


@lru_cache(maxsize=64)
def space_summary(name: str) -> dict[str, Any]:
    """Return name, title, number of candidates and elements of a space.

    Raises:
        UnknownNameError: If there is no such space.
    """
    require_space(name)
    lattice = any_lattice(name)
    n = count(name) if name in SPACES else count_lattice(lattice).candidates
    return {"name": name, "title": lattice.title, "n_candidates": n, "elements": list(lattice.order)}


def space_values(name: str) -> dict[str, Any]:
    """Return a space with its file and what a filter may name.

    Raises:
        UnknownNameError: If there is no such space.
    """
    summary = space_summary(name)
    toml = "" if name in SPACES else (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return {**summary, "toml": toml, "columns": column_values(any_lattice(name))}


def column_values(lattice: Lattice) -> list[dict[str, str]]:
    """Return what a filter or a sort may name of the candidates of a space."""
    return [{"name": c.name, "kind": c.kind, "description": c.description} for c in filter_columns(lattice)]


# ---------------------------------------------------------------- candidates


def ranked_rows(found: Found) -> list[dict[str, Any]]:
    """Return the rows of a query, each with its processing in words and the reasons to trust it or not."""
    samples = [Sample(**{name: row[name] for name in ("formula", *ROUTE_COLUMNS) if name in row}) for row in found.rows]
    near = nearest(samples, 1) if samples else []
    rows = []
    for row, sample, neighbours in zip(found.rows, samples, near, strict=True):
        excess = row.get("sodium_excess_pct")
        made = processing_line(sample) + (f"; {excess:g} % Na in excess" if excess else "")
        place = {"rank": row["rank"], "candidate": row["candidate"], "formula": row["formula"], "processing": made}
        rows.append({**place, **row, "reasons": reasons(row, neighbours)})
    return rows


def reasons(row: Mapping[str, Any], near: Sequence[Neighbour]) -> list[str]:
    """Say what stands behind a candidate: the best measured, the nearest measured, a hint, and what limits trust.

    Args:
        row: A row of `nascreen.queries.Screened.query`.
        near: The measured samples nearest to it.
    """
    return [_against_best(row), *map(_nearest_sentence, near[:1]), *_stability_sentences(row), _trust_sentence(row)]


def _against_best(row: Mapping[str, Any]) -> str:
    low, family = row["conductivity_lo"], row["family"].replace("_", " ")
    best = _best_measured(row["family"])
    if best is None or best.conductivity_s_cm is None:
        return (
            f"The lower limit of its interval is {low:.1e} S/cm; of its family ({family}) nothing was measured near "
            "25 °C."
        )
    gap = math.log10(low / best.conductivity_s_cm)
    where = "at" if abs(gap) < _SAME else f"{abs(gap):.2f} decades {'above' if gap > 0 else 'below'}"
    return (
        f"The lower limit of its interval, {low:.1e} S/cm, is {where} the best measured of its family ({family}), "
        f"{best.conductivity_s_cm:.1e} S/cm at {best.meas_temp_c:g} °C: {name_of(best)} ({citation(best)})."
    )


@lru_cache(maxsize=64)
def _best_measured(family: str) -> Sample | None:
    try:
        return best_measured((family,))[1]
    except RangeError:
        return None


def _nearest_sentence(near: Neighbour) -> str:
    s = near.sample
    made = processing_line(s) or s.phase.replace("_", " ")
    value = "" if s.conductivity_s_cm is None else f" with {s.conductivity_s_cm:.1e} S/cm at {s.meas_temp_c:g} °C"
    distance = "at the same composition" if near.distance < _SAME else f"at a distance of {near.distance:.2f}"
    return f"Nearest measured is {name_of(s)}{f' ({made})' if made else ''}{value}, {distance} ({near.citation})."


def _stability_sentences(row: Mapping[str, Any]) -> list[str]:
    if "hull_formula" not in row:
        return []
    hint = Hint(row["hull_formula"], row["hull_mev_atom"], row["hull_distance"])
    return [f"Stability, a hint alone: {hint.sentence}."]


def _trust_sentence(row: Mapping[str, Any]) -> str:
    width = math.log10(row["conductivity_hi"] / row["conductivity_lo"])
    spans = f"its 90 % interval spans {width:.1f} decades of conductivity"
    if not row["in_domain"]:
        return f"Outside the domain of the models: {row['domain_note']}; {spans}."
    return f"Inside the domain of the models; {spans}."


# ---------------------------------------------------------------- recipes


def recipe_values(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values."""
    return {
        "formula": recipe.formula, "batch_g": recipe.batch_g, "is_open": recipe.is_open,
        "weighings": [
            {"precursor": w.precursor.formula, "mol_per_mol": float(w.moles),
             "molar_mass_g_mol": w.precursor.molar_mass, "purity_pct": w.purity_pct, "exact_g": w.exact_g,
             "weigh_g": w.weigh_g}
            for w in recipe.weighings
        ],
        "gases": {name: float(n) for name, n in recipe.gases.items()}, "loss_pct": recipe.loss_pct,
        "weighed_formula": format_formula(recipe.weighed), "charge": recipe.charge,
        "excess_pct": dict(recipe.excess_pct), "hazards": list(recipe.hazards), "text": recipe_text(recipe),
    }  # fmt: skip
