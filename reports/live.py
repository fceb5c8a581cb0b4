"""`python -m reports.live RUN_FOLDER`: judges a run that still goes on, by the formulas of its report.

A process of its own beside the load, which it costs nothing: it reads what is on disk. For every line on its standard
input, `{"settled_s": seconds}`, it answers with one line, an `Assessment` as JSON; it ends when its input does.

What is judged is the run up to the moment before which everything that was due has been accounted for, as if its
phase ended there. So an answer that is still awaited makes no figure better, and none worse.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from plans.assessment import TOO_EARLY, Assessment, LiveCheck, LiveCriterion, LivePhase, LiveReading
from plans.metrics import KNOWN_AT_THE_END, METRICS, Kind
from plans.run import Ending, PhaseRecord, RunRecord
from plans.schema import Criterion, Plan
from reports.analysis import CriterionResult, Measured, State
from reports.criteria import judge
from reports.figures import figure, measured_text, pair
from reports.frames import Frames, Gaps, load_frames
from reports.health import generator_checks
from reports.metrics import measure
from reports.rows import equals, numbers, only
from reports.windows import RunData, Scope

MOST_SAMPLES = 2_000_000
"""Beyond, reading them again and again would take the memory (about 1 kB each) of the machine that makes the load."""
_SHORTEST_S, _SHORTEST_SHARE = 5.0, 0.1
"""A phase is judged from so many seconds on, or from this share of it when that is earlier."""
_FRESH_S = 15.0
_READINGS_S = 5.0
"""By then the readings of a phase are on disk, whoever reads them."""
_NICE = 10
_SHOWN = (
    "offered_rps", "throughput_rps", "success_rate",
    "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "latency_max_ms",
)  # fmt: skip
_RESOURCES = (
    ("host", "cpu_share", "machine CPU", "ratio"),
    ("host", "memory_share", "machine memory", "ratio"),
    ("target", "cpu_cores", "target CPU", "cores"),
    ("target", "rss_bytes", "target memory", "bytes"),
    ("server", "requests_running", "running in the server", "count"),
    ("server", "requests_waiting", "waiting in the server", "count"),
    ("server", "kv_cache_share", "KV-cache", "ratio"),
    ("gpu", "utilisation_share", "GPU", "ratio"),
    ("gpu", "memory_used_bytes", "GPU memory", "bytes"),
    ("generator", "cpu_cores", "generator CPU", "cores"),
    ("generator", "rss_bytes", "generator memory", "bytes"),
    ("generator", "loop_lag_p99_ms", "generator loop lag p99", "ms"),
)


class Assessor:
    """Judges one run again and again; what is final is judged once."""

    def __init__(self, folder: Path) -> None:
        """Read the run's record. Raises FileNotFoundError or ValueError when there is none."""
        self._folder, self._record = folder, RunRecord.read(folder)
        self._samples = 0
        self._final: dict[int, LiveCriterion] = {}
        self._done: dict[str, LivePhase] = {}

    def assess(self, settled_s: float) -> Assessment:
        """Return how the run stands, up to `settled_s` seconds from its origin."""
        began = time.monotonic()
        if self._samples > MOST_SAMPLES:
            problem = f"there are more than {MOST_SAMPLES:,} samples: the report will judge them"
            return Assessment(settled_s=settled_s, samples=self._samples, problem=problem)
        frames = load_frames(self._folder)
        self._samples = len(frames.samples)
        run = RunData(_record_until(self._record, settled_s), _until(frames, settled_s))
        result = Assessment(
            settled_s=settled_s,
            samples=self._samples,
            criteria=tuple(self._criterion(run, i, settled_s) for i in range(len(run.plan.criteria))),
            phases=tuple(
                self._phase(run, phase, settled_s) for phase in run.record.phases if phase.start_s < settled_s
            ),
            health=tuple(
                LiveCheck(name=one.name, passed=one.passed, measured=one.measured, limit=one.limit)
                for one in generator_checks(run)
            ),
            resources=tuple(_resources(frames)),
        )
        return result.model_copy(update={"took_s": time.monotonic() - began})

    def _criterion(self, run: RunData, index: int, settled_s: float) -> LiveCriterion:
        if index not in self._final:
            found = _live(run, index, settled_s)
            if not found.final:
                return found
            self._final[index] = found
        return self._final[index]

    def _phase(self, run: RunData, phase: PhaseRecord, settled_s: float) -> LivePhase:
        if phase.name in self._done:
            return self._done[phase.name]
        window = run.window(Scope(phase.name))
        shown = LivePhase(
            name=phase.name, figures={name: measured_text(measure(name, window), name) for name in _SHOWN}
        )
        if _planned_end(run.plan, phase.name) < settled_s:
            self._done[phase.name] = shown
        return shown


def _live(run: RunData, index: int, settled_s: float) -> LiveCriterion:
    criterion = run.plan.criteria[index]
    start = next((p.start_s for p in run.record.phases if p.name == criterion.phase), 0.0)
    end = _planned_end(run.plan, criterion.phase)
    early = _too_early(criterion, settled_s - start, end - start)
    if early is not None:
        return _shown(index, _unjudged(criterion), TOO_EARLY, early, final=False)
    result = judge(criterion, run)
    late = _READINGS_S if METRICS[criterion.metric].kind is Kind.RESOURCE else 0.0
    final = criterion.phase is not None and settled_s > end + late
    return _shown(index, result, result.state.value, result.reason, final=final)


def _too_early(criterion: Criterion, judged_s: float, length_s: float) -> str | None:
    """Return why a criterion cannot be judged yet; None when it can."""
    if judged_s <= 0:
        return "its phase has not begun" if criterion.phase else "the run has not begun"
    if criterion.metric in KNOWN_AT_THE_END:
        return "known at the end"
    shortest = min(_SHORTEST_S, _SHORTEST_SHARE * length_s)
    return f"judged from {shortest:.3g} s on" if judged_s < shortest else None


def _unjudged(criterion: Criterion) -> CriterionResult:
    """Return the result of a criterion over nothing."""
    return CriterionResult(criterion, Measured(None, 0), State.NO_DATA, None, False, "")


def _shown(index: int, result: CriterionResult, state: str, reason: str, *, final: bool) -> LiveCriterion:
    criterion, value = result.criterion, result.measured.value
    measured, limit = pair(result)
    return LiveCriterion(
        index=index,
        metric=criterion.metric,
        where=str(Scope(criterion.phase, criterion.scenario, criterion.name)),
        limit=limit,
        measured=measured,
        value=value,  # finite: the criteria see to it
        limit_value=criterion.limit,
        state=state,
        final=final,
        reason=reason,
    )


def _planned_end(plan: Plan, phase: str | None) -> float:
    """Return when a phase ends by the plan, or the last one; seconds from the origin."""
    end = 0.0
    for planned in plan.phases:
        end += planned.duration
        if planned.name == phase:
            break
    return end


def _record_until(record: RunRecord, settled_s: float) -> RunRecord:
    """Return the record of a run whose phases ended at `settled_s`, with the arrivals that its samples tell of."""
    phases, start = [], 0.0
    for planned in record.plan.phases:
        end = start + planned.duration
        reached = start < settled_s
        phases.append(
            PhaseRecord(
                name=planned.name,
                start_s=start,
                end_s=min(end, settled_s) if reached else end,
                closed=planned.closed,
                reached=reached,
            )
        )
        start = end
    return record.model_copy(update={"phases": phases, "ending": Ending.RUNNING, "ended_s": None})


def _until(frames: Frames, settled_s: float) -> Frames:
    """Return the samples that were due before `settled_s`; they stand in the order of their due times."""
    count = int(numbers(frames.samples, "due_s").searchsorted(settled_s, side="left"))
    gaps = Gaps(frames.gaps.values[: frames.gaps.ends[count]], frames.gaps.ends[: count + 1])
    return replace(frames, samples=frames.samples.between(0, count), gaps=gaps)


def _resources(frames: Frames) -> list[LiveReading]:
    """Return the newest reading of each source that is shown, of each worker or GPU where there are several."""
    readings, result = frames.readings, []
    newest = float(numbers(readings, "t_s").max()) if len(readings) else 0.0
    for source, metric, label, unit in _RESOURCES:
        rows = only(readings, equals(readings, "source", source) & equals(readings, "metric", metric))
        rows = only(rows, numbers(rows, "t_s") >= newest - _FRESH_S)
        last = {str(worker): float(part["value"].iloc[-1]) for worker, part in rows.groupby("worker", observed=True)}
        for worker, value in last.items():
            shown = {"label": f"{label} {worker}" if len(last) > 1 else label, "text": figure(value, unit)}
            result.append(LiveReading(**shown, source=source, metric=metric, worker=worker, value=value))
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer until the input ends; return 0, or 2 when there is no run to judge."""
    parser = argparse.ArgumentParser(prog="python -m reports.live", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER")
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when standard input ends, as it always does"
    )
    options = parser.parse_args(arguments)
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.nice(_NICE)  # the load goes first
    try:
        assessor = Assessor(options.folder)
    except (OSError, ValueError) as error:
        print(f"{options.folder} is no run: {error}", file=sys.stderr)
        return 2
    for line in sys.stdin:
        settled_s = float(json.loads(line)["settled_s"])
        try:
            found = assessor.assess(settled_s)
        except Exception as error:  # one look that fails must not end all the later ones
            found = Assessment(settled_s=settled_s, problem=f"could not be judged: {type(error).__name__}: {error}")
        print(found.model_dump_json(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
