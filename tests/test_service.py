"""Promises of the service: honest answers, one shape of error, hostile input refused in words, tokens that hold."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from nascreen import wire
from nascreen.access import SCOPES, Tokens
from nascreen.errors import IntegrityError, RangeError, UnknownNameError
from nascreen.gatekeeper import MOST_BODY, PUBLIC, JsonLines, Rules, scope_of
from nascreen.models import load_models
from nascreen.records import Sample
from nascreen.service import Options, make_api
from nascreen.tables import result_values
from tests.conftest import running

JSON = {"content-type": "application/json"}
SAMPLE = {"formula": "Na3Zr2Si2PO12", "phase": "crystalline", "sinter_temp_c": 1200.0}


def assert_problem(answer: httpx.Response, status: int | None = None) -> dict[str, Any]:
    """Check that an answer is a problem with one printable sentence, and return it."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    wire.Problem.model_validate(body)
    assert body["status"] == answer.status_code < 500
    assert status is None or answer.status_code == status, body
    assert 20 < len(body["detail"]) < 600
    return body


# ---------------------------------------------------------------- answers


def test_a_prediction_over_http_is_that_of_the_models(service: httpx.Client) -> None:
    answer = service.post("/v1/predict", json=SAMPLE, params={"above_s_cm": 1e-4}).json()
    (prediction,) = load_models().predict([Sample(**SAMPLE)])
    expected = result_values(prediction)
    assert {name: answer[name] for name in expected} == expected
    assert 0 < answer["probability_above"] < 1
    wire.Predicted.model_validate(answer, strict=True)


def test_a_batch_keeps_its_order_and_says_why_one_cannot_be_used(service: httpx.Client) -> None:
    samples = [SAMPLE, {"formula": "Xx2"}, {"formula": "LiF"}, {"formula": "Na3BS3", "phase": "glass"}]
    answer = service.post("/v1/predict/batch", json={"samples": samples}).json()
    entries = wire.BatchOut.model_validate(answer).predictions
    assert [e.prediction.formula if e.prediction else "" for e in entries] == ["Na3Zr2Si2PO12", "", "", "Na3BS3"]
    assert "'Xx'" in entries[1].error
    assert "no sodium" in entries[2].error
    single = service.post("/v1/predict", json=SAMPLE).json()
    assert entries[0].prediction == wire.Predicted.model_validate(single)


def test_a_table_over_http_is_that_of_the_command(service: httpx.Client) -> None:
    text = "formula,sinter_temp_c,mine\nNa3Zr2Si2PO12,1200,a\nQq,,b\n"
    answer = service.post("/v1/predict/csv", content=text, headers={"content-type": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    head, first, second = answer.text.splitlines()
    assert head.startswith("formula,sinter_temp_c,mine,conductivity_s_cm,conductivity_lo")
    assert first.startswith("Na3Zr2Si2PO12,1200,a,")
    assert second.startswith("Qq,,b,,,,")
    assert "not an element symbol" in second


def test_curve_energy_and_prediction_lie_on_one_line(service: httpx.Client) -> None:
    curve = service.post("/v1/curve", json=SAMPLE, params={"from_c": 0, "to_c": 100, "n": 5}).json()
    found = wire.CurveOut.model_validate(curve)
    assert [p.temp_c for p in found.points] == [0, 25, 50, 75, 100]
    single = service.post("/v1/predict", json=SAMPLE).json()
    assert found.points[1].conductivity_s_cm == pytest.approx(single["conductivity_s_cm"], rel=1e-5)
    assert found.ea_ev == single["ea_ev"]
    assert all(p.conductivity_lo < p.conductivity_s_cm < p.conductivity_hi for p in found.points)
    assert len({m.citation for m in found.measured}) == len(found.measured) > 3


def test_an_explanation_adds_up(service: httpx.Client) -> None:
    found = wire.ExplainOut.model_validate(service.post("/v1/explain", json=SAMPLE).json())
    total = found.background.ea_ev + sum(c.ea_ev for c in found.contributions)
    assert total == pytest.approx(found.prediction.ea_ev, abs=1e-4)
    assert len(found.nearest) == 5


def test_cards_and_health_name_the_models_that_answer(service: httpx.Client) -> None:
    health = wire.HealthOut.model_validate(service.get("/v1/health").json())
    listed = wire.ModelsOut.model_validate(service.get("/v1/models").json())
    assert health.status == "ok"
    assert health.models == {m.name: m.sha256 for m in listed.models}
    card = wire.CardOut.model_validate(service.get("/v1/models/conductivity").json())
    assert card.text.startswith("# Ionic conductivity")
    assert_problem(service.get("/v1/models/none"), 404)


def test_requests_are_counted_by_route_and_status(service: httpx.Client) -> None:
    service.post("/v1/predict", json={"formula": "Zz"})
    text = service.get("/v1/metrics").text
    assert re.search(r'nascreen_requests_total{method="POST",route="/v1/predict",status="422"} [1-9]', text)
    assert 'nascreen_request_seconds_bucket{le="0.01",route="/v1/predict"}' in text


# ---------------------------------------------------------------- hostile input

FORMULAS = (
    "", " ", "NaN", "nan", "Na0", "Na-1", "Na1e999", "Na1e5", "Na" + "9" * 400, "N" * 201, "(" * 5000, "Na" * 1_000_000,
    "Na٣Zr2", "Na3\u200bPS4", "Na3PS4\x00", "\x1b[31mNa", "Na3PS4;DROP TABLE", "../../etc/passwd", "<script>",
    "=cmd|' /C calc'!A0", "Na3PS4)", "(Na3PS4", "Na()", "[]", "{}", "Na3PS4 (glass)", "Na3,5PS4", "na3ps4", "NA3PS4",
    "Na3..5PS4", "Na.PS4", "Na3PS4·H2O", "Na₃PS₄", "Ｎａ3PS4", "Na3PS4%00", "%4e%61", "Na3PS4\ud7ff", "LiF", "H2O",
    "((((((Na))))))", "Na1001PS4", "Na0.0000000001PS4", "Na3PS4" * 34, "Infinity", "-Na", "+Na3PS4", "Na3 PS4\t\t;",
    "null", "true",
)  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: repr(f[:20]))
def test_a_hostile_formula_is_refused_in_words(service: httpx.Client, formula: str) -> None:
    for path in ("/v1/predict", "/v1/curve", "/v1/explain"):
        body = assert_problem(service.post(path, json={"formula": formula}), 422)
        assert body["detail"].isprintable() or "\n" in body["detail"]


NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "true",
    '"25"',
    "9" * 5000,
    "-1",
    "null_",
    "[25]",
    "{}",
    "1e-400x",
)
FIELDS = tuple(name for name, field in wire.SampleIn.model_fields.items() if "float" in str(field.annotation))


@pytest.mark.parametrize("field", FIELDS)
def test_a_hostile_number_is_refused_in_words(service: httpx.Client, field: str) -> None:
    for text in NUMBERS:
        if field == "meas_temp_c" and text == "-1":
            continue
        body = f'{{"formula": "Na3PS4", "{field}": {text}}}'
        assert_problem(service.post("/v1/predict", content=body, headers=JSON), 422)


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "true", "", "0", "-1", "101", "9" * 5000])
def test_a_hostile_number_in_the_address_is_refused_in_words(service: httpx.Client, text: str) -> None:
    answer = service.post("/v1/predict", json=SAMPLE, params={"above_s_cm": text})
    assert_problem(answer, 422)


BODIES: dict[str, bytes] = {
    "nothing": b"", "NaN": b"NaN", "Infinity": b"Infinity", "list": b"[]", "text": b'"Na3PS4"',
    "cut": b'{"formula": "Na3',
    "nested": b"[" * 100_000, "nested objects": b'{"a":' * 100_000, "lone surrogate": b'{"formula": "\\ud800"}',
    "not UTF-8": b'{"formula": "\xff\xfe"}', "a NUL": b'{"formula": "Na\\u0000"}', "no formula": b"{}",
    "unknown field": b'{"formula": "Na3PS4", "sinter_temp": 1200}',
    "wrong choice": b'{"formula": "Na3PS4", "phase": "liquid"}',
    "long text": b'{"formula": "Na3PS4", "structure": "' + b"x" * 501 + b'"}',
    "control characters": b'{"formula": "Na3PS4", "structure": "a\\u0007b"}',
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused_in_words(service: httpx.Client, name: str) -> None:
    assert_problem(service.post("/v1/predict", content=BODIES[name], headers=JSON), 422)


def test_an_unknown_name_in_the_address_is_refused(service: httpx.Client) -> None:
    assert "'query.temp'" in assert_problem(service.post("/v1/predict", json=SAMPLE, params={"temp": 1}), 422)["detail"]


def test_a_body_of_another_type_is_refused(service: httpx.Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = service.post("/v1/predict", content=json.dumps(SAMPLE), headers={"content-type": kind})
        assert_problem(answer, 415)


def test_a_body_beyond_the_limit_is_refused_and_one_at_the_limit_is_read(service: httpx.Client) -> None:
    padding = MOST_BODY - len(json.dumps(SAMPLE))
    whole = json.dumps(SAMPLE) + " " * padding
    assert service.post("/v1/predict", content=whole, headers=JSON).status_code == 200
    assert_problem(service.post("/v1/predict", content=whole + " ", headers=JSON), 413)
    chunks = (whole[i : i + 100_000].encode() for i in range(0, len(whole), 100_000))
    assert service.post("/v1/predict", content=chunks, headers=JSON).status_code == 200
    chunks = ((whole + " ")[i : i + 100_000].encode() for i in range(0, len(whole) + 1, 100_000))
    assert_problem(service.post("/v1/predict", content=chunks, headers=JSON), 413)


def test_a_batch_beyond_the_limit_is_refused_and_one_at_the_limit_is_not(service: httpx.Client) -> None:
    samples = [{"formula": "Xx"}] * wire.MOST_SAMPLES
    assert service.post("/v1/predict/batch", json={"samples": samples}).status_code == 200
    assert_problem(service.post("/v1/predict/batch", json={"samples": [*samples, *samples[:1]]}), 422)


def test_a_table_beyond_the_limit_is_refused_and_one_at_the_limit_is_not(service: httpx.Client) -> None:
    text = "formula\n" + "Xx\n" * wire.MOST_CSV_ROWS
    headers = {"content-type": "text/csv"}
    assert service.post("/v1/predict/csv", content=text, headers=headers).status_code == 200
    assert_problem(service.post("/v1/predict/csv", content=text + "Xx\n", headers=headers), 422)


def test_every_unknown_address_and_method_is_a_problem(service: httpx.Client) -> None:
    for path in ("/nope", "/v1", "/v1/", "/v1/predict/", "/v1/models/%2e%2e/secret", "/docs", "/v1/..%2f..%2fetc"):
        assert_problem(service.get(path), 404)
    for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"):
        assert_problem(service.request(method, "/v1/predict"), 405)


def test_an_address_that_is_too_long_is_refused(service: httpx.Client) -> None:
    assert_problem(service.post("/v1/predict?above_s_cm=" + "1" * 9000, json=SAMPLE), 414)


# ---------------------------------------------------------------- hosts and pages


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil:80", "[::2]"])
def test_another_host_is_refused(service: httpx.Client, host: str) -> None:
    assert_problem(service.get("/v1/health", headers={"host": host}), 421)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_a_page_of_another_site_may_not_write(service: httpx.Client, headers: dict[str, str]) -> None:
    assert_problem(service.post("/v1/predict", json=SAMPLE, headers=headers), 403)


def test_no_page_of_another_site_may_read(service: httpx.Client) -> None:
    answer = service.get("/v1/health", headers={"origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


# ---------------------------------------------------------------- tokens


def _routes() -> Iterator[tuple[str, str]]:
    for path, methods in make_api(None).openapi()["paths"].items():
        for method in methods:
            yield method.upper(), re.sub(r"{[a-z_]+}", "x", path)


def _statuses(client: httpx.Client, method: str, path: str, headers: dict[str, str]) -> int:
    return client.request(
        method, path, headers={**JSON, **headers}, content=b"{}" if method == "POST" else None
    ).status_code


@pytest.mark.parametrize(("method", "path"), list(_routes()), ids=str)
def test_every_route_but_public_ones_needs_a_token_of_its_scope(
    guarded: tuple[httpx.Client, Tokens], method: str, path: str
) -> None:
    client, tokens = guarded
    needed = scope_of(path)
    if not needed:
        assert path in PUBLIC or path.startswith("/web/")
        return
    assert needed in SCOPES, f"{path} has no scope of its own in gatekeeper.SCOPE_OF"
    assert _statuses(client, method, path, {}) == 401
    assert _statuses(client, method, path, {"authorization": "Bearer nas_" + "0" * 64}) == 401
    text, token = tokens.make("right", [needed])
    wrong, _ = tokens.make("wrong", [s for s in SCOPES if s != needed])
    assert _statuses(client, method, path, {"authorization": f"Bearer {wrong}"}) == 403
    assert _statuses(client, method, path, {"authorization": f"Basic {text}"}) == 401
    assert _statuses(client, method, f"{path}?token={text}", {}) == 401
    assert _statuses(client, method, path, {"authorization": f"Bearer {text}"}) not in {401, 403}
    tokens.revoke(token.id)
    assert _statuses(client, method, path, {"authorization": f"Bearer {text}"}) == 401


def test_a_token_for_one_campaign_reaches_no_other(guarded: tuple[httpx.Client, Tokens]) -> None:
    client, tokens = guarded
    text, _ = tokens.make("student", ["campaign:mine"])
    headers = {"authorization": f"Bearer {text}"}
    assert client.get("/v1/campaigns/mine", headers=headers).status_code == 404
    assert_problem(client.get("/v1/campaigns/other", headers=headers), 403)
    assert_problem(client.post("/v1/predict", json=SAMPLE, headers=headers), 403)


def test_an_expired_token_is_refused(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    text, token = tokens.make("short", ["read"], days=1)
    assert token.is_valid(datetime.now(UTC) + timedelta(hours=23))
    assert not token.is_valid(datetime.now(UTC) + timedelta(hours=25))
    stored = json.loads(tokens.path.read_text(encoding="utf-8"))
    stored["tokens"][0]["expires"] = "2020-01-01T00:00:00+00:00"
    tokens.path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(Exception, match="unknown, expired or revoked"):
        tokens.check(text, "read")
    assert not tokens.has_valid()


def test_the_file_of_tokens_holds_no_token_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    text, _ = tokens.make("Anna", ["read"])
    assert text not in tokens.path.read_text(encoding="utf-8")
    assert tokens.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("label", "scopes", "days"),
    [("", ["read"], 1), ("a" * 101, ["read"], 1), ("a\nb", ["read"], 1), ("a", [], 1), ("a", ["admin"], 1),
     ("a", ["campaign:"], 1), ("a", ["campaign:../x"], 1), ("a", ["read"], 0), ("a", ["read"], 367),
     ("a", ["read"], float("nan"))],
    ids=str,
)  # fmt: skip
def test_a_token_that_cannot_be_is_refused_in_words(tmp_path: Path, label: str, scopes: list[str], days: float) -> None:
    with pytest.raises(RangeError, match=r"allowed|give a name"):
        Tokens(tmp_path / "tokens.json").make(label, scopes, days)


def test_a_damaged_file_of_tokens_lets_nobody_in(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    text, _ = tokens.make("Anna", ["read"])
    tokens.path.write_text("{", encoding="utf-8")
    with pytest.raises(IntegrityError, match="delete the file"):
        tokens.check(text, "read")
    with pytest.raises(UnknownNameError, match="nascreen token list"):
        Tokens(tmp_path / "other.json").revoke("none")


def test_tokens_made_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    threads = [threading.Thread(target=Tokens(path).make, args=(f"t{i}", ["read"])) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {token.label for token in Tokens(path).all()} == {f"t{i}" for i in range(16)}


# ---------------------------------------------------------------- time and load


def test_a_body_that_dribbles_is_refused_while_others_are_answered(tmp_path: Path) -> None:
    rules = Rules(body_seconds=0.5)
    with running(Options(rules, f"sqlite:///{tmp_path}/c.db", screens=tmp_path)) as client:
        port = client.base_url.port or 0
        slow = socket.create_connection(("127.0.0.1", port))
        slow.sendall(
            b"POST /v1/predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            b"content-length: 99\r\n\r\n{"
        )
        started = time.perf_counter()
        assert client.get("/v1/health").status_code == 200
        assert time.perf_counter() - started < 0.2
        answer = b"".join(iter(lambda: slow.recv(4096), b"")).decode()
        slow.close()
    assert answer.startswith("HTTP/1.1 408")
    assert "send it faster" in answer


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    rules = Rules(request_seconds=0.001)
    with running(Options(rules, f"sqlite:///{tmp_path}/c.db", screens=tmp_path)) as client:
        answer = client.post("/v1/explain", json=SAMPLE)
    assert answer.status_code == 504
    assert "took longer" in answer.json()["detail"]


def test_too_much_longer_work_at_once_is_put_off_and_health_still_answers(service: httpx.Client) -> None:
    statuses: list[int] = []
    slowest: list[float] = []

    def explain() -> None:
        with httpx.Client(base_url=service.base_url, timeout=60, trust_env=False) as client:
            statuses.append(client.post("/v1/explain", json=SAMPLE).status_code)

    threads = [threading.Thread(target=explain) for _ in range(30)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        started = time.perf_counter()
        assert service.get("/v1/health").status_code == 200
        slowest.append(time.perf_counter() - started)
        time.sleep(0.02)
    assert set(statuses) == {200, 429}
    assert sum(status == 200 for status in statuses) >= 18


def test_a_busy_service_predicts_every_sample_as_asked(service: httpx.Client) -> None:
    temps = [900.0 + i for i in range(60)]
    found: dict[float, float] = {}

    def ask(temp: float) -> None:
        body = {**SAMPLE, "sinter_temp_c": temp}
        found[temp] = httpx.post(f"{service.base_url}/v1/predict", json=body, timeout=60, trust_env=False).json()[
            "conductivity_s_cm"
        ]

    threads = [threading.Thread(target=ask, args=(temp,)) for temp in temps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    predicted = load_models().predict([Sample(**{**SAMPLE, "sinter_temp_c": temp}) for temp in temps])
    for temp, one in zip(temps, predicted, strict=True):
        assert found[temp] == pytest.approx(one.conductivity_s_cm, rel=1e-4)


def test_the_log_is_json_and_holds_no_secret(
    guarded: tuple[httpx.Client, Tokens], caplog: pytest.LogCaptureFixture
) -> None:
    client, tokens = guarded
    text, token = tokens.make("Anna", ["predict"])
    logging.getLogger("nascreen.service").propagate = True
    with caplog.at_level(logging.INFO, "nascreen.service"):
        client.post(f"/v1/predict?token={text}", json=SAMPLE, headers={"authorization": f"Bearer {text}"})
        client.post("/v1/predict", json=SAMPLE, headers={"authorization": f"Bearer {text}"})
        for _ in range(100):  # a line is written after its answer is sent
            if sum(record.getMessage() == "answered" for record in caplog.records) >= 2:
                break
            time.sleep(0.05)
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records if record.getMessage() == "answered"]
    assert {line["status"] for line in lines} == {422, 200}
    assert all(line["token"] == token.id and line["path"] == "/v1/predict" for line in lines)
    assert text not in json.dumps(lines)
