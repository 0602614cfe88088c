"""Make the tables of literature, glasses and lithium conductors, and what describes them, from collected raw tables.

Facts and citations carry over, sentences do not: what stays is in the columns of ``nascreen.records``. Run as::

    python datasets/import_tables.py FOLDER

with ``literature.csv``, ``sodium_glasses.csv.gz`` and ``lithium_conductors.csv`` in FOLDER.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nascreen.errors import InputError, TableError
from nascreen.records import COLUMN_BY_NAME, COLUMNS, Sample, cells_from_sample, sample_from_cells
from nascreen.schema import write_descriptors
from nascreen.verdicts import read_verdicts, rematched, verdicts_text

Row = dict[str, str]

HERE = Path(__file__).resolve().parent
DOI = re.compile(r"10\.[0-9]{4,}/\S+")
SCIGLASS_LICENCE = "Open Database License 1.0 (http://opendatacommons.org/licenses/odbl/1.0/); © EPAM Systems, SciGlass"

EPOXY_SLUG = "text-f50a78b9"
EPOXY_ID = "epoxy-nasicon-2020"
EPOXY_TITLE = "Epoxy-NASICON composite electrolyte made by filling the pores of a partly sintered ceramic"

GLASS_COLUMNS = (
    "sample_id", "paper_id", "group_id", "value_origin", "arrhenius_exact", "source_kind", "title", "first_author",
    "journal", "year", "formula", "label", "family", "phase", "modifier_mol_pct", "meas_temp_c", "conductivity_s_cm",
    "ea_ev", "tg_c", "density_g_cm3", "hardness_gpa", "youngs_modulus_gpa", "quality", "quality_flags",
)  # fmt: skip
LITHIUM_COLUMNS = (
    "sample_id", "paper_id", "group_id", "collection", "value_origin", "source_kind", "doi", "journal", "formula",
    "label", "family", "space_group", "meas_temp_c", "conductivity_s_cm", "conductivity_kind", "ea_ev", "quality",
    "quality_flags",
)  # fmt: skip
COLLECTIONS = {"Liverpool": "Liverpool ionics", "OBELiX": "OBELiX", "": "Laskowski"}
"""Name of a collection by what its raw source contains, first match first."""

OWN_DESCRIPTIONS: dict[str, dict[str, str]] = {
    "glasses": {
        "group_id": "Reference of SciGlass; its rows stay whole in every split",
        "title": "The full reference as SciGlass gives it; a bar separates several",
        "label": "Batch of the glass",
        "meas_temp_c": "Standard temperature of SciGlass",
        "ea_ev": "Slope of ln(conductivity) over 1/T fitted to the standard temperatures; no author's number",
    },
    "lithium": {
        "doi": "DOI of the text, lower case; a bar separates several",
        "journal": "What the collection gives instead of a DOI",
        "label": "Formula as the collection prints it",
        "conductivity_kind": "What the conductivity refers to; unspecified where the collection does not say",
    },
}


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a raw table, plain or gzipped."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def slug(prefix: str, text: str) -> str:
    """Return a stable identifier for a text that has no DOI."""
    return f"{prefix}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def title_of(text: str) -> str:
    """Return a printed title; a placeholder for one is empty."""
    text = text.strip()
    if text.startswith(("[", "(title not printed")):
        return ""
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


def url_of(row: Row) -> str:
    """Return the address of a text without DOI; the bare address of a site names no text."""
    url = row["source"].split(" ")[0]
    is_page = re.fullmatch(r"https://[^/]+/.+", url) is not None
    return url if is_page and not row["doi"] else ""


def literature_cells(number: int, row: Row) -> Row:
    """Turn a raw row of the literature into cells in the project's columns."""
    paper = row["paper_id"]
    cells = {
        **{name: row[name] for name in row if name not in ("note", "evidence", "source")},
        "sample_id": f"lit-{number:04d}",
        "paper_id": paper if paper.startswith("10.") else slug("text", paper),
        "group_id": slug("g", row["group_id"]),
        "doi": row["doi"].lower(),
        "title": title_of(row["title"]),
        "journal": "" if row["journal"].startswith("(") else row["journal"],
        "source_url": url_of(row),
    }
    # This text prints neither its title nor its DOI, but much is built on it: it gets a readable name.
    if cells["paper_id"] == EPOXY_SLUG:
        cells |= {"paper_id": EPOXY_ID, "title": EPOXY_TITLE, "journal": ""}
    return cells


def glass_cells(number: int, row: Row) -> Row:
    """Turn a raw row of the glasses into cells in the project's columns."""
    del number
    paper = f"sciglass-ref-{row['ref_group']}"
    same = ("formula", "meas_temp_c", "sigma_s_cm", "tg_c", "density_g_cm3", "youngs_modulus_gpa", "hardness_gpa")
    kept = ("year", "arrhenius_exact", "value_origin", "quality", "composition_note")
    return {
        **{name: row[name] for name in (*same, *kept)},
        "sample_id": f"sciglass-{row['sciglass_id']}-{float(row['meas_temp_c']):g}",
        "paper_id": paper,
        "group_id": paper,
        "source_kind": "dataset",
        "title": subscripts_restored(row["reference"]),
        "journal": subscripts_restored(row["journal"]),
        "first_author": row["author"],
        "family": row["glass_family"],
        "phase": "glass",
        "modifier_mol_pct": row["na2o_or_na2s_mol_pct"],
        "ea_ev": row["ea_ev_fit"],
        "quality_flags": row["flags"],
    }


def subscripts_restored(text: str) -> str:
    """Repair the five references whose subscripts 2 and 3 were lost to a wrong encoding."""
    return text.replace("â", "2").replace("ã", "3")


def lithium_cells(number: int, row: Row) -> Row:
    """Turn a raw row of the lithium conductors into cells in the project's columns."""
    dois = [doi for doi in row["doi"].lower().split("|") if DOI.fullmatch(doi)]
    # One DOI must stand for several: the last, since cover pages and abstracts are named first.
    paper = dois[-1] if dois else slug("text", f"{row['source']} {row['formula']}")
    is_suspect = "CHECK: sigma" in row["note"]
    return {
        **{name: row[name] for name in ("sigma_s_cm", "meas_temp_c", "ea_ev", "space_group")},
        "sample_id": f"li-{number:04d}",
        "paper_id": paper,
        "group_id": paper,
        "collection": next(name for start, name in COLLECTIONS.items() if start in row["source"]),
        "value_origin": row["censored"] or "measured",
        "source_kind": "dataset",
        "doi": " | ".join(dois),
        "journal": "" if dois else row["doi"],
        "formula": row["formula_sum"],
        "label": row["formula"],
        "family": row["family"].lower(),
        "sigma_kind": "total" if "sigma_kind=total" in row["note"] else "unspecified",
        "quality": "suspect" if is_suspect else "ok",
        "quality_flags": "sigma_suspiciously_high" if is_suspect else "",
    }


def with_joined_groups(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples such that the DOIs named in one row stand in one group."""
    joined = {doi: sample.paper_id for sample in samples for doi in sample.doi.split(" | ")[:-1]}
    return [replace(sample, group_id=joined.get(sample.paper_id, sample.paper_id)) for sample in samples]


def to_samples(path: Path, convert: Callable[[int, Row], Row]) -> list[Sample]:
    """Read a raw table; a row out of bounds stops the import and is named."""
    samples = []
    for number, row in enumerate(read_rows(path), start=1):
        try:
            samples.append(sample_from_cells(convert(number, row), allow_unknown_columns=False))
        except InputError as error:
            raise SystemExit(f"{path.name}, row {number} ({row['formula']}): {error}") from error
    return samples


def table_text(samples: Iterable[Sample], columns: Sequence[str]) -> str:
    """Return the samples as CSV."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells_from_sample(sample, columns) for sample in samples)
    return out.getvalue()


def write_table(name: str, samples: Sequence[Sample], columns: Sequence[str], about: dict[str, Any]) -> None:
    """Write one table and the JSON record that verifies and describes it."""
    data = table_text(samples, columns).encode()
    (HERE / f"{name}.csv").write_bytes(data)
    own = OWN_DESCRIPTIONS.get(name, {})
    record = {
        "name": name,
        "title": about["title"],
        "file": f"{name}.csv",
        "rows": len(samples),
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": about["licence"],
        "sources": about["sources"],
        "columns": [
            {"name": c, "unit": COLUMN_BY_NAME[c].unit, "description": own.get(c, COLUMN_BY_NAME[c].description)}
            for c in columns
        ],
        "notes": about["notes"],
    }
    text = json.dumps(record, ensure_ascii=False, indent=2)
    (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    print(f"{name}: {len(samples)} rows, {len({s.group_id for s in samples})} groups, {len(data) // 1024} kB")


def reference_text(sample: Sample) -> str:
    """Return title, author, journal and year of a text, as far as they are known."""
    author = f"{sample.first_author} et al." if sample.first_author else ""
    parts = (author, sample.title, sample.journal, str(sample.year or ""), "" if sample.doi else sample.source_url)
    return ", ".join(filter(None, parts))


def literature_sources(samples: Iterable[Sample]) -> list[dict[str, str | None]]:
    """Return the fullest reference of every text of which more is known than its values."""
    found: dict[str, str] = {}
    for sample in samples:
        # The author of a row of the survey is that of the paper it quotes.
        known = replace(sample, first_author="") if "#" in sample.paper_id else sample
        key = sample.doi or sample.paper_id
        found[key] = max(found.get(key, ""), reference_text(known), key=len)
    named = {key: text or key for key, text in found.items() if text or DOI.fullmatch(key)}
    return [{"citation": named[key], "doi": key if DOI.fullmatch(key) else None} for key in sorted(named)]


def about_literature(samples: Sequence[Sample]) -> dict[str, Any]:
    """Describe the literature table."""
    n_unknown = len({s.paper_id for s in samples if not (s.doi or s.title or s.source_url)})
    return {
        "title": "Experimental sodium electrolytes, one sample at one temperature a row; strength of ceramics",
        "licence": "Facts with citations; the compilation is under the licence of nascreen",
        "sources": literature_sources(samples),
        "notes": [
            f"{n_unknown} texts were read without title or DOI; their paper_id starts with 'text-'.",
            "209 rows come from one survey (doi:10.1016/j.jpowsour.2014.09.137); its #ref numbers name the source.",
            "Values of origin 'extrapolated' were calculated by a survey's authors from an activation energy.",
            "Extrapolated values at room temperature can be ten times too low.",
            "An empty meas_temp_c means that the text does not state the temperature.",
            "Strengths are mostly of NASICON-type ceramics, many of them lithium analogues.",
            "Some formulas are not charge balanced as printed.",
        ],
    }


def about_glasses() -> dict[str, Any]:
    """Describe the table of glasses."""
    return {
        "title": "Sodium glasses with conductivity at standard temperatures, from SciGlass",
        "licence": SCIGLASS_LICENCE,
        "sources": [
            {
                "citation": "SciGlass, glass property database, © EPAM Systems, https://github.com/epam/SciGlass; "
                "the paper behind a row is in its title",
                "doi": None,
            }
        ],
        "notes": [
            "An adapted database: sodium-only glasses, conductivity converted to S/cm, plausibility checks added.",
            "Share adaptations under the same licence; see LICENSE-glasses.txt.",
            "Conductivities at 20, 100, 150 and 300 °C were read, interpolated or computed from authors' constants.",
            "arrhenius_exact 'yes' means two degrees of freedom for all temperatures of that glass.",
            "Rows of quality 'suspect' say why in quality_flags.",
        ],
    }


def about_lithium() -> dict[str, Any]:
    """Describe the table of lithium conductors."""
    return {
        "title": "Experimental lithium-ion conductors at a temperature, from three collections",
        "licence": "Rows of the collection OBELiX: CC-BY-4.0 (https://creativecommons.org/licenses/by/4.0/), changed: "
        "columns renamed, censored values marked; the others are facts with citations",
        "sources": [
            {
                "citation": "F. Therrien et al., OBELiX: A curated dataset of crystal structures and experimentally "
                "measured ionic conductivities for lithium solid-state electrolytes, Digital Discovery (2026)",
                "doi": "10.1039/d5dd00441a",
            },
            {
                "citation": "C. J. Hargreaves et al., A database of experimentally measured lithium solid electrolyte "
                "conductivities evaluated with machine learning, npj Comput. Mater. 9, 9 (2023)",
                "doi": "10.1038/s41524-022-00951-z",
            },
            {
                "citation": "F. A. L. Laskowski et al., Identification of potential solid-state Li-ion conductors with "
                "semi-supervised learning, Energy Environ. Sci. 16, 1264 (2023)",
                "doi": "10.1039/d2ee03499a",
            },
        ],
        "notes": [
            "The collections overlap: one measurement can stand in more than one; its DOI joins the rows.",
            "Rows without DOI have a group per printed formula, which may not keep one text whole.",
            "Upper bounds are values printed as below a limit, mostly 1e-10 S/cm.",
        ],
    }


def keep_verdicts(tables: dict[str, list[Sample]]) -> None:
    """Find the row of every reviewed decision again; a decision whose row is gone stops the import."""
    path = HERE / "verdicts.csv"
    try:
        verdicts = rematched(read_verdicts(path), tables)
    except TableError as error:
        raise SystemExit(f"{path.name}: {error}") from error
    path.write_text(verdicts_text(verdicts), encoding="utf-8", newline="\n")
    print(f"verdicts: {len(verdicts)} decisions kept")


def main(folder: Path) -> None:
    """Import the three tables from a folder of raw tables, and describe all tables anew."""
    literature = to_samples(folder / "literature.csv", literature_cells)
    write_table("literature", literature, [column.name for column in COLUMNS], about_literature(literature))
    glasses = to_samples(folder / "sodium_glasses.csv.gz", glass_cells)
    write_table("glasses", glasses, GLASS_COLUMNS, about_glasses())
    lithium = with_joined_groups(to_samples(folder / "lithium_conductors.csv", lithium_cells))
    write_table("lithium", lithium, LITHIUM_COLUMNS, about_lithium())
    keep_verdicts({"literature": literature, "glasses": glasses, "lithium": lithium})
    for path in write_descriptors(HERE):
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("Give the folder of raw tables: python datasets/import_tables.py FOLDER")
    main(Path(sys.argv[1]))
