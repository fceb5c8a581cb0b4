"""Where the parcels of the workers come together: in one run folder, each once, acknowledged when it is on disk."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import gevent
import gevent.queue
import pyarrow as pa

from execution.distributed.messages import Counts
from samples.channel import Inbox, Parcel, ParcelKind
from samples.columns import iterations
from samples.segments import READING_SCHEMA, SAMPLE_SCHEMA, SegmentWriter, unpack

_FILE = re.compile(r"answers-\d+\.json")
"""Files that a worker may put into the run folder."""
Digest = Callable[[pa.RecordBatch], None]


@dataclass(slots=True)
class Desk:
    """What has come of one worker."""

    samples: SegmentWriter
    readings: SegmentWriter
    inbox: Inbox = field(default_factory=Inbox)
    rows: int = 0
    """Samples on disk."""
    iterations: dict[str, dict[str, int]] = field(default_factory=dict)
    """Samples that stand for an arrival, by phase and scenario."""
    settled_s: float = 0.0
    counts: Counts | None = None
    """The worker's own, once its last parcel is here."""
    errors: list[str] = field(default_factory=list)


class Intake:
    """Takes parcels in, one after the other, and tells when one is on disk."""

    def __init__(self, folder: Path, digest: Digest, arrived: Callable[[str, Parcel, int], None]) -> None:
        """`digest` is told of every batch of samples, in a thread; `arrived` of each parcel and what is here by now."""
        self._folder, self._digest, self._arrived = folder, digest, arrived
        self.desks: dict[str, Desk] = {}
        self._queue: gevent.queue.Queue[tuple[str, Parcel]] = gevent.queue.Queue()
        self._greenlet = gevent.spawn(self._run)

    def desk(self, worker: str) -> Desk:
        """Return the desk of a worker; its files are made when it is first asked for."""
        if worker not in self.desks:
            self.desks[worker] = Desk(
                SegmentWriter(self._folder / f"samples-{worker}.arrow", SAMPLE_SCHEMA),
                SegmentWriter(self._folder / f"resources-generator-{worker}.arrow", READING_SCHEMA),
            )
        return self.desks[worker]

    def put(self, worker: str, parcel: Parcel) -> None:
        """Take a parcel; the disk is waited for elsewhere."""
        self._queue.put((worker, parcel))

    def notes(self, known: Sequence[str]) -> list[str]:
        """Return what workers noted and nobody knows, with their names unless all of them said it."""
        counts = {name: desk.counts for name, desk in self.desks.items() if desk.counts is not None}
        found = []
        for text in dict.fromkeys(text for one in counts.values() for text in one.notes if text not in known):
            names = [name for name, one in counts.items() if text in one.notes]
            found.append(text if len(names) == len(counts) else f"worker {', '.join(names)}: {text}")
        return found

    def left_over(self) -> list[str]:
        """Return the paths of what workers made on the server and did not remove, because the others went on."""
        return [path for desk in self.desks.values() if desk.counts is not None for path in desk.counts.left_over]

    def close(self) -> None:
        """Take no further parcel."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            worker, parcel = self._queue.get()
            desk = self.desk(worker)
            if parcel.number == desk.inbox.expected:
                error = gevent.get_hub().threadpool.apply(self._keep, (desk, parcel))
                if error is not None:  # it is not acknowledged, and comes again
                    if error not in desk.errors:
                        desk.errors.append(error)
                    continue
                desk.inbox.takes(parcel)
            self._arrived(worker, parcel, desk.inbox.expected)

    def _keep(self, desk: Desk, parcel: Parcel) -> str | None:
        try:
            if parcel.kind is ParcelKind.SAMPLES:
                self._keep_samples(desk, parcel)
            elif parcel.kind is ParcelKind.READINGS:
                desk.readings.write_packed(parcel.data)
            elif parcel.kind is ParcelKind.END:
                desk.counts = Counts(**json.loads(parcel.data))
            elif _FILE.fullmatch(parcel.name):
                (self._folder / parcel.name).write_bytes(parcel.data)
        except (OSError, ValueError, TypeError) as error:
            text = error.strerror if isinstance(error, OSError) else None
            return f"cannot keep {parcel.kind} of a worker: {text or error}"
        return None

    def _keep_samples(self, desk: Desk, parcel: Parcel) -> None:
        batch = unpack(parcel.data, SAMPLE_SCHEMA)
        desk.samples.write_packed(parcel.data)
        # It is on disk: from here on nothing may bring it once more.
        desk.rows += batch.num_rows
        desk.settled_s = parcel.settled_s
        for phase, scenario, count in iterations(batch):
            of_phase = desk.iterations.setdefault(phase, {})
            of_phase[scenario] = of_phase.get(scenario, 0) + count
        try:
            self._digest(batch)
        except (ValueError, LookupError) as error:
            desk.errors.append(f"cannot show samples: {error}")
