"""Has a run judged while it goes on, by a process beside it: when somebody looks, or when a limit may end the run."""

import math
from collections.abc import Callable
from pathlib import Path

import gevent
import gevent.event

from execution.children import Child, StartError
from execution.hopeless import Hopeless
from execution.load import Traffic
from plans.assessment import Assessment
from plans.schema import Plan

_EVERY_S = 2.0
_SHARE = 0.1
"""The judging process works for at most this share of the time: the run has the machine for the rest."""
_LOOKED_S = 15.0
"""So long after somebody looked, the run is judged on."""
_IDLE_S = 120.0
"""After so long without a look its process is ended, which holds some 100 MB."""
_PATIENCE_S = 120.0


class Assessing:
    """Asks `python -m reports.live` how a run stands.

    `abort` is told why to end the run.
    """

    def __init__(
        self, folder: Path, plan: Plan, clock: Callable[[], float], traffic: Traffic, abort: Callable[[str], None]
    ) -> None:
        self._folder, self._clock, self._traffic, self._abort = folder, clock, traffic, abort
        self._hopeless = Hopeless(plan)
        self._looked_at = -math.inf
        self._wanted = gevent.event.Event()
        self._child: Child | None = None
        self.latest: Assessment | None = None
        """How the run stood when it was last judged; None before."""
        if self._hopeless.possible:
            self._wanted.set()

    def look(self) -> Assessment | None:
        """Return the latest assessment, and have the run judged on for a while."""
        self._looked_at = self._clock()
        self._wanted.set()
        return self.latest

    def run(self) -> None:
        """Judge the run again and again; to be run in a greenlet until it is killed."""
        while True:
            if not self._wanted.wait(_IDLE_S):
                self.close()
                self._wanted.wait()
            took = self._ask()
            gevent.sleep(max(_EVERY_S, took / _SHARE))
            if not self._hopeless.possible and self._clock() - self._looked_at > _LOOKED_S:
                self._wanted.clear()

    def close(self) -> None:
        """End the judging process."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def _ask(self) -> float:
        """Have the run judged once; return the seconds that it took."""
        settled_s = self._traffic.settled_s
        try:
            if self._child is None:
                self._child = Child("reports.live", [str(self._folder)], self._folder / "live.log")
            self._child.tell(f'{{"settled_s": {settled_s!r}}}')
            found = Assessment.model_validate(self._child.said(_PATIENCE_S))
        except StartError as error:
            self._child = None
            found = Assessment(settled_s=settled_s, problem=str(error))
        self.latest = found
        if (why := self._hopeless.why(found, self._clock())) is not None:
            self._abort(why)
        return found.took_s
