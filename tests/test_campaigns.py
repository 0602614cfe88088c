"""Promises of campaigns: the same next suggestion anywhere, every rule kept and shown, results whole or refused."""

# ruff: noqa: PD011 - the values of an experiment are no frame

from __future__ import annotations

import itertools
import json
import math
import uuid
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nascreen
from nascreen import optimizer
from nascreen.campaign_figures import best_so_far, progress_figure, random_search, write_figures
from nascreen.campaigns import Campaign, Constraint, Objective
from nascreen.errors import (
    ConflictError,
    InputError,
    IntegrityError,
    MissingExtraError,
    RangeError,
    TableError,
    UnknownNameError,
)
from nascreen.goals import check_bounds, column_of, read_constraint
from nascreen.models import load_models
from nascreen.pools import PRIOR, Pool, read_pool
from nascreen.records import Sample
from nascreen.spaces import generate

SETTINGS = list(itertools.product((1000, 1100, 1200, 1300), (2, 6, 12), ("mill", "sol gel")))
GRID = {
    "sinter_temp_c": [temp for temp, _, _ in SETTINGS],
    "time_h": [time for _, time, _ in SETTINGS],
    "route": [route for _, _, route in SETTINGS],
}
FORMULAS = (
    "Na3Zr2Si2PO12",
    "Na3.2Zr2Si2.2P0.8O12",
    "Na3.4Zr2Si2.4P0.6O12",
    "Na3.1Zr1.9Mg0.05Si2PO12",
    "Na3.3Zr1.7Sc0.3Si2PO12",
)
DENSITY = Objective("rel_density_pct")
Maker = Callable[..., Campaign]


def _row(row: tuple[int, int, str]) -> dict[str, Any]:
    return dict(zip(GRID, row, strict=True))


def _density(values: Mapping[str, Any]) -> float:
    return 96 - ((values["sinter_temp_c"] - 1210) / 40) ** 2 - abs(math.log(values["time_h"] / 6))


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    def made(
        pool: object = GRID, objectives: Any = (DENSITY,), name: str = "c", store: str = "lab", **options: Any
    ) -> Campaign:
        return Campaign.create(f"sqlite:///{tmp_path / store}.db", name, pool, list(objectives), **options)

    return made


def _run(campaign: Campaign, n: int) -> list[int | None]:
    """Ask and tell some samples, of which one fails; return the candidates in order."""
    for i in range(n):
        (one,) = campaign.ask(1)
        if i == 2:
            campaign.fail(one.id, "cracked")
        else:
            campaign.tell(one.id, {"rel_density_pct": _density(one.values)}, {"rel_density_pct": 0.3})
    return [s.candidate for s in campaign.state().suggestions]


# ---------------------------------------------------------------- the same anywhere


def test_the_package_offers_campaigns_by_name() -> None:
    assert nascreen.Campaign is Campaign
    assert nascreen.Objective is Objective
    with pytest.raises(AttributeError, match="no attribute 'Champagne'"):
        _ = nascreen.Champagne  # type: ignore[attr-defined]


def test_the_same_history_and_seed_give_the_same_next_suggestion_in_another_store(make: Maker, tmp_path: Path) -> None:
    first, second = make(seed=3, acquisition="thompson"), make(seed=3, acquisition="thompson", store="other", name="d")
    assert _run(first, 6) == _run(second, 6)
    reopened = Campaign.open(f"sqlite:///{tmp_path / 'lab'}.db")
    (here,), (there,) = reopened.ask(1), second.ask(1)
    assert (here.values, here.prediction) == (there.values, there.prediction)


def test_another_seed_gives_another_draw(make: Maker) -> None:
    runs = {tuple(_run(make(seed=seed, acquisition="thompson", name=f"c{seed}"), 6)) for seed in range(2)}
    assert len(runs) > 1


def test_a_request_asked_again_returns_the_same_suggestions(make: Maker) -> None:
    campaign = make()
    first = campaign.ask(3, request_key="monday")
    campaign.tell(first[0].id, {"rel_density_pct": 90.0})
    again = campaign.ask(3, request_key="monday")
    assert [one.id for one in again] == [one.id for one in first]
    assert again[0].results == {"rel_density_pct": 90.0}
    with pytest.raises(ConflictError, match="belongs to an ask for 3, not 2"):
        campaign.ask(2, request_key="monday")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="without a rule"),
        pytest.param({"fixed": {"sinter_temp_c": 1200}}, id="another value fixed"),
        pytest.param({"fixed": {"sinter_temp_c": 1100}, "forbid": "time_h > 8"}, id="one more rule"),
        pytest.param({"prefer": "sinter_temp_c = 1100"}, id="preferred and not fixed"),
    ],
)
def test_a_request_key_with_other_rules_is_refused(make: Maker, options: dict[str, Any]) -> None:
    campaign = make()
    first = campaign.ask(1, request_key="monday", fixed={"sinter_temp_c": 1100})
    assert campaign.ask(1, request_key="monday", fixed={"sinter_temp_c": 1100}) == first
    with pytest.raises(
        ConflictError, match=r"'monday' belongs to an ask with 'sinter_temp_c = 1100 fixed', not .*new key"
    ):
        campaign.ask(1, request_key="monday", **options)
    assert len(campaign.experiments()) == 1


def test_nothing_is_handed_out_twice_to_many_at_once_until_all_is(make: Maker, tmp_path: Path) -> None:
    make()

    def ask(_: int) -> list[int]:
        return [one.id for one in Campaign.open(f"sqlite:///{tmp_path / 'lab'}.db").ask(2)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(12)))
    state = Campaign.open(f"sqlite:///{tmp_path / 'lab'}.db").state()
    assert sorted(s.candidate or 0 for s in state.suggestions) == list(range(len(SETTINGS)))
    with pytest.raises(
        InputError, match=r"No candidate is left: Of 24 candidates 24 are told or being made; 0 are left\. Widen"
    ):
        ask(0)


def test_a_campaign_finds_the_best_settings_sooner_than_chance(make: Maker) -> None:
    campaign = make(goal="best")
    _run(campaign, 10)
    top = sorted((_density(_row(row)) for row in SETTINGS), reverse=True)
    best = campaign.best()
    assert best is not None
    assert best.results["rel_density_pct"] == pytest.approx(top[0])


# ---------------------------------------------------------------- rules


@dataclass(frozen=True)
class Request:
    n: int
    n_told: int
    is_shared: bool
    is_distinct: bool
    forbid: str | None
    fixed: Mapping[str, Any]


REQUESTS = st.builds(
    Request, n=st.integers(1, 5), n_told=st.integers(0, 4), forbid=st.sampled_from([None, "time_h > 10"]),
    fixed=st.sampled_from([{}, {"route": "mill"}, {"sinter_temp_c": 1100.0}]),
)  # fmt: skip


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_=REQUESTS)
def test_every_suggestion_keeps_every_rule_and_says_so(make: Maker, request_: Request) -> None:
    r = request_
    rules = {"shared": ["sinter_temp_c"] * r.is_shared, "distinct": ["time_h", "route"] * r.is_distinct}
    campaign = make(name=f"c{uuid.uuid4().hex}", **rules)
    _run(campaign, r.n_told)
    before = {s.candidate for s in campaign.state().suggestions}
    batch = campaign.ask(r.n, fixed=r.fixed, forbid=r.forbid)
    assert 1 <= len(batch) <= r.n
    rows = [s.candidate for s in campaign.state().suggestions[-len(batch) :]]
    assert len({*rows} - before) == len(batch)
    assert not r.is_shared or len({one.values["sinter_temp_c"] for one in batch}) == 1
    assert not r.is_distinct or len({(one.values["time_h"], one.values["route"]) for one in batch}) == len(batch)
    for one in batch:
        assert all(one.values[column] == value for column, value in r.fixed.items())
        assert r.forbid is None or one.values["time_h"] in {2, 6}
        said = "; ".join(one.checks)
        assert ("sinter_temp_c of the whole batch" in said) == r.is_shared
        assert ("only one of its time_h and route" in said) == r.is_distinct
        assert ("not forbidden by 'time_h > 10'" in said) == (r.forbid is not None)
        assert all(f"has {column} = {value}" in said for column, value in r.fixed.items())


def test_a_choice_that_breaks_a_rule_is_handed_to_nobody(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = make()
    matches = Pool.matches
    monkeypatch.setattr(Pool, "matches", lambda pool, rule: ~matches(pool, rule))
    rules = campaign._rules({}, "time_h > 5", None)
    monkeypatch.setattr(type(rules), "forbidden", lambda _, n: np.zeros(n, dtype=bool))
    with pytest.raises(IntegrityError, match="does not hold the rule 'is not forbidden by 'time_h > 5''; nothing was"):
        campaign.ask(20, forbid="time_h > 5")
    assert campaign.experiments() == ()


def test_preferred_candidates_come_first_and_others_when_they_run_out(make: Maker) -> None:
    campaign = make(distinct=["time_h"])
    # The best of all have the time of the preferred one, which a batch holds once.
    campaign.attach([_row(row) | {"rel_density_pct": 99.0 if row[1] == 6 else 50.0} for row in SETTINGS[:9]])
    batch = campaign.ask(3, prefer=lambda values: values == _row((1300, 6, "mill")))
    assert batch[0].values == _row((1300, 6, "mill"))
    assert sorted(one.values["time_h"] for one in batch) == [2, 6, 12]  # type: ignore[type-var]


def test_a_space_checks_its_candidates_again(make: Maker) -> None:
    campaign = make("thioborate", [Objective("log_conductivity")], n=40, seed=1)
    (one,) = campaign.ask(1)
    assert "keeps every rule of the space thioborate, charge balance with them" in one.checks
    with pytest.raises(nascreen.errors.NascreenError, match="breaks a rule that all candidates keep"):
        campaign.pool.check({**one.values, "formula": "Na4BS3"})


def test_optuna_is_another_engine_behind_the_same_ask_and_tell(make: Maker) -> None:
    rules = {"constraints": ["strength_mpa >= 40"], "distinct": ["time_h"], "engine": "optuna_tpe", "seed": 2}
    first, second = make(**rules), make(store="other", **rules)
    for campaign in (first, second):
        for _ in range(5):
            batch = campaign.ask(2, forbid='route = "mill" AND time_h = 2')
            assert len({one.values["time_h"] for one in batch}) == 2
            assert all("not forbidden by" in "; ".join(one.checks) for one in batch)
            assert batch[0].reasons[0] == "Chosen by the engine optuna_tpe of Optuna, which predicts nothing."
            campaign.fail(batch[1].id, "cracked")
            campaign.tell(batch[0].id, {"rel_density_pct": _density(batch[0].values), "strength_mpa": 41.0})
    asked = [s.candidate for s in first.state().suggestions]
    assert asked == [s.candidate for s in second.state().suggestions]
    assert len(set(asked)) == 10


@pytest.mark.parametrize(
    ("engine", "error", "words"),
    [
        pytest.param(
            "botorch", InputError, "engine is 'botorch'; allowed are own, optuna_tpe and optuna_gp", id="unknown"
        ),
        pytest.param(
            "optuna_gp", MissingExtraError, r"optuna_gp needs more packages; .* nascreen\[train\] torch", id="torch"
        ),
    ],
)
def test_an_engine_that_is_not_there_is_said(
    make: Maker, monkeypatch: pytest.MonkeyPatch, engine: str, error: type[Exception], words: str
) -> None:
    monkeypatch.setattr("nascreen.optuna_engine.find_spec", lambda _: None)
    with pytest.raises(error, match=words):
        make(engine=engine)


def test_optuna_finds_good_settings_sooner_than_chance(make: Maker) -> None:
    # The middle settings are best along every column, among 343.
    axis = [i / 6 for i in range(7)]
    rows = [dict(zip("xyz", row, strict=True)) for row in itertools.product(axis, axis, axis)]
    truth = [sum((v - 0.5) ** 2 for v in row.values()) for row in rows]
    campaign = make(rows, [Objective("loss", "min")], engine="optuna_tpe")
    for _ in range(30):
        (one,) = campaign.ask(1)
        campaign.tell(one.id, {"loss": sum((one.values[c] - 0.5) ** 2 for c in "xyz")})  # type: ignore[operator, misc]
    found = [one.results["loss"] for one in campaign.experiments()]
    assert np.mean(found[15:]) < 0.6 * np.mean(truth)


def test_costs_make_cheap_candidates_of_equal_use_come_first(make: Maker) -> None:
    table = {"x": list(range(8)), "cost_eur": [9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 0.01, 9.0]}
    campaign = make(table, [Objective("y")], cost="cost_eur")
    campaign.attach({"x": [0, 1], "y": [1.0, 1.1]})
    assert campaign.ask(1)[0].values["cost_eur"] == 0.01
    assert "cost_eur" not in campaign.pool.inputs


# ---------------------------------------------------------------- reasons


def test_reasons_give_prediction_shares_pending_neighbours_and_cuts(make: Maker) -> None:
    campaign = make()
    _run(campaign, 6)
    waiting = campaign.ask(1)[0]
    (one,) = campaign.ask(1, forbid="route = 'mill'".replace("'", '"'))
    text = "\n".join(one.reasons)
    predicted = one.prediction["rel_density_pct"]
    assert predicted.lo < predicted.mean < predicted.hi <= 100
    assert f"Predicted rel_density_pct {predicted.mean:.4g} %" in text
    assert one.exploration_share is not None
    assert f"{100 * one.exploration_share:.0f} % of its expected gain is owed to uncertainty (exploration)" in text
    assert f"counted as measured: #{waiting.id}." in text
    assert "Nearest of the campaign: #" in text
    assert "Of 24 candidates 7 are told or being made and forbidden by 'route = \"mill\"' cuts" in text
    assert campaign.experiment(one.id).reasons == one.reasons


def test_a_failure_makes_its_neighbourhood_less_likely_to_succeed(make: Maker) -> None:
    campaign = make()
    campaign.attach([_row(row) | {"failure": "melted"} for row in SETTINGS if row[0] == 1300][:4])
    campaign.attach([_row(row) | {"rel_density_pct": 90} for row in SETTINGS if row[0] == 1000][:4])
    hot, cold = (campaign.ask(1, fixed={"sinter_temp_c": temp})[0].feasibility or 0 for temp in (1300, 1000))
    assert hot < 0.4
    assert cold > 0.6


def _feasibility(campaign: Campaign) -> dict[int, float]:
    state = campaign.state()
    worth = optimizer._Worth(campaign.problem(state, campaign.table(state)), "top_probability")
    found = worth.log_feasibility(worth.candidates)
    return dict(zip(worth.candidates.rows.tolist(), found.tolist(), strict=True))


def test_what_is_not_measured_yet_makes_no_prediction_surer(make: Maker) -> None:
    told = [_row(row) | {"rel_density_pct": 90 + i, "strength_mpa": 35 + 2 * i} for i, row in enumerate(SETTINGS[:6])]
    here = _row((1200, 6, "mill"))
    seen, feasible = [], []
    for name in ("without", "with"):
        campaign = make(name=name, constraints=["strength_mpa >= 42"])
        campaign.attach(told)
        if name == "with":
            near = campaign.ask(5, fixed={"sinter_temp_c": 1200}, forbid='time_h = 6 AND route = "mill"')
            for one in near[:3]:
                campaign.tell(one.id, {"rel_density_pct": 92.0})
        feasible.append(_feasibility(campaign))
        (one,) = campaign.ask(1, fixed=here)
        seen.append((*astuple(one.prediction["strength_mpa"]), one.feasibility))
    assert seen[0] == pytest.approx(seen[1])
    assert {row: feasible[0][row] for row in feasible[1]} == pytest.approx(feasible[1])
    (waiting,) = campaign.ask(1, fixed={"sinter_temp_c": 1300})
    campaign.ask(4, fixed={"sinter_temp_c": 1300})
    campaign.abandon(waiting.id)
    again = campaign.ask(1, fixed=dict(waiting.values))[0]
    assert astuple(again.prediction["rel_density_pct"]) == pytest.approx(astuple(waiting.prediction["rel_density_pct"]))


def test_a_stated_uncertainty_reaches_the_optimizer_as_a_variance(make: Maker) -> None:
    campaign = make()
    campaign.attach([_row(SETTINGS[0]) | {"rel_density_pct": 90, "rel_density_pct_sd": 0.3}])
    state = campaign.state()
    problem = campaign.problem(state, campaign.table(state))
    assert problem.variances is not None
    assert problem.variances.tolist() == [[pytest.approx(0.09)]]


def test_neighbours_are_named_with_their_citation(make: Maker) -> None:
    samples = [Sample(formula=f) for f in FORMULAS]
    campaign = make(samples, [Objective("log_conductivity")])
    past = Sample(
        formula="Na3.2Zr2Si2.2P0.8O12", conductivity_s_cm=1e-3, first_author="J. Yang", journal="Ionics", year=2019
    )
    (known,) = campaign.attach([past])
    assert known.results == {"log_conductivity": -3.0}
    text = "\n".join(campaign.ask(1)[0].reasons)
    assert "log_conductivity -3; J. Yang et al., Ionics (2019)" in text
    assert "Nearest measured elsewhere: Na" in text
    assert campaign.state().suggestions[0].candidate == 1


def test_before_any_result_a_prediction_is_as_unsure_as_the_literature_model(make: Maker) -> None:
    campaign = make(generate("thioborate", 60, 0), [Objective("log_conductivity")])
    asked = campaign.ask(1)[0]
    sample = campaign.pool.sample(asked.values)
    assert sample is not None
    said = load_models().predict([sample])[0]
    own = asked.prediction["log_conductivity"]
    expected = np.log10([said.conductivity_s_cm, said.conductivity_lo, said.conductivity_hi])
    np.testing.assert_allclose([own.mean, own.lo, own.hi], expected, rtol=1e-5)
    campaign.tell(asked.id, {"log_conductivity": own.mean})
    after = campaign.ask(1)[0].prediction["log_conductivity"]
    assert after.hi - after.lo != pytest.approx(own.hi - own.lo)


def test_two_results_that_happen_to_be_alike_do_not_make_the_third_sure(make: Maker) -> None:
    formulas = ("Na3Zr2Si2PO12", "Na3.2Zr1.9Sc0.1Si2PO12", "Na3.4Sc0.4Zr1.6Si2PO12")
    campaign = make([{"formula": f, "temp": t} for f in formulas for t in (1000, 1100, 1200)],
                    [Objective("log_conductivity")])  # fmt: skip
    for value in (-3.30, -3.31):
        campaign.tell(campaign.ask(1)[0].id, {"log_conductivity": value})
    said = campaign.ask(1)[0].prediction["log_conductivity"]
    assert said.hi - said.lo > 0.4
    assert campaign.outlook(n=1, gain=0.3)[0].probability_of_gain > 0.02


@pytest.mark.parametrize("formula", ["Na3Zr2Si2PO12", "Na3.4Zr1.8Lu0.2Si2.2P0.8O12"], ids=["trusted", "unseen-element"])
def test_a_prior_that_does_not_trust_itself_says_so(make: Maker, formula: str) -> None:
    campaign = make([{"formula": formula}, {"formula": "Na1Zr2P3O12"}], [Objective("log_conductivity")])
    asked = next(s for s in campaign.ask(2) if s.values["formula"] == formula)
    doubts = [text for text in asked.reasons if text.startswith("The literature model does not trust itself here")]
    assert doubts == ([] if formula == "Na3Zr2Si2PO12" else [doubts[0]])
    assert all("never seen in the data: Lu" in text for text in doubts)


def test_the_literature_is_the_prior_mean_and_its_weight_is_learned(make: Maker) -> None:
    samples = generate("thioborate", 60, 0)
    campaign = make(samples, [Objective("log_conductivity")])
    prior = np.array(campaign.pool.columns[PRIOR + "log_conductivity"], dtype=float)
    rows = [
        {**campaign.pool.shown_values(campaign.pool.values(i)), "log_conductivity": -9 - prior[i]} for i in range(25)
    ]
    campaign.attach(rows)
    wrong = next(text for text in campaign.ask(1)[0].reasons if text.startswith("The prior mean"))
    assert float(wrong.split()[-1].rstrip(".")) < 0.3
    assert all(not name.startswith(PRIOR) for name in campaign.ask(1)[0].values)


# ---------------------------------------------------------------- telling


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        pytest.param({"density": 95.0}, {}, "'density', which is no property .* it has rel_density_pct", id="unknown"),
        pytest.param(
            {"rel_density_pct": 9500.0},
            {},
            "rel_density_pct = 9500; allowed is a number above 0 and up to 100 %",
            id="bounds",
        ),
        pytest.param({"rel_density_pct": "95"}, {}, "is '95'; give a number", id="text"),
        pytest.param({"rel_density_pct": math.nan}, {}, "is 'nan'; give a finite number", id="nan"),
        pytest.param(
            {"rel_density_pct": 95.0}, {"rel_density_pct": -1.0}, "give a standard deviation of at least 0", id="error"
        ),
        pytest.param([95.0], {}, "give tables of property names and numbers", id="list"),
    ],
)
def test_results_that_cannot_be_are_refused(make: Maker, values: Any, error: Any, words: str) -> None:
    campaign = make()
    (one,) = campaign.ask(1)
    with pytest.raises(InputError, match=words):
        campaign.tell(one.id, values, error)
    assert campaign.experiment(one.id).status == "pending"


def test_a_logarithm_is_bounded_as_its_quantity() -> None:
    with pytest.raises(RangeError, match=r"log_conductivity = 2\.7 as the logarithm of conductivity_s_cm; allowed"):
        check_bounds("log_conductivity", 2.7, "it")
    check_bounds("log_conductivity", -2.7, "it")
    assert column_of("log_ea") is not None
    assert column_of("log_meas_temp") is None


def test_partial_results_complete_each_other_and_corrections_keep_the_past(make: Maker) -> None:
    campaign = make(constraints=[Constraint("strength_mpa", lower=40)])
    (one,) = campaign.ask(1)
    campaign.tell(one.id, {"rel_density_pct": 90.0}, author="Ann")
    whole = campaign.tell(one.id, {"strength_mpa": 35.0}, {"strength_mpa": 2.0}, author="Bob", note="two bars")
    assert (whole.results, whole.error, whole.note) == (
        {"rel_density_pct": 90.0, "strength_mpa": 35.0},
        {"strength_mpa": 2.0},
        "two bars",
    )
    assert campaign.best() is None
    with pytest.raises(ConflictError, match=r"has 'strength_mpa' = 35\.0 ± 2\.0 already, not 45"):
        campaign.tell(one.id, {"strength_mpa": 45.0})
    campaign.correct(one.id, {"strength_mpa": 45.0}, author="Bob", reason="wrong bar")
    best = campaign.best()
    assert best is not None
    assert best.results["strength_mpa"] == 45.0
    assert [event.kind for event in campaign.history()] == ["asked", "told", "told", "noted", "corrected"]


def test_a_candidate_given_back_may_be_asked_again_and_a_failed_one_not(make: Maker) -> None:
    campaign = make({"x": [1, 2]}, [Objective("y")])
    first, second = campaign.ask(2)
    campaign.fail(first.id, "cracked")
    campaign.abandon(second.id, "no powder")
    (again,) = campaign.ask(2)
    assert again.values == second.values
    assert campaign.reopen(first.id, author="Ann", reason="other pellet").status == "pending"
    with pytest.raises(UnknownNameError, match="There is no suggestion '99'"):
        campaign.experiment(99)


def test_past_results_are_learned_from_once_and_their_candidates_are_taken(make: Maker, tmp_path: Path) -> None:
    campaign = make()
    path = tmp_path / "past.csv"
    head = "sinter_temp_c,time_h,route,rel_density_pct,rel_density_pct_sd,failure,source"
    rows = ["1200,6,mill,95,0.5,,notebook 3", "1200,6,mill,94,,,", "1250,6,mill,,,melted,"]
    path.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    attached = campaign.attach(path)
    assert [one.id for one in campaign.attach(path)] == [one.id for one in attached]
    assert attached[0].source == "notebook 3"
    assert [s.candidate for s in campaign.state().suggestions] == [SETTINGS.index((1200, 6, "mill"))] * 2 + [None]
    best = campaign.best()
    assert best is not None
    assert best.results == {"rel_density_pct": 94.5}
    assert {(1200, 6, "mill")}.isdisjoint(tuple(one.values.values()) for one in campaign.ask(23))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(
            {"sinter_temp_c": 1200, "y": 1}, "Row 1 of the past results has the column 'y'; allowed are", id="column"
        ),
        pytest.param(
            {"sinter_temp_c": "hot", "rel_density_pct": 90}, "sinter_temp_c = 'hot'; give a number", id="cell"
        ),
        pytest.param({"rel_density_pct": 90}, "says nothing of the candidate", id="nothing"),
        pytest.param({"sinter_temp_c": 1200}, "neither a result nor a failure", id="no-result"),
    ],
)
def test_past_results_that_cannot_be_used_are_refused(make: Maker, row: dict[str, Any], words: str) -> None:
    campaign = make()
    with pytest.raises(InputError, match=words):
        campaign.attach([row])
    assert campaign.experiments() == ()


# ---------------------------------------------------------------- what stands


def test_the_front_holds_what_nothing_told_beats_and_no_broken_constraint(make: Maker) -> None:
    campaign = make({"x": list(range(9))}, [Objective("gain"), Objective("cost", "min")], constraints=["gain <= 8"])
    told = [(1, 1.0, 1.0), (2, 2.0, 2.0), (3, 1.5, 3.0), (4, 9.0, 0.5), (5, 3.0, None)]
    campaign.attach([{"x": x, "gain": g, "cost": c} for x, g, c in told])
    assert [one.values["x"] for one in campaign.pareto()] == [1, 2]
    assert len(campaign.ask(2)) == 2
    with pytest.raises(InputError, match=r"several objectives \(gain and cost\), so there is a front and no best"):
        campaign.best()
    forecast = campaign.outlook(2)
    assert [promise.name for promise in forecast] == ["gain", "cost"]


def test_the_outlook_is_a_plain_sentence_of_its_numbers(make: Maker) -> None:
    campaign = make(FORMULA_POOL, [Objective("log_conductivity")], prior="none")
    with pytest.raises(TableError, match="Nothing is told of 'log_conductivity'"):
        campaign.outlook()
    campaign.attach([{"formula": f, "log_conductivity": -3 - 0.1 * i} for i, f in enumerate(FORMULAS[:3])])
    (promise,) = forecast = campaign.outlook(2)
    assert (promise.best, promise.gain) == (-3.0, 0.3)
    assert str(forecast) == promise.sentence
    gain = f"{promise.expected_gain:.2g}"
    assert f"best told -3; another batch of 2 is expected to gain {gain} decades" in promise.sentence
    assert "chance that any untested candidate gains 0.3 decades." in promise.sentence
    assert promise.sentence.endswith(" With 3 values told, this says little.")
    campaign.attach([{"formula": FORMULAS[3], "log_conductivity": -3.4}])
    assert campaign.outlook(2)[0].sentence.endswith("chance that any untested candidate gains 0.3 decades.")


FORMULA_POOL = {"formula": list(FORMULAS)}


# ---------------------------------------------------------------- pools


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(GRID, id="columns"),
        pytest.param([_row(row) for row in SETTINGS], id="rows"),
        pytest.param(pd.DataFrame(GRID), id="frame"),
    ],
)
def test_any_table_is_a_pool(source: object, tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    pd.DataFrame(GRID).to_csv(path, index=False, sep=";")
    for pool in (read_pool(source), read_pool(path)):
        assert dict(pool.columns) == GRID
        assert pool.kinds == {"sinter_temp_c": "numeric", "time_h": "numeric", "route": "categorical"}
    assert pool.formula_column is None


def test_a_space_gives_no_sample_twice_though_its_routes_differ_in_what_a_sample_does_not_hold() -> None:
    pool = read_pool("nasicon-wide", n=500)
    assert len({pool.key(pool.values(row)) for row in range(len(pool))}) == len(pool) > 450


def test_a_large_space_is_drawn_from() -> None:
    pool = read_pool("nasicon-wide", n=30, seed=2)
    assert len(pool) == 30
    assert pool.kinds["formula"] == "formula"
    assert pool.check(pool.values(0)).startswith("keeps every rule of the space nasicon-wide")


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        pytest.param("nowhere", {}, "There is no pool 'nowhere'; give a table, .* nasicon", id="name"),
        pytest.param([], {}, "The pool is empty", id="empty"),
        pytest.param({"x": [1], "y": [1, 2]}, {}, "column 'y' of the pool has 2 rows and 'x' has 1", id="ragged"),
        pytest.param(
            [{f"x{i}": i} for i in range(300)],
            {},
            "rows have 300 different columns; allowed are 250",
            id="columns-of-rows",
        ),
        pytest.param({"x": [1, 2], "X": [1, 2]}, {}, "columns 'x' and 'X' of the pool are too alike", id="alike"),
        pytest.param({"x [h]": [1, 2]}, {}, r"is named 'x \[h\]'; allowed", id="brackets"),
        pytest.param({"x": [1, 2]}, {"kinds": {"x": "odd"}}, "said to be 'odd'; allowed is one of numeric", id="kind"),
        pytest.param(
            {"x": [1, 2]}, {"kinds": {"y": "label"}}, "no column 'y' in the pool; it has 'x'", id="kind-column"
        ),
        pytest.param({"x": [1, 2]}, {"n": 1}, "A number of candidates is for spaces", id="n"),
        pytest.param(
            {"x": [f"t{i}" for i in range(300)]}, {}, "more than 200 different texts; say that it is a label", id="ids"
        ),
        pytest.param(
            {"a": ["NaCl"], "formula": ["NaCl"]},
            {"kinds": {"a": "formula"}},
            "formula columns 'a', 'formula'",
            id="two",
        ),
        pytest.param(7, {}, "The pool is '7'; give a table", id="number"),
        pytest.param([7], {}, "A row of the pool is '7'", id="row"),
    ],
)
def test_a_pool_that_cannot_be_used_is_refused(source: object, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_pool(source, **options)


def test_filters_name_columns_elements_and_functions() -> None:
    pool = read_pool(
        {"formula": [*FORMULAS], "Sinter temp": [1000, 1100, None, 1250, 1300], "dry": [True, False, True, True, None]}
    )
    assert pool.matches('elements HAS "Mg" OR elements HAS "Sc"').tolist() == [False, False, False, True, True]
    assert pool.matches("sinter_temp > 1050 AND nelements = 5").tolist() == [False, True, False, False, False]
    assert pool.matches("sinter_temp IS UNKNOWN").tolist() == [False, False, True, False, False]
    assert pool.matches('formula STARTS WITH "Na3.2"').tolist() == [False, True, False, False, False]
    assert pool.matches("dry = TRUE").tolist() == [True, False, True, True, False]
    assert pool.matches("amount_na > 3.25").tolist() == [False, False, True, False, True]
    assert pool.matches(lambda values: values.get("Sinter temp") == 1000).sum() == 1
    assert pool.matches("").all()
    with pytest.raises(InputError, match="names sinter, which is no column"):
        pool.matches("sinter > 3")
    with pytest.raises(InputError, match="give a filter as text, or a function"):
        pool.matches(7)  # type: ignore[arg-type]


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"objectives": []}, "needs at least one objective", id="none"),
        pytest.param({"objectives": ["y"]}, r"An objective is 'y'; give Objective\(", id="no-objective"),
        pytest.param(
            {"objectives": [Objective("y", "most")]}, "mode of 'y' is 'most'; allowed are max, min, target", id="mode"
        ),
        pytest.param(
            {"objectives": [Objective("y", "target")]}, "target if, and only if, its mode is target", id="target"
        ),
        pytest.param({"objectives": [Objective("y"), Objective("y")]}, "named twice", id="twice"),
        pytest.param({"objectives": [Objective("y y")]}, "A property is named 'y y'", id="property"),
        pytest.param({"objectives": [Objective("time_h")]}, "'time_h' is a column of the pool too", id="clash"),
        pytest.param(
            {"constraints": ["strength > 4"]}, "write it such as 'strength_mpa >= 40', with >= or <=", id="constraint"
        ),
        pytest.param({"constraints": [Constraint("s", 5, 4)]}, "allows nothing between 5 and 4", id="limits"),
        pytest.param({"constraints": [Constraint("s")]}, "has no limit", id="no-limit"),
        pytest.param({"shared": ["furnace"]}, "'shared' names 'furnace', which is no column of the pool", id="shared"),
        pytest.param({"shared": "time_h"}, "'shared' is 'time_h'; give a list of names", id="shared-text"),
        pytest.param(
            {"cost": "route"}, "cost of candidate 0 is 'mill'; give every candidate a number above 0", id="cost"
        ),
        pytest.param({"prior": "folklore"}, "The prior is 'folklore'; allowed are auto, literature, none", id="prior"),
        pytest.param({"prior": "literature"}, "The literature predicts nothing of these candidates", id="literature"),
        pytest.param({"seed": -1}, "The seed is '-1'; allowed is a whole number from 0", id="seed"),
        pytest.param({"units": {"z": "mm"}}, "A unit is given for 'z', which is no property", id="unit-of"),
        pytest.param({"units": {"rel_density_pct": "ppm"}}, "has its own unit, %; leave the unit out", id="own-unit"),
        pytest.param({"measure": ["z"], "units": {"z": "[mm]"}}, "give a short text without", id="unit"),
        pytest.param({"budget": 5}, "has no option 'budget'; it has constraints", id="option"),
        pytest.param({"pool": {"x": [1, 1]}, "kinds": {}}, "No column of the candidates varies", id="constant"),
    ],
)
def test_a_campaign_that_cannot_be_is_refused_and_not_kept(
    make: Maker, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        make(**{"pool": GRID, **options})
    assert not (tmp_path / "lab.db").exists()


def test_constraints_may_be_written() -> None:
    assert read_constraint("ea_ev <= 0.3") == Constraint("ea_ev", None, 0.3)
    with pytest.raises(InputError, match=r"The constraint is 'x >= \.\.'"):
        read_constraint("x >= ..")


def test_a_store_with_several_campaigns_wants_a_name(make: Maker, tmp_path: Path) -> None:
    make(name="a")
    with pytest.raises(ConflictError, match="'a' exists already"):
        make(name="a")
    make(name="b")
    with pytest.raises(InputError, match="The store holds a and b; name one campaign of it"):
        Campaign.open(f"sqlite:///{tmp_path / 'lab'}.db")


def test_a_campaign_of_another_program_is_refused(make: Maker, tmp_path: Path) -> None:
    make().store.create_campaign("other", {"goal": "x"}, [{"x": 1}])
    with pytest.raises(ConflictError, match=r"'other' was not made by Campaign\.create of this version"):
        Campaign.open(f"sqlite:///{tmp_path / 'lab'}.db", "other")


# ---------------------------------------------------------------- leaving


def test_the_exports_hold_what_was_asked_and_told(make: Maker, tmp_path: Path) -> None:
    campaign = make()
    _run(campaign, 4)
    campaign.export(tmp_path / "c.csv")
    campaign.export(tmp_path / "c.json")
    table, records = pd.read_csv(tmp_path / "c.csv"), json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    told = [one.results.get("rel_density_pct") for one in campaign.experiments()]
    assert [None if math.isnan(v) else v for v in table["rel_density_pct"]] == told
    assert [record["results"].get("rel_density_pct") for record in records] == told
    assert table["status"].tolist() == ["told", "told", "failed", "told"]
    assert all(record["reasons"] and record["checks"] for record in records)
    with pytest.raises(TableError, match=r"must end in \.csv or \.json"):
        campaign.export(tmp_path / "c.txt")


def test_an_optuna_study_holds_values_directions_states_and_constraints(make: Maker, tmp_path: Path) -> None:
    campaign = make(objectives=[DENSITY, Objective("shrinkage", "min")], constraints=["strength_mpa >= 40"])
    batch = campaign.ask(4)
    campaign.tell(batch[0].id, {"rel_density_pct": 90.0, "shrinkage": 4.0, "strength_mpa": 30.0})
    campaign.tell(batch[1].id, {"rel_density_pct": 91.0})
    campaign.fail(batch[2].id, "cracked")
    campaign.abandon(batch[3].id)
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    campaign.export_optuna(url)
    study = optuna.load_study(study_name="c", storage=url)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [t.state.name for t in study.trials] == ["COMPLETE", "RUNNING", "FAIL"]
    assert (study.trials[0].values, study.trials[0].params) == ([90.0, 4.0], dict(batch[0].values))
    assert study.trials[0].system_attrs["constraints"] == [10.0]
    assert study.trials[2].user_attrs["failure"] == "cracked"
    with pytest.raises(ConflictError, match="has a study 'c' already"):
        campaign.export_optuna(url)


# ---------------------------------------------------------------- pictures


def test_the_pictures_show_progress_predictions_and_what_was_asked(make: Maker, tmp_path: Path) -> None:
    campaign = make()
    with pytest.raises(InputError, match="Nothing is told in the campaign 'c' yet"):
        write_figures(campaign, tmp_path / "c.html")
    _run(campaign, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_figures(campaign, tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    for title in ("Progress: rel_density_pct", "Predicted against told: rel_density_pct", "What was asked"):
        assert f"<h2>{title}</h2>" in page
    assert "24 candidates: 5 told, 1 failed, 0 pending." in page
    assert "https://" not in page[page.index("<body>") : page.index("<h2>")]
    with pytest.raises(InputError, match="cannot be written there"):
        write_figures(campaign, tmp_path / "no" / "c.html")


def test_random_search_is_seen_beside_a_single_result(make: Maker) -> None:
    campaign = make(GRID, [Objective("y")])
    campaign.tell(campaign.ask(1)[0].id, {"y": 1.0})
    band, median = progress_figure(campaign, Objective("y"), campaign.experiments()).data[:2]
    assert np.ptp(band.x) > 0
    assert np.ptp(median.x) > 0


def test_simulated_random_search_draws_from_told_values_and_reaches_the_best_of_all(make: Maker) -> None:
    campaign = make()
    campaign.attach([_row(row) | {"rel_density_pct": float(i)} for i, row in enumerate(SETTINGS, start=1)])
    searched = random_search(campaign, DENSITY, len(SETTINGS))
    assert (np.diff(searched, axis=1) >= 0).all()
    assert (searched[:, -1] == len(SETTINGS)).all()
    assert searched[:, 0].mean() == pytest.approx((len(SETTINGS) + 1) / 2, abs=2.5)


def test_the_best_so_far_begins_with_the_first_that_holds_the_constraints() -> None:
    best = best_so_far(np.array([5.0, 1.0, 3.0, 2.0]), [False, True, True, True])
    assert best.tolist()[1:] == [1.0, 3.0, 3.0]
    assert math.isnan(best[0])
