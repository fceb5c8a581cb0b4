"""The evaluation runs that are there when the server starts: believable, and the same for the same seed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

TEMPLATES = (
    "accuracy-basic", "accuracy-extended", "latency-profile", "safety-screen", "regression-suite",
    "summarisation", "code-generation", "multilingual", "retrieval", "tool-use",
)  # fmt: skip
MODELS = ("mixtral-8x7b", "hermes-2", "openchat-3.5", "phi-3-mini")
ADJECTIVES = ("nightly", "weekly", "release", "baseline", "candidate", "exploratory", "customer", "hotfix")
ERRORS = ("model endpoint timed out", "dataset not found", "out of memory on worker 2", "budget exceeded")
SHARES = (("completed", 0.70), ("failed", 0.15), ("running", 0.10), ("pending", 0.05))


def seed_rows(count: int, seed: int) -> list[dict[str, object]]:
    """`count` rows, oldest first, spread over the last 30 days."""
    rng = random.Random(f"{seed}:runs")
    now = datetime.now(UTC)
    return [_row(rng, number, now - timedelta(days=30) * (1 - number / count)) for number in range(count)]


def _row(rng: random.Random, number: int, created: datetime) -> dict[str, object]:
    status = rng.choices([name for name, _ in SHARES], [share for _, share in SHARES])[0]
    template, model = rng.choice(TEMPLATES), rng.choice(MODELS)
    finished = status == "completed"
    tokens = int(rng.lognormvariate(9.0, 0.8)) if status != "pending" else None
    return {
        "name": f"{rng.choice(ADJECTIVES)} {template} {number + 1}",
        "status": status,
        "template_name": template,
        "model_name": model,
        "description": f"Evaluation of {model} with the template {template}.",
        "created_at": created,
        "updated_at": created + timedelta(seconds=rng.lognormvariate(5.0, 1.0)),
        "accuracy": round(rng.betavariate(14, 4), 4) if finished else None,
        "latency_ms": round(rng.lognormvariate(6.2, 0.5), 2) if finished else None,
        "tokens": tokens,
        "cost_usd": round(tokens * 4e-6, 6) if tokens is not None else None,
        "error_message": rng.choice(ERRORS) if status == "failed" else None,
    }
