"""The live tallies at work, told as JSON. A process of its own: `samples.live` imports Locust, which patches all."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict

from locust.env import Environment

from samples.live import LiveTallies, LocustStatistics
from samples.sample import Outcome, Protocol, Sample
from samples.segments import SAMPLE_SCHEMA, encode
from tests.samples.records import bare


def tallied(samples: list[Sample], moments: list[float]) -> list[dict[str, float | None]]:
    tallies = LiveTallies()
    told, waiting = [], sorted(samples, key=lambda sample: sample.done_s)
    for moment in moments:
        batch = [sample for sample in waiting if sample.done_s <= moment]
        waiting = waiting[len(batch) :]
        tallies.take(encode(batch, SAMPLE_SCHEMA), moment)
        counted = {"completed": tallies.completed, "failures": tallies.failures}
        told.append(asdict(tallies.window(5.0)) | counted)
    return told


def answered(done: float, latency: float, outcome: Outcome = Outcome.OK, **more: object) -> Sample:
    return bare(done - latency, done_s=done, outcome=outcome, **{"iteration": True, **more})


def windows() -> dict[str, object]:
    """Return the windows of a lively run, and the requests that are in them."""
    chance, tallies, samples = random.Random(5), LiveTallies(), list[Sample]()
    for second in range(60):
        batch = []
        for _ in range(chance.randint(0, 60)):
            done, outcome = second + chance.random(), chance.choice([Outcome.OK] * 8 + list(Outcome))
            due = done - chance.expovariate(5)
            sent = None if outcome is Outcome.DROPPED else due + chance.random() / 50
            batch.append(bare(due, done_s=done, outcome=outcome, sent_s=sent, iteration=True))
            batch.append(bare(due, done_s=done + 0.5, sent_s=due))  # a further request of the same iteration
        samples += batch
        tallies.take(encode(batch, SAMPLE_SCHEMA), second + 1.0)
    rows = [(s.due_s, s.sent_s, s.done_s, s.outcome.value) for s in samples if s.iteration]
    return {"rows": rows, "told": [asdict(tallies.window(length)) for length in (5.0, 30.0)]}


def main() -> None:
    told: dict[str, object] = {"nothing": tallied([], [0.0, 3.0])}
    told["steady"] = tallied([answered(0.1 * n + 0.05, 0.02) for n in range(200)], [1.0, 5.0, 20.0, 24.0, 30.0])
    told["p95"] = [
        tallied([answered(1.0, 0.001 * (n + 1)) for n in random.Random(count).sample(range(count), count)], [2.0])
        for count in (1, 2, 19, 20, 21, 100, 101)
    ]
    told["outcomes"] = tallied([answered(1.0, 0.5, outcome) for outcome in Outcome], [2.0])
    told["windows"] = windows()
    pushed = answered(1.0, 0.5, Outcome.BAD_CONTENT, protocol=Protocol.WEBSOCKET)
    told["websocket"] = tallied([pushed, answered(1.0, 0.5, protocol=Protocol.WEBSOCKET)], [2.0])

    environment = Environment()
    environment.create_local_runner()
    fired: list[dict[str, object]] = []
    environment.events.request.add_listener(lambda **of: fired.append(of | {"exception": str(of["exception"])}))
    statistics = LocustStatistics(environment)
    statistics(answered(2.0, 0.25, bytes_in=70))
    statistics(answered(2.0, 0.5, Outcome.HTTP_ERROR, error="HTTP 503"))
    statistics(answered(2.0, 0.5, protocol=Protocol.WEBSOCKET, message_type="run_update"))
    told["fired"] = list(fired)
    entry = environment.stats.total
    told["totals"] = {"requests": entry.num_requests, "failures": entry.num_failures}
    for number in range(3000):
        statistics(answered(2.0, 0.5, Outcome.HTTP_ERROR, error=f"HTTP 500: request {number}"))
    told["error_entries"] = len(environment.stats.errors)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
