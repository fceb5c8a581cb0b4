"""The simplest user of Proofload's own kind: what a request costs beyond it is the suite's own."""

from locust import task

from scenarios.base import ArrivingUser


class SimpleUser(ArrivingUser):
    """Asks for the front page, and looks at the status alone, as the plain Locust users beside it do."""

    @task
    def get(self) -> None:
        """One request."""
        with self.measure("get") as attempt:
            self.exchange(attempt.sample, "GET", "/")
