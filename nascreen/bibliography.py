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
from nascreen.records import CENSORED_ORIGINS, COLUMN_BY_NAME, Sample, citation, name_of, processing_line
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
MOST_TEXTS = 3
MORE_COLUMNS: Mapping[str, str] = {
    "formula": "", "label": "called", "sinter_temp_c": "sintered at", "sinter_time_h": "sintered for",
    "heat_temp_c": "heated at", "heat_time_h": "heated for", "press_mpa": "pressed at", "rel_density_pct":
    "relative density", "porosity_pct": "porosity", "second_phase": "", "second_phase_wt_pct": "second phase",
    "second_phase_role": "its role", "modifier_mol_pct": "Na2O or Na2S", "space_group": "", "arrhenius_exact":
    "one Arrhenius line", "quality": "plausibility", "quality_flags": "flags", "collection": "", "source_url":
    "address",
}  # fmt: skip
"""What a card says in lines of their own where `processing_line` does not, and how it calls it."""
_IN_PROCESSING = frozenset({"sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h", "press_mpa",
                            "rel_density_pct", "porosity_pct", "second_phase"})  # fmt: skip

# BibTeX counts braces whether a backslash stands before them or not.
_SPECIAL = {"\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}",
            "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
            "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}  # fmt: skip
_CAPITALS = re.compile(r"[A-Za-z0-9]*[A-Z][A-Za-z0-9]*(?:[.-][A-Za-z0-9]+)*")
LONGEST_SYMBOL = 2
_SMALL_WORDS = frozenset({"A", "An", "As", "At", "By", "I", "If", "In", "Is", "It", "Of", "On", "Or", "To", "We"})
_INITIALS = re.compile(r"(?:-?[A-Z][a-z]?\.)+")
_NO_JOURNAL = re.compile(r"\b(?:Thesis|Patent|In:|Proc\.|Deposited)")
_SCIGLASS = "sciglass-ref-"
MOST_IDS = 5


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(c, c) for c in text)


def _must_stay(word: str, *, is_first: bool, is_title_case: bool) -> bool:
    if any(c.isupper() or c.isdigit() for c in word[1:]):
        return True
    if len(word) <= LONGEST_SYMBOL:
        return word not in _SMALL_WORDS
    return not is_first and not is_title_case


def _title(text: str) -> str:
    """Return a title whose formulas, and names where they can be told, keep their capitals in every style."""
    text = " ".join(text.split())
    long = [word for word in re.findall(r"[^\W\d_]+", text) if len(word) > LONGEST_SYMBOL + 1]
    is_title_case = sum(word[0].isupper() for word in long) > len(long) / 2

    def kept(match: re.Match[str]) -> str:
        parts = [part for part in re.split(r"[.-]", match[0]) if not part.islower()]
        is_first = match.start() == 0
        stays = any(_must_stay(part, is_first=is_first, is_title_case=is_title_case) for part in parts)
        return f"{{{match[0]}}}" if stays else match[0]

    parts, words = _CAPITALS.split(text), list(map(kept, _CAPITALS.finditer(text)))
    return "".join(_escaped(part) + word for part, word in zip(parts, [*words, ""], strict=True))


def _verbatim(text: str) -> str:
    """Return a DOI or an address without what would end its field; both are read letter by letter."""
    return "".join(f"%{ord(c):02X}" if c in "{}\\ " else c for c in text)


def _is_name(text: str) -> bool:
    surname, _, initials = text.rpartition(" ")
    return bool(surname and _INITIALS.fullmatch(initials))


def _last_first(name: str) -> str:
    """Return a name that a collection writes as ``Haven Y.`` with the comma that BibTeX needs.

    >>> _last_first("Souquet J.-L."), _last_first("Gan Fuxi")
    ('Souquet, J.-L.', '{Gan Fuxi}')
    """
    surname, _, initials = name.rpartition(" ")
    return f"{_escaped(surname)}, {_escaped(initials)}" if _is_name(name) else f"{{{_escaped(name)}}}"


def _names_and_rest(reference: str, journal: str) -> tuple[list[str], list[str]]:
    """Split a reference of SciGlass into its authors and the parts after them."""
    reference = reference.rstrip(".")
    before, found, after = reference.partition(f", {journal.rstrip('.')}") if journal else (reference, "", "")
    if found:
        return re.split(r", | and ", before), f"{found}{after}".removeprefix(", ").split(", ")
    parts = reference.split(", ")
    n_names = 1
    while n_names < len(parts) and _is_name(parts[n_names].split(" and ")[0]):
        n_names += 1
    return re.split(r", | and ", ", ".join(parts[:n_names])), parts[n_names:]


def _reference_fields(sample: Sample) -> dict[str, str]:
    """Return the fields of a text that SciGlass names by its reference; the title is in none of them."""
    names, parts = _names_and_rest(sample.title.partition(" | ")[0], sample.journal.partition(" | ")[0])
    year = next((i for i, part in enumerate(parts) if re.fullmatch(r"[12][0-9]{3}", part)), len(parts))
    where, rest = ", ".join(parts[:year]), parts[year + 1 :]
    numbered = dict(part.split(". ", 1) for part in rest if re.match(r"(vol|No|p)\. ", part))
    is_article = "vol" in numbered and not _NO_JOURNAL.search(where)
    return {
        "author": " and ".join(map(_last_first, names)),
        "journal" if is_article else "howpublished": _escaped(where),
        "year": str(sample.year or ""),
        **({"volume": _escaped(numbered["vol"])} if "vol" in numbered else {}),
        **({"number": _escaped(numbered["No"])} if "No" in numbered else {}),
        **({"pages": _escaped(numbered["p"])} if "p" in numbered else {}),
    }


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "", letters)


def _text_of(sample: Sample) -> str:
    """Return what tells one text from another; references of a survey are one text each."""
    return sample.paper_id or sample.doi or sample.title


def _fullest(samples: Sequence[Sample]) -> Sample:
    return max(samples, key=lambda s: (len(s.title), len(s.journal), bool(s.first_author), s.sample_id))


def _key(sample: Sample, taken: set[str]) -> str:
    is_reference = sample.paper_id.startswith(_SCIGLASS)
    author = _plain(sample.first_author.split(" ")[0 if is_reference else -1]) if sample.first_author else ""
    title = "" if is_reference else sample.title
    word = next((_plain(w) for w in title.split() if len(_plain(w)) > 3), "")
    stem = "".join(filter(None, (author, str(sample.year or ""), word))) or "text"
    mark = hashlib.sha256(_text_of(sample).encode()).hexdigest()
    key = f"{stem}-{mark[:4]}"
    while key in taken:
        key += mark[len(key) % 60]
    taken.add(key)
    return key


def _rows_note(rows: Sequence[Sample]) -> str:
    ids = sorted(s.sample_id for s in rows if s.sample_id)
    more = f" and {len(ids) - MOST_IDS} more" if len(ids) > MOST_IDS else ""
    return f"nascreen rows: {_escaped(', '.join(ids[:MOST_IDS]))}{more}" if ids else ""


def _fields(sample: Sample, rows: Sequence[Sample]) -> dict[str, str]:
    survey, is_reference, reference = sample.paper_id.partition("#ref")
    note = _rows_note(rows)
    if is_reference:
        title = f"{{Reference {_escaped(reference)} of the survey doi:{_escaped(survey)}}}"
        return {"title": title, "note": "; ".join(filter(None, (_escaped(citation(sample)), note)))}
    if sample.paper_id.startswith(_SCIGLASS):
        return {**_reference_fields(sample), "note": "; ".join(filter(None, (_escaped(sample.title), note)))}
    is_unknown = citation(sample).startswith("text of unknown identity")
    *others, doi = sample.doi.split(" | ")
    notes = (_escaped(citation(sample)) if is_unknown else "", *(f"also doi:{_escaped(o)}" for o in others), note)
    return {
        "author": f"{_escaped(sample.first_author)} and others" if sample.first_author else "",
        "title": "Text of unknown identity" if is_unknown else _title(sample.title),
        "journal": _escaped(sample.journal.partition(" | ")[0]),
        "year": str(sample.year or ""),
        "doi": _verbatim(doi),
        "url": "" if doi else _verbatim(sample.source_url),
        "note": "; ".join(filter(None, notes)),
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
        fields = {field: value for field, value in _fields(best, rows).items() if value}
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
        InputError: If a family or an identifier is in none of the tables, or no row is of both.
    """
    rows = [s for samples in tables.values() for s in samples]
    if family and family not in {s.family for s in rows}:
        known = ", ".join(sorted({s.family for s in rows if s.family}))
        raise InputError(f"No row is of the family {shown(family)}; choose one of {known}.")
    missing = sorted(set(sample_ids) - {s.sample_id for s in rows})
    if missing:
        raise InputError(f"No row has the identifier {shown(missing[0])}; see: nascreen data stats")
    wanted = set(sample_ids)
    chosen = [s for s in rows if (not family or s.family == family) and (not wanted or s.sample_id in wanted)]
    if not chosen:
        raise InputError(f"None of these rows is of the family {shown(family)}; leave out the family or the rows.")
    return chosen


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


def _number(value: float) -> str:
    return repr(value + 0.0).removesuffix(".0")


def _more_lines(sample: Sample, made: str) -> list[str]:
    """Return what else the row states, so that the card leaves no column out."""
    lines = []
    for name in MORE_COLUMNS:
        value = getattr(sample, name)
        if value in ("", None, name_of(sample)):
            continue
        text = value if isinstance(value, str) else _number(value)
        is_said = name in _IN_PROCESSING and re.search(rf"(?<![\d.]){re.escape(text)}(?![\d.])", made)
        if not is_said:
            words = MORE_COLUMNS[name] or name.replace("_", " ")
            lines.append(f"{words:18} {text} {COLUMN_BY_NAME[name].unit}".rstrip())
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
    made = processing_line(sample)
    phase = (sample.phase or "phase not stated").replace("_", "-")
    lines = [
        f"{sample.sample_id}  {name_of(sample) or sample.label or 'no formula stated'}",
        f"  family             {'; '.join(filter(None, (sample.family or 'not stated', phase, sample.structure)))}",
        f"  processing         {made or 'not stated'}",
        *(f"  {line}" for line in (*_value_lines(sample), *_more_lines(sample, made))),
        f"  origin             {origin}" + ("" if not is_bound else "; the model learns its side only"),
        f"  source             {citation(sample)}",
        f"  text               {sample.paper_id or 'not stated'}{f' ({sample.year})' if sample.year else ''}",
        f"  where              {SOURCE_WORDS.get(sample.source_kind, sample.source_kind)}",
        f"  terms              {table} table: {licence}",
    ]
    lines += [f"  link               https://doi.org/{doi}" for doi in sample.doi.split(" | ") if doi]
    if sample.formula:
        balance = charge_balance(composition_of(sample.formula))
        lines.append(f"  charge             {balance.note or 'balanced'}")
    lines += [f"  {line}" for line in (*extra, *_others(sample, rows))]
    return lines


def _shared_lines(sample: Sample, rows: Sequence[Sample]) -> list[str]:
    """Return the group of a row, and the other texts in it."""
    others = {s.paper_id: s for s in rows if s.group_id == sample.group_id and s.paper_id != sample.paper_id}
    lines = [f"group              {sample.group_id or 'none'}"]
    if others and sample.group_id:
        lines[0] += f"; {len(others)} other {'text shares' if len(others) == 1 else 'texts share'} values with this one"
        lines += [f"  {citation(s)}" for s in list(others.values())[:MOST_TEXTS]]
        lines += [f"  and {len(others) - MOST_TEXTS} more"] if len(others) > MOST_TEXTS else []
    return lines


def _neighbour_line(s: Sample, sample: Sample) -> str:
    sign = {"upper_bound": "at most ", "lower_bound": "at least "}.get(s.value_origin, "")
    value = "no conductivity" if s.conductivity_s_cm is None else f"{sign}{s.conductivity_s_cm:g} S/cm"
    at = "" if s.meas_temp_c is None else f" at {s.meas_temp_c:g} °C"
    made = processing_line(s) or s.phase
    source = "same text" if s.paper_id and s.paper_id == sample.paper_id else citation(s)
    return f"  {s.sample_id}  {value}{at}{f' ({made})' if made else ''}; {source}"


def _others(sample: Sample, rows: Sequence[Sample]) -> list[str]:
    lines = _shared_lines(sample, rows)
    if not sample.formula:
        return lines
    same = [s for s in rows if s.formula and s is not sample and ratio_of(s.formula) == ratio_of(sample.formula)]
    if same:
        lines.append(f"same composition   {len(same)} other {'row' if len(same) == 1 else 'rows'}:")
    lines += [_neighbour_line(s, sample) for s in same[:MOST_NEIGHBOURS]]
    lines += [f"  and {len(same) - MOST_NEIGHBOURS} more"] if len(same) > MOST_NEIGHBOURS else []
    return lines
