"""How inference engines name what they count, and what it is called here."""

from dataclasses import dataclass

RUNNING = "requests_running"
WAITING = "requests_waiting"
KV_CACHE = "kv_cache_share"
PREEMPTIONS = "preemptions"
PROMPT_TOKENS = "prompt_tokens_per_s"
GENERATION_TOKENS = "generation_tokens_per_s"
POOL_IN_USE = "pool_in_use"
POOL_SIZE = "pool_size"
POOL_WAITING = "pool_waiting"
SESSIONS = "sessions_open"
QUEUE_WAITING = "queue_waiting"
"""Requests of any kind that wait for a server's turn; `requests_waiting` are those to a model."""
LOCK_WAITING = "lock_waiting"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's names by ours; of several names for the same thing the page's own version has one."""

    engine: str
    names: dict[str, tuple[str, ...]]


DIALECTS = (
    Dialect(
        "vLLM",
        {
            RUNNING: ("vllm:num_requests_running",),
            WAITING: ("vllm:num_requests_waiting",),
            # The second is the name up to version 0.9.
            KV_CACHE: ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
            PREEMPTIONS: ("vllm:num_preemptions_total",),
            PROMPT_TOKENS: ("vllm:prompt_tokens_total",),
            GENERATION_TOKENS: ("vllm:generation_tokens_total",),
        },
    ),
    Dialect(
        "llama.cpp",
        {
            RUNNING: ("llamacpp:requests_processing",),
            WAITING: ("llamacpp:requests_deferred",),
            KV_CACHE: ("llamacpp:kv_cache_usage_ratio",),  # older versions only
            PROMPT_TOKENS: ("llamacpp:prompt_tokens_total",),
            GENERATION_TOKENS: ("llamacpp:tokens_predicted_total",),
        },
    ),
    Dialect(
        "SGLang",
        {
            RUNNING: ("sglang:num_running_reqs",),
            WAITING: ("sglang:num_queue_reqs",),
            KV_CACHE: ("sglang:token_usage",),
            # Not sglang:num_retracted_reqs: that is a gauge of the last batch.
            PREEMPTIONS: ("sglang:num_retracted_requests_total",),
            PROMPT_TOKENS: ("sglang:prompt_tokens_total",),
            GENERATION_TOKENS: ("sglang:generation_tokens_total",),
        },
    ),
    Dialect(
        "TGI",
        {
            RUNNING: ("tgi_batch_current_size",),
            WAITING: ("tgi_queue_size",),
            # Sums of histograms: they grow when a request ends, not while it is served.
            PROMPT_TOKENS: ("tgi_request_input_length_sum",),
            GENERATION_TOKENS: ("tgi_request_generated_tokens_sum",),
        },
    ),
    Dialect(
        "the embedded platform",
        {
            RUNNING: ("engine_requests_running",),
            WAITING: ("engine_requests_waiting",),
            PROMPT_TOKENS: ("engine_prompt_tokens_total",),
            GENERATION_TOKENS: ("engine_generation_tokens_total",),
            POOL_IN_USE: ("database_pool_in_use",),
            POOL_SIZE: ("database_pool_size",),
            POOL_WAITING: ("database_pool_waiting",),
            SESSIONS: ("sessions_open",),
            QUEUE_WAITING: ("station_requests_waiting",),
            LOCK_WAITING: ("lock_requests_waiting",),
        },
    ),
    Dialect(
        "HikariCP",
        {
            POOL_IN_USE: ("hikaricp_connections_active",),
            POOL_SIZE: ("hikaricp_connections_max",),
            POOL_WAITING: ("hikaricp_connections_pending",),
        },
    ),
)
