"""Who is there, and who makes which arrivals: stripes at the begin of a phase, heirs for those that are lost.

Nothing in here waits or sends: the fleet asks it, and sends what it says. Times are seconds from the run's origin.

A worker may begin arrivals up to the end of its lease, which the master renews whenever it hears of it. A worker that
is not heard of for `MISSED_S` is lost: from the end of its lease on, when it has stopped by itself wherever it is, its
arrivals are divided among the others. What was due before and has no sample is lost with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from plans.run import Away
from scenarios.seat import Seat
from shapes.arrivals import PhaseSpan
from shapes.stripes import Part

LEASE_S = 4.0
MISSED_S = 3.5
_MARGIN_S = 0.3
"""What clocks may differ by, and what a message may take."""
_AHEAD_S = 1.0
"""So long before a phase begins it is divided among those who are there."""
_LATEST_S = 2.0
"""A phase that is divided too late by no more than this is made whole, its first arrivals late."""


@dataclass(slots=True)
class Member:
    """One worker in one run."""

    name: str
    heard_s: float
    present: bool = True
    parts: list[Part] = field(default_factory=list)
    """What it is to make, and what it was to make."""
    lapses: int = 0
    lease_s: float = 0.0
    """End of the last lease that it was given."""
    gone_s: float = -math.inf
    """From here on others make what was its own."""
    joined_s: float = 0.0
    away: list[Away] = field(default_factory=list)
    """When nothing was heard of it."""
    ended: bool = False
    left_s: float = math.inf
    """From here on it begins nothing, because it was told to end, or could not go on."""
    stopped_s: float = math.inf
    """From here on it began nothing, by its own word."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to be told."""

    name: str
    parts: tuple[Part, ...]
    seat: Seat


class Roster:
    """The members of a run, and the parts of its schedule that each has."""

    def __init__(self, spans: Sequence[PhaseSpan]) -> None:
        self._spans = spans
        self._divided = 0
        self._waiting: list[Member] = []
        """Lost ones whose parts nobody could take."""
        self.members: dict[str, Member] = {}
        self.unowned: list[Part] = []
        """What was due when nobody was there."""

    @property
    def present(self) -> list[Member]:
        """The members that are heard of and have not ended, in a fixed order."""
        return [member for member in self.members.values() if member.present]

    @property
    def staying(self) -> list[Member]:
        """The members that can be given something."""
        return [member for member in self.present if member.left_s == math.inf]

    def admit(self, name: str, now: float) -> Member:
        """Take a worker in; it is given arrivals from the next phase on."""
        self.members[name] = Member(name, now, lease_s=max(now, 0.0) + LEASE_S, joined_s=max(now, 0.0))
        return self.members[name]

    def heard(self, name: str, lapses: int, now: float) -> tuple[float | None, list[Order]]:
        """Return the end of the member's new lease, None while it has none, and the orders that its word brings about.

        `lapses` is how often it has stopped because its lease ended.
        """
        member = self.members[name]
        member.heard_s = now
        lapsed, member.lapses = lapses > member.lapses, lapses
        if member.ended or now <= member.gone_s:
            return None, []
        orders: list[Order] = []
        if not member.present:
            member.present = True
            member.away[-1].until_s = now
        elif lapsed:
            orders = self._pass_on(member, now + _MARGIN_S)  # it waits for a share of what it gave up
        while self._waiting and self.staying:
            orders += self._pass_on(self._waiting.pop(), now + _MARGIN_S)
        member.lease_s = max(now, 0.0) + LEASE_S
        return member.lease_s, orders

    def missing(self, now: float) -> list[Member]:
        """Return the members that have not been heard of for too long."""
        return [member for member in self.present if now - member.heard_s > MISSED_S]

    def lose(self, member: Member, now: float) -> list[Order]:
        """Give a member up; return who takes over what, from `member.gone_s` on."""
        member.present = False
        member.gone_s = max(member.lease_s, now) + _MARGIN_S
        member.away.append(Away(from_s=member.heard_s))
        return self._pass_on(member, member.gone_s)

    def leave(self, member: Member, at_s: float, now: float) -> list[Order]:
        """A member is to end, and begins nothing from `at_s` on; return who takes over from then on, or from now on."""
        known, member.left_s = member.left_s < math.inf, min(member.left_s, at_s)
        return [] if known or not member.present else self._pass_on(member, max(at_s, now + _MARGIN_S))

    def end(self, member: Member, stopped_s: float | None, now: float) -> list[Order]:
        """A member says that it has done its part, or that it stopped before; return who takes over the rest."""
        orders = [] if stopped_s is None else self.leave(member, stopped_s, now)
        member.present, member.ended = False, True
        return orders

    def divide(self, now: float) -> list[Order]:
        """Return the stripes of the phases that begin soon."""
        orders: list[Order] = []
        while self._divided < len(self._spans) and self._spans[self._divided].start - _AHEAD_S <= now:
            members, span, phase = self.staying, self._spans[self._divided], Part(self._divided)
            if not members:
                break
            begin = span.start if now <= span.start + _LATEST_S else now + _MARGIN_S
            if begin > span.start:
                self.unowned.append(phase.ended(begin))
            for place, (member, part) in enumerate(zip(members, phase.divided(begin, len(members)), strict=True)):
                member.parts.append(part)
                orders.append(Order(member.name, (part,), Seat(begin, place, len(members))))
            self._divided += 1
        return orders

    def undivided(self) -> list[Part]:
        """Return the phases that nobody was ever given."""
        return [Part(phase) for phase in range(self._divided, len(self._spans))]

    def _pass_on(self, member: Member, from_s: float) -> list[Order]:
        heirs = self.staying
        if not heirs:
            self._waiting.append(member)
            return []
        rest = [part for part in member.parts if part.until_s > from_s and self._spans[part.phase].end > from_s]
        member.parts = [part.ended(from_s) for part in member.parts]
        shares = [part.divided(from_s, len(heirs)) for part in rest]
        orders = []
        for place, heir in enumerate(heirs):
            parts = tuple(share[place] for share in shares)
            heir.parts += parts
            orders.append(Order(heir.name, parts, Seat(from_s, place, len(heirs))))
        return orders
