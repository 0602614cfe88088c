"""The `nascreen data` commands."""

from __future__ import annotations

from typing import Annotated

import typer

from nascreen.errors import InputError, shown

data_app = typer.Typer(
    help="The measured data: what there is, and single rows with their citation.", no_args_is_help=True
)


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
    raise InputError(f"No row has the identifier {shown(sample_id)}; they look like lit-0001, sciglass-…, li-0001.")
