"""Metrics of endurance: what grows, leaks or drifts over a long time."""

from plans.metric import Better, Kind, Metric

ENDURANCE: tuple[Metric, ...] = (
    Metric(
        "memory_growth",
        "ratio",
        Better.LOWER,
        "Theil-Sen slope of the target's resident memory after the first 10 % of the phase x phase length / median",
        Kind.RESOURCE,
    ),
    Metric(
        "memory_leak",
        "bool",
        Better.LOWER,
        "memory_growth > 10 % and Mann-Kendall p < 0.01; none for fewer than 60 readings (too short to tell)",
        Kind.RESOURCE,
    ),
    Metric(
        "stable_utilisation",
        "bool",
        Better.HIGHER,
        "no memory leak, and coefficient of variation of 30-second means of CPU <= 0.25 (when mean CPU > 0.1 cores)",
        Kind.RESOURCE,
    ),
    Metric(
        "connection_leak",
        "bool",
        Better.LOWER,
        "connections grew by more than 10 % of their median and by 3, Mann-Kendall p < 0.01: sockets of the target's "
        "process tree beyond those before the load and one per user, or a database's connections of others beyond "
        "those before the load; none for fewer than 60 readings",
        Kind.RESOURCE,
    ),
)
