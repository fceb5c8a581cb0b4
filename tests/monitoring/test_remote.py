"""CPU and memory from a real Prometheus server, its answers that are none, and GPUs that are not there."""

import itertools
import json
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from monitoring.gpu import GpuWatch
from monitoring.pages import Unreadable
from monitoring.remote import Quantity, RemoteWatch, quantities
from samples.segments import READING_SCHEMA, read_table, reading_files
from tests import services
from tests.monitoring.conftest import StartMonitor, wait_for
from tests.target.process import Target


def test_a_real_prometheus_gives_the_servers_memory_and_cpu(monitor: StartMonitor, tmp_path: Path) -> None:
    target = Target("--seed-runs", "5")
    try:
        with services.prometheus(tmp_path, f"127.0.0.1:{target.port}") as url:
            running = monitor(
                *("--prometheus", url, "--preset", "process", "--selector", 'job="watched"', "--scraped-every", 1),
                interval=0.2,
            )
            wait_for(lambda: len(running_values(running.folder)) >= 2, patience_s=30)
            time.sleep(2.5)
            running.stop()
            rss = psutil.Process(target.process.pid).memory_info().rss
    finally:
        target.stop()
    memory = [r for r in running.readings() if r["metric"] == "rss_bytes"]
    assert all(float(str(r["value"])) == pytest.approx(rss, rel=0.1) for r in memory)
    times = [float(str(r["t_s"])) for r in memory]
    # One reading per scrape of Prometheus, however often it is asked.
    assert all(0.7 < b - a < 4 for a, b in itertools.pairwise(times)), times
    assert all(0 <= cores < 1 for cores in running.values("target", "cpu_cores"))
    assert running.values("target", "cpu_cores")


def running_values(folder: Path) -> list[object]:
    rows = read_table(reading_files(folder), READING_SCHEMA).to_pylist()
    return [row for row in rows if row["metric"] == "cpu_cores"]


def test_a_query_of_ones_own_is_evaluated_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    with services.prometheus(tmp_path) as url:
        assert RemoteWatch(url, Quantity("rss_bytes", "vector(90e9)")).read()[0].value == 90e9
        assert RemoteWatch(url + "/", Quantity("cpu_cores", "scalar(vector(2))")).read()[0].value == 2
        for expression, why in (
            ("no_such_series", "gives no series"),
            ("vector(1) or label_replace(vector(2), 'a', 'b', '', '')", r"gives 2 series \(take their sum"),
            ("sum(", "HTTP 400: .*parse error"),
            ("vector(0) / 0", "gives nan"),
        ):
            with pytest.raises(Unreadable, match=why):
                RemoteWatch(url, Quantity("cpu_cores", expression)).read()


class Answers:
    """A Prometheus server's answers: `series` is (time of the sample, value), evaluated at `now`."""

    def __init__(self) -> None:
        self.now, self.series = 1000.0, (990.0, 5e9)

    def get(self, url: str, token: str, timeout_s: float) -> bytes:
        query = parse_qs(urlsplit(url).query)["query"][0]
        value = self.series[0] if query.startswith("max(timestamp(") else self.series[1]
        result = [{"metric": {}, "value": [self.now, str(value)]}]
        return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def test_a_sample_is_counted_once_and_stands_where_it_was_scraped() -> None:
    answers = Answers()
    watch = RemoteWatch("http://p", quantities("cadvisor", 'pod="x"', 15)[0], get=answers.get)
    assert [(seen.value, seen.age_s) for seen in watch.read()] == [(5e9, 10.0)]
    answers.now = 1004.0
    assert watch.read() == []
    answers.series = (1005.0, 6e9)
    answers.now = 1006.0
    assert [(seen.value, seen.age_s) for seen in watch.read()] == [(6e9, 1.0)]


@pytest.mark.parametrize(
    ("preset", "memory", "cpu"),
    [
        (
            "process",
            'sum(process_resident_memory_bytes{job="x"})',
            'sum(rate(process_cpu_seconds_total{job="x"}[60s]))',
        ),
        (
            "cadvisor",
            'sum(container_memory_working_set_bytes{image!="",job="x"})',
            'sum(rate(container_cpu_usage_seconds_total{image!="",job="x"}[60s]))',
        ),
        (
            "node_exporter",
            'sum(node_memory_MemTotal_bytes{job="x"} - node_memory_MemAvailable_bytes{job="x"})',
            'sum(rate(node_cpu_seconds_total{mode!~"idle|iowait|steal",job="x"}[60s]))',
        ),
    ],
)
def test_the_presets_ask_for_what_exporters_export(preset: str, memory: str, cpu: str) -> None:
    assert [one.expression for one in quantities(preset, 'job="x"', 15)] == [memory, cpu]


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"status": "success"}', b'{"data": {"result": 3}}'])
def test_what_is_no_prometheus_server_is_told(answer: bytes) -> None:
    with pytest.raises(Unreadable, match="no answer of a Prometheus server to up"):
        RemoteWatch("http://p", Quantity("rss_bytes", "up"), get=lambda *_: answer).read()


def test_without_a_gpu_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(Unreadable, match="no GPU is watched: the package nvidia-ml-py is not installed"):
        GpuWatch()


def test_the_monitor_goes_on_without_a_gpu(monitor: StartMonitor) -> None:
    running = monitor("--host", "--gpu")
    if running.ready["missing"] == []:
        pytest.skip("this machine has a GPU")
    assert str(running.ready["missing"]).startswith("['no GPU is watched: ")
    running.stop()
    assert running.values("host", "load_1m")
    assert running.values("gpu", "power_w") == []
