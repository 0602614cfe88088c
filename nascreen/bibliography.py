"""BibTeX of the texts that samples come from, and the card of a single row.

BibTeX as in O. Patashnik, BibTeXing (1988); text stays UTF-8, which biber and modern BibTeX read.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nascreen.chemistry import charge_balance
from nascreen.errors import InputError, TableError, shown
from nascreen.quality import composition_of, ratio_of
from nascreen.records import CENSORED_ORIGINS, Sample, citation, name_of, processing_line
from nascreen.schema import ORIGIN_MEANINGS

SOURCE_WORDS = {
    "fulltext": "read from the full text",
    "table": "read from a table of the text",
    "abstract": "read from the abstract",
    "dataset": "taken from a data collection",
    "": "where in the text is not recorded",
}
KIND_WORDS = {"unspecified": "of a kind that the text does not say", "grain_boundary": "of the grain boundary"}
MOST_NEIGHBOURS = 6

# BibTeX counts braces whether a backslash stands before them or not.
_SPECIAL = {"\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}",
            "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
            "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}  # fmt: skip
_CAPITALS = re.compile(r"[A-Za-z0-9]*[A-Z][A-Za-z0-9]*(?:[.-][A-Za-z0-9]+)*")


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(c, c) for c in text)


def _title(text: str) -> str:
    """Return a title whose formulas and names keep their capitals in every style."""
    text = " ".join(text.split())
    parts = [_escaped(part) for part in _CAPITALS.split(text)]
    words = [f"{{{_escaped(word)}}}" for word in _CAPITALS.findall(text)]
    return "".join(part + word for part, word in zip(parts, [*words, ""], strict=True))


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "", letters)


def _text_of(sample: Sample) -> str:
    """Return what tells one text from another; references of a survey are one text each."""
    return sample.paper_id or sample.doi or sample.title


def _fullest(samples: Sequence[Sample]) -> Sample:
    return max(samples, key=lambda s: (len(s.title), len(s.journal), bool(s.first_author), s.sample_id))


def _key(sample: Sample, taken: set[str]) -> str:
    author = _plain(sample.first_author.split(" ")[-1]) if sample.first_author else ""
    word = next((_plain(w) for w in sample.title.split() if len(_plain(w)) > 3), "")
    stem = "".join(filter(None, (author, str(sample.year or ""), word))) or "text"
    mark = hashlib.sha256(_text_of(sample).encode()).hexdigest()
    key = f"{stem}-{mark[:4]}"
    while key in taken:
        key += mark[len(key) % 60]
    taken.add(key)
    return key


def _fields(sample: Sample, n_rows: int) -> dict[str, str]:
    survey, is_reference, reference = sample.paper_id.partition("#ref")
    note = f"{n_rows} rows" if n_rows > 1 else "1 row"
    if is_reference:
        return {"title": f"{{Reference {reference} of the survey doi:{_escaped(survey)}}}", "note": note}
    is_unknown = citation(sample).startswith("text of unknown identity")
    return {
        "author": f"{_escaped(sample.first_author)} and others" if sample.first_author else "",
        "title": "Text of unknown identity" if is_unknown else _title(sample.title),
        "journal": _escaped(sample.journal.partition(" | ")[0]),
        "year": str(sample.year or ""),
        "doi": sample.doi.rpartition(" | ")[2],
        "url": "" if sample.doi else sample.source_url,
        "note": f"{_escaped(sample.paper_id)}, {note}" if is_unknown else note,
    }


def bibtex(samples: Iterable[Sample]) -> str:
    """Return one entry for each text that samples come from.

    Args:
        samples: Rows of any table.

    Returns:
        BibTeX, sorted by key; ``@article`` where a journal is known, else ``@misc``. A text of unknown identity
        says so, and a reference of a survey names the survey.
    """
    texts: dict[str, list[Sample]] = {}
    for s in samples:
        texts.setdefault(_text_of(s), []).append(s)
    taken: set[str] = set()
    entries = []
    for name in sorted(texts):
        rows = texts[name]
        best = _fullest(rows)
        fields = {field: value for field, value in _fields(best, len(rows)).items() if value}
        kind = "article" if "journal" in fields else "misc"
        lines = "".join(f"  {field} = {{{value}}},\n" for field, value in fields.items())
        entries.append((key := _key(best, taken), f"@{kind}{{{key},\n{lines}}}\n"))
    return "\n".join(entry for _, entry in sorted(entries))


def write_bibtex(path: Path, text: str) -> None:
    """Write a bibliography.

    Raises:
        TableError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise TableError(f"The bibliography {shown(str(path))} cannot be written: {error.strerror}.") from error


def chosen_samples(
    tables: Mapping[str, Sequence[Sample]], *, family: str = "", sample_ids: Sequence[str] = ()
) -> list[Sample]:
    """Return the rows of some tables, of one family or by identifier.

    Raises:
        InputError: If a family or an identifier is in none of the tables.
    """
    rows = [s for samples in tables.values() for s in samples]
    if family and family not in {s.family for s in rows}:
        known = ", ".join(sorted({s.family for s in rows if s.family}))
        raise InputError(f"No row is of the family {shown(family)}; choose one of {known}.")
    missing = sorted(set(sample_ids) - {s.sample_id for s in rows})
    if missing:
        raise InputError(f"No row has the identifier {shown(missing[0])}; see: nascreen data stats")
    wanted = set(sample_ids)
    return [s for s in rows if (not family or s.family == family) and (not wanted or s.sample_id in wanted)]


def _value_lines(sample: Sample) -> list[str]:
    lines = []
    if sample.conductivity_s_cm is not None:
        sign = {"upper_bound": "at most ", "lower_bound": "at least "}.get(sample.value_origin, "")
        at = "at a temperature that the text does not state" if sample.meas_temp_c is None else (
            f"at {sample.meas_temp_c:g} °C"
        )  # fmt: skip
        kind = KIND_WORDS.get(
            sample.conductivity_kind, f"({sample.conductivity_kind})" if sample.conductivity_kind else ""
        )
        lines.append(f"conductivity       {sign}{sample.conductivity_s_cm:g} S/cm {at} {kind}".rstrip())
    units = {
        "ea_ev": ("activation energy", "eV"), "strength_mpa": ("strength", "MPa"), "hardness_gpa": ("hardness", "GPa"),
        "youngs_modulus_gpa": ("Young's modulus", "GPa"), "fracture_toughness_mpa_m05": ("toughness", "MPa·m^0.5"),
        "tg_c": ("glass transition", "°C"), "density_g_cm3": ("density", "g/cm³"),
    }  # fmt: skip
    for name, (words, unit) in units.items():
        if (value := getattr(sample, name)) is not None:
            kind = f" ({sample.strength_kind})" if name == "strength_mpa" and sample.strength_kind else ""
            lines.append(f"{words:18} {value:g} {unit}{kind}")
    return lines


def card_lines(
    sample: Sample, table: str, licence: str, rows: Sequence[Sample], extra: Sequence[str] = ()
) -> list[str]:
    """Return the citation card of a row: what, how much, how made, from where, under which terms, what is near.

    Args:
        sample: The row.
        table: Name of its table.
        licence: Terms of the table.
        rows: The table, for other rows of the same composition and group.
        extra: Lines to add, such as the decisions about the row.
    """
    origin = ORIGIN_MEANINGS.get(sample.value_origin, "how the value came about is not recorded")
    is_bound = sample.value_origin in CENSORED_ORIGINS
    phase = (sample.phase or "phase not stated").replace("_", "-")
    lines = [
        f"{sample.sample_id}  {name_of(sample) or sample.label or 'no formula stated'}",
        f"  family             {'; '.join(filter(None, (sample.family or 'not stated', phase, sample.structure)))}",
        f"  processing         {processing_line(sample) or 'not stated'}",
        *(f"  {line}" for line in _value_lines(sample)),
        f"  origin             {origin}" + ("" if not is_bound else "; the model learns its side only"),
        f"  source             {citation(sample)}",
        f"  where              {SOURCE_WORDS.get(sample.source_kind, sample.source_kind)}",
        f"  terms              {table} table: {licence}",
    ]
    if sample.doi:
        lines.append(f"  link               https://doi.org/{sample.doi.rpartition(' | ')[2]}")
    if sample.formula:
        balance = charge_balance(composition_of(sample.formula))
        lines.append(f"  charge             {balance.note or 'balanced'}")
    lines += [f"  {line}" for line in (*extra, *_others(sample, rows))]
    return lines


def _others(sample: Sample, rows: Sequence[Sample]) -> list[str]:
    group = {s.paper_id for s in rows if s.group_id == sample.group_id} - {sample.paper_id}
    shared = f"; shared with {len(group)} other {'text' if len(group) == 1 else 'texts'}" if group else ""
    lines = [f"group              {sample.group_id}{shared}"]
    if not sample.formula:
        return lines
    same = [s for s in rows if s.formula and s is not sample and ratio_of(s.formula) == ratio_of(sample.formula)]
    if same:
        lines.append(f"same composition   {len(same)} other rows:")
    for s in same[:MOST_NEIGHBOURS]:
        value = "no conductivity" if s.conductivity_s_cm is None else f"{s.conductivity_s_cm:g} S/cm"
        at = "" if s.meas_temp_c is None else f" at {s.meas_temp_c:g} °C"
        made = f" ({processing_line(s)})" if processing_line(s) else ""
        lines.append(f"  {s.sample_id}  {value}{at}{made}; {citation(s)}")
    if len(same) > MOST_NEIGHBOURS:
        lines.append(f"  and {len(same) - MOST_NEIGHBOURS} more")
    return lines
