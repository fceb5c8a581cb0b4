"""Other load generators for LLM servers: how each is started, offline, and what it reports.

`make peers` installs them under build/peers, each in an environment of its own.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.runs import ROOT, newest, run_command
from benchmarks.streaming import stream_plan
from calibration.process import KnownServer

FOLDER = ROOT / "build" / "peers"
_PROGRAMS = Path(__file__).parent / "programs"
Reader = Callable[[Path], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A client: how it is started, and how its ttft p50 and p99 (ms) are read from what it leaves behind."""

    command: list[str]
    environment: dict[str, str]
    ttft: Reader
    cores: tuple[int, ...] | None = None
    """Cores that it is kept on; every one of the machine where there are none."""


@dataclass(frozen=True, slots=True)
class Load:
    """Streams to begin: so many a second, on an even grid, for so long; each of so many events.

    With `held`, so many are open all the time instead, each followed by the next; the rate is then what comes of it.
    """

    rate: int
    seconds: int
    events: int
    held: int = 0

    @property
    def count(self) -> int:
        """How many streams there are."""
        return self.rate * self.seconds


def is_installed(name: str) -> bool:
    """Return whether a peer's environment has its program."""
    return (FOLDER / name / "bin" / name).exists()


def proofload(folder: Path, server: KnownServer, load: Load) -> Tool:
    """Return the run of a plan, on one core."""
    amount = {"users": load.held} if load.held else {"rate": load.rate}
    plan = stream_plan([{"name": "only", "duration": load.seconds} | amount])

    def ttft(folder: Path) -> tuple[float, float]:
        # The same figure as the peers': what is reported, over all streams.
        report = json.loads((newest(folder) / "report" / "verdict.json").read_text(encoding="utf-8"))
        metrics = report["total"]["metrics"]
        return float(metrics["ttft_p50_ms"]["value"]), float(metrics["ttft_p99_ms"]["value"])

    return Tool(run_command(folder, plan, f"--host={server.url}"), {}, ttft, cores=(0,))


def aiperf(folder: Path, server: KnownServer, load: Load) -> Tool:
    """Return a run of NVIDIA's AIPerf at a constant rate, or with a constant number of streams."""
    options = ["--endpoint-type", "chat", "--streaming", "--request-count", str(load.count)]
    if load.held:
        options += ["--concurrency", str(load.held)]
    else:
        options += ["--request-rate", str(load.rate), "--arrival-pattern", "constant"]
    options += ["--synthetic-input-tokens-mean", "10", "--use-server-token-count", "--tokenizer", "proofload/words"]
    options += ["--artifact-dir", str(folder), "--ui", "none"]
    command = [str(FOLDER / "aiperf/bin/aiperf"), "profile", "--model", "known", "--url", server.url, *options]

    def ttft(folder: Path) -> tuple[float, float]:
        file = next(folder.rglob("profile_export_aiperf.json"))
        found = json.loads(file.read_text(encoding="utf-8"))["time_to_first_token"]
        return float(found["p50"]), float(found["p99"])

    return Tool(command, _OFFLINE | {"HF_HUB_CACHE": str(_cache_of(_tokenizer("aiperf", folder)))}, ttft)


def guidellm(folder: Path, server: KnownServer, load: Load) -> Tool:
    """Return a run of GuideLLM at a constant rate, or with a constant number of streams."""
    profile = f"kind=concurrent,streams={load.held}" if load.held else f"kind=constant,rate={load.rate}"
    file = folder / "report.json"
    options = ["--backend", f"kind=openai_http,target={server.url},model=known"]
    options += ["--profile", profile, "--constraint", f"kind=max_requests,count={load.count}"]
    options += ["--tokenizer", f"kind=hf_auto,model={_tokenizer('guidellm', folder)}"]
    options += ["--data", f"kind=synthetic_text,prompt_tokens=10,output_tokens={load.events}"]
    options += ["--output", f"kind=json,path={file}", "--disable-console"]

    def ttft(folder: Path) -> tuple[float, float]:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        found = report["benchmarks"][0]["metrics"]["time_to_first_token_ms"]["successful"]["percentiles"]
        return float(found["p50"]), float(found["p99"])

    return Tool([str(FOLDER / "guidellm/bin/guidellm"), "run", *options], _OFFLINE, ttft)


def genai_bench(folder: Path, server: KnownServer, load: Load) -> Tool:
    """Return a run of genai-bench, which knows no rates."""
    options = ["--api-backend", "openai", "--api-base", server.url, "--api-key", "none", "--task", "text-to-text"]
    options += ["--api-model-name", "known", "--model-tokenizer", str(_tokenizer("genai-bench", folder))]
    options += [
        "--num-concurrency",
        str(load.held),
        "--traffic-scenario",
        f"D(10,{load.events})",
        "--max-time-per-run",
        "1",
    ]
    options += ["--max-requests-per-run", str(load.count), "--experiment-base-dir", str(folder)]

    def ttft(folder: Path) -> tuple[float, float]:
        file = next(folder.rglob("D10*.json"))
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["aggregated_metrics"]["stats"]["ttft"]
        return 1000 * float(found["p50"]), 1000 * float(found["p99"])

    return Tool([str(FOLDER / "genai-bench/bin/genai-bench"), "benchmark", *options], _OFFLINE, ttft)


_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "NO_PROXY": "*", "PYTHONPATH": ""}
"""Nothing of the peers may look beyond this machine."""


def _tokenizer(peer: str, folder: Path) -> Path:
    """Write a tokenizer with the peer's own libraries; none is downloaded."""
    place = folder / "tokenizer"
    command = [str(FOLDER / peer / "bin" / "python"), str(_PROGRAMS / "tokenizer.py"), str(place)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | _OFFLINE)
    return place


def _cache_of(tokenizer: Path) -> Path:
    """Lay a tokenizer out as if it had been downloaded as proofload/words: offline, AIPerf looks nowhere else."""
    cache = tokenizer.parent / "hub"
    place = cache / "models--proofload--words"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    shutil.copytree(tokenizer, place / "snapshots" / ("0" * 40))
    (place / "snapshots" / ("0" * 40) / "config.json").write_text("{}", encoding="utf-8")
    return cache
