"""Whatever way an attempt ends, there is exactly one sample of it, and it says how."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest

from samples.recorder import NOT_DONE, Failure, Recorder
from samples.sample import Outcome, Sample
from tests.samples.records import bare


class Clock:
    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(clock: Clock) -> Iterator[Recorder]:
    one = Recorder("2", clock)
    yield one
    assert one.begun == one.recorded


def opened() -> Sample:
    return bare(done_s=NOT_DONE)


def only(recorder: Recorder) -> Sample:
    samples = recorder.take()
    assert len(samples) == 1
    assert recorder.take() == []
    return samples[0]


def test_an_attempt_that_ends_well_is_ok_and_closed_by_the_clock(recorder: Recorder, clock: Clock) -> None:
    with recorder.measure(opened()) as attempt:
        attempt.sample.status = 200
        clock.now = 6.5
    sample = only(recorder)
    assert (sample.outcome, sample.status, sample.done_s, sample.error) == (Outcome.OK, 200, 6.5, None)
    assert sample.worker == "2"


def test_an_attempt_that_closed_itself_keeps_its_time(recorder: Recorder, clock: Clock) -> None:
    with recorder.measure(opened()) as attempt:
        attempt.sample.done_s = 5.25
        clock.now = 9
    assert only(recorder).done_s == 5.25


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
def test_a_failure_is_recorded_as_what_it_is_and_goes_no_further(recorder: Recorder, outcome: Outcome) -> None:
    reached = False
    with recorder.measure(opened()) as attempt:
        attempt.sample.status = 200
        raise Failure(outcome, "this was wrong")
    reached = True
    sample = only(recorder)
    assert reached
    assert (sample.outcome, sample.error, sample.status, sample.done_s) == (outcome, "this was wrong", 200, 5.0)


def test_a_failure_may_bring_its_status(recorder: Recorder) -> None:
    with recorder.measure(opened()):
        raise Failure(Outcome.HTTP_ERROR, "HTTP 503", 503)
    assert only(recorder).status == 503


def test_a_bug_in_a_scenario_is_recorded_and_goes_on(recorder: Recorder) -> None:
    with pytest.raises(ZeroDivisionError), recorder.measure(opened()):
        _ = 1 / 0
    sample = only(recorder)
    assert sample.outcome is Outcome.BAD_CONTENT
    assert sample.error == "the scenario failed: ZeroDivisionError: division by zero"
    assert sample.done_s == 5.0


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, gevent.GreenletExit, GeneratorExit])
def test_what_ends_a_user_or_the_program_is_recorded_as_cut_and_goes_on(
    recorder: Recorder, kind: type[BaseException]
) -> None:
    with pytest.raises(kind), recorder.measure(opened()):
        raise kind
    sample = only(recorder)
    assert (sample.outcome, sample.done_s) == (Outcome.CUT, 5.0)
    assert sample.error


def test_a_user_killed_in_flight_leaves_one_sample(recorder: Recorder, clock: Clock) -> None:
    def user() -> None:
        with recorder.measure(opened()):
            gevent.sleep(10)

    users = [gevent.spawn(user) for _ in range(3)]
    gevent.sleep(0)
    assert recorder.begun == 3
    assert recorder.recorded == 0
    clock.now = 7.0
    gevent.killall(users)
    samples = recorder.take()
    assert [(sample.outcome, sample.done_s) for sample in samples] == [(Outcome.CUT, 7.0)] * 3


def test_a_user_killed_before_its_attempt_began_leaves_none(recorder: Recorder) -> None:
    def user() -> None:
        attempt = recorder.measure(opened())
        gevent.sleep(10)
        with attempt:
            pass

    one = gevent.spawn(user)
    gevent.sleep(0)
    one.kill()
    assert recorder.take() == []


def test_an_attempt_inside_another_has_its_own_sample(recorder: Recorder) -> None:
    with recorder.measure(bare(name="outer")):
        with recorder.measure(bare(name="inner")):
            raise Failure(Outcome.TIMEOUT, "late")
        raise Failure(Outcome.BAD_CONTENT, "nothing to work on")
    assert [(sample.name, sample.outcome) for sample in recorder.take()] == [
        ("inner", Outcome.TIMEOUT),
        ("outer", Outcome.BAD_CONTENT),
    ]


def test_listeners_hear_every_sample_once_and_closed(recorder: Recorder) -> None:
    heard: list[tuple[Outcome, float]] = []
    recorder.listeners.append(lambda sample: heard.append((sample.outcome, sample.done_s)))
    with recorder.measure(opened()):
        pass
    with recorder.measure(opened()):
        raise Failure(Outcome.TIMEOUT, "late")
    assert heard == [(Outcome.OK, 5.0), (Outcome.TIMEOUT, 5.0)]
    recorder.take()


def test_what_a_server_says_is_kept_without_secrets_and_cut_only_then() -> None:
    secret = "canary-7f3a-" + "s" * 40
    careful = Recorder("0", lambda: 5.0, secrets=(secret,))
    for length in range(200, 400):
        for said in ("x" * length + secret, secret + "x" * length + secret):
            with careful.measure(opened()):
                raise Failure(Outcome.HTTP_ERROR, said)
    errors = [str(sample.error) for sample in careful.take()]
    assert [error for error in errors if "canar" in error] == []
    assert max(map(len, errors)) == 300
    assert errors[0] == "x" * 200 + "[secret]"


def test_a_secret_that_comes_later_is_kept_out_too_until_it_is_let_go() -> None:
    careful = Recorder("0", lambda: 5.0, secrets=("first",))
    careful.hide("token")
    careful.hide("token")
    careful.reveal("token")
    assert careful.clean("first token") == "[secret] [secret]"
    careful.reveal("token")
    assert careful.clean("first token") == "[secret] token"


@pytest.mark.parametrize("leave", [lambda: None, lambda: 1 / 0])
def test_a_listener_that_fails_costs_no_sample(recorder: Recorder, leave: Callable[[], object]) -> None:
    def failing(_: Sample) -> None:
        raise RuntimeError("the console is gone")

    recorder.listeners.append(failing)
    with pytest.raises((RuntimeError, ZeroDivisionError)), recorder.measure(opened()):
        leave()
    only(recorder)
