"""The report of the quality checks, as text for a terminal and as one HTML page that needs no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from nascreen.errors import TableError, shown
from nascreen.quality import CHECKS, Finding, settled_by
from nascreen.records import Sample, citation
from nascreen.replicates import Spread, pooled_sample_sets, replicate_spread
from nascreen.verdicts import VERDICTS, Verdict

OPEN = "open"
SHOWN_PER_CHECK = 12
LISTED_PER_CHECK = 300
SPREAD_COLUMNS = ("family", "conductivity_kind", "source_kind")

Judged = tuple[Finding, Verdict | None]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2127; --quiet: #59636e; --paper: #fff; --panel: #f5f6f8; --rule: #d5dae0;
  --warn: #a33b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --quiet: #a3adb8; --paper: #14181d; --panel: #1d232a;
  --rule: #38414b; --warn: #ffab70; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.8rem; line-height: 1.2; }
h2 { font-size: 1.3rem; margin: 2rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
p { max-width: 48rem; }
.box { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem; border-top: 1px solid var(--rule); }
td.n, th.n { text-align: right; white-space: nowrap; }
a { color: inherit; }
details { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: .4rem .8rem;
  margin: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
li { margin: .4rem 0; }
.reason { color: var(--quiet); }
.open { color: var(--warn); font-weight: 600; }
"""


def judged(findings: Sequence[Finding], verdicts: Sequence[Verdict]) -> list[Judged]:
    """Return every finding with the decision about it, None where there is none yet."""
    return [(finding, settled_by(finding, verdicts)) for finding in findings]


def _word(verdict: Verdict | None) -> str:
    return OPEN if verdict is None else verdict.verdict


def _counts(found: Sequence[Judged], check: str, tables: Sequence[str]) -> list[tuple[str, int, Counter[str]]]:
    out = []
    for table in tables:
        of_table = [v for f, v in found if f.check == check and f.table == table]
        if of_table:
            out.append((table, len(of_table), Counter(map(_word, of_table))))
    return out


def _decisions(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[word]} {word}" for word in (*VERDICTS, OPEN) if counts[word])


def check_text(
    found: Sequence[Judged],
    tables: Mapping[str, Sequence[Sample]],
    *,
    checks: Sequence[str] = tuple(CHECKS),
    is_full: bool = False,
) -> str:
    """Return the report as text.

    Args:
        found: What `judged` returns.
        tables: The rows, by name of the table.
        checks: The checks that were run.
        is_full: List every finding instead of the largest few of each check.
    """
    lines = [_headline(found, tables, len(checks))]
    for name, check in ((name, CHECKS[name]) for name in checks):
        parts = _counts(found, name, list(tables))
        lines += ["", f"{name}: {check.question}"]
        if not parts:
            lines.append("  nothing found")
        for table, _, counts in parts:
            lines.append(f"  {table}: {_decisions(counts)}")
            here = [(f, v) for f, v in found if f.check == name and f.table == table]
            listed = here if is_full else [pair for pair in here if _is_worth_a_line(*pair)][:SHOWN_PER_CHECK]
            lines += [f"    {f.text} [{_word(v)}{': ' + v.reason if v else ''}]" for f, v in listed]
            if len(listed) < len(here):
                lines.append(f"    … and {len(here) - len(listed)} more; add --full")
    return "\n".join(lines)


def _is_worth_a_line(finding: Finding, verdict: Verdict | None) -> bool:
    """Return whether a finding was decided on its own, or is open."""
    return verdict is None or verdict.subject == finding.key or verdict.subject in finding.sample_ids


def _headline(found: Sequence[Judged], tables: Mapping[str, Sequence[Sample]], n_checks: int) -> str:
    n_open = sum(v is None for _, v in found)
    rows = ", ".join(f"{name} {len(samples)}" for name, samples in tables.items())
    state = "every one decided" if not n_open else f"{n_open} open"
    return f"{n_checks} checks over {rows} rows: {len(found)} findings, {state}."


def _spread_rows(spreads: Mapping[str, Spread]) -> list[str]:
    return [
        f"<tr><td>{escape(name)}</td><td class=n>{s.between_sd:.2f}</td><td class=n>{s.within_sd:.2f}</td>"
        f"<td class=n>{s.n_sets}</td><td class=n>{s.n_texts}</td></tr>"
        for name, s in spreads.items()
        if s.n_sets
    ]


def _replicates_html(samples: Sequence[Sample]) -> str:
    names = ("between texts", "within a text", "compositions", "texts")
    head = "<tr><th>{}</th>" + "".join(f"<th class=n>{name}</th>" for name in names) + "</tr>"
    tables = "".join(
        f"<div class=box><table>{head.format(escape(column.replace('_', ' ')))}"
        f"{''.join(_spread_rows(replicate_spread(samples, column)))}</table></div>"
        for column in SPREAD_COLUMNS
    )
    best = "".join(
        f"<tr><td>{escape(s.formula)}</td><td>{escape(s.phase or 'not stated')}</td>"
        f"<td>{escape(s.second_phase)}</td><td class=n>{s.meas_temp_c:g}</td>"
        f"<td class=n>{mean:.2f} ± {error:.2f}</td><td class=n>{n}</td></tr>"
        for s, mean, error, n in pooled_sample_sets(samples)
    )
    return (
        "<h2 id=replicates>How far repeated measurements scatter</h2><p>Standard deviation of log10 σ of one "
        "composition, phase and temperature, literature table as reviewed. A text counts with its best sample; the "
        "deviations are robust, and those of a family with few repeats are drawn towards that of all.</p>"
        f"{tables}<details><summary>Pooled values of repeated compositions</summary><div class=box><table><tr>"
        f"<th>composition</th><th>phase</th><th>second phase</th><th class=n>°C</th><th class=n>log10 σ / (S/cm)</th>"
        f"<th class=n>texts</th></tr>{best}</table></div>"
        "</details>"
    )


def _item(finding: Finding, verdict: Verdict | None, by_id: Mapping[str, Sample]) -> str:
    cited = "; ".join(f"{i}: {citation(by_id[i])}" for i in finding.sample_ids[:3] if i in by_id)
    more = f" and {len(finding.sample_ids) - 3} more" if len(finding.sample_ids) > 3 else ""
    word = _word(verdict)
    mark = f"<span class={'open' if verdict is None else 'verdict'}>{word}</span>"
    reason = f": {escape(verdict.reason)}" if verdict else ""
    return f"<li>{escape(finding.text)} <b>{mark}</b>{reason}<br><small class=reason>{escape(cited)}{more}</small></li>"


def check_html(found: Sequence[Judged], tables: Mapping[str, Sequence[Sample]], reviewed: Sequence[Sample]) -> str:
    """Return the report as an HTML page.

    Args:
        found: What `judged` returns.
        tables: The rows as printed, by name of the table.
        reviewed: The literature table as reviewed, for the scatter of repeated compositions.
    """
    parts = []
    for name, check in CHECKS.items():
        parts.append(f"<h2 id={name}>{escape(check.question)}</h2>")
        counts = _counts(found, name, list(tables))
        if not counts:
            parts.append("<p>Nothing found.</p>")
        for table, n, decisions in counts:
            by_id = {s.sample_id: s for s in tables[table]}
            here = [(f, v) for f, v in found if f.check == name and f.table == table]
            items = "".join(_item(f, v, by_id) for f, v in here[:LISTED_PER_CHECK])
            rest = (
                f"<p>The {n - LISTED_PER_CHECK} others: <code>nascreen data check --check {name} --table {table} "
                "--full</code></p>"
                if n > LISTED_PER_CHECK
                else ""
            )
            parts.append(
                f"<details><summary>{table}: {n} findings, {_decisions(decisions)}</summary><ol>{items}</ol>{rest}"
                "</details>"
            )
    headline = escape(_headline(found, tables, len(CHECKS)))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Quality of the tables – nascreen</title><style>{_STYLE}</style></head><body>"
        f"<h1>Quality of the tables</h1><p>{headline} Decisions stand in "
        "<code>datasets/verdicts.csv</code>, each with its reason; what learns, ranks or compares reads the tables "
        "as reviewed, and the rows as printed are kept.</p>"
        f"{_summary_table(found, list(tables))}{''.join(parts)}{_replicates_html(reviewed)}</body></html>\n"
    )


def _summary_table(found: Sequence[Judged], tables: Sequence[str]) -> str:
    words = (*VERDICTS, OPEN)
    rows = []
    for name, check in CHECKS.items():
        for table, n, counts in _counts(found, name, tables) or [("–", 0, Counter())]:
            cells = "".join(f"<td class=n>{counts[word] or ''}</td>" for word in words)
            rows.append(
                f"<tr><td><a href=#{name}>{escape(check.question)}</a></td><td>{table}</td><td class=n>{n}</td>{cells}"
                "</tr>"
            )
    head = "".join(f"<th class=n>{word}</th>" for word in ("findings", *words))
    header = f"<tr><th>check</th><th>table</th>{head}</tr>"
    return f"<div class=box><table>{header}{''.join(rows)}</table></div>"


def write_check(path: Path, page: str) -> None:
    """Write the page.

    Raises:
        TableError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise TableError(f"The report {shown(str(path))} cannot be written: {error.strerror}.") from error
