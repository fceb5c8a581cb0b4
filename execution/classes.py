"""The user classes of a plan: Proofload's own, and those of the operator's files."""

from locust import User
from locust.env import Environment
from locust.event import EventHook

from plans.mix import Mix, WebSocketMix
from plans.problems import PlanError, Problem
from scenarios import brought
from scenarios.base import LoadUser


def bring(environment: Environment, mix: Mix) -> dict[str, type[User]]:
    """Return the classes of the operator's own files. Listeners of theirs to `init`, which is past, are called.

    Raises PlanError for a file that cannot be used.
    """
    init = environment.events.init
    known = list(init._handlers)
    classes = brought.classes(mix)
    late = EventHook()
    late._handlers = [handler for handler in init._handlers if handler not in known]
    late.fire(environment=environment, runner=environment.runner, web_ui=environment.web_ui)
    return classes


def of(environment: Environment, mix: Mix) -> list[type[User]]:
    """Return the classes of a mix, in its order. Raises PlanError when Locust was told to leave one of them out."""
    known: dict[str, type[User]] = {cls.__name__: cls for cls in environment.user_classes if issubclass(cls, LoadUser)}
    known |= bring(environment, mix)
    if missing := [name for name in mix.names() if name not in known]:
        wanted = f"must include {', '.join(missing)}, as the plan asks"
        raise PlanError([Problem("command line", "user classes", wanted)])
    return [known[name] for name in mix.names()]


def announce(environment: Environment, mix: Mix) -> list[type[User]]:
    """Tell Locust of the classes of a mix, the proportions of the pool and the held connections; return the classes."""
    classes = of(environment, mix)
    others = [cls for cls in environment.user_classes if cls.__name__ not in mix.names()]
    environment.user_classes = [*others, *classes]
    for cls in classes:
        scenario = getattr(mix, cls.__name__)
        cls.weight = getattr(scenario, "share", 1.0)
        cls.fixed_count = scenario.connections if isinstance(scenario, WebSocketMix) else 0
    return classes
