"""Who makes which arrivals when workers come, go and are lost."""

import numpy as np
import pytest

from execution.distributed.clocks import Comparison
from execution.distributed.losses import beyond, missing, total
from execution.distributed.roster import LEASE_S, MISSED_S, Order, Roster
from shapes.arrivals import Schedule, schedule
from shapes.stripes import counted
from tests.shapes.plans import plan

SECOND = [{"name": "a", "rate": 50, "duration": "20s"}, {"name": "b", "rate": 50, "duration": "20s"}]


class Run:
    """A roster whose workers are heard of twice a second, unless they are silent."""

    def __init__(self, *names: str) -> None:
        self.schedule: Schedule = schedule(plan(phases=SECOND), seed=1)
        self.roster, self.now, self.silent = Roster(self.schedule.spans), -1.0, set[str]()
        self.orders: list[Order] = []
        for name in names:
            self.roster.admit(name, self.now)
        self.orders += self.roster.divide(self.now)

    def until(self, moment: float) -> None:
        while self.now < moment:
            self.now += 0.1
            for name, member in self.roster.members.items():
                if name not in self.silent and not member.ended:
                    self.orders += self.roster.heard(name, member.lapses, self.now)[1]
            for member in self.roster.missing(self.now):
                self.orders += self.roster.lose(member, self.now)
            self.orders += self.roster.divide(self.now)

    def owners(self) -> list[list[str]]:
        """Return who was to make each arrival of the schedule."""
        owners: list[list[str]] = [[] for _ in range(len(self.schedule))]
        for member in self.roster.members.values():
            for part in member.parts:
                for index in part.of(self.schedule).indices.tolist():
                    owners[index].append(member.name)
        return owners


def test_every_arrival_has_one_owner_and_each_worker_the_same_share() -> None:
    run = Run("0", "1", "2", "3")
    run.until(40)
    owners = run.owners()
    assert all(len(names) == 1 for names in owners)
    assert np.unique(owners, return_counts=True)[1].tolist() == [500] * 4


def test_a_silent_worker_is_given_up_within_five_seconds_and_its_arrivals_pass_on_after_its_lease() -> None:
    run = Run("0", "1", "2")
    run.until(5)
    run.silent.add("1")
    run.until(40)
    lost = run.roster.members["1"]
    assert lost.away[0].from_s == pytest.approx(5, abs=0.15)
    assert MISSED_S < 5
    assert lost.gone_s > lost.lease_s == pytest.approx(5 + LEASE_S, abs=0.15)
    owners = run.owners()
    assert all(len(names) == 1 for names in owners), "none is made twice, none left to nobody"
    after = [names[0] for names, due in zip(owners, run.schedule.times, strict=True) if due >= lost.gone_s]
    assert "1" not in after
    assert abs(after.count("0") - after.count("2")) <= 2


def test_no_lease_is_given_before_others_have_taken_over_and_the_worker_has_load_from_the_next_phase_on() -> None:
    run = Run("0", "1")
    run.until(5)
    run.silent.add("1")
    run.until(5 + MISSED_S + 0.3)
    member = run.roster.members["1"]
    assert not member.present
    assert run.roster.heard("1", 0, run.now) == (None, [])
    run.silent.clear()
    run.until(40)
    owned = zip(run.owners(), run.schedule.times, strict=True)
    dues = [due for names, due in owned if names == ["1"]]
    assert not [due for due in dues if member.gone_s <= due < 20]
    assert len([due for due in dues if due >= 20]) == 500
    assert member.away[0].until_s is not None


def test_a_worker_whose_lease_ran_out_unnoticed_shares_what_it_gave_up() -> None:
    run = Run("0", "1")
    run.until(5)
    lease, orders = run.roster.heard("1", 1, run.now)
    assert lease is not None
    assert [order.name for order in orders] == ["0", "1"]
    run.roster.members["1"].lapses = 1
    run.until(40)
    assert all(len(names) == 1 for names in run.owners())


def test_what_was_due_while_nobody_was_there_is_lost_and_the_first_to_come_back_has_the_rest() -> None:
    run = Run("0")
    run.until(5)
    run.silent.add("0")
    run.until(15)
    run.silent.clear()
    run.until(40)
    made = counted([part.ended(5.0) for part in run.roster.members["0"].parts], run.schedule)
    assert all(len(names) == 1 for names in run.owners())
    back = run.roster.members["0"].away[0].until_s
    assert back == pytest.approx(15, abs=0.2)
    assert sum(made["a"].values()) == 250


def test_late_workers_have_load_from_the_next_phase_on_and_those_that_leave_none_from_then_on() -> None:
    run = Run("0")
    run.until(5)
    run.roster.admit("late", run.now)
    run.until(25)
    run.orders += run.roster.end(run.roster.members["0"], 24.0, run.now)
    run.until(40)
    owners = run.owners()
    first = {names[0] for names, due in zip(owners, run.schedule.times, strict=True) if due < 20}
    assert first == {"0"}
    assert {tuple(names) for names, due in zip(owners, run.schedule.times, strict=True) if due > 25.5} == {("late",)}
    left = run.roster.members["0"]
    left.stopped_s = 24.0
    made = counted([part.ended(24.0) for part in left.parts], run.schedule)
    gap = [due for names, due in zip(owners, run.schedule.times, strict=True) if names == ["0"] and due >= 24.0]
    assert gap, "between its word and the order to the other nobody makes its arrivals"
    (lost,) = missing(left, made, run.schedule, float("inf"))["b"].values()
    assert lost == len(gap)


def test_a_worker_that_gives_notice_hands_on_what_is_due_after_it_and_nothing_is_lost() -> None:
    run = Run("0", "1", "2")
    run.until(5)
    leaving = run.roster.members["1"]
    orders = run.roster.leave(leaving, 6.0, run.now)
    assert [(order.name, order.seat.from_s) for order in orders] == [("0", 6.0), ("2", 6.0)]
    assert run.roster.leave(leaving, 6.0, run.now) == [], "twice is as once"
    run.until(22)
    assert leaving in run.roster.present, "it is waited for"
    assert run.roster.end(leaving, 6.0, run.now) == []
    leaving.stopped_s = 6.0
    run.until(40)
    owners = run.owners()
    assert all(len(names) == 1 for names in owners)
    dues = [due for names, due in zip(owners, run.schedule.times, strict=True) if names == ["1"]]
    assert 5.5 < max(dues) < 6.0
    assert missing(leaving, counted(leaving.parts, run.schedule), run.schedule, float("inf")) == {}
    assert leaving.away == []


def test_a_notice_that_comes_late_costs_what_was_due_until_others_could_take_over() -> None:
    run = Run("0", "1")
    run.until(5)
    (order,) = run.roster.leave(run.roster.members["1"], 4.0, run.now)
    assert order.seat.from_s > run.now
    run.until(40)
    assert all(len(names) == 1 for names in run.owners())


def test_when_all_leave_the_rest_waits_for_somebody_who_comes() -> None:
    run = Run("0", "1")
    run.until(5)
    for name in ("0", "1"):
        run.roster.leave(run.roster.members[name], 6.0, run.now)
    run.until(12)  # both drain, and are heard of
    for name in ("0", "1"):
        run.orders += run.roster.end(run.roster.members[name], 6.0, run.now)
    run.roster.admit("late", run.now)
    run.until(40)
    owners = run.owners()
    assert all(len(names) == 1 for names in owners)
    first = {names[0] for names, due in zip(owners, run.schedule.times, strict=True) if due > 13}
    assert first == {"late"}


def test_arrivals_without_a_sample_are_counted_by_phase_and_scenario() -> None:
    run = Run("0", "1")
    run.until(40)
    member = run.roster.members["1"]
    owned = counted(member.parts, run.schedule)
    ((scenario, count),) = owned["a"].items()
    made = {"a": {scenario: count - 7}, "b": owned["b"]}
    assert missing(member, made, run.schedule, float("inf")) == {"a": {scenario: 7}}
    assert beyond(member, owned, run.schedule) == 0
    assert beyond(member, total([owned, {"b": {scenario: 2}}]), run.schedule) == 2
    assert total([made, {"a": {scenario: 7}}]) == owned


def test_the_quickest_round_trip_tells_how_far_clocks_are_apart() -> None:
    clocks = Comparison()
    for asked, there, back in ((0.0, 0.5, 0.1), (1.0, 0.001, 0.002), (2.0, 0.3, 0.2)):
        clocks.take(asked, 100.0 + asked + there, asked + there + back)
    assert clocks.uncertainty_s == pytest.approx(0.0015)
    assert abs(clocks.offset_s - 100.0) <= clocks.uncertainty_s
