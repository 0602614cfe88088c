"""The commands `nascreen recipe` and `nascreen screen`."""

from __future__ import annotations

import sys
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


def screen(
    space: Annotated[str, typer.Option("--space", help="Name of a space, or a TOML file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the scored candidates; new or empty.")],
    n: Annotated[int, typer.Option("--n", help="How many candidates.")] = 100_000,
    sampling: Annotated[str, typer.Option(help="random, grid or sobol.")] = "random",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draw.")] = 0,
    prices: Annotated[Path | None, typer.Option(help="CSV with element, usd_kg and date, instead of 2013's.")] = None,
) -> None:
    """Draw candidates of a space, score them with intervals, and keep them as Parquet for nascreen rank --in."""
    from nascreen.lattices import count_lattice, load_lattice
    from nascreen.pipeline import progress_bar
    from nascreen.stream import default_prices, read_prices
    from nascreen.stream import screen as run_screen

    lattice = load_lattice(space)
    count = count_lattice(lattice)
    print(
        f"The space {lattice.name} holds {count.compositions:,} charge-balanced compositions on {count.routes:,} "
        f"routes, {count.candidates:.3g} candidates before the rules that link them; drawing {n:,} "
        f"({sampling}, seed {seed}).",
        file=sys.stderr,
    )
    list_of_prices = read_prices(prices) if prices else default_prices()
    with progress_bar() as progress:
        task = progress.add_task(f"screen {lattice.name}", total=n)
        done = run_screen(
            space, n, out, sampling, seed, prices=list_of_prices,  # type: ignore[arg-type]
            on_progress=lambda rows: progress.update(task, completed=rows),
        )  # fmt: skip
    clock = done.clock
    print(f"{done.n:,} candidates scored to {done.folder}")
    print(f"{clock.total:.1f} s, {clock.predict:.1f} s of them in the models")
    print(f"prices: {list_of_prices.source}, of {list_of_prices.date}")
    if done.n < n:
        print(f"The rules of the space leave {done.n:,} of the {n:,} asked for.")
