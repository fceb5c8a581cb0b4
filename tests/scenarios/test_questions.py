"""An arrival has its prompt, whoever carries it; bodies are filled by copying."""

import json
from collections import Counter

import pytest

from data.prompts import Prompt
from scenarios.bodies import LENGTH, PROMPT, Template
from tests.scenarios.streams import DONE, FINISH, WORDS, Run, whole


@pytest.mark.parametrize(
    "messages",
    [
        'She said "no" \\ naïve café 😀\n',
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}],
        [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url"}]}],
    ],
)
def test_a_filled_template_is_what_encoding_the_whole_gives(messages: str | list[dict[str, object]]) -> None:
    prompt = Prompt.of("p", messages)
    template = Template({"a": [1, PROMPT], "max_tokens": LENGTH, "min_tokens": LENGTH, "again": PROMPT})
    chat = messages if isinstance(messages, list) else [{"role": "user", "content": messages}]
    wanted = {"a": [1, chat], "max_tokens": 17, "min_tokens": 17, "again": chat}
    assert json.loads(template.filled(prompt.messages_json, 17)) == wanted
    assert json.loads(template.filled(prompt.content_json, 5))["again"] == chat[-1]["content"]


def test_a_prompt_can_be_read_again() -> None:
    prompt = Prompt.of("p", [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}])
    assert (prompt.text, [message["role"] for message in prompt.messages]) == ("Who?", ["system", "user"])
    parts = Prompt.of("p", [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}])
    assert parts.text == "a"
    assert Prompt.of("p", "é").messages == [{"role": "user", "content": "é"}]


def test_the_same_arrival_asks_the_same_in_every_run_and_the_prompts_take_turns(run: Run) -> None:
    asked = [
        {sample["arrival"]: sample["prompt_id"] for sample in run(whole(*WORDS, FINISH, DONE), count=60, rate=200.0)}
        for _ in range(2)
    ]
    assert asked[0] == asked[1]
    counts = Counter(asked[0].values())
    assert len(counts) >= 15  # of the 24 of the class; 60 draws miss about two
    assert max(counts.values()) <= 10
