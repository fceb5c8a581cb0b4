"""A locustfile as anybody might have one; it knows nothing of Proofload."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, HttpUser, SequentialTaskSet, TaskSet, User, between, constant, events, tag, task

HEARD: list[str] = []


@events.init.add_listener
def _ready(environment: Any, **_: object) -> None:
    print(f"init heard, {type(environment).__name__}", flush=True)


@events.request.add_listener
def _heard(request_type: str, name: str, response: Any, context: dict[str, Any], **_: object) -> None:
    """A listener that needs what Locust's own clients pass, and must not see what Proofload adds."""
    if "proofload: pending" in context:
        raise RuntimeError("the context is not the user's own")


class Plain(HttpUser):
    wait_time = constant(60)

    @task
    def look(self) -> None:
        self.client.get("/items?page=1", name="items")


class Fast(FastHttpUser):
    wait_time = between(50, 60)

    @task
    def look(self) -> None:
        self.client.post("/items", json={"a": 1})


class Checks:
    """What a request can come to; one kind after the other."""

    client: Any

    def one_of_each(self, gone: str) -> None:
        self.client.get("/status/404", name="missing")
        with self.client.get("/wrong", catch_response=True) as answer:
            answer.failure("no lamp in it")
        with self.client.get("/status/410", name="meant", catch_response=True) as answer:
            answer.success()
        with self.client.get(gone, name="excused", catch_response=True) as answer:
            answer.success()
        self.client.get("/gone", name="lost")
        self.client.get("/wait/5", name="late")
        self.client.get("http://load.example.com/", name="stranger")
        self.client.get("/to/http://load.example.com/", name="led astray")
        self.client.get("/to//moved", name="led on")


class PlainChecks(Checks, HttpUser):
    @task
    def checks(self) -> None:
        self.one_of_each("/gone")


class FastChecks(Checks, FastHttpUser):
    @task
    def checks(self) -> None:
        self.one_of_each("/gone")


class LateFailure(HttpUser):
    """Its first request is well, its second is not."""

    @task
    def two(self) -> None:
        self.client.get("/first")
        self.client.get("/status/500", name="second")


class Bug(FastHttpUser):
    @task
    def parse(self) -> None:
        self.client.get("/before")
        raise KeyError("total")


class BugInCheck(HttpUser):
    @task
    def parse(self) -> None:
        with self.client.get("/checked", catch_response=True) as answer:
            answer.json()["total"]


class Unjudged(HttpUser):
    @task
    def forgets(self) -> None:
        self.client.get("/unjudged", catch_response=True)


class Silent(User):
    @task
    def nothing(self) -> None:
        pass


class Own(User):
    """A client of its own, as in Locust's documentation; it works in a greenlet of its own, too."""

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=(time.perf_counter() - begin) * 1000,
            response_length=7,
            exception=None,
            context={},
            response=None,
        )

    def call(self, name: str) -> None:
        with self.measured(name):
            gevent.sleep(0.1)

    @task
    def both(self) -> None:
        self.call("call")
        Pool(1).spawn(self.call, "call in a greenlet").join()


class Tree(HttpUser):
    """Nested task sets, in order, with wait times of their own."""

    def on_start(self) -> None:
        self.client.get("/login")

    def on_stop(self) -> None:
        self.client.get("/logout")

    @task
    class Rooms(TaskSet):
        wait_time = constant(60)

        @task
        class Steps(SequentialTaskSet):
            wait_time = constant(60)

            @task
            def one(self) -> None:
                self.client.get("/one")

            @task
            def two(self) -> None:
                self.client.get("/two")

            @task
            def three(self) -> None:
                self.client.get("/three")
                self.interrupt()


class Tagged(HttpUser):
    @tag("read")
    @task(5)
    def read(self) -> None:
        self.client.get("/read")

    @tag("write", "slow")
    @task(5)
    def write(self) -> None:
        self.client.post("/write")


class Slow(HttpUser):
    @task
    def wait(self) -> None:
        self.client.get("/wait/30", name="held")


class SlowFast(FastHttpUser):
    @task
    def wait(self) -> None:
        self.client.get("/wait/30", name="held")


class SlowOwn(User):
    @task
    def wait(self) -> None:
        with self.environment.events.request.measure("grpc", "held"):
            gevent.sleep(30)


class Paced(FastHttpUser):
    @task
    def look(self) -> None:
        self.client.get("/wait/0.1", name="paced")
