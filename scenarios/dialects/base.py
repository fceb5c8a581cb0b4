"""What all wire formats have in common: an answer as it is put together, and what a request is made of."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clients.sse import Event
from data.prompts import Message, Prompt
from samples.sample import TokenSource

_MOST_TOKENS = 2**53


class ServerError(Exception):
    """The server said, inside an answer, that it failed."""


@dataclass(slots=True)
class ToolCall:
    """A call that the model wants to have made; `arguments` is JSON as the model wrote it."""

    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Answer:
    """What a server said. `content_at`, `visible_at`: stamps of the content events, `time.monotonic()` seconds."""

    text: str = ""
    """Of the first choice, when there are several."""
    calls: dict[int | str, ToolCall] = field(default_factory=dict)
    content_at: list[float] = field(default_factory=list)
    visible_at: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    token_source: TokenSource | None = None
    finish_reason: str | None = None
    unseen: bool = False
    """True when there was reasoning or a tool call: an answer, though nobody reads it as text."""
    parts: list[str] = field(default_factory=list)
    """The text of a stream, piece by piece."""
    speaking: set[int] = field(default_factory=set)
    """Choices that began and have not said why they ended."""
    finished: bool = False

    @property
    def complete(self) -> bool:
        """True when the server said that the answer had ended, all its choices."""
        return self.finished and not self.speaking

    def stamp(self, at: float, visible: bool) -> None:
        """Note the arrival of an event with content."""
        self.content_at.append(at)
        if visible and self.visible_at is None:
            self.visible_at = at

    def finish(self, reason: str, choice: int = 0) -> None:
        """Note why the answer, or one of its choices, ended."""
        self.finished = True
        self.speaking.discard(choice)
        if not choice:
            self.finish_reason = reason

    def count(self, usage: object, prompt: str, output: str) -> None:
        """Take the server's token counts, by the names of this format; of several the last one holds."""
        if isinstance(usage, dict):
            self.prompt_tokens, self.output_tokens = count_of(usage.get(prompt)), count_of(usage.get(output))
            self.token_source = TokenSource.USAGE if self.output_tokens is not None else None


@dataclass(frozen=True, slots=True)
class Settings:
    """What every request of a scenario has in common."""

    model: str
    temperature: float
    tools: Sequence[Message] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


class Dialect(ABC):
    """One wire format. Reading raises TypeError, AttributeError or LookupError for what is not of its form."""

    name: ClassVar[str]
    path: ClassVar[str]
    usage_is_asked_for: ClassVar[bool]
    """Whether a stream carries token counts only when `stream_options` asks for them."""
    text_part: ClassVar[str] = "text"
    """Kind of a part with text, where a message has parts."""

    @abstractmethod
    def body(self, settings: Settings, *, stream: bool, usage: bool) -> dict[str, object]:
        """Return a request with gaps for its prompt and the length of its answer.

        `usage`: ask for token counts in a stream.
        """

    @abstractmethod
    def prompt_json(self, prompt: Prompt) -> bytes:
        """Return what fills the gap for the prompt."""

    def picture(self, url: str) -> bytes:
        """Return an image as a part of a message; made before the load."""
        return json.dumps({"type": "image_url", "image_url": {"url": url}}).encode()

    def illustrated(self, prompt: Prompt, pictures: Sequence[bytes]) -> bytes:
        """Return what fills the gap for a prompt with pictures beside its text, by copying."""
        text = f'[{{"role": "user", "content": [{{"type": "{self.text_part}", "text": '.encode()
        return text + prompt.content_json + b"}, " + b", ".join(pictures) + b"]}]"

    @abstractmethod
    def read_event(self, chunk: dict[str, Any], event: Event, answer: Answer) -> None:
        """Add one event of a stream, its data as JSON, to the answer. Raises ServerError."""

    @abstractmethod
    def read_whole(self, content: dict[str, Any], answer: Answer) -> None:
        """Fill in an answer that is not streamed. Raises ServerError."""


def text_of(value: object) -> str:
    """Return a text, "" for null. Raises TypeError for anything else: what a server may send has no limits."""
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError


def count_of(value: object) -> int | None:
    """Return a number of tokens, None for what cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS else None


def message_of(error: object) -> str:
    """Return what a server says in an error, whichever form it has. Whole: the recorder cuts it."""
    while isinstance(error, dict):
        error = next((error[key] for key in ("message", "error", "detail", "code") if error.get(key)), None)
    return str(error)
