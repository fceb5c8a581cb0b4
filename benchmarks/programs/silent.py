"""Proofload's locustfile with a recorder that only counts: neither records nor Locust's events."""

from locustfile import *  # noqa: F403 - the same users, shape and listeners
from samples.recorder import Recorder
from samples.sample import Sample


def _count(self: Recorder, sample: Sample, *, announced: bool = False) -> None:
    self.recorded += 1


Recorder.finish = _count  # type: ignore[method-assign]
