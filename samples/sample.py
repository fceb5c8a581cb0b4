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


class TokenSource(StrEnum):
    """Where token counts come from."""

    USAGE = "usage"
    EVENTS = "events"


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
    token_source: TokenSource | None = None
    events: int | None = None
    """Content events of a stream."""
    icl_us: list[int] | None = None
    """Gaps between content events, microseconds."""
    quality: float | None = None
    """Share of the prompt's expectations that the answer met, 0 to 1."""
    prompt_id: str | None = None
    finish_reason: str | None = None
    message_type: str | None = None
    sequence: int | None = None
    connection: int | None = None
    """Number of the WebSocket connection in its process; sequence numbers count within it."""
    latency_source: LatencySource | None = None
    pool_wait_ms: float | None = None
    rows: int | None = None


@dataclass(slots=True)
class Reading:
    """One reading of a machine, a process or the generator.

    `source` is `host`, `target` or `generator`; `metric` carries its unit (`cpu_cores`, `rss_bytes`, `load_1m`).
    """

    t_s: float
    source: str
    metric: str
    value: float
    worker: str = "0"
