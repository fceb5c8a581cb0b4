"""A result file as vLLM's `bench serve` writes it, for tools that read those: its names, and its formulas.

They are not those of the catalogue: rates are over the time from the first request sent to the last one done,
percentiles interpolate, a latency ends with the last event that has content, and the first event is taken for one
token.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import JsonValue

from plans.schema import ArrivalProcess
from reports.metrics import inside_limits
from reports.rows import Rows, equals, numbers, only
from reports.statistics import Floats
from reports.windows import RunData, Scope
from samples.sample import Outcome, Protocol

_PERCENTILES = (50, 90, 95, 99)


def vllm_bench(run: RunData) -> dict[str, JsonValue] | None:
    """Return the result over the requests of the whole run that ask for text; None when there are none."""
    rows = run.rows(Scope())
    llm = only(rows, equals(rows, "protocol", Protocol.LLM))
    ok = only(llm, equals(llm, "outcome", Outcome.OK) & np.isfinite(numbers(llm, "output_tokens")))
    if not len(ok):
        return None
    # Embeddings have no output tokens, and their failures are none of these requests'.
    asked = only(llm, np.asarray(llm["scenario"].isin(ok["scenario"].unique()), dtype=np.bool_))
    failed = len(asked) - int(equals(asked, "outcome", Outcome.OK).sum())
    length = float(np.nanmax(numbers(asked, "done_s")) - np.nanmin(numbers(asked, "sent_s")))
    tokens_in, tokens_out = (float(np.nansum(numbers(ok, name))) for name in ("prompt_tokens", "output_tokens"))
    limited = any(limit is not None for limit in run.plan.limits.model_dump().values())
    good = int(inside_limits(run.plan.limits, ok).sum())
    return {
        **_identity(run),
        "num_prompts": len(ok) + failed,
        "duration": length,
        "completed": len(ok),
        "failed": failed,
        "total_input_tokens": int(tokens_in),
        "total_output_tokens": int(tokens_out),
        "request_throughput": len(ok) / length,
        "request_goodput": good / length if limited else None,
        "output_throughput": tokens_out / length,
        "total_token_throughput": (tokens_in + tokens_out) / length,
        **dict(_statistics(run, ok)),
    }


def _identity(run: RunData) -> Mapping[str, JsonValue]:
    record, plan = run.record, run.plan
    bursts: dict[ArrivalProcess, float | str] = {ArrivalProcess.UNIFORM: "inf", ArrivalProcess.POISSON: 1.0}
    users = [phase.load.highest() for phase in plan.phases if phase.closed]
    return {
        "date": record.started_at,
        "backend": "proofload",
        "endpoint_type": "openai",
        "model_id": plan.target.model,
        "tokenizer_id": plan.target.model,
        "request_rate": plan.nominal_rate if plan.nominal_rate is not None else "inf",
        "burstiness": bursts.get(plan.arrivals, plan.burstiness),
        "max_concurrency": int(max(users)) if users else None,
    }


def _statistics(run: RunData, ok: Rows) -> Iterator[tuple[str, JsonValue]]:
    """Yield mean, median, standard deviation and percentiles of vLLM's four times, milliseconds."""
    gaps = np.asarray(run.frames.gaps.of(ok).values, np.float64) / 1000
    first, spoken = numbers(ok, "ttft_s") * 1000, np.nan_to_num(numbers(ok, "icl_sum_us")) / 1000
    whole = (numbers(ok, "done_s") - numbers(ok, "sent_s")) * 1000
    tokens = numbers(ok, "output_tokens")
    per_token = np.where(np.isfinite(first) & (tokens > 1), spoken / np.maximum(tokens - 1, 1), np.nan)
    times = {
        "ttft": first,
        "tpot": per_token,
        "itl": gaps,
        "e2el": np.where(np.isfinite(first), first + spoken, whole),
    }
    for name, values in times.items():
        yield from _of(name, values[np.isfinite(values)])


def _of(name: str, values: Floats) -> Iterator[tuple[str, JsonValue]]:
    some = values if len(values) else np.zeros(1)  # vLLM has no word for none
    yield f"mean_{name}_ms", float(some.mean())
    yield f"median_{name}_ms", float(np.median(some))
    yield f"std_{name}_ms", float(some.std())
    for percentile in _PERCENTILES:
        yield f"p{percentile}_{name}_ms", float(np.percentile(some, percentile))
