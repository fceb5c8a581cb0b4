"""How a server behaves when more is asked than it can do: where it breaks, and how. The rules stand in docs/stress.md.

A pattern is named from the figures of the steps of a rising load, and only from them. The first that applies counts:
crashing, collapsing, rejecting, queueing, none.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from plans.phases import Shape
from reports.analysis import Finding, Measured, Recovery, Stress, StressStep
from reports.figures import figure, length
from reports.recovery import ASPECTS, overload, recovery
from reports.rows import equals, numbers, only
from reports.steps import FEWEST_WINDOWS, WINDOW_S, Measure, between, steps
from reports.windows import RunData, Scope, Window
from samples.sample import Outcome, Protocol

_BROKEN = 0.5
"""A step is broken when a limit fails in more than this share of its windows."""
_UNREACHABLE, _FEWEST_DEAD = 0.5, 2
"""Crashing: this share of the arrivals of a window found no connection, in so many windows."""
_KEPT = 0.8
"""Collapsing: less than this share of the best rate of good answers is left at the highest load."""
_OF_EXCESS, _MORE = 0.5, 0.01
"""Rejecting: at least this share of what was not served is answered errors, this share of all more than at first."""
_SLOWER, _SLOWER_MS = 2.0, 10.0
"""Queueing: the median is more than this factor, and more than so many milliseconds, above that of the first step."""


class Pattern(StrEnum):
    """The ways in which a server bears too much load, the worst first."""

    CRASHING = "crashing"
    COLLAPSING = "collapsing"
    REJECTING = "rejecting"
    QUEUEING = "queueing"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Degradation:
    """A pattern, and the figures that it was named from."""

    pattern: Pattern
    evidence: tuple[str, ...]


def degradation(window: Window, measure: Measure) -> Degradation | None:
    """Return the pattern of a window; None when the load did not rise in it."""
    if "degradation" not in window.cache:
        found = steps(window, measure)
        window.cache["degradation"] = _named(window.run, found) if len(found) > 1 else None
    result = window.cache["degradation"]
    assert result is None or isinstance(result, Degradation)
    return result


def _named(run: RunData, found: list[StressStep]) -> Degradation:
    first, last = found[0], found[-1]
    best = max(found, key=lambda step: step.ok_rps)
    served = (
        f"{_rps(last.ok_rps)} good answers of {_rps(last.offered_rps)} arrivals at {load_of(last)}; "
        f"the best was {_rps(best.ok_rps)} at {load_of(best)}"
    )
    slower = (
        f"the median latency was {_ms(last.p50_ms)} at {load_of(last)}, and {_ms(first.p50_ms)} at {load_of(first)}"
    )
    if (dead := _dead(run, first.start_s)) is not None:
        return Degradation(Pattern.CRASHING, (dead, served))
    if last.ok_rps < _KEPT * best.ok_rps:
        return Degradation(Pattern.COLLAPSING, (served, slower))
    excess = max(1 - last.ok_rps / last.offered_rps, 0.0) if last.offered_rps else 0.0
    if last.errors > first.errors + _MORE and last.errors >= _OF_EXCESS * excess:
        told = (
            f"{_percent(last.errors)} of the arrivals at {load_of(last)} were answered with an error, "
            f"{_percent(last.refused)} with a refusal (429, 503); {_percent(first.errors)} at {load_of(first)}"
        )
        return Degradation(Pattern.REJECTING, (told, served))
    if _waits(first, last):
        lost = f"{_percent(last.unanswered)} of the arrivals at {load_of(last)} got no answer"
        return Degradation(Pattern.QUEUEING, (slower, served, lost))
    return Degradation(Pattern.NONE, (served, slower))


def _waits(first: StressStep, last: StressStep) -> bool:
    if last.unanswered > first.unanswered + _MORE:
        return True
    if last.p50_ms is None or first.p50_ms is None:
        return False
    return last.p50_ms > max(_SLOWER * first.p50_ms, first.p50_ms + _SLOWER_MS)


def _dead(run: RunData, start_s: float) -> str | None:
    """Return the sentence for windows in which most arrivals found no connection; None when there are too few."""
    rows = only(run.iterations, ~equals(run.iterations, "protocol", Protocol.WEBSOCKET))
    rows = between(rows, start_s, np.inf)
    width = min(WINDOW_S, (run.end_s - start_s) / (2 * FEWEST_WINDOWS))
    if not len(rows) or width <= 0:
        return None
    places = np.floor((numbers(rows, "due_s") - start_s) / width).astype(np.int64)
    failed = equals(rows, "outcome", Outcome.CONNECT_ERROR)
    every, lost = np.bincount(places), np.bincount(places[failed], minlength=int(places.max()) + 1)
    dead = np.flatnonzero(lost > _UNREACHABLE * every)
    if len(dead) < _FEWEST_DEAD:
        return None
    return (
        f"in {len(dead)} windows of {width:.1f} s, the first at {start_s + dead[0] * width:.0f} s, most arrivals found "
        f"no connection ({int(failed.sum()):,} of {len(rows):,} refused or reset)"
    )


def breaking_point(window: Window, measure: Measure, closed: bool) -> Measured:
    """Return the load of the first step in which a limit fails in more than half of the windows.

    Without such a step there is no value, and the highest load is a lower bound for it.
    """
    found = [step for step in steps(window, measure) if window.phase is None or step.phase == window.phase.name]
    if not found:
        return Measured(None, 0, "the load did not rise in steps")
    if found[-1].closed != closed:
        kind = ("a rate", "users") if closed else ("users", "a rate")
        return Measured(None, 0, f"the load was {kind[0]}, not {kind[1]}")
    windows = sum(step.windows for step in found)
    broken = next((step for step in found if is_broken(step)), None)
    if broken is not None:
        return Measured(broken.load, windows)
    return Measured(None, windows, f"no limit broke up to {load_of(found[-1])}", lower_bound=found[-1].load)


def is_broken(step: StressStep) -> bool:
    """Return whether a limit failed in more than half of the step's windows."""
    return step.windows > 0 and step.broken > _BROKEN * step.windows


def degrades(window: Window, measure: Measure, pattern: Pattern) -> Measured:
    """Return whether the server degraded by this pattern."""
    found = degradation(window, measure)
    if found is None:
        return Measured(None, 0, "the load did not rise: a pattern needs two steps at least")
    return Measured(found.pattern is pattern, sum(step.windows for step in steps(window, measure)))


def stresses(run: RunData, measure: Measure) -> list[Stress]:
    """Return what is to be said of the phases in steps and of the spikes, and of phases that rise one after another."""
    stepped = [phase.name for phase in run.phases if _is_stress(run, phase.name)]
    scopes = [Scope(name) for name in stepped] or [Scope()]
    found = []
    for scope in scopes:
        window = run.window(scope)
        pattern, every = degradation(window, measure), steps(window, measure)
        if pattern is None or (scope.phase is None and len(every) < 3):
            continue
        broken = next((step for step in every if is_broken(step)), None)
        found.append(
            Stress(
                phase=scope.phase,
                pattern=pattern.pattern.value,
                evidence=pattern.evidence,
                steps=every,
                breaking_point=None if broken is None else broken.load,
                recovery=_recovery(run, scope.phase),
            )
        )
    return found


def _is_stress(run: RunData, name: str) -> bool:
    planned = run.planned(name)
    return planned is not None and planned.form in {Shape.STEPS, Shape.SPIKE}


def _recovery(run: RunData, phase: str | None) -> Recovery | None:
    """Return the recovery from the overload of a phase: in itself when it is a spike, else in the phase after it."""
    if phase is None:
        return None
    names = [one.name for one in run.phases if one.reached]
    where = [phase, *names[names.index(phase) + 1 :][:1]] if phase in names else []
    for name in where:
        window = run.window(Scope(name))
        begun = overload(window)
        if not isinstance(begun, str):
            return Recovery(name, begun.end_s, {aspect: recovery(window, (aspect,)) for aspect in ASPECTS})
    return None


_WHAT_TO_DO = {
    Pattern.CRASHING: "limit what is let in before the process runs out of memory, threads or descriptors, restart it "
    "by a supervisor, and look at its last words and at dmesg",
    Pattern.COLLAPSING: "the more is asked, the less gets done: bound the queue, refuse early (429, 503), and look for "
    "locks, swapping, retries and work on requests that nobody waits for any more",
    Pattern.REJECTING: "it protects itself: add capacity where the refusals begin, and let clients retry with back-off",
    Pattern.QUEUEING: "it takes what it cannot serve in time: bound the queue and refuse the rest (429, 503), or add "
    "capacity",
}


def stress_findings(found: list[Stress]) -> list[Finding]:
    """Return a finding for each degradation that has a name; waiting that breaks no limit is none."""
    return [
        Finding(
            "degradation",
            f"{'in ' + stress.phase if stress.phase else 'over the whole run'} the server degraded by "
            f"{stress.pattern}{_from(stress)}",
            (*stress.evidence, *_recovered(stress)),
            _WHAT_TO_DO[Pattern(stress.pattern)],
        )
        for stress in found
        if stress.pattern != Pattern.NONE and (stress.pattern != Pattern.QUEUEING or any(map(is_broken, stress.steps)))
    ]


def _from(stress: Stress) -> str:
    step = next((one for one in stress.steps if is_broken(one)), None)
    return "" if step is None else f", from {load_of(step)} on ({step.limits[0]})"


def _recovered(stress: Stress) -> list[str]:
    if stress.recovery is None:
        return []
    told = []
    for aspect, measured in stress.recovery.times.items():
        if measured.value is not None:
            told.append(f"{aspect} {length(float(measured.value))} after the overload")
        elif measured.unbounded:
            told.append(f"{aspect} not within the time that was left")
    return [f"recovered: {', '.join(told)}"] if told else []


def load_of(step: StressStep) -> str:
    """Return the load of a step as people write it."""
    return f"{step.load:g} {'users' if step.closed else 'RPS'}"


def _rps(value: float) -> str:
    return figure(value, "rps")


def _ms(value: float | None) -> str:
    return figure(value, "ms")


def _percent(share: float) -> str:
    return figure(share, "ratio", 2)
