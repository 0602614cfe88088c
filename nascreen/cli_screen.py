"""The commands `nascreen recipe` and `nascreen screen`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from nascreen.errors import InputError, shown


def _pairs(option: str, texts: Sequence[str], example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip() or not value.strip():
            raise InputError(f"{option} is {shown(text)}; write it such as {option} {example}")
        if name.strip() in pairs:
            raise InputError(f"{option} names {name.strip()} twice; keep one of them.")
        pairs[name.strip()] = value.strip()
    return pairs


def _percents(option: str, texts: Sequence[str], example: str) -> dict[str, float]:
    out = {}
    for name, value in _pairs(option, texts, example).items():
        try:
            out[name] = float(value.removesuffix("%"))
        except ValueError as error:
            raise InputError(f"{option} {name} is {shown(value)}, not a number; write {option} {example}") from error
    return out


def recipe(
    formula: Annotated[str, typer.Argument(help="What is to be made, such as Na3Zr2Si2PO12.")],
    batch_g: Annotated[float, typer.Option(help="Mass of product in g.")] = 10.0,
    excess: Annotated[
        list[str] | None, typer.Option(help="Against evaporation, such as Na=5%; may be repeated.")
    ] = None,
    precursor: Annotated[list[str] | None, typer.Option(help="Another reagent, such as P=Na3PO4·12H2O.")] = None,
    purity: Annotated[list[str] | None, typer.Option(help="Purity in mass %, such as Na2CO3=99.5.")] = None,
    balance_mg: Annotated[float, typer.Option(help="Readability of the balance in mg.")] = 1.0,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file for the sheet.")] = None,
) -> None:
    """Print what to weigh for a composition: balanced exactly, corrected, with what the balance makes of it."""
    from nascreen.recipes import RECIPE_COLUMNS, make_recipe, recipe_rows, recipe_text
    from nascreen.tables import write_table

    made = make_recipe(
        formula,
        batch_g,
        precursors=_pairs("--precursor", precursor or [], "Zr=ZrO2"),
        excess_pct=_percents("--excess", excess or [], "Na=5%"),
        purity_pct=_percents("--purity", purity or [], "Na2CO3=99.5"),
        balance_mg=balance_mg,
    )
    print(recipe_text(made))
    if out is not None:
        write_table(out, list(RECIPE_COLUMNS), recipe_rows(made))
        print(f"  written to {out}")
