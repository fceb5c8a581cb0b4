"""What master and workers say to each other, as the data of one kind of Locust message.

Times on the wire are seconds from the run's origin, but for those of the two clocks that are compared.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from samples.channel import Parcel, ParcelKind
from scenarios.seat import Seat
from shapes.stripes import Cut, Part

MESSAGE = "proofload"
"""Type of the Locust messages that carry these."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Worker: here I am, with this code."""

    code: str
    pid: int
    machine: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """Master: you are called this."""

    name: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Master: you cannot take part."""

    why: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """Master: get ready for this run. `plan` is JSON as resolved, secrets in it; `files` are digests by path."""

    run: str
    plan: str
    host: str
    seed: int
    place: int
    places: int
    files: dict[str, str]
    variables: tuple[str, ...]
    """Environment variables that the plan names and the master has."""
    answers: dict[str, str]
    """Unloaded answers to canaries, by prompt."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker: I am ready, or this keeps me from it. `found` says in words whether the server under test was reached."""

    run: str
    problems: tuple[str, ...] = ()
    reached: bool = True
    found: str = ""


@dataclass(frozen=True, slots=True)
class Time:
    """Worker: what is your time? Master: the same with its own. Monotonic clocks."""

    asked: float
    master: float | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """Master: the run's origin is at this time of my monotonic clock."""

    run: str
    origin: float


@dataclass(frozen=True, slots=True)
class Assign:
    """Master: make these arrivals too, and sit here from then on."""

    run: str
    parts: tuple[Part, ...]
    seat: Seat
    lapses: int
    """How often the worker had stopped for want of a lease, as far as the master knew."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Worker: I am alive, and this is how I am doing."""

    run: str
    lapses: int
    offered: int
    in_flight: int
    waiting: int
    users: int
    asked: float
    """This worker's monotonic clock."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Master: I have heard you; begin nothing from this moment on unless you hear from me again."""

    run: str
    until_s: float
    asked: float
    master: float


@dataclass(frozen=True, slots=True)
class Sent:
    """Worker: a part of the record."""

    run: str
    parcel: Parcel


@dataclass(frozen=True, slots=True)
class Leaving:
    """Worker: I was told to end; I begin nothing from this moment on, and send what I have then."""

    run: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Gone:
    """Worker: this process ends."""


@dataclass(frozen=True, slots=True)
class Received:
    """Master: I have all parcels below this number."""

    run: str
    below: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Master: no further arrival from this moment on; what waits for a user by then is dropped, or finds one."""

    run: str
    at_s: float
    drop: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """Master: stop your users now, and send what you have."""

    run: str


FromMaster = Welcome | Refused | Prepare | Time | Begin | Assign | Lease | Received | Stop | Settle
FromWorker = Hello | Ready | Time | Pulse | Sent | Leaving | Gone
Message = FromMaster | FromWorker
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Hello, Welcome, Refused, Prepare, Ready, Time, Begin, Assign, Pulse, Lease, Sent, Leaving, Gone, Received, Stop,
        Settle,
    )
}  # fmt: skip


def packed(message: Message) -> dict[str, Any]:
    """Return a message as what Locust can send."""
    return {"kind": type(message).__name__, **asdict(message)}


def unpacked(data: Mapping[str, Any]) -> Message:
    """Return the message in what came. Raises ValueError when it is none."""
    try:
        values = dict(data)
        kind = _KINDS[values.pop("kind")]
        if kind is Sent:
            values["parcel"] = Parcel(**values["parcel"] | {"kind": ParcelKind(values["parcel"]["kind"])})
        if kind is Assign:
            values["parts"] = tuple(_part(part) for part in values["parts"])
            values["seat"] = Seat(**values["seat"])
        message: Message = kind(**values)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"not a message of this version: {error}") from None
    return message


def _part(values: dict[str, Any]) -> Part:
    return Part(**values | {"cuts": tuple(Cut(**cut) for cut in values["cuts"])})


@dataclass(frozen=True, slots=True)
class Counts:
    """The content of a worker's last parcel: its own counts, as JSON."""

    begun: int
    recorded: int
    written: int
    write_errors: list[str]
    scheduled: dict[str, dict[str, int]]
    """Arrivals and iterations that came due here, by phase and scenario."""
    stopped_s: float | None
    """From when on nothing came due any more; None when nobody stopped it."""
    lapses: int
    notes: list[str]
    offset_s: float
    """The master's monotonic clock minus this worker's, as the run's origin was placed by it."""
    uncertainty_s: float
    left_over: list[str]
    """Paths of what it made on the server and did not remove, because the others went on."""
    drift_s: float
    """By how much the later round trips say otherwise."""
