"""Against a real inference engine: llama.cpp's server with a tiny random Mixtral, started for these tests.

What the client counted is held against what the engine counted itself. Skipped where the engine is not installed
(`make llama`); `make test` installs it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.execution.harness import ROOT, Finished, certify, plan_file

MISSING = [name for name in ("xllamacpp", "gguf", "tokenizers") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"make llama installs what is missing: {', '.join(MISSING)}")
_LENGTH = 24
"""max_tokens of the plans; every answer has as many."""


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "target.llama"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["url"]
    process.stdin.close()
    assert process.wait(10) == 0


def counted(url: str) -> dict[str, float]:
    """The engine's own counters."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    pairs = [line.split() for line in lines if line.startswith("llamacpp:")]
    return {name.removeprefix("llamacpp:"): float(value) for name, value in pairs}


def certified(engine: str, folder: Path, plan: str, time_scale: float) -> Finished:
    """Run a plan of the repository, but with what a busy machine needs of the load generator."""
    child = folder / "plan.yaml"
    child.write_text(
        f"extends: {ROOT / plan}\ngenerator: {{lag_p99_ms: 2000, loop_lag_p99_ms: 2000}}\n", encoding="utf-8"
    )
    return certify(child, f"--host={engine}", f"--time-scale={time_scale}")


@pytest.mark.parametrize(
    ("plan", "time_scale"), [("plans/llama/quickstart.yaml", 0.2), ("plans/llama/mixtral-load.yaml", 0.12)]
)
def test_a_run_against_a_real_engine_passes_and_both_sides_count_the_same(
    engine: str, tmp_path: Path, plan: str, time_scale: float
) -> None:
    before = counted(engine)
    run = certified(engine, tmp_path, plan, time_scale)
    after = counted(engine)

    assert run.code == 0, run.out + run.err
    assert {row["outcome"] for row in run.iterations} == {"ok"}
    assert {row["token_source"] for row in run.iterations} == {"usage"}
    grown = {name: after[name] - value for name, value in before.items()}
    # One question before the load, of one token, asks whether streams may be asked for token counts.
    assert grown["tokens_predicted_total"] == _LENGTH * len(run.iterations) + 1
    assert grown["tokens_predicted_total"] == sum(row["output_tokens"] for row in run.iterations) + 1
    asked = grown["prompt_tokens_total"] + grown["prompt_tokens_cached_total"]
    assert asked == sum(row["prompt_tokens"] for row in run.iterations) + _warm_up_tokens(engine)
    streamed = [row for row in run.iterations if row["events"]]
    assert all(row["events"] <= row["output_tokens"] for row in streamed)
    assert 0 < len(streamed) <= len(run.iterations)


def _warm_up_tokens(engine: str) -> int:
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    request = urllib.request.Request(f"{engine}/v1/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=5) as response:
        tokens: int = json.load(response)["usage"]["prompt_tokens"]
        return tokens


@pytest.mark.parametrize("endpoint", ["completions", "responses"])
def test_the_other_endpoints_of_a_real_engine_are_understood(engine: str, tmp_path: Path, endpoint: str) -> None:
    extra = {"ignore_eos": True, "cache_prompt": False}
    run = certify(
        plan_file(
            tmp_path,
            mix={"ChatUser": {"endpoint": endpoint, "streaming": 0.5, "max_tokens": _LENGTH, "extra": extra}},
            target={"host": engine, "connections": {"keep_alive": False}},
        )
    )
    assert run.code == 0, run.out + run.err
    assert {row["name"] for row in run.iterations} == {endpoint, f"{endpoint} (stream)"}
    assert {(row["output_tokens"], row["token_source"]) for row in run.iterations} == {(_LENGTH, "usage")}


def test_an_engine_that_refuses_is_told_in_its_own_words(engine: str, tmp_path: Path) -> None:
    run = certify(
        plan_file(
            tmp_path,
            mix={"ChatUser": {"extra": {"n_probs": -5, "logit_bias": "nonsense", "grammar": "root ::= ("}}},
            target={"host": engine, "connections": {"keep_alive": False}},
            phases=[{"name": "only", "rate": 3, "duration": "1s"}],
        )
    )
    assert run.code == 1, run.out + run.err
    assert {row["outcome"] for row in run.iterations} == {"http_error"}
    assert all('"error"' in row["error"] for row in run.iterations)
