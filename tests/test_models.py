"""Promises of the promoted models: the promised bytes or none, one Arrhenius line, honest intervals and doubts."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nascreen import models as models_module
from nascreen.chemistry import FAMILIES
from nascreen.datasets import load_table, model_folder, sodium_conductivity_rows
from nascreen.errors import FormulaError, InputError, IntegrityError, RangeError
from nascreen.features import FEATURE_NAMES, feature_matrix
from nascreen.models import (
    GLASS,
    STRENGTH_FAMILIES,
    STRENGTH_FEATURES,
    ConductivityModel,
    Prediction,
    StrengthModel,
    card_hash,
    family_of_sample,
    load_models,
    models_in,
    nearest_distance,
    require_usable,
    strength_features,
)
from nascreen.physics import BOLTZMANN_EV_K
from nascreen.records import Sample
from nascreen.verdicts import reviewed_table

LITERATURE = sodium_conductivity_rows(reviewed_table("literature"))
SPREAD = [LITERATURE[i] for i in np.linspace(0, len(LITERATURE) - 1, 30).astype(int)]
NASICON = Sample(formula="Na3Zr2Si2PO12", phase="crystalline", sinter_temp_c=1200.0)
MODELS: dict[str, Callable[[Path], Any]] = {"conductivity": ConductivityModel, "strength": StrengthModel}
PROMISED = [
    (folder, file)
    for folder in MODELS
    for file in json.loads((model_folder() / folder / "card.json").read_text(encoding="utf-8"))["files"]
]
VALUES = ("conductivity_s_cm", "ea_ev", "strength_mpa", "conductivity_25_s_cm")
LIMITS = ("conductivity_lo", "conductivity_hi", "ea_lo", "ea_hi", "strength_lo", "strength_hi", "distance")


def _predict(sample: Sample) -> Prediction:
    (prediction,) = load_models().predict([sample])
    return prediction


def _width(prediction: Prediction) -> float:
    """Decades from the lower to the upper end of the conductivity's interval."""
    return math.log10(prediction.conductivity_hi / prediction.conductivity_lo)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder(), tmp_path / "models"))


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(path: Path, **_: object) -> None:
        pytest.fail(f"onnxruntime was given {path.name} of a damaged model")

    monkeypatch.setattr(models_module, "_session", opened)


def _edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    change(card)
    # Sealed anew, so that what is tested is what the change itself leads to.
    del card["card_sha256"]
    card["card_sha256"] = card_hash(card)
    path.write_text(json.dumps(card), encoding="utf-8")


# ---------------------------------------------------------------- the promised bytes


def test_the_cards_promise_every_file_that_is_opened() -> None:
    assert set(PROMISED) == {
        ("conductivity", "process.onnx"),
        ("conductivity", "trees.onnx"),
        ("conductivity", "domain.npz"),
        ("strength", "law.onnx"),
    }


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize(("folder", "file"), PROMISED, ids=[file for _, file in PROMISED])
def test_one_changed_byte_anywhere_is_refused_before_anything_is_opened(copy: Path, folder: str, file: str) -> None:
    path = copy / folder / file
    sound = path.read_bytes()
    draw = random.Random(file)
    for _ in range(15):
        damaged = bytearray(sound)
        damaged[draw.randrange(len(sound))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match=rf"The file {file} in .* has the sha256 .* was promised; restore"):
            MODELS[folder](copy / folder)


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize(("folder", "file"), PROMISED, ids=[file for _, file in PROMISED])
@pytest.mark.parametrize("damage", ["missing", "cut", "longer", "empty"])
def test_a_file_that_is_missing_or_of_another_length_is_refused(
    copy: Path, folder: str, file: str, damage: str
) -> None:
    path = copy / folder / file
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-1], "longer": data + b"\0", "empty": b""}[damage])
    with pytest.raises(IntegrityError, match=f"The file {file} in "):
        MODELS[folder](copy / folder)


def test_models_together_refuse_a_damaged_part(copy: Path) -> None:
    path = copy / "strength" / "law.onnx"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(IntegrityError, match=r"The file law\.onnx in .* has the sha256"):
        models_in(copy)


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("folder", MODELS)
@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "null", '"card"', "{}", '{"files": null}', '{"files": 3}', '{"files": "ab"}', "\ud800"],
    ids=["missing", "empty", "cut", "list", "null", "text", "no files", "null files", "number", "letters", "surrogate"],
)
def test_a_missing_or_garbled_card_is_refused(copy: Path, folder: str, text: str | None) -> None:
    path = copy / folder / "card.json"
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(IntegrityError, match=rf"The card {folder}/card\.json cannot be read"):
        MODELS[folder](copy / folder)


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize(("folder", "file"), PROMISED, ids=[file for _, file in PROMISED])
def test_a_card_that_does_not_promise_a_file_is_refused(copy: Path, folder: str, file: str) -> None:
    _edit_card(copy / folder, lambda card: card["files"].pop(file))
    with pytest.raises(IntegrityError, match=rf"The card {folder}/card\.json"):
        MODELS[folder](copy / folder)


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("folder", ["conductivity", "strength"], ids=str)
def test_a_card_with_one_changed_number_is_refused(copy: Path, folder: str) -> None:
    path = copy / folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["n_rows"] += 1
    path.write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(IntegrityError, match=rf"The card {folder}/card\.json is not the one that was written"):
        MODELS[folder](copy / folder)


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("change", [lambda card: card["features"].reverse(), lambda card: card.pop(GLASS)],
                         ids=["other features", "no glasses"])  # fmt: skip
def test_a_card_of_another_version_is_refused(copy: Path, change: Callable[[dict[str, Any]], object]) -> None:
    _edit_card(copy / "conductivity", change)
    with pytest.raises(IntegrityError, match="written by another version of nascreen"):
        ConductivityModel(copy / "conductivity")


def test_the_shipped_cards_match_the_code_that_reads_them() -> None:
    card = load_models().conductivity.card
    assert tuple(card["features"]) == FEATURE_NAMES
    assert tuple(card["families"]) == FAMILIES
    assert load_models().strength.card["name"] == "strength"


def test_a_sound_copy_elsewhere_predicts_the_same(copy: Path) -> None:
    assert models_in(copy).predict([NASICON]) == load_models().predict([NASICON])


def test_models_are_loaded_once() -> None:
    assert load_models() is load_models()


# ---------------------------------------------------------------- one line


@pytest.mark.parametrize("sample", SPREAD, ids=lambda sample: sample.sample_id)
def test_conductivity_at_any_temperature_and_ea_lie_on_one_line(sample: Sample) -> None:
    temps_c = np.array([-40.0, 0.0, 25.0, 120.0, 400.0])
    predictions = load_models().predict([replace(sample, meas_temp_c=float(t)) for t in temps_c])
    sigma = np.array([p.conductivity_s_cm for p in predictions])
    at_25 = predictions[2].conductivity_s_cm
    ea = predictions[0].ea_ev
    kelvin = temps_c + 273.15
    expected = at_25 * np.exp(-ea / BOLTZMANN_EV_K * (1 / kelvin - 1 / 298.15))
    np.testing.assert_allclose(sigma * kelvin / 298.15, expected, rtol=1e-6)
    for prediction in predictions:
        assert prediction.ea_ev == pytest.approx(ea, rel=1e-9)
        assert prediction.conductivity_25_s_cm == pytest.approx(at_25, rel=1e-9)


def test_a_missing_temperature_means_25_degrees() -> None:
    left_out, stated = _predict(NASICON), _predict(replace(NASICON, meas_temp_c=25.0))
    assert left_out.conductivity_s_cm == stated.conductivity_s_cm == pytest.approx(left_out.conductivity_25_s_cm)
    assert left_out.in_domain == stated.in_domain


@pytest.mark.parametrize("sample", SPREAD[::3], ids=lambda sample: sample.sample_id)
def test_strength_does_not_depend_on_the_temperature_of_the_conductivity(sample: Sample) -> None:
    cold, hot = (_predict(replace(sample, meas_temp_c=t)) for t in (0.0, 300.0))
    assert (cold.strength_mpa, cold.strength_lo) == (hot.strength_mpa, hot.strength_lo)


# ---------------------------------------------------------------- intervals


def test_intervals_are_ordered_and_hold_the_value_for_every_measured_sample() -> None:
    for p in load_models().predict(LITERATURE):
        assert 0 < p.conductivity_lo < p.conductivity_s_cm < p.conductivity_hi < math.inf
        assert 0 <= p.ea_lo < p.ea_ev < p.ea_hi < 3
        assert 0 < p.strength_lo < p.strength_mpa < p.strength_hi < math.inf
        assert 0 <= p.distance <= math.sqrt(2)


@pytest.mark.parametrize("formula", ["NaI", "NaBiI4", "NaN3", "Na5Rh3Hg2Te9", "NaSb9Te20"], ids=lambda formula: formula)
def test_intervals_are_wider_far_from_all_data(formula: str) -> None:
    near, far = _predict(Sample(formula="Na3Zr2Si2PO12", phase="crystalline")), _predict(Sample(formula=formula))
    assert _width(far) > 1.5 * _width(near)
    assert far.ea_hi - far.ea_lo > near.ea_hi - near.ea_lo
    assert far.distance > near.distance


@pytest.mark.parametrize(("n", "n_known"), [(1, 1), (1, 400), (700, 400), (3, 20_000)])
def test_the_nearest_distance_is_that_to_the_nearest_of_all(n: int, n_known: int) -> None:
    rng = np.random.default_rng(n + n_known)
    roots, known = rng.random((n, 12)), rng.random((n_known, 12))
    roots[:, ::3] = 0.0
    known[-1] = roots[0]
    expected = [np.linalg.norm(known - root, axis=1).min() for root in roots]
    np.testing.assert_allclose(nearest_distance(roots, known), expected, atol=1e-6)


def test_a_composition_that_was_learned_from_is_at_no_distance() -> None:
    distances = load_models().conductivity.distance(feature_matrix(SPREAD))
    np.testing.assert_allclose(distances, 0, atol=1e-3)


def test_an_oxide_glass_is_at_no_distance_from_one_in_the_table_of_glasses() -> None:
    glass = next(s for s in load_table("glasses") if s.quality == "ok" and family_of_sample(s) == GLASS)
    known, far = (Sample(formula=f, phase="glass") for f in (glass.formula, "NaVTe5O13"))
    assert _predict(known).distance == pytest.approx(0, abs=1e-3)
    assert _predict(replace(known, phase="crystalline")).distance > 0.01
    assert _predict(far).distance > 0.1
    assert _width(_predict(far)) > 1.2 * _width(_predict(known))


def test_an_element_that_glasses_alone_hold_is_unknown_elsewhere() -> None:
    domain = load_models().conductivity.card["domain"]
    element = (set(domain["glass_elements"]) - set(domain["elements"])).pop()
    notes = [_predict(Sample(formula=f"Na2{element}Si3O8", phase=p)).domain_note for p in ("glass", "crystalline")]
    assert [f"never seen in the data: {element}" in note for note in notes] == [False, True]


def test_oxide_glasses_of_the_table_are_found_again_within_a_decade() -> None:
    """The forest has learned from them: half of them lie within 0.3 decades, nearly all within their interval."""
    glasses = [s for s in load_table("glasses") if s.quality == "ok" and family_of_sample(s) == GLASS
               and s.conductivity_s_cm and s.meas_temp_c == 150.0][::20]  # fmt: skip
    found = load_models().predict(glasses)
    off = np.abs(
        np.log10([p.conductivity_s_cm / (s.conductivity_s_cm or 1) for p, s in zip(found, glasses, strict=True)])
    )
    assert np.median(off) < 0.3
    inside = [
        p.conductivity_lo <= (s.conductivity_s_cm or 0) <= p.conductivity_hi
        for p, s in zip(found, glasses, strict=True)
    ]
    assert np.mean(inside) > 0.9


def test_the_strength_of_a_family_never_broken_is_less_certain() -> None:
    seen, unseen = _predict(NASICON), _predict(Sample(formula="Na3BS3", phase="glass"))
    assert unseen.strength_hi / unseen.strength_lo > seen.strength_hi / seen.strength_lo
    assert "no measured strength of family thioborate" in unseen.domain_note
    assert unseen.family not in STRENGTH_FAMILIES


# ---------------------------------------------------------------- what the founding papers found


BS_GLASS = Sample(formula="Na3BS3", phase="glass", synthesis="ball_mill", press_mpa=360.0, rel_density_pct=94.4)


@pytest.mark.parametrize(
    "other",
    [
        Sample(formula="Na3BS3", phase="crystalline", structure="monoclinic", heat_temp_c=700.0, heat_time_h=10.0),
        Sample(formula="Na3BS3", phase="glass_ceramic", heat_temp_c=200.0, rel_density_pct=76.5),
        Sample(formula="Na3BS3", phase="glass_ceramic", heat_temp_c=300.0, rel_density_pct=85.0),
    ],
    ids=["crystal", "glass-ceramic 200 C", "glass-ceramic 300 C"],
)
def test_the_glass_of_na3bs3_conducts_better_than_what_crystallizes_from_it(other: Sample) -> None:
    glass, less = load_models().predict([BS_GLASS, other])
    assert glass.conductivity_s_cm > less.conductivity_s_cm
    assert glass.ea_ev < less.ea_ev


@pytest.mark.parametrize("porosity_pct", [5.0, 10.0, 20.0, 30.0])
def test_epoxy_in_the_pores_strengthens_nasicon_sintered_at_1100(porosity_pct: float) -> None:
    bare = replace(NASICON, sinter_temp_c=1100.0, porosity_pct=porosity_pct)
    filled = replace(bare, phase="composite", second_phase="epoxy", second_phase_role="pore_filler", heat_temp_c=150.0)
    weak, strong = load_models().predict([bare, filled])
    assert strong.strength_mpa > weak.strength_mpa


def test_pores_weaken_a_ceramic() -> None:
    strengths = [_predict(replace(NASICON, porosity_pct=p)).strength_mpa for p in (0.0, 5.0, 10.0, 20.0, 30.0)]
    assert strengths == sorted(strengths, reverse=True)
    assert len(set(strengths)) == len(strengths)


def test_beta_alumina_is_stronger_than_nasicon() -> None:
    assert _predict(Sample(formula="NaAl11O17", phase="crystalline")).strength_mpa > _predict(NASICON).strength_mpa


def test_scandium_doping_does_not_lower_the_conductivity_of_nasicon() -> None:
    doped = replace(NASICON, formula="Na3.4Zr1.6Sc0.4Si2PO12")
    assert _predict(doped).conductivity_s_cm > _predict(NASICON).conductivity_s_cm


# ---------------------------------------------------------------- the domain


def test_a_well_known_compound_is_in_the_domain_without_a_note() -> None:
    prediction = _predict(NASICON)
    assert prediction.in_domain
    assert prediction.domain_note == ""
    assert prediction.family == "nasicon"


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (Sample(formula="Na3RhO3"), "never seen in the data: Rh"),
        (Sample(formula="NaRhHgO3"), "never seen in the data: Rh, Hg"),
        (
            Sample(formula="Na3.8Zr2Si2.4P0.6O12"),
            "not charge balanced: charge +0.4; Na3.4Zr2Si2.4P0.6O12 balances",
        ),
        (replace(NASICON, meas_temp_c=900.0), "meas_temp_c 900 is outside the -40 to 726.85 seen"),
        (replace(NASICON, meas_temp_c=-100.0), "meas_temp_c -100 is outside the -40 to 726.85 seen"),
        (replace(NASICON, sinter_temp_c=2400.0), "sinter_temp_c 2400 is outside the "),
        (replace(NASICON, porosity_pct=80.0), "porosity_pct 80 is outside the "),
        (Sample(formula="NaI"), "composition far from all data (distance 0."),
        (Sample(formula="NaH"), "family other is known from 1 paper only"),
    ],
    ids=["element", "elements", "charge", "hot", "cold", "furnace", "pores", "distance", "family"],
)  # fmt: skip
def test_what_is_outside_the_domain_is_said_with_the_reason(sample: Sample, reason: str) -> None:
    prediction = _predict(sample)
    assert not prediction.in_domain
    assert reason in prediction.domain_note
    assert prediction.conductivity_s_cm > 0


def test_an_unbalanced_formula_is_the_first_doubt() -> None:
    note = _predict(Sample(formula="Na3.8Zr2Si2.4P0.6O12", meas_temp_c=900.0)).domain_note
    assert note.startswith("not charge balanced: charge +0.4")
    assert "; meas_temp_c 900 is outside" in note


def test_the_charge_of_a_hydroborate_is_noted_as_not_judged_and_not_held_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Its interval is wide, which is a doubt of its own.
    monkeypatch.setattr(models_module, "WIDEST_TRUSTED_DECADES", 9.0)
    prediction = _predict(Sample(formula="Na2B12H12"))
    assert prediction.in_domain
    assert "charge balance cannot be judged: hydrogen in cages" in prediction.domain_note


def test_every_element_that_was_learned_from_is_known() -> None:
    known = set(load_models().conductivity.card["domain"]["elements"])
    notes = [p.domain_note for p in load_models().predict(LITERATURE)]
    assert {"Na", "Zr", "Si", "P", "O", "B", "S"} <= known
    assert not any("never seen" in note for note in notes)


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        (Sample(), FormulaError, "The formula is empty; give one such as"),
        (Sample(formula="Na3("), FormulaError, "bracket that is never closed"),
        (Sample(formula="Li3PS4"), InputError, "'Li3PS4' holds no sodium; the models are of sodium conductors alone"),
        (Sample(formula="NaN"), FormulaError, "missing value, not a compound"),
        (replace(NASICON, porosity_pct=170.0), RangeError, "column 'porosity_pct' has the value"),
        (replace(NASICON, meas_temp_c=-300.0), RangeError, "column 'meas_temp_c' has the value"),
        (replace(NASICON, meas_temp_c=math.nan), RangeError, "column 'meas_temp_c' has the value 'nan'"),
        (replace(NASICON, rel_density_pct=95.0, porosity_pct=40.0), RangeError, "contradict each other"),
    ],
    ids=["empty", "bracket", "lithium", "nan", "porosity", "temperature", "nan temperature", "contradiction"],
)  # fmt: skip
def test_what_no_model_can_use_is_refused(sample: Sample, error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message):
        require_usable(sample)
    with pytest.raises(error, match=message):
        load_models().predict([NASICON, sample])


# ---------------------------------------------------------------- batches


def _numbers(predictions: list[Prediction]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([[getattr(p, name) for name in (*VALUES, *LIMITS)] for p in predictions])


def test_a_batch_gives_what_its_rows_give_alone() -> None:
    batch = load_models().predict(SPREAD)
    alone = [_predict(sample) for sample in SPREAD]
    np.testing.assert_allclose(_numbers(batch)[:, :-1], _numbers(alone)[:, :-1], rtol=1e-9)
    np.testing.assert_allclose(_numbers(batch)[:, -1], _numbers(alone)[:, -1], atol=1e-6)
    assert [(p.in_domain, p.domain_note, p.family) for p in batch] == [
        (p.in_domain, p.domain_note, p.family) for p in alone
    ]


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.sampled_from(LITERATURE), max_size=20))
def test_predictions_come_in_the_order_of_the_samples(rows: list[Sample]) -> None:
    assert [p.sample for p in load_models().predict(rows)] == rows


def test_no_samples_give_no_predictions() -> None:
    assert load_models().predict([]) == []


def test_the_family_of_a_prediction_is_that_of_the_sample() -> None:
    assert [p.family for p in load_models().predict(SPREAD)] == [family_of_sample(sample) for sample in SPREAD]


@pytest.mark.parametrize(
    ("sample", "terms"),
    [
        (NASICON, {}),
        (replace(NASICON, porosity_pct=16.0), {"porosity": 0.1}),
        (replace(NASICON, rel_density_pct=84.0), {"porosity": 0.1}),
        (replace(NASICON, second_phase="epoxy"), {"pore_filled": 1}),
        (replace(NASICON, second_phase="PMMA", second_phase_role="pore_filler"), {"pore_filled": 1}),
        (replace(NASICON, second_phase="ZrO2"), {"reinforced": 1}),
        (Sample(formula="NaAl11O17"), {"beta_alumina": 1}),
        (Sample(formula="Na2SiO3"), {"other_oxide": 1}),
    ],
    ids=["bare", "porosity", "density", "epoxy", "filler", "reinforced", "beta alumina", "silicate"],
)
def test_the_strength_law_sees_family_pores_and_filler(sample: Sample, terms: dict[str, float]) -> None:
    found = dict(zip(STRENGTH_FEATURES, strength_features(sample, family_of_sample(sample)), strict=True))
    expected = {**dict.fromkeys(STRENGTH_FEATURES, 0.0), "intercept": 1.0, **terms}
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_grain_boundary_is_said_not_to_be_predicted() -> None:
    (found,) = load_models().predict([replace(NASICON, conductivity_kind="grain_boundary")])
    assert "grain boundaries alone are not predicted" in found.domain_note


def test_an_interval_of_more_than_four_decades_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_models().predict([NASICON])[0].in_domain
    monkeypatch.setattr(models_module, "WIDEST_TRUSTED_DECADES", 0.1)
    (found,) = load_models().predict([NASICON])
    assert not found.in_domain
    assert "too little is known nearby" in found.domain_note
