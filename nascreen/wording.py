"""Words and numbers for people: formulas with subscripts, powers of ten, citations with links."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from html import escape
from urllib.parse import quote

from nascreen.screening import Scored

DOMAIN_WORDS: Mapping[str, str] = {
    "meas_temp_c": "measuring temperature (°C)",
    "sinter_temp_c": "sintering temperature (°C)",
    "heat_temp_c": "heat-treatment temperature (°C)",
    "porosity_pct": "porosity (%)",
    "rel_density_pct": "relative density (%)",
}

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_AMOUNT = re.compile(r"([A-Z][a-z]?|[)\]])(\d+(?:\.\d+)?)")
_DOI = re.compile(r"doi:(10\.[^\s,;|]*[^\s,;|.)])")
_TINY = re.compile(r"\b(\d+(?:\.\d+)?e[+-]\d+|0\.00\d+(?= S/cm))\b")
_UNIT = re.compile(r"(?<=[\d⁰¹²³⁴⁵⁶⁷⁸⁹]) (?=(?:°C|h|%|MPa|µm|eV|S/cm|Ω|decades)(?![a-z]))")


def scientific(value: float) -> str:
    """Return a number as chemists write it.

    >>> scientific(0.00143)
    '1.4×10⁻³'
    """
    if not math.isfinite(value) or value == 0:
        return "–" if value else "0"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def short(value: float) -> str:
    """Return a number with two digits that count and no exponent.

    >>> short(113.7), short(0.0524)
    ('110', '0.052')
    """
    return f"{float(f'{value:.2g}'):g}" if math.isfinite(value) else "–"


def decades(value: float) -> str:
    """Return a gain in decades."""
    return f"{value:.2f} decades" if value >= 0.01 else "less than 0.01 decades"


def formula_html(text: str) -> str:
    """Return a formula, or text that holds some, as HTML with its amounts as subscripts.

    >>> formula_html("75 Na2S - 25 B2S3 <")
    '75 Na<sub>2</sub>S - 25 B<sub>2</sub>S<sub>3</sub> &lt;'
    """
    return _AMOUNT.sub(r"\1<sub>\2</sub>", escape(text))


def cited(text: str) -> str:
    """Return a citation as HTML, each DOI a link."""
    return _linked(text, escape)


def prose(text: str) -> str:
    """Return a sentence as HTML: formulas with subscripts, powers of ten, DOIs as links."""
    for name, words in DOMAIN_WORDS.items():
        text = text.replace(name, words)
    return _linked(kept_together(_TINY.sub(lambda m: scientific(float(m[1])), text)), formula_html)


def kept_together(text: str) -> str:
    """Keep a line from breaking between a number and its unit."""
    return _UNIT.sub("\u00a0", text)


def _linked(text: str, plain: Callable[[str], str]) -> str:
    parts = _DOI.split(text)
    out = [plain(parts[0])]
    for doi, rest in zip(parts[1::2], parts[2::2], strict=True):
        address = f"https://doi.org/{quote(doi, safe='/:;()._-')}"
        out += [f'<a href="{escape(address)}" rel="noopener">doi:{escape(doi)}</a>', plain(rest)]
    return "".join(out)


def word(name: str) -> str:
    """Return the name of a family, phase or route as a word."""
    return "NASICON" if name == "nasicon" else name.replace("_", " ") or "unknown"


def conductivity_text(scored: Scored) -> str:
    """Return the predicted conductivity at 25 °C with its interval."""
    p = scored.prediction
    return f"{scientific(p.conductivity_25_s_cm)} S/cm (90 %: {interval_text(scored)})"


def interval_text(scored: Scored) -> str:
    """Return the 90 % interval of the conductivity in S/cm, without the unit."""
    return f"{scientific(scored.prediction.conductivity_lo)} to {scientific(scored.prediction.conductivity_hi)}"
