"""A replay has the times of its recording, in every process, beside phases that have a rate."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from plans.phases import Phase
from plans.run import scaled
from shapes.arrivals import schedule
from shapes.pacers import pacer_of
from tests.shapes.plans import phase, plan

TIMES = ["2023-11-16 18:15:46.6805900", "2023-11-16 18:15:46.6805901", "2023-11-16 18:15:48.1805900"] + [
    f"2023-11-16 18:15:55.{number:07d}" for number in range(1, 2_000_000, 199_999)
]


@pytest.fixture
def replay(tmp_path: Path) -> Phase:
    path = tmp_path / "azure.csv"
    rows = [f"{time},{number + 1},1" for number, time in enumerate(TIMES)]
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, ""]), encoding="utf-8")
    return phase("replay", "replay", duration=10, trace={"file": str(path), "format": "azure"})


def test_the_schedule_has_the_recorded_times(replay: Phase) -> None:
    whole = schedule(plan(phase("before", duration=3, rate=2), replay, phase("after", duration=2, rate=5)), seed=1)
    assert whole.firsts == (0, 6, 6 + len(TIMES))
    recorded = whole.times[whole.phases == 1] - 3
    assert np.round(recorded[:3] * 1e7).tolist() == [0, 1, 15_000_000]
    assert np.round(np.diff(recorded[3:]) * 1e7).tolist() == [199_999] * (len(TIMES) - 4)
    assert whole.times[whole.phases == 2] == pytest.approx(13 + (np.arange(10) + 0.5) / 5)
    assert whole.indices.tolist() == list(range(16 + len(TIMES)))
    assert (np.diff(whole.times) >= 0).all()


def test_phases_with_a_rate_are_the_same_around_a_replay(replay: Phase) -> None:
    before, after = phase("before", duration=3, rate=20), phase("after", duration=2, rate=50)
    with_replay = schedule(plan(before, replay, after, arrivals="poisson"), seed=4)
    without = schedule(plan(before, after, arrivals="poisson"), seed=4)
    assert with_replay.times[with_replay.phases == 0] == pytest.approx(without.times[without.phases == 0])
    assert with_replay.times[with_replay.phases == 2] - 10 == pytest.approx(without.times[without.phases == 1])


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_stripes_together_are_the_whole(replay: Phase, count: int) -> None:
    whole = schedule(plan(phase("before", duration=3, rate=2), replay), seed=1)
    stripes = [whole.stripe(number, count) for number in range(count)]
    together = sorted(itertools.chain(*(zip(s.indices, s.times, s.phases, strict=True) for s in stripes)))
    assert together == list(zip(whole.indices, whole.times, whole.phases, strict=True))
    assert {stripe.firsts for stripe in stripes} == {whole.firsts}


def test_speed_presses_the_times_together_and_a_rehearsal_cuts_them(replay: Phase) -> None:
    assert replay.trace is not None
    faster = replay.model_copy(update={"trace": replay.trace.model_copy(update={"speed": 4.0})})
    slow, fast = (schedule(plan(one), seed=1).times for one in (replay, faster))
    assert fast == pytest.approx(slow / 4)
    rehearsed = schedule(scaled(plan(replay), time_scale=0.2), seed=1).times
    assert rehearsed.tolist() == slow[:3].tolist()
    louder = schedule(scaled(plan(replay, phase("after", duration=2, rate=5)), rate_scale=3), seed=1)
    assert louder.times[louder.phases == 0].tolist() == slow.tolist()
    assert (louder.phases == 1).sum() == 30


def test_the_rate_of_a_replay_is_counted_around_the_moment(replay: Phase) -> None:
    pacer = pacer_of(replay)
    assert [pacer.rate(t) for t in (0.0, 1.5, 5.0, 8.4)] == [2, 1, 0, 11]
    assert pacer.expected(10) == len(TIMES)
