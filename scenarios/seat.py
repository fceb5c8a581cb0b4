"""The place of a process among those that make a load together."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of this process among those that make the load, from a moment on."""

    from_s: float
    place: int
    of: int

    def share(self, whole: int) -> int:
        """Return this place's share of a number; the shares of all places add up to it."""
        return whole * (self.place + 1) // self.of - whole * self.place // self.of
