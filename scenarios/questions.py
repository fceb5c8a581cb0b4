"""Which arrival asks what: the prompts of a scenario, ready before the load, the same ones for the same seed."""

from array import array
from dataclasses import replace
from pathlib import Path
from random import Random

from data import prompts
from data.prompts import Prompt, Prompts
from data.synthetic import Recorded, Synthetic
from data.text import CHARS_PER_TOKEN, Corpus, mixed
from data.traces.reading import AZURE, BURSTGPT, MOONCAKE
from plans.input_files import conversed, drawn
from plans.inputs import PromptSource
from plans.run import derive_seed
from scenarios.dispatcher import Arrival
from scenarios.recordings import Recordings
from scenarios.session import Session

_LLM_FORMATS = (MOONCAKE, AZURE, BURSTGPT)


class Questions:
    """The prompts of one scenario. An arrival of the schedule has its prompt, whoever carries it, and when."""

    def __init__(self, session: Session, scenario: str, source: PromptSource) -> None:
        """Read or make the prompts. Raises ValueError for what cannot be read."""
        self._seed = derive_seed(session.seed, f"questions of {scenario}")
        self._random = session.random(f"questions of {scenario}")
        self._recordings: Recordings | None = None
        self._outputs = drawn(source.output, Random(f"{self._seed}:outputs"))
        if source.source == "trace":
            self._recordings = Recordings(session, scenario, _LLM_FORMATS)
            corpus = self._corpus(source)
            self._rows = {id(trace): Recorded(corpus, trace) for trace in self._recordings.traces}
        else:
            self._prompts = self._made(source)

    def of(self, arrival: Arrival | None) -> Prompt:
        """Return the prompt of an arrival; one by chance for an iteration that is in no schedule."""
        if self._recordings is not None:
            trace, row = self._recordings.row_of(arrival)
            return self._rows[id(trace)][row]
        index = arrival.index if arrival is not None else None
        place = self._random.getrandbits(63) if index is None else mixed(index ^ self._seed)
        return self._prompts[place % len(self._prompts)]

    def _made(self, source: PromptSource) -> Prompts:
        if source.source == "synthetic":
            inputs = drawn(source.input, Random(f"{self._seed}:inputs"))
            assert inputs is not None  # held by the plan's schema
            shared = source.prefixes
            corpus = self._corpus(source)
            return Synthetic(
                corpus, inputs, self._outputs, shared.count if shared else 0, shared.length if shared else 0
            )
        found = conversed(source) if source.file is not None else prompts.load(source.source)
        return found if self._outputs is None else _WithLengths(found, self._outputs)

    def _corpus(self, source: PromptSource) -> Corpus:
        path = Path(source.tokenizer) if source.tokenizer else None
        return Corpus(self._seed, source.chars_per_token or CHARS_PER_TOKEN, path)


class _WithLengths:
    """Prompts with the lengths of their answers out of a distribution."""

    def __init__(self, found: Prompts, outputs: "array[int]") -> None:
        self._found, self._outputs = found, outputs

    def __len__(self) -> int:
        return len(self._found) << 20

    def __getitem__(self, place: int) -> Prompt:
        prompt = self._found[place % len(self._found)]
        return replace(prompt, output_tokens=self._outputs[mixed(place) % len(self._outputs)])
