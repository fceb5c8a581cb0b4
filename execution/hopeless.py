"""When a run cannot pass any more: a limit with `abort_on_fail` has stayed broken for its delay."""

from plans.assessment import Assessment, LiveCriterion
from plans.run import ENDED_EARLY
from plans.schema import Plan

_FAIL = "fail"


class Hopeless:
    """Tells when a limit with `abort_on_fail` has stayed broken for too long; what has no data is not broken."""

    def __init__(self, plan: Plan) -> None:
        self._delays = {
            index: criterion.abort_on_fail.after
            for index, criterion in enumerate(plan.criteria)
            if criterion.abort_on_fail is not None
        }
        self._since: dict[int, float] = {}

    @property
    def possible(self) -> bool:
        """True when the plan has such a limit."""
        return bool(self._delays)

    def why(self, assessment: Assessment, now: float) -> str | None:
        """Return why the run is to end, or None; `now` is in seconds from the origin.

        A limit whose phase is over will not hold any more, however long its delay.
        """
        if assessment.problem is not None:
            return None
        for index, delay in self._delays.items():
            criterion = assessment.criteria[index]
            if criterion.state != _FAIL:
                self._since.pop(index, None)
                continue
            broken_s = now - self._since.setdefault(index, now)
            if criterion.final or broken_s >= delay:
                return _reason(criterion, broken_s)
        return None


def _reason(criterion: LiveCriterion, broken_s: float) -> str:
    how = "at the end of its phase" if criterion.final else f"for {broken_s:.0f} s"
    return f"{ENDED_EARLY}: {criterion.metric} {criterion.where} stayed broken {how}: {criterion.reason}"
