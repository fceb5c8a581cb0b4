"""Metrics of an overload: how it was borne, where it broke the server, and how long it was felt."""

from plans.metric import Better, Metric

_PATTERNS = {
    "crashing": "in two windows or more most arrivals found no connection (refused, reset)",
    "collapsing": "the rate of good answers at the highest load is < 0.8 x the best of any step",
    "rejecting": "errors that the server answered are at least half of what it did not serve at the highest load, and "
    "1 % of the arrivals more than in the first step",
    "queueing": "the median latency at the highest load is above 2 x that of the first step and 10 ms more, or 1 % of "
    "the arrivals more than there got no answer",
}

OVERLOAD: tuple[Metric, ...] = (
    Metric(
        "recovery_s",
        "s",
        Better.LOWER,
        "from the end of the overload (the phase before, or a spike's fall) to the first of three "
        "consecutive 5-second windows whose p95 is <= max(1.2 x, +10 ms of) the p95 before it, with an error "
        "rate no higher than before + 0.1 %",
    ),
    *(
        Metric(
            f"{name}_recovery_s",
            "s",
            Better.LOWER,
            f"as recovery_s, by {what} alone",
        )
        for name, what in (
            ("latency", "latency"),
            ("error", "errors"),
            ("memory", "memory (windows whose median resident memory is <= max(1.1 x, +10 MB of) that before)"),
        )
    ),
    Metric(
        "graceful_degradation",
        "bool",
        Better.HIGHER,
        "goodput at the highest load >= 0.8 x the best goodput seen, more than 95 % of the failures of the phase are "
        "refusals (429, 503) and not errors, timeouts or resets, and the phase after it recovers (recovery_s)",
    ),
    *(
        Metric(
            f"degradation_{name}",
            "bool",
            Better.LOWER,
            f"the pattern of degradation over the steps of a rising load is {name}: {what}; the first of crashing, "
            "collapsing, rejecting, queueing that applies",
        )
        for name, what in _PATTERNS.items()
    ),
    *(
        Metric(
            f"breaking_point_{name}",
            unit,
            Better.HIGHER,
            f"{what} of the first step in which a limit fails in more than half of the windows; when none does, the "
            "highest step is a lower bound",
        )
        for name, unit, what in (("rps", "rps", "arrivals/s"), ("users", "count", "concurrent users"))
    ),
)
