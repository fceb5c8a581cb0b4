"""Leaves the users to the workers: each runs as many as the arrivals that it was given need."""

from typing import TYPE_CHECKING

from locust.dispatch import UsersDispatcher

if TYPE_CHECKING:
    from locust import User
    from locust.runners import WorkerNode

_NOBODY = "nobody"
"""Locust cannot tell nobody that it has nothing to say."""


class OwnPools(UsersDispatcher):
    """Takes the place of Locust's distribution of users, which begins from zero whenever a worker comes or goes.

    It tells every worker that a test runs, and no number of users; what a worker has it reports as it always does.
    """

    def __init__(self, worker_nodes: "list[WorkerNode]", user_classes: "list[type[User]]") -> None:
        self._nodes = {node.id for node in worker_nodes}
        self._told = False

    @property
    def dispatch_in_progress(self) -> bool:
        """Return False: there is nothing that could be in progress."""
        return False

    def new_dispatch(
        self, target_user_count: int, spawn_rate: float, user_classes: "list[type[User]] | None" = None
    ) -> None:
        """Begin to tell."""
        self._told = False

    def __next__(self) -> dict[str, dict[str, int]]:
        if self._told:
            raise StopIteration
        self._told = True
        return {node: {} for node in self._nodes or {_NOBODY}}

    def add_worker(self, worker_node: "WorkerNode") -> None:
        """Tell this one too from now on."""
        self._nodes.add(worker_node.id)

    def remove_worker(self, worker_node: "WorkerNode") -> None:
        """Tell this one no more."""
        self._nodes.discard(worker_node.id)
