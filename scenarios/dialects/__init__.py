"""The wire formats of LLM servers, one small class each: how a question is written, and how an answer is read."""

from scenarios.dialects.base import Dialect
from scenarios.dialects.chat import ChatDialect
from scenarios.dialects.completions import CompletionsDialect
from scenarios.dialects.responses import ResponsesDialect

DIALECTS: dict[str, Dialect] = {
    "chat": ChatDialect(),
    "completions": CompletionsDialect(),
    "responses": ResponsesDialect(),
}
"""By the name that a plan's `endpoint` gives them."""
