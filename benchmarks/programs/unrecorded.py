"""Proofload's locustfile with a recorder that only fires Locust's events: what is missing is the cost of records."""

from locustfile import *  # noqa: F403 - the same users, shape and listeners
from samples.recorder import Recorder
from samples.sample import Sample


def _announce(self: Recorder, sample: Sample, *, announced: bool = False) -> None:
    self.recorded += 1
    for announcer in self.announcers:
        announcer(sample)


Recorder.finish = _announce  # type: ignore[method-assign]
