"""The shapes of spaces, rankings and recipes over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from nascreen.chemistry import MAX_LENGTH
from nascreen.wire import Answer, Formula, Request

MOST_ENTRIES = 30
Symbol = Annotated[str, StringConstraints(min_length=1, max_length=2)]
Reagent = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LENGTH)]


class SpaceOut(Answer):
    """A space of candidates."""

    name: str
    title: str
    n_candidates: int = Field(description="Charge-balanced candidates; of a space of sites, before rules link them.")
    elements: list[str]


class SpacesOut(Answer):
    """The spaces there are, and the screens that people made."""

    spaces: list[SpaceOut]
    screens: list[str] = Field(description="Names of screens in the folder of the service, for /v1/rank?screen=.")


class RankColumnOut(Answer):
    """A column that a filter or a sort may name."""

    name: str
    kind: str = Field(description="number, text or flag.")
    description: str


class SpaceFileOut(SpaceOut):
    """A space with its file."""

    toml: str = Field(description="Its sites, routes and rules; empty for a space written in code.")
    columns: list[RankColumnOut] = Field(description="What a filter may name, besides elements.")


class RankedOut(Answer):
    """A candidate; each ``_lo`` and ``_hi`` is a limit of a 90 % interval, what is not known is left out."""

    rank: int = Field(description="Place; equal values share one, and of pareto(…) it is the number of the front.")
    candidate: int = Field(description="Number of the candidate in its screen.")
    formula: str
    processing: str = Field(description="How it is to be made, in words.")
    family: str
    nelements: int
    phase: str | None = None
    structure: str | None = None
    synthesis: str | None = None
    sinter_temp_c: float | None = None
    sinter_time_h: float | None = None
    heat_temp_c: float | None = None
    heat_time_h: float | None = None
    press_mpa: float | None = None
    rel_density_pct: float | None = None
    porosity_pct: float | None = None
    second_phase: str | None = None
    second_phase_wt_pct: float | None = None
    second_phase_role: str | None = None
    sodium_excess_pct: float | None = Field(None, description="Sodium weighed beyond the formula in %.")
    conductivity_s_cm: float = Field(description="Conductivity at 25 °C in S/cm.")
    conductivity_lo: float
    conductivity_hi: float
    ea_ev: float = Field(description="Activation energy in eV.")
    ea_lo: float
    ea_hi: float
    strength_mpa: float = Field(description="Strength in MPa.")
    strength_lo: float
    strength_hi: float
    thinnest_um: float = Field(description="Thinnest self-supporting disc in µm.")
    resistance_ohm_cm2: float = Field(description="Area-specific resistance of that disc at 25 °C in Ω cm².")
    in_domain: bool = Field(description="Whether it lies inside the domain of the models.")
    domain_note: str = Field(description="Why not, in words.")
    novelty: float = Field(description="Distance in composition to the nearest measured sample, 0 to 1.41.")
    cost_usd_kg: float | None = Field(None, description="Price of its elements in US dollars per kg.")
    hhi_production: float | None = None
    hhi_reserve: float | None = None
    gives_h2s: bool
    is_hygroscopic: bool
    is_toxic: bool
    radius_mismatch: float | None = None
    hull_mev_atom: float | None = Field(
        None, description="Computed energy above the hull of the nearest computed NASICON in meV/atom, a hint."
    )
    hull_distance: float | None = Field(None, description="Distance in composition to that NASICON.")
    hull_formula: str | None = Field(None, description="That NASICON.")
    probability: float | None = Field(None, description="Probability that all targets are met.")
    reasons: list[str] = Field(description="Against the best measured, the nearest measured, and what limits trust.")


class RankOut(Answer):
    """A page of a ranking."""

    space: str
    n_scored: int
    n_matching: int = Field(description="Candidates that pass the filter, every way of making counted.")
    offset: int
    next_offset: int | None = Field(description="Where the next page begins; null on the last.")
    columns: list[RankColumnOut] = Field(description="The columns of the rows that a filter or a sort may name.")
    rows: list[RankedOut]
    scored_with: dict[str, str] = Field(description="Hash of the card of each model that scored.")
    note: str = Field(description="What is to be said beside the rows: prices, the draw, other models.")


class RecipeIn(Request):
    """What is to be weighed out."""

    formula: Formula
    batch_g: Annotated[float, Field(description="Mass of product in g.", ge=0.001, le=100_000)] = 10.0
    precursors: dict[Symbol, Reagent] = Field(
        default_factory=dict, max_length=MOST_ENTRIES, description="Another reagent than the usual one, by element."
    )
    excess_pct: dict[Symbol, float] = Field(
        default_factory=dict,
        max_length=MOST_ENTRIES,
        description="Excess of an element that evaporates, in % of its amount.",
    )
    purity_pct: dict[Reagent, float] = Field(
        default_factory=dict, max_length=MOST_ENTRIES, description="Purity in mass %, by reagent."
    )
    balance_mg: Annotated[float, Field(description="Readability of the balance in mg.", ge=0.001, le=1000)] = 1.0


class WeighingOut(Answer):
    """One line of a recipe."""

    precursor: str
    mol_per_mol: float = Field(description="Moles per mole of product.")
    molar_mass_g_mol: float
    purity_pct: float
    exact_g: float
    weigh_g: float = Field(description="Mass in g, rounded to the balance.")


class RecipeOut(Answer):
    """A balanced recipe."""

    formula: str
    batch_g: float
    is_open: bool = Field(description="Whether it is fired in air; else sealed.")
    weighings: list[WeighingOut]
    gases: dict[str, float] = Field(description="Moles released per mole of product; negative where taken from air.")
    loss_pct: float = Field(description="Loss on ignition of the mixture in mass %.")
    weighed_formula: str = Field(description="The composition that the rounded masses make.")
    charge: float | None = Field(description="Its net charge; null where oxidation states cannot be told.")
    excess_pct: dict[str, float]
    hazards: list[str]
    text: str = Field(description="The sheet to be printed, as nascreen recipe prints it.")
