"""What workers were to make and did not: counts by phase and scenario."""

import math
from collections.abc import Iterable

from execution.distributed.roster import Member
from shapes.arrivals import Schedule
from shapes.stripes import counted

ByPhase = dict[str, dict[str, int]]


def missing(member: Member, made: ByPhase, schedule: Schedule, stopped_at: float) -> ByPhase:
    """Return the arrivals that were a worker's to make and were not made; the run was stopped at this moment.

    A worker hears of the stop a little later, and says when. One that has left by itself owed what it had up to the
    moment from which others made it.
    """
    until = stopped_at if member.stopped_s == math.inf else max(member.stopped_s, stopped_at)
    return _minus(counted([part.ended(until) for part in member.parts], schedule), made)


def beyond(member: Member, made: ByPhase, schedule: Schedule) -> int:
    """Return how many arrivals a worker made that were not its own; anything but 0 is a fault of this program."""
    owned = counted([part.ended(member.stopped_s) for part in member.parts], schedule)
    opened = {span.name for span in schedule.spans if not span.closed}
    excess = _minus({phase: counts for phase, counts in made.items() if phase in opened}, owned)
    return sum(sum(counts.values()) for counts in excess.values())


def _minus(whole: ByPhase, part: ByPhase) -> ByPhase:
    """Return what is left of counts, without those that nothing is left of."""
    left = {
        phase: {name: rest for name, count in counts.items() if (rest := count - part.get(phase, {}).get(name, 0)) > 0}
        for phase, counts in whole.items()
    }
    return {phase: counts for phase, counts in left.items() if counts}


def total(several: Iterable[ByPhase]) -> ByPhase:
    """Return the sum of counts."""
    found: ByPhase = {}
    for counts in several:
        for phase, of_phase in counts.items():
            sums = found.setdefault(phase, {})
            for name, count in of_phase.items():
                sums[name] = sums.get(name, 0) + count
    return found
