"""The command `nascreen explain`, and the probability that `nascreen predict --above` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nascreen.errors import InputError, RangeError, shown

if TYPE_CHECKING:
    from nascreen.explain import Change, Explanation
    from nascreen.models import Prediction
    from nascreen.records import Sample
    from nascreen.screening import Neighbour


def explain(
    formula: Annotated[str | None, typer.Argument(help="Formula, such as Na3Zr2Si2PO12.")] = None,
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
    against: Annotated[
        str, typer.Option(help="Count from the mean of all measured samples, or of the family.")
    ] = "all",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the samples drawn to count from.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse formulas that are not charge balanced.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    folder: Annotated[Path | None, typer.Option("--in", help="Folder that nascreen screen wrote.")] = None,
    candidate: Annotated[int | None, typer.Option("--candidate", help="Number of its candidate.")] = None,
) -> None:
    """Say why: what each input adds, the nearest measured samples, what limits it and what would change it."""
    threshold = threshold_of(above)
    from nascreen.explain import explain as reasons_for
    from nascreen.tables import conditions_from_cells

    cells = {
        "formula": formula or "", "phase": phase, "sinter_temp_c": sinter_temp_c, "sinter_time_h": sinter_time_h,
        "heat_temp_c": heat_temp_c, "heat_time_h": heat_time_h, "press_mpa": press_mpa,
        "rel_density_pct": rel_density_pct, "porosity_pct": porosity_pct, "second_phase": second_phase,
        "second_phase_role": second_phase_role, "meas_temp_c": meas_temp_c,
    }  # fmt: skip
    if folder is None and candidate is None and formula is not None:
        sample = conditions_from_cells(cells, strict=strict)
    else:
        sample = _of_screen(folder, candidate, [name for name, text in cells.items() if text])
    found = reasons_for(sample, against=against, seed=seed)
    hint = _stability(found.prediction)
    if as_json:
        import json

        print(json.dumps({**explanation_values(found, threshold), "stability": hint}, ensure_ascii=False, indent=1))
    else:
        print(explanation_text(found, threshold))
        print(f"\nComputed stability, a hint\n  {hint}")


def _of_screen(folder: Path | None, candidate: int | None, given: Sequence[str]) -> Sample:
    """Return a candidate of a screen, and refuse anything given beside it."""
    from nascreen.queries import Screened

    if folder is None or candidate is None:
        raise InputError(
            "Give a formula, or both --in FOLDER and --candidate N; for example: nascreen explain Na3Zr2Si2PO12"
        )
    if given:
        raise InputError(f"The candidate of a screen says how it is made; leave out {', '.join(given)}.")
    return Screened(folder).sample(candidate)


def _stability(prediction: Prediction) -> str:
    from nascreen.stability import hints, why_no_hint

    (hint,) = hints([prediction.sample.formula], [prediction.family])
    return hint.sentence if hint else why_no_hint(prediction.sample.formula, prediction.sample.phase)


def threshold_of(text: str) -> float | None:
    """Read what follows ``--above``; None where it was left out.

    Raises:
        RangeError: If it is no conductivity.
    """
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise RangeError(f"--above is {shown(text)}; allowed is a conductivity above 0 and up to 100 S/cm, as in 1e-3.")
    return value


def probability_line(prediction: Prediction, threshold_s_cm: float) -> str:
    """Return the probability of exceeding a threshold as a line.

    >>> from nascreen.models import load_models
    >>> from nascreen.records import Sample
    >>> (prediction,) = load_models().predict([Sample(formula="Na3Zr2Si2PO12")])
    >>> probability_line(prediction, 1e-9)
    'probability of more than 1e-09 S/cm: over 99 %'
    """
    return f"probability of more than {threshold_s_cm:.2g} S/cm: {percent(_probability(prediction, threshold_s_cm))}"


def percent(probability: float) -> str:
    """Return a probability in whole percent, never as certain.

    >>> percent(0.618), percent(0.9993), percent(0.001)
    ('62 %', 'over 99 %', 'under 1 %')
    """
    if probability > 0.99:
        return "over 99 %"
    return "under 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def _probability(prediction: Prediction, threshold_s_cm: float) -> float:
    from nascreen.explain import probability_above

    return probability_above(prediction, threshold_s_cm)


def probability_values(prediction: Prediction, threshold_s_cm: float | None) -> dict[str, float]:
    """Return threshold and probability for JSON; nothing where there is no threshold."""
    if threshold_s_cm is None:
        return {}
    return {"above_s_cm": threshold_s_cm, "probability_above": round(_probability(prediction, threshold_s_cm), 4)}


def explanation_text(found: Explanation, threshold_s_cm: float | None = None) -> str:
    """Return an explanation as lines for a terminal."""
    p, start = found.prediction, found.background
    temp_c = 25.0 if p.sample.meas_temp_c is None else p.sample.meas_temp_c
    lines = [
        f"{p.sample.formula}  (family {p.family})",
        f"  conductivity at {temp_c:g} °C  {p.conductivity_s_cm:.2e} S/cm   90 %: {_range(p)}",
    ]
    if threshold_s_cm is not None:
        lines.append(f"  {probability_line(p, threshold_s_cm)}")
    lines += [
        "",
        "What each input adds, at 25 °C (the largest first)",
        f"  {'':29} decades of σ    Ea / eV   decades of strength",
        f"  {start.name:29} {start.log_sigma:8.2f}        {start.ea_ev:6.3f}    {start.log_strength:6.2f}     "  # noqa: ISC004
        f"mean of {start.n_samples}, one per text",
    ]
    for c in sorted(found.contributions, key=lambda c: -abs(c.log_sigma)):
        lines.append(
            f"  {c.group:29} {_signed(c.log_sigma, 2):>8} ± {c.log_sigma_error:.2f} {_signed(c.ea_ev, 3):>7}   "
            f"{_signed(c.log_strength, 2):>6}     {c.given}"
        )
    lines.append(
        f"  {'this sample':29} {_sum(found, 'log_sigma'):8.2f}        {_sum(found, 'ea_ev'):6.3f}    "
        f"{_sum(found, 'log_strength'):6.2f}"
    )
    lines += ["", "Nearest measured samples", *(f"  {_neighbour_text(n)}" for n in found.neighbours)]
    lines += ["", "What bounds it", *(f"  {sentence}" for sentence in found.limits)]
    if found.changes:
        lines += ["", "What would change it", *(f"  {_change_text(c, p)}" for c in found.changes)]
    return "\n".join(lines)


def _range(p: Prediction) -> str:
    return f"{p.conductivity_lo:.1e} to {p.conductivity_hi:.1e}"


def _signed(value: float, digits: int) -> str:
    """Return a number with its sign; none where it rounds to zero."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def _sum(found: Explanation, name: str) -> float:
    return float(getattr(found.background, name) + sum(getattr(c, name) for c in found.contributions))


def _neighbour_text(near: Neighbour) -> str:
    from nascreen.records import name_of, processing_line

    s = near.sample
    made = processing_line(s)
    value = f"{s.conductivity_s_cm:.1e} S/cm at {s.meas_temp_c:g} °C"
    energy = "" if s.ea_ev is None else f", Ea {s.ea_ev:.2f} eV"
    return f"{name_of(s)}{f' ({made})' if made else ''}  {value}{energy}; distance {near.distance:.2f}; {near.citation}"


def _change_text(change: Change, before: Prediction) -> str:
    p = change.prediction
    trust = "" if p.in_domain == before.in_domain else f"; then {'inside' if p.in_domain else 'outside'} the domain"
    return (
        f"{_signed(change.gain_decades, 2):>6} decades  {p.conductivity_s_cm:.1e} S/cm (90 %: {_range(p)})  "
        f"{change.what}{trust}"
    )


def explanation_values(found: Explanation, threshold_s_cm: float | None = None) -> dict[str, Any]:
    """Return an explanation as plain values for JSON, numbers with six significant digits."""
    from nascreen.answers import reason_values
    from nascreen.tables import result_values

    p = found.prediction
    return {
        "formula": p.sample.formula,
        **result_values(p),
        **probability_values(p, threshold_s_cm),
        **reason_values(found),
    }
