"""The sample: the record of one attempt. Field names, units and meaning stand here and nowhere else."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of an arrival; all but OK count as failed."""

    OK = "ok"
    HTTP_ERROR = "http_error"
    """The server answered with 4xx or 5xx."""
    BAD_CONTENT = "bad_content"
    """A wrong answer, a truncated stream, or an error event inside a stream."""
    TIMEOUT = "timeout"
    CONNECT_ERROR = "connect_error"
    """Refused, reset, DNS or TLS: no complete answer because the connection failed."""
    CUT = "cut"
    """Still in flight when the drain deadline passed, or when the run was stopped."""
    DROPPED = "dropped"
    """No user was free within the plan's limit; nothing was sent."""


AT_MAXIMUM = "pool at its maximum"
"""Begin of the error of an arrival that was dropped because the plan allows no more users."""

RESPONSES = frozenset({Outcome.OK, Outcome.HTTP_ERROR, Outcome.BAD_CONTENT})
"""The outcomes in which the server answered: latency and throughput are taken over these."""


class Protocol(StrEnum):
    """What was spoken."""

    HTTP = "http"
    LLM = "llm"
    WEBSOCKET = "websocket"
    SQL = "sql"
    OTHER = "other"
    """Whatever a user class of the operator's own speaks, when it is no HTTP user."""


class TokenSource(StrEnum):
    """Where token counts come from."""

    USAGE = "usage"
    EVENTS = "events"


class Defect(StrEnum):
    """What is wrong with an answer by itself, whatever was asked."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    """The stream broke off, or it ends "by length" before the length that was asked for."""
    LOOPING = "looping"
    GARBLED = "garbled"


class LatencySource(StrEnum):
    """How a WebSocket message's latency was measured."""

    SHARED_CLOCK = "shared_clock"
    ECHO = "echo"


@dataclass(slots=True)
class Sample:
    """One attempt. Times are seconds from the run's origin on the monotonic clock; None where it does not apply.

    A WebSocket message that the server pushed is a sample too (`message_type` is set); it is nobody's arrival.
    """

    due_s: float
    """Intended start: the place in the schedule (open), the moment the user was ready (closed), or the server's
    send stamp (a pushed WebSocket message)."""
    sent_s: float | None
    """First byte handed to a pooled connection, or begin of the connect; None when nothing was sent."""
    done_s: float
    """Last byte of the response, or the moment at which the attempt ended."""
    outcome: Outcome
    phase: str
    """Name of the phase in which it was due."""
    scenario: str
    """User class."""
    name: str
    """Request, under the name that statistics group by."""
    protocol: Protocol
    worker: str = "0"
    arrival: int | None = None
    """Index in the schedule of the whole run (open phases)."""
    iteration: bool = False
    """True for the one sample that accounts for an arrival or a closed iteration; False for extra attempts."""
    waited: bool = False
    """True when no user was free at the due time, so that the lag is the pool's and not the generator's."""
    status: int | None = None
    """HTTP status or WebSocket close code, as the server sent it; never invented."""
    error: str | None = None
    """What was wrong, in words, for every outcome but OK."""
    bytes_in: int | None = None
    """Bytes of the response body."""
    connect_ms: float | None = None
    """TCP + TLS (+ WebSocket upgrade) of a new connection; None on a pooled one."""
    ttft_s: float | None = None
    """First content, reasoning or tool-call event after `sent_s`."""
    ttfo_s: float | None = None
    """First visible content after `sent_s`."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    wanted_prompt_tokens: int | None = None
    """Length that the plan or a recording wanted of the prompt, by no tokenizer or by one on this side."""
    wanted_output_tokens: int | None = None
    """Length of the answer that the request asked for, where the prompt has one of its own."""
    token_source: TokenSource | None = None
    events: int | None = None
    """Content events of a stream."""
    icl_us: list[int] | None = None
    """Gaps between content events, microseconds."""
    quality: float | None = None
    """Share of the prompt's expectations that the answer met, 0 to 1."""
    similarity: float | None = None
    """How alike the answer to a canary is to the unloaded answer to it, 0 to 1."""
    defect: Defect | None = None
    prompt_id: str | None = None
    finish_reason: str | None = None
    message_type: str | None = None
    sequence: int | None = None
    connection: int | None = None
    """Number of the WebSocket connection in its process; sequence numbers count within it."""
    latency_source: LatencySource | None = None
    pool_wait_ms: float | None = None
    rows: int | None = None
    dns_ms: float | None = None
    """What the resolver took of `connect_ms`."""
    tls_ms: float | None = None
    """What the TLS handshake took of `connect_ms`."""
    retried: bool = False
    """True when the server had closed the kept connection and the request was sent again on a new one."""


@dataclass(slots=True)
class Reading:
    """One reading of a machine, a process or the generator.

    `source` is `host`, `target`, `server` (what it counts about itself), `gpu` or `generator`; `metric` carries its
    unit (`cpu_cores`, `rss_bytes`, `load_1m`). `worker` is the process, or the number of the GPU.
    """

    t_s: float
    source: str
    metric: str
    value: float
    worker: str = "0"
