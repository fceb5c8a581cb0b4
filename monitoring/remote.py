"""CPU and memory of a server on another machine, asked of a Prometheus server that watches it."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from monitoring.aside import Seen
from monitoring.pages import TIMEOUT_S, Unreadable, fetch

METRICS = {"memory_bytes": "rss_bytes", "cpu_cores": "cpu_cores"}
"""What a query is called in a plan, and the target's metric that it gives."""
_RATE_SCRAPES, _RATE_S = 4, 60.0
"""A rate is taken over so many scrapes, and at least so many seconds: with fewer points it has no value."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One figure: an expression that gives one value, and the series that says how old it is (None: now)."""

    metric: str
    expression: str
    series: str | None = None


@dataclass(frozen=True, slots=True)
class _Exporter:
    """Where an exporter keeps memory in use and CPU seconds; `{}` is the place of the label matchers."""

    memory: str
    series: str
    cpu: str
    matchers: str = ""
    cpu_matchers: str = ""


EXPORTERS = {
    "process": _Exporter(
        "process_resident_memory_bytes{}", "process_resident_memory_bytes{}", "process_cpu_seconds_total{}"
    ),
    # Without an image a series is a group of containers, whose parts have series of their own.
    "cadvisor": _Exporter(
        "container_memory_working_set_bytes{}",
        "container_memory_working_set_bytes{}",
        "container_cpu_usage_seconds_total{}",
        matchers='image!=""',
    ),
    "node_exporter": _Exporter(
        "node_memory_MemTotal_bytes{} - node_memory_MemAvailable_bytes{}",
        "node_memory_MemAvailable_bytes{}",
        "node_cpu_seconds_total{}",
        cpu_matchers='mode!~"idle|iowait|steal"',
    ),
}


def quantities(preset: str, selector: str, interval: float) -> list[Quantity]:
    """Return what to ask for with an exporter that is scraped every `interval` seconds.

    >>> quantities("process", 'job="llm"', 15)[0].expression
    'sum(process_resident_memory_bytes{job="llm"})'
    """
    exporter = EXPORTERS[preset]
    span = round(max(_RATE_SCRAPES * interval, _RATE_S))

    def filled(template: str, *matchers: str) -> str:
        inside = ",".join(text for text in (*matchers, exporter.matchers, selector) if text)
        return template.replace("{}", f"{{{inside}}}")

    cpu = filled(exporter.cpu, exporter.cpu_matchers)
    return [
        Quantity("rss_bytes", f"sum({filled(exporter.memory)})", filled(exporter.series)),
        Quantity("cpu_cores", f"sum(rate({cpu}[{span}s]))", cpu),
    ]


class RemoteWatch:
    """Asks a Prometheus server for one quantity. A sample that was seen before is not counted again."""

    def __init__(
        self, url: str, quantity: Quantity, token: str = "", get: Callable[[str, str, float], bytes] = fetch
    ) -> None:
        self._url, self._quantity, self._token, self._get = url.rstrip("/"), quantity, token, get
        self._seen_at: float | None = None

    def __str__(self) -> str:
        return f"{self._quantity.metric} of the target at {self._url}"

    def read(self) -> list[Seen]:
        """Return the newest value with its age, or nothing when there is no new one. Raises Unreadable."""
        age = 0.0
        if self._quantity.series is not None:
            now, scraped_at = self._value(f"max(timestamp({self._quantity.series}))")
            # Both times are the Prometheus server's own, so that its clock need not be ours.
            if scraped_at == self._seen_at:
                return []
            self._seen_at, age = scraped_at, max(now - scraped_at, 0.0)
        _, value = self._value(self._quantity.expression)
        return [Seen("target", self._quantity.metric, value, age_s=age)]

    def _value(self, expression: str) -> tuple[float, float]:
        """Return (time of the evaluation, value)."""
        url = f"{self._url}/api/v1/query?{urlencode({'query': expression})}"
        try:
            data = json.loads(self._get(url, self._token, TIMEOUT_S))["data"]
            kind, result = data["resultType"], data["result"]
            pairs = [result] if kind == "scalar" else [series["value"] for series in result]
            values = [(float(at), float(value)) for at, value in pairs]
        except (ValueError, LookupError, TypeError):
            raise Unreadable(f"no answer of a Prometheus server to {expression}") from None
        if len(values) != 1:
            many = "no series" if not values else f"{len(values)} series (take their sum() or name one)"
            raise Unreadable(f"{expression} gives {many}")
        if not math.isfinite(values[0][1]):
            raise Unreadable(f"{expression} gives {values[0][1]}")
        return values[0]
