"""How far apart two monotonic clocks are, from round trips: the quickest one tells best."""

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Comparison:
    """The other clock minus this one, in seconds, and by how much that may be wrong at most."""

    offset_s: float = 0.0
    uncertainty_s: float = math.inf
    trips: int = 0

    def take(self, asked: float, told: float, heard: float) -> None:
        """Take a round trip into account: asked and heard by this clock, and what the other one told in between."""
        self.trips += 1
        uncertainty = (heard - asked) / 2
        if uncertainty < self.uncertainty_s:
            self.offset_s, self.uncertainty_s = told - (asked + heard) / 2, uncertainty
