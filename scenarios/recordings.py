"""Which row of a recording an arrival stands for."""

from collections.abc import Container

from data.traces.trace import Trace
from plans.input_files import recorded
from scenarios.dispatcher import Arrival
from scenarios.session import Session


class Recordings:
    """The recordings that a plan replays, of some formats: loaded before the load, row by row in the schedule."""

    def __init__(self, session: Session, scenario: str, formats: Container[str]) -> None:
        replays = [phase for phase in session.plan.phases if phase.trace is not None and phase.trace.format in formats]
        self._parts = {phase.name: recorded(phase.trace) for phase in replays if phase.trace is not None}
        self._firsts = session.firsts
        self._any = next(iter(self._parts.values()))
        self._random = session.random(f"rows of {scenario}")

    @property
    def traces(self) -> list[Trace]:
        """All recordings, each once."""
        return list({id(part.trace): part.trace for part in self._parts.values()}.values())

    def row_of(self, arrival: Arrival | None) -> tuple[Trace, int]:
        """Return the row of an arrival; in a phase that replays nothing, one by chance out of the first recording."""
        if arrival is not None and arrival.index is not None and arrival.phase in self._parts:
            part = self._parts[arrival.phase]
            return part.trace, part.first + arrival.index - self._firsts[arrival.phase]
        return self._any.trace, self._any.first + self._random.randrange(self._any.count)
