"""Asks a judge what some of the answers are worth: after the run, one after the other, never during it."""

import json
import os
import re
from collections.abc import Callable, Sequence

from clients.errors import ClientError
from clients.http import HttpClient
from plans.schema import Judge, Plan
from samples.answers import Graded, Judgement, KeptAnswer

_PATH = "/v1/chat/completions"
_MOST_FAILURES = 3
"""So many failures one after the other, and the judge is not asked any more."""
_MAX_TOKENS = 200
_QUESTION = """You grade the answer of a language model. Judge only whether it answers the question, is correct and is \
well-formed; an answer that ends early because of a length limit is fine.

Question:
{prompt}

Answer:
{answer}

Give me a JSON object with the keys score (integer) and why. The score is from 0 (useless) to 100 (right)."""
_SCORE = re.compile(r'"score"\s*:\s*"?(\d+(?:\.\d+)?)')
_WHY = re.compile(r'"why"\s*:\s*("(?:[^"\\]|\\.)*")')


class _NoGrade(Exception):
    """The judge answered with something that is no grade."""


def secrets_of(plan: Plan) -> tuple[str, ...]:
    """Return the judge's bearer token, which must not be kept; it comes from the environment."""
    token = os.environ.get(plan.judge.api_key_env or "") if plan.judge else None
    return (token,) if token else ()


def ask(judge: Judge, answers: Sequence[KeptAnswer], clean: Callable[[str], str]) -> Judgement:
    """Return what the judge says of as many of the answers as the plan wants, evenly chosen."""
    count = min(judge.sample, len(answers))
    chosen = [answers[index * len(answers) // count] for index in range(count)]
    grades: list[Graded] = []
    problems: list[str] = []
    failed = 0
    token = os.environ.get(judge.api_key_env) if judge.api_key_env else None
    with HttpClient(judge.host, {"Authorization": f"Bearer {token}"} if token else {}) as client:
        for answer in chosen:
            try:
                score, why = _grade(client, judge, answer)
                grades.append(Graded(answer.prompt_id, score, clean(why)))
                failed = 0
            except (ClientError, _NoGrade) as error:
                problems.append(clean(str(error)))
                failed += 1
            if failed == _MOST_FAILURES:
                problems.append(f"{_MOST_FAILURES} failures one after the other: not asked any more")
                break
    return Judgement(judge.model, judge.host, count, grades, list(dict.fromkeys(problems)))


def _grade(client: HttpClient, judge: Judge, answer: KeptAnswer) -> tuple[float, str]:
    text = _QUESTION.format(prompt=answer.prompt, answer=answer.answer)
    body = {
        "model": judge.model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": _MAX_TOKENS,
        "temperature": 0,
    }
    response = client.request("POST", _PATH, json.dumps(body).encode(), timeout=judge.timeout)
    if response.status != 200:
        raise _NoGrade(f"HTTP {response.status}: {response.body[:200].decode('utf-8', 'replace')}")
    try:
        said = str(json.loads(response.body)["choices"][0]["message"]["content"])
    except (ValueError, LookupError, TypeError):
        raise _NoGrade("not a chat completion") from None
    found, why = _SCORE.search(said), _WHY.search(said)
    if found is None or not 0 <= float(found[1]) <= 100:
        raise _NoGrade(f"no score from 0 to 100 in: {said[:200]}")
    return float(found[1]) / 100, _unquoted(why[1]) if why else ""


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text
