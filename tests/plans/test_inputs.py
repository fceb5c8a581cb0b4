"""What is wrong with the inputs of a plan is named before any load, and files lie beside the plan that names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from data.traces.samples import write
from plans.input_files import peak_rate, recorded, replay_notes
from plans.loading import load
from plans.problems import PlanError
from plans.run import scaled
from plans.schema import Plan

RATE = {"name": "p", "rate": 1, "duration": "1s"}


def plan(folder: Path, prompts: object = "mixed", phase: dict[str, Any] | None = None, **more: Any) -> Path:
    content = {"id": "x", "title": "x", "mix": {"ChatUser": {"prompts": prompts}}, "phases": [phase or RATE]} | more
    path = folder / "x.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def replay(file: str = "azure.csv", form: str = "azure", **more: Any) -> dict[str, Any]:
    trace = {key: more.pop(key) for key in ("speed", "offset", "limit", "spread", "methods") if key in more}
    return {"name": "p", "shape": "replay", "trace": {"file": file, "format": form, **trace}, **more}


SYNTHETIC = {"source": "synthetic", "input": 5}
WRONG: list[tuple[object, dict[str, Any], str]] = [
    ("hard", RATE, "mix.ChatUser.prompts must be one of 'simple', 'medium', .*, got 'hard'"),
    ({"source": "sharegpt"}, RATE, "mix.ChatUser.prompts.file is missing: the source sharegpt needs it"),
    ({"source": "sharegpt", "file": "no.json"}, RATE, r"prompts.file .*no\.json: cannot be read: No such file"),
    ({"source": "sharegpt", "file": "azure.csv"}, RATE, r"prompts.file .*azure\.csv: is not valid JSON"),
    ({"source": "synthetic"}, RATE, "prompts.input is missing: how many tokens"),
    ({"source": "mixed", "input": 5}, RATE, "prompts.input has no meaning with the source mixed"),
    (SYNTHETIC | {"input": -1}, RATE, "prompts.input must be >= 0, got -1"),
    (SYNTHETIC | {"input": {"distribution": "normal", "mean": 5}}, RATE, "prompts.input.std is missing: a normal"),
    (SYNTHETIC | {"input": {"value": 5, "mean": 5}}, RATE, "prompts.input.mean has no meaning in a fixed"),
    (
        SYNTHETIC | {"input": {"distribution": "uniform", "min": 5, "max": 2}},
        RATE,
        "input.max must be at least",
    ),
    (
        SYNTHETIC | {"output": {"distribution": "file", "file": "azure.csv"}},
        RATE,
        r"output.file .*azure\.csv: line 1",
    ),
    (
        SYNTHETIC | {"output": {"distribution": "normal", "mean": 9, "std": 1, "min": 500}},
        RATE,
        "prompts.output hold next to nothing of the distribution: 500 to",
    ),
    (SYNTHETIC | {"tokenizer": "no.json"}, RATE, "prompts.tokenizer must be a file that exists, got '.*no.json'"),
    ("trace", RATE, "prompts.source must not be trace: no phase replays a recording of an LLM service"),
    ("trace", replay("access.log", "access-log"), "prompts.source must not be trace"),
    ("trace", replay("gone.csv"), r"phases\[0\].trace.file .*gone\.csv: cannot be read: No such file"),
    ("trace", replay("mooncake.jsonl"), r"phases\[0\].trace.file .*mooncake\.jsonl: line 1: must name the column TIME"),
    ("trace", replay(form="azur"), r"phases\[0\].trace.format must be one of 'mooncake', 'azure'"),
    ("trace", replay(offset="1h"), r"phases\[0\].trace.offset must lie before the last row, .*, got 3600 s"),
    ("trace", replay(speed=0), r"phases\[0\].trace.speed must be > 0, got 0"),
    ("trace", replay(rate=5), r"phases\[0\].rate has no meaning in a replay phase"),
    ("mixed", RATE | {"trace": {"file": "azure.csv", "format": "azure"}}, r"trace has a meaning in replay phases only"),
    ("mixed", {"name": "p", "shape": "replay", "duration": 1}, r"phases\[0\].trace is missing: what is to be replayed"),
]


@pytest.mark.parametrize(("prompts", "phase", "said"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_the_only_thing_that_is_named(
    tmp_path: Path, prompts: object, phase: dict[str, Any], said: str
) -> None:
    write(tmp_path)
    with pytest.raises(PlanError, match=said) as caught:
        load(plan(tmp_path, prompts, phase))
    assert len(caught.value.problems) == 1, caught.value


def test_a_replay_of_logs_needs_a_log(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"x\.yaml: mix\.AccessLogUser needs a phase that replays an access log"):
        load(plan(tmp_path, mix={"AccessLogUser": {}}))


def test_a_replay_is_as_long_as_its_recording_and_is_cut_by_a_duration(tmp_path: Path) -> None:
    write(tmp_path)
    whole = load(plan(tmp_path, "trace", replay()))
    assert whole.phases[0].trace is not None
    part = recorded(whole.phases[0].trace)
    assert whole.duration == int(part.seconds[-1]) + 1
    assert load(plan(tmp_path, "trace", replay(speed=0.5))).duration == int(2 * part.seconds[-1]) + 1
    cut = load(plan(tmp_path, "trace", replay(duration="2s")))
    assert cut.duration == 2
    kept = sum(second < 2 for second in part.seconds)
    assert replay_notes(cut)[0].endswith(f", {kept} of them within the phase's 2 s")
    assert scaled(whole, time_scale=0.5).phases[0].duration == whole.duration / 2


def test_the_peak_of_a_replay_is_its_busiest_second(tmp_path: Path) -> None:
    rows = "".join(f"{second},m,1,1,x\n" for second in (0, 0.5, 0.9, 1.4, 1.9, 9))
    (tmp_path / "b.csv").write_text("Timestamp,Model,Request tokens,Response tokens,Log Type\n" + rows)
    trace = load(plan(tmp_path, "trace", replay("b.csv", "burstgpt"))).phases[0].trace
    assert trace is not None
    assert peak_rate(trace) == 3
    assert peak_rate(trace.model_copy(update={"speed": 10.0})) == 6


def test_files_lie_beside_the_plan_that_names_them_for_its_children_too(tmp_path: Path) -> None:
    write(tmp_path / "above")
    source = {"source": "synthetic", "input": {"distribution": "file", "file": "lengths.txt"}}
    plan(tmp_path / "above", source, replay())
    child = tmp_path / "child.yaml"
    child.write_text("extends: above/x.yaml\nid: y\n", encoding="utf-8")
    loaded = load(child)
    assert loaded.phases[0].trace is not None
    assert Path(loaded.phases[0].trace.file) == tmp_path / "above" / "azure.csv"
    assert loaded.mix.ChatUser is not None
    assert loaded.mix.ChatUser.prompts.input is not None
    assert loaded.mix.ChatUser.prompts.input.file == str(tmp_path / "above" / "lengths.txt")


def test_the_record_of_a_run_is_read_without_the_files(tmp_path: Path) -> None:
    write(tmp_path)
    kept = load(plan(tmp_path, "trace", replay())).model_dump_json(by_alias=True)
    (tmp_path / "azure.csv").unlink()
    assert Plan.model_validate(json.loads(kept)).phases[0].trace is not None
