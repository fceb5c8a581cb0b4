"""The place of a process among those that make a load together."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of this process among those that make the load, from a moment on."""

    from_s: float
    place: int
    of: int

    def share(self, end: int, begin: int = 0) -> int:
        """Return how many of the numbers from `begin` to below `end` are this place's, dealt out in turn.

        The shares of all places add up to all, and differ by one at most.
        """
        return self._below(end) - self._below(begin)

    def _below(self, end: int) -> int:
        return (end - self.place + self.of - 1) // self.of
