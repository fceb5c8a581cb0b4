"""An HTTP server in this process whose answers a test sets, and pages as engines write them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What the server answers, and what it was asked."""

    url: str = ""
    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event = field(default_factory=threading.Event)
    """While it is set, answers do not come."""
    drip_s: float = 0.0
    """The time between two bytes of the body."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Authorization header of each request."""


@contextmanager
def serving(page: Page) -> Iterator[Page]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page.asked.append((self.path, self.headers.get("Authorization", "")))
            while page.hang.is_set():
                time.sleep(0.02)
            body = page.body.encode()
            try:
                self.send_response(page.status)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for piece in [body] if not page.drip_s else [body[i : i + 1] for i in range(len(body))]:
                    self.wfile.write(piece)
                    time.sleep(page.drip_s)
            except OSError:
                pass  # the reader has given up

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    page.url = f"http://127.0.0.1:{server.server_address[1]}/metrics"
    try:
        yield page
    finally:
        page.hang.clear()
        server.shutdown()
        server.server_close()


VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 5.0
vllm:num_requests_running{engine="1",model_name="m"} 3.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="m"} 7.0
vllm:num_preemptions_created{engine="0",model_name="m"} 1.7e+09
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 1000.0
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="m"} 1.5e+03
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="m"} 12.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 1.25
"""
LLAMA_CPP = """\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 1000
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 1500
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 4
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 9
"""
SGLANG = """\
# TYPE sglang:prompt_tokens_total counter
sglang:prompt_tokens_total{model_name="m"} 1000.0
# TYPE sglang:generation_tokens_total counter
sglang:generation_tokens_total{model_name="m"} 1.5e+03
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="m"} 0.28
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="m"} 161.0
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{model_name="m"} 2826.0
# TYPE sglang:num_retracted_reqs gauge
sglang:num_retracted_reqs{model_name="m"} 3.0
# TYPE sglang:num_retracted_requests_total counter
sglang:num_retracted_requests_total{model_name="m"} 40.0
"""
TGI = """\
# TYPE tgi_queue_size gauge
tgi_queue_size 6
# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 16
# TYPE tgi_request_generated_tokens histogram
tgi_request_generated_tokens_bucket{le="100"} 40
tgi_request_generated_tokens_sum 1500
tgi_request_generated_tokens_count 50
# TYPE tgi_request_input_length histogram
tgi_request_input_length_sum 1000
tgi_request_input_length_count 50
"""
EMBEDDED = """\
# TYPE engine_requests_running gauge
engine_requests_running 8.0
# TYPE engine_requests_waiting gauge
engine_requests_waiting 1.0
# TYPE engine_prompt_tokens_total counter
engine_prompt_tokens_total 1000.0
# TYPE engine_generation_tokens_total counter
engine_generation_tokens_total 1500.0
process_resident_memory_bytes 7.5e+07
process_cpu_seconds_total 12.5
"""
