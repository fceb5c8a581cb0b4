"""The search itself: which loads to hold next, and when enough is known. It knows no server and no clock.

1. Rungs, each twice the load of the one before, until a limit breaks: the capacity lies about there.
2. Rungs between, where the posterior (`capacity.fit`) says that it may lie, until that is known within a factor 1.6.
3. Probes on both sides of it, in batches that begin with a load known to be good (the anchor: has the server
   changed?). After each batch the posterior is computed anew. The sequential test: enough is known when its central
   95 % lie within the wanted precision of its median; else the next batch, as long as there is time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from capacity.fit import Crossing, crossing
from capacity.probes import Batch, Probe, Prober, Role, Step, Stopped

_KNOWN_FACTOR = 1.6
"""The posterior's ends may be so far apart for probes on both sides to make sense."""
_MOST_RUNGS = 5
_ANCHOR_SHARE = 0.6
_OFFSETS = (-1.0, -0.45, 0.45, 1.0)
_WIDEST, _NARROWEST = 0.10, 0.05
"""How far from the capacity the outer probes are."""
_FEWEST_PROBES = 8
_SHARES = (0.15, 0.5, 0.85)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to search. Loads are arrivals/s, or users when `whole`; times are seconds."""

    start: float
    highest: float
    whole: bool = False
    precision: float = 0.05
    rung_s: float = 6.0
    probe_s: float = 15.0
    settle_s: float = 2.0
    limit_s: float = 330.0
    overhead_s: float = 7.0
    """What a batch costs beside its load, until that is known better."""


@dataclass(slots=True)
class Found:
    """What the search knows so far."""

    probes: list[Probe] = field(default_factory=list)
    crossings: list[Crossing | None] = field(default_factory=list)
    """Where each limit is crossed, in the order of the limits; None: nothing is known of it."""
    ended: str = ""
    """Why the search ended; empty when the wanted precision was reached."""
    stopped: bool = False
    """True when the search could not go on; `usage` when it could not even begin, because of what was asked for."""
    usage: bool = False

    @property
    def valid(self) -> list[Probe]:
        """The probes that say something about the server."""
        return [probe for probe in self.probes if probe.broken is not None]

    @property
    def limiting(self) -> int | None:
        """The limit that is crossed first."""
        known = [(one.load, number) for number, one in enumerate(self.crossings) if one is not None]
        return min(known)[1] if known else None

    @property
    def capacity(self) -> Crossing | None:
        """The lowest crossing; None until a limit was broken in one probe and all held in another."""
        states = {probe.broken for probe in self.valid}
        return None if self.limiting is None or len(states) < 2 else self.crossings[self.limiting]

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the capacity: whichever limit may be crossed first, it is crossed in there."""
        if self.capacity is None:
            return None
        known = [one for one in self.crossings if one is not None]
        return min(one.low for one in known), min(one.high for one in known)

    @property
    def precision(self) -> float:
        """How far the ends of the interval are from the capacity, as a share of it; the farther one."""
        assert self.capacity is not None
        assert self.interval is not None
        return max(self.interval[1] / self.capacity.load - 1, 1 - self.interval[0] / self.capacity.load)


class Search:
    """One search. `tell` is called with what is known after each batch."""

    def __init__(self, settings: Settings, prober: Prober, tell: Callable[[Found], None] = lambda _: None) -> None:
        self._settings, self._prober, self._tell = settings, prober, tell
        self.found = Found()
        self._overhead = settings.overhead_s
        self._spoilt = 0

    def run(self) -> Found:
        """Search to the end and return what was found; also when the prober had to stop."""
        try:
            if self._climb():
                self._close_in()
                self._refine()
        except Stopped as stopped:
            self.found.ended, self.found.stopped, self.found.usage = str(stopped), True, stopped.usage
        return self.found

    # -- about where ----------------------------------------------------------------------------------------

    def _climb(self) -> bool:
        """Double the load until a limit breaks, or halve it until all hold; False when there is no such load."""
        settings = self._settings
        low = top = settings.start
        self._hold([self._rung(load) for load in self._doubled(low)], stop=True)
        while not self._any(True) and (top := self._doubled(top)[-1]) < settings.highest:
            self._hold([self._rung(load) for load in self._doubled(top)[1:]], stop=True)
        while not self._any(False) and low > settings.start / 2**9:
            halves = [self._load(low / 2**n) for n in (3, 2, 1) if not settings.whole or low / 2**n >= 1]
            if not halves:
                break
            low = halves[0]
            self._hold([self._rung(load) for load in dict.fromkeys(halves)], stop=True)
        if not self._any(False):
            self.found.ended = f"a limit is broken already at the lowest load that was tried, {low:g}"
        elif not self._any(True):
            self.found.ended = f"no limit is broken up to the highest load that was tried, {top:g}"
        return self._any(False) and self._any(True)

    def _doubled(self, load: float) -> list[float]:
        """Return a load and its doubles, as many as one run holds."""
        loads = [load]
        while loads[-1] < self._settings.highest and len(loads) < _MOST_RUNGS:
            loads.append(min(loads[-1] * 2, self._settings.highest))
        return loads

    def _any(self, broken: bool) -> bool:
        return any(probe.broken is broken for probe in self.found.valid)

    def _close_in(self) -> None:
        """Put rungs where the posterior says that the capacity may lie, until it is known well enough."""
        for _ in range(3):
            found = self._known()
            if found.high / found.low <= _KNOWN_FACTOR:
                return
            loads = dict.fromkeys(self._load(found.quantile(share)) for share in _SHARES)
            steps = [self._rung(load) for load in loads]
            if not self._fits(steps):
                return
            self._hold(steps, stop=True)

    def _known(self) -> Crossing:
        if self.found.capacity is None:
            raise Stopped("no load is left at which every limit holds")
        return self.found.capacity

    # -- exactly --------------------------------------------------------------------------------------------

    def _refine(self) -> None:
        turned = False  # where the first probes are is known from short rungs only
        while not self._enough():
            up = self._round()
            steps = [self._anchor(), *up, *(up[::-1] if turned else ())]
            turned = True
            while len(steps) > 2 and not self._fits(steps):
                steps.pop()
            if len(steps) <= 2:
                self.found.ended = f"the time was up: {self._prober.elapsed():.0f} s"
                return
            self._hold(self._filled(steps), stop=False)

    def _filled(self, steps: list[Step]) -> list[Step]:
        """Return the steps, with longer probes when no other batch would fit behind them: the time is there to use."""
        anchor, *probes = steps
        left = self._left(steps)
        if left >= self._needed([anchor, *probes[:2]]):
            return steps
        longer = math.floor(left / len(probes) * 10) / 10
        return [anchor, *(replace(step, seconds=step.seconds + longer) for step in probes)]

    def _enough(self) -> bool:
        """The sequential test: is the interval narrow, and does it rest on enough probes?"""
        self._known()
        probes = [probe for probe in self.found.valid if probe.role is Role.PROBE]
        return len(probes) >= _FEWEST_PROBES and self.found.precision <= self._settings.precision

    def _round(self) -> list[Step]:
        """Return probes on both sides of the capacity, no farther from it than they must be."""
        settings, found = self._settings, self._known()
        reach = min(max(1.5 * self.found.precision, _NARROWEST), _WIDEST)
        loads = [self._load(found.load * (1 + reach * offset)) for offset in _OFFSETS]
        return [Step(load, settings.probe_s, settings.settle_s, Role.PROBE) for load in loads]

    def _anchor(self) -> Step:
        good = [probe.asked for probe in self.found.valid if probe.role is Role.ANCHOR]
        load = good[0] if good else self._load(self._known().load * _ANCHOR_SHARE)
        return Step(load, self._settings.rung_s, self._settings.settle_s, Role.ANCHOR)

    # -- one batch ------------------------------------------------------------------------------------------

    def _rung(self, load: float) -> Step:
        return Step(self._load(load), self._settings.rung_s, self._settings.settle_s, Role.RUNG)

    def _load(self, load: float) -> float:
        load = min(load, self._settings.highest)
        return float(max(round(load), 1)) if self._settings.whole else float(f"{load:.4g}")

    def _fits(self, steps: Sequence[Step]) -> bool:
        """Return whether there is time for the steps."""
        return self._left(steps) >= 0

    def _left(self, steps: Sequence[Step]) -> float:
        """Return how many seconds are left after the steps."""
        return self._settings.limit_s - self._prober.elapsed() - self._needed(steps)

    def _needed(self, steps: Sequence[Step]) -> float:
        return Batch(tuple(steps), False).seconds + self._overhead

    def _hold(self, steps: Sequence[Step], *, stop: bool) -> None:
        begin = self._prober.elapsed()
        probes = list(self._prober.run(Batch(tuple(steps), stop)))
        held = Batch(tuple(steps[: len(probes)]), stop).seconds
        self._overhead = max(self._prober.elapsed() - begin - held, 1.0)
        self.found.probes += probes
        self._judge_generator(probes)
        self._update()
        self._tell(self.found)

    def _judge_generator(self, probes: Sequence[Probe]) -> None:
        """Stop when probes say nothing about the server: an invalid one is no failure of the server."""
        spoilt = [probe for probe in probes if probe.trouble is not None]
        if not spoilt:
            self._spoilt = 0
            return
        self._spoilt += 1
        first = min(spoilt, key=lambda probe: probe.asked)
        if self._spoilt == 2 or len(spoilt) == len(probes) or not self._any(True):
            raise Stopped(f"the load generator was the limit at {first.asked:g}: {first.trouble}")

    def _update(self) -> None:
        valid = self.found.valid
        limits = len(valid[0].readings) if valid else 0
        self.found.crossings = [self._crossing(number) for number in range(limits)]

    def _crossing(self, number: int) -> Crossing | None:
        known = [(p.load, p.readings[number], p.asked) for p in self.found.valid if p.load > 0]
        found = [(load, reading, asked) for load, reading, asked in known if reading is not None]
        if not found:
            return None
        loads, readings, asked = zip(*found, strict=True)
        return crossing(loads, readings, asked)
