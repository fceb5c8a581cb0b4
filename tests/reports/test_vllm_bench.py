"""The result file in the form of vLLM's `bench serve`: its names, and its formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reports.publish import publish
from samples.sample import Outcome, Protocol
from tests.reports.builder import RunBuilder, failed, steady
from tests.reports.test_llm_metrics import ONE_TOKEN, bundled, reasoned, recorded


def result(folder: Path, builder: RunBuilder) -> dict[str, Any]:
    analysis = builder.analyze(folder)
    assert publish(analysis, folder) == []
    found: dict[str, Any] = json.loads((folder / "report" / "vllm-bench.json").read_text(encoding="utf-8"))
    return found


def test_the_figures_are_vllms_own(tmp_path: Path) -> None:
    samples = [reasoned(), bundled(), failed(22.0, Outcome.TIMEOUT, protocol=Protocol.LLM)]
    found = result(tmp_path, RunBuilder(limits={"ttft_ms": 150}).samples(samples))
    length = 22.1 - 10.0  # from the first request sent to the last one done
    wanted = {
        "completed": 2,
        "failed": 1,
        "num_prompts": 3,
        "total_input_tokens": 38,
        "total_output_tokens": 17,
        "duration": length,
        "request_throughput": 2 / length,
        "request_goodput": 1 / length,
        "output_throughput": 17 / length,
        "total_token_throughput": 55 / length,
        "mean_ttft_ms": 150.0,
        "median_ttft_ms": 150.0,
        "std_ttft_ms": 50.0,
        "p99_ttft_ms": 199.0,  # vLLM interpolates between 100 and 200
        "mean_tpot_ms": (550 / 4 + 400 / 11) / 2,  # (last event - first) / (tokens - 1)
        "mean_itl_ms": 950 / 6,
        "mean_e2el_ms": (750 + 500) / 2,  # to the last event with content
    }
    assert {key: found[key] for key in wanted} == pytest.approx(wanted)
    assert (found["request_rate"], found["burstiness"], found["max_concurrency"]) == (10, "inf", None)
    assert (found["model_id"], found["backend"]) == ("embedded", "proofload")


def test_one_token_has_no_time_per_token(tmp_path: Path) -> None:
    found = result(tmp_path, RunBuilder().samples([recorded(28.0, 28.0, 28.06, ONE_TOKEN)]))
    assert (found["mean_ttft_ms"], found["mean_tpot_ms"], found["request_goodput"]) == (pytest.approx(50), 0.0, None)


def test_a_run_without_generated_text_has_no_such_file(tmp_path: Path) -> None:
    analysis = RunBuilder().samples(steady(10, 0, 30)).analyze(tmp_path)
    assert publish(analysis, tmp_path) == []
    assert not (tmp_path / "report" / "vllm-bench.json").exists()
