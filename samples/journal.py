"""`events.jsonl`: what happened to the run itself, one line each, on disk at once."""

import json
import os
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class EventKind(StrEnum):
    """The kinds of lines in the journal."""

    PHASE = "phase"
    FAULT = "fault"
    WARNING = "warning"
    STOP = "stop"
    WORKER = "worker"
    """A worker came, left, was lost or came back."""


@dataclass(slots=True)
class Event:
    """One line: seconds from the run's origin, what it was, and a sentence for the reader of the report."""

    t_s: float
    kind: EventKind
    text: str
    worker: str = "0"
    details: dict[str, str | float] = field(default_factory=dict)


class Journal:
    """Appends events; a disk that refuses them loses the line and not the run."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.jsonl"
        self._cut = False
        self.lost = 0

    def add(self, event: Event) -> None:
        """Write one event to disk."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                # After a failure half a line may stand there; the next event must not be joined to it.
                file.write(("\n" if self._cut else "") + json.dumps(asdict(event)) + "\n")
                file.flush()
                os.fsync(file.fileno())
            self._cut = False
        except OSError:
            self._cut = True
            self.lost += 1


def read_events(folder: Path) -> list[Event]:
    """Return the events of a run; a line that a crash or a full disk cut is left out."""
    path = folder / "events.jsonl"
    events: list[Event] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            raw = json.loads(line)
            events.append(Event(**(raw | {"kind": EventKind(raw["kind"])})))
        except (ValueError, TypeError, KeyError):
            continue
    return events
