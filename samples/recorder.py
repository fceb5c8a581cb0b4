"""The recorder: exactly one sample per attempt, whatever happens to it."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from samples.sample import Outcome, Sample

_LONGEST_ERROR = 300
SLICE = 500
"""Samples that are held before they are poured out: at a high rate they are so few that they stay in the CPU's cache,
and so many that what is done once for all of them costs little."""
Listener = Callable[[Sample], None]


class Failure(Exception):
    """Raised inside a measured block: the attempt failed, in this way and for this reason."""

    def __init__(self, outcome: Outcome, error: str, status: int | None = None) -> None:
        super().__init__(error)
        self.outcome, self.error, self.status = outcome, error, status


class Attempt:
    """A measured block. Whatever way the block is left, one sample is recorded.

    A `Failure` is recorded and swallowed. Any other exception is recorded and goes on: a bug in a scenario as
    `bad_content`, a kill (Locust stops users by one) as `cut`.
    """

    __slots__ = ("_recorder", "sample")

    def __init__(self, recorder: "Recorder", sample: Sample) -> None:
        self._recorder, self.sample = recorder, sample

    def __enter__(self) -> Self:
        self._recorder.begun += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        sample = self.sample
        if sample.done_s < 0:
            sample.done_s = self._recorder.clock()
        if error is None:
            self._recorder.finish(sample)
            return True
        if isinstance(error, Failure):
            sample.outcome, sample.error = error.outcome, error.error
            sample.status = error.status if error.status is not None else sample.status
        elif isinstance(error, Exception):
            sample.outcome = Outcome.BAD_CONTENT
            sample.error = f"the scenario failed: {type(error).__name__}: {error}"
        else:
            sample.outcome, sample.error = Outcome.CUT, "still in flight when the run ended"
        self._recorder.finish(sample)
        return isinstance(error, Failure)


NOT_DONE = -1.0
"""Value of `done_s` while an attempt is open; the recorder closes it with its clock."""


class Recorder:
    """Collects the samples of one process. `clock` gives seconds from the run's origin.

    `secrets` are texts that must not be kept: a careless server may send a token back in its error.
    """

    def __init__(self, worker: str, clock: Callable[[], float], secrets: tuple[str, ...] = ()) -> None:
        self.worker, self.clock, self._secrets = worker, clock, list(secrets)
        self.begun = 0
        self.recorded = 0
        self.listeners: list[Listener] = []
        self.announcers: list[Listener] = []
        """Told of the samples that Locust has not heard of by itself."""
        self.pour: Callable[[], None] | None = None
        """Called as soon as so many samples are held that they had better be taken."""
        self._batch: list[Sample] = []

    def measure(self, sample: Sample) -> Attempt:
        """Return the measured block for an attempt; its sample is filled in while the block runs."""
        return Attempt(self, sample)

    def add(self, sample: Sample) -> None:
        """Record an attempt that no block measured, such as a dropped arrival or a message that the server pushed."""
        self.begun += 1
        self.finish(sample)

    def finish(self, sample: Sample, *, announced: bool = False) -> None:
        """Record the end of an attempt whose begin was counted; `announced` when Locust's own event was its source."""
        sample.worker = self.worker
        if sample.error is not None:
            sample.error = _short(self.clean(sample.error))
        self.recorded += 1
        self._batch.append(sample)
        for listener in self.listeners:
            listener(sample)
        if not announced:
            for announcer in self.announcers:
                announcer(sample)
        if len(self._batch) >= SLICE and self.pour is not None:
            self.pour()

    def hide(self, secret: str) -> None:
        """Keep a text from every record from now on."""
        self._secrets.append(secret)

    def reveal(self, secret: str) -> None:
        """Let go of a text that was hidden and has become useless, once for every time it was hidden."""
        self._secrets.remove(secret)

    def clean(self, text: str) -> str:
        """Return the text without secrets. Cut it only then: a part of a secret would not be recognised."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text

    def take(self) -> list[Sample]:
        """Return the samples recorded since the last call, and forget them."""
        batch, self._batch = self._batch, []
        return batch


def _short(error: str) -> str:
    return error if len(error) <= _LONGEST_ERROR else error[: _LONGEST_ERROR - 1] + "…"
