"""The `nascreen data` commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nascreen.cli_lab import lab_app, print_own_sample
from nascreen.errors import InputError, shown

data_app = typer.Typer(
    help="The measured data: what there is, and single rows with their citation.", no_args_is_help=True
)
data_app.add_typer(lab_app)


@data_app.command("stats")
def data_stats(
    table: Annotated[str, typer.Option("--table", help="Only this table, with every family.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Verify every table against its record and count what is in it."""
    from nascreen.datasets import TABLE_NAMES, load_table, table_record
    from nascreen.lab import lab_samples
    from nascreen.overview import summary

    if table and table not in TABLE_NAMES:
        raise InputError(f"There is no table {shown(table)}; choose one of {', '.join(TABLE_NAMES)}.")
    found: dict[str, dict[str, Any]] = {}
    for name in [table] if table else TABLE_NAMES:
        rows, record = load_table(name), table_record(name)
        found[name] = {"licence": record["licence"], "sha256": record["sha256"], **summary(rows)}
    own = lab_samples(include_failed=True)
    if own and not table:
        found["own results"] = summary(own)
    if as_json:
        import json

        print(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for name, counts in found.items():
        terms = ", on this machine only"
        if "sha256" in counts:
            terms = f", sha256 {counts['sha256'][:12]} verified; {counts['licence']}"
        print(f"{name}: {counts['rows']} rows{terms}")
        _print_counts(counts, n_families=99 if table else 8)


def _print_counts(counts: dict[str, Any], n_families: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from nascreen.overview import PROCESSING, PROPERTIES

    console = Console(width=None if sys.stdout.isatty() else 160)
    properties = [name for name, n in counts["properties"].items() if n]
    print(f"{counts['texts']} texts in {counts['groups']} groups")
    families = Table()
    for name in ("family", "rows", "texts", *(PROPERTIES[p] for p in properties)):
        families.add_column(name, justify="left" if name == "family" else "right")
    for family, n in list(counts["families"].items())[:n_families]:
        families.add_row(family, *(str(n[key]) for key in ("rows", "texts", *properties)))
    if len(counts["families"]) > n_families:
        families.caption = f"and {len(counts['families']) - n_families} more families; name a table to see all"
    families.add_section()
    families.add_row(
        "all", str(counts["rows"]), str(counts["texts"]), *(str(counts["properties"][p]) for p in properties)
    )
    console.print(families)
    print("rows of a property that state how the sample was made and measured, in %")
    made = Table()
    columns = [c for c in PROCESSING if any(shares[c] for shares in counts["coverage"].values())]
    for name in ("property", *(PROCESSING[c] for c in columns)):
        made.add_column(name, justify="left" if name == "property" else "right", overflow="fold")
    for name, shares in counts["coverage"].items():
        made.add_row(PROPERTIES[name], *(f"{100 * shares[c]:.0f}" for c in columns))
    console.print(made)
    for title, key in (("origin", "value_origin"), ("phase", "phase"), ("year", "decades")):
        print(f"{title}: " + ", ".join(f"{name} {n}" for name, n in counts[key].items()))
    print()


@data_app.command("show")
def data_show(
    sample_id: Annotated[str, typer.Argument(help="Identifier of a row, such as lit-0001.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the row as a JSON record.")] = False,
) -> None:
    """Print one row as a citation card, with the decisions about it."""
    from nascreen.bibliography import card_lines
    from nascreen.catalogue import decision_lines, decisions_on
    from nascreen.datasets import TABLE_NAMES, load_table, table_record
    from nascreen.schema import json_from_sample

    for name in TABLE_NAMES:
        rows = load_table(name)
        for sample in rows:
            if sample.sample_id == sample_id:
                if as_json:
                    print(json_from_sample(sample))
                    return
                decisions = decision_lines(decisions_on(name, sample_id))
                print("\n".join(card_lines(sample, name, str(table_record(name)["licence"]), rows, decisions)))
                return
    from nascreen.lab import lab_samples

    own = next((s for s in lab_samples(include_failed=True) if s.sample_id == sample_id), None)
    if own is not None and as_json:
        print(json_from_sample(own))
        return
    if print_own_sample(sample_id):
        return
    raise InputError(f"No row has the identifier {shown(sample_id)}; they look like lit-0001, sciglass-…, li-0001.")


@data_app.command("bib")
def data_bib(
    table: Annotated[str, typer.Option("--table", help="literature, glasses or lithium.")] = "literature",
    family: Annotated[str, typer.Option("--family", help="Only texts on this family.")] = "",
    ids: Annotated[str, typer.Option("--ids", help="Only texts behind these rows, separated by commas.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="File to write instead of printing.")] = None,
) -> None:
    """Write BibTeX for the texts behind the data."""
    from nascreen.bibliography import bibtex, chosen_samples, write_bibtex
    from nascreen.datasets import TABLE_NAMES, load_table

    wanted = [name.strip() for name in ids.split(",") if name.strip()]
    if ids and not wanted:
        raise InputError(f"There is no row in {shown(ids)}; give identifiers such as lit-0001,lit-0002.")
    text = bibtex(
        chosen_samples(
            {name: load_table(name) for name in (TABLE_NAMES if wanted else [table])}, family=family, sample_ids=wanted
        )
    )
    if out is None:
        print(text, end="")
        return
    write_bibtex(out, text)
    print(f"{text.count(chr(10) + '@') + text.startswith('@')} texts written to {out}")


@data_app.command("plots")
def data_plots(
    out: Annotated[Path, typer.Option("--out", help="Folder that gets data.html, or a file ending in .html.")] = Path(
        "results"
    ),
) -> None:
    """Draw the measured data: one page that needs no network."""
    from nascreen.data_figures import data_figures
    from nascreen.overview import reviewed_samples, summary
    from nascreen.report import write_data_page
    from nascreen.verdicts import reviewed_table

    path = out if out.suffix.lower() == ".html" else out / "data.html"
    write_data_page(path, data_figures(reviewed_samples()), summary(reviewed_table("literature")))
    print(f"Figures: {path}")


@data_app.command("check")
def data_check(
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write the report as an HTML page to this file.")
    ] = None,
    check: Annotated[str, typer.Option("--check", help="Only this check.")] = "",
    table: Annotated[str, typer.Option("--table", help="Only this table.")] = "",
    full: Annotated[bool, typer.Option("--full", help="List every finding.")] = False,
) -> None:
    """Run the quality checks; ends with status 1 if a finding has no decision yet."""
    from nascreen.datasets import TABLE_NAMES, load_table
    from nascreen.quality import CHECKS, find_all
    from nascreen.quality_report import check_html, check_text, judged, write_check
    from nascreen.verdicts import load_verdicts, reviewed_table

    for given, allowed in ((check, CHECKS), (table, TABLE_NAMES)):
        if given and given not in allowed:
            raise InputError(f"There is no {shown(given)} to look at; choose one of {', '.join(allowed)}.")
    tables = {name: load_table(name) for name in ([table] if table else TABLE_NAMES)}
    found = judged(find_all(tables, [check] if check else list(CHECKS)), load_verdicts())
    print(check_text(found, tables, checks=[check] if check else list(CHECKS), is_full=full))
    if out:
        write_check(out, check_html(found, tables, reviewed_table("literature")))
        print(f"Report: {out}")
    if any(verdict is None for _, verdict in found):
        raise typer.Exit(1)


@data_app.command("founding")
def data_founding() -> None:
    """Print what follows from the two founding papers by their equations."""
    from rich.console import Console
    from rich.table import Table

    from nascreen.founding import derived_facts
    from nascreen.verdicts import reviewed_table

    shown_facts = Table(title="What follows from the two founding papers", title_justify="left")
    for name in ("paper", "quantity", "follows", "equation", "measured"):
        shown_facts.add_column(name, overflow="fold")
    for fact in derived_facts(reviewed_table("literature")):
        measured = "" if fact.measured is None else f"{fact.measured:.3g} {fact.unit}"
        shown_facts.add_row(
            fact.paper, fact.quantity, f"{fact.value:.3g} {fact.unit}".strip(), fact.equation, measured.strip()
        )
    Console(width=None if sys.stdout.isatty() else 160).print(shown_facts)


@data_app.command("schema")
def data_schema(
    form: Annotated[str, typer.Option("--format", help="markdown, jsonschema, frictionless, croissant.")] = "markdown",
    write: Annotated[bool, typer.Option("--write", help="Write the files beside the tables of a checkout.")] = False,
) -> None:
    """Print what the tables hold, for people or for programs."""
    from nascreen.datasets import data_folder
    from nascreen.schema import FORMATS, read_tables, write_descriptors

    folder = data_folder()
    if form not in FORMATS:
        raise InputError(f"There is no format {shown(form)}; choose one of {', '.join(FORMATS)}.")
    if not write:
        print(FORMATS[form](read_tables(folder)), end="")
        return
    if not (folder.parent / "pyproject.toml").is_file():
        raise InputError("The installed tables stay as they are; use --write in a checkout, or leave it out to print.")
    for path in write_descriptors(folder):
        print(path)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="sciglass or obelix.")],
    source: Annotated[
        str, typer.Option("--from", help="Its file, or an https address; OBELiX comes by its package without one.")
    ] = "",
    sha256: Annotated[str | None, typer.Option("--sha256", help="Hash that the file must have.")] = None,
    sodium_only: Annotated[
        bool, typer.Option("--sodium-only", help="Only glasses with sodium and no other alkali metal.")
    ] = False,
) -> None:
    """Read a collection that cannot be shipped, and keep it in your own folder."""
    from nascreen.loaders import COLLECTIONS, fetch

    fetched = fetch(name, source, sha256=sha256, sodium_only=sodium_only)
    loaded = fetched.loaded
    print(f"{name}: {len(loaded.samples)} samples in {fetched.path}; {COLLECTIONS[name].licence}")
    for reason, count in loaded.left_out.items():
        print(f"  left out: {count} where {reason}")
    against = {
        "given": "as given",
        "recorded": "as recorded when it was fetched first",
        "first": "recorded now and compared with nothing; compare it with another source before you rely on it",
    }
    print(f"  sha256 {loaded.sha256}: {against[fetched.hash_from]}")
