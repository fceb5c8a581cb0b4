"""The server's own page: engines' names, counters, and a page that is slow, gone, or not what it should be."""

import itertools
import time
from collections.abc import Iterator

import pytest

from monitoring.aside import Aside, Seen
from monitoring.pages import Unreadable, fetch
from monitoring.prometheus import PageWatch, Rising
from samples.journal import read_events
from tests.monitoring import pages
from tests.monitoring.conftest import StartMonitor, wait_for
from tests.monitoring.pages import Page
from tests.target.process import Target

GAUGES = {
    "vllm": (pages.VLLM, {"requests_running": 8, "requests_waiting": 2, "kv_cache_share": 0.75, "preemptions": 0}),
    "llama.cpp": (pages.LLAMA_CPP, {"requests_running": 4, "requests_waiting": 9}),
    "sglang": (
        pages.SGLANG,
        {"requests_running": 161, "requests_waiting": 2826, "kv_cache_share": 0.28, "preemptions": 0},
    ),
    "tgi": (pages.TGI, {"requests_running": 16, "requests_waiting": 6}),
    "embedded": (pages.EMBEDDED, {"requests_running": 8, "requests_waiting": 1}),
}


class Source:
    """Hands out bodies one after the other, `step` seconds apart on its own clock."""

    def __init__(self, *bodies: str, step: float = 2.0) -> None:
        self.bodies, self.step, self.now = list(bodies), step, 0.0

    def get(self, url: str, token: str, timeout_s: float) -> bytes:
        self.now += self.step
        return self.bodies.pop(0).encode()

    def watch(self, *, process: bool = False) -> PageWatch:
        return PageWatch("http://h/metrics", process=process, get=self.get, clock=lambda: self.now)


def values(seen: list[Seen], source: str = "server") -> dict[str, float]:
    return {one.metric: one.value for one in seen if one.source == source}


@pytest.fixture
def page() -> Iterator[Page]:
    with pages.serving(Page(body=pages.VLLM)) as served:
        yield served


@pytest.mark.parametrize("engine", GAUGES)
def test_the_names_of_each_engine_are_known(engine: str) -> None:
    text, expected = GAUGES[engine]
    later = text.replace("1000", "1300").replace("1500", "2300").replace("1.5e+03", "2.3e+03")
    source = Source(text, later)
    watch = source.watch()
    assert values(watch.read()) == expected
    rates = {"prompt_tokens_per_s": 150, "generation_tokens_per_s": 400}
    assert values(watch.read()) == expected | rates


def test_a_counter_that_falls_began_again_at_zero_and_a_hole_is_bridged() -> None:
    counter = Rising()
    assert counter.add(100, 10) is None
    assert counter.add(130, 20) == 3
    assert counter.add(12, 24) == 3, "a restarted server has counted 12 since"
    assert counter.add(52, 44) == 2, "readings were missing in between"
    assert counter.total == 30 + 12 + 40


def test_preemptions_are_counted_from_the_first_reading_on() -> None:
    restarted = pages.VLLM.replace('num_preemptions_total{engine="0",model_name="m"} 7', "num_preemptions_total{} 2")
    more = pages.VLLM.replace('num_preemptions_total{engine="0",model_name="m"} 7', "num_preemptions_total{} 10")
    watch = Source(pages.VLLM, more, restarted).watch()
    assert [values(watch.read())["preemptions"] for _ in range(3)] == [0, 3, 5]


def test_the_process_behind_the_page_is_the_target_only_when_the_plan_says_so() -> None:
    later = pages.EMBEDDED.replace("12.5", "13.5")
    plain = Source(pages.EMBEDDED).watch()
    assert values(plain.read(), "target") == {}
    watch = Source(pages.EMBEDDED, later).watch(process=True)
    assert values(watch.read(), "target") == {"rss_bytes": 7.5e7}
    assert values(watch.read(), "target") == {"rss_bytes": 7.5e7, "cpu_cores": 0.5}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "no figure that is known"),
        ("# TYPE go_goroutines gauge\ngo_goroutines 5\n", "no figure that is known"),
        ("<html>vllm</html>", "no figure that is known"),
        ("vllm:num_requests_running{model_name= 5\n", "not Prometheus text"),
        ("vllm:num_requests_running five\n", "not Prometheus text"),
        ("vllm:num_requests_running NaN\n", "no figure that is known"),
    ],
)
def test_a_page_without_figures_says_so(body: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        Source(body).watch().read()


def test_nothing_but_a_whole_answer_of_200_in_time_is_taken(page: Page) -> None:
    assert fetch(page.url, "s3cret") == pages.VLLM.encode()
    assert page.asked == [("/metrics", "Bearer s3cret")]
    page.status, page.headers = 302, {"Location": "http://127.0.0.1:1/elsewhere"}
    with pytest.raises(Unreadable, match="HTTP 302"):
        fetch(page.url)
    page.status, page.headers, page.body = 400, {}, '{"error": "parse error at char 3"}'
    with pytest.raises(Unreadable, match="HTTP 400: parse error at char 3"):
        fetch(page.url)
    page.status, page.drip_s = 200, 0.05
    with pytest.raises(Unreadable, match=r"not complete within 0\.3 s"):
        fetch(page.url, timeout_s=0.3)
    with pytest.raises(Unreadable, match="refused"):
        fetch("http://127.0.0.1:1/metrics")


def test_an_outage_is_a_hole_and_is_told_once() -> None:
    class Flaky:
        ready = True

        def __str__(self) -> str:
            return "the page"

        def read(self) -> list[Seen]:
            if not self.ready:
                raise Unreadable("gone")
            return [Seen("server", "requests_waiting", 4.0, age_s=2.5)]

    now, notes, watch = [10.0], list[str](), Flaky()
    aside = Aside(watch, 1.0, lambda: now[0], notes.append)
    for ready in (True, False, False, True):
        watch.ready = ready
        aside.read_once()
        now[0] += 1
    assert [(reading.t_s, reading.value) for reading in aside.take()] == [(7.5, 4.0), (10.5, 4.0)]
    assert aside.take() == []
    assert notes == [
        "the page cannot be read: gone; its readings have a hole from here on",
        "the page can be read again, after 2.0 s",
    ]


@pytest.mark.alone
def test_a_page_that_hangs_delays_no_other_reading(monitor: StartMonitor, page: Page) -> None:
    page.hang.set()
    running = monitor("--host", "--page", page.url, interval=0.1)
    wait_for(lambda: running.now() > 2.0)
    running.stop()
    assert len(running.values("host", "load_1m")) >= 12
    assert running.values("server", "requests_running") == []


def test_a_page_that_comes_and_goes_leaves_a_hole(monitor: StartMonitor, page: Page) -> None:
    running = monitor("--page", page.url, interval=0.1)
    wait_for(lambda: len(page.asked) >= 3)
    page.status = 503
    gone = len(page.asked)
    wait_for(lambda: len(page.asked) >= gone + 4)
    page.status = 200
    back = len(page.asked)
    wait_for(lambda: len(page.asked) >= back + 3)
    running.stop()
    texts = [event.text for event in read_events(running.folder)]
    assert [("HTTP 503" in text, "can be read again" in text) for text in texts] == [(True, False), (False, True)]
    assert 4 <= len(running.values("server", "requests_running")) <= len(page.asked) - 2


def test_the_embedded_platforms_page_agrees_with_what_it_does(monitor: StartMonitor) -> None:
    target = Target("--seed-runs", "5")
    try:
        running = monitor("--page", f"{target.url}/metrics", interval=0.1)
        wait_for(lambda: time.monotonic() - running.origin > 0.5)
        before = target.metric("engine_generation_tokens_total")
        target.chat("go on", max_tokens=60, ignore_eos=True)
        time.sleep(0.4)
        running.stop()
        made = target.metric("engine_generation_tokens_total") - before
    finally:
        target.stop()
    at_work, waiting = running.values("server", "requests_running"), running.values("server", "requests_waiting")
    assert max(at_work) == 1
    # It may be seen on its way from the queue to the engine, in one of them.
    assert max(map(sum, zip(at_work, waiting, strict=True))) == 1
    rates = [r for r in running.readings() if r["metric"] == "generation_tokens_per_s"]
    running_at = [float(str(r["t_s"])) for r in running.readings() if r["metric"] == "requests_running"]
    steps = dict(zip(running_at[1:], (b - a for a, b in itertools.pairwise(running_at)), strict=True))
    counted = sum(float(str(rate["value"])) * steps[float(str(rate["t_s"]))] for rate in rates)
    assert counted == pytest.approx(made, rel=0.05)
    assert made >= 60
