"""`answers-<worker>.json`: the worst answers of a process beside what was expected, and a fair sample of all of them.

Kept in memory, bounded, and written once at the end: a load generator has other things to do than to store texts.
"""

import heapq
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from random import Random

_JUDGE_FILE = "judge.json"
LONGEST = 2000
"""Signs of a text that are kept."""
_WORST, _SAMPLED = 20, 40


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """One question and its answer. `expected` says in words what a good answer has, or is the unloaded answer."""

    t_s: float
    phase: str
    scenario: str
    name: str
    prompt_id: str
    prompt: str
    answer: str
    expected: str
    quality: float | None = None
    similarity: float | None = None
    defect: str | None = None
    worker: str = "0"


class KeptAnswers:
    """Keeps the worst answers and a uniform sample of all (a reservoir); `offer` is cheap."""

    def __init__(self, worst: int = _WORST, sampled: int = _SAMPLED, seed: int = 1) -> None:
        self._most_worst, self._most_sampled = worst, sampled
        self._worst: list[tuple[float, int, KeptAnswer]] = []
        self._sampled: list[KeptAnswer] = []
        self._offered = count(1)
        self._random = Random(seed)

    def offer(self, worth: float, make: Callable[[], KeptAnswer]) -> None:
        """Take an answer into account: the lower its worth, 0 to 1, the worse. It is made only when it is kept."""
        number = next(self._offered)
        # The smallest of the heap is the best of the worst; of equally bad ones the earliest stay.
        rank = (-worth, -number)
        full = len(self._worst) >= self._most_worst
        is_bad = worth < 1.0 and not (full and rank < self._worst[0][:2])
        place = self._random.randrange(number) if number > self._most_sampled else number - 1
        if not is_bad and place >= self._most_sampled:
            return
        answer = make()
        if is_bad:
            (heapq.heappushpop if full else heapq.heappush)(self._worst, (*rank, answer))
        if place < self._most_sampled:
            self._sampled[place : place + 1] = [answer]

    def worst(self) -> list[KeptAnswer]:
        """Return the worst answers, the worst first."""
        return [answer for _, _, answer in sorted(self._worst, key=lambda entry: (-entry[0], -entry[1]))]

    def sample(self) -> list[KeptAnswer]:
        """Return the fair sample, in the order of time."""
        return sorted(self._sampled, key=lambda answer: answer.t_s)

    def write(self, folder: Path, worker: str, clean: Callable[[str], str]) -> None:
        """Write what was kept, without secrets; nothing when no answer was offered. Raises OSError."""
        if not self._sampled:
            return
        groups = {"worst": self.worst(), "sample": self.sample()}
        document = {name: [_plain(answer, worker, clean) for answer in answers] for name, answers in groups.items()}
        with (folder / f"answers-{worker}.json").open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, ensure_ascii=True)
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Graded:
    """A grade that the judge gave to a kept answer, 0 to 1, and why, in its own words."""

    prompt_id: str
    grade: float
    why: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """`judge.json`: what a judge made of a sample of the answers, after the run."""

    model: str
    host: str
    asked: int
    grades: list[Graded]
    problems: list[str]
    """What kept it from grading, in words, each once."""

    def write(self, folder: Path) -> None:
        """Write it into a run folder. Raises OSError."""
        (folder / _JUDGE_FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def read_judgement(folder: Path) -> Judgement | None:
    """Return the judgement of a run; None when there is none that can be read."""
    try:
        raw = json.loads((folder / _JUDGE_FILE).read_text(encoding="utf-8"))
        return Judgement(**raw | {"grades": [Graded(**grade) for grade in raw["grades"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _plain(answer: KeptAnswer, worker: str, clean: Callable[[str], str]) -> dict[str, str | float | None]:
    values = asdict(answer) | {"worker": worker}
    return {key: _cut(clean(value)) if isinstance(value, str) else value for key, value in values.items()}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def read_answers(folder: Path, group: str) -> list[KeptAnswer]:
    """Return the kept answers of all processes of a run, `worst` (the worst first) or `sample`.

    A file that is broken is left out.
    """
    found: list[KeptAnswer] = []
    for path in sorted(folder.glob("answers-*.json")):
        try:
            found += [KeptAnswer(**raw) for raw in json.loads(path.read_text(encoding="utf-8"))[group]]
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found
