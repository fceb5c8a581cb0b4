"""Every mistake in a plan is named with its file, field, value and what is allowed, in words for operators."""

import re
from pathlib import Path

import pytest

from plans.loading import load
from plans.problems import PlanError

GOOD = """
id: P-1
title: A plan
mix: {ChatUser: {share: 1.0}}
phases:
  - {name: one, rate: 10, duration: 10s}
"""


def problems_of(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(PlanError) as caught:
        load(path, environ or {})
    lines = str(caught.value).splitlines()
    assert lines
    assert [str(problem) for problem in caught.value.problems] == lines
    for line in lines:
        assert "pydantic" not in line.lower()
        assert "Traceback" not in line
        assert "Error" not in line
        assert "  " not in line
    return lines


def broken(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return [line.replace(str(tmp_path) + "/", "") for line in problems_of(path, environ)]


def phase(text: str) -> str:
    return GOOD.replace("{name: one, rate: 10, duration: 10s}", text)


def criterion(text: str) -> str:
    return GOOD + f"criteria:\n  - {{{text}}}\n"


TABLE = [
    (phase("{name: one, rate: -5, duration: 1s}"), "x.yaml: phases[0].rate must be > 0, got -5"),
    (phase("{name: one, rate: 0, duration: 1s}"), "x.yaml: phases[0].rate must be > 0, got 0"),
    (phase("{name: one, users: -2, duration: 1s}"), "x.yaml: phases[0].users must be > 0, got -2"),
    (phase("{name: one, rate: fast, duration: 1s}"), "x.yaml: phases[0].rate must be a number, got 'fast'"),
    (
        phase("{name: one, rate: yes, duration: 1s}"),
        "x.yaml: phases[0].rate must be a number or a mapping of levels, got True",
    ),
    (phase("{name: one, rate: .inf, duration: 1s}"), "x.yaml: phases[0].rate must be a finite number, got inf"),
    (
        phase("{name: one, rate: 10}"),
        "x.yaml: phases[0].duration is missing",
    ),
    (
        phase("{name: one, rate: 10, duration: soon}"),
        "x.yaml: phases[0].duration must be a duration such as 30s, 5m, 1h30m or 250ms, got 'soon'",
    ),
    (phase("{name: one, rate: 10, duration: 0}"), "x.yaml: phases[0].duration must be > 0, got 0"),
    (phase("{name: one, rate: 10, duration: -3}"), "x.yaml: phases[0].duration must be > 0, got -3"),
    (
        phase("{name: one, rate: 10, duration: 9999h}"),
        "x.yaml: phases[0].duration must be <= 31622400, got '9999h'",
    ),
    (
        phase("{name: one, rate: 10, users: 5, duration: 1s}"),
        "x.yaml: phases[0] must have either rate (open: arrivals/s) or users (closed), and not both",
    ),
    (
        phase("{name: one, duration: 1s}"),
        "x.yaml: phases[0] must have either rate (open: arrivals/s) or users (closed), and not both",
    ),
    (
        phase("{name: one, shape: ramp, rate: 10, duration: 1s}"),
        "x.yaml: phases[0].rate of a ramp phase must be {from, to}, got a number",
    ),
    (
        phase("{name: one, shape: ramp, rate: {from: 10}, duration: 1s}"),
        "x.yaml: phases[0].rate of a ramp phase must be {from, to}, got {from}",
    ),
    (
        phase("{name: one, rate: {from: 10, to: 20}, duration: 1s}"),
        "x.yaml: phases[0].rate of a constant phase must be a number, got {from, to}",
    ),
    (
        phase("{name: one, shape: spyke, rate: 10, duration: 1s}"),
        "x.yaml: phases[0].shape must be one of constant, baseline,",
    ),
    (
        phase("{name: one, shape: spike, rate: {base: 1, peak: 2}, rise: 5s, hold: 5s, fall: 1s, duration: 10s}"),
        "x.yaml: phases[0].rise + hold + fall must fit into the duration of 10 s",
    ),
    (
        phase("{name: one, rate: 10, rise: 5s, duration: 10s}"),
        "x.yaml: phases[0].rise has no meaning in a constant phase",
    ),
    (
        phase("{name: one, shape: sine, users: {mean: 5, amplitude: 6}, duration: 10s}"),
        "x.yaml: phases[0].users.amplitude must be at most the mean, or the load would fall below 0",
    ),
    (
        phase("{name: one, rate: 10, think: 2s, duration: 10s}"),
        "x.yaml: phases[0].think has a meaning in closed phases (users) only",
    ),
    (
        phase("{name: one, users: 10, think: {min: 3s, max: 2s}, duration: 10s}"),
        "x.yaml: phases[0].think.max must be at least min (3 s), got 2 s",
    ),
    (
        phase("{name: one, users: 10, think: -1, duration: 10s}"),
        "x.yaml: phases[0].think must be >= 0, got -1",
    ),
    (
        phase("{name: one, rate: 10, duraton: 10s}"),
        "x.yaml: phases[0].duraton is not a known key; did you mean 'duration'?",
    ),
    (
        phase("{name: 'two words', rate: 10, duration: 1s}"),
        "x.yaml: phases[0].name must be 1 to 64 letters, digits, dots, dashes or underscores, got 'two words'",
    ),
    (phase("{name: 7, rate: 10, duration: 1s}"), "x.yaml: phases[0].name must be text (in quotes"),
    (phase("five minutes at ten"), "x.yaml: phases[0] must be a mapping, got 'five minutes at ten'"),
    (
        GOOD.replace("phases:\n  - {name: one, rate: 10, duration: 10s}", "phases: []"),
        "x.yaml: phases must have at least one",
    ),
    (
        phase("{name: one, rate: 1, duration: 1s}\n  - {name: one, rate: 2, duration: 1s}"),
        "x.yaml: phases[1].name must be unique, got 'one' again",
    ),
    (GOOD.replace("title: A plan\n", ""), "x.yaml: title is missing"),
    (GOOD.replace("A plan", "''"), "x.yaml: title must not be empty, got ''"),
    (GOOD.replace("A plan", "no"), "x.yaml: title must be text (in quotes where YAML reads something else), got False"),
    (GOOD.replace("P-1", "a/b"), "x.yaml: id must be 1 to 80 letters, digits, dots, dashes or underscores, got 'a/b'"),
    (GOOD + "level: 9\n", "x.yaml: level must be <= 4, got 9"),
    (GOOD + "level: on\n", "x.yaml: level must be a number, got True"),
    (GOOD + "colour: red\n", "x.yaml: colour is not a known key; known are extends, id, title"),
    (GOOD + "criterias: []\n", "x.yaml: criterias is not a known key; did you mean 'criteria'?"),
    (GOOD + "extend: a.yaml\n", "x.yaml: extend is not a known key; did you mean 'extends'?"),
    (GOOD + "criteria+: 5\n", "x.yaml: criteria+ is not a known key; did you mean 'criteria'?"),
    (GOOD + "arrivals: poison\n", "x.yaml: arrivals must be one of 'uniform', 'poisson' or 'gamma', got 'poison'"),
    (GOOD + "pool: {max_users: 0}\n", "x.yaml: pool.max_users must be >= 1, got 0"),
    (GOOD + "pool: {max_users: 2.5}\n", "x.yaml: pool.max_users must be a whole number, got 2.5"),
    (GOOD + "pool: {max_lagg: 2}\n", "x.yaml: pool.max_lagg is not a known key; did you mean 'max_lag'?"),
    (GOOD + "monitors: {host: maybe}\n", "x.yaml: monitors.host must be true or false, got 'maybe'"),
    (GOOD.replace("ChatUser", "ChatUsr"), "x.yaml: mix.ChatUsr is not a known key; did you mean 'ChatUser'?"),
    (GOOD.replace("{ChatUser: {share: 1.0}}", "{}"), "x.yaml: mix must name at least one scenario"),
    (GOOD.replace("{ChatUser: {share: 1.0}}", "{ChatUser: null}"), "x.yaml: mix must name at least one scenario"),
    (GOOD.replace("{share: 1.0}", "{share: 0}"), "x.yaml: mix.ChatUser.share must be > 0, got 0"),
    (GOOD.replace("{share: 1.0}", "{streaming: 1.5}"), "x.yaml: mix.ChatUser.streaming must be <= 1, got 1.5"),
    (
        GOOD.replace("{share: 1.0}", "{extra: {stream: true}}"),
        "x.yaml: mix.ChatUser.extra.stream is written by the scenario and must not be given",
    ),
    (GOOD + "target: {headers: {Host: a}}\n", "x.yaml: target.headers.Host is written by the client and must not"),
    (GOOD + "target: {headers: {A b: c}}\n", "x.yaml: target.headers must have names of letters, digits and dashes"),
    (GOOD + 'target: {headers: {X-Key: "a\\nb"}}\n', "x.yaml: target.headers.X-Key must be printable ASCII text"),
    (
        GOOD + "target: {headers: {authorization: a}, api_key_env: KEY}\n",
        "x.yaml: target.headers.Authorization must not be given beside api_key_env",
    ),
    (
        GOOD.replace("{share: 1.0}", "{path: v1/chat}"),
        "x.yaml: mix.ChatUser.path must be a path that begins with / and holds no spaces, got",
    ),
    (
        GOOD.replace("{ChatUser: {share: 1.0}}", "{WebSocketUser: {connections: 5}}"),
        "x.yaml: mix has only WebSocketUser, which takes no arrivals",
    ),
    (
        GOOD.replace("{ChatUser: {share: 1.0}}", "{WebSocketUser: {}}"),
        "x.yaml: mix.WebSocketUser.connections is missing",
    ),
    (
        criterion("metric: latency_p59_ms, below: 1"),
        "x.yaml: criteria[0].metric is not a known metric, got 'latency_p59_ms'; did you mean",
    ),
    (
        criterion("metric: latency_p95_ms"),
        "x.yaml: criteria[0] must have exactly one of below, at_most, at_least, above, is",
    ),
    (
        criterion("metric: latency_p95_ms, below: 5, above: 1"),
        "x.yaml: criteria[0] must have exactly one of below, at_most, at_least, above, is",
    ),
    (criterion("metric: memory_leak, below: 1"), "x.yaml: criteria[0] on memory_leak needs is: true or is: false"),
    (criterion("metric: latency_p95_ms, is: true"), "x.yaml: criteria[0] on latency_p95_ms needs a number"),
    (criterion("metric: latency_p95_ms, below: true"), "x.yaml: criteria[0].below must be a number, got True"),
    (criterion("metric: latency_p95_ms, below: fast"), "x.yaml: criteria[0].below must be a number, got 'fast'"),
    (criterion("below: 5"), "x.yaml: criteria[0].metric is missing"),
    (
        criterion("metric: success_rate, above: 0.9, phase: onne"),
        "x.yaml: criteria[0].phase must be one of the plan's (one), got 'onne'; did you mean 'one'?",
    ),
    (
        criterion("metric: success_rate, above: 0.9, scenario: ReadOnlyUser"),
        "x.yaml: criteria[0].scenario must be one of the plan's (ChatUser), got 'ReadOnlyUser'",
    ),
    (
        criterion("metric: memory_max_bytes, below: 9, scenario: ChatUser"),
        "x.yaml: criteria[0] on memory_max_bytes must have no scenario and no name",
    ),
    (
        criterion("metric: success_rate, above: 0.9, severity: maybe"),
        "x.yaml: criteria[0].severity must be one of 'fail' or 'warn'",
    ),
    (
        GOOD + "target: {host: 'https://api.example.com'}\n",
        "x.yaml: target.host is not allowed: add 'api.example.com' to",
    ),
    (GOOD + "target: {host: 'localhost:80'}\n", "x.yaml: target.host must be a URL such as http://127.0.0.1:8000 or"),
    (
        GOOD + "target: {api_key_env: 'sk-123'}\n",
        "x.yaml: target.api_key_env must be the name of an environment variable",
    ),
    (
        GOOD + "target: {process: {pid: 1, port: 2}}\n",
        "x.yaml: target.process must have exactly one of pid, port, name",
    ),
    (GOOD + "target: {process: 80}\n", "x.yaml: target.process must be a mapping, got 80"),
    (GOOD + "faults: [{kind: latency, at: -1}]\n", "x.yaml: faults[0].at must be >= 0, got -1"),
    (GOOD + "faults: [{kind: latncy}]\n", "x.yaml: faults[0].kind must be one of 'latency', 'stall', 'errors'"),
    (
        GOOD + "description: '${NOWHERE}'\n",
        "x.yaml: description needs the environment variable NOWHERE, which is not set",
    ),
    (GOOD + "id: P-2\n", "x.yaml: line 7 is not valid YAML: the key 'id' stands twice"),
    (GOOD + "pool: {drain: 1, drain: 2}\n", "x.yaml: line 7 is not valid YAML: the key 'drain' stands twice"),
    (GOOD + "? [a]\n: b\n", "x.yaml: line 7 is not valid YAML: a key must be a word"),
    (GOOD + "1: one\n", "x.yaml: [1] has a key that is not text"),
    (GOOD + "title: [\n", "x.yaml: line"),
    (GOOD + "description: 2001-99-99\n", "x.yaml: is not valid YAML: month must be in 1..12"),
    ("- a\n- b\n", "x.yaml: must be a mapping of plan keys, got a list"),
    ("just text", "x.yaml: must be a mapping of plan keys, got text"),
    ("", "x.yaml: must be a mapping of plan keys, got nothing"),
    ("a: &a\n  b: *a\n", "x.yaml: must hold at most"),
    (GOOD + "extends: 5\n", "x.yaml: extends must be the path of a plan, got 5"),
    (GOOD + "extends: x.yaml\n", "x.yaml: extends leads back to this plan through 'x.yaml'"),
    (GOOD + "extends: gone.yaml\n", "x.yaml: extends must be the path of a plan, got 'gone.yaml'"),
]


@pytest.mark.parametrize(("text", "expected"), TABLE, ids=[expected[8:60] for _, expected in TABLE])
def test_a_mistake_is_named_in_words(tmp_path: Path, text: str, expected: str) -> None:
    lines = broken(tmp_path, text)
    assert any(line.startswith(expected) for line in lines), lines


@pytest.mark.parametrize(("text", "expected"), TABLE, ids=[expected[8:60] for _, expected in TABLE])
def test_one_mistake_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    # A mistake that has consequences may be named with them, but never twice.
    lines = broken(tmp_path, text)
    assert len(lines) == len(set(lines)) <= 2


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    lines = broken(
        tmp_path,
        """
id: "?"
title: A plan
mix: {ChatUser: {share: -1}, Nobody: {}}
target: {host: "${HOST_OF_NOBODY}"}
phases:
  - {name: one, rate: -5, duration: never}
  - {name: two, shape: ramp, rate: 10, duration: 1m}
criteria:
  - {phase: three, metric: latency, below: 5}
""",
    )
    fields = {line.split(" ")[1] for line in lines}
    assert fields == {
        "id", "mix.ChatUser.share", "mix.Nobody", "target.host", "phases[0].rate", "phases[0].duration",
        "phases[1].rate", "criteria[0].phase", "criteria[0].metric",
    }  # fmt: skip


def test_a_file_that_is_not_there_is_named_with_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "spike.yaml").write_text(GOOD)
    (line,) = problems_of(tmp_path / "spke.yaml")
    assert line == f"{tmp_path}/spke.yaml: does not exist; did you mean {tmp_path}/spike.yaml?"


def test_what_is_not_text_and_what_is_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    assert problems_of(tmp_path / "x.yaml") == [f"{tmp_path}/x.yaml: is not text in UTF-8"]
    assert "cannot be read: Is a directory" in problems_of(tmp_path)[0]


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    (line,) = broken(tmp_path, GOOD.replace("P-1", "x" * 5000))
    assert len(line) < 250


def test_a_document_that_multiplies_itself_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert broken(tmp_path, "\n".join(lines))[0].startswith("x.yaml: must hold at most")


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    assert broken(tmp_path, "a: " + "[" * 2000)
    assert broken(tmp_path, "a: " + "{a: " * 300 + "1" + "}" * 300)


def test_no_password_is_shown(tmp_path: Path) -> None:
    for host in ("http://me:hunter2@127.0.0.1", "ftp://me:hunter2@127.0.0.1", "http://me:hunter2@127.0.0.1:99999999"):
        lines = broken(tmp_path, GOOD + f"target: {{host: '{host}'}}\n")
        assert "hunter2" not in str(lines)
        assert re.search("must not hold credentials", lines[0])


def test_the_value_of_a_header_is_in_no_message(tmp_path: Path) -> None:
    for value in ('"sec\\nret-7"', "[secret-7]", "{a: secret-7}"):
        (problem,) = broken(tmp_path, GOOD + f"target: {{headers: {{X-Key: {value}}}}}\n")
        assert "X-Key" in problem
        assert "ret-7" not in problem
