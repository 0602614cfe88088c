"""The `nascreen data` commands."""

from __future__ import annotations

from typing import Annotated

import typer

from nascreen.cli_lab import lab_app, print_own_sample
from nascreen.errors import InputError, shown

data_app = typer.Typer(
    help="The measured data: what there is, and single rows with their citation.", no_args_is_help=True
)
data_app.add_typer(lab_app)


@data_app.command("stats")
def data_stats() -> None:
    """Verify every table against its record and count what is in it."""
    from collections import Counter

    from nascreen.datasets import TABLE_NAMES, load_table, table_record

    for name in TABLE_NAMES:
        samples = load_table(name)
        record = table_record(name)
        print(f"{name}: {len(samples)} rows, sha256 {record['sha256'][:12]} verified; {record['licence']}")
        quantities = ("conductivity_s_cm", "ea_ev", "strength_mpa")
        counts = ", ".join(f"{q} {sum(getattr(s, q) is not None for s in samples)}" for q in quantities)
        print(f"  texts {len({s.paper_id for s in samples})}, groups {len({s.group_id for s in samples})}; {counts}")
        families = Counter(s.family for s in samples).most_common(8)
        print("  " + ", ".join(f"{family or 'unnamed'} {n}" for family, n in families))


@data_app.command("show")
def data_show(sample_id: Annotated[str, typer.Argument(help="Identifier of a row, such as lit-0001.")]) -> None:
    """Print one row as a citation card."""
    from nascreen.datasets import TABLE_NAMES, load_table
    from nascreen.records import COLUMN_BY_NAME, FIELD_NAMES, citation

    for name in TABLE_NAMES:
        for sample in load_table(name):
            if sample.sample_id == sample_id:
                print(f"{sample.sample_id} in {name}: {citation(sample)}")
                for field in FIELD_NAMES[1:]:
                    if (value := getattr(sample, field)) not in ("", None):
                        print(f"  {field:28} {value} {COLUMN_BY_NAME[field].unit}".rstrip())
                return
    if print_own_sample(sample_id):
        return
    raise InputError(f"No row has the identifier {shown(sample_id)}; they look like lit-0001, sciglass-…, li-0001.")


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
