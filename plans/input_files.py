"""The files that a plan's inputs name: where they are, whether they can be used, and how long a recording is."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from os.path import normpath
from pathlib import Path
from random import Random
from typing import Any

from pydantic import ValidationError

from data import conversations, openapi
from data.lengths import DRAWN, LengthError, draw, resample
from data.prompts import Prompt, PromptError
from data.traces.reading import ACCESS_LOG, replay
from data.traces.trace import Part, TraceError
from plans.inputs import Lengths, PromptSource, Trace
from plans.mix import OpenApiMix
from plans.problems import Problem
from plans.schema import Plan

_FILE_KEYS = ("file", "spec", "tokenizer")


def recorded(trace: Trace) -> Part:
    """Return the part of a recording that a phase replays. Raises TraceError, or ValueError for the offset."""
    return replay(
        Path(trace.file),
        trace.format,
        offset=trace.offset,
        limit=trace.limit,
        speed=trace.speed,
        spread=trace.spread,
        methods=trace.methods,
    )


def peak_rate(trace: Trace) -> float:
    """Return the most arrivals of a replay within a second."""
    times, most, begin = recorded(trace).seconds, 0, 0
    for end, moment in enumerate(times):
        while times[begin] <= moment - 1:
            begin += 1
        most = max(most, end - begin + 1)
    return float(most)


def conversed(source: PromptSource) -> tuple[Prompt, ...]:
    """Return the prompts in a file of conversations, which is read once, until it changes. Raises PromptError."""
    path = Path(source.file or "")
    try:
        state = path.stat()
    except OSError as error:
        raise PromptError(f"{path}: cannot be read: {error.strerror}") from None
    return _conversed(path, source.source, source.turns == "all", (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=2)
def _conversed(path: Path, form: str, whole: bool, _state: tuple[int, int]) -> tuple[Prompt, ...]:
    return conversations.read(path, form, whole=whole)


def drawn(wanted: Lengths | None, random: Random, count: int = DRAWN) -> "array[int] | None":
    """Return lengths out of a distribution, None without one. Raises LengthError."""
    if wanted is None:
        return None
    if wanted.file is not None:
        return resample(random, Path(wanted.file), count=count)
    return draw(
        random,
        wanted.distribution,
        value=wanted.value,
        mean=wanted.mean,
        std=wanted.std,
        least=wanted.min,
        most=wanted.max,
        count=count,
    )


def with_files_placed(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what stands in a plan with the files of its mix and its traces relative to its folder."""
    result = dict(content)
    if isinstance(mix := content.get("mix"), dict):
        result["mix"] = _placed(mix, folder)
    for key in ("phases", "phases+"):
        if isinstance(phases := content.get(key), list):
            result[key] = [_placed(phase, folder) for phase in phases]
    return result


def _placed(value: Any, folder: Path) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: normpath(folder / below)
        if key in _FILE_KEYS and isinstance(below, str) and below[:2] not in ("", "${")
        else (below if key == "extra" else _placed(below, folder))  # a request's own keys are no files
        for key, below in value.items()
    }


def complete_replays(raw: object) -> list[Problem]:
    """Give phases that replay a recording its duration, where they have none; return what is wrong with the files."""
    problems: list[Problem] = []
    phases = raw.get("phases") if isinstance(raw, dict) else None
    for index, phase in enumerate(phases if isinstance(phases, list) else ()):
        if not isinstance(phase, dict) or not isinstance(phase.get("trace"), dict):
            continue
        field, length = f"phases[{index}].trace", 1.0
        try:
            length = recorded(Trace.model_validate(phase["trace"])).duration
        except ValidationError:
            pass  # the validation of the plan says so
        except TraceError as error:
            problems += [Problem("", f"{field}.file", line) for line in str(error).splitlines()]
        except ValueError as error:
            problems.append(Problem("", f"{field}.offset", str(error)))
        phase.setdefault("duration", length)
    return problems


def input_problems(plan: Plan) -> list[Problem]:
    """Return what is wrong with the inputs of a plan that is right by itself."""
    formats = {phase.trace.format for phase in plan.phases if phase.trace is not None}
    problems: list[Problem] = []
    if plan.mix.AccessLogUser is not None and ACCESS_LOG not in formats:
        problems.append(Problem("", "mix.AccessLogUser", "needs a phase that replays an access log, and there is none"))
    for field, source in _sources(plan):
        if source.source == "trace" and not formats - {ACCESS_LOG}:
            message = "must not be trace: no phase replays a recording of an LLM service"
            problems.append(Problem("", f"{field}.source", message))
        problems += _source_problems(field, source)
    if (api := plan.mix.OpenApiUser) is not None:
        problems += _api_problems(api)
    return problems


def _api_problems(options: OpenApiMix) -> list[Problem]:
    field = "mix.OpenApiUser"
    try:
        api = openapi.read(Path(options.spec))
    except openapi.OpenApiError as error:
        return [Problem("", f"{field}.spec", f"'{options.spec}' {error}")]
    known = ", ".join(operation.name for operation in api.operations)
    problems = [
        Problem("", f"{field}.{key}", f"'{pattern}' is no operation, operationId or tag; there are: {known}")
        for key in ("include", "exclude", "weights")
        for pattern in getattr(options, key)
        if not any(openapi.matches(operation.names, [pattern]) for operation in api.operations)
    ]
    weights = [options.weight(operation.names) for operation in api.chosen(options.include, options.exclude)]
    if not problems and not sum(weights):
        problems.append(Problem("", field, "must leave an operation of weight > 0"))
    return problems


def replay_notes(plan: Plan) -> list[str]:
    """Return what the reader of a report must know of the recordings that were replayed."""
    notes = []
    for phase in plan.phases:
        if phase.trace is not None:
            part = recorded(phase.trace)
            kept = bisect_left(part.seconds, phase.duration)
            cut = "" if kept == part.count else f", {kept} of them within the phase's {phase.duration:g} s"
            pace = "" if phase.trace.speed == 1 else f" at {phase.trace.speed:g} times the recorded pace"
            text = f"phase {phase.name} replays {part.count} rows of {phase.trace.file}{pace}{cut}"
            notes += [text, *(f"{phase.trace.file}: {note}" for note in part.notes)]
    return notes


def _sources(plan: Plan) -> Iterator[tuple[str, PromptSource]]:
    for name in plan.mix.names():
        prompts = getattr(getattr(plan.mix, name), "prompts", None)
        if isinstance(prompts, PromptSource):
            yield f"mix.{name}.prompts", prompts


def _source_problems(field: str, source: PromptSource) -> Iterator[Problem]:
    if source.file is not None:
        try:
            conversed(source)
        except PromptError as error:
            yield from (Problem("", f"{field}.file", line) for line in str(error).splitlines())
    if source.tokenizer is not None and not Path(source.tokenizer).is_file():
        yield Problem("", f"{field}.tokenizer", f"must be a file that exists, got '{source.tokenizer}'")
    for key in ("input", "output"):
        lengths = getattr(source, key)
        try:
            drawn(lengths, Random(0), count=10)
        except LengthError as error:
            yield Problem("", f"{field}.{key}" + (".file" if lengths.file else ""), str(error))
