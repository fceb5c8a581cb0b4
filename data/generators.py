"""Believable evaluation runs, the same ones for the same seed.

Names come from Faker, the figures from distributions: lognormal for tokens and times, beta for accuracies.
"""

import random
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from faker import Generator

STATUS_SHARES = {"completed": 0.70, "failed": 0.15, "running": 0.10, "pending": 0.05}
TEMPLATES = (
    "accuracy-basic",
    "accuracy-extended",
    "latency-profile",
    "safety-screen",
    "regression-suite",
    "summarisation",
    "code-generation",
    "multilingual",
    "retrieval",
    "tool-use",
)
MODELS = ("mixtral-8x7b", "hermes-2", "openchat-3.5", "phi-3-mini")
OCCASIONS = ("nightly", "weekly", "release", "baseline", "candidate", "exploratory", "customer", "hotfix")
FAILURES = (
    "model endpoint timed out after 120 s",
    "dataset not found",
    "out of memory on worker 2",
    "budget exceeded",
    "rate limit of the model API reached",
    "answer is not valid JSON",
)

_USD_PER_TOKEN = {"mixtral-8x7b": 6e-7, "hermes-2": 3e-7, "openchat-3.5": 2e-7, "phi-3-mini": 1e-7}
_MS_PER_TOKEN = {"mixtral-8x7b": 22.0, "hermes-2": 14.0, "openchat-3.5": 12.0, "phi-3-mini": 6.0}
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


class Metrics(TypedDict):
    """Results of a run; None where nothing is measured yet."""

    accuracy: float | None
    latency_ms: float | None
    tokens: int | None
    cost_usd: float | None


class EvaluationRun(TypedDict):
    """The body that creates an evaluation run."""

    name: str
    template_name: str
    model_name: str
    description: str
    status: str
    metrics: Metrics


def evaluation_runs(seed: int, n: int) -> list[EvaluationRun]:
    """Return `n` runs; the shares of the statuses are 70/15/10/5 %, exact to one run, in a shuffled order."""
    rng = random.Random(f"{seed}:evaluation_runs")
    faker = _faker()
    faker.seed_instance(rng.getrandbits(64))
    statuses = _statuses(n)
    rng.shuffle(statuses)
    return [_run(rng, faker, status, number) for number, status in enumerate(statuses, start=1)]


def _statuses(n: int) -> list[str]:
    """Return `n` statuses by largest remainder, so that rounding loses none."""
    exact = {status: share * n for status, share in STATUS_SHARES.items()}
    counts = {status: int(value) for status, value in exact.items()}
    by_remainder = sorted(exact, key=lambda status: counts[status] - exact[status])
    for status in by_remainder[: n - sum(counts.values())]:
        counts[status] += 1
    return [status for status, count in counts.items() for _ in range(count)]


def _run(rng: random.Random, faker: "Generator", status: str, number: int) -> EvaluationRun:
    template, model, occasion = rng.choice(TEMPLATES), rng.choice(MODELS), rng.choice(OCCASIONS)
    began = _EPOCH + timedelta(minutes=rng.randrange(365 * 24 * 60))
    description = (
        f"{faker.format('catch_phrase')}: {template} on {model} for {faker.format('company')}, "
        f"asked for by {faker.format('name')} on {began:%Y-%m-%d %H:%M}."
    )
    if status == "failed":
        description += f" It failed: {rng.choice(FAILURES)}."
    return {
        "name": f"{occasion} {template} {number:04d}",
        "template_name": template,
        "model_name": model,
        "description": description,
        "status": status,
        "metrics": _metrics(rng, model, status),
    }


def _metrics(rng: random.Random, model: str, status: str) -> Metrics:
    if status == "pending":
        return {"accuracy": None, "latency_ms": None, "tokens": None, "cost_usd": None}
    tokens = min(2_000_000, max(200, round(rng.lognormvariate(9.0, 0.8))))
    cost = round(tokens * _USD_PER_TOKEN[model], 6)
    if status != "completed":
        # Tokens and money are spent as a run goes on; its results are there when it has ended well.
        return {"accuracy": None, "latency_ms": None, "tokens": tokens, "cost_usd": cost}
    answer_tokens = rng.lognormvariate(4.0, 0.4)
    return {
        "accuracy": round(rng.betavariate(14, 4), 4),
        "latency_ms": round(answer_tokens * _MS_PER_TOKEN[model], 2),
        "tokens": tokens,
        "cost_usd": cost,
    }


@lru_cache(maxsize=1)
def _faker() -> "Generator":
    """Return a generator with the providers that are used; the whole set takes a second to load."""
    from faker.generator import Generator  # noqa: PLC0415 - the load process should not pay for it at its start
    from faker.providers.company.en_US import Provider as Company  # noqa: PLC0415
    from faker.providers.person.en_US import Provider as Person  # noqa: PLC0415

    generator = Generator()
    generator.add_provider(Person)
    generator.add_provider(Company)
    return generator
