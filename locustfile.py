"""Proofload's composition root: `locust -f locustfile.py --plan plans/quickstart.yaml`.

Locust finds the user classes and the shape in this module's namespace; everything else is wired up in `init`.
"""

import os
import sys

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

from execution import alone
from execution.conductor import Conductor, exit_usage
from execution.distributed.worker import Worker
from execution.options import add_arguments, refuse_forks
from plans.problems import PlanError
from scenarios.access_log import AccessLogUser
from scenarios.conversations import ConversationUser
from scenarios.crud import EvaluationRunUser, HighVolumeUser, ReadOnlyUser
from scenarios.database import DatabaseUser
from scenarios.inference import ChatUser
from scenarios.openapi import OpenApiUser
from scenarios.retrieval import EmbeddingsUser, RerankUser
from scenarios.sessions import LongSessionUser, SessionStressUser, SessionToolUser, SessionUser
from scenarios.tools import ToolUser
from scenarios.websocket import WebSocketUser
from shapes.profiles import PROFILES, PlanShape

__all__ = [
    "AccessLogUser",
    "ChatUser",
    "ConversationUser",
    "DatabaseUser",
    "EmbeddingsUser",
    "EvaluationRunUser",
    "HighVolumeUser",
    "LongSessionUser",
    "OpenApiUser",
    "PlanShape",
    "ReadOnlyUser",
    "RerankUser",
    "SessionStressUser",
    "SessionToolUser",
    "SessionUser",
    "ToolUser",
    "WebSocketUser",
]

# Headless, Locust takes the first shape of this namespace, which is PlanShape. The fixed profiles come after it,
# for `--class-picker`.
globals().update({profile.__name__: profile for profile in PROFILES})


@events.init_command_line_parser.add_listener
def _add_arguments(parser: LocustArgumentParser) -> None:
    try:
        refuse_forks(sys.argv[1:], os.environ)
    except PlanError as error:
        exit_usage(error.problems)
    add_arguments(parser)


@events.init.add_listener
def _conduct(environment: Environment, **_: object) -> None:
    if isinstance(environment.runner, WorkerRunner):
        Worker(environment)
    else:
        Conductor(environment)


if __name__ == "__main__":
    sys.exit(alone.main(globals()))
