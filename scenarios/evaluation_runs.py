"""What the API users know of the server's evaluation runs, and what an answer about runs must have."""

import csv
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from clients.http import Response
from data import generators
from samples.recorder import Failure
from samples.sample import Outcome

_KNOWN_RUNS = 500
_PAYLOADS = 200
_SHAPE: dict[str, type | tuple[type, ...]] = {
    "id": (int, str),
    "name": str,
    "status": str,
    "template_name": str,
    "model_name": str,
    "metrics": dict,
}
"""What every run has, on whatever server."""

RunId = int | str
Fields = dict[str, Any]


class KnownRuns:
    """Runs that exist on the server, shared by the users of a class: later requests build on them."""

    def __init__(self, seed: int) -> None:
        self.ids: list[RunId] = []
        """Runs that can be looked at, whoever created them."""
        self.idle: deque[RunId] = deque()
        """Runs created here that nobody is changing: only these are updated."""
        self.created: dict[RunId, str] = {}
        """The runs that this load created, with their names; they are removed after it."""
        self.unanswered = 0
        """Creations without a usable answer: their runs may exist, and nobody knows their ids."""
        self._seen: set[RunId] = set()
        self.payloads = [(run, json.dumps(run).encode()) for run in generators.evaluation_runs(seed, _PAYLOADS)]

    def add(self, run_id: RunId) -> None:
        """Remember a run; of very many, the ones that were seen first are forgotten."""
        if run_id in self._seen:
            return
        self.ids.append(run_id)
        self._seen.add(run_id)
        if len(self.ids) > _KNOWN_RUNS:
            self._seen.remove(self.ids.pop(0))

    def add_created(self, run_id: RunId, name: str) -> None:
        """Remember a run of one's own."""
        self.add(run_id)
        self.created[run_id] = name
        self.idle.append(run_id)

    def remove_created(self, remove: Callable[[list[str], float], int], path: str, within: float) -> str | None:
        """Delete what was created, for `within` seconds at most; return what is left, in words, or None."""
        left = remove([f"{path}/{run_id}" for run_id in self.created], within)
        self.created.clear()
        said = [f"{left} runs that the load created could not be removed"] if left else []
        if self.unanswered:
            said.append(f"{self.unanswered} creations had no usable answer, and may have left a run each")
        return "; ".join(said) or None


def content(response: Response) -> Fields:
    """Return the JSON object of an answer. Raises Failure, as all the functions below."""
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        raise Failure(Outcome.BAD_CONTENT, "the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise Failure(Outcome.BAD_CONTENT, f"the answer must be an object, got {type(answer).__name__}")
    return answer


def a_run(fields: object, written: Fields | None = None) -> Fields:
    """Return a run as it came, which must have the form of one, and the values that were written."""
    if not isinstance(fields, dict):
        raise Failure(Outcome.BAD_CONTENT, "where a run was expected stands something else")
    for name, kind in _SHAPE.items():
        value = fields.get(name)
        expect(isinstance(value, kind) and not isinstance(value, bool), f"a run's {name} is missing or of a wrong type")
    expect(fields["status"] in generators.STATUS_SHARES, "a run has a status that there is not")
    for name, value in (written or {}).items():
        expect(fields.get(name) == value, f"the run's {name} is not what was written")
    return fields


def runs_in(response: Response, most: int) -> list[Fields]:
    """Return the runs of a list, of which there must be no more than asked for, and none twice."""
    items = content(response).get("items")
    if not isinstance(items, list):
        raise Failure(Outcome.BAD_CONTENT, "the answer has no list of items")
    expect(len(items) <= most, f"the list has {len(items)} items where {most} were asked for")
    runs = [a_run(item) for item in items]
    expect(len({run["id"] for run in runs}) == len(runs), "the list has a run twice")
    return runs


def compared(response: Response, pair: list[RunId]) -> None:
    """Check a comparison: it is about these two runs, and has their metrics."""
    answer = content(response)
    runs = answer.get("runs")
    expect(isinstance(runs, dict), "the comparison has no runs")
    assert isinstance(runs, dict)
    expect([a_run(runs.get(key))["id"] for key in ("a", "b")] == pair, "the comparison is about other runs")
    metrics = answer.get("metrics")
    expect(isinstance(metrics, dict) and bool(metrics), "the comparison has no metrics")


def exported(response: Response) -> None:
    """Check an export: CSV with a header, and rows of the same width."""
    try:
        rows = list(csv.reader(response.body.decode().splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error):
        rows = []
    widths = {len(row) for row in rows}
    expect(len(rows) > 1 and len(widths) == 1 and widths != {1}, "the export is not CSV with a header and rows")


def expect(holds: bool, otherwise: str) -> None:
    """Fail the attempt with these words unless something holds."""
    if not holds:
        raise Failure(Outcome.BAD_CONTENT, otherwise)
