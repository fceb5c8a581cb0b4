"""What the simulated model says: deterministic answers, right where a prompt has a right answer.

A load test grades answers, so a question with one answer (arithmetic, capitals, counting, repeating, number
words, JSON with given keys) gets it; everything else gets fluent text about the words of the prompt, made by
`prose.py`. The same prompt and seed always give the same answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from .prose import about, key_words

MAX_LISTED = 2000

CAPITALS = {
    "argentina": "Buenos Aires", "australia": "Canberra", "austria": "Vienna", "belgium": "Brussels",
    "brazil": "Brasília", "canada": "Ottawa", "chile": "Santiago", "china": "Beijing",
    "colombia": "Bogotá", "czech republic": "Prague", "denmark": "Copenhagen", "egypt": "Cairo",
    "finland": "Helsinki", "france": "Paris", "germany": "Berlin", "greece": "Athens",
    "hungary": "Budapest", "iceland": "Reykjavik", "india": "New Delhi", "indonesia": "Jakarta",
    "ireland": "Dublin", "israel": "Jerusalem", "italy": "Rome", "japan": "Tokyo", "kenya": "Nairobi",
    "mexico": "Mexico City", "morocco": "Rabat", "netherlands": "Amsterdam", "new zealand": "Wellington",
    "nigeria": "Abuja", "norway": "Oslo", "peru": "Lima", "poland": "Warsaw", "portugal": "Lisbon",
    "romania": "Bucharest", "russia": "Moscow", "south korea": "Seoul", "spain": "Madrid",
    "sweden": "Stockholm", "switzerland": "Bern", "thailand": "Bangkok", "turkey": "Ankara",
    "ukraine": "Kyiv", "united kingdom": "London", "united states": "Washington, D.C.",
    "usa": "Washington, D.C.", "vietnam": "Hanoi",
}  # fmt: skip

WITH_ARTICLE = frozenset({"usa", "united states", "united kingdom", "netherlands", "czech republic"})
COUNTED = frozenset({"age", "count", "id", "year", "score", "total", "quantity", "price"})
"""JSON keys whose values are numbers even when the prompt does not say so."""

_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS = {word: value for value, word in enumerate(_UNITS)} | {
    word: 20 + 10 * place for place, word in enumerate(_TENS)
}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

OPERATORS = {
    "plus": "+", "minus": "-", "−": "-", "–": "-", "times": "*", "multiplied by": "*", "×": "*", "x": "*",
    "divided by": "/", "÷": "/",
}  # fmt: skip
_OPERATOR = r"(?:\s*[+*/×÷−–]\s*|\s+[-x]\s+|(?<=\d)-(?=\d)|\s+(?:plus|minus|times|multiplied by|divided by)\s+)"
_NUMBER = r"-?\d+(?:\.\d+)?"
_SUM = re.compile(rf"(?<![\w.]){_NUMBER}(?:{_OPERATOR}{_NUMBER})+(?![\w])", re.IGNORECASE)
_IN_WORDS = tuple(
    (re.compile(rf"\b{words} ({_NUMBER}) (?:and|by|to|from) ({_NUMBER})", re.IGNORECASE), operator)
    for words, operator in (
        (r"(?:sum of|add)", "+"),
        (r"(?:difference (?:of|between))", "-"),
        (r"(?:product of|multiply)", "*"),
        (r"(?:quotient of|divide)", "/"),
    )
)
_ASKS_FOR_SUM = re.compile(
    r"\b(?:what is|what's|what does|calculate|compute|how much|evaluate|solve|work out|result|add|sum)\b"
    r"|\banswer\b|=",
    re.IGNORECASE,
)
_TERSE = re.compile(
    r"\b(?:only|just)\b[^.]*\b(?:number|result|answer|digits?|value|name|city|word|capital)\b|\bone word\b"
    r"|\b(?:number|result|answer|digits?|value|name|city|word|capital) (?:only|alone)\b"
    r"|without (?:any )?explanation",
    re.IGNORECASE,
)
_EXACT = re.compile(
    r"\b(?:(?:reply|respond|answer|say|output|write|return)\s+(?:(?:with|only|just)\s+)*"
    r"(?:exactly|verbatim|(?:only )?the (?:single |one )?word)"
    r"|repeat\s+(?:exactly|verbatim|after me))"
    r"(?:\s+(?:the|this|these|following|one|single|words?|phrase|text|sentence|and nothing else))*"
    r"\s*[:,]?\s+(.+)",
    re.IGNORECASE | re.DOTALL,
)
_CAPITAL = re.compile(r"\bcapital(?: city)? of (?:the )?([a-z]+(?: [a-z]+)?)", re.IGNORECASE)
_COUNTING = re.compile(
    r"\b(?:count|(?:list|name|write|give|print|output)\b[^.?!]*?\b(?:numbers|integers))\b[^.?!\d]*?(\d+)"
    r"\s*(?:to|through|until|up to|-|–)\s*(\d+)",
    re.IGNORECASE,
)
_WORDS_TO_NUMBER = re.compile(r"words?\b[^:]*\bnumber\b[^:]*:\s*([a-z ,\-]+)", re.IGNORECASE)
_JSON_KEYS = re.compile(
    r"\bjson\b.*?\b(?:keys?|fields?|properties)\b\s*(?:named|called|are|:)?\s*[:]?\s*(.+?)(?:[.!?](?:\s|$)|\n|$)",
    re.IGNORECASE | re.DOTALL,
)
_JSON_KEY = re.compile(r"[\"'`]?([A-Za-z_][\w-]*)[\"'`]?(?:\s*(?:\(|:)\s*(\w+)[^,)]*\)?)?")


@lru_cache(maxsize=2048)
def answer(prompt: str, seed: int, as_json: bool = False) -> str:
    """The model's answer to `prompt`; `as_json` asks for a JSON object (response_format json_object)."""
    for rule in (_exact, _number_words, _capital, _counting, _sum):
        if not as_json and (found := rule(prompt)) is not None:
            return found
    found = _json(prompt, seed)
    if found is not None:
        return found
    text = about(prompt, seed)
    return json.dumps({"answer": text}, ensure_ascii=False) if as_json else text


def _exact(prompt: str) -> str | None:
    match = _EXACT.search(prompt)
    if match is None:
        return None
    text = match[1].strip()
    # Quotes around the whole text mark its ends; they are not part of it.
    if len(text) > 1 and (text[0], text[-1]) in {('"', '"'), ("'", "'"), ("“", "”"), ("`", "`")}:
        text = text[1:-1]
    return text or None


def _capital(prompt: str) -> str | None:
    match = _CAPITAL.search(prompt)
    if match is None:
        return None
    words = match[1].lower().split()
    for name in (" ".join(words), words[0]):
        if name in CAPITALS:
            city = CAPITALS[name]
            if _TERSE.search(prompt):
                return city
            country = "USA" if name == "usa" else name.title()
            the = "the " if name in WITH_ARTICLE else ""
            return f"The capital of {the}{country} is {city}" + ("" if city.endswith(".") else ".")
    return None


def _counting(prompt: str) -> str | None:
    match = _COUNTING.search(prompt)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    step = 1 if last >= first else -1
    listed = list(range(first, last + step, step))[:MAX_LISTED] if abs(last - first) < 10**6 else []
    return ", ".join(map(str, listed)) or None


def _number_words(prompt: str) -> str | None:
    match = _WORDS_TO_NUMBER.search(prompt)
    if match is None:
        return None
    words = [word for word in re.split(r"[ ,\-]+", match[1].lower()) if word and word != "and"]
    known: list[str] = []
    for word in words:
        if word not in NUMBER_WORDS and word not in SCALES and word != "hundred":
            break
        known.append(word)
    return str(_value_of(known)) if known else None


def _value_of(words: list[str]) -> str:
    """Digits read one by one are put side by side ("one two three"); anything else is a cardinal number."""
    if all(NUMBER_WORDS.get(word, 10) < 10 for word in words):
        return "".join(str(NUMBER_WORDS[word]) for word in words)
    total = group = 0
    for word in words:
        if word == "hundred":
            group = max(group, 1) * 100
        elif word in SCALES:
            total += max(group, 1) * SCALES[word]
            group = 0
        else:
            group += NUMBER_WORDS[word]
    return str(total + group)


def _sum(prompt: str) -> str | None:
    for pattern, operator in _IN_WORDS:
        prompt = pattern.sub(rf"what is \1 {operator} \2", prompt)
    match = _SUM.search(prompt)
    if match is None or not _ASKS_FOR_SUM.search(prompt):
        return None
    pieces = re.findall(rf"{_OPERATOR}|{_NUMBER}", match[0], re.IGNORECASE)
    # Numbers and operators take turns; a minus sign between two numbers is an operator.
    terms = [Fraction(re.findall(r"-?[\d.]+", pieces[0])[0])]
    for operator, number in zip(pieces[1::2], pieces[2::2], strict=False):
        name = operator.strip().lower()
        sign, value = OPERATORS.get(name, name), Fraction(number)
        if sign in "*/":
            if sign == "/" and value == 0:
                return "Division by zero is undefined."
            terms[-1] = terms[-1] * value if sign == "*" else terms[-1] / value
        else:
            terms.append(value if sign == "+" else -value)
    result = sum(terms, Fraction(0))
    shown = str(result.numerator) if result.denominator == 1 else f"{float(result):.6g}"
    return shown if _TERSE.search(prompt) else f"{match[0].strip()} = {shown}"


def _json(prompt: str, seed: int) -> str | None:
    match = _JSON_KEYS.search(prompt)
    if match is None:
        return None
    keys = re.sub(r"\band\b", ",", match[1])
    found: dict[str, object] = {}
    for part in re.split(r",(?![^()]*\))", keys):
        key = _JSON_KEY.match(part.strip())
        if key is not None:
            found[key[1]] = _value_for(key[1], (key[2] or "").lower(), prompt, seed)
    return json.dumps(found, ensure_ascii=False) if found else None


def _value_for(key: str, kind: str, prompt: str, seed: int) -> object:
    number = (sum(map(ord, key)) + seed) % 90 + 10
    makers: dict[str, Callable[[], object]] = {
        "int": lambda: number, "integer": lambda: number, "number": lambda: number,
        "float": lambda: number / 10,
        "bool": lambda: number % 2 == 0, "boolean": lambda: number % 2 == 0,
        "array": lambda: key_words(prompt)[:3], "list": lambda: key_words(prompt)[:3],
        "object": lambda: {"name": key}, "null": lambda: None,
    }  # fmt: skip
    guess = "integer" if key.lower() in COUNTED else ""
    maker = makers.get(kind or guess)
    return maker() if maker else f"{key.replace('_', ' ')} value"
