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
        "memory_growth > 10 %, and so the floor of the memory (the lowest reading of each of twelve parts of the phase "
        "after its first 10 %): Theil-Sen slope x phase length > 10 % of the median, > 5 % by its later half alone, "
        "Mann-Kendall p < 0.01; none for fewer than 60 readings (too short to tell)",
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
        "the floor of the connections grew, as for memory_leak, by more than 10 % of their median and by 3: sockets of "
        "the target's process tree beyond those before the load and one per user, or a database's connections of "
        "others beyond those before the load; none for fewer than 60 readings",
        Kind.RESOURCE,
    ),
    Metric(
        "memory_trend_bytes_per_min",
        "bytes/min",
        Better.LOWER,
        "Theil-Sen slope of the floor of the target's resident memory, with its 95 % interval",
        Kind.RESOURCE,
    ),
    Metric(
        "file_leak",
        "bool",
        Better.LOWER,
        "the floor of the target's open descriptors that are no sockets grew, as for memory_leak, by more than 10 % of "
        "their median and by 3",
        Kind.RESOURCE,
    ),
    Metric(
        "thread_leak",
        "bool",
        Better.LOWER,
        "the floor of the target's threads grew, as for memory_leak, by more than 10 % of their median and by 3",
        Kind.RESOURCE,
    ),
    Metric(
        "connections_left",
        "count",
        Better.LOWER,
        "sockets of the target's process tree after the run, when the users have gone - median before the load",
        Kind.RUN,
    ),
    Metric(
        "latency_drift",
        "ratio",
        Better.LOWER,
        "change of the p95 of latency over the phase / its median: Theil-Sen slope over sixty windows (or minutes, "
        "when they are more) after the first 10 % x phase length, with its 95 % interval",
    ),
    Metric(
        "error_drift",
        "ratio",
        Better.LOWER,
        "change of the error rate over the phase, by the same windows and slope",
    ),
    Metric(
        "latency_p95_throughout_ms",
        "ms",
        Better.LOWER,
        "highest p95 of latency of any of sixty windows of the phase, or of any minute when the phase is longer",
    ),
    Metric(
        "cpu_share_mean",
        "ratio",
        Better.LOWER,
        "mean CPU of the target's process tree / cores that it may use (affinity, quota of its control group)",
        Kind.RESOURCE,
    ),
)
