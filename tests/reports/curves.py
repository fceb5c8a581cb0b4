"""Curves over time as a run of three phases would draw them."""

import math
import random

from reports.analysis import SPECTRUM, HeatMap, Selection, Series, SlowRequest, Spectrum, Timeline
from tests.reports.records import BOUNDS

Names = tuple[tuple[str, str, str], ...]
"""Scenario, request, protocol."""


def timeline(points: int = 540, length_s: float = 2700.0, slow: float = 1.0, seed: int = 5) -> Timeline:
    """Return curves that follow the three phases."""
    rng, step = random.Random(seed), length_s / points
    times = [index * step for index in range(points)]

    def offered(t: float) -> float:
        return 10.0 if t < 300 else 10 + (t - 300) / 15 if t < 900 else 50.0

    def line(key: str, label: str, unit: str, values: list[float | None]) -> Series:
        return Series(key, label, unit, values)

    def noisy(level: float, share: float = 0.06) -> float:
        return level * (1 + rng.gauss(0, share))

    trouble = [1.0 + (slow - 1.0) * math.exp(-(((t - 1900) / 260) ** 2)) for t in times]
    base = [(240 + offered(t) * 2) * k for t, k in zip(times, trouble, strict=True)]
    failed = [max(0.0, rng.gauss(0.02, 0.05) + (k - 1) * 2) for k in trouble]
    return Timeline(
        0.0,
        step,
        points,
        load=[
            line("offered", "offered", "rps", [offered(t) for t in times]),
            line(
                "achieved", "achieved", "rps", [noisy(offered(t), 0.02) - f for t, f in zip(times, failed, strict=True)]
            ),
            line("failed", "failed", "rps", list(failed)),
            line("dropped", "dropped", "rps", [max(0.0, (k - 1.6)) for k in trouble]),
        ],
        latency=[
            line(k, k, "ms", [None if rng.random() < 0.004 else noisy(b * f, n) for b in base])
            for k, f, n in (("p50", 0.7, 0.03), ("p95", 1.5, 0.06), ("p99", 2.4, 0.1), ("max", 4.5, 0.25))
        ],
        in_flight=[
            line(
                "in_flight",
                "in flight",
                "count",
                [float(round(noisy(offered(t) * b / 1000))) for t, b in zip(times, base, strict=True)],
            )
        ],
        failures=[
            line("http_error", "HTTP error", "rps", [f * 0.8 for f in failed]),
            line("timeout", "timeout", "rps", [f * 0.2 if f > 0.1 else 0.0 for f in failed]),
        ],
        llm=[
            line("ttft_due_p95", "TTFT p95 (due)", "ms", [noisy(b * 0.5) for b in base]),
            line("icl_p95", "inter-chunk p95", "ms", [noisy(18.0 * k, 0.1) for k in trouble]),
            line("output_tokens_per_s", "output tokens", "tokens/s", [noisy(offered(t) * 61, 0.04) for t in times]),
        ],
        websocket=[
            line("message_latency_p95", "message latency p95", "ms", [noisy(4.2, 0.2) for _ in times]),
            line("messages", "messages", "1/s", [noisy(40.0, 0.03) for _ in times]),
            line("connections", "connections", "count", [20.0 for _ in times]),
        ],
        resources=[
            line("target.cpu_cores", "target CPU", "cores", [noisy(offered(t) / 9) for t in times]),
            line("target.rss_bytes", "target memory", "bytes", [3.1e9 + t * 4e4 for t in times]),
            line("host.cpu_cores", "host CPU", "cores", [noisy(offered(t) / 7 + 1) for t in times]),
            line("host.memory_bytes", "host memory used", "bytes", [6.1e10 + t * 1e5 for t in times]),
            line("generator.cpu_cores", "generator CPU", "cores", [noisy(offered(t) / 80) for t in times]),
            line("generator.loop_lag_ms", "event loop lag", "ms", [abs(noisy(1.1, 0.5)) for _ in times]),
        ],
    )


def selections(points: int, of: Names, length_s: float = 2700.0) -> list[Selection]:
    """Return figures of the whole run, of each scenario and request, and of the failures of the first request."""
    step = length_s / points
    curves = timeline(points)
    series = [*curves.load[:2], *curves.latency]

    def one(scenario: str | None, name: str | None, outcome: str | None, samples: int, level: float) -> Selection:
        spectra = [
            Spectrum(label, samples // part, [level * (1 + i / 8) for i, at in enumerate(SPECTRUM) if at < samples])
            for part, label in enumerate(("whole run", *BOUNDS), start=1)
        ]
        columns = [[20 + i % 3, 3, 0, i + 1, 2] if i % 7 else [] for i in range(96)]
        whole = scenario is None and outcome is None
        heat = HeatMap(0.0, length_s / 96, columns)
        return Selection(scenario, name, outcome, samples, step, [] if whole else series, spectra, heat)

    names = [(scenario, name) for scenario, name, _ in of]
    found = [one(None, None, outcome, 100_000, 200.0) for outcome in (None, "ok", "timeout")]
    found += [one(scenario, None, None, 50_000, 150.0) for scenario in dict.fromkeys(s for s, _ in names)]
    found += [one(scenario, name, None, 5000 + i, 100.0 + i) for i, (scenario, name) in enumerate(names)]
    return [*found, one(*names[0], "timeout", 27, 30_000.0)]


def slowest(of: Names) -> list[SlowRequest]:
    """Return slow requests, the first of them failed."""
    return [
        SlowRequest(
            1800.0 + i,
            9000.0 - i,
            0.4,
            None if i == 0 else 800.0,
            "sustained",
            of[i % 2][0],
            of[i % 2][1],
            "timeout" if i == 0 else "ok",
            None if i == 0 else 200,
            "0",
        )
        for i in range(6)
    ]
