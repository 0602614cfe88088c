"""Promises of the page's files: whole, small, of one version, closed to scripts from elsewhere, nothing else served."""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

import httpx
import pytest

from nascreen import page
from nascreen.page import FOLDER, NO_PLOTLY, PLOTLY, accepts_gzip, file_names, plotly_path, static_file
from nascreen.problems import HttpError

SCRIPTS = sorted(path.name for path in FOLDER.glob("*.js"))
MOST_TRANSFER = 300_000


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_the_page_opens_at_the_root_without_a_token(guarded: tuple[httpx.Client, object]) -> None:
    client, _ = guarded
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>nascreen</title>" in answer.text


@pytest.mark.parametrize("name", sorted(file_names()))
def test_every_file_of_the_page_is_served_as_what_it_is(service: httpx.Client, name: str) -> None:
    answer = service.get(f"/web/{name}")
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["content-type"] == page.KINDS[Path(name).suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self';" in answer.headers["content-security-policy"]


def test_everything_that_the_page_names_is_served(service: httpx.Client) -> None:
    named = set(re.findall(r'(?:href|src)="(/web/[^"]+)"', _text("index.html")))
    for name in SCRIPTS:
        named |= {f"/web/{found}" for found in re.findall(r'from "\./([^"]+)"', _text(name))}
    assert len(named) > 8
    assert {path: service.get(path).status_code for path in named} == dict.fromkeys(named, 200)


@pytest.mark.parametrize(
    "path",
    ["/web/nothing.js", "/web/..%2fpage.py", "/web/%2e%2e/page.py", "/web/style.css%00.js", "/web/", "/web/a/b.js"],
    ids=["unknown", "encoded-parent", "dots", "nul", "folder", "nested"],
)
def test_nothing_beside_the_page_is_served(service: httpx.Client, path: str) -> None:
    answer = service.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_reader_that_has_a_file_is_told_so_and_gets_nothing(service: httpx.Client) -> None:
    first = service.get("/web/app.js")
    again = service.get("/web/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert service.get("/web/app.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_no_use_of_a_kept_file_goes_unasked(service: httpx.Client) -> None:
    assert service.get("/web/app.js").headers["cache-control"] == "no-cache"


def test_a_file_that_is_replaced_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.js").write_text("one", encoding="utf-8")
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    assert static_file("app.js").data == b"one"
    (tmp_path / "app.js").write_text("two, later", encoding="utf-8")
    assert static_file("app.js").data == b"two, later"


def test_files_travel_compressed_only_to_those_who_can_read_that(service: httpx.Client) -> None:
    with service.stream("GET", "/web/style.css", headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(raw) == (FOLDER / "style.css").read_bytes()
    plain = service.get("/web/style.css", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    ("header", "takes"),
    [("gzip", True), ("br;q=1.0, gzip;q=0.8", True), ("*", True), ("GZIP", True), ("gzip; q=0", False), ("br", False)],
    ids=["plain", "weights", "star", "case", "refused", "other"],
)
def test_the_wish_for_compression_is_read_as_the_standard_says(header: str, takes: bool) -> None:  # noqa: FBT001
    assert accepts_gzip(header) is takes


def test_the_head_of_a_file_can_be_asked_for(service: httpx.Client) -> None:
    answer = service.head("/web/app.js")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"]


def test_everything_but_plotly_is_small() -> None:
    assert sum(len(static_file(name).data) for name in file_names()) <= MOST_TRANSFER


def test_plotly_comes_from_its_wheel_without_being_imported(service: httpx.Client) -> None:
    was_imported = "plotly" in sys.modules
    answer = service.get(f"/web/{PLOTLY}")
    assert answer.status_code == 200
    assert answer.content == plotly_path().read_bytes()
    assert ("plotly" in sys.modules) is was_imported


def test_a_missing_plotly_is_said_in_words(service: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "find_spec", lambda _name: None)
    with pytest.raises(HttpError, match="need plotly"):
        plotly_path()
    answer = service.get(f"/web/{PLOTLY}")
    assert (answer.status_code, answer.json()["detail"]) == (404, NO_PLOTLY)


@pytest.mark.parametrize("name", SCRIPTS)
def test_text_from_outside_can_only_become_text(name: str) -> None:
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|srcdoc|DOMParser"
    assert re.findall(rf"{markup}|document\.write|\beval\(|new Function", _text(name)) == []


@pytest.mark.parametrize("name", [*SCRIPTS, "index.html", "style.css"])
def test_nothing_is_fetched_from_elsewhere(name: str) -> None:
    allowed = {"https://doi.org/", "http://www.w3.org/"}
    found = re.findall(r"https?://[^/\"'`\s]+/", _text(name).replace("\\/", "/"))
    assert set(found) <= allowed
    assert "//cdn" not in _text(name)


def test_the_page_holds_no_script_of_its_own() -> None:
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", _text("index.html"), flags=re.DOTALL)
    assert scripts
    assert all('src="/web/' in attributes and not text for attributes, text in scripts)
    assert not re.search(r"\son[a-z]+=", _text("index.html"))
