"""The `nascreen serve` and `nascreen token` commands."""

from __future__ import annotations

import gc
import ipaddress
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from nascreen.access import DEFAULT_DAYS, MOST_DAYS, SCOPES, Tokens, token_file
from nascreen.errors import AccessError, InputError, MissingExtraError, RangeError, shown

token_app = typer.Typer(help="Tokens of the service: make, list, revoke.", no_args_is_help=True)
SWITCH_SECONDS = 0.0005
"""How long longer work may hold the interpreter while a request waits for it; Python's own 5 ms add up."""
GARBAGE = (10_000, 20, 10)
"""When garbage is looked for: a table of many rows makes none, but so many objects that it would be all the time."""
STORE = Annotated[str, typer.Option("--store", envvar="NASCREEN_STORE", help="Address of the store of campaigns.")]


def serve(
    host: Annotated[str, typer.Option(help="Address to bind; another than this machine needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to bind.")] = 8000,
    store: STORE = "sqlite:///campaigns.db",
    screens: Annotated[Path | None, typer.Option(help="Folder in which scored candidates are kept.")] = None,
    allowed_host: Annotated[
        list[str] | None, typer.Option("--allowed-host", help="Name under which the service is reached; repeat.")
    ] = None,
    openapi: Annotated[bool, typer.Option("--openapi", help="Print the OpenAPI document and end.")] = False,
    require_token: Annotated[bool, typer.Option("--require-token", help="Ask for a token on loopback too.")] = False,
) -> None:
    """Serve predictions, rankings, data and campaigns over HTTP, and the page."""
    if not 0 <= port <= 65535:
        raise RangeError(f"The port is {port}; allowed is 0 (any free one) to 65535.")
    tokens = Tokens(token_file())
    try:
        import uvicorn

        from nascreen.gatekeeper import is_loopback, log_as_json
    except ImportError as error:
        raise MissingExtraError(
            "The service is not installed; install it with: pip install 'nascreen[serve]'"
        ) from error
    if openapi:
        print(openapi_text(), end="")
        return
    is_open = not is_loopback(host)
    if (is_open or require_token) and not tokens.has_valid():
        where = f"the address {shown(host)} is reachable from other machines" if is_open else "--require-token is set"
        raise AccessError(
            f"There is no valid token, and {where}; make one first: nascreen token new NAME --scope predict"
        )
    from nascreen.gatekeeper import Rules
    from nascreen.service import Options, create_app

    log_as_json()
    sys.setswitchinterval(SWITCH_SECONDS)
    hosts = {"localhost", "127.0.0.1", "::1", *(name.lower() for name in allowed_host or ())}
    rules = Rules(frozenset(hosts | _own_name(host)), tokens, needs_token=is_open or require_token)
    app = create_app(Options(rules, store, screens=screens))
    # What stays for good need not be gone through again and again while requests wait.
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False, date_header=True,
        timeout_keep_alive=30, timeout_graceful_shutdown=10, limit_concurrency=1000, backlog=256,
        h11_max_incomplete_event_size=64 * 1024, lifespan="on",
    )  # fmt: skip
    server = uvicorn.Server(config)
    bound = _bound(host, port)
    port = bound.getsockname()[1]
    shown_host = f"[{host}]" if ":" in host else host
    note = "tokens are asked for" if rules.needs_token else "open to this machine alone"
    print(f"nascreen: http://{shown_host}:{port}/ ({note}; Ctrl-C ends it)", file=sys.stderr, flush=True)
    server.run([bound])


def _bound(host: str, port: int) -> socket.socket:
    try:
        (family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address[:2], family=family, backlog=256)
    except OSError as error:
        raise InputError(
            f"The address {shown(host)} port {port} cannot be bound ({error.strerror}); choose another with --port."
        ) from error


def openapi_text() -> str:
    """Return the OpenAPI document of the service as it is committed."""
    import json

    from nascreen.service import make_api

    return json.dumps(make_api(None).openapi(), ensure_ascii=False, indent=1) + "\n"


def _own_name(host: str) -> set[str]:
    """Return the bound address as a name to be asked by, unless it stands for every address."""
    try:
        return set() if ipaddress.ip_address(host).is_unspecified else {host.lower()}
    except ValueError:
        return {host.lower()}


@token_app.command("new")
def token_new(
    label: Annotated[str, typer.Argument(help="Whose token it is.")],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help=f"{', '.join(SCOPES)} or campaign:NAME; repeat.")
    ] = None,
    days: Annotated[float, typer.Option(help=f"How long it holds, up to {MOST_DAYS} days.")] = DEFAULT_DAYS,
) -> None:
    """Make a token and print it, once; only its hash is kept."""
    text, token = Tokens(token_file()).make(label, scope or ["read", "predict"], days)
    print(text)
    print(f"id {token.id}, allows {', '.join(token.scopes)}, holds until {token.expires}", file=sys.stderr)


@token_app.command("list")
def token_list() -> None:
    """List the tokens, never the tokens themselves."""
    tokens = Tokens(token_file()).all()
    if not tokens:
        print("There is no token; make one with: nascreen token new NAME")
    for token in tokens:
        state = f"revoked {token.revoked}" if token.revoked else f"until {token.expires}"
        print(f"{token.id}  {token.label}  {', '.join(token.scopes)}  {state}")


@token_app.command("revoke")
def token_revoke(token_id: Annotated[str, typer.Argument(help="Id, as nascreen token list shows it.")]) -> None:
    """Revoke a token; running services refuse it from now on."""
    token = Tokens(token_file()).revoke(token_id)
    print(f"revoked {token.id} ({token.label})")
