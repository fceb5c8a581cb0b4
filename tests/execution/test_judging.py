"""A judge grades a sample of the answers after the run; what fails there is said, and fails the run only when asked."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from plans.loading import load
from plans.problems import PlanError
from tests.execution.harness import ENVIRONMENT, certify, plan_file

SECRET = "judge-canary-51c2"


@dataclass
class Asked:
    """What the judge was asked, and when, on the clock that runs use."""

    host: str = ""
    at: list[float] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)


@contextmanager
def judge(status: int, says: str) -> Iterator[Asked]:
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.at.append(time.monotonic())
            asked.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            asked.tokens.append(self.headers.get("Authorization"))
            body = json.dumps({"choices": [{"message": {"role": "assistant", "content": says}}]}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        asked.host = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def plan(tmp_path: Path, host: str, *criteria: dict[str, Any]) -> Path:
    return plan_file(
        tmp_path,
        mix={"ChatUser": {"max_tokens": 16}},
        criteria=[{"id": "ok", "metric": "success_rate", "above": 0.9}, *criteria],
        judge={"host": host, "model": "strict-judge", "sample": 5, "api_key_env": "JUDGE_TOKEN"},
    )


def test_a_sample_is_graded_after_the_run_and_the_score_can_be_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "JUDGE_TOKEN", SECRET)
    limit = {"id": "judge", "metric": "judge_score", "at_least": 0.9}
    with judge(200, f'{{"score": 75, "why": "a <b> \\"short\\" {SECRET}"}}') as asked:
        run = certify(plan(tmp_path, asked.host, limit))

    assert run.states() == {"ok": "pass", "judge": "fail"}, run.out
    assert run.verdict["total"]["metrics"]["judge_score"]["value"] == pytest.approx(0.75)
    assert len(asked.bodies) == 5
    assert set(asked.tokens) == {f"Bearer {SECRET}"}
    last = max(row["done_s"] for row in run.samples)
    assert min(asked.at) > run.record.clock_origin + last, "never during the run"
    assert run.verdict["judgement"]["grades"][0]["why"] == 'a <b> "short" [secret]'
    questions = {row["prompt_id"] for row in run.samples}
    assert {grade["prompt_id"] for grade in run.verdict["judgement"]["grades"]} <= questions
    assert [p for p in run.folder.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()] == []


@pytest.mark.parametrize(
    ("status", "says", "problem"),
    [(500, "{}", "HTTP 500"), (200, "It is a good answer.", "no score from 0 to 100 in: It is a good answer.")],
)
def test_a_judge_that_fails_is_told_and_fails_no_run(tmp_path: Path, status: int, says: str, problem: str) -> None:
    with judge(status, says) as asked:
        run = certify(plan(tmp_path, asked.host))

    assert run.code == 0, run.out
    assert len(asked.at) == 3, "after three failures it is not asked any more"
    assert problem in run.verdict["judgement"]["problems"][0]
    assert problem in (run.folder / "report" / "report.html").read_text(encoding="utf-8")


def test_a_limit_on_a_judge_that_fails_is_no_pass(tmp_path: Path) -> None:
    run = certify(plan(tmp_path, "http://127.0.0.1:1", {"id": "judge", "metric": "judge_score", "at_least": 0.5}))

    assert run.states() == {"ok": "pass", "judge": "no_data"}
    assert run.code == 3


def test_a_judge_must_be_allowed_by_name(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"judge\.host is not allowed: add 'api\.example\.com'"):
        load(plan(tmp_path, "https://api.example.com"))
