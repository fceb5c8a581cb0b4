"""The timeline of faults: switches the embedded platform's faults on and off while the load runs."""

import json
from collections.abc import Callable

import gevent

from clients.errors import ClientError
from plans.faults import Fault
from samples.journal import Event, EventKind, Journal
from scenarios.session import Session


class FaultTimeline:
    """Keeps the plan's appointments with the platform's fault switch.

    A fault that cannot be switched calls `refused` with the reason: a run without it would not be the planned one.
    """

    def __init__(self, session: Session, journal: Journal, refused: Callable[[str], None]) -> None:
        self._session, self._journal, self._refused = session, journal, refused

    def run(self) -> None:
        """Switch every fault at its time; returns after the last switch."""
        greenlets = [gevent.spawn(self._keep, fault) for fault in self._session.plan.faults]
        try:
            gevent.joinall(greenlets)
        finally:
            gevent.killall(greenlets)

    def _keep(self, fault: Fault) -> None:
        self._sleep_until(fault.at)
        self._switch(fault, "PUT", "/faults", {"kind": fault.kind, **fault.params})
        if fault.duration is not None:
            self._sleep_until(fault.at + fault.duration)
            self._switch(fault, "DELETE", f"/faults/{fault.kind}", None)

    def _sleep_until(self, moment: float) -> None:
        gevent.sleep(max(moment - self._session.clock(), 0))

    def _switch(self, fault: Fault, method: str, path: str, body: dict[str, object] | None) -> None:
        word = "on" if method == "PUT" else "off"
        kind, text = EventKind.FAULT, f"fault {fault.kind} {word}"
        try:
            with self._session.client() as client:
                response = client.request(method, path, json.dumps(body).encode() if body else b"", timeout=5)
            if response.status >= 400:
                kind = EventKind.WARNING
                text += f" was refused: {response.body[:200].decode('utf-8', 'replace')}"
        except ClientError as error:
            kind, text = EventKind.WARNING, f"{text} did not get through: {error}"
        event = Event(self._session.clock(), kind, text)
        gevent.get_hub().threadpool.apply(self._journal.add, (event,))  # it waits for the disk
        if kind is EventKind.WARNING:
            self._refused(text)
