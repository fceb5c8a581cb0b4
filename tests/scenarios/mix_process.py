"""Users that choose among operations which take different times: `python -m tests.scenarios.mix_process USER N`.

Choosing and measuring are the suite's own; the operations wait in place of a server. Prints, for the operations as
quick as each other, and with the commonest or the rarest one much slower, how often each was begun.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import islice
from typing import Any

import gevent
from locust.env import Environment

from samples.recorder import Attempt
from scenarios.base import LoadUser
from tests.scenarios.chat_process import USERS, session

_USERS = 40
_LATENCIES: tuple[dict[str, float], ...] = ({}, {"list": 0.005, "create": 0.005}, {"export": 0.05, "compare": 0.02})


def counts(name: str, arrivals: int, latencies: dict[str, float]) -> Counter[str]:
    """Return how often each operation was begun in so many arrivals that a few users share."""
    numbers = {"rate": 1.0, "duration": 1.0, "timeout": 1.0}
    one, user_class = session("http://127.0.0.1:9", name, {}, numbers), USERS[name]
    LoadUser.session = one
    user_class.prepare(one)
    left = iter(range(arrivals))

    def carry(user: Any) -> None:
        for operation in user._names:
            setattr(user, f"_{operation}", slow(latencies.get(operation, 0)))
        for _ in left:
            user.operate()

    users = [user_class(Environment(user_classes=[user_class])) for _ in range(_USERS)]
    gevent.joinall([gevent.spawn(carry, user) for user in users], raise_error=True)
    return Counter(sample.name for sample in islice(one.recorder.take(), arrivals))


def slow(seconds: float) -> Any:
    def operation(attempt: Attempt) -> None:
        gevent.sleep(seconds)

    return operation


if __name__ == "__main__":
    scenario, number = sys.argv[1], int(sys.argv[2])
    weights = USERS[scenario].operations.model_dump()  # type: ignore[attr-defined]
    print(json.dumps({"weights": weights, "counts": [counts(scenario, number, given) for given in _LATENCIES]}))
