"""What of a plan a search uses: its target, its mix, its limits; the loads are the search's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from capacity.probes import Step
from plans.metrics import METRICS, Kind
from plans.phases import Phase, Shape
from plans.problems import PlanError, Problem
from plans.run import at_load, shortest_s
from plans.schema import Criterion, Plan, Severity

_NOT_OF_A_STEADY_LOAD = frozenset({"recovery_s", "graceful_degradation", "stable_performance", "performance_score"})
_ID = 70


class By(StrEnum):
    """What the load is counted in."""

    RATE = "rate"
    USERS = "users"

    @property
    def unit(self) -> str:
        """The sign of the unit."""
        return "RPS" if self is By.RATE else "users"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that every probe is held against, all of them without a phase."""

    plan: Plan
    phase: Phase
    """The phase of the plan that they belong to: its think time is the probes', its load where the search begins."""
    by: By
    criteria: tuple[Criterion, ...]
    notes: tuple[str, ...]
    """What of the plan is set aside, and why."""

    @property
    def nominal(self) -> float | None:
        """The load that the plan itself asks for, in the unit of the search; None when it asks in the other one."""
        same = self.phase.closed == (self.by is By.USERS)
        return self.phase.load.highest() if same and self.phase.form is not Shape.REPLAY else None

    def at(self, load: float) -> tuple[Criterion, ...]:
        """Return the limits as they are at a load: one on a rate is in proportion to it."""
        nominal = self.nominal
        return tuple(c if nominal is None else at_load(c, load / nominal) for c in self.criteria)


def limits_of(plan: Plan, file: str, probe_s: float, phase: str | None = None, by: By | None = None) -> Limits:
    """Return what a search takes from the plan: the limits of one phase, and those of the whole run.

    Raises PlanError when the phase does not exist, or when no limit is left to search by.
    """
    chosen = _phase(plan, file, phase)
    by = by or (By.USERS if chosen.closed else By.RATE)
    criteria, notes = [], []
    for criterion in plan.criteria:
        if criterion.phase not in (None, chosen.name):
            continue
        if why := _unfit(criterion, probe_s):
            notes.append(f"{criterion.metric} is not searched by: {why}")
        else:
            criteria.append(criterion.model_copy(update={"phase": None}))
    other = sorted({c.phase for c in plan.criteria if c.phase not in (None, chosen.name)} - {None})
    if other:
        notes.append(f"limits of other phases are not searched by: {', '.join(map(str, other))}")
    if any(fault.at > 0 or fault.duration is not None for fault in plan.faults):
        notes.append("faults that do not last the whole run are left out")
    if plan.mix.WebSocketUser is not None:
        notes.append(f"{plan.mix.WebSocketUser.connections} WebSockets are held beside every load")
    if not criteria:
        problem = f"must have a limit for a probe of {probe_s:g} s, in {chosen.name} or of the whole run"
        raise PlanError([Problem(file, "criteria", problem)])
    return Limits(plan, chosen, by, tuple(dict.fromkeys(criteria)), tuple(notes))


def _phase(plan: Plan, file: str, name: str | None) -> Phase:
    """Return the phase of a name; without one the constant load that is held longest, else the longest phase."""
    if name is not None:
        found = [phase for phase in plan.phases if phase.name == name]
        if not found:
            names = ", ".join(phase.name for phase in plan.phases)
            raise PlanError([Problem("command line", "--phase", f"must be a phase of {file} ({names}), got '{name}'")])
        return found[0]
    held = [phase for phase in plan.phases if phase.form is Shape.CONSTANT]
    return max(held or plan.phases, key=lambda phase: phase.duration)


def _unfit(criterion: Criterion, probe_s: float) -> str | None:
    """Return why a probe cannot be held against a criterion; None when it can."""
    if criterion.severity is not Severity.FAIL:
        return "it only warns"
    if METRICS[criterion.metric].kind is Kind.RUN or criterion.metric in _NOT_OF_A_STEADY_LOAD:
        return "it is not about a steady load"
    if shortest_s(criterion.metric) > probe_s:
        return f"it needs {shortest_s(criterion.metric):g} s, and a probe has {probe_s:g} s"
    return None


def plan_of(limits: Limits, steps: Sequence[Step]) -> Plan:
    """Return the plan of one batch: a phase to settle and one to measure for each step."""
    plan = limits.plan
    phases, criteria = [], []
    for number, step in enumerate(steps, 1):
        settle, probe = names_of(number)
        phases += [_held(limits, settle, step.load, step.settle_s), _held(limits, probe, step.load, step.seconds)]
        criteria += [c.model_copy(update={"phase": probe}) for c in limits.at(step.load)]
    return plan.model_copy(
        update={
            "id": f"{plan.id[:_ID]}-CAPACITY",
            "title": f"Capacity search - {plan.title}"[:200],
            "phases": tuple(phases),
            "criteria": tuple(criteria),
            "store": {},
            "judge": None,
            "faults": tuple(fault for fault in plan.faults if fault.at == 0 and fault.duration is None),
        }
    )


def names_of(number: int) -> tuple[str, str]:
    """Return the names of the two phases of a step, counted from 1."""
    return f"settle-{number}", f"probe-{number}"


def _held(limits: Limits, name: str, load: float, seconds: float) -> Phase:
    think = limits.phase.think if limits.by is By.USERS else Phase.model_fields["think"].default
    levels = {"value": load}
    return Phase.model_validate({"name": name, "duration": seconds, limits.by.value: levels, "think": think})
