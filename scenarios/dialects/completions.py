"""Text completions: one prompt in, `choices` with text out. Read as chat completions are."""

import json
from functools import lru_cache

from data.prompts import Prompt
from scenarios.bodies import PROMPT
from scenarios.dialects.base import Settings
from scenarios.dialects.chat import ChatDialect, sampling


class CompletionsDialect(ChatDialect):
    """`POST /v1/completions`: for base models, and servers without a chat template."""

    name = "completions"
    path = "/v1/completions"

    def body(self, settings: Settings, *, stream: bool, usage: bool) -> dict[str, object]:
        """The prompt is one text."""
        return {"model": settings.model, "prompt": PROMPT} | sampling(settings, stream, usage)

    def prompt_json(self, prompt: Prompt) -> bytes:
        """The texts of all messages are one: roles have no place in it."""
        if prompt.chat_json is None and prompt.content_json.startswith(b'"'):
            return prompt.content_json
        return _texts_of(prompt.messages_json)


@lru_cache(maxsize=4096)
def _texts_of(messages_json: bytes) -> bytes:
    texts: list[str] = []
    for message in json.loads(messages_json):
        content = message.get("content") or ""
        parts = [{"text": content}] if isinstance(content, str) else content
        texts += [part["text"] for part in parts if "text" in part]
    return json.dumps("\n\n".join(texts)).encode()
