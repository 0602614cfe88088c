"""A typed client of the service, thin over httpx.

Every error of the service is raised as the exception that it was there, with the same sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from nascreen import errors, wire, wire_campaign, wire_data, wire_rank
from nascreen.spreadsheets import XLSX, is_workbook

A = TypeVar("A", bound=BaseModel)


class ServiceError(errors.NascreenError):
    """The service answered something that is no answer of nascreen, or did not answer."""


def _exceptions() -> dict[str, type[errors.NascreenError]]:
    found: dict[str, type[errors.NascreenError]] = {}
    waiting: list[type[errors.NascreenError]] = [errors.NascreenError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        name = "".join(f"-{c.lower()}" if c.isupper() else c for c in kind.__name__.removesuffix("Error")).strip("-")
        found[f"urn:nascreen:problem:{name}"] = kind
    return found


_BY_STATUS: Mapping[int, type[errors.NascreenError]] = {
    401: errors.AccessError, 403: errors.ForbiddenError, 404: errors.UnknownNameError, 409: errors.ConflictError,
    422: errors.InputError, 429: errors.BusyError, 503: errors.StoreError,
}  # fmt: skip


class RecipeOptions(TypedDict, total=False):
    """What may be said of a recipe beside formula and batch; see `wire_rank.RecipeIn`."""

    precursors: Mapping[str, str]
    excess_pct: Mapping[str, float]
    purity_pct: Mapping[str, float]
    balance_mg: float


class AskOptions(TypedDict, total=False):
    """What may be said when asking; see `wire_campaign.AskIn`."""

    request_key: str
    fixed: Mapping[str, Any]
    forbid: str
    prefer: str
    author: str


class Client:
    """Asks a service.

    >>> from nascreen.service import create_app
    >>> client = Client("http://localhost:8000", token="nas_...")
    >>> client.base_url
    'http://localhost:8000'
    """

    def __init__(
        self, base_url: str = "http://127.0.0.1:8000", token: str = "", *, timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        """Make a client.

        Args:
            base_url: Address of the service.
            token: Token, where the service asks for one.
            timeout: Longest time to wait for an answer, in s.
            transport: Another way to send requests, for tests.
        """
        self.base_url = base_url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=self.base_url, headers=headers, timeout=timeout, transport=transport, trust_env=False
        )

    def __enter__(self) -> Self:
        """Return the client, for a ``with`` block that closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # ------------------------------------------------------------ predictions

    def predict(
        self,
        formula: str,
        *,
        above_s_cm: float | None = None,
        strict: bool = False,
        **conditions: Unpack[wire.Conditions],
    ) -> wire.Predicted:
        """Predict one sample.

        Args:
            formula: Its formula.
            above_s_cm: Conductivity in S/cm of whose excess the probability is wanted.
            strict: Refuse a formula that is not charge balanced.
            **conditions: Phase and processing, such as ``sinter_temp_c=1200``; see `wire.SampleIn`.

        Raises:
            InputError: If the sample cannot be used.
            ServiceError: If the service cannot be reached.
        """
        body = {"formula": formula, **conditions}
        return self._post("/v1/predict", body, wire.Predicted, above_s_cm=above_s_cm, strict=strict or None)

    def predict_many(self, samples: Sequence[Mapping[str, Any]]) -> list[wire.PredictedOrError]:
        """Predict up to 1,000 samples; one that cannot be used has its reason in ``error``."""
        return self._post("/v1/predict/batch", {"samples": list(samples)}, wire.BatchOut).predictions

    def predict_csv(self, text: str) -> str:
        """Predict a CSV table of up to 10,000 rows, given and returned as text."""
        answer = self._send("POST", "/v1/predict/csv", content=text.encode(), headers={"content-type": "text/csv"})
        return answer.text

    def curve(
        self,
        formula: str,
        *,
        from_c: float = -25.0,
        to_c: float = 300.0,
        n: int = 66,
        **conditions: Unpack[wire.Conditions],
    ) -> wire.CurveOut:
        """Predict conductivity over temperature, with measured samples nearby; see `predict`."""
        return self._post("/v1/curve", {"formula": formula, **conditions}, wire.CurveOut, from_c=from_c, to_c=to_c, n=n)

    def explain(
        self,
        formula: str,
        *,
        against: str = "all",
        seed: int = 0,
        **conditions: Unpack[wire.Conditions],
    ) -> wire.ExplainOut:
        """Say why a prediction is what it is; see `nascreen.explain.explain`."""
        body = {"formula": formula, **conditions}
        return self._post("/v1/explain", body, wire.ExplainOut, against=against, seed=seed)

    # ------------------------------------------------------------ candidates

    def spaces(self) -> list[wire_rank.SpaceOut]:
        """List the spaces of candidates."""
        return self._get("/v1/spaces", wire_rank.SpacesOut).spaces

    def rank(
        self, space: str, *, filter: str = "", sort: str = "", limit: int = 20, offset: int = 0,  # noqa: A002 - as in HTTP
        per_system: int | None = None, targets: Sequence[str] = (), n: int | None = None, seed: int = 0,
    ) -> wire_rank.RankOut:  # fmt: skip
        """Rank the candidates of a space; it is scored first where nobody asked before, which may take some seconds.

        Args:
            space: Its name.
            filter: Filter in the OPTIMADE grammar, such as ``NOT elements HAS "Sc" AND sinter_temp_c < 1150``.
            sort: A column, ``column:desc``, or ``pareto(column, column)``.
            limit: Most rows returned.
            offset: Rows passed over.
            per_system: Most rows with the same elements.
            targets: Such as ``conductivity_s_cm > 1e-3``, whose joint probability becomes a column.
            n: Candidates scored.
            seed: Seed of the draw.

        Raises:
            InputError: If something of this cannot be used.
            UnknownNameError: If there is no such space.
            StoreError: If the space is still being scored; ask again.
        """
        query = {
            "space": space, "filter": filter or None, "sort": sort or None, "limit": limit, "offset": offset or None,
            "per_system": per_system, "target": list(targets) or None, "n": n, "seed": seed,
        }  # fmt: skip
        return self._get("/v1/rank", wire_rank.RankOut, **query)

    def recipe(self, formula: str, batch_g: float = 10.0, **options: Unpack[RecipeOptions]) -> wire_rank.RecipeOut:
        """Return what to weigh for a batch; see `nascreen.recipes.make_recipe`."""
        return self._post("/v1/recipe", {"formula": formula, "batch_g": batch_g, **options}, wire_rank.RecipeOut)

    # ------------------------------------------------------------ measured data

    def records(
        self, filter: str = "", *, table: str = "literature", sort: str = "sample_id", limit: int = 50, offset: int = 0  # noqa: A002 - as in HTTP
    ) -> wire_data.RecordsOut:  # fmt: skip
        """Return measured rows of a table, with citations."""
        query = {"filter": filter or None, "table": table, "sort": sort, "limit": limit, "offset": offset}
        return self._get("/v1/data/records", wire_data.RecordsOut, **query)

    def record(self, sample_id: str) -> wire_data.CardOfRecordOut:
        """Return one measured row as its citation card."""
        return self._get(f"/v1/data/records/{_part(sample_id)}", wire_data.CardOfRecordOut)

    def statistics(self) -> wire_data.StatisticsOut:
        """Count what the tables hold."""
        return self._get("/v1/data/statistics", wire_data.StatisticsOut)

    # ------------------------------------------------------------ campaigns

    def campaigns(self) -> list[wire_campaign.SummaryOut]:
        """List the campaigns of the service."""
        return self._get("/v1/campaigns", wire_campaign.CampaignsOut).campaigns

    def new_campaign(self, settings: Mapping[str, Any]) -> wire_campaign.CampaignOut:
        """Make a campaign; the settings are those of `wire_campaign.CampaignIn`."""
        return self._post("/v1/campaigns", settings, wire_campaign.CampaignOut)

    def candidates(self, table: str | bytes) -> wire_campaign.OwnRowsOut:
        """Return what is read in a table, CSV as text, which a campaign may take as ``pool={"csv": table}``.

        Of the bytes of a workbook (XLSX) the first visible sheet is read; that text is then the ``csv`` of the answer.
        """
        if isinstance(table, bytes):
            answer = self._send("POST", "/v1/candidates", content=table, headers={"content-type": XLSX})
            return _read(answer, wire_campaign.OwnRowsOut)
        return self._post("/v1/candidates", {"csv": table}, wire_campaign.OwnRowsOut)

    def campaign(self, name: str) -> wire_campaign.CampaignOut:
        """Return a campaign with all its experiments."""
        return self._get(f"/v1/campaigns/{_part(name)}", wire_campaign.CampaignOut)

    def ask(self, name: str, n: int = 1, **options: Unpack[AskOptions]) -> list[wire_campaign.ExperimentOut]:
        """Return what to measure next; the same ``request_key`` again gives the same answer."""
        answer = self._post(f"/v1/campaigns/{_part(name)}/ask", {"n": n, **options}, wire_campaign.ExperimentsOut)
        return answer.experiments

    def tell(
        self, name: str, suggestion: int, values: Mapping[str, float], error: Mapping[str, float] | None = None,
        *, note: str = "", author: str = "",
    ) -> wire_campaign.ExperimentOut:  # fmt: skip
        """Store results of a suggestion; the same again changes nothing, another value is refused."""
        body = {"id": suggestion, "values": dict(values), "error": dict(error or {}), "note": note, "author": author}
        return self._post(f"/v1/campaigns/{_part(name)}/tell", body, wire_campaign.ExperimentOut)

    def fail(self, name: str, suggestion: int, reason: str, *, author: str = "") -> wire_campaign.ExperimentOut:
        """Say that a sample failed."""
        body = {"id": suggestion, "reason": reason, "author": author}
        return self._post(f"/v1/campaigns/{_part(name)}/fail", body, wire_campaign.ExperimentOut)

    def abandon(self, name: str, suggestion: int, reason: str = "", *, author: str = "") -> wire_campaign.ExperimentOut:
        """Give a candidate back unmade."""
        body = {"id": suggestion, "reason": reason, "author": author}
        return self._post(f"/v1/campaigns/{_part(name)}/abandon", body, wire_campaign.ExperimentOut)

    def attach(self, name: str, rows: Sequence[Mapping[str, Any]]) -> list[wire_campaign.ExperimentOut]:
        """Add samples made before, all or none."""
        body = {"rows": list(rows)}
        return self._post(f"/v1/campaigns/{_part(name)}/attach", body, wire_campaign.ExperimentsOut).experiments

    def tell_sheet(self, name: str, sheet: bytes, *, author: str = "") -> list[wire_campaign.ExperimentOut]:
        """Tell what a filled sheet says, all of it or nothing; the same sheet again changes nothing.

        Args:
            name: Name of the campaign.
            sheet: Bytes of the XLSX file that the campaign gave and people filled in, or of the same table as CSV.
            author: Who tells; the label of the token where nothing is said.

        Returns:
            The suggestions that the sheet says something of, as they stand.

        Raises:
            InputError: If a cell cannot be used; the message names it.
            ConflictError: If another value is stored, or a suggestion has ended.
        """
        answer = self._send(
            "POST", f"/v1/campaigns/{_part(name)}/sheet", content=sheet, params={"author": author},
            headers={"content-type": XLSX if is_workbook(sheet) else "text/csv"},
        )  # fmt: skip
        return _read(answer, wire_campaign.ExperimentsOut).experiments

    def sheet(self, name: str, ids: Sequence[int] = ()) -> bytes:
        """Return suggestions as a sheet to be filled in (XLSX), all that are being made where no id is named."""
        query = {"ids": ",".join(map(str, ids))} if ids else {}
        return self._send("GET", f"/v1/campaigns/{_part(name)}/sheet", params=query).content

    def outlook(self, name: str, n: int = 4) -> list[wire_campaign.PromiseOut]:
        """Return what the next batch promises."""
        return self._get(f"/v1/campaigns/{_part(name)}/outlook", wire_campaign.OutlookOut, n=n).outlook

    def export(self, name: str, form: str = "json") -> str:
        """Return a campaign as JSON or CSV text."""
        return self._send("GET", f"/v1/campaigns/{_part(name)}/export", params={"format": form}).text

    # ------------------------------------------------------------ the service

    def health(self) -> wire.HealthOut:
        """Say whether the service answers, and with which models."""
        return self._get("/v1/health", wire.HealthOut)

    def models(self) -> list[wire.ModelOut]:
        """List the models that answer."""
        return self._get("/v1/models", wire.ModelsOut).models

    def card(self, name: str) -> wire.CardOut:
        """Return the card of a model."""
        return self._get(f"/v1/models/{_part(name)}", wire.CardOut)

    # ------------------------------------------------------------ sending

    def _get(self, path: str, model: type[A], **query: Any) -> A:  # noqa: ANN401 - texts and numbers
        return _read(self._send("GET", path, params=_given(query)), model)

    def _post(self, path: str, body: Mapping[str, Any], model: type[A], **query: Any) -> A:  # noqa: ANN401 - texts and numbers
        return _read(self._send("POST", path, json=body, params=_given(query)), model)

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - of httpx
        try:
            answer = self._http.request(method, path, **request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServiceError(f"The service at {self.base_url} cannot be reached ({error}); is it running?") from error
        if answer.is_success:
            return answer
        raise _error_of(answer)


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }


def _part(text: str) -> str:
    """Return a text as one part of an address."""
    return quote(text, safe="")


def _read(answer: httpx.Response, model: type[A]) -> A:
    try:
        return model.model_validate_json(answer.content)
    except ValueError as error:
        raise ServiceError(
            f"The answer of {answer.url.path} has another shape than this client knows; update it."
        ) from error


def _error_of(answer: httpx.Response) -> errors.NascreenError:
    try:
        body = wire.Problem.model_validate_json(answer.content)
    except ValueError:
        return ServiceError(f"The service answered {answer.status_code} without a reason; is it nascreen's?")
    kind = _exceptions().get(body.type) or _BY_STATUS.get(body.status, ServiceError)
    return kind(body.detail)
