"""The HTTP service: FastAPI's routes behind the gatekeeper, with the page beside them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from nascreen import (
    __version__,
    page,
    routes_campaign,
    routes_candidates,
    routes_data,
    routes_optimade,
    routes_predict,
    routes_rank,
)
from nascreen.datasets import user_folder
from nascreen.errors import NascreenError
from nascreen.gatekeeper import Gatekeeper, Meters, Rules, scope_of
from nascreen.kept_screens import KeptScreens
from nascreen.problems import HttpError, on_error
from nascreen.routes import REQUEST_MODELS, Parts
from nascreen.screening import measured_samples
from nascreen.serving import Batcher, ModelHolder, Workers

N_THREADS = 2
MOST_WAITING = 16
MOST_SCORING = 4
LOOK_SECONDS = 2.0
"""How often the folder of models is looked at."""

DESCRIPTION = (
    "Predicts ionic conductivity, activation energy and strength of sodium solid electrolytes from formula and "
    "processing, ranks candidates, runs campaigns, and serves the measured data with citations. "
    "Every error is a problem (RFC 9457)."
)


@dataclass(frozen=True)
class Options:
    """How a service is set up.

    Attributes:
        rules: What the gatekeeper demands.
        store: Address of the store of campaigns.
        models: Folder of the models; None for the promoted ones.
        screens: Folder with kept screens; None for ``screens`` in the user's folder.
        look_seconds: How often the folder of models is looked at.
    """

    rules: Rules = field(default_factory=Rules)
    store: str = "sqlite:///campaigns.db"
    models: Path | None = None
    screens: Path | None = None
    look_seconds: float = LOOK_SECONDS


def create_app(options: Options | None = None) -> ASGIApp:
    """Return the service as an ASGI application.

    Raises:
        IntegrityError: If the models cannot be used.
    """
    options = options or Options()
    meters = Meters()
    holder = ModelHolder(options.models)
    parts = Parts(
        holder, Batcher(holder), Workers(N_THREADS, MOST_WAITING), meters, options.rules, options.store,
        KeptScreens(options.screens or user_folder() / "screens", holder.folder), Workers(1, MOST_SCORING),
        time.monotonic(),
    )  # fmt: skip
    return Gatekeeper(_Quick(make_api(parts, options.look_seconds)), options.rules, meters)


class _Quick:
    """Answers the few routes that must be quick, and leaves all others to FastAPI."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api
        self._routes = {key: Route(key[1], handler) for key, handler in routes_predict.QUICK.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope.get("method", ""), scope.get("path", "")))
        if route is None:
            await self._api(scope, receive, send)
            return
        scope["app"] = self._api
        scope["route"] = route
        response = await route.endpoint(Request(scope, receive))
        await response(scope, receive, send)


def make_api(parts: Parts | None, look_seconds: float = LOOK_SECONDS) -> FastAPI:
    """Return the routes; without parts only their document can be asked for."""

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(_watch(parts, look_seconds)) if parts else None
        yield
        if watch and parts:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            parts.workers.close()
            parts.scorers.close()

    app = FastAPI(
        title="nascreen", version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None,
        openapi_url="/v1/openapi.json", lifespan=life, redirect_slashes=False,
    )  # fmt: skip
    app.state.parts = parts
    for module in ROUTERS:
        app.include_router(module.router)
    for kind in (NascreenError, HttpError, ValidationError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, on_error)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


ROUTERS = (
    routes_predict, routes_rank, routes_data, routes_optimade, routes_candidates, routes_campaign, page,
)  # fmt: skip


@contextmanager
def local_service(options: Options | None = None) -> Iterator[str]:
    """Run a service on a free port of this machine while a block runs, for notebooks and tests.

    Yields:
        Its address.

    Raises:
        IntegrityError: If the models cannot be used.
    """
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as bound:
        config = uvicorn.Config(create_app(options), log_config=None, lifespan="on", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


async def _watch(parts: Parts, seconds: float) -> None:
    # The first curve or explanation need not wait for the tables.
    await asyncio.to_thread(measured_samples)
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(parts.holder.refresh)


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the models of bodies and what each address needs of a token."""
    if app.openapi_schema:
        return app.openapi_schema
    document = FastAPI.openapi(app)
    parts = document.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    _, made = models_json_schema(
        [(model, "validation") for model in REQUEST_MODELS.values()], ref_template="#/components/schemas/{model}"
    )
    schemas.update(made.get("$defs", {}))
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    parts["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "Made by nascreen token new; not needed on loopback.",
        }
    }
    rules = app.state.parts.rules if app.state.parts else Rules()
    for path, methods in document["paths"].items():
        needed = scope_of(path.replace("{name}", "x"))
        for operation in methods.values():
            operation["responses"].pop("422", None)
            if needed:
                operation["security"] = [{"token": []}] if rules.needs_token else [{}, {"token": []}]
                operation["description"] = f"{operation.get('description', '')}\n\nScope of a token: {needed}."
    app.openapi_schema = document
    return document
