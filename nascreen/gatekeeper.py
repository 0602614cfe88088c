"""What stands before every request: Host and Origin, token, size, time, a limit on what runs; then log and count."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nascreen.access import Token, Tokens
from nascreen.errors import AccessError, NascreenError, shown
from nascreen.problems import HttpError, problem_of

MOST_BODY = 2 * 1024 * 1024
MOST_RUNNING = 256
MOST_QUERY = 8192
BODY_SECONDS = 10.0
REQUEST_SECONDS = 30.0
PUBLIC = frozenset({"/v1/health", "/v1/openapi.json", "/"})
PUBLIC_PREFIXES = ("/web/",)
SCOPE_OF: tuple[tuple[str, str], ...] = (
    ("/v1/campaigns", "campaign"), ("/v1/predict", "predict"), ("/v1/curve", "predict"), ("/v1/explain", "predict"),
    ("/v1/rank", "predict"), ("/v1/spaces", "predict"), ("/v1/recipe", "predict"), ("/v1/data", "read"),
    ("/v1/models", "read"), ("/v1/metrics", "read"), ("/optimade", "read"),
    ("/v1/candidates", "campaign"),
)  # fmt: skip
"""Which scope an address needs, by how it begins; what is neither here nor public needs a token of any scope."""

log = logging.getLogger("nascreen.service")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


@dataclass(frozen=True)
class Rules:
    """What the gatekeeper demands.

    Attributes:
        hosts: Names under which the service may be asked, without port.
        tokens: The tokens.
        needs_token: Whether every request but public ones must bring a token.
        request_seconds: Longest time that an answer may take.
        body_seconds: Longest time in which a body must have come.
    """

    hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})
    tokens: Tokens | None = None
    needs_token: bool = False
    request_seconds: float = REQUEST_SECONDS
    body_seconds: float = BODY_SECONDS


@dataclass(eq=False)
class Meters:
    """What is counted, for Prometheus."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    requests: Counter = field(init=False)
    seconds: Histogram = field(init=False)
    running: Gauge = field(init=False)

    def __post_init__(self) -> None:
        """Make the meters in their registry."""
        self.requests = Counter(
            "nascreen_requests", "Requests answered", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "nascreen_request_seconds", "Time to the answer", ("route",), registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )  # fmt: skip
        self.running = Gauge("nascreen_running", "Requests that are being answered", registry=self.registry)


def scope_of(path: str) -> str:
    """Return the scope that an address needs; empty for one that is public.

    >>> scope_of("/v1/predict"), scope_of("/v1/health"), scope_of("/v1/anything")
    ('predict', '', 'any')
    """
    if path in PUBLIC or path.startswith(PUBLIC_PREFIXES):
        return ""
    for prefix, scope in SCOPE_OF:
        if path == prefix or path.startswith((f"{prefix}/", f"{prefix}.")):
            return scope
    return "any"


def campaign_of(path: str) -> str:
    """Return the campaign that an address is about; empty where it is about none.

    >>> campaign_of("/v1/campaigns/nzsp-2027/ask"), campaign_of("/v1/campaigns")
    ('nzsp-2027', '')
    """
    parts = path.split("/")
    return parts[3] if len(parts) > 3 and parts[2] == "campaigns" else ""


def is_loopback(host: str) -> bool:
    """Return whether a host to bind is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Gatekeeper:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, rules: Rules, meters: Meters) -> None:
        """Stand before an application."""
        self.app, self.rules, self.meters = app, rules, meters
        self._n_running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        state = _Answered(send)
        scope["state"] = {**scope.get("state", {}), "token": None}
        self._n_running += 1
        self.meters.running.set(self._n_running)
        try:
            await self._answer(scope, receive, state)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is a problem
            await self._refuse(scope, state, error)
        finally:
            self._n_running -= 1
            self.meters.running.set(self._n_running)
            self._count(scope, state, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, state: _Answered) -> None:
        if self._n_running > MOST_RUNNING:
            raise HttpError(429, f"{MOST_RUNNING} requests are running; ask again in a moment.", {"Retry-After": "1"})
        headers = _Headers(scope)
        self._check_origin(scope, headers)
        if len(scope.get("query_string", b"")) > MOST_QUERY:
            raise HttpError(414, f"The query of the address is longer than {MOST_QUERY} bytes; shorten it.")
        scope["state"]["token"] = self._admitted(scope, headers)
        body = await self._body(headers, receive)
        try:
            async with asyncio.timeout(self.rules.request_seconds):
                await self.app(scope, _replayed(body, receive), state)
        except TimeoutError as error:
            detail = f"The answer took longer than {self.rules.request_seconds:g} s; ask for less, or again later."
            raise HttpError(504, detail) from error

    def _check_origin(self, scope: Scope, headers: _Headers) -> None:
        host = urlsplit(f"//{headers.get('host')}").hostname if headers.has("host") else None
        if host is None or not {host.lower(), "*"} & self.rules.hosts:
            allowed = ", ".join(sorted(self.rules.hosts))
            raise HttpError(421, f"The service is asked as {shown(host or 'nobody')}; it answers to {allowed} "
                                 "(nascreen serve --allowed-host adds a name).")  # fmt: skip
        if scope["method"] in _SAFE:
            return
        origin = headers.get("origin")
        is_foreign = bool(origin) and urlsplit(origin).netloc != headers.get("host")
        if is_foreign or headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
            raise HttpError(403, "The request comes from a page of another site, which may not write here.")

    def _admitted(self, scope: Scope, headers: _Headers) -> Token | None:
        path = scope["path"]
        needed = scope_of(path)
        given = headers.get("authorization")
        if not needed or (not given and not self.rules.needs_token):
            return None
        kind, _, text = given.partition(" ")
        if not given or kind.lower() != "bearer" or self.rules.tokens is None:
            raise AccessError("The request brings no token; send the header 'Authorization: Bearer nas_…' "
                              "(nascreen token new makes one).")  # fmt: skip
        if needed == "any":
            return self.rules.tokens.check_any(text.strip())
        return self.rules.tokens.check(text.strip(), needed, campaign_of(path))

    async def _body(self, headers: _Headers, receive: Receive) -> bytes | None:
        """Return the whole body, or None where none is announced."""
        length = headers.get("content-length")
        if not length and not headers.has("transfer-encoding"):
            return None
        if length.isdigit() and int(length) > MOST_BODY:
            raise _too_large()
        parts: list[bytes] = []
        n_bytes = 0
        try:
            async with asyncio.timeout(self.rules.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise HttpError(400, "The connection ended before the body was whole; send it again.")
                    parts.append(message.get("body", b""))
                    n_bytes += len(parts[-1])
                    if n_bytes > MOST_BODY:
                        raise _too_large()
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError as error:
            detail = f"The body had not come after {self.rules.body_seconds:g} s; send it faster."
            raise HttpError(408, detail, {"Connection": "close"}) from error

    async def _refuse(self, scope: Scope, state: _Answered, error: Exception) -> None:
        response = problem_of(error, scope["path"])
        if not isinstance(error, HttpError | NascreenError):
            log.error("failed", exc_info=error, extra={"path": scope["path"]})
        if not state.has_started:
            await response(scope, _nothing, state)

    def _count(self, scope: Scope, state: _Answered, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "other"
        self.meters.requests.labels(route, _method(scope), str(state.status)).inc()
        self.meters.seconds.labels(route).observe(seconds)
        token = scope["state"]["token"]
        client = scope.get("client")
        log.info(
            "answered",
            extra={
                "method": _method(scope), "path": scope["path"][:200], "status": state.status,
                "ms": round(1000 * seconds, 2), "client": client[0] if client else "",
                "token": token.id if token else "",
            },
        )  # fmt: skip


class _Answered:
    """Sends what the application sends, and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status, self.has_started = 0, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.has_started = message["status"], True
            message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
        await self._send(message)


CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", CONTENT_POLICY.encode()), (b"cross-origin-resource-policy", b"same-origin"),
)  # fmt: skip
"""Sent with every answer. Plotly writes style attributes, hence unsafe-inline for styles alone."""


class _Headers:
    """The headers of a request by lower-case name; of repeated ones the first."""

    def __init__(self, scope: Scope) -> None:
        self._by_name: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            self._by_name.setdefault(name.lower(), value)

    def get(self, name: str) -> str:
        return self._by_name.get(name.encode(), b"").decode("latin-1")

    def has(self, name: str) -> bool:
        return name.encode() in self._by_name


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} else "OTHER"


def _too_large() -> HttpError:
    return HttpError(
        413, f"The body is larger than {MOST_BODY // 1024**2} MiB; send it in parts.", {"Connection": "close"}
    )


def _replayed(body: bytes | None, receive: Receive) -> Receive:
    """Return a channel that gives a body that has been read, then what comes after it."""
    if body is None:
        return receive
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def channel() -> Message:
        return messages.pop() if messages else await receive()

    return channel


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


class JsonLines(logging.Formatter):
    """Writes a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }  # fmt: skip
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json() -> None:
    """Write the log of the service, and of its server, to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (
        ("nascreen.service", logging.INFO),
        ("uvicorn", logging.WARNING),
        ("uvicorn.error", logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
