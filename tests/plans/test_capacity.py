"""What a plan asks of its generator, beside what this machine was calibrated for."""

from pathlib import Path
from typing import Any

import pytest

from plans.capacity import CALIBRATION_FILE, Calibration, asked, capacity
from plans.schema import Plan

MACHINE = {"name": "here", "processor": "p", "cpus": "2", "system": "Linux 1"}
VERSIONS = {"python": "3.11.7", "gevent": "26.9.0"}


def plan(**keys: Any) -> Plan:
    return Plan.model_validate(
        {
            "id": "TEST",
            "title": "a test",
            "mix": {"ReadOnlyUser": {}},
            "phases": [{"name": "up", "shape": "ramp", "rate": {"from": 1, "to": 200}, "duration": "10s"}],
        }
        | keys
    )


def calibration(**keys: Any) -> Calibration:
    values = {
        "taken_at": "2026-01-02T03:04:05+00:00",
        "requests_per_s": 1000,
        "events_per_s": 8000,
        "streams": 160,
        "requests_limited_by": "client",
        "events_limited_by": "ladder",
        "machine": MACHINE,
        "versions": VERSIONS,
    }
    return Calibration.model_validate(values | keys)


def test_requests_alone_are_a_share_of_the_requests(tmp_path: Path) -> None:
    calibration().save(tmp_path)
    found = capacity(plan(), tmp_path, MACHINE, VERSIONS)

    assert found.share == pytest.approx(0.2)
    assert "up to 20%" in found.sentence()
    assert "2026-01-02" in found.sentence()
    assert "1,000 simple requests/s" in found.sentence()


def test_streams_ask_for_events_by_their_share_and_tokens() -> None:
    mix = {"ReadOnlyUser": {"share": 3}, "ChatUser": {"share": 1, "streaming": 0.5, "max_tokens": 100}}
    assert asked(plan(mix=mix)) == pytest.approx((200, 200 * 0.25 * 0.5 * 100))


def test_requests_and_events_add_up_to_more_than_there_is(tmp_path: Path) -> None:
    calibration().save(tmp_path)
    found = capacity(plan(mix={"ChatUser": {"max_tokens": 40}}), tmp_path, MACHINE, VERSIONS)
    assert found.share == pytest.approx(0.2 + 1.0)


def test_the_highest_of_the_open_phases_counts() -> None:
    phases = [
        {"name": "a", "rate": 5, "duration": "1s"},
        {"name": "b", "shape": "spike", "rate": {"base": 1, "peak": 70}, "duration": "9s"},
        {"name": "c", "users": 900, "duration": "1s"},
    ]
    assert asked(plan(phases=phases)) == (70, 0)


def test_nothing_is_assumed_without_a_calibration(tmp_path: Path) -> None:
    found = capacity(plan(), tmp_path, MACHINE, VERSIONS)
    assert found.share is None
    assert found.sentence() == "unknown: this machine is not calibrated (make calibrate)"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"machine": MACHINE | {"name": "there"}}, "name there, and this is here"),
        ({"machine": MACHINE | {"cpus": "64"}}, "cpus 64, and this is 2"),
        ({"versions": VERSIONS | {"gevent": "25.1.0"}}, "gevent 25.1.0, and this is 26.9.0"),
        ({"versions": {"python": "3.11.7"}}, "gevent None, and this is 26.9.0"),
    ],
)
def test_a_foreign_calibration_is_told_and_not_used(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    calibration(**keys).save(tmp_path)
    found = capacity(plan(), tmp_path, MACHINE, VERSIONS)
    assert found.share is None
    assert words in found.sentence()


def test_another_kernel_is_still_the_same_machine(tmp_path: Path) -> None:
    calibration(machine=MACHINE | {"system": "Linux 2"}).save(tmp_path)
    assert capacity(plan(), tmp_path, MACHINE, VERSIONS).share is not None


@pytest.mark.parametrize("text", ["", "{", '{"requests_per_s": 5}', "[]"])
def test_a_file_that_is_no_calibration_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / CALIBRATION_FILE).write_text(text, encoding="utf-8")
    found = capacity(plan(), tmp_path, MACHINE, VERSIONS)
    assert found.share is None
    assert str(tmp_path / CALIBRATION_FILE) in found.sentence()


def test_closed_phases_have_no_share(tmp_path: Path) -> None:
    calibration().save(tmp_path)
    found = capacity(plan(phases=[{"name": "a", "users": 5, "duration": "1s"}]), tmp_path, MACHINE, VERSIONS)
    assert found.share is None
    assert "depends on the server" in found.sentence()
