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
        self.lost = 0

    def add(self, event: Event) -> None:
        """Write one event to disk."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(event)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.lost += 1


def read_events(folder: Path) -> list[Event]:
    """Return the events of a run; a last line that was cut by a crash is left out."""
    path = folder / "events.jsonl"
    events: list[Event] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            raw = json.loads(line)
        except ValueError:
            continue
        events.append(Event(**(raw | {"kind": EventKind(raw["kind"])})))
    return events
