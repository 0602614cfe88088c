"""Promises of the OPTIMADE door: what the standard's own models, validator and client take; honest unknowns."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from optimade.models import (
    EntryInfoResponse,
    ErrorResponse,
    InfoResponse,
    LinksResponse,
    StructureResponseMany,
    StructureResponseOne,
)
from optimade.models.structures import StructureResourceAttributes
from optimade.models.utils import ANONYMOUS_ELEMENTS, anonymize_formula, reduce_formula

from nascreen.access import Tokens
from nascreen.chemistry import parse_formula
from nascreen.datasets import TABLE_NAMES
from nascreen.filters import MOST_CHARACTERS
from nascreen.gatekeeper import Rules
from nascreen.records import citation
from nascreen.routes_optimade import MOST_LIMIT
from nascreen.service import Options, create_app
from nascreen.structures import (
    BY_NAME,
    LARGEST_PROPORTION,
    PROPERTIES,
    STANDARD,
    UCUM,
    _letters,
    anonymous_formula,
    proportions,
    reduced_formula,
    structures,
)
from nascreen.verdicts import reviewed_table

# The package's models ask pydantic in a way that it will drop.
OWN_WARNING = "Accessing the 'model_fields' attribute"
pytestmark = pytest.mark.filterwarnings(f"ignore:{OWN_WARNING}")

BASE = "/optimade/v1"
FILTER = 'elements HAS "Na" AND _nascreen_conductivity_s_cm > 1e-3'


class Door:
    """Asks a service without a network."""

    def __init__(self, folder: Path, rules: Rules | None = None) -> None:
        self.app = create_app(Options(rules or Rules(request_seconds=240), f"sqlite:///{folder}/campaigns.db"))

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=300) as client:
                return await client.request(method, path, **more)

        return asyncio.run(sent())

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.ask("GET", f"{BASE}{path}", params=params)

    def ids(self, text: str, **params: Any) -> list[str]:
        answer = self.get("/structures", filter=text, response_fields="id", **params)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["data"]]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    return Door(tmp_path_factory.mktemp("optimade"))


def fits(answer: httpx.Response, model: Any) -> Any:
    """Check that an answer is what the standard's model takes, without a warning, and return it."""
    assert answer.headers["content-type"] == "application/vnd.api+json"
    assert answer.status_code == 200, answer.text
    return model.model_validate(answer.json())


def refused(answer: httpx.Response, status: int) -> str:
    """Check that an answer is an error as the standard has it, and return its sentence."""
    assert answer.headers["content-type"] == "application/vnd.api+json", answer.text
    found = ErrorResponse.model_validate(answer.json())
    (error,) = found.errors
    assert (answer.status_code, error.status) == (status, str(status)), answer.text
    assert error.title
    assert len(error.detail) > 20
    assert "data" not in answer.json()
    return str(error.detail)


# ---------------------------------------------------------------- answers


def test_versions_are_listed_beside_the_versioned_addresses(door: Door) -> None:
    answer = door.ask("GET", "/optimade/versions")
    assert (answer.text, answer.headers["content-type"]) == ("version\n1\n", "text/csv; header=present")
    refused(door.get("/versions"), 404)


def test_the_information_is_that_of_the_standard(door: Door) -> None:
    found = fits(door.get("/info"), InfoResponse).data.attributes
    assert found.entry_types_by_format == {"json": ["structures"]}
    assert str(found.available_api_versions[0].url) == "http://localhost/optimade/v1/"
    # One licence for all rows would be untrue.
    assert found.available_licenses == []


def test_every_property_says_what_it_means(door: Door) -> None:
    found = fits(door.get("/info/structures"), EntryInfoResponse).data
    assert set(found.properties) == set(BY_NAME) == set(found.output_fields_by_format["json"])
    assert all(len(p.description) > 10 and p.type for p in found.properties.values())
    assert found.properties["_nascreen_conductivity_s_cm"].unit == "S/cm"
    assert found.properties["_nascreen_sinter_temp_c"].unit == "Cel"
    assert found.properties["_nascreen_conductivity_s_cm"].sortable
    assert not found.properties["elements"].sortable


def test_standard_properties_are_those_of_the_standard() -> None:
    named = set(StructureResourceAttributes.model_fields) | {"id", "type"}
    assert {p.name for p in STANDARD} == named
    assert all(p.name.startswith("_nascreen_") for p in PROPERTIES[len(STANDARD) :])


def test_links_name_this_interface_as_the_root(door: Door) -> None:
    (root,) = fits(door.get("/links"), LinksResponse).data
    assert root.attributes.link_type.value == "root"
    assert str(root.attributes.base_url) == "http://localhost/optimade"


def test_every_row_is_an_entry_that_the_standard_takes(door: Door) -> None:
    wanted, offset, seen = {s.sample_id for name in TABLE_NAMES for s in reviewed_table(name)}, 0, set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", OWN_WARNING)
        while offset is not None:
            answer = door.get("/structures", page_limit=MOST_LIMIT, page_offset=offset)
            found = fits(answer, StructureResponseMany)
            seen |= {one.id for one in found.data}
            assert found.meta.data_available == found.meta.data_returned == len(wanted)
            offset = offset + MOST_LIMIT if found.meta.more_data_available else None
            assert (found.links.next is None) == (offset is None)
            # Every tenth page is enough: the glasses are alike.
            offset = None if offset is None else offset if offset < 2000 or offset > 11_000 else offset + 9 * MOST_LIMIT
    assert seen <= wanted
    assert len(seen) > 2500


def test_an_entry_states_what_the_row_states_and_nothing_of_sites(door: Door) -> None:
    sample = next(s for s in reviewed_table("literature") if s.sinter_temp_c and s.ea_ev and s.formula)
    found = fits(door.get(f"/structures/{sample.sample_id}"), StructureResponseOne)
    values = door.get(f"/structures/{sample.sample_id}").json()["data"]["attributes"]
    assert values["_nascreen_formula"] == values["chemical_formula_descriptive"] == sample.formula
    assert values["_nascreen_sinter_temp_c"] == sample.sinter_temp_c
    assert values["_nascreen_citation"] == citation(sample)
    assert values["_nascreen_table"] == "literature"
    assert values["structure_features"] == ["implicit_atoms"]
    for name in ("nsites", "species", "lattice_vectors", "cartesian_site_positions", "species_at_sites",
                 "dimension_types", "nperiodic_dimensions", "last_modified"):  # fmt: skip
        assert values[name] is None
    assert found.data.attributes.elements == sorted(parse_formula(sample.formula).amounts)
    assert sum(found.data.attributes.elements_ratios) == pytest.approx(1)


def test_a_row_without_formula_has_no_elements(door: Door) -> None:
    sample = next(s for s in reviewed_table("literature") if not s.formula)
    answer = door.get(f"/structures/{sample.sample_id}")
    found = fits(answer, StructureResponseOne).data.attributes
    assert (found.elements, found.nelements, found.chemical_formula_reduced) == (None, None, None)
    for text in ('elements HAS "Na"', 'NOT elements HAS "Na"', 'elements HAS ONLY "Na"', "nelements > 0"):
        assert sample.sample_id not in door.ids(f'id = "{sample.sample_id}" AND {text}')
    assert door.ids(f'id = "{sample.sample_id}" AND elements IS UNKNOWN') == [sample.sample_id]


def test_asked_fields_are_answered_and_no_others(door: Door) -> None:
    fields = "nelements,_nascreen_ea_ev,_nascreen_strength_mpa,_other_gap,id"
    answer = door.get("/structures", response_fields=fields, page_limit=3)
    for one in fits(answer, StructureResponseMany) and answer.json()["data"]:
        assert set(one["attributes"]) == {"nelements", "_nascreen_ea_ev", "_nascreen_strength_mpa", "_other_gap"}
        assert one["attributes"]["_other_gap"] is None
    (warning,) = answer.json()["meta"]["warnings"]
    assert "'_other_gap' is of another provider" in warning["detail"]
    single = door.get("/structures/lit-0001", response_fields="elements")
    assert single.json()["data"]["attributes"] == {"elements": ["B", "Na", "S"]}


# ---------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    ("formula", "reduced", "anonymous"),
    [
        ("Na3Zr2Si2PO12", "Na3O12PSi2Zr2", "A12B3C2D2E"),
        ("Na3.4Zr2Si2.4P0.6O12", "Na17O60P3Si12Zr10", "A60B17C12D10E3"),
        ("Na25B25S50", "BNaS2", "A2BC"),
        ("Na3BS3", "BNa3S3", "A3B3C"),
        ("Na0.123B0.877S1.377", None, None),
    ],
)
def test_a_reduced_formula_is_exact_or_left_out(formula: str, reduced: str | None, anonymous: str | None) -> None:
    composition = parse_formula(formula)
    assert (reduced_formula(composition), anonymous_formula(composition)) == (reduced, anonymous)


def test_every_reduced_formula_is_the_composition_as_the_standard_writes_it() -> None:
    for formula in sorted({s.formula for name in TABLE_NAMES for s in reviewed_table(name) if s.formula}):
        composition = parse_formula(formula)
        whole, text = proportions(composition), reduced_formula(composition)
        if whole is None or text is None:
            assert whole is text is anonymous_formula(composition) is None
            continue
        assert max(whole.values()) <= LARGEST_PROPORTION
        assert text == reduce_formula(text)
        assert anonymous_formula(composition) == anonymize_formula(text)
        # Exact, not rounded.
        (first, *others) = composition.amounts
        for other in others:
            assert composition.amounts[other] * whole[first] == composition.amounts[first] * whole[other]


def test_letters_of_an_anonymous_formula_are_those_of_the_standard() -> None:
    assert tuple(map(_letters, range(27))) == ANONYMOUS_ELEMENTS[:27]
    # Beyond them the specification and the package differ; no row has as many elements.
    formulas = {s.formula for name in TABLE_NAMES for s in reviewed_table(name) if s.formula}
    assert max(len(parse_formula(formula).amounts) for formula in formulas) < 27


def test_units_are_those_of_the_columns() -> None:
    assert {p.unit for p in PROPERTIES if p.unit} <= set(UCUM.values())
    assert BY_NAME["_nascreen_fracture_toughness_mpa_m05"].description.endswith("in MPa·m^0.5.")


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize(
    "text",
    [
        FILTER, 'elements HAS ALL "Na","Zr"', 'elements HAS ANY "Sc","Y"', 'elements HAS ONLY "Na","B","S"',
        "elements LENGTH 3", "nelements = 3", "3 = nelements", "nelements >= 7", 'id = "lit-0001"', '"lit-0001" = id',
        'id STARTS WITH "lit-00"', 'type = "structures" AND id CONTAINS "0001"',
        'chemical_formula_reduced = "BNa3S3"', 'chemical_formula_anonymous = "A3B3C"',
        'chemical_formula_descriptive CONTAINS "Zr2Si2"', 'structure_features HAS "implicit_atoms" AND nelements = 2',
        "nsites IS UNKNOWN AND nelements = 9", "NOT nsites IS KNOWN AND nelements = 9",
        "_nascreen_ea_ev < 0.2 OR _nascreen_ea_ev > 1.5", '_nascreen_family = "nasicon" AND _nascreen_porosity_pct > 9',
        "_other_gap IS UNKNOWN AND nelements = 9", "NOT _other_gap > 2 AND nelements = 9", "elements_ratios LENGTH 8",
    ],
    ids=range(23),
)  # fmt: skip
def test_filters_of_the_standard_find_entries(door: Door, text: str) -> None:
    answer = door.get("/structures", filter=text, page_limit=5)
    found = fits(answer, StructureResponseMany)
    assert found.data
    assert 0 < found.meta.data_returned < found.meta.data_available


@pytest.mark.parametrize(
    "text",
    ["nsites > 0", "nsites != 1", "_other_gap < 2", "_other_gap IS KNOWN", 'structure_features HAS "disorder"',
     "structure_features LENGTH 2", 'last_modified >= "2020-01-01T00:00:00Z"', "nperiodic_dimensions = 3",
     'chemical_formula_hill = "H2O"', 'species HAS "Na"', "dimension_types HAS ANY 1,0"],
)  # fmt: skip
def test_what_is_unknown_matches_nothing(door: Door, text: str) -> None:
    assert door.ids(text) == []


def test_a_filter_finds_what_python_finds(door: Door) -> None:
    expected = {
        s.sample_id
        for name in TABLE_NAMES
        for s in reviewed_table(name)
        if s.formula and "Na" in parse_formula(s.formula).amounts and (s.conductivity_s_cm or 0) > 1e-3
    }
    assert set(door.ids(FILTER, page_limit=MOST_LIMIT)) <= expected
    assert door.get("/structures", filter=FILTER).json()["meta"]["data_returned"] == len(expected) > 500


def test_entries_are_sorted_and_paged_without_a_gap(door: Door) -> None:
    params: dict[str, Any] = {"filter": FILTER, "sort": "-_nascreen_conductivity_s_cm,id",
                              "response_fields": "_nascreen_conductivity_s_cm", "page_limit": 100}  # fmt: skip
    values, address = [], ""
    answer = door.get("/structures", **params).json()
    while True:
        values += [(-one["attributes"]["_nascreen_conductivity_s_cm"], one["id"]) for one in answer["data"]]
        address = answer["links"]["next"]
        assert bool(address) == answer["meta"]["more_data_available"]
        if not address:
            break
        answer = door.ask("GET", address).json()
    assert values == sorted(values)
    assert len(values) == len(set(values)) == answer["meta"]["data_returned"]


def test_a_name_of_another_provider_is_warned_of(door: Door) -> None:
    found = fits(door.get("/structures", filter="_other_gap < 2 OR nelements = 9"), StructureResponseMany)
    assert "'_other_gap' is of another provider" in found.meta.warnings[0].detail
    assert found.data
    assert "warnings" not in door.get("/structures", filter=FILTER).json()["meta"]


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("path", "params", "status", "said"),
    [
        ("/structures", {"filter": "ea_ev < 1"}, 400, "names ea_ev, which is no property"),
        ("/structures", {"filter": "_nascreen_nothing < 1"}, 400, "no property"),
        ("/structures", {"filter": "nelements <"}, 400, "cannot be read"),
        ("/structures", {"filter": "nelements = 3; DROP TABLE rows"}, 400, "cannot be read"),
        ("/structures", {"filter": "(" * 300}, 400, "nests brackets deeper"),
        ("/structures", {"filter": 'elements HAS "Xx"'}, 400, "names what is no element"),
        ("/structures", {"filter": "nelements = 3 OR " * 300}, 400, f"at most {MOST_CHARACTERS}"),
        ("/structures", {"filter": "amount_na > 1"}, 400, "no property"),
        ("/structures", {"filter": 'nelements = "3"'}, 501, "something else than a number"),
        ("/structures", {"filter": 'elements:elements_ratios HAS "Na":0.5'}, 501, "correlated list"),
        ("/structures", {"filter": 'species.name HAS "Na"'}, 501, "lies in another property"),
        ("/structures", {"filter": 'elements HAS < "Na"'}, 501, "without an operator"),
        ("/structures", {"sort": "elements"}, 400, "cannot be sorted by 'elements'"),
        ("/structures", {"sort": "nothing"}, 400, "cannot be sorted by 'nothing'"),
        ("/structures", {"sort": 'id" DESC; --'}, 400, "cannot be sorted"),
        ("/structures", {"response_fields": "nothing"}, 400, "no property 'nothing'"),
        ("/structures", {"response_fields": "_nascreen_nothing"}, 400, "no property"),
        ("/structures", {"page_limit": MOST_LIMIT + 1}, 403, f"allowed is 1 to {MOST_LIMIT}"),
        ("/structures", {"page_limit": 0}, 400, "greater than or equal to 1"),
        ("/structures", {"page_limit": "many"}, 400, "'query.page_limit' is 'many'"),
        ("/structures", {"page_offset": -1}, 400, "greater than or equal to 0"),
        ("/structures", {"page_number": 2}, 501, "page_offset and page_limit"),
        ("/structures", {"nonsense": 2}, 400, "The parameter 'nonsense' is unknown"),
        ("/structures", {"_nascreen_nonsense": 2}, 400, "is unknown"),
        ("/structures", {"response_format": "xml"}, 400, "is 'xml'; allowed is 'json'"),
        ("/structures", {"include": "calculations"}, 400, "allowed is '' or 'references'"),
        ("/structures/none", {}, 404, "No entry has the identifier 'none'"),
        ("/structures/lit-0001", {"response_fields": "nothing"}, 400, "no property"),
        ("/info", {"response_format": "xml"}, 400, "allowed is 'json'"),
        ("/info/calculations", {}, 404, "no such address"),
        ("/calculations", {}, 404, "no such address"),
        ("", {}, 404, "no such address"),
    ],
    ids=range(32),
)
def test_a_bad_request_is_refused_as_the_standard_does(
    door: Door, path: str, params: dict[str, Any], status: int, said: str
) -> None:
    assert said in refused(door.get(path, **params), status)


@pytest.mark.parametrize("params", [{"_other_key": "x"}, {"api_hint": "v1.2"}, {"email_address": "a@b.c"},
                                    {"include": ""}, {"include": "references"}])  # fmt: skip
def test_what_the_standard_lets_pass_passes(door: Door, params: dict[str, str]) -> None:
    assert door.get("/structures", page_limit=1, **params).status_code == 200
    assert door.get("/structures/lit-0001", **params, unheard="x").status_code == 200


@pytest.mark.parametrize("path", ["/optimade/v0/info", "/optimade/v2/structures", "/optimade/v1.9/info"])
def test_another_version_is_told_from_a_wrong_address(door: Door, path: str) -> None:
    answer = door.ask("GET", path)
    assert "allowed is v1" in refused(answer, 553)
    assert answer.json()["errors"][0]["title"] == "Version Not Supported"


def test_what_the_gatekeeper_refuses_has_the_shape_of_the_standard_there(tmp_path: Path, door: Door) -> None:
    refused(door.ask("POST", f"{BASE}/structures"), 405)
    refused(door.ask("GET", f"{BASE}/info", headers={"host": "evil.example"}), 421)
    tokens = Tokens(tmp_path / "tokens.json")
    guarded = Door(tmp_path, Rules(tokens=tokens, needs_token=True))
    assert refused(guarded.get("/structures"), 401).startswith("The request brings no token")
    text, _ = tokens.make("reader", ["read"])
    headers = {"authorization": f"Bearer {text}"}
    assert guarded.ask("GET", f"{BASE}/info", headers=headers).status_code == 200
    assert door.ask("GET", "/v1/nowhere").headers["content-type"] == "application/problem+json"


# ---------------------------------------------------------------- the standard's own tools


def test_the_validator_of_the_standard_finds_no_fault(
    service: httpx.Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from optimade.validator import ImplementationValidator

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    structures()
    validator = ImplementationValidator(base_url=str(service.base_url).rstrip("/") + BASE, page_limit=5, verbosity=-1)
    validator.validate_implementation()
    results = validator.results
    assert results.failure_messages == results.internal_failure_messages == results.optional_failure_messages == []
    assert validator.valid
    assert results.success_count > 30
    capsys.readouterr()


def test_the_client_of_the_standard_gets_every_entry(
    service: httpx.Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from optimade.client import OptimadeClient

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    root = str(service.base_url).rstrip("/") + "/optimade"
    client = OptimadeClient(base_urls=[root], use_async=False)
    found = client.get(FILTER)["structures"][FILTER][root]
    assert found["errors"] == []
    assert len(found["data"]) == found["meta"]["data_returned"] > 500
    assert all(one["attributes"]["_nascreen_conductivity_s_cm"] > 1e-3 for one in found["data"])
    assert all("Na" in one["attributes"]["elements"] for one in found["data"])
    capsys.readouterr()
