"""`python -m selftest.stress`: brings known overloads about, and compares what Proofload says of them."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selftest.overloads import NEVER, OVERLOADS, Known, Overload, plan_of
from selftest.showing import certify, verdict_of

_AT_ONCE, _LIMIT_S = 4, 400.0
_FULL_SEEDS = 2


@dataclass(frozen=True, slots=True)
class Told:
    """What Proofload said of one overload, and what was wrong with it."""

    overload: str
    seed: int
    pattern: str
    breaking_point: float | None
    recovery: dict[str, float | str | None]
    wrong: list[str]
    evidence: list[str]
    folder: str
    wall_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the overloads; return 0 when each was named rightly, 1 when not, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    known = {overload.name: overload for overload in OVERLOADS}
    names = [name.strip() for name in options.only.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        print(f"--only: no overload is called {unknown[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in names] or list(OVERLOADS)
    folder = options.runs / "stresstest"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    runs = [(overload, seed) for seed in range(1, options.seeds + 1) for overload in chosen]
    # The longest first, so that the last one does not run alone.
    runs.sort(key=lambda run: -sum(phase["duration"] for phase in plan_of(*run)["phases"]))
    began = time.monotonic()
    with ThreadPoolExecutor(options.at_once) as pool:
        told = [future.result() for future in [pool.submit(_run, *run, folder) for run in runs]]
    told.sort(key=lambda one: (list(known).index(one.overload), one.seed))
    (folder / "stresstest.json").write_text(json.dumps([asdict(one) for one in told], indent=1) + "\n")
    text = markdown(told)
    (folder / "stresstest.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{len(told)} runs in {time.monotonic() - began:.0f} s: {folder / 'stresstest.md'}")
    return 1 if any(one.wrong for one in told) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m selftest.stress", description=(__doc__ or "").partition(": ")[2])
    add = parser.add_argument
    add("--seeds", type=int, choices=range(1, 100), metavar="N", default=_FULL_SEEDS, help="runs of each overload (2)")
    add("--only", default="", metavar="NAMES", help="only these overloads, separated by commas")
    add("--at-once", type=int, choices=range(1, 17), metavar="N", default=_AT_ONCE, help="runs side by side (4)")
    add("--runs", type=Path, default=Path("runs"), help="folder for the runs (default: runs)")
    return parser


def _run(overload: Overload, seed: int, folder: Path) -> Told:
    place = folder / "runs" / f"{overload.name.replace(' ', '-')}-{seed}"
    began = time.monotonic()
    certify(plan_of(overload, seed), seed, place, _LIMIT_S)
    told = tell(overload, seed, verdict_of(place), str(place), round(time.monotonic() - began, 1))
    print(
        f"{'NOT' if told.wrong else 'ok '} {overload.name}, seed {seed}: {', '.join(told.wrong) or 'right'}", flush=True
    )
    return told


def tell(overload: Overload, seed: int, verdict: dict[str, Any] | None, folder: str, wall_s: float) -> Told:
    """Return what a run's `verdict.json` says of an overload, held against what is known."""
    if verdict is None or verdict["verdict"] == "INVALID" or not verdict["stress"]:
        said = "there is no verdict" if verdict is None else "; ".join(verdict["reasons"])
        return Told(overload.name, seed, "", None, {}, [said], [], folder, wall_s)
    stress = verdict["stress"][0]
    times = (stress["recovery"] or {"times": {}})["times"]
    recovery = {aspect: NEVER if one["unbounded"] else one["value"] for aspect, one in times.items()}
    wrong = _wrong(overload.known, stress["pattern"], stress["breaking_point"], recovery)
    broke = stress["breaking_point"]
    return Told(
        overload.name, seed, stress["pattern"], broke, recovery, wrong, list(stress["evidence"]), folder, wall_s
    )


def _wrong(known: Known, pattern: str, broke: float | None, recovery: dict[str, Any]) -> list[str]:
    wrong = [] if pattern == known.pattern else [f"pattern {pattern}, not {known.pattern}"]
    if broke != known.breaking_point:
        wrong.append(f"broke at {broke}, not {known.breaking_point}")
    for aspect, expected in known.recovery.items():
        if recovery.get(aspect) != expected:
            wrong.append(f"{aspect} recovered after {recovery.get(aspect)}, not {expected}")
    return wrong


def markdown(told: Sequence[Told]) -> str:
    """Return what was found beside what was not right, as Markdown."""
    right = sum(not one.wrong for one in told)
    lines = ["# Stress test", "", f"{right} of {len(told)} runs were named rightly.", ""]
    lines += [
        "| overload | seed | pattern | broke at | latency | errors | memory | |",
        "|---|---:|---|---:|---:|---:|---:|---|",
    ]
    for one in told:
        times = " | ".join(_text(one.recovery.get(aspect)) for aspect in ("latency", "errors", "memory"))
        verdict = "; ".join(one.wrong) or "right"
        lines.append(
            f"| {one.overload} | {one.seed} | {one.pattern} | {_text(one.breaking_point)} | {times} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def _text(value: float | str | None) -> str:
    return "–" if value is None else value if isinstance(value, str) else f"{value:g}"


if __name__ == "__main__":
    sys.exit(main())
