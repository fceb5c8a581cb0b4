"""`python -m selftest`: shows Proofload known faults and none, and prints what it found of them."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from selftest.faults import CLEAN, CLEAN_WITH_WORKERS, SHOWN, Shown
from selftest.matrix import FULL_CLEAN, FULL_SEEDS, document, markdown
from selftest.showing import Finding, show

_LONG_AT_ONCE = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the self-test; return 0 when every fault was found by its name and nothing else was, 1 when not, 2 usage."""
    options = _parser().parse_args(arguments)
    names = [name.strip() for name in options.only.split(",") if name.strip()]
    known = {shown.name: shown for shown in SHOWN}
    if unknown := [name for name in names if name not in known]:
        print(f"--only: no fault is called {unknown[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in names] if names else list(SHOWN)
    folder = options.runs / "selftest"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    findings = run_all(chosen, options.seeds, options.clean, folder)
    complete = not names and options.seeds >= FULL_SEEDS and options.clean >= FULL_CLEAN
    result = document(findings, complete)
    (folder / "selftest.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (folder / "selftest.md").write_text(markdown(findings), encoding="utf-8")
    print("\n" + markdown(findings))
    print(f"{len(findings)} runs in {time.monotonic() - began:.0f} s: {folder / 'selftest.md'}")
    return 0 if result["passed"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m selftest", description=(__doc__ or "").partition(": ")[2])
    add = parser.add_argument
    add("--seeds", type=int, choices=range(1, 100), metavar="N", default=FULL_SEEDS, help="runs of each fault (3)")
    add("--clean", type=int, choices=range(100), metavar="N", default=FULL_CLEAN, help="runs without a fault (10)")
    add("--only", default="", metavar="NAMES", help="only these faults, separated by commas")
    add("--runs", type=Path, default=Path("runs"), help="folder for the runs (default: runs)")
    return parser


def run_all(chosen: Sequence[Shown], seeds: int, clean: int, folder: Path) -> list[Finding]:
    """Show every fault with every seed, and nothing `clean` times: one run after the other, as they would disturb.

    Those that take a minute ask for little and run side by side; one run without a fault is among them. In one of four
    without a fault workers make the load.
    """
    every = range(1, seeds + 1)
    long = [(shown, seed) for shown in chosen if shown.long for seed in every]
    long_clean = [(CLEAN, 1)] if long and clean else []
    short = [(shown, seed) for shown in chosen if not shown.long for seed in every]
    with_workers = clean // 4
    short += [(CLEAN, seed) for seed in range(1 + len(long_clean), clean - with_workers + 1)]
    short += [(CLEAN_WITH_WORKERS, seed) for seed in range(1, with_workers + 1)]
    findings = [_tell(show(shown, seed, _place(folder, shown, seed))) for shown, seed in short]
    with ThreadPoolExecutor(_LONG_AT_ONCE) as pool:
        waiting = [pool.submit(show, s, seed, _place(folder, s, seed), long=True) for s, seed in [*long, *long_clean]]
        findings += [_tell(future.result()) for future in waiting]
    return findings


def _place(folder: Path, shown: Shown, seed: int) -> Path:
    return folder / "runs" / f"{shown.name.replace(',', '').replace(' ', '-')}-{seed}"


def _tell(finding: Finding) -> Finding:
    sign = "ok " if finding.right else "NOT"
    print(f"{sign} {finding.shown}, seed {finding.seed}: found {finding.found} ({finding.wall_s:.0f} s)", flush=True)
    return finding


if __name__ == "__main__":
    sys.exit(main())
