"""Promises of the report."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from nascreen import report, wording
from nascreen.campaign import Batch, Suggestion
from nascreen.chemistry import modifier_fraction
from nascreen.data_figures import data_figures
from nascreen.datasets import load_table
from nascreen.errors import MissingExtraError
from nascreen.features import chemistry_of
from nascreen.figures import RunResult
from nascreen.models import Prediction, family_of_sample
from nascreen.overview import summary
from nascreen.records import Sample, citation, processing_line
from nascreen.report import where_model_is_worse, write_report
from nascreen.screening import Neighbour, Scored, measured_samples
from nascreen.spaces import SPACES, generate
from nascreen.training import CrossValidation, ScoreRow, observations, score_table

HOSTILE = "</script><img src=x onerror=\"alert('1')\">&amp;"
TITLES = [space.title for space in SPACES.values()]


def scored(sample: Sample, log_sigma: float = -3.0) -> Scored:
    sigma = float(10**log_sigma)
    family = family_of_sample(sample)
    note = "" if family == "nasicon" else f"no measured strength of family {family}: that of a typical oxide ceramic"
    prediction = Prediction(
        replace(sample, meas_temp_c=25.0), sigma, sigma / 6, sigma * 6, 0.31, 0.24, 0.38, 62.0, 21.0, 184.0, sigma,
        in_domain=True, domain_note=note, family=family, distance=0.1,
    )  # fmt: skip
    return Scored(prediction, 418.0, 0.0418 / sigma)


def neighbours(sample: Sample, rng: np.random.Generator) -> tuple[Neighbour, ...]:
    family = family_of_sample(sample)
    known = [s for s in measured_samples()[0] if s.family == family]
    chosen = [known[i] for i in rng.choice(len(known), 3, replace=False)]
    return tuple(Neighbour(s, 0.04 * i, citation(s)) for i, s in enumerate(chosen, start=1))


def batch(candidates: Sequence[Scored], rng: np.random.Generator) -> Batch:
    best = next(s for s in measured_samples()[0] if s.family == candidates[0].prediction.family)
    suggestions = tuple(
        Suggestion(
            c, 0.12 / i, 0.4 / i, 0.11 / i, neighbours(c.sample, rng),
            "Predicted 0.10 decades below the best measured with a spread of 0.45; expected gain 0.121 (explores: the "
            "gain lies in its uncertainty); nearest measured Na3.4Zr2Si2.4P0.6O12 at distance 0.05.",
        )
        for i, c in enumerate(candidates, start=1)
    )  # fmt: skip
    sentence = f"{best.conductivity_s_cm:.2g} S/cm at {best.meas_temp_c:g} °C, {best.formula} ({citation(best)})"
    return Batch("conductivity", sentence, -2.5, suggestions)


def cross_validation(samples: Sequence[Sample], rng: np.random.Generator) -> CrossValidation:
    known = [s for s in samples if s.conductivity_s_cm is not None]
    rows = observations(known, [s for s in known if s.ea_ev is not None][:60], is_scored=True)
    n = len(rows.targets)
    size = {
        "mean of three": 0.5,
        "gaussian process": 0.55,
        "xgboost": 0.6,
        "nearest neighbour": 0.7,
        "family median": 0.9,
    }
    scale = np.where(rows.is_conductivity, 1.0, 0.15)
    predictions = {name: rows.targets + sd * scale * rng.standard_normal((3, n)) for name, sd in size.items()}
    return CrossValidation(rows, (0, 1, 2), predictions, np.ones((3, n)), rng.integers(0, 5, (3, n)))


def make_result(n_samples: int = 400) -> RunResult:
    rng = np.random.default_rng(0)
    measured = list(measured_samples()[0])
    chosen = [measured[i] for i in sorted(rng.choice(len(measured), n_samples, replace=False))]
    cv = cross_validation(chosen, rng)
    rankings = {
        space.title: [scored(s, -2.7 - 0.02 * i) for i, s in enumerate(generate(space.name, 24))]
        for space in SPACES.values()
    }
    batches = {title: batch(ranking[:6], rng) for title, ranking in rankings.items()}
    glasses = [
        s for s in generate("thioborate") if set(chemistry_of(s.formula).composition.amounts) == {"Na", "B", "S"}
    ]
    series = [
        scored(s, -9 + 5 * (modifier_fraction(chemistry_of(s.formula).composition) or 0))
        for s in glasses
        if s.phase == "glass"
    ]
    strength = [
        ScoreRow("log10 strength", "all", "strength law", 0.18, 0.0, 41, 12),
        ScoreRow("log10 strength", "all", "family median", 0.17, 0.0, 41, 12),
    ]
    facts = {
        "data hash": "3f1c9a0b7d21",
        "nascreen": "0.1.0",
        "run finished": "2030-01-01 10:00",
        "candidates scored": "21000",
    }
    return RunResult(cv, [*score_table(cv), *strength], rankings, batches, measured, series, facts)


@pytest.fixture(scope="module")
def result() -> RunResult:
    return make_result()


@pytest.fixture(scope="module")
def folder(result: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "made" / "here"
    assert write_report(out, result) == out / "report.html"
    return out


class Page(HTMLParser):
    """What a browser would make of a page: its tags, its text, and the scripts that hold data."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: dict[str | None, str] = {}
        self._open = ("", None)
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self._open = (tag, dict(attrs).get("id"))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open[0]:
            self._open = ("", None)

    def handle_data(self, data: str) -> None:
        if self._open[0] == "script":
            self.scripts[self._open[1]] = self.scripts.get(self._open[1], "") + data
        elif not self._open[0]:
            self.words.append(data)

    @property
    def text(self) -> str:
        """The words of the page, as read aloud."""
        return "".join(self.words).replace("\u00a0", " ")

    def attributes(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


def read_page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return read_page(folder)


@pytest.fixture(scope="module")
def hostile_folder(result: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    first = result.batches[TITLES[0]]
    evil = scored(replace(first.suggestions[0].scored.sample, label=HOSTILE, second_phase=HOSTILE, synthesis=HOSTILE))
    evil = replace(evil, prediction=replace(evil.prediction, domain_note=HOSTILE))
    # No formula can be hostile where the models read it, yet a measured one or an imported candidate may be.
    evil_formula = replace(evil, prediction=replace(evil.prediction, sample=replace(evil.sample, formula=HOSTILE)))
    measured = Sample(
        paper_id="p", doi='10.1/x"onclick=alert(1)', title=HOSTILE, first_author=HOSTILE, formula="Na3PS4",
        label=HOSTILE, family=HOSTILE, meas_temp_c=25.0, conductivity_s_cm=1e-4, ea_ev=0.3, synthesis=HOSTILE,
    )  # fmt: skip
    near = Neighbour(replace(measured, formula=HOSTILE), 0.1, citation(measured))
    suggestion = Suggestion(evil_formula, 0.1, 0.2, 0.1, (near,), HOSTILE)
    changed = replace(
        result,
        rankings={HOSTILE: [evil, evil_formula]},
        batches={HOSTILE: Batch(HOSTILE, HOSTILE, -2.0, (suggestion,))},
        measured=[*[measured] * 60, *result.measured],
        scores=[
            ScoreRow(HOSTILE, "all", HOSTILE, 0.5, 0.1, 1, 1),
            ScoreRow(HOSTILE, HOSTILE, HOSTILE, 0.5, 0.1, 1, 1),
            ScoreRow(HOSTILE, HOSTILE, "family median", 0.4, 0.1, 1, 1),
        ],
        facts={HOSTILE: HOSTILE},
    )
    out = tmp_path_factory.mktemp("hostile")
    write_report(out, changed)
    return out


def test_page_loads_nothing_from_anywhere(page: Page) -> None:
    assert not page.attributes("src")
    assert not [attrs for tag, attrs in page.tags if tag in {"link", "img", "iframe", "base", "form", "object"}]
    for href in page.attributes("href"):
        assert href.startswith(("https://doi.org/10.", "#")) or re.fullmatch(r"[a-z]+\.csv", href), href


def test_page_forbids_itself_the_network(page: Page) -> None:
    policy = next(c for c in page.attributes("content") if "default-src" in c)
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_plotly_is_inside_the_page(page: Page) -> None:
    assert len(page.scripts[None]) > 1_000_000
    assert "Plotly.react" in page.scripts[None]


def test_links_away_do_not_hand_over_the_window(page: Page) -> None:
    links = [attrs for tag, attrs in page.tags if tag == "a" and (attrs["href"] or "").startswith("https")]
    assert links
    assert all(attrs["rel"] == "noopener" for attrs in links)


def test_links_within_lead_somewhere(page: Page, folder: Path) -> None:
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    for href in page.attributes("href"):
        if href.startswith("#"):
            assert href[1:] in ids
        elif not href.startswith("https"):
            assert (folder / href).is_file()


def test_parts_stand_in_order(page: Page) -> None:
    headings = [
        "What to make next", "Proposed next experiments", "Ranking", "Figures", "Predicted against measured",
        "Conductivity and activation energy", "Sodium sulfide in the glass", "Conductivity and sintering temperature",
        "How sure", "Facts and limits",
    ]  # fmt: skip
    # The navigation names the parts as well, before them all.
    places = [len(page.words) - page.words[::-1].index(heading) for heading in headings]
    assert places == sorted(places)
    assert [tag for tag, _ in page.tags if tag == "h1"] == ["h1"]


def test_the_data_stands_in_the_page_with_its_counts(result: RunResult, tmp_path: Path) -> None:
    measured = load_table("literature")
    write_report(tmp_path, replace(result, data=data_figures(measured), data_counts=summary(measured)))
    found = read_page(tmp_path)
    assert "#data" in found.attributes("href")
    assert {"data", "data-energy", "data-record"} <= set(found.attributes("id"))
    assert len(set(found.attributes("id"))) == len(found.attributes("id"))
    assert f"{len(measured)} rows of {len({s.paper_id for s in measured})} texts" in found.text
    tags = [tag for tag, _ in found.tags]
    assert tags.count("caption") == tags.count("table")
    assert tags.count("figcaption") == tags.count("figure") == 11
    words = [len(found.words) - found.words[::-1].index(w) for w in ("Figures", "The data", "How sure")]
    assert words == sorted(words)


def test_a_report_without_the_data_names_no_such_part(page: Page) -> None:
    assert "#data" not in page.attributes("href")
    assert "data" not in page.attributes("id")


def test_citation_of_every_suggestion_is_in_the_page(page: Page, result: RunResult) -> None:
    cited = {n.citation for b in result.batches.values() for s in b.suggestions for n in s.neighbours}
    assert cited
    assert not [text for text in cited if text not in page.text]


def test_every_suggestion_is_shown_with_its_numbers(page: Page, result: RunResult) -> None:
    for found in result.batches.values():
        for suggestion in found.suggestions:
            assert suggestion.scored.sample.formula in page.text
            assert processing_line(suggestion.scored.sample) in page.text
            assert suggestion.reason in page.text
    assert "2.0×10⁻³ S/cm (90 %: 3.3×10⁻⁴ to 1.2×10⁻²)" in page.text


def test_summary_names_best_candidate_and_what_it_is_compared_with(page: Page) -> None:
    summary = page.text.partition("Proposed next experiments")[0]
    assert summary.count("ranked first is") == len(TITLES)
    assert summary.count("Best reported, to compare: ") == len(TITLES)


def test_ranking_shows_twenty_rows_per_space(page: Page) -> None:
    assert page.text.count("The best 20 of 24 ranked candidates") == len(TITLES)


def test_split_by_paper_is_told(page: Page) -> None:
    assert "rows of one paper never stand on both sides of a split" in page.text


def test_tables_and_figures_have_names(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert tags.count("caption") == tags.count("table") > 3
    assert tags.count("figcaption") == tags.count("figure") == 4
    assert all(attrs.get("scope") in {"col", "row"} for tag, attrs in page.tags if tag == "th")
    assert all(attrs.get("aria-label") for _, attrs in page.tags if attrs.get("role") in {"img", "region"})
    assert all(attrs.get("tabindex") == "0" for _, attrs in page.tags if attrs.get("role") == "region")


def figure(page: Page, name: str) -> dict[str, object]:
    data: dict[str, object] = json.loads(page.scripts[f"{name}-data"])
    return data


def names(page: Page, name: str) -> list[str]:
    return [str(trace.get("name")) for trace in figure(page, name)["data"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["parity", "energy", "series", "sintering"])
def test_axes_of_figures_have_titles(page: Page, name: str) -> None:
    layout = figure(page, name)["layout"]
    assert isinstance(layout, dict)
    assert layout["xaxis"]["title"]["text"]
    assert "S/cm" in layout["yaxis"]["title"]["text"]


def test_family_has_one_colour_in_all_figures(page: Page) -> None:
    colours: dict[str, set[str]] = {}
    for name in ("parity", "energy"):
        for trace in figure(page, name)["data"]:  # type: ignore[attr-defined]
            if "marker" in trace:
                colours.setdefault(trace["name"].removeprefix("measured "), set()).add(trace["marker"]["color"])
    assert "NASICON" in colours
    assert all(len(found) == 1 for found in colours.values())


def test_parity_points_are_conductivities_not_scaled_ones(page: Page, result: RunResult) -> None:
    drawn = [x for trace in figure(page, "parity")["data"] if "marker" in trace for x in trace["x"]]  # type: ignore[attr-defined]
    known = [
        s.conductivity_s_cm
        for s, is_sigma in zip(result.cv.rows.samples, result.cv.rows.is_conductivity, strict=True)
        if is_sigma
    ]
    assert sorted(drawn) == pytest.approx(sorted(filter(None, known)))


def test_series_runs_over_the_sodium_sulfide_fraction(page: Page, result: RunResult) -> None:
    line = next(t for t in figure(page, "series")["data"] if t.get("name") == "predicted glass")  # type: ignore[attr-defined]
    assert line["x"] == sorted(line["x"])
    assert len(line["x"]) == len(result.series)
    assert line["x"][0] == pytest.approx(0.05)
    assert "measured glass" in names(page, "series")


def test_candidates_stand_in_the_figures_of_their_kind(page: Page) -> None:
    assert sum(name.startswith("candidates") for name in names(page, "energy")) == 2
    assert sum(name.startswith("candidates") for name in names(page, "sintering")) == 1


def test_hostile_text_becomes_text(hostile_folder: Path, page: Page) -> None:
    found = read_page(hostile_folder)
    assert not [attrs for tag, attrs in found.tags if tag == "img" or any(name.startswith("on") for name in attrs)]
    assert [tag for tag, _ in found.tags].count("script") == [tag for tag, _ in page.tags].count("script")
    assert HOSTILE in found.text
    assert not [href for href in found.attributes("href") if '"' in href or " " in href]


def test_hostile_text_cannot_end_a_script(hostile_folder: Path) -> None:
    found = read_page(hostile_folder)
    for name in ("parity", "energy", "series", "sintering"):
        script = found.scripts[f"{name}-data"]
        assert "<" not in script
        assert json.loads(script)["data"]


def test_hostile_text_is_escaped_again_for_the_hover_box(hostile_folder: Path) -> None:
    found = read_page(hostile_folder)
    texts = [t for trace in figure(found, "energy")["data"] for t in trace.get("text", [])]  # type: ignore[attr-defined]
    assert any(escape(HOSTILE) in text for text in texts)
    trace_names = "".join(names(found, "energy"))
    assert "<img" not in "".join(texts) + trace_names


def test_csv_text_cannot_become_a_formula(result: RunResult, tmp_path: Path) -> None:
    title = "=HYPERLINK(1)"
    first = result.batches[TITLES[0]].suggestions[0]
    evil = scored(replace(first.scored.sample, label="+1", second_phase="@x", synthesis="\tx"))
    suggestion = replace(first, scored=evil, reason="-2+3")
    changed = replace(
        result,
        rankings={title: [evil]},
        batches={title: Batch("conductivity", "x", -2.0, (suggestion,))},
        scores=[ScoreRow("\rq", "\nall", "=m", 0.5, 0.1, 1, 1)],
    )
    write_report(tmp_path, changed)
    row = read_csv(tmp_path / "batch.csv")[0]
    assert [row[name] for name in ("space", "label", "second_phase", "synthesis", "reason")] == [
        "'=HYPERLINK(1)", "'+1", "'@x", "'\tx", "'-2+3",
    ]  # fmt: skip
    assert read_csv(tmp_path / "ranking.csv")[0]["space"] == "'=HYPERLINK(1)"
    assert list(read_csv(tmp_path / "scores.csv")[0].values())[:3] == ["'\rq", "'\nall", "'=m"]


def test_negative_numbers_stay_numbers(tmp_path: Path, result: RunResult) -> None:
    first = result.batches[TITLES[0]].suggestions[0]
    changed = replace(result, batches={"a": Batch("conductivity", "x", -2.0, (replace(first, batch_gain=-0.5),))})
    write_report(tmp_path, changed)
    assert read_csv(tmp_path / "batch.csv")[0]["batch_gain"] == "-0.5"


def test_ranking_table_holds_every_ranked_candidate(folder: Path, result: RunResult) -> None:
    rows = read_csv(folder / "ranking.csv")
    assert len(rows) == sum(map(len, result.rankings.values()))
    assert rows[0]["formula"] == result.rankings[TITLES[0]][0].sample.formula
    assert rows[0]["rank"] == "1"
    assert float(rows[0]["conductivity_s_cm"]) == pytest.approx(10**-2.7, rel=1e-3)
    assert float(rows[0]["conductivity_lo"]) < float(rows[0]["conductivity_hi"])
    assert rows[0]["in_domain"] == "yes"


def test_nearest_is_given_where_it_is_known(folder: Path, result: RunResult, tmp_path: Path) -> None:
    rows = read_csv(folder / "ranking.csv")
    near = result.batches[TITLES[0]].suggestions[0].neighbours[0]
    assert rows[0]["nearest_citation"] == near.citation
    assert rows[23]["nearest_citation"] == ""
    last = result.rankings[TITLES[0]][23].sample
    write_report(tmp_path, replace(result, neighbours={last: [near]}))
    assert read_csv(tmp_path / "ranking.csv")[23]["nearest_formula"] == near.sample.formula


def test_batch_table_cites_its_neighbours(folder: Path, result: RunResult) -> None:
    rows = read_csv(folder / "batch.csv")
    suggestions = [s for b in result.batches.values() for s in b.suggestions]
    for row, suggestion in zip(rows, suggestions, strict=True):
        assert all(n.citation in row["neighbours"] for n in suggestion.neighbours)
        assert float(row["expected_improvement"]) == pytest.approx(suggestion.expected_improvement, rel=1e-3)


def test_score_table_is_complete(folder: Path, result: RunResult) -> None:
    rows = read_csv(folder / "scores.csv")
    assert [(r["quantity"], r["subset"], r["model"]) for r in rows] == [
        (s.quantity, s.subset, s.model) for s in result.scores
    ]


def test_empty_run_still_makes_a_page(result: RunResult, tmp_path: Path) -> None:
    empty = replace(result, rankings={TITLES[0]: []}, batches={}, measured=[], series=[], scores=[], facts={})
    write_report(tmp_path, empty)
    text = read_page(tmp_path).text
    assert "no candidate was ranked" in text
    assert "No experiment is proposed." in text
    assert "Nothing was scored in this run." in text
    assert read_csv(tmp_path / "ranking.csv") == []


def test_batch_without_suggestions_is_told(result: RunResult, tmp_path: Path) -> None:
    write_report(tmp_path, replace(result, batches={TITLES[0]: Batch("resistance", "12 Ω cm²", -1.1, ())}))
    text = read_page(tmp_path).text
    assert "Looking for the disc of least resistance. To beat: 12 Ω cm²." in text
    assert "No experiment is proposed." in text


def test_only_the_ranking_without_batch_is_summarised(result: RunResult, tmp_path: Path) -> None:
    write_report(tmp_path, replace(result, batches={}))
    assert "to compare" not in read_page(tmp_path).text


def test_model_that_loses_is_named() -> None:
    rows = [
        ScoreRow("Ea / eV", "thioborate", "mean of three", 0.20, 0.0, 12, 3),
        ScoreRow("Ea / eV", "thioborate", "family median", 0.10, 0.0, 12, 3),
        ScoreRow("Ea / eV", "thioborate", "nearest neighbour", 0.15, 0.0, 12, 3),
        ScoreRow("Ea / eV", "all", "mean of three", 0.05, 0.0, 99, 30),
        ScoreRow("Ea / eV", "all", "family median", 0.10, 0.0, 99, 30),
    ]
    assert where_model_is_worse(rows) == [
        "Ea / eV, thioborate (12 rows of 3 papers): the model is off by 0.20, the family median by 0.10"
    ]


def test_model_that_never_loses_is_told_so(result: RunResult, tmp_path: Path) -> None:
    rows = [
        ScoreRow("Ea / eV", "all", "mean of three", 0.05, 0.0, 99, 30),
        ScoreRow("Ea / eV", "all", "family median", 0.1, 0.0, 99, 30),
    ]
    assert where_model_is_worse(rows) == []
    write_report(tmp_path, replace(result, scores=rows))
    text = read_page(tmp_path).text
    assert "errs less than every baseline" in text
    assert "±" not in text.partition("How sure")[2].partition("0.050")[2]


def test_baselines_alone_are_no_model() -> None:
    assert where_model_is_worse([ScoreRow("x", "all", "family median", 0.1, 0.0, 9, 3)]) == []


def test_missing_plotly_says_what_to_install(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(module: str) -> object:
        raise MissingExtraError(f"This command needs {module}")

    monkeypatch.setattr(report, "require", refuse)
    with pytest.raises(MissingExtraError, match="This command needs plotly"):
        write_report(tmp_path / "out", result)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sample", "line"),
    [
        pytest.param(
            Sample(
                phase="composite", synthesis="solid_state", sinter_temp_c=1100.0, sinter_time_h=10.0, porosity_pct=10.0,
                second_phase="epoxy", second_phase_role="pore_filler", heat_temp_c=150.0, heat_time_h=24.0,
            ),
            "solid-state synthesis; sinter 1100 °C, 10 h; about 10 % pores filled with epoxy; cure 150 °C, 24 h",
            id="filled",
        ),
        pytest.param(
            Sample(phase="crystalline", sinter_temp_c=1260.0, sinter_time_h=0.5),
            "sinter 1260 °C, 0.5 h; dense",
            id="dense",
        ),
        pytest.param(
            Sample(phase="glass_ceramic", synthesis="mechanochemical+anneal", press_mpa=360.0, heat_temp_c=250.0),
            "ball mill, then anneal; press at 360 MPa; heat at 250 °C; glass ceramic",
            id="glass ceramic",
        ),
        pytest.param(Sample(second_phase="PEO"), "with PEO", id="second phase"),
        pytest.param(Sample(sinter_temp_c=1284.85, rel_density_pct=96.5), "sinter 1285 °C; 96.5 % dense", id="density"),
        pytest.param(Sample(paper_id="p", phase="crystalline", sinter_temp_c=1200.0), "sinter 1200 °C", id="measured"),
        pytest.param(Sample(), "", id="nothing stated"),
    ],
)  # fmt: skip
def test_processing_is_told_in_one_line(sample: Sample, line: str) -> None:
    assert processing_line(sample) == line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.43e-3, "1.4×10⁻³"),
        (9.99e-4, "1.0×10⁻³"),
        (12.0, "1.2×10¹"),
        (0.0, "0"),
        (float("inf"), "–"),
        (float("nan"), "–"),
    ],
    ids=str,
)
def test_conductivities_read_as_chemists_write_them(value: float, text: str) -> None:
    assert wording.scientific(value) == text


def test_prose_links_dois_and_leaves_them_whole() -> None:
    html = wording.prose("1.2e-05 S/cm, Na3PS4 (A, doi:10.1002/(SICI)1097-4628. Then sinter_temp_c 1300")
    assert '<a href="https://doi.org/10.1002/(SICI)1097-4628" rel="noopener">doi:10.1002/(SICI)1097-4628</a>' in html
    assert "Na<sub>3</sub>PS<sub>4</sub>" in html
    assert html.startswith("1.2×10⁻⁵\u00a0S/cm")
    assert "sintering temperature (°C) 1300" in html


def test_every_citation_of_the_literature_keeps_its_text() -> None:
    for sample in load_table("literature"):
        assert Page(wording.cited(citation(sample))).text == citation(sample).replace("\u00a0", " ")


def test_measured_glass_is_called_by_its_batch(result: RunResult, tmp_path: Path) -> None:
    glass = next(s for s in measured_samples()[0] if s.modifier_mol_pct and "mol%" in s.label)
    first = result.batches[TITLES[0]].suggestions[0]
    suggestion = replace(first, neighbours=(Neighbour(glass, 0.1, citation(glass)),))
    write_report(tmp_path, replace(result, batches={"a": Batch("conductivity", "x", -2.0, (suggestion,))}))
    assert glass.label in read_page(tmp_path).text
