"""Recordings are read to the last digit, wrong rows are named, and a part of one keeps its distances."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.traces.reading import FORMATS, read, replay
from data.traces.samples import SAMPLES, write
from data.traces.trace import Request, TraceError

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:50.9951691,879,55
2023-11-16 23:59:59.9999999,91,16
2023-11-17 00:00:00.0000001,91,16
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1, 2]}
{"timestamp": 27, "input_length": 600, "output_length": 1, "hash_ids": [0, 7]}

{"timestamp": 3000.5, "input_length": 1, "output_length": 9, "hash_ids": []}
"""
BURSTGPT = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
5,1,0.5,ChatGPT,472,18,490,Conversation log
5,2,0.5,GPT-4,1087,0,1087,API log
118.123456789,3,1,GPT-4,10.0,276,286,API log
"""
LOG = """10.0.0.1 - bob [10/Oct/2000:13:55:37 -0700] "GET /b?x=1 HTTP/1.0" 200 2326
10.0.0.1 - - [10/Oct/2000:20:55:36 +0000] "HEAD /a HTTP/1.1" 404 - "-" "curl \\"x\\" 8"
::1 - - [10/Oct/2000:20:55:38.250 +0000] "POST /c HTTP/2.0" 201 0 "-" "-"
::1 - - [10/Oct/2000:20:55:38 +0000] "\\x16\\x03\\x01" 400 226 "-" "-"
::1 - - [10/Oct/2000:20:55:39 +0000] "GET http://elsewhere.example/ HTTP/1.1" 200 226 "-" "-"
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "trace"
    path.write_text(text, encoding="utf-8")
    return path


def test_azure_keeps_100_nanoseconds_across_midnight(tmp_path: Path) -> None:
    trace = read(file(tmp_path, AZURE), "azure")
    begin = 46_680_590_000
    wanted = [begin, 50_995_169_000, 50_995_169_100, (5 * 3600 + 44 * 60 + 59) * 10**9 + 999_999_900]
    assert list(trace.ns)[:4] == [ns - begin for ns in wanted]
    assert trace.ns[4] - trace.ns[3] == 200
    assert list(trace.input_tokens) == [374, 396, 879, 91, 91]
    assert list(trace.output_tokens) == [44, 109, 55, 16, 16]
    seconds = replay(tmp_path / "trace", "azure").seconds
    assert round((seconds[4] - seconds[3]) * 1e7) == 2
    assert round((seconds[2] - seconds[1]) * 1e7) == 1


def test_a_zone_and_other_columns_of_azure_are_understood(tmp_path: Path) -> None:
    text = (
        "NumImages,TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "1,2024-05-10 02:00:00.5+02:00,1,2\n0,2024-05-10T00:00:01Z,3,4\n"
    )
    trace = read(file(tmp_path, text), "azure")
    assert (list(trace.ns), list(trace.input_tokens)) == ([0, 500_000_000], [1, 3])


def test_mooncake_counts_milliseconds_and_keeps_blocks(tmp_path: Path) -> None:
    trace = read(file(tmp_path, MOONCAKE), "mooncake")
    assert list(trace.ns) == [0, 27_000_000, 3_000_500_000]
    assert [list(trace.blocks_of(row)) for row in range(3)] == [[0, 1, 2], [0, 7], []]
    assert (list(trace.input_tokens), list(trace.output_tokens)) == ([6758, 600, 1], [500, 1, 9])


def test_burstgpt_counts_seconds_and_says_what_failed(tmp_path: Path) -> None:
    trace = read(file(tmp_path, BURSTGPT), "burstgpt")
    assert list(trace.ns) == [0, 0, 113_123_456_789]
    assert (list(trace.input_tokens), list(trace.output_tokens)) == ([472, 1087, 10], [18, 0, 276])
    assert trace.notes == ["1 of 3 recorded requests failed: the plan's max_tokens is asked"]


def test_a_log_is_sorted_and_only_what_may_be_asked_again_is_left(tmp_path: Path) -> None:
    trace = read(file(tmp_path, LOG), "access-log")
    assert trace.requests == [Request("HEAD", "/a", 404), Request("GET", "/b?x=1", 200)]
    assert list(trace.ns) == [0, 10**9]
    assert trace.notes == ["1 × POST, 2 × no request of HTTP of 5 rows are left out"]
    with_post = read(tmp_path / "trace", "access-log", ("POST",))
    assert with_post.requests == [Request("POST", "/c", 201)]


def test_speed_offset_and_limit_keep_the_distances(tmp_path: Path) -> None:
    path = file(tmp_path, BURSTGPT + "200,1,1,GPT-4,1,1,2,API log\n")
    assert list(replay(path, "burstgpt").seconds) == [0, 0, 113.123456789, 195]
    twice = replay(path, "burstgpt", speed=2, offset=100, limit=1)
    assert (twice.first, twice.count, list(twice.seconds)) == (2, 1, [13.123456789 / 2])
    assert twice.duration == 7
    assert replay(path, "burstgpt", speed=0.5).duration == 391
    with pytest.raises(ValueError, match="must lie before the last row, which comes at 195 s, got 196 s"):
        replay(path, "burstgpt", offset=196)


def test_rows_of_one_second_are_divided_over_it_when_asked(tmp_path: Path) -> None:
    rows = [0, 0, 0, 0, 2, 3, 3]
    path = file(
        tmp_path,
        "Timestamp,Model,Request tokens,Response tokens,Log Type\n" + "".join(f"{t},m,1,1,x\n" for t in rows),
    )
    at_once = replay(path, "burstgpt")
    assert list(at_once.seconds) == rows
    assert at_once.notes == ("times are whole seconds: up to 4 requests begin at once (trace.spread divides them)",)
    spread = replay(path, "burstgpt", spread=True)
    assert list(spread.seconds) == [0.125, 0.375, 0.625, 0.875, 2.5, 3.25, 3.75]
    assert spread.notes == ()


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    assert replay(file(tmp_path, AZURE), "azure").count == 5
    assert replay(tmp_path / "trace", "azure").trace is replay(tmp_path / "trace", "azure", limit=2).trace
    assert replay(file(tmp_path, "".join(AZURE.splitlines(keepends=True)[:2])), "azure").count == 1


HEAD = AZURE.splitlines()[0] + "\n"
WRONG = {
    "azure number": ("azure", HEAD + "2023-11-16 18:15:46,1,x\n", "line 2: GeneratedTokens must be a whole number"),
    "azure blank": ("azure", HEAD + "2023-11-16 18:15:46,,1\n", "line 2: ContextTokens must be .*, got ''"),
    "azure cells": ("azure", HEAD + "\n2023-11-16 18:15:46,1\n", "line 3: must have 3 cells like the header, got 2"),
    "azure time": ("azure", HEAD + "2023-13-16 18:15:46,1,1\n", "line 2: TIMESTAMP must be a time .*, got '2023-13-16"),
    "azure hour": ("azure", HEAD + "2023-11-16 24:15:46,1,1\n", "line 2: TIMESTAMP must be a time"),
    "azure order": ("azure", AZURE + "2023-11-16 18:15:46,1,1\n", "line 7: must not be earlier than the row above it"),
    "azure header": ("azure", "a,b\n1,2\n", "line 1: must name the column TIMESTAMP, got a, b"),
    "azure none": ("azure", HEAD, "must hold at least one request, got none"),
    "empty": ("azure", "", "line 1: must name the column TIMESTAMP, got nothing"),
    "burst time": ("burstgpt", BURSTGPT + "-1,1,1,m,1,1,2,x\n", "line 5: Timestamp must be a number of seconds >= 0"),
    "mooncake json": ("mooncake", MOONCAKE + "{\n", "line 5: is not valid JSON"),
    "mooncake list": ("mooncake", "[1]\n", r"line 1: must be a JSON object, got '\[1\]'"),
    "mooncake time": ("mooncake", '{"timestamp": "1"}', "timestamp must be a number of milliseconds"),
    "mooncake nan": ("mooncake", '{"timestamp": NaN}', "timestamp must be a number of milliseconds"),
    "mooncake length": ("mooncake", '{"timestamp": 1, "input_length": 1}', "output_length must be .*, got nothing"),
    "mooncake ids": ("mooncake", '{"timestamp": 1, "hash_ids": ["a"]}', "hash_ids must be a list of whole numbers"),
    "log line": ("access-log", LOG + "hello\n", "line 6: must be in the common or combined log format, got 'hello'"),
    "log time": ("access-log", '- - - [10/Okt/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2', "time must be such as"),
    "log status": ("access-log", '- - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" x 2', "status must be a number"),
    "log nothing": ("access-log", LOG.splitlines()[2], "at least one request, got none; left out: 1 × POST"),
}  # fmt: skip


@pytest.mark.parametrize(("form", "text", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named(tmp_path: Path, form: str, text: str, said: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(TraceError, match=f"^{path}: {said}" if said.startswith("line") else said):
        read(path, form)


def test_five_problems_are_named_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TraceError) as caught:
        read(file(tmp_path, HEAD + "x,1,1\n" * 9), "azure")
    assert len(str(caught.value).splitlines()) == 5
    with pytest.raises(TraceError, match=r"gone\.csv: cannot be read: No such file"):
        replay(tmp_path / "gone.csv", "azure")


def test_samples_of_every_format_can_be_read_and_are_those_of_the_repository(tmp_path: Path) -> None:
    written = {path.name: path for path in write(tmp_path)}
    assert set(written) == set(SAMPLES)
    names = dict(zip(FORMATS, ("mooncake.jsonl", "azure.csv", "burstgpt.csv", "access.log"), strict=True))
    assert all(len(read(written[name], form)) >= 50 for form, name in names.items())
    kept = Path(__file__).resolve().parents[2] / "data" / "samples"
    assert {path.name: path.read_text() for path in kept.iterdir()} == {
        name: path.read_text() for name, path in written.items()
    }
