"""Proofload beside the tools that are made for the same: on the same server, in the same run."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arrivals import off_grid_ms, words
from benchmarks.meter import Cost, watch
from benchmarks.runs import ENVIRONMENT, ROOT, newest, run_command
from benchmarks.streaming import stream_plan
from benchmarks.table import Table
from calibration.process import Floats, KnownServer, Log, known_server
from calibration.stamps import percentile

_RATE, _EVENTS, _FIRST_MS, _GAP_MS = 50, 50, 50, 19.3
_SETTLE_S, _SECONDS, _LENGTH_S = 4.0, 8.0, 18
_COUNT = _RATE * _LENGTH_S
_PEERS = ROOT / "build" / "peers"
_NO_RATE = "has no rate: 50 streams at once instead"

Reader = Callable[[Path], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Tool:
    """A client: how it is started, and how its ttft p50 and p99 (ms) are read from what it leaves behind."""

    name: str
    command: list[str]
    ttft: Reader
    note: str = ""


def measure(scratch: Path) -> Table:
    """50 streams begun each second, 50 events each, 2,500 events/s. The peers may use every core, ours has one."""
    # Nothing of the peers may look beyond this machine.
    ENVIRONMENT.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "NO_PROXY": "*"})
    table = Table(
        f"Peers: {_RATE} streams/s of {_EVENTS} events; Proofload on one core, the peers on all; one run each"
    )
    baseline: float | None = None
    for number in range(4):
        with known_server(core=1, first_ms=_FIRST_MS, gap_ms=_GAP_MS, events=_EVENTS) as server:
            folder = scratch / f"tool-{number}"
            folder.mkdir()
            name, make = _TOOLS[number]
            if number and not (_PEERS / name / "bin").exists():
                table.add(name, "not installed here: make peers")
                continue
            tool = make(folder, server)
            try:
                cost = watch(
                    tool.command,
                    server,
                    settle=_SETTLE_S,
                    seconds=_SECONDS,
                    streams=_RATE,
                    core=None if number else 0,
                    cwd=folder,
                )
            except RuntimeError as error:
                table.add(tool.name, f"does not run here: {error}")
                continue
            baseline = baseline or cost.event_us
            _rows(table, tool, cost, server.log(), folder, cost.event_us / baseline)
    return table


def _rows(table: Table, tool: _Tool, cost: Cost, log: Log, folder: Path, ratio: float) -> None:
    off = tool.note or words(off_grid_ms(log.begun[-_COUNT:], _RATE))
    table.add(f"{tool.name}: arrivals off the grid, ms, p50 / p99 / max", off)
    true = _true_ttft(log)
    try:
        p50, p99 = tool.ttft(folder)
        bias = f"{p50 - percentile(true, 0.5):+.2f}, {p99 - percentile(true, 0.99):+.2f} ms"
    except (OSError, LookupError, ValueError, StopIteration) as error:
        bias = f"left no figure ({type(error).__name__})"
    table.add(f"{tool.name}: reported ttft p50, p99 minus the true ones", bias)
    promise = (">= 6.7 x ours", ratio >= 1 / 0.15) if tool.name in {"aiperf", "guidellm"} else ("", None)
    table.add(f"{tool.name}: CPU of a streamed event", f"{cost.event_us:.0f} µs, {ratio:.1f} x Proofload", *promise)
    memory = f"{cost.proportional / 1e6:.0f} MB, {cost.processes} processes"
    table.add(f"{tool.name}: start to first request; memory", f"{cost.first_request_s:.1f} s; {memory}")


def _true_ttft(log: Log) -> Floats:
    """Return from the reading of each request to the sending of its first event, ms, sorted."""
    first = [sends[0] - log.begun[number - 1] for number, sends in log.streams().items()]
    result: Floats = np.sort(np.array(first)) * 1000
    return result


def _ours(folder: Path, server: KnownServer) -> _Tool:
    plan = stream_plan([{"name": "only", "rate": _RATE, "duration": _LENGTH_S}])

    def ttft(folder: Path) -> tuple[float, float]:
        # The same figure as the peers': what is reported, over all streams.
        report = json.loads((newest(folder) / "report" / "verdict.json").read_text(encoding="utf-8"))
        metrics = report["total"]["metrics"]
        return float(metrics["ttft_p50_ms"]["value"]), float(metrics["ttft_p99_ms"]["value"])

    return _Tool("Proofload", run_command(folder, plan, f"--host={server.url}"), ttft)


def _aiperf(folder: Path, server: KnownServer) -> _Tool:
    options = ["--endpoint-type", "chat", "--streaming", "--request-rate", str(_RATE), "--arrival-pattern", "constant"]
    options += ["--request-count", str(_COUNT), "--synthetic-input-tokens-mean", "10", "--use-server-token-count"]
    options += ["--tokenizer", _cached(_tokenizer("aiperf", folder)), "--artifact-dir", str(folder), "--ui", "none"]
    command = [str(_PEERS / "aiperf/bin/aiperf"), "profile", "--model", "known", "--url", server.url, *options]

    def ttft(folder: Path) -> tuple[float, float]:
        file = next(folder.rglob("profile_export_aiperf.json"))
        found = json.loads(file.read_text(encoding="utf-8"))["time_to_first_token"]
        return float(found["p50"]), float(found["p99"])

    return _Tool("aiperf", command, ttft)


def _guidellm(folder: Path, server: KnownServer) -> _Tool:
    file = folder / "report.json"
    options = ["--backend", f"kind=openai_http,target={server.url},model=known"]
    options += ["--profile", f"kind=constant,rate={_RATE}", "--constraint", f"kind=max_requests,count={_COUNT}"]
    options += ["--tokenizer", f"kind=hf_auto,model={_tokenizer('guidellm', folder)}"]
    options += ["--data", f"kind=synthetic_text,prompt_tokens=10,output_tokens={_EVENTS}"]
    options += ["--output", f"kind=json,path={file}", "--disable-console"]

    def ttft(folder: Path) -> tuple[float, float]:
        report = json.loads(file.read_text(encoding="utf-8"))
        found = report["benchmarks"][0]["metrics"]["time_to_first_token_ms"]["successful"]["percentiles"]
        return float(found["p50"]), float(found["p99"])

    return _Tool("guidellm", [str(_PEERS / "guidellm/bin/guidellm"), "run", *options], ttft)


def _genai_bench(folder: Path, server: KnownServer) -> _Tool:
    options = ["--api-backend", "openai", "--api-base", server.url, "--api-key", "none", "--task", "text-to-text"]
    options += ["--api-model-name", "known", "--model-tokenizer", str(_tokenizer("genai-bench", folder))]
    options += ["--num-concurrency", str(_RATE), "--traffic-scenario", f"D(10,{_EVENTS})", "--max-time-per-run", "1"]
    options += ["--max-requests-per-run", str(_COUNT), "--experiment-base-dir", str(folder)]

    def ttft(folder: Path) -> tuple[float, float]:
        file = next(folder.rglob("D10*.json"))
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["aggregated_metrics"]["stats"]["ttft"]
        return 1000 * float(found["p50"]), 1000 * float(found["p99"])

    return _Tool("genai-bench", [str(_PEERS / "genai-bench/bin/genai-bench"), "benchmark", *options], ttft, _NO_RATE)


def _tokenizer(peer: str, folder: Path) -> Path:
    """Write a tokenizer with the peer's own libraries; none is downloaded."""
    place = folder / "tokenizer"
    command = [
        str(_PEERS / peer / "bin" / "python"),
        str(Path(__file__).parent / "programs" / "tokenizer.py"),
        str(place),
    ]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    return place


def _cached(tokenizer: Path) -> str:
    """Lay a tokenizer out as if it had been downloaded: offline, AIPerf looks nowhere else. Return its name."""
    cache = tokenizer.parent / "hub"
    place = cache / "models--proofload--words"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    shutil.copytree(tokenizer, place / "snapshots" / ("0" * 40))
    (place / "snapshots" / ("0" * 40) / "config.json").write_text("{}", encoding="utf-8")
    ENVIRONMENT["HF_HUB_CACHE"] = str(cache)
    return "proofload/words"


_TOOLS: tuple[tuple[str, Callable[[Path, KnownServer], _Tool]], ...] = (
    ("Proofload", _ours),
    ("aiperf", _aiperf),
    ("guidellm", _guidellm),
    ("genai-bench", _genai_bench),
)
