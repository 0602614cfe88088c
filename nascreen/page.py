"""The page that people open: static files of the package, and plotly.js from the installed plotly."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from nascreen.errors import shown
from nascreen.problems import HttpError
from nascreen.routes import in_thread

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent / "web"
FRONT = "index.html"
PLOTLY = "plotly.min.js"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
NO_PLOTLY = (
    "The plots need plotly.js, which comes with the plotly package, and that is not installed here; "
    "pip install 'nascreen[serve]' installs it. All numbers are shown without it."
)
_METHODS = ["GET", "HEAD"]


@dataclass(frozen=True)
class StaticFile:
    """A file as it is sent.

    Attributes:
        data: Its bytes.
        zipped: The same, compressed by gzip.
        kind: Its media type.
        etag: Its entity tag, quoted, from the hash of the bytes.
    """

    data: bytes
    zipped: bytes
    kind: str
    etag: str


@router.api_route("/", methods=_METHODS)
async def front(request: Request) -> Response:
    """Return the page."""
    return sent(static_file(FRONT), request)


@router.api_route("/web/{name}", methods=_METHODS)
async def web_file(request: Request, name: str) -> Response:
    """Return a file of the page; plotly.js, which is large, is read in a thread."""
    if name == PLOTLY:
        return sent(await in_thread(request, lambda: static_file(PLOTLY)), request)
    return sent(static_file(name), request)


@lru_cache(maxsize=1)
def file_names() -> frozenset[str]:
    """Return the names of the files that make up the page."""
    return frozenset(path.name for path in FOLDER.iterdir() if path.suffix in KINDS)


def static_file(name: str) -> StaticFile:
    """Return a file of the page by its name.

    Raises:
        HttpError: If the page has no such file, or plotly is not installed.
    """
    if name != PLOTLY and name not in file_names():
        raise HttpError(404, f"The page has no file {shown(name)}; open / for the page.")
    path = plotly_path() if name == PLOTLY else FOLDER / name
    return _read(path, path.stat().st_mtime_ns)


def plotly_path() -> Path:
    """Return where plotly.js stands; plotly itself is not imported, as that takes half a second.

    Raises:
        HttpError: If plotly is not installed.
    """
    spec = find_spec("plotly")
    path = Path(spec.origin).parent / "package_data" / PLOTLY if spec and spec.origin else None
    if path is None or not path.is_file():
        raise HttpError(404, NO_PLOTLY)
    return path


@lru_cache(maxsize=64)
def _read(path: Path, _changed_ns: int) -> StaticFile:
    """Return a file; the time of its last change makes a replaced one be read anew."""
    data = path.read_bytes()
    return StaticFile(data, gzip.compress(data, 6, mtime=0), KINDS[path.suffix], f'"{sha256(data).hexdigest()[:32]}"')


def sent(file: StaticFile, request: Request) -> Response:
    """Return a file as a response: compressed where that is understood, empty where the reader has it already."""
    # A page of one version must never run with the modules of another: every use asks whether it changed.
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        return Response(file.zipped, 200, {**headers, "Content-Encoding": "gzip"}, file.kind)
    return Response(file.data, 200, headers, file.kind)


def accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding header takes gzip.

    >>> accepts_gzip("br, gzip"), accepts_gzip("gzip;q=0, br"), accepts_gzip("")
    (True, False, False)
    """
    for part in header.lower().split(","):
        name, _, weight = part.strip().partition(";")
        if name.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
