"""What the server says of itself: metrics by hand, holes, GPUs, the count of requests in flight, curves."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from reports.analysis import Analysis, Measured
from reports.charts import charts
from samples.sample import Protocol, Reading
from tests.reports.builder import RunBuilder, request, target


def readings(
    source: str, metric: str, values: Iterable[float], start_s: float = 0.0, worker: str = "0"
) -> list[Reading]:
    return [Reading(start_s + second, source, metric, value, worker) for second, value in enumerate(values)]


def analysis_of(folder: Path, *sources: list[Reading], in_flight: int = 0, **plan: Any) -> Analysis:
    """30 s in which so many LLM requests were in flight all the time."""
    samples = [request(0, 30, protocol=Protocol.LLM) for _ in range(in_flight)]
    builder = RunBuilder(plan).samples(samples)
    for source in sources:
        builder.readings(source)
    return builder.analyze(folder)


def measured(folder: Path, metric: str, *sources: list[Reading], **more: Any) -> Measured:
    return analysis_of(folder, *sources, **more).phases[0].metrics[metric]


def test_the_queue_and_the_cache(tmp_path: Path) -> None:
    waiting = readings("server", "requests_waiting", [0, 4, 8] * 10)
    cache = readings("server", "kv_cache_share", [0.2] * 15 + [0.9] + [0.4] * 14)
    assert measured(tmp_path / "a", "queue_length_mean", waiting).value == 4
    assert measured(tmp_path / "b", "queue_length_max", waiting).value == 8
    assert measured(tmp_path / "c", "kv_cache_share_max", cache).value == 0.9
    found = measured(tmp_path / "d", "queue_length_max")
    assert (found.value, found.why) == (None, "there are no readings of the server's requests_waiting")


@pytest.mark.parametrize("metric", ["queue_length_mean", "queue_length_max", "in_flight_difference"])
def test_a_hole_is_no_zero(tmp_path: Path, metric: str) -> None:
    early = [
        *readings("server", "requests_waiting", [1] * 10),
        *readings("server", "requests_running", [1] * 10),
        *readings("server", "requests_waiting", [1] * 10, 20),
        *readings("server", "requests_running", [1] * 10, 20),
    ]
    found = measured(tmp_path, metric, early)
    assert found.value is None
    assert "hole of 11 s" in str(found.why)


def test_preemptions_count_from_the_last_reading_before_the_phase(tmp_path: Path) -> None:
    phases = [{"name": "first", "rate": 1, "duration": 10}, {"name": "sustained", "rate": 1, "duration": 20}]
    counted = readings("server", "preemptions", [0, 0, 3, 3, 3, 3, 3, 3, 3, 4.0] + [4.0] * 5 + [9.0] * 16, 0.5)
    found = analysis_of(tmp_path, counted, phases=phases)
    assert [phase.metrics["preemptions"].value for phase in found.phases] == [4, 5]


def test_gpus_are_summed_in_memory_and_averaged_in_use(tmp_path: Path) -> None:
    gpus = [
        *readings("gpu", "memory_used_bytes", [10e9] * 29 + [12e9], worker="0"),
        *readings("gpu", "memory_used_bytes", [30e9] + [20e9] * 29, worker="1"),
        *readings("gpu", "utilisation_share", [0.9] * 30, worker="0"),
        *readings("gpu", "utilisation_share", [0.1] * 30, worker="1"),
    ]
    assert measured(tmp_path / "a", "gpu_memory_max_bytes", gpus).value == 42e9
    assert measured(tmp_path / "b", "gpu_utilisation_mean", gpus).value == pytest.approx(0.5)
    gone = [one for one in gpus if one.worker == "0" or one.t_s < 15]
    assert "hole" in str(measured(tmp_path / "c", "gpu_memory_max_bytes", gone).why)
    assert (
        measured(tmp_path / "d", "gpu_memory_max_bytes").why == "there are no readings of the gpu's memory_used_bytes"
    )


def test_above_the_reading_before_the_load(tmp_path: Path) -> None:
    memory = [*target("rss_bytes", [3e9, 2e9, 2e9], -3), *target("rss_bytes", [4e9] * 20 + [5e9] * 11)]
    cpu = [*target("cpu_cores", [0.5], -1), *target("cpu_cores", [2] * 10 + [4] * 11 + [3] * 10)]
    assert measured(tmp_path / "a", "memory_over_rest_bytes", memory).value == 3e9
    assert measured(tmp_path / "b", "cpu_cores_over_rest", cpu).value == pytest.approx(94 / 31 - 0.5)
    late = measured(tmp_path / "c", "memory_over_rest_bytes", target("rss_bytes", [4e9] * 31))
    assert (late.value, late.why) == (None, "there is no reading of the target's rss_bytes before the load")
    only_rest = measured(tmp_path / "d", "memory_over_rest_bytes", target("rss_bytes", [4e9], -1))
    assert only_rest.why == "there are no readings of the target's rss_bytes"


def test_scrapes_of_prometheus_may_lie_further_apart(tmp_path: Path) -> None:
    resources = {"prometheus": "http://127.0.0.1:9090", "preset": "process"}
    phases = [{"name": "sustained", "rate": 1, "duration": 120}]
    scraped = target("rss_bytes", [1e9, 2e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9], 1, 15)
    remote = {"host": "http://127.0.0.1:1", "resources": resources}
    assert measured(tmp_path / "a", "memory_max_bytes", scraped, phases=phases, target=remote).value == 2e9
    assert measured(tmp_path / "b", "memory_max_bytes", scraped, phases=phases).value is None
    missed = [one for one in scraped if one.t_s not in (31, 46)]
    assert "hole of 45 s" in str(measured(tmp_path / "c", "memory_max_bytes", missed, phases=phases, target=remote).why)


def test_in_flight_is_compared_at_the_servers_readings(tmp_path: Path) -> None:
    running, waiting = (
        readings("server", metric, [n] * 30) for metric, n in (("requests_running", 8), ("requests_waiting", 2))
    )
    alike = analysis_of(tmp_path / "a", running, waiting, in_flight=10)
    assert alike.phases[0].metrics["in_flight_difference"].value == 0
    assert not [note for note in alike.notes if "in flight" in note]
    queue = next(series for series in alike.timeline.in_flight if series.key == "server_in_flight")
    assert set(queue.values) == {10, None}

    hidden = analysis_of(tmp_path / "b", running, waiting, in_flight=42)
    assert hidden.phases[0].metrics["in_flight_difference"].value == 32
    assert [note for note in hidden.notes if "in flight" in note] == [
        "In sustained the load generator had 42.0 LLM requests in flight and the server counted 10.0: the others "
        "waited in front of it (a proxy's queue, a limit on connections) or never reached it."
    ]
    others = analysis_of(tmp_path / "c", running, waiting, in_flight=5)
    assert others.phases[0].metrics["in_flight_difference"].value == -5
    assert any("it serves somebody else too" in note for note in others.notes)


def test_a_difference_that_comes_and_goes_is_no_note(tmp_path: Path) -> None:
    running = readings("server", "requests_running", [40, 10, 40] * 10)
    found = analysis_of(tmp_path, running, in_flight=25)
    assert not [note for note in found.notes if "in flight" in note]


def test_the_server_and_each_gpu_have_charts_of_their_own(tmp_path: Path) -> None:
    found = analysis_of(
        tmp_path,
        readings("server", "requests_running", [8] * 30),
        readings("server", "requests_waiting", [2] * 30),
        readings("server", "kv_cache_share", [0.5] * 30),
        readings("server", "generation_tokens_per_s", [500] * 30),
        readings("gpu", "power_w", [300] * 30, worker="0"),
        readings("gpu", "power_w", [200] * 30, worker="1"),
        in_flight=10,
    )
    drawn = {chart.id: chart for chart in charts(found)}
    assert [series.label for series in drawn["chart-server-count"].series] == ["requests running", "requests waiting"]
    assert drawn["chart-server-ratio"].title == "Server: KV-cache in use"
    assert drawn["chart-server-tokens-per-s"].series[0].values[3] == 500
    assert [series.label for series in drawn["chart-gpu-W"].series] == ["power (GPU 0)", "power (GPU 1)"]
