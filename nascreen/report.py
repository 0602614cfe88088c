"""Write the report of a run: one HTML page that needs no network, and the same numbers as CSV tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from nascreen.campaign import Suggestion
from nascreen.errors import TableError, shown
from nascreen.figures import N_RANKED_ON_PAGE, Figure, RunResult, all_figures
from nascreen.overview import PROPERTIES
from nascreen.records import cells_from_sample, name_of, processing_line
from nascreen.screening import REFERENCE_STRENGTH_MPA, REFERENCE_THICKNESS_UM, Neighbour, Scored
from nascreen.tables import guarded_text
from nascreen.training import PROMOTED, ScoreRow, require
from nascreen.wording import (
    cited,
    conductivity_text,
    decades,
    formula_html,
    kept_together,
    prose,
    scientific,
    short,
    word,
)

BASELINES = ("nearest neighbour", "family median", "global median")

MODEL_WORDS: Mapping[str, str] = {
    PROMOTED: (
        "Used: for σ the mean of the three below, for Ea that of Gaussian process and extra trees; for oxide glasses "
        "extra trees alone"
    ),
    "gaussian process": "Gaussian process (interpolates smoothly between measured samples)",
    "xgboost": "XGBoost (many small decision trees)",
    "extra trees": "Extra trees (random decision trees, which also saw glasses and lithium conductors)",
    "strength law": "Used for strength: law of strength against porosity, with terms for family and filler",
    "pores and rule of mixtures": "Baseline: textbook laws of strength against porosity and of filled pores",
    "nearest neighbour": "Baseline: value of the most similar measured sample",
    "family median": "Baseline: middle value of the family",
    "global median": "Baseline: middle value of all samples",
}

LIMITS: tuple[str, ...] = (
    (
        "Phase purity. A formula that balances can still decompose or leave a second phase; check the diffraction "
        "pattern before the impedance."
    ),
    (
        "What the tables do not record: powder source, particle and grain size, atmosphere, sodium loss in the "
        "furnace, moisture, electrode and pressure of the impedance cell."
    ),
    "Stability against sodium metal or a cathode, the voltage window, electronic conductivity and cycling.",
    (
        "The porosity of a firing is what such temperatures usually leave. Measure yours: strength and conductivity "
        "both depend on it."
    ),
    (
        "Strength rests on few measurements, nearly all of oxide ceramics; for other families it is that of a "
        "typical oxide ceramic."
    ),
    (
        f"The thinnest disc is scaled from a single study: a ceramic of {REFERENCE_STRENGTH_MPA:g} MPa just carries "
        f"the load of cell assembly at {REFERENCE_THICKNESS_UM:g} µm. Its resistance is that of the disc alone, "
        "without the electrodes."
    ),
    (
        "An interval of 90 % is expected to miss one sample in ten. Proposed samples are chosen because they look "
        "good, so expect them to disappoint somewhat more often."
    ),
)


def write_report(folder: Path, result: RunResult) -> Path:
    """Write ``report.html``, ``ranking.csv``, ``batch.csv`` and ``scores.csv``.

    Args:
        folder: Where to; it is made if it is missing.
        result: What to report.

    Returns:
        Path of the page.

    Raises:
        MissingExtraError: If plotly is not installed; nothing is written then.
    """
    page = _page(result)
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / "ranking.csv", (*CANDIDATE_COLUMNS, *NEAREST_COLUMNS), _ranking_rows(result))
    _write_csv(folder / "batch.csv", (*CANDIDATE_COLUMNS, *BATCH_COLUMNS), _batch_rows(result))
    _write_csv(folder / "scores.csv", SCORE_COLUMNS, map(_score_cells, result.scores))
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


# Tables for a spreadsheet.

PROCESSING_COLUMNS = (
    "phase", "synthesis", "press_mpa", "sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h", "porosity_pct",
    "second_phase", "second_phase_role",
)  # fmt: skip
PREDICTED_COLUMNS = (
    "conductivity_s_cm", "conductivity_lo", "conductivity_hi", "ea_ev", "ea_lo", "ea_hi", "strength_mpa",
    "strength_lo", "strength_hi", "thinnest_um", "resistance_ohm_cm2", "in_domain", "domain_note",
)  # fmt: skip
CANDIDATE_COLUMNS = ("space", "rank", "formula", "label", *PROCESSING_COLUMNS, *PREDICTED_COLUMNS)
NEAREST_COLUMNS = ("nearest_formula", "nearest_distance", "nearest_citation")
BATCH_COLUMNS = ("expected_improvement", "probability_of_improvement", "batch_gain", "reason", "neighbours")
SCORE_COLUMNS = ("quantity", "subset", "model", "error", "spread", "n_rows", "n_papers")

Cell = str | float | bool


def _cell(value: Cell) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return guarded_text(value)
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    # The mark tells a spreadsheet that the text is UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name, "")) for name in columns] for row in rows)


def _candidate_cells(title: str, rank: int, scored: Scored) -> dict[str, Cell]:
    prediction, sample = scored.prediction, scored.sample
    predicted = {name: getattr(prediction, name) for name in PREDICTED_COLUMNS if hasattr(prediction, name)}
    return {
        "space": title,
        "rank": rank,
        **cells_from_sample(sample, ("formula", "label", *PROCESSING_COLUMNS)),
        **predicted,
        "conductivity_s_cm": prediction.conductivity_25_s_cm,
        "thinnest_um": scored.thinnest_um,
        "resistance_ohm_cm2": scored.resistance_ohm_cm2,
    }


def _ranking_rows(result: RunResult) -> Iterable[dict[str, Cell]]:
    for title, ranking in result.rankings.items():
        for rank, scored in enumerate(ranking, start=1):
            cells = _candidate_cells(title, rank, scored)
            for near in result.near(scored.sample)[:1]:
                values = (near.sample.formula, near.distance, near.citation)
                cells.update(zip(NEAREST_COLUMNS, values, strict=True))
            yield cells


def _batch_rows(result: RunResult) -> Iterable[dict[str, Cell]]:
    for title, batch in result.batches.items():
        for rank, suggestion in enumerate(batch.suggestions, start=1):
            yield {
                **_candidate_cells(title, rank, suggestion.scored),
                "expected_improvement": suggestion.expected_improvement,
                "probability_of_improvement": suggestion.probability_of_improvement,
                "batch_gain": suggestion.batch_gain,
                "reason": suggestion.reason,
                "neighbours": " | ".join(
                    f"{n.sample.formula}, distance {n.distance:.2f}: {n.citation}" for n in suggestion.neighbours
                ),
            }


def _score_cells(row: ScoreRow) -> dict[str, Cell]:
    return {name: getattr(row, name) for name in SCORE_COLUMNS}


def _verdict(scored: Scored) -> str:
    prediction = scored.prediction
    note = f"; {prediction.domain_note}" if prediction.domain_note else ""
    return f"inside{note}" if prediction.in_domain else f"outside, do not rely on it{note}"


# The page, part by part.


def _summary(result: RunResult) -> str:
    sentences = []
    for title in result.titles:
        ranking, batch = result.rankings.get(title, ()), result.batches.get(title)
        if not ranking:
            sentences.append(f"<li><strong>{formula_html(title)}:</strong> no candidate was ranked.</li>")
            continue
        best = ranking[0]
        compared = "" if batch is None else f" Best reported, to compare: {prose(batch.best)}."
        name = formula_html(best.sample.formula)
        sentences.append(
            f"<li><strong>{formula_html(title)}:</strong> ranked first is <strong>{name}</strong> "
            f"({prose(processing_line(best.sample))}), predicted {conductivity_text(best)} at 25 °C.{compared}</li>"
        )
    return (
        f"<h1>What to make next</h1><p>Sodium solid electrolytes that are worth making, how to process them, and how "
        f"sure the models are. An interval of 90 % is meant to hold nine new samples of ten.</p>"
        f"<ul>{''.join(sentences)}</ul>"
        '<p>The same numbers as tables: <a href="ranking.csv">ranking.csv</a>, <a href="batch.csv">batch.csv</a>, '
        '<a href="scores.csv">scores.csv</a>.</p>'
    )


def _proposals(result: RunResult) -> str:
    parts = [
        (
            '<h2 id="next">Proposed next experiments</h2><p>Chosen together, so that each teaches something that the '
            "others do not. The <em>expected gain</em> is the average by which a sample beats the best reported one "
            "(counting zero where it does not, and at most half a decade); one decade is a factor of ten.</p>"
        )
    ]
    for title, batch in result.batches.items():
        aim = {"conductivity": "the highest conductivity at 25 °C", "resistance": "the disc of least resistance"}
        parts.append(
            f"<h3>{formula_html(title)}</h3><p>Looking for {escape(aim.get(batch.objective, batch.objective))}. "
            f"To beat: {prose(batch.best)}.</p>"
        )
        cards = "".join(_card(i, s) for i, s in enumerate(batch.suggestions, start=1))
        parts.append(f'<div class="cards">{cards}</div>' if cards else "<p>No experiment is proposed.</p>")
    return "".join(parts if result.batches else [*parts, "<p>No experiment is proposed.</p>"])


def _card(number: int, suggestion: Suggestion) -> str:
    scored, p = suggestion.scored, suggestion.scored.prediction
    gain = suggestion.expected_improvement
    lines = {
        "σ at 25 °C": conductivity_text(scored),
        "Activation energy": f"{p.ea_ev:.2f} eV ({p.ea_lo:.2f} to {p.ea_hi:.2f})",
        "Strength": f"{short(p.strength_mpa)} MPa ({short(p.strength_lo)} to {short(p.strength_hi)})",
        "Thinnest disc": f"{short(scored.thinnest_um)} µm, then {short(scored.resistance_ohm_cm2)} Ω cm²",
        "Expected gain": f"{decades(gain)} (a factor of {10**gain:.2f}); {decades(suggestion.batch_gain)} on top of "
        "the experiments before it",
        "Chance to beat it": f"{100 * suggestion.probability_of_improvement:.0f} %",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(kept_together(value))}</dd>" for name, value in lines.items())
    label = f'<p class="label">{formula_html(scored.sample.label)}</p>' if scored.sample.label else ""
    note = f'<p class="note">{prose(p.domain_note)}</p>' if p.domain_note else ""
    near = "".join(map(_neighbour, suggestion.neighbours)) or "<li>none known</li>"
    return (
        f'<article class="card"><h4>{number}. {formula_html(scored.sample.formula)}</h4>{label}'
        f'<p class="how">{prose(processing_line(scored.sample))}</p><dl>{rows}</dl>'
        f"<p>{prose(suggestion.reason)}</p>{note}"
        f'<p class="near">Nearest measured samples <span>(distance 0: same composition; 1.41: nothing in common)</span>'
        f"</p><ol>{near}</ol></article>"
    )


def _neighbour(near: Neighbour) -> str:
    sample = near.sample
    value = "conductivity not stated"
    if sample.conductivity_s_cm is not None:
        value = f"measured {scientific(sample.conductivity_s_cm)} S/cm"
        value += "" if sample.meas_temp_c is None else f" at {sample.meas_temp_c:.4g} °C"
    parts = [
        value,
        word(sample.phase) if sample.phase else "",
        f"sintered {sample.sinter_temp_c:.4g} °C" if sample.sinter_temp_c is not None else "",
    ]
    made, name = "; ".join(filter(None, parts)), name_of(sample) or sample.label
    return (
        f"<li><strong>{formula_html(name)}</strong>, distance {near.distance:.2f}: {prose(made)}. "
        f"<cite>{cited(near.citation)}</cite></li>"
    )


def _table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], name: str) -> str:
    """Return a table in a box that scrolls; header and cells are HTML, the first cell of a row names it."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    return (
        f'<div class="box" role="region" tabindex="0" aria-label="{escape(name)}"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


RANKING_HEADER = (
    "Formula", "Rank", "How to make it", "σ at 25 °C<br>S/cm", "E<sub>a</sub><br>eV", "Strength<br>MPa",
    "Thinnest disc<br>Ω cm²", "Can the models judge it?",
)  # fmt: skip


def _with_range(value: str, low: str, high: str) -> str:
    return f"{value}<br><small>{low} to {high}</small>"


def _ranking_row(rank: int, scored: Scored) -> tuple[str, ...]:
    p = scored.prediction
    sigma = (p.conductivity_25_s_cm, p.conductivity_lo, p.conductivity_hi)
    strength = (p.strength_mpa, p.strength_lo, p.strength_hi)
    label = f'<small class="wide">{formula_html(scored.sample.label)}</small>' if scored.sample.label else ""
    return (
        f"{formula_html(scored.sample.formula)}{label}",
        str(rank),
        f'<span class="wide">{prose(processing_line(scored.sample))}</span>',
        _with_range(*map(scientific, sigma)),
        _with_range(*(f"{ea:.2f}" for ea in (p.ea_ev, p.ea_lo, p.ea_hi))),
        _with_range(*map(short, strength)),
        f"{short(scored.resistance_ohm_cm2)}<br><small>at {short(scored.thinnest_um)} µm</small>",
        f'<span class="wide">{prose(_verdict(scored))}</span>',
    )


def _rankings(result: RunResult) -> str:
    parts = [
        (
            '<h2 id="ranking">Ranking</h2><p>σ is the ionic conductivity, E<sub>a</sub> the activation energy of σT '
            "against 1/T. The small numbers are meant to hold nine new samples of ten; the order is that of the lower "
            "one of σ. The thinnest disc is the one that just carries the assembly of a cell: its resistance per area, "
            "and its thickness.</p>"
        )
    ]
    for title, ranking in result.rankings.items():
        parts.append(f"<h3>{formula_html(title)}</h3>")
        if not ranking:
            parts.append("<p>No candidate was ranked.</p>")
            continue
        shown = ranking[:N_RANKED_ON_PAGE]
        rows = [_ranking_row(i, scored) for i, scored in enumerate(shown, start=1)]
        caption = f"The best {len(shown)} of {len(ranking)} ranked candidates, predicted at 25 °C"
        parts.append(_table(caption, RANKING_HEADER, rows, f"Ranking: {title}"))
    return "".join(parts)


def _by_subset(scores: Sequence[ScoreRow]) -> dict[tuple[str, str], dict[str, ScoreRow]]:
    out: dict[tuple[str, str], dict[str, ScoreRow]] = {}
    for row in scores:
        out.setdefault((row.quantity, row.subset), {})[row.model] = row
    return out


def _promoted(rows: Mapping[str, ScoreRow]) -> ScoreRow | None:
    models = [name for name in rows if name not in BASELINES]
    return rows[PROMOTED] if PROMOTED in rows else rows[models[0]] if models else None


def where_model_is_worse(scores: Sequence[ScoreRow]) -> list[str]:
    """Name in words every quantity and family where a baseline errs less than the model does.

    Args:
        scores: Lines of the score tables.
    """
    out = []
    for (quantity, subset), rows in _by_subset(scores).items():
        model = _promoted(rows)
        better = [rows[name] for name in BASELINES if model and name in rows and rows[name].error < model.error]
        if model and better:
            best = min(better, key=lambda row: row.error)
            where = "all families together" if subset == "all" else word(subset)
            out.append(
                f"{quantity}, {where} ({model.n_rows} rows of {model.n_papers} papers): the model is off by "
                f"{model.error:.2f}, the {best.model} by {best.error:.2f}"
            )
    return out


def _score_cell(row: ScoreRow | None) -> str:
    if row is None:
        return "–"
    return f"{row.error:.3f}" + (f" <small>± {row.spread:.3f}</small>" if row.spread else "")


def _models_of(scores: Sequence[ScoreRow]) -> list[str]:
    found = list(dict.fromkeys(row.model for row in scores))
    return sorted(found, key=lambda name: BASELINES.index(name) + 1 if name in BASELINES else 0)


def _overall_scores(scores: Sequence[ScoreRow]) -> str:
    overall = {quantity: rows for (quantity, subset), rows in _by_subset(scores).items() if subset == "all"}
    sizes = {quantity: next(iter(rows.values())) for quantity, rows in overall.items()}
    header = ["Model"] + [
        f"{escape(q).replace(', ', ',<br>')}<br><small>{row.n_rows} rows, {row.n_papers} papers</small>"
        for q, row in sizes.items()
    ]
    models = [name for name in _models_of(scores) if any(name in rows for rows in overall.values())]
    table = [
        [
            f'<span class="wide">{escape(MODEL_WORDS.get(name, name))}</span>',
            *(_score_cell(r.get(name)) for r in overall.values()),
        ]
        for name in models
    ]
    return _table("Mean error on papers that the model has not seen; less is better", header, table, "Errors overall")


def _family_scores(scores: Sequence[ScoreRow]) -> str:
    models = _models_of(scores)
    rows = []
    for (quantity, subset), found in _by_subset(scores).items():
        if subset != "all":
            size = next(iter(found.values()))
            cells = [_score_cell(found.get(name)) for name in models]
            rows.append([word(escape(subset)), escape(quantity), f"{size.n_rows}", f"{size.n_papers}", *cells])
    header = ["Family", "Quantity", "Rows", "Papers", *(escape(name) for name in models)]
    table = _table("Mean error by family; less is better", header, rows, "Errors by family")
    return f"<details><summary>Errors by family of electrolytes</summary>{table}</details>" if rows else ""


def _comparison(scores: Sequence[ScoreRow]) -> str:
    worse = "".join(f"<li>{prose(line)}.</li>" for line in where_model_is_worse(scores))
    if worse:
        return f"<p>Trust the model least here, where a simple baseline errs less:</p><ul>{worse}</ul>"
    return "<p>The model errs less than every baseline in every line of these tables.</p>"


def _certainty(result: RunResult) -> str:
    found = f"{_overall_scores(result.scores)}{_comparison(result.scores)}{_family_scores(result.scores)}"
    return (
        '<h2 id="sure">How sure</h2><p>The models were tested on papers they had not seen: rows of one paper never '
        "stand on both sides of a split. An error of 0.3 in log<sub>10</sub> σ means off by a factor of 2, of 0.5 by a "
        "factor of 3, of 1 by a factor of 10. A number after ± is how much the error changes when the papers are "
        "dealt anew. A model is worth using where it errs less than the baselines below it.</p>"
        f"{found if result.scores else '<p>Nothing was scored in this run.</p>'}"
    )


def _facts(result: RunResult) -> str:
    rows = [(escape(name), escape(value)) for name, value in result.facts.items()]
    table = _table("This run", ("Fact", "Value"), rows, "Facts of this run")
    limits = "".join(f"<li>{escape(limit)}</li>" for limit in LIMITS)
    return f'<h2 id="limits">Facts and limits</h2>{table}<h3>What the model does not know</h3><ul>{limits}</ul>'


def _script_json(text: str) -> str:
    # Inside a script nothing but "<" can end it or begin a comment.
    return text.replace("<", "\\u003c")


def _data_counts(counts: Mapping[str, Any]) -> str:
    """Return the counts of a table by family, folded away."""
    stated = {name: words for name, words in PROPERTIES.items() if counts["properties"].get(name)}
    rows = [
        [escape(word(name)), *(str(found[key]) for key in ("rows", "texts", *stated))]
        for name, found in counts["families"].items()
    ]
    header = ["Family", "Rows", "Texts", *(escape(words.capitalize()) for words in stated.values())]
    caption = f"{counts['rows']} rows of {counts['texts']} texts, and how many of them state a property"
    table = _table(caption, header, rows, "Counts by family")
    years = ", ".join(f"{name} {n}" for name, n in counts["decades"].items())
    origins = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts["value_origin"].items())
    return (
        f"<details><summary>Counts by family, year and origin</summary>{table}<p>Year of publication: {escape(years)}."
        f"</p><p>Origin of the values: {escape(origins)}.</p></details>"
    )


def _data_section(figures: Sequence[Figure], counts: Mapping[str, Any], level: int = 2) -> str:
    if not figures:
        return ""
    return (
        f'<h{level} id="data">The data</h{level}><p>What was measured: the literature table as reviewed, and the '
        "sulfide glasses of SciGlass. Samples of the two founding papers are ringed in red. Point at a symbol to see "
        f"what it is and where it was reported.</p>{_data_counts(counts) if counts else ''}{_drawn_figures(figures)}"
    )


def write_data_page(path: Path, figures: Sequence[Figure], counts: Mapping[str, Any] | None = None) -> None:
    """Write a page with figures of the measured data.

    Args:
        path: The HTML file; its folder is made if it is missing.
        figures: What `nascreen.data_figures.data_figures` returns.
        counts: What `nascreen.overview.summary` returns for the literature table; None to leave it out.

    Raises:
        MissingExtraError: If plotly is not installed.
        TableError: If the file cannot be written.
    """
    main = f"<main>{_data_section(figures, counts or {}, level=1)}</main>"
    page = _whole_page("The data", main, require("plotly.offline").get_plotlyjs())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise TableError(f"The page {shown(str(path))} cannot be written: {error.strerror}.") from error


def _figures(figures: Sequence[Figure]) -> str:
    intro = '<h2 id="figures">Figures</h2><p>Point at a symbol to see what it is and where it was reported.</p>'
    return intro + _drawn_figures(figures)


def _drawn_figures(figures: Sequence[Figure]) -> str:
    parts = []
    for figure in figures:
        label = escape(f"{figure.title}. {figure.caption}")
        parts.append(
            f'<h3>{escape(figure.title)}</h3><figure><div class="plot" id="{figure.name}" role="img" '
            f'aria-label="{label}"></div><figcaption>{escape(figure.caption)}</figcaption></figure>'
            f'<script type="application/json" id="{figure.name}-data">{_script_json(figure.json)}</script>'
        )
    return "".join(parts)


# The page forbids itself the network, whatever its texts hold.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2127; --quiet: #59636e; --paper: #fff; --panel: #f5f6f8; --rule: #d5dae0;
  --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --quiet: #a3adb8; --paper: #14181d; --panel: #1d232a;
  --rule: #38414b; --link: #7db8f5; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 1rem 0 .5rem; }
h2 { font-size: 1.4rem; margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
h4 { font-size: 1.1rem; margin: 0; }
p, ul { max-width: 48rem; margin: .5rem 0; }
ul, ol { padding-left: 1.25rem; }
a { color: var(--link); }
sub { line-height: 0; font-size: .75em; }
nav a { display: inline-block; margin-right: 1rem; padding: .25rem 0; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
.card { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 1rem; }
.card p { font-size: .9rem; }
.card .label, .card .near span { color: var(--quiet); }
.card .label { margin: 0; }
.card .how { font-size: 1rem; font-weight: 600; }
.card .near { font-weight: 600; margin-bottom: .25rem; }
.card .near span { font-weight: 400; }
.card ol { font-size: .85rem; margin: 0; }
.card li { margin-bottom: .35rem; }
.note { border-left: 3px solid var(--rule); padding-left: .6rem; color: var(--quiet); }
dl { display: grid; grid-template-columns: 8.2rem 1fr; gap: .3rem .6rem; margin: .75rem 0; font-size: .9rem; }
dt { color: var(--quiet); }
dd { margin: 0; font-variant-numeric: tabular-nums; }
.box { overflow-x: auto; border: 1px solid var(--rule); border-radius: 8px; margin: .5rem 0 1rem; }
.box:focus-visible, a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
caption { text-align: left; padding: .6rem .75rem; color: var(--quiet); }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; border-top: 1px solid var(--rule);
  white-space: nowrap; }
thead th { background: var(--panel); vertical-align: bottom; }
tbody th { font-weight: 600; }
tbody tr:hover { background: var(--panel); }
.wide { display: block; min-width: 12rem; max-width: 24rem; white-space: normal; }
small { color: var(--quiet); font-size: .85em; font-weight: 400; }
cite { font-style: normal; color: var(--quiet); }
figure { margin: 0 0 1rem; }
figcaption { color: var(--quiet); font-size: .9rem; max-width: 48rem; }
.plot { width: 100%; height: 560px; }
summary { cursor: pointer; padding: .5rem 0; }
@media (max-width: 600px) { .plot { height: 620px; } h1 { font-size: 1.6rem; }
  dl { grid-template-columns: 6.4rem 1fr; } }
"""

_DRAW = """
(function () {
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function draw() {
    var style = getComputedStyle(document.documentElement);
    var ink = style.getPropertyValue("--ink").trim(), panel = style.getPropertyValue("--panel").trim();
    document.querySelectorAll(".plot").forEach(function (box) {
      var figure = JSON.parse(document.getElementById(box.id + "-data").textContent);
      figure.layout.font = { color: ink, size: window.innerWidth < 600 ? 12 : 13, family: "system-ui, sans-serif" };
      figure.layout.hoverlabel = { align: "left", bgcolor: panel, bordercolor: ink, font: { color: ink } };
      figure.layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: "#8b929a", activecolor: ink };
      Plotly.react(box, figure.data, figure.layout, { responsive: true, displaylogo: false,
        modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]] });
    });
  }
  draw();
  dark.addEventListener("change", draw);
})();
"""


def _navigation(*, has_data: bool) -> str:
    parts = {"next": "Next experiments", "ranking": "Ranking", "figures": "Figures", "data": "The data",
             "sure": "How sure", "limits": "Facts and limits"}  # fmt: skip
    links = "".join(f'<a href="#{name}">{words}</a>' for name, words in parts.items() if name != "data" or has_data)
    return f'<nav aria-label="Parts of this page">{links}</nav>'


def _page(result: RunResult) -> str:
    plotly_js = require("plotly.offline").get_plotlyjs()
    body = "\n".join(
        (
            f"<header>{_summary(result)}{_navigation(has_data=bool(result.data))}</header><main>",
            _proposals(result),
            _rankings(result),
            _figures(all_figures(result)),
            _data_section(result.data, result.data_counts),
            _certainty(result),
            _facts(result),
            "</main>",
        )
    )
    return _whole_page("What to make next", body, plotly_js)


def _whole_page(title: str, body: str, plotly_js: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} – nascreen</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{plotly_js}</script>\n<script>{_DRAW}</script>\n</body>\n</html>\n"
    )
