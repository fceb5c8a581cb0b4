"""A browser's recording becomes a user: its requests are made again, and its secrets are nowhere."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.execution.harness import ROOT, certify, plan_file, serving

SECRET = "canary-of-the-recording"


def entry(url: str, method: str = "GET", status: int = 200, **request: Any) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, "headers": []} | request, "response": {"status": status}}


def posted(text: str, kind: str) -> dict[str, Any]:
    return {"postData": {"mimeType": kind, "text": text}}


ENTRIES = [
    entry(
        "http://shop.test/items?page=1&access_token=" + SECRET,
        headers=[{"name": "Cookie", "value": SECRET}, {"name": "Authorization", "value": SECRET}],
    ),
    entry("https://cdn.test/logo.png"),
    entry(
        "http://shop.test/login", "POST", **posted(json.dumps({"user": "a", "password": SECRET}), "application/json")
    ),
    entry(
        "http://shop.test/cart?a=%20b", "POST", **posted(f"item=7&csrf={SECRET}", "application/x-www-form-urlencoded")
    ),
    entry("http://shop.test/status/404", status=404),
    entry("http://shop.test/items", status=304),
    entry("http://shop.test/cancelled", status=0),
    entry("http://shop.test/items", "OPTIONS"),
]


def convert(folder: Path, entries: object, *options: str) -> subprocess.CompletedProcess[str]:
    recording = folder / "recording.har"
    recording.write_text(json.dumps({"log": {"entries": entries}}), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "scenarios.har", str(recording), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_recording_is_made_again_under_load(tmp_path: Path) -> None:
    done = convert(tmp_path, ENTRIES)
    assert done.returncode == 0, done.stderr
    (tmp_path / "my_users.py").write_text(done.stdout, encoding="utf-8")
    log = tmp_path / "log.json"
    with serving("--log", str(log)) as url:
        run = certify(
            plan_file(
                tmp_path,
                target={"host": url},
                mix={"Recorded": {"file": "my_users.py"}},
                phases=[{"name": "only", "rate": 30, "duration": 2}],
            )
        )
    assert run.code == 0, run.out + run.err
    assert {row["outcome"] for row in run.iterations} == {"ok"}
    assert {row["name"] for row in run.iterations} >= {"GET /items", "POST /login", "POST /cart"}
    sent = {(method, path) for method, path, _ in json.loads(log.read_text(encoding="utf-8"))["requests"]}
    assert sent <= {
        ("GET", "/items?page=1&access_token=left-out"),
        ("POST", "/login"),
        ("POST", "/cart?a=%20b"),
        ("GET", "/status/404"),
        ("GET", "/items"),
    }


def test_secrets_and_other_hosts_are_left_out_and_said(tmp_path: Path) -> None:
    done = convert(tmp_path, ENTRIES)
    assert SECRET not in done.stdout + done.stderr
    assert "cdn.test/logo" not in done.stdout
    for said in (
        "the header cookie",
        "the header authorization",
        "the value of access_token",
        "the value of password",
        "the value of csrf",
        "a request to another host, https://cdn.test",
        "a request without an answer",
        "a question of the browser (OPTIONS)",
    ):
        assert f"1 x {said}" in done.stderr
        assert f"1 x {said}" in done.stdout


def test_words_of_a_recording_are_never_code(tmp_path: Path) -> None:
    evil = '"""\nimport os\n"""\\'
    entries = [
        entry("http://shop.test/a", headers=[{"name": "token" + evil, "value": "x"}]),
        entry(
            "http://shop.test/b" + evil,
            "POST",
            **posted(json.dumps({"token" + evil: 1, "x": evil}), "application/json"),
        ),
    ]
    done = convert(tmp_path, entries)
    assert done.returncode == 0, done.stderr
    tree = ast.parse(done.stdout)
    kinds = [type(node).__name__ for node in tree.body]
    assert kinds == ["Expr", "ImportFrom", "ImportFrom", "AnnAssign", "ClassDef"]


def test_a_recording_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    for entries, options, why in (
        ("nothing", (), "must be a HAR file"),
        ([], (), "has no request to any host"),
        (ENTRIES, ("--host", "http://other.test"), "its hosts: http://shop.test, https://cdn.test"),
        (ENTRIES, ("--name", "not a name"), "must be the name of a Python class"),
    ):
        done = convert(tmp_path, entries, *options)
        assert done.returncode == 2
        assert why in done.stderr
        assert done.stdout == ""
