"""What a catalogued metric is: its unit, its direction, the rows that it is computed from."""

from dataclasses import dataclass
from enum import StrEnum


class Better(StrEnum):
    """The direction in which a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class Kind(StrEnum):
    """The rows that a metric is computed from: it decides which criteria filters make sense."""

    REQUEST = "request"
    LLM = "llm"
    WEBSOCKET = "websocket"
    SQL = "sql"
    RESOURCE = "resource"
    RUN = "run"
    """A figure of the whole run and of nothing smaller."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One catalogued figure.

    `unit` is `ms`, `rps`, `ratio`, `s`, `bytes`, `cores`, `tokens/s`, `count` or `bool`.
    """

    name: str
    unit: str
    better: Better
    formula: str
    kind: Kind = Kind.REQUEST
