"""Durations, hosts, scaling, seeds, and the record of a run."""

import doctest
import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import plans.durations
import plans.hosts
import plans.loading
import plans.quantities
from plans.__main__ import FOLDER, plan_files
from plans.durations import format_duration, parse_duration
from plans.hosts import host_problem, narrowed
from plans.loading import load
from plans.run import RUN_FILE, Ending, PhaseRecord, ProcessRecord, RunRecord, derive_seed, scaled
from plans.schema import Criterion, Plan, Severity, loopback
from plans.target import Target


def test_examples_in_the_docstrings_hold() -> None:
    for module in (plans.durations, plans.hosts, plans.loading, plans.quantities):
        assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("4h", 14400),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("1m 15s", 75),
        (" 2s ", 2),
        ("1.5m", 90),
        ("12", 12),
        (12, 12),
        (0.5, 0.5),
    ],
)
def test_durations_are_read_as_people_write_them(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5x", "5 minutes", "1h-3m", "--5", True, None, [5], {"s": 5}, "5sm"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 30s"):
        parse_duration(text)


def test_a_number_beyond_all_floats_is_infinite_and_no_crash() -> None:
    assert parse_duration(10**400) == math.inf


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (5, "5s"),
        (59.96, "1m"),
        (60, "1m"),
        (75.1, "1m15.1s"),
        (3600, "1h"),
        (3599.99, "1h"),
        (5400, "1h30m"),
        (14400, "4h"),
        (36.000000001, "36s"),
        (9.9996, "10s"),
    ],
)
def test_durations_are_shown_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, 1e6))
def test_a_shown_duration_reads_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=0.0501)


@pytest.mark.parametrize(
    "host",
    [
        "http://127.0.0.1",
        "http://127.9.9.9:80",
        "http://[::1]:8000",
        "https://localhost",
        "http://api",
        "http://db.internal",
        "http://x.localhost",
        "http://printer.local",
        "http://a.test:1/path",
        "http://API",
    ],
)
def test_load_may_go_to_loopback_and_private_names(host: str) -> None:
    assert host_problem(host, ()) is None


@pytest.mark.parametrize(
    "host",
    [
        "http://8.8.8.8",
        "http://10.0.0.1",
        "http://example.com",
        "http://localhost.example.com",
        "http://[2001:db8::1]",
        "http://134744072",
        "http://0x08080808",
        "http://0",
        "http://example.com.",
        "http://0.0.0.0",
        "http://1.1",
    ],
)
def test_load_goes_nowhere_else_by_default(host: str) -> None:
    assert "is not allowed" in str(host_problem(host, ()))


def test_a_machine_with_a_list_of_its_own_lets_through_what_both_lists_allow() -> None:
    lists = [(), ("*",), ("*.example.com",), ("api.example.com", "10.0.0.5"), ("10.0.0.*", "other.example.com")]
    for first, second in itertools.product(lists, lists):
        for name in ("api.example.com", "other.example.com", "10.0.0.5", "10.0.0.6", "8.8.8.8"):
            url = f"http://{name}"
            by_both = host_problem(url, first) is None and host_problem(url, second) is None
            assert (host_problem(url, narrowed(first, second)) is None) == by_both


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:80",
        "ftp://localhost",
        "localhost",
        "",
        "http://",
        "http://localhost:99999",
        "http://[::1",
        r"http://evil.com\.local",
        "http://a b/",
        "http://evil.com%00.local",
        "http://localhost?x=1",
        "http://localhost#x",
    ],
)
def test_what_is_no_plain_url_is_refused(host: str) -> None:
    assert str(host_problem(host, ("*",))).startswith("must")


def test_names_on_the_list_are_allowed_and_no_others() -> None:
    assert host_problem("https://API.example.com", ("*.Example.com",)) is None
    assert host_problem("https://example.org", ("*.example.com",)) is not None


def test_a_host_is_replaced_only_by_an_allowed_one() -> None:
    target = Target(allow=("*.example.com",))
    assert target.with_host("https://a.example.com").host == "https://a.example.com"
    assert target.with_host("https://b.org", ("b.org",)).allow == ("*.example.com", "b.org")
    with pytest.raises(ValidationError):
        target.with_host("https://b.org")


def test_loopback_is_this_machine() -> None:
    assert all(map(loopback, ("embedded", "http://127.0.0.1:1", "http://[::1]", "http://localhost")))
    assert not any(map(loopback, ("http://api", "http://127x", "https://example.com")))


def plan_of(**more: object) -> Plan:
    base: dict[str, object] = {
        "id": "S-1",
        "title": "scaling",
        "mix": {"ChatUser": {}},
        "phases": [
            {"name": "ramp", "shape": "ramp", "rate": {"from": 10, "to": 50}, "duration": "10m"},
            {"name": "spike", "shape": "spike", "rate": {"base": 5, "peak": 9}, "hold": "1m", "duration": "5m"},
            {"name": "users", "users": 8, "think": "2s", "duration": "1m"},
        ],
    }
    return Plan.model_validate(base | more)


def test_time_scale_shortens_durations_and_leaves_levels() -> None:
    fault = {"kind": "latency", "at": "2m", "duration": "1m", "params": {"ms": 2000}}
    plan = scaled(plan_of(faults=[fault, {"kind": "stall", "at": "1m"}]), time_scale=0.1)
    assert [phase.duration for phase in plan.phases] == pytest.approx([60, 30, 6])
    assert plan.phases[1].spike_times() == pytest.approx((3, 6, 3))
    assert [phase.load.highest() for phase in plan.phases] == [50, 9, 8]
    assert (plan.faults[0].at, plan.faults[0].duration) == pytest.approx((12, 6))
    assert (plan.faults[1].at, plan.faults[1].duration) == (6, None)
    assert plan.phases[2].think.max == 2


def test_rate_scale_changes_open_rates_and_the_limits_on_them() -> None:
    criteria: list[object] = [
        {"phase": "ramp", "metric": "throughput_rps", "at_least": 30},
        {"metric": "goodput_rps", "above": 20},
        {"phase": "users", "metric": "throughput_rps", "at_least": 4},
        {"phase": "ramp", "metric": "latency_p95_ms", "below": 500},
    ]
    plan = scaled(plan_of(criteria=criteria), rate_scale=2)
    assert (plan.phases[0].load.from_, plan.phases[0].load.to) == (20, 100)
    assert (plan.phases[1].load.base, plan.phases[1].load.peak) == (10, 18)
    assert plan.phases[2].load.value == 8
    assert [criterion.limit for criterion in plan.criteria] == [60, 40, 4, 500]
    assert [phase.duration for phase in plan.phases] == [600, 300, 60]


def test_a_trend_that_a_rehearsal_is_too_short_for_becomes_a_warning() -> None:
    criteria: list[object] = [
        {"phase": "ramp", "metric": "memory_leak", "is": False},
        {"metric": "memory_leak", "is": False},
        {"phase": "ramp", "metric": "latency_p95_ms", "below": 500},
    ]
    plan = plan_of(criteria=criteria)
    assert [c.severity for c in scaled(plan).criteria] == [Severity.FAIL] * 3
    assert [c.severity for c in scaled(plan, 0.08).criteria] == [Severity.WARN, Severity.FAIL, Severity.FAIL]


def test_a_plan_at_scale_one_is_itself() -> None:
    assert scaled(plan_of()) == plan_of()


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf])
def test_a_scale_must_be_positive(scale: float) -> None:
    with pytest.raises(ValueError, match="must be finite and > 0"):
        scaled(plan_of(), time_scale=scale)
    with pytest.raises(ValueError, match="must be finite and > 0"):
        scaled(plan_of(), rate_scale=scale)


def test_the_nominal_rate_is_the_one_held_longest() -> None:
    assert load(FOLDER / "quickstart.yaml", {}).nominal_rate == 50
    assert plan_of().nominal_rate == 50
    assert plan_of(phases=[{"name": "u", "users": 8, "duration": 5}]).nominal_rate is None


def record_of(plan: Plan) -> RunRecord:
    return RunRecord(
        id="2026-01-01-a",
        plan=plan,
        plan_file="plans/x.yaml",
        seed=7,
        time_scale=0.02,
        host="http://127.0.0.1:1",
        started_at="2026-01-01T00:00:00+00:00",
        clock_origin=12.5,
        wall_origin=1.7e9,
        ended_s=3.25,
        ending=Ending.COMPLETED,
        notes=["a note"],
        phases=[PhaseRecord(name="a", start_s=0, end_s=1, closed=False, reached=True, scheduled={"ChatUser": 3})],
        processes=[ProcessRecord(worker="0", pid=5, begun=3, recorded=3, written=3)],
        command=["locust"],
    )


@pytest.mark.parametrize("path", plan_files(FOLDER), ids=lambda path: path.stem)
def test_the_record_of_a_run_reads_back_as_it_was_written(tmp_path: Path, path: Path) -> None:
    record = record_of(scaled(load(path, {}), 0.02, 1.5))
    record.save(tmp_path)
    assert RunRecord.read(tmp_path) == record
    assert record.rehearsal
    text = (tmp_path / RUN_FILE).read_text(encoding="utf-8")
    assert "from_" not in text
    assert "is_" not in text
    assert [entry.name for entry in tmp_path.iterdir()] == [RUN_FILE]


def test_the_record_keeps_keys_that_are_words_of_python() -> None:
    plan = plan_of(criteria=[{"metric": "memory_leak", "is": False}])
    dumped = plan.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert dumped["phases"][0]["rate"] == {"from": 10, "to": 50}
    assert dumped["criteria"][0]["is"] is False
    assert Plan.model_validate(dumped) == plan


def test_a_record_that_cannot_be_read_is_an_error_of_one_kind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RunRecord.read(tmp_path)
    for text in ("", "{", "[]", '{"id": 5}'):
        (tmp_path / RUN_FILE).write_text(text)
        with pytest.raises(ValidationError):
            RunRecord.read(tmp_path)


def test_seeds_differ_by_name_and_stripe_and_stay_the_same() -> None:
    assert derive_seed(1, "arrivals") == derive_seed(1, "arrivals", 0) == 14002474757189494280
    seeds = {derive_seed(seed, name, stripe) for seed in (1, 2) for name in ("a", "b") for stripe in range(3)}
    assert len(seeds) == 12


@pytest.mark.parametrize(
    ("metric", "text", "value"),
    [
        ("memory_max_bytes", "90 GB", 90e9),
        ("memory_max_bytes", "512MiB", 512 * 1024**2),
        ("memory_max_bytes", "1.5 kB", 1500),
        ("memory_max_bytes", 90, 90),
        ("memory_max_bytes", "90", 90),
        ("cpu_cores_max", "8 cores", 8),
        ("cpu_cores_max", "1 core", 1),
    ],
)
def test_limits_in_bytes_and_cores_may_carry_their_unit(metric: str, text: str, value: float) -> None:
    assert Criterion.model_validate({"metric": metric, "at_most": text}).limit == value


@pytest.mark.parametrize(
    ("metric", "text", "allowed"),
    [
        ("memory_max_bytes", "90 gb", "must be a number, or one in B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
        ("cpu_cores_max", "8 GB", "must be a number, or one in cores, core"),
        ("latency_p95_ms", "2 s", "must be a number without a unit"),
        ("memory_max_bytes", "much", "valid number"),
    ],
)
def test_a_unit_that_does_not_fit_is_refused(metric: str, text: str, allowed: str) -> None:
    with pytest.raises(ValidationError, match=allowed):
        Criterion.model_validate({"metric": metric, "at_most": text})


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        (
            {"prometheus": "http://metrics.example.com/metrics"},
            r"\.prometheus is not allowed: add 'metrics.example.com'",
        ),
        ({"prometheus": "metrics"}, r"\.prometheus must be a URL such as .* or a path such as /metrics"),
        ({"prometheus": "http://me:s3cret@127.0.0.1/metrics"}, r"\.prometheus must not hold credentials"),
        ({"resources": {"preset": "process"}}, r"\.prometheus is missing: the URL of the Prometheus server"),
        ({"resources": {"preset": "page"}}, r"\.prometheus is missing: resources with preset page"),
        ({"resources": {"prometheus": "http://p:9090"}}, "must have exactly one of preset, queries"),
        (
            {"resources": {"prometheus": "http://p:9090", "preset": "process", "queries": {"cpu_cores": "1"}}},
            "must have exactly one of preset, queries",
        ),
        ({"resources": {"prometheus": "http://p:9090", "queries": {}}}, "must have memory_bytes, cpu_cores or both"),
        (
            {"resources": {"prometheus": "http://8.8.8.8", "preset": "process"}},
            r"\.resources\.prometheus is not allowed",
        ),
        (
            {"resources": {"prometheus": "http://p", "queries": {"cpu_cores": "1"}, "selector": "a"}},
            r"\.selector belongs to the presets",
        ),
    ],
)
def test_a_source_of_readings_that_cannot_be_is_refused(target: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        Target.model_validate(target)
    assert "s3cret" not in str(caught.value.errors()[0]["msg"])


def test_a_source_of_readings_may_be_where_load_may_go() -> None:
    target = Target.model_validate({"prometheus": "http://llm.example.com/metrics", "allow": ["*.example.com"]})
    assert target.prometheus == "http://llm.example.com/metrics"
    assert Target.model_validate({"prometheus": "/metrics"}).prometheus == "/metrics"


def test_a_record_with_headers_can_be_read_again() -> None:
    target = Target.model_validate({"headers": {"X-Api-Key": "s3cret"}})
    text = target.model_dump_json()
    assert "s3cret" not in text
    assert list(Target.model_validate_json(text).headers) == ["X-Api-Key"]
    assert target.with_host("http://127.0.0.1:1").headers["X-Api-Key"].get_secret_value() == "s3cret"
