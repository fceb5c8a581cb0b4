"""Plans and phases for the tests of the arrival mathematics."""

from __future__ import annotations

from hypothesis import strategies as st

from plans.phases import Phase
from plans.schema import Plan

SHARES: dict[str, float] = {"ChatUser": 1.0}


def plan(*phases: Phase, shares: dict[str, float] | None = None, **more: object) -> Plan:
    mix = {name: {"share": share} for name, share in (shares or SHARES).items()}
    return Plan.model_validate({"id": "t", "title": "t", "mix": mix, "phases": phases} | more)


def phase(name: str = "p", shape: str = "constant", **more: object) -> Phase:
    return Phase.model_validate({"name": name, "shape": shape} | more)


# Levels are 0 or of a size that a plan would have: a rate of 1e-200 arrivals/s is not one.
LEVELS = st.one_of(st.just(0.0), st.floats(0.01, 500.0))
ABOVE_0 = st.floats(0.01, 500.0)
DURATIONS = st.floats(0.05, 100.0)


@st.composite
def phases(draw: st.DrawFn, name: str = "p", key: str = "rate") -> Phase:
    """A phase of any form: flat, rising, falling, stepping, spiking (jumps included), swinging."""
    shape = draw(st.sampled_from(["constant", "ramp", "steps", "spike", "sine"]))
    duration = draw(DURATIONS)
    more: dict[str, object] = {}
    if shape == "constant":
        levels: object = draw(ABOVE_0)
    elif shape == "sine":
        mean = draw(ABOVE_0)
        levels = {"mean": mean, "amplitude": mean * draw(st.floats(0, 1))}
        if draw(st.booleans()):
            more["period"] = draw(st.floats(0.1, 150.0))
    else:
        low, high = draw(st.tuples(LEVELS, ABOVE_0).flatmap(st.permutations))
        levels = {"base": low, "peak": high} if shape == "spike" else {"from": low, "to": high}
        if shape == "steps":
            levels["steps"] = draw(st.integers(1, 12))
        if shape == "steps" and levels["steps"] == 1 and levels["from"] == 0:
            levels["from"] = 1.0
        if shape == "spike" and draw(st.booleans()):
            parts = draw(st.lists(st.sampled_from([0.0, 0.1, 0.3, 1 / 3]), min_size=3, max_size=3))
            more |= dict(zip(("rise", "hold", "fall"), (part * duration for part in parts), strict=True))
    return phase(name, shape, duration=duration, **{key: levels}, **more)
