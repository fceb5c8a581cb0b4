"""The journal of a run: a line per event, readable whatever happened to the process or the disk."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

from samples.journal import Event, EventKind, Journal, read_events

ROOT = Path(__file__).resolve().parents[2]

EVENTS = [
    Event(0.0, EventKind.PHASE, "phase ramp begins"),
    Event(1.5, EventKind.FAULT, "latency – 满\nsecond line", details={"ms": 200.0, "kind": "latency"}),
    Event(2.5, EventKind.WARNING, "slow", worker="3"),
    Event(3.0, EventKind.STOP, "Ctrl-C"),
]


def test_events_come_back_in_order_with_all_they_had(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for event in EVENTS:
        journal.add(event)
    assert read_events(tmp_path) == EVENTS
    assert journal.lost == 0
    assert len((tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()) == len(EVENTS)


def test_each_event_is_on_disk_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for count, event in enumerate(EVENTS, 1):
        journal.add(event)
        assert read_events(tmp_path) == EVENTS[:count]


def test_a_run_without_events_has_none(tmp_path: Path) -> None:
    assert read_events(tmp_path) == []


def test_a_last_line_cut_anywhere_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for event in EVENTS[:2]:
        journal.add(event)
    path = tmp_path / "events.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert read_events(tmp_path) == EVENTS[:1]


def test_lines_that_are_no_events_are_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add(EVENTS[0])
    with (tmp_path / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write('7\n"x"\n{}\n{"kind": "unheard of", "t_s": 1, "text": "x"}\n{"kind": "phase", "more": 1}\n')
    journal.add(EVENTS[1])
    assert read_events(tmp_path) == EVENTS[:2]


def test_a_folder_that_is_gone_loses_the_line_and_not_the_run(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gone")
    journal.add(EVENTS[0])
    journal.add(EVENTS[1])
    assert journal.lost == 2


def _fill_the_disk(folder: Path) -> None:
    journal, limits = Journal(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    journal.add(EVENTS[0])
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "events.jsonl").stat().st_size + 20, limits[1]))
    journal.add(EVENTS[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.add(EVENTS[2])
    journal.add(EVENTS[3])
    print(json.dumps(journal.lost))


def test_a_line_that_a_full_disk_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    # A process of its own, because the limit that plays the full disk is one of the process.
    call = f"_fill_the_disk(Path({str(tmp_path)!r}))"
    code = f"from pathlib import Path; from tests.samples.test_journal import _fill_the_disk; {call}"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "1", result.stderr
    assert read_events(tmp_path) == [EVENTS[0], *EVENTS[2:]]
