"""The shapes of campaigns over HTTP: what may be asked and told, and how a campaign is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from nascreen.history import MAX_EXACT_INTEGER, MAX_TEXT, NAME
from nascreen.wire import Answer, Request

MOST_CANDIDATES = 100_000
MOST_CELLS = 500_000
"""Cells of a table of rows, empty ones with them; what 2 MiB hold is less where every cell is given."""

MOST_ASKED = 64
MOST_OPEN = 1000
MOST_ATTACHED = 1000
"""Samples in one call, which is stored whole and lets nobody else write meanwhile."""

MOST_TEXT = 2_000_000
"""Characters of a table as text; what a body holds is less where they are not ASCII."""

MOST_SHEET_ROWS = 2000
"""Rows of a sheet that is given back, empty ones with them; MAX_BATCH of them may say something."""

MOST_WORKBOOK_CELLS = 200_000
MOST_UNPACKED = 16_000_000
MOST_UNPACKED_OTHER = 1_000_000
"""Cells of a workbook, bytes to which it may unpack, and those of its parts without cells: to read them costs far more
than the same as text. The sheet of 1,000 samples unpacks to 3.4 MB; a MB of styles takes as long as 100,000 cells."""

MOST_NAMES = 100
_MOST_KEY = 200


def _line(text: str) -> str:
    if len(text) > MAX_TEXT or not text.isprintable():
        raise PydanticCustomError("line", f"a printable line of at most {MAX_TEXT} characters")
    return text


def _said(text: str) -> str:
    if not text.strip() or len(text) > MAX_TEXT or not text.isprintable():
        raise PydanticCustomError("line", f"a printable line of 1 to {MAX_TEXT} characters")
    return text


def _key(text: str) -> str:
    if not text.strip() or len(text) > _MOST_KEY or not text.isprintable():
        raise PydanticCustomError("key", f"a printable line of 1 to {_MOST_KEY} characters")
    return text


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise PydanticCustomError("name", "1 to 64 of a-z, 0-9, _ and -, beginning with a letter or a digit")
    return text


def _told(**schema: Any) -> Any:  # noqa: ANN401 - pydantic's field information
    """Return what OpenAPI says of a field that is checked by a function, whose sentence is better than a pattern's."""
    return Field(json_schema_extra=schema)


Line = Annotated[str, AfterValidator(_line), _told(maxLength=MAX_TEXT)]
Said = Annotated[str, AfterValidator(_said), _told(minLength=1, maxLength=MAX_TEXT)]
Key = Annotated[str, AfterValidator(_key), _told(minLength=1, maxLength=_MOST_KEY)]
Name = Annotated[str, AfterValidator(_name), _told(pattern=f"^{NAME.pattern}$")]
Cell = Annotated[Any, _told(type=["number", "string", "boolean", "null"], maxLength=MAX_TEXT)]
"""A number, a text, true, false or null; what reads rows says better than a union of types which cell is wrong."""

Row = dict[str, Cell]
Names = Annotated[list[Line], Field(max_length=MOST_NAMES)]
Numbers = Annotated[dict[str, float], Field(min_length=1, max_length=MOST_NAMES)]
Uncertainties = Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(max_length=MOST_NAMES)]
Id = Annotated[int, Field(ge=1, le=MAX_EXACT_INTEGER, description="Id of the suggestion.")]
Author = Annotated[Line, Field(description="Who does it; the label of the token where nothing is said.")]


Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]


class TableIn(Request):
    """A table of candidates, to be read and shown before a campaign is made of it."""

    csv: Text = Field(
        description="Its first line names the columns; cells are separated by commas, semicolons or tabs.",
        examples=["formula,sinter_temp_c\nNa3Zr2Si2PO12,1100\nNa3.2Zr2Si2.2P0.8O12,1150\n"],
    )


class PoolIn(Request):
    """Candidates: a space that ships with nascreen, rows, or a table as text."""

    space: Line | None = Field(None, description="Name of a space, see /v1/spaces.", examples=["sulfides"])
    rows: Annotated[list[Row], Field(min_length=1, max_length=MOST_CANDIDATES)] | None = Field(
        None, description=f"Cells by column, one candidate each; at most {MOST_CELLS:,} cells."
    )
    csv: Text | None = Field(
        None, description="A table as POST /v1/candidates reads it. A column that is a property of the campaign holds "
        f"results of samples made before, which are told at once; at most {MOST_ATTACHED:,} of them.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(one is not None for one in (self.space, self.rows, self.csv)) != 1:
            raise PydanticCustomError("pool", "one of a space's name, rows and csv, and not several")
        return self


class ObjectiveIn(Request):
    """What is wanted of a property."""

    property: Line
    mode: Literal["max", "min", "target"] = "max"
    target: float | None = Field(None, description="Where mode is target, and nothing otherwise.")


class ConstraintIn(Request):
    """What a sample must hold."""

    property: Line
    at_least: float | None = None
    at_most: float | None = None


class CampaignIn(Request):
    """A new campaign."""

    name: Name
    pool: PoolIn
    n: int | None = Field(None, ge=1, le=MOST_CANDIDATES, description="How many candidates to draw of a space.")
    seed: int = Field(0, ge=0, lt=MAX_EXACT_INTEGER)
    objectives: list[ObjectiveIn] = Field(min_length=1, max_length=MOST_NAMES)
    constraints: list[ConstraintIn] = Field(default=[], max_length=MOST_NAMES)
    measure: Names = Field(default=[], description="Further properties that may be told.")
    shared: Names = Field(default=[], description="Columns that are the same for a whole batch.")
    distinct: Names = Field(default=[], description="Columns of which a batch holds each combination once.")
    cost: Line = Field("", description="Column with the cost of a candidate.")
    units: dict[str, Line] = Field(default={}, max_length=MOST_NAMES, description="Unit by property.")
    kinds: dict[str, Literal["numeric", "categorical", "formula", "label"]] = Field(default={}, max_length=250)
    prior: Literal["auto", "literature", "none"] = "auto"
    goal: Literal["top", "best"] = "top"
    engine: Literal["own", "optuna_tpe", "optuna_gp"] = "own"
    author: Author = ""


class AskIn(Request):
    """What to measure next."""

    n: int = Field(1, ge=1, le=MOST_ASKED)
    request_key: Key | None = Field(
        None, description="The same key again gives the same answer; the header Idempotency-Key says the same."
    )
    fixed: Row = Field(default={}, max_length=MOST_NAMES, description="Value that a column must have.")
    forbid: Said | None = Field(None, description="What not to suggest, in the OPTIMADE grammar.")
    prefer: Said | None = Field(None, description="What to take as long as there is any, in the OPTIMADE grammar.")
    author: Author = ""


class TellIn(Request):
    """Results of one suggestion."""

    id: Id
    values: Numbers
    error: Uncertainties = Field(default={}, description="Standard uncertainty by property.")
    note: Line = ""
    author: Author = ""


class FailIn(Request):
    """A sample that failed."""

    id: Id
    reason: Said
    author: Author = ""


class AbandonIn(Request):
    """A candidate that is given back unmade."""

    id: Id
    reason: Line = ""
    author: Author = ""


class CorrectIn(Request):
    """Other values for told ones; null withdraws one."""

    id: Id
    values: Annotated[dict[str, float | None], Field(min_length=1, max_length=MOST_NAMES)]
    error: Uncertainties = Field(default={}, description="Standard uncertainty by property.")
    author: Said
    reason: Said


class ReopenIn(Request):
    """A failure or an abandonment said by mistake."""

    id: Id
    author: Said
    reason: Said


class AttachIn(Request):
    """Samples made before."""

    rows: list[Row] = Field(
        min_length=1, max_length=MOST_ATTACHED,
        description="Columns of the pool and properties, each with its uncertainty as PROPERTY_sd; failure; source.",
    )  # fmt: skip
    author: Author = ""
    request_key: Key | None = None


# ---------------------------------------------------------------- answers


class OwnColumnOut(Answer):
    """A column of a table as it was read."""

    heading: str = Field(description="As it stands in the table.")
    name: str = Field(description="As it is called in a campaign.")
    kind: Literal["numeric", "categorical", "formula", "label"]
    n_known: int = Field(description="Cells that are not empty.")
    n_distinct: int
    low: float | None = Field(description="Smallest number, of a numeric column.")
    high: float | None
    examples: list[str] = Field(description="A few of its texts, of any other column.")
    told_as: str = Field(description="As which property its numbers are told, where they are results.")
    unit: str = Field(description="Unit of that property as the heading states it, where it has none of its own.")


class OwnRowsOut(Answer):
    """A table as it was read."""

    n_rows: int
    columns: list[OwnColumnOut]
    notes: list[str] = Field(description="What people should know of the reading, one sentence each.")
    csv: str | None = Field(
        description="What was read of a workbook as text, for a campaign; null where text was sent."
    )


class PredictedOut(Answer):
    """What was predicted of a property when the sample was asked for; lo and hi limit 90 %."""

    mean: float
    lo: float
    hi: float


class ExperimentOut(Answer):
    """A suggestion, or a past sample, as it stands."""

    id: int
    status: Literal["pending", "told", "failed", "abandoned"]
    values: dict[str, float | int | str | bool]
    words: str = Field(description="The values in one line.")
    prediction: dict[str, PredictedOut]
    reasons: list[str]
    checks: list[str]
    exploration_share: float | None
    feasibility: float | None
    results: dict[str, float]
    error: dict[str, float]
    failure: str
    note: str
    source: str
    is_attached: bool
    time: str
    author: str


class ExperimentsOut(Answer):
    """Suggestions in the order of choice, or past samples in the order given."""

    experiments: list[ExperimentOut]


class ObjectiveOut(Answer):
    """What is wanted of a property."""

    property: str
    mode: Literal["max", "min", "target"]
    target: float | None


class ConstraintOut(Answer):
    """What a sample must hold."""

    property: str
    at_least: float | None
    at_most: float | None


class SummaryOut(Answer):
    """A campaign in a list."""

    name: str
    n_candidates: int
    n_pending: int
    n_told: int
    n_failed: int
    objectives: list[ObjectiveOut]


class CampaignsOut(Answer):
    """The campaigns of the store in the order of their making."""

    campaigns: list[SummaryOut]


class SettingsOut(Answer):
    """What a campaign remembers of its making."""

    objectives: list[ObjectiveOut]
    constraints: list[ConstraintOut]
    measure: list[str]
    shared: list[str]
    distinct: list[str]
    cost: str
    units: dict[str, str]
    prior: str
    goal: str
    acquisition: str
    engine: str
    seed: int
    space: str = Field(description="Name of the space that the candidates come from; empty where there is none.")


class PropertyOut(Answer):
    """A property that may be told."""

    name: str
    unit: str
    heading: str = Field(description="Head of its column in a sheet, where a logarithm is filled in as its value.")
    is_log: bool = Field(description="Whether it is told as the decimal logarithm of what the heading says.")


class ColumnOut(Answer):
    """A column of the pool."""

    name: str
    kind: Literal["numeric", "categorical", "formula", "label"]


class StepOut(Answer):
    """The best values told so far of each objective that hold every constraint."""

    n: int = Field(description="How many were told by then, those of one sample told in a row counted once.")
    best: dict[str, float]


class CampaignOut(Answer):
    """A campaign as it stands."""

    name: str
    settings: SettingsOut
    properties: list[PropertyOut]
    columns: list[ColumnOut]
    n_candidates: int
    experiments: list[ExperimentOut]
    best: list[int] = Field(description="Id of the best told; empty where there are several objectives.")
    pareto: list[int] = Field(description="Ids of the told that no other beats in every objective.")
    progress: list[StepOut]


class PromiseOut(Answer):
    """What the next batch promises for one objective."""

    name: str
    best: float
    expected_gain: float
    gain: float
    probability_of_gain: float
    sentence: str


class OutlookOut(Answer):
    """One promise per objective."""

    outlook: list[PromiseOut]
