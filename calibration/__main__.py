"""`python -m calibration`: how much can this machine honestly generate? A ladder of less than two minutes.

The answer is kept as calibration.json in the folder of the runs. A plan that asks for more then says so before it
starts, and each report cites it. Exit code 0, 2 bad usage, 3 when there is no answer.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from calibration import ladder
from calibration.process import ROOT, cores
from plans.capacity import Calibration

EXIT_INVALID = 3


def main(arguments: Sequence[str]) -> int:
    """Climb both ladders, print and keep the result."""
    options = _parser().parse_args(arguments)
    if len(cores()) < 2:
        print("one core only: generator and server share it, so this is less than the machine could do alone")
    try:
        requests = ladder.climb_requests(options.requests, options.seconds, _say)
        events = ladder.climb_events(options.events, options.seconds, _say)
    except ladder.LadderError as error:
        print(error, file=sys.stderr)
        return EXIT_INVALID
    best_requests, best_events = ladder.top(requests.rungs), ladder.top(events.rungs)
    if best_requests is None or best_events is None:
        what = "requests" if best_requests is None else "events"
        print(f"not even the lowest rate of {what} held: the machine is too busy to be calibrated", file=sys.stderr)
        return EXIT_INVALID
    length_s = (ladder.FIRST_MS + ladder.GAP_MS * (ladder.STREAM_EVENTS - 1)) / 1000
    calibration = Calibration(
        taken_at=datetime.now().astimezone().isoformat(timespec="seconds"),
        requests_per_s=best_requests.load,
        events_per_s=best_events.load,
        streams=max(round(best_events.load / ladder.STREAM_EVENTS * length_s), 1),
        requests_limited_by=best_requests.limited_by,
        events_limited_by=best_events.limited_by,
        machine=events.machine,
        versions=events.versions,
    )
    file = calibration.save(options.runs)
    print(_summary(calibration), f"kept in {file}", sep="\n")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _summary(found: Calibration) -> str:
    def at_least(limited_by: str) -> str:
        return {"client": "", "server": " or more: the server was the limit"}.get(limited_by, " or more")

    return (
        f"One process on one core of this machine honestly generates {found.requests_per_s:,.0f} simple requests/s"
        f"{at_least(found.requests_limited_by)}, or {found.events_per_s:,.0f} streamed events/s on {found.streams:,} "
        f"streams{at_least(found.events_limited_by)}."
    )


def _loads(text: str) -> list[float]:
    try:
        loads = [float(part) for part in text.split(",")]
    except ValueError:
        loads = []
    if not loads or sorted(set(loads)) != loads or not 0 < loads[0] <= loads[-1] <= 1_000_000:
        raise argparse.ArgumentTypeError(f"must be rising numbers from above 0 to 1000000, got '{text}'")
    return loads


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 60:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 60, got '{text}'")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder that calibration.json is kept in")
    parser.add_argument("--requests", type=_loads, default=ladder.REQUESTS, help="rungs, requests/s, with commas")
    parser.add_argument("--events", type=_loads, default=ladder.EVENTS, help="rungs, streamed events/s, with commas")
    parser.add_argument("--seconds", type=_seconds, default=3.5, help="length of each rung")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
