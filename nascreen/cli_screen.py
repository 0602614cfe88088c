"""The commands `nascreen recipe` and `nascreen screen`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nascreen.errors import InputError, shown

if TYPE_CHECKING:
    from nascreen.queries import Screened


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
    n: Annotated[
        int | None, typer.Option("--n", help="How many candidates; 100,000, or all of nasicon or thioborate.")
    ] = None,
    sampling: Annotated[str, typer.Option(help="random, grid, sobol or simple.")] = "random",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draw.")] = 0,
    prices: Annotated[Path | None, typer.Option(help="CSV with element, usd_kg and date, instead of 2013's.")] = None,
) -> None:
    """Draw candidates of a space, score them with intervals, and keep them as Parquet for nascreen rank --in."""
    # The blocks are shared out among threads, so that no product of matrices needs threads of its own.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from nascreen.pipeline import progress_bar
    from nascreen.stream import default_prices, read_prices
    from nascreen.stream import screen as run_screen

    size, _ = _announced(space, n, 100_000, sampling, seed)
    list_of_prices = read_prices(prices) if prices else default_prices()
    with progress_bar() as progress:
        task = progress.add_task(f"screen {space}", total=size)
        done = run_screen(
            space, size, out, sampling, seed, prices=list_of_prices,  # type: ignore[arg-type]
            on_progress=lambda rows: progress.update(task, completed=rows),
        )  # fmt: skip
    clock = done.clock
    print(f"{done.n:,} candidates scored to {done.folder}")
    print(f"{clock.total:.1f} s, {clock.predict:.1f} s of them in the models")
    print(f"prices: {list_of_prices.source}, of {list_of_prices.date}")
    if done.n < size:
        print(f"The rules of the space leave {done.n:,} of the {size:,} asked for.")


def rank_screened(
    space: str | None,
    folder: Path | None,
    text: str,
    sort: str,
    top: int,
    per_system: int,
    targets: Sequence[str],
    form: str,
    out: Path | None,
    n: int | None,
    seed: int,
) -> None:
    """Filter, sort and show scored candidates: those of a folder, or of a space scored now.

    Raises:
        InputError: If neither or both are given, or a format cannot be written.
    """
    from nascreen.queries import FORMATS, Screened

    if (space is None) == (folder is None):
        raise InputError(
            "Give either a space or --in FOLDER, such as: nascreen rank nasicon-wide --filter 'ea_ev < 0.3'"
        )
    if form not in FORMATS:
        raise InputError(f"There is no format {shown(form)}; allowed are {', '.join(FORMATS)}.")
    if form == "parquet" and out is None:
        raise InputError("Parquet needs a place: add --out FILE.parquet")
    screened = Screened(folder) if folder is not None else _scored_now(str(space), n, seed)
    sort = sort or ("probability" if targets else "conductivity_lo")
    found = screened.query(text, sort, top, per_system=per_system, targets=targets)
    print(
        f"{found.n_matching:,} of {found.n_all:,} candidates pass; prices of {found.record['prices']['date']}",
        file=sys.stderr,
    )
    for note in found.notes:
        print(f"nascreen: {note}", file=sys.stderr)
    if found.rows and form == "table":
        print(_how_to_explain(found.rows[0], folder), file=sys.stderr)
    if not found.rows:
        print("widen the filter, or ask for the probability of a --target instead of a limit", file=sys.stderr)
    columns = [c.name for c in screened.columns if not c.name.startswith("amount_")]
    _write_found(found.rows, ["rank", "formula", *columns, "domain_note"], form, out)


def _how_to_explain(row: Mapping[str, Any], folder: Path | None) -> str:
    """Return the command that gives the reasons for a candidate."""
    from nascreen.lattices import ROUTE_COLUMNS
    from nascreen.tables import CONDITION_COLUMNS

    if folder is not None:
        return f"reasons: nascreen explain --in {folder} --candidate {row['candidate']}"
    given = [name for name in ROUTE_COLUMNS if name in row and name in CONDITION_COLUMNS and name not in _NOT_ASKED]
    options = [f"--{name.replace('_', '-')} {row[name]:g}" if isinstance(row[name], float)
               else f"--{name.replace('_', '-')} {shlex.quote(row[name])}" for name in given]  # fmt: skip
    return " ".join(["reasons: nascreen explain", row["formula"], *options])


_NOT_ASKED = frozenset({"structure", "synthesis", "second_phase_wt_pct"})
"""Columns of a route that `nascreen explain` takes from a screen alone."""


def _scored_now(space: str, n: int | None, seed: int) -> Screened:
    from nascreen.pipeline import progress_bar
    from nascreen.queries import USUAL_N, scored_space

    size, _ = _announced(space, n, USUAL_N, None, seed)
    with progress_bar() as progress:
        task = progress.add_task(f"score {space}", total=size)
        return scored_space(space, n, seed, on_progress=lambda rows: progress.update(task, completed=rows))


def _announced(space: str, n: int | None, most: int, sampling: str | None, seed: int) -> tuple[int, str]:
    """Say how large a space is and what is taken of it; return how many, and how drawn."""
    from nascreen.lattices import count_lattice
    from nascreen.listed import any_lattice, default_request
    from nascreen.spaces import SPACES, count

    lattice = any_lattice(space)
    size, usual = default_request(space, n, most)
    drawn = sampling or usual
    if space in SPACES:
        print(
            f"The space {space} holds {count(space):,} charge-balanced candidates; scoring {size:,}.", file=sys.stderr
        )
        return size, drawn
    counted = count_lattice(lattice)
    print(
        f"The space {lattice.name} holds {counted.compositions:,} charge-balanced compositions on {counted.routes:,} "
        f"routes, {counted.candidates:.3g} candidates before the rules that link them; drawing {size:,} "
        f"({drawn}, seed {seed}).",
        file=sys.stderr,
    )
    return size, drawn


def _write_found(rows: Sequence[dict[str, Any]], columns: Sequence[str], form: str, out: Path | None) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(columns)
    if form == "json":
        import json

        text = json.dumps(list(rows), ensure_ascii=False, indent=1)
        print(text) if out is None else out.write_text(text + "\n", encoding="utf-8")
    elif form == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]), out)
    elif form == "csv" or out is not None:
        _write_csv(rows, names, out)
    else:
        _print_found(rows)
    if out is not None:
        print(f"{len(rows)} candidates written to {out}")


def _write_csv(rows: Sequence[dict[str, Any]], names: Sequence[str], out: Path | None) -> None:
    import csv

    from nascreen.tables import write_table

    cells = [{name: "" if row.get(name) is None else str(row[name]) for name in names} for row in rows]
    if out is not None:
        write_table(out, list(names), cells)
        return
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)


def _print_found(rows: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from nascreen.records import FIELD_NAMES, Sample, processing_line

    has_probability = any("probability" in row for row in rows)
    table = Table(title="at 25 °C, with 90 % intervals", title_justify="left")
    headers = (
        "#",
        "formula",
        "processing",
        "σ / S cm⁻¹",
        "Ea / eV",
        "strength / MPa",
        "disc / Ω cm²",
        "USD/kg",
        "hull / meV",
        "domain",
    )
    for name in (*headers[:3], *(["P"] if has_probability else []), *headers[3:]):
        table.add_column(name, overflow="fold")
    for row in rows:
        sample = Sample(**{k: v for k, v in row.items() if k in FIELD_NAMES and k not in _PREDICTED})
        excess = row.get("sodium_excess_pct")
        made = processing_line(sample) + (f"; {excess:g} % Na in excess" if excess else "")
        table.add_row(
            str(row["rank"]), str(row["formula"]), made,
            *([f"{row['probability']:.0%}"] if has_probability else []),
            f"{row['conductivity_s_cm']:.1e} ({row['conductivity_lo']:.0e}–{row['conductivity_hi']:.0e})",
            f"{row['ea_ev']:.2f} ({row['ea_lo']:.2f}–{row['ea_hi']:.2f})",
            f"{row['strength_mpa']:.0f} ({row['strength_lo']:.0f}–{row['strength_hi']:.0f})",
            f"{row['resistance_ohm_cm2']:.0f}", "?" if "cost_usd_kg" not in row else f"{row['cost_usd_kg']:.0f}",
            f"{row['hull_mev_atom']:.0f}" if "hull_mev_atom" in row else "",
            f"outside: {row['domain_note']}" if row["domain_note"] else "inside",
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 180).print(table)


_PREDICTED = frozenset({"conductivity_s_cm", "ea_ev", "strength_mpa"})


def plots(
    folder: Annotated[Path, typer.Option("--in", help="Folder that nascreen screen wrote.")],
    out: Annotated[Path, typer.Option("--out", help="Page to be written.")] = Path("plots.html"),
    vary: Annotated[str, typer.Option(help="Two species of one site for the map, such as P:Si.")] = "",
    pareto: Annotated[str, typer.Option(help="Two columns.")] = "cost_usd_kg,conductivity_lo",
    text: Annotated[str, typer.Option("--filter", help="Filter in the OPTIMADE grammar.")] = "",
    sort: Annotated[str, typer.Option(help="How the best are chosen.")] = "conductivity_lo",
    top: Annotated[int, typer.Option(help="How many of the best are drawn over temperature.")] = 6,
) -> None:
    """Draw a screen: conductivity over composition and firing, the Pareto front, the Arrhenius fan of the best."""
    from nascreen.plots import write_plots

    write_plots(folder, out, vary=vary, pareto=pareto, text=text, sort=sort, top=top)
    print(f"Plots: {out.resolve()}")
