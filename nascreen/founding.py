"""The two founding papers: what they measured, and what follows from it by the equations of `nascreen.physics`.

(1) NASICON partly sintered, its pores filled with epoxy (paper_id ``epoxy-nasicon-2020``). (2) Na3BS3 crystal,
glass and glass-ceramics, doi:10.1039/d0ma00777c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from nascreen import physics
from nascreen.chemistry import ATOMIC_NUMBER
from nascreen.datasets import data_folder
from nascreen.elements import load_elements
from nascreen.errors import IntegrityError
from nascreen.quality import composition_of
from nascreen.records import Sample

EPOXY_PAPER = "epoxy-nasicon-2020"
THIOBORATE_PAPER = "10.1039/d0ma00777c"

ELECTRONIC_CONDUCTIVITY_S_CM = 7.6e-10
"""Of the Na3BS3 glass at 25 °C, as the second paper prints it."""
THICKNESS_UM = 850.0
"""Of the bare disc that just survives handling, as the first paper prints it."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A quantity that follows from measured ones.

    Attributes:
        paper: ``paper_id`` of the text.
        quantity: What it is.
        value: The number.
        unit: Its unit; empty for a ratio.
        equation: How it follows, in symbols.
        measured: The measured number to compare with; None where the text has none.
    """

    paper: str
    quantity: str
    value: float
    unit: str
    equation: str
    measured: float | None = None


def _row(samples: Sequence[Sample], paper: str, **wanted: object) -> Sample:
    for s in samples:
        if s.paper_id == paper and all(getattr(s, name) == value for name, value in wanted.items()):
            return s
    raise IntegrityError(f"The literature table lacks a row of {paper} with {wanted}; restore the shipped table.")


def _known(value: float | None) -> float:
    if value is None:
        raise IntegrityError("A row of a founding paper lacks a number that it should have; restore the shipped table.")
    return value


def derived_facts(samples: Sequence[Sample]) -> tuple[Derived, ...]:
    """Return what follows from the rows of both papers.

    Args:
        samples: The literature table as reviewed.

    Raises:
        IntegrityError: If a row of the papers is missing.
    """
    return (*_epoxy_facts(samples), *_thioborate_facts(samples))


def _epoxy_facts(samples: Sequence[Sample]) -> list[Derived]:
    filled = _row(samples, EPOXY_PAPER, second_phase_role="pore_filler")
    bare = _row(samples, EPOXY_PAPER, phase="crystalline", sinter_temp_c=1260.0)
    epoxy = _row(samples, EPOXY_PAPER, second_phase_role="neat polymer")
    strong, weak, polymer = (_known(s.strength_mpa) for s in (filled, bare, epoxy))
    sigma, pores = _known(filled.conductivity_s_cm), _known(filled.porosity_pct) / 100
    thickness = float(physics.thinnest_thickness_um(THICKNESS_UM, weak, strong))
    upper, lower = physics.voigt_bound(weak, polymer, pores), physics.reuss_bound(weak, polymer, pores)
    dense = sigma / float(physics.conductivity_at_porosity(1.0, pores))
    resistance = physics.area_specific_resistance_ohm_cm2
    return [
        Derived(EPOXY_PAPER, "strength, filled over bare", strong / weak, "", "S2/S1"),
        Derived(EPOXY_PAPER, "rule of mixtures of ceramic and epoxy, upper bound", float(upper), "MPa", "ΣφS", strong),
        Derived(EPOXY_PAPER, "rule of mixtures of ceramic and epoxy, lower bound", float(lower), "MPa", "1/Σ(φ/S)",
                strong),
        Derived(EPOXY_PAPER, "thinnest filled disc for the load of the bare one", thickness, "µm", "d1·√(S1/S2)"),
        Derived(EPOXY_PAPER, "area-specific resistance, filled, at the bare disc's thickness",
                float(resistance(THICKNESS_UM, sigma)), "Ω cm²", "d1/σ"),
        Derived(EPOXY_PAPER, "area-specific resistance, filled, at its thinnest", float(resistance(thickness, sigma)),
                "Ω cm²", "d2/σ"),
        Derived(EPOXY_PAPER, "conductivity of the ceramic without its pores", dense, "S/cm", "σ/(1-P)^1.5"),
    ]  # fmt: skip


def _thioborate_facts(samples: Sequence[Sample]) -> list[Derived]:
    glass = _row(samples, THIOBORATE_PAPER, phase="glass", formula="Na3BS3", meas_temp_c=25.0)
    warm = _row(samples, THIOBORATE_PAPER, phase="glass", formula="Na3BS3", meas_temp_c=60.0)
    crystal = _row(samples, THIOBORATE_PAPER, phase="crystalline", formula="Na3BS3")
    ceramic_200 = _row(samples, THIOBORATE_PAPER, phase="glass_ceramic", heat_temp_c=200.0)
    ceramic_300 = _row(samples, THIOBORATE_PAPER, phase="glass_ceramic", heat_temp_c=300.0)
    sigma, energy = _known(glass.conductivity_s_cm), _known(glass.ea_ev)
    hot = _known(ceramic_300.meas_temp_c)
    at_60, at_hot = (float(physics.conductivity_at(sigma, energy, t, 25.0)) for t in (60.0, hot))
    by_sigma_t = float(physics.conductivity_at_sigma_t(sigma, energy, 60.0, 25.0))
    ions = float(physics.transference_number(sigma, ELECTRONIC_CONDUCTIVITY_S_CM))
    facts = [
        Derived(THIOBORATE_PAPER, "conductivity of the glass at 60 °C, from that at 25 °C", at_60, "S/cm",
                "σ·exp(-Ea/kT)", warm.conductivity_s_cm),
        Derived(THIOBORATE_PAPER, "the same in the σT form", by_sigma_t, "S/cm", "σT·exp(-Ea/kT)",
                warm.conductivity_s_cm),
        Derived(THIOBORATE_PAPER, "transference number of the glass", ions, "", "σ/(σ+σe)"),
        Derived(THIOBORATE_PAPER, f"glass over glass-ceramic heated at 300 °C, both at {hot:g} °C",
                log10(at_hot / _known(ceramic_300.conductivity_s_cm)), "decades", "log10(σ1/σ2)"),
        Derived(THIOBORATE_PAPER, "glass over glass-ceramic heated at 200 °C, at 25 °C",
                log10(sigma / _known(ceramic_200.conductivity_s_cm)), "decades", "log10(σ1/σ2)"),
        Derived(THIOBORATE_PAPER, "glass over crystal, at 25 °C", log10(sigma / _known(crystal.conductivity_s_cm)),
                "decades", "log10(σ1/σ2)"),
    ]  # fmt: skip
    for name, s in {"crystal": crystal, "glass": glass, "glass-ceramic, 200 °C": ceramic_200,
                    "glass-ceramic, 300 °C": ceramic_300}.items():  # fmt: skip
        share = _known(s.rel_density_pct)
        solid = _known(s.density_g_cm3) * 100 / share
        facts += [
            Derived(THIOBORATE_PAPER, f"porosity of the pellet, {name}", 100 - share, "%", "100 - ρ/ρ0"),
            Derived(
                THIOBORATE_PAPER, f"mean atomic volume, {name}", _atomic_volume(s.formula, solid), "cm³/mol", "M/(nρ0)"
            ),
        ]
    return facts


def _atomic_volume(formula: str, density_g_cm3: float) -> float:
    masses = load_elements(data_folder()).atomic_mass
    amounts = {symbol: float(amount) for symbol, amount in composition_of(formula).amounts.items()}
    mass = sum(float(masses[ATOMIC_NUMBER[symbol]]) * amount for symbol, amount in amounts.items())
    return float(physics.mean_atomic_volume(mass, density_g_cm3, sum(amounts.values())))
