"""What the target was bound by when a limit broke: CPU, memory, disk, a pool, locks or a queue, by the readings."""

from dataclasses import dataclass

import numpy as np

from plans.metrics import METRICS, Kind
from plans.schema import loopback
from reports.analysis import CriterionResult, Finding, State
from reports.figures import figure
from reports.rows import numbers
from reports.statistics import Floats
from reports.troubles import pool_wait
from reports.windows import RunData, Scope, Window

_FULL = 0.9
"""Share of the CPU, of the memory or of a pool from which on it is the limit."""
_CACHE_FULL = 0.95
_DISK_BUSY, _IOWAIT = 0.8, 0.2
_ONE_CORE = (0.9, 1.15)
_FEWEST = 3
"""Fewer readings of a phase say nothing."""
_ABOUT_LOAD = frozenset({Kind.REQUEST, Kind.LLM, Kind.WEBSOCKET, Kind.SQL})


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found of one resource: at its limit or not, or None when nobody can tell."""

    resource: str
    bound: bool | None
    text: str
    advice: str = ""


def bottlenecks(run: RunData, criteria: list[CriterionResult]) -> list[Finding]:
    """Return for each phase in which a limit on the requests broke what the target was bound by."""
    broken = dict.fromkeys(
        result.criterion.phase
        for result in criteria
        if result.state in {State.FAIL, State.WARN} and _about_load(result.criterion.metric)
    )
    return [_finding(run.window(Scope(phase)), phase) for phase in broken if _answered(run.window(Scope(phase)))]


def _about_load(metric: str) -> bool:
    return METRICS[metric].kind in _ABOUT_LOAD and metric != "index_used"  # a plan is bad at every load


def _answered(window: Window) -> bool:
    """A target that answered nothing was not bound by anything: it was not there."""
    return window.reached and bool(len(window.responses) or len(window.messages))


def _finding(window: Window, phase: str | None) -> Finding:
    where = f"in {phase}" if phase else "over the whole run"
    looks = [look(window) for look in (_cpu, _memory, _disk, _pool, _locks, _queue)]
    bound = [look for look in looks if look.bound]
    evidence = tuple(look.text for look in sorted(looks, key=lambda look: {True: 0, False: 1, None: 2}[look.bound]))
    if bound:
        names = " and ".join(look.resource for look in bound)
        advice = "; ".join(dict.fromkeys(look.advice for look in bound))
        return Finding("bottleneck", f"{where} the target was bound by {names}", evidence, advice)
    if all(look.bound is None for look in looks):
        advice = "let the monitor see the target: target.process, target.resources and target.prometheus"
        return Finding("bottleneck", f"what bound the target {where} cannot be told", evidence, advice)
    advice = "look for what it waits for: another service, a lock, a sleep, a limit of its own on concurrency"
    return Finding("bottleneck", f"{where} nothing that was read was at its limit", evidence, advice)


def _read(window: Window, source: str, metric: str) -> Floats | None:
    """Return the readings, None when they are too few; those of this machine say nothing of a target elsewhere."""
    if source == "host" and not _here(window.run):
        return None
    _, values = window.readings(metric, source)
    return values if len(values) >= _FEWEST else None


def _here(run: RunData) -> bool:
    return loopback(run.record.host) or run.record.host.startswith("sqlite")


def _percent(share: float) -> str:
    return figure(share, "ratio", 2)


def _unknown(resource: str, what: str) -> _Look:
    return _Look(resource, None, f"{resource}: cannot tell: no readings of {what}")


def _cpu(window: Window) -> _Look:
    share, cores = _read(window, "host", "cpu_share"), _read(window, "target", "cpu_cores")
    used = "" if cores is None else f", the target {cores.mean():.2f} cores of it"
    more = "give it more or faster cores, or find what spends them with a profiler"
    processes = _read(window, "target", "processes")
    if share is not None and share.mean() >= _FULL:
        text = f"CPU: {_percent(share.mean())} of the machine was busy on average{used}"
        busy = _read(window, "host", "cpu_cores")
        if cores is None or busy is None or cores.mean() >= busy.mean() / 2:
            return _Look("CPU", True, text, more)
        generator = _read(window, "generator", "cpu_cores")
        others = "" if generator is None else f", the load generator {generator.mean():.2f}"
        apart = "most of the CPU went to others on its machine: let it have one of its own, and repeat the run"
        return _Look("CPU, which others used", True, f"{text}{others}", apart)
    allowed = _read(window, "target", "cores_available")
    if cores is not None and allowed is not None and cores.mean() >= _FULL * allowed.mean():
        text = f"CPU: it used {cores.mean():.2f} of the {allowed.mean():.2g} cores that it may use"
        return _Look("CPU", True, text, more)
    single = processes is not None and processes.max() == 1
    if cores is not None and single and _ONE_CORE[0] <= cores.mean() and cores.max() <= _ONE_CORE[1]:
        text = f"CPU: its one process used one core to the full ({cores.mean():.2f} cores on average)"
        return _Look("CPU (one core)", True, text, "let it use more cores: more workers, or threads that run at once")
    if share is None:
        seen = "" if cores is None else f" (it used {cores.mean():.2f} cores on average)"
        return _unknown("CPU", f"the CPU of the machine that the target is on{seen}")
    return _Look("CPU", False, f"CPU: {_percent(share.mean())} of the machine was busy on average{used}")


def _memory(window: Window) -> _Look:
    share, cache = _read(window, "host", "memory_share"), _read(window, "server", "kv_cache_share")
    if cache is not None and cache.max() >= _CACHE_FULL:
        text = f"memory: the KV-cache was {_percent(cache.max())} full at its highest"
        advice = "give the engine more GPU memory, shorten contexts, or quantise the cache"
        return _Look("memory (KV-cache)", True, text, advice)
    own, limit = _read(window, "target", "rss_bytes"), _read(window, "target", "memory_limit_bytes")
    if own is not None and limit is not None and own.max() >= _FULL * limit.mean():
        text = f"memory: it held {figure(float(own.max()), 'bytes')} of the {figure(float(limit.mean()), 'bytes')} "
        text += "that its control group may have"
        advice = "raise the limit of its container or service, or find what holds the memory: beyond it, it is killed"
        return _Look("memory (its limit)", True, text, advice)
    if share is None:
        return _unknown("memory", "the memory of the machine that the target is on")
    text = f"memory: {_percent(share.max())} of the machine's was in use at its highest"
    return _Look("memory", bool(share.max() >= _FULL), text, "give the machine more memory, or find what holds it")


def _disk(window: Window) -> _Look:
    busy, waiting = _read(window, "host", "disk_busy_share"), _read(window, "host", "iowait_share")
    if busy is None and waiting is None:
        return _unknown("disk", "the disks of the machine that the target is on")
    parts = [
        *([f"the busiest was at work {_percent(busy.mean())} of the time"] if busy is not None else []),
        *([f"the CPU waited for one {_percent(waiting.mean())} of the time"] if waiting is not None else []),
    ]
    bound = (busy is not None and busy.mean() >= _DISK_BUSY) or (waiting is not None and waiting.mean() >= _IOWAIT)
    advice = "look for what reads and writes so much: missing indexes, logs, swapping; or use a faster disk"
    return _Look("disk (I/O)", bool(bound), f"disk: {', '.join(parts)}", advice)


def _pool(window: Window) -> _Look:
    ours = pool_wait(window.run, window.scope.phase)
    if ours is not None:
        return _Look("the pool on this side", True, f"pool: {ours}", "raise the scenario's connections")
    there, most = _read(window, "database", "open_connections"), _read(window, "database", "most_connections")
    if there is not None and most is not None and there.mean() >= _FULL * most.mean():
        text = f"pool: {there.mean():.0f} of the database's {most.mean():.0f} connections were open on average"
        return _Look("the database's connections", True, text, "raise max_connections, or put a pooler before it")
    used, size = _read(window, "server", "pool_in_use"), _read(window, "server", "pool_size")
    waiting = _read(window, "server", "pool_waiting")
    if used is None or size is None:
        if np.isfinite(numbers(window.sql, "pool_wait_ms")).any():
            return _Look("pool", False, "pool: queries hardly waited for a connection on this side")
        return _unknown("pool", "the server's pool of connections")
    share, queue = float(used.mean() / max(size.mean(), 1)), 0.0 if waiting is None else float(waiting.mean())
    text = f"pool: {used.mean():.1f} of {size.mean():.0f} connections of the server's pool were in use on average"
    text += f", {queue:.1f} operations waited for one" if queue else ""
    return _Look("its pool of connections", share >= _FULL or queue >= 1, text, "raise the size of the server's pool")


def _locks(window: Window) -> _Look:
    waiting = _read(window, "database", "lock_waiting_connections")
    within = _read(window, "server", "lock_waiting")
    if within is not None and within.mean() >= 1:
        text = f"locks: {within.mean():.1f} requests waited for a lock of the server on average"
        return _Look("a lock of its own", True, text, "hold the lock for less, split it, or do without it")
    if waiting is None and within is not None:
        return _Look("locks", False, f"locks: {within.mean():.1f} requests waited for a lock of the server on average")
    if waiting is None:
        return _unknown("locks", "what the database's connections wait for")
    text = f"locks: {waiting.mean():.1f} connections of the database waited for a lock on average"
    return _Look("locks in the database", bool(waiting.mean() >= 1), text, "shorten the transactions that write")


def _queue(window: Window) -> _Look:
    waiting, running = _read(window, "server", "requests_waiting"), _read(window, "server", "requests_running")
    before = _read(window, "server", "queue_waiting")
    if before is not None and before.mean() >= 1:
        text = f"queue: {before.mean():.1f} requests waited before the server on average"
        advice = "let it serve more at once (workers, threads), make a request cheaper, or add servers"
        return _Look("its queue", True, text, advice)
    if waiting is None:
        return _unknown("queue", "the server's queue of requests")
    text = f"queue: {waiting.mean():.1f} requests waited in the server on average"
    text += f", {running.mean():.1f} were served at once" if running is not None else ""
    advice = "let the engine serve more at once (its batch, its slots), or add servers"
    return _Look("its queue", bool(waiting.mean() >= 1), text, advice)
