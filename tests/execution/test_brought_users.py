"""A locustfile of the operator's own in a plan: what its users do is recorded, once, and with times that are true."""

import csv
import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.servers import ScriptServer, plain
from tests.clients.test_http_tls import Certificates, certificates, secure
from tests.execution.harness import ENVIRONMENT, ROOT, Finished, certify, plan_file, serving

__all__ = ["certificates", "secure"]  # fixtures


USERS = str(ROOT / "tests" / "execution" / "my_users.py")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """A run, and what the server saw of it."""

    run: Finished
    requests: list[tuple[str, str, str]]

    def of(self, scenario: str) -> list[Row]:
        rows = [row for row in self.run.samples if row["scenario"] == scenario]
        return sorted(rows, key=lambda row: float(row["done_s"]))

    def iterations(self, scenario: str) -> list[Row]:
        return [row for row in self.of(scenario) if row["iteration"]]

    def asked(self, path: str) -> int:
        return sum(one[1] == path for one in self.requests)

    def locust(self, name: str) -> int:
        """Return how many requests of a name Locust's own statistics count."""
        with (self.run.folder / "report" / "locust_stats.csv").open(encoding="utf-8") as file:
            return sum(int(row["Request Count"]) for row in csv.DictReader(file) if row["Name"] == name)


def mix(*names: str, **more: Any) -> dict[str, Any]:
    return {name: {"share": 1, "file": USERS, **more} for name in names}


def load(folder: Path, keys: dict[str, Any], *options: str) -> Seen:
    log = folder / "log"
    with serving("--log", str(log)) as host:
        run = certify(plan_file(folder, **keys), f"--host={host}", *options)
    assert run.verdict["phases"][0]["accounting"]["lost"] == 0
    assert [process.begun for process in run.record.processes] == [len(run.samples)]
    return Seen(run, [tuple(one) for one in json.loads(log.read_text())["requests"]])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """One run of users that get on well."""
    names = ("Plain", "Fast", "LateFailure", "Bug", "BugInCheck", "Unjudged", "Silent", "Own")
    keys = {
        "mix": mix(*names) | mix("Tagged", exclude_tags=["slow"]) | mix("Tree"),
        "phases": [{"name": "only", "rate": 30, "duration": "4s"}],
        "target": {"api_key_env": "TEST_TOKEN"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENVIRONMENT, "TEST_TOKEN", "a-token")
        yield load(tmp_path_factory.mktemp("seen"), keys)


def test_every_arrival_is_one_iteration_of_its_share(seen: Seen) -> None:
    rows = seen.run.iterations
    assert sorted(row["arrival"] for row in rows) == list(range(120))
    assert set(Counter(row["scenario"] for row in rows).values()) == {12}
    assert all(row["done_s"] >= (row["sent_s"] or row["due_s"]) >= row["due_s"] for row in rows)


@pytest.mark.parametrize(
    ("scenario", "name", "path", "locust"),
    [("Plain", "GET items", "/items?page=1", "items"), ("Fast", "POST /items", "/items", "/items")],
)
def test_what_the_server_saw_is_what_was_recorded_and_what_locust_counted(
    seen: Seen, scenario: str, name: str, path: str, locust: str
) -> None:
    rows = seen.of(scenario)
    assert [(row["name"], row["outcome"], row["status"], row["bytes_in"]) for row in rows] == [
        (name, "ok", 200, 13)
    ] * 12
    assert {row["protocol"] for row in rows} == {"http"}
    assert seen.asked(path) == seen.locust(locust) == 12


def test_an_iteration_is_no_better_than_its_later_requests(seen: Seen) -> None:
    rows = seen.of("LateFailure")
    assert len(rows) == seen.asked("/first") + seen.asked("/status/500") == 24
    assert [(r["name"], r["outcome"], r["error"]) for r in rows if r["iteration"]] == [
        ("GET second", "http_error", "HTTP 500")
    ] * 12
    first = [row for row in rows if not row["iteration"]]
    assert [(row["name"], row["outcome"], row["arrival"]) for row in first] == [("GET /first", "ok", None)] * 12
    assert sorted(row["sent_s"] for row in first) == sorted(row["sent_s"] for row in rows if row["iteration"])


def test_an_exception_in_a_task_fails_its_iteration_and_names_itself(seen: Seen) -> None:
    rows = seen.of("Bug")
    assert Counter((row["name"], row["outcome"], row["iteration"]) for row in rows) == {
        ("GET /before", "ok", False): 12,
        ("(task)", "bad_content", True): 12,
    }
    assert {row["error"] for row in rows} == {None, "the task failed: KeyError: 'total'"}
    assert {row["error"] for row in seen.of("BugInCheck")} == {"the task failed: KeyError: 'total'"}
    assert (
        [row["name"] for row in seen.of("BugInCheck")]
        == ["GET /checked"] * 12
        == ["GET /checked"] * seen.asked("/checked")
    )


def test_a_request_that_nobody_judged_and_a_task_without_one_are_failures(seen: Seen) -> None:
    assert [row["outcome"] for row in seen.of("Unjudged")] == ["bad_content"] * 12
    assert all("catch_response needs a with-block" in row["error"] for row in seen.of("Unjudged"))
    assert [(row["name"], row["error"]) for row in seen.of("Silent")] == [
        ("(no request)", "the task ended without a request")
    ] * 12


def test_events_of_a_client_of_ones_own_are_taken_as_they_come_also_from_a_greenlet(seen: Seen) -> None:
    rows = seen.of("Own")
    assert Counter((row["name"], row["iteration"]) for row in rows) == {
        ("grpc call", True): 12,
        ("grpc call in a greenlet", False): 12,
    }
    assert {(row["protocol"], row["outcome"], row["bytes_in"]) for row in rows} == {("other", "ok", 7)}
    assert all(0.095 < row["done_s"] - row["sent_s"] < 0.5 for row in rows)
    assert seen.locust("call") == 12


def test_nested_task_sets_wait_for_arrivals_only(seen: Seen) -> None:
    rows = seen.of("Tree")
    assert Counter(row["name"] for row in rows if row["iteration"]).keys() == {"GET /one", "GET /two", "GET /three"}
    extra = Counter(row["name"] for row in rows if not row["iteration"])
    # Who interrupts the inner set begins it anew in the same iteration, as Locust does without waiting.
    assert set(extra) <= {"GET /login", "GET /logout", "GET /one"}
    assert extra["GET /login"] == extra["GET /logout"] == seen.asked("/login") == seen.asked("/logout") > 0


def test_tags_choose_among_the_tasks(seen: Seen) -> None:
    assert {row["name"] for row in seen.of("Tagged")} == {"GET /read"}
    assert len(seen.of("Tagged")) == seen.asked("/read") == 12


def test_the_plans_token_is_sent_and_listeners_of_the_file_are_called(seen: Seen) -> None:
    assert {authorization for _, _, authorization in seen.requests} == {"Bearer a-token"}
    assert seen.run.out.count("init heard, Environment") == 1
    assert "Uncaught exception in event handler" not in seen.run.err + seen.run.out
    assert {row["error"] for row in seen.run.samples if row["error"] and "a-token" in row["error"]} == set()


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """One run of users of both kinds that meet all that a request can meet."""
    keys = {
        "mix": mix("PlainChecks", "FastChecks", timeout="300ms"),
        "phases": [{"name": "only", "rate": 4, "duration": "1s"}],
    }
    return load(tmp_path_factory.mktemp("checked"), keys)


@pytest.mark.parametrize("scenario", ["PlainChecks", "FastChecks"])
def test_whatever_becomes_of_a_request_has_its_name(checked: Seen, scenario: str) -> None:
    seen = checked

    assert Counter((row["name"], row["outcome"]) for row in seen.of(scenario)) == {
        ("GET missing", "http_error"): 2,
        ("GET /wrong", "bad_content"): 2,
        ("GET meant", "ok"): 2,
        ("GET excused", "connect_error"): 2,
        ("GET lost", "connect_error"): 2,
        ("GET late", "timeout"): 2,
        ("GET stranger", "bad_content"): 2,
        ("GET led astray", "bad_content"): 2,
        ("GET led on", "ok"): 2,
    }
    said = {row["name"]: (row["status"], row["error"] or "") for row in seen.of(scenario)}
    assert said["GET missing"] == (404, "HTTP 404")
    assert said["GET /wrong"] == (200, "no lamp in it")
    assert said["GET meant"] == (410, "")
    assert said["GET lost"][0] is None
    assert "load.example.com is not allowed" in said["GET stranger"][1]
    assert "load.example.com is not allowed" in said["GET led astray"][1]
    assert all(0.25 < row["done_s"] - row["sent_s"] < 2 for row in seen.of(scenario) if row["name"] == "GET late")


def test_what_is_in_flight_at_the_end_is_cut_and_no_fast_success(tmp_path: Path) -> None:
    keys = {
        "mix": mix("Slow", "SlowFast", "SlowOwn"),
        "phases": [{"name": "only", "rate": 6, "duration": "1s"}],
        "pool": {"drain": "500ms"},
    }
    seen = load(tmp_path, keys)

    assert Counter((row["scenario"], row["outcome"]) for row in seen.run.samples) == {
        ("Slow", "cut"): 2,
        ("SlowFast", "cut"): 2,
        ("SlowOwn", "cut"): 2,
    }
    assert {row["name"] for row in seen.run.samples} == {"GET held", "grpc held"}
    assert all(row["iteration"] and row["done_s"] > 1.4 for row in seen.run.samples)
    assert seen.asked("/wait/30") == 4


def test_a_late_start_is_in_the_latency_whatever_the_client_says(tmp_path: Path) -> None:
    """Two users for twice as many arrivals as they can serve: the wait for a user counts."""
    keys = {
        "mix": mix("Paced"),
        "phases": [{"name": "only", "rate": 40, "duration": "2s"}],
        "pool": {"max_users": 2, "max_lag": "30s"},
    }
    seen = load(tmp_path, keys)

    rows = seen.iterations("Paced")
    assert len(rows) == seen.asked("/wait/0.1") == seen.locust("paced") == 80
    assert all(0.095 < row["done_s"] - row["sent_s"] < 0.5 for row in rows)
    # Two users serve 20 a second at best: the last of 80 arrivals is done after 4 s, and was due before 2.
    assert rows[-1]["done_s"] - rows[-1]["due_s"] > 1.9
    assert sum(row["waited"] for row in rows) > 60


def test_a_closed_phase_has_its_slots_and_its_think_time(tmp_path: Path) -> None:
    keys = {
        "mix": mix("Paced", "Plain"),
        "phases": [{"name": "closed", "users": 6, "think": "100ms", "duration": "3s"}],
    }
    seen = load(tmp_path, keys)

    assert seen.run.code == 0, seen.run.out
    # 3 users a class; a round takes 0.2 s, or 0.1 s and what a plain request needs.
    assert 30 <= len(seen.of("Paced")) == seen.asked("/wait/0.1") <= 45
    assert 45 <= len(seen.of("Plain")) == seen.asked("/items?page=1") <= 90
    assert {row["arrival"] for row in seen.run.samples} == {None}


BROKEN = {
    "no such file": (None, "Shopper", "plan.yaml: mix.Shopper.file must be a Python file, got"),
    "syntax": ("import os\nclass Shopper(:\n", "Shopper", "users.py line 2: invalid syntax"),
    "no such class": ("class Shoper: pass\n", "Shopper", "mix.Shopper is no class in"),
    "no user": ("class Shopper: pass\n", "Shopper", "users.py: Shopper must be a Locust user class, got <class"),
    "no task": (
        "from locust import User\nclass Shopper(User): pass\n",
        "Shopper",
        "users.py: Shopper must have a task",
    ),
    "import": ("import os\n\nimport no_such_thing\nShopper = 1\n", "Shopper", "users.py: line 3 cannot be imported"),
    "exit": ("import sys\nShopper = 1\nsys.exit(3)\n", "Shopper", "users.py: line 3 cannot be imported: SystemExit: 3"),
    "a name that is taken": (
        "class ChatUser: pass\n",
        "ChatUser",
        "mix.ChatUser.file is not a known key: ChatUser is a",
    ),
}


@pytest.mark.parametrize(("text", "name", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_cannot_be_used_is_named_before_the_load(
    tmp_path: Path, text: str | None, name: str, words: str
) -> None:
    if text is not None:
        (tmp_path / "users.py").write_text(text, encoding="utf-8")
    log = tmp_path / "log"
    with serving("--log", str(log)) as host:
        run = certify(plan_file(tmp_path, mix={name: {"file": "users.py"}}), f"--host={host}")

    assert run.code == 2, run.out
    assert words in run.err
    assert "Traceback" not in run.err
    assert json.loads(log.read_text())["requests"] == []


def test_tags_that_leave_no_task_are_named(tmp_path: Path) -> None:
    run = certify(plan_file(tmp_path, mix=mix("Tagged", tags=["none"])))

    assert run.code == 2, run.out
    assert "Tagged must have a task that tags and exclude_tags of the mix leave" in run.err


def test_a_user_of_proofloads_own_kind_needs_no_place_in_the_locustfile(tmp_path: Path) -> None:
    (tmp_path / "users.py").write_text(_block("python", "class SearchUser"), encoding="utf-8")
    keys = {"mix": {"SearchUser": {"file": "users.py"}}, "phases": [{"name": "only", "rate": 10, "duration": "1s"}]}
    seen = load(tmp_path, keys)

    rows = seen.of("SearchUser")
    assert [(row["name"], row["outcome"]) for row in rows] == [("search", "bad_content")] * 10
    assert {row["error"] for row in rows} == {"the page does not show what was searched for"}
    assert sum(path.startswith("/search?q=") for _, path, _ in seen.requests) == 10


def _block(kind: str, words: str) -> str:
    """Return the block of the page on scenarios that has these words."""
    page = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^( *)```{kind}\n(.*?)^\1```", page, re.MULTILINE | re.DOTALL)
    (block,) = [textwrap.dedent(text) for _, text in blocks if words in text]
    return block


def test_the_locustfile_of_the_page_runs_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "my_users.py").write_text(_block("python", "class Shopper"), encoding="utf-8")
    # Beside other tests, the generator's own health is not the page's to promise.
    busy = "\ngenerator: {lag_p99_ms: 2000, loop_lag_p99_ms: 2000}\n"
    (tmp_path / "my_plan.yaml").write_text(_block("yaml", "Shopper:") + busy, encoding="utf-8")
    run = certify(tmp_path / "my_plan.yaml", "--time-scale=0.05")

    assert run.code == 0, run.out + run.err
    assert {row["scenario"] for row in run.samples} == {"Shopper", "ChatUser"}
    assert {row["name"] for row in run.samples if row["scenario"] == "Shopper"} == {"GET a run", "GET runs"}


@dataclass(frozen=True, slots=True)
class Secured:
    """A run against a server whose certificate nobody knows, and one where the plan's machine knows it."""

    unknown: Finished
    trusted: Finished


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, secure: ScriptServer, certificates: Certificates
) -> Iterator[Secured]:
    text = "from locust import FastHttpUser, HttpUser, task\n"
    for kind in ("HttpUser", "FastHttpUser"):
        text += f"""
class Careless{kind}({kind}):
    insecure = True

    @task
    def look(self):
        self.client.verify = False
        self.client.get("{plain(b"ok").path()}", name="look")
"""
    folder = tmp_path_factory.mktemp("secured")
    (folder / "users.py").write_text(text, encoding="utf-8")
    users = {f"Careless{kind}": {"file": "users.py", "share": 1} for kind in ("HttpUser", "FastHttpUser")}
    plan = plan_file(folder, mix=users, phases=[{"name": "only", "rate": 6, "duration": "1s"}])
    unknown = certify(plan, f"--host={secure.named_url}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENVIRONMENT, "SSL_CERT_FILE", str(certificates.authority))
        yield Secured(unknown, certify(plan, f"--host={secure.named_url}"))


@pytest.mark.parametrize("kind", ["HttpUser", "FastHttpUser"])
def test_tls_is_verified_whatever_the_class_says(secured: Secured, kind: str) -> None:
    unknown, trusted = (
        [row for row in run.samples if row["scenario"] == f"Careless{kind}"]
        for run in (secured.unknown, secured.trusted)
    )
    assert [row["outcome"] for row in unknown] == ["connect_error"] * 3
    assert all("certificate verify failed" in row["error"] for row in unknown)
    assert [row["outcome"] for row in trusted] == ["ok"] * 3
