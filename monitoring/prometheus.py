"""The server's own figures, from its page of metrics in Prometheus text."""

import math
import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families

from monitoring.aside import Seen
from monitoring.engines import DIALECTS, GENERATION_TOKENS, KV_CACHE, PREEMPTIONS, PROMPT_TOKENS
from monitoring.pages import TIMEOUT_S, Unreadable, fetch

_MEMORY, _CPU = "process_resident_memory_bytes", "process_cpu_seconds_total"
_WANTED = tuple({name for d in DIALECTS for names in d.names.values() for name in names} | {_MEMORY, _CPU})


class Rising:
    """A counter over the time that it is watched: a fall means that it began again at 0."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._at = 0.0
        self.total = 0.0
        """What was added since the first reading."""

    def add(self, value: float, at: float) -> float | None:
        """Return the rate since the last reading, which may lie before a hole; None for the first one."""
        before, since = self._last, at - self._at
        self._last, self._at = value, at
        if before is None:
            return None
        grown = value - before if value >= before else value
        self.total += grown
        return grown / since if since > 0 else None


class PageWatch:
    """Reads one page. `process` says that the process which serves it is the whole server: its CPU and memory
    are then the target's.

    Counts are summed over the labels of a name; of shares the highest is taken, the engine that is fullest.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        process: bool = False,
        get: Callable[[str, str, float], bytes] = fetch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._token, self._process = url, token, process
        self._get, self._clock = get, clock
        self._counters: dict[str, Rising] = {}

    def __str__(self) -> str:
        return f"the server's page {self._url}"

    def read(self) -> list[Seen]:
        """Return the figures of the engine that the page is about. Raises Unreadable."""
        body = self._get(self._url, self._token, TIMEOUT_S)
        at = self._clock()
        values = parsed(body)
        seen = [Seen("server", metric, value) for metric, value in self._engine(values, at).items()]
        if self._process:
            seen += [Seen("target", metric, value) for metric, value in self._resources(values, at).items()]
        if not seen and not self._counters:
            engines = ", ".join(dialect.engine for dialect in DIALECTS)
            raise Unreadable(f"it has no figure that is known here ({engines})")
        return seen

    def _engine(self, values: Mapping[str, list[float]], at: float) -> dict[str, float]:
        result: dict[str, float] = {}
        for metric, names in (pair for dialect in DIALECTS for pair in dialect.names.items()):
            found = next((values[name] for name in names if name in values), None)
            if found is None or metric in result:
                continue
            if metric in (PROMPT_TOKENS, GENERATION_TOKENS):
                result |= self._rate(metric, sum(found), at)
            elif metric == PREEMPTIONS:
                self._rate(metric, sum(found), at)
                result[metric] = self._counters[metric].total
            else:
                result[metric] = max(found) if metric == KV_CACHE else sum(found)
        return result

    def _resources(self, values: Mapping[str, list[float]], at: float) -> dict[str, float]:
        result = {"rss_bytes": sum(values[_MEMORY])} if _MEMORY in values else {}
        return result | (self._rate("cpu_cores", sum(values[_CPU]), at) if _CPU in values else {})

    def _rate(self, metric: str, total: float, at: float) -> dict[str, float]:
        rate = self._counters.setdefault(metric, Rising()).add(total, at)
        return {} if rate is None else {metric: rate}


def parsed(body: bytes) -> dict[str, list[float]]:
    """Return the values of the wanted names, one per set of labels. Raises Unreadable for what is no such text.

    An engine's page has thousands of lines, nearly all of them buckets: only those that are wanted are parsed.
    """
    wanted = [line for line in _lines(body) if line.startswith(_WANTED)]
    values: dict[str, list[float]] = {}
    try:
        for family in text_string_to_metric_families("\n".join(wanted) + "\n"):
            for sample in family.samples:
                if sample.name in _WANTED and math.isfinite(sample.value):
                    values.setdefault(sample.name, []).append(sample.value)
    except (ValueError, IndexError, KeyError) as error:
        raise Unreadable(f"it is not Prometheus text: {error}") from None
    return values


def _lines(body: bytes) -> Iterable[str]:
    try:
        return body.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Unreadable("it is not text in UTF-8") from None
