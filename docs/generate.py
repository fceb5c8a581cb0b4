"""`python -m docs.generate`: write the glossary of metrics into docs/metrics.md; `--check` only compares."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from plans.metrics import METRICS, STATISTICS, Metric

PAGE = Path(__file__).resolve().parent / "metrics.md"
_SECTION = re.compile(r"(<!-- glossary:begin -->\n).*?(<!-- glossary:end -->)", re.DOTALL)
_MEMBER = re.compile(rf"(\w+?)_({'|'.join(STATISTICS)})_ms")


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with `--check` return 1 when it is out of date."""
    before = PAGE.read_text(encoding="utf-8")
    after = with_glossary(before)
    if "--check" in arguments:
        return int(before != after)
    PAGE.write_text(after, encoding="utf-8")
    return 0


def with_glossary(page: str) -> str:
    """Return the page with a fresh glossary between its marks."""
    glossary = "\n".join(_glossary())
    return _SECTION.sub(lambda marks: f"{marks[1]}{glossary}\n{marks[2]}", page)


def _glossary() -> Iterator[str]:
    families: dict[str, list[Metric]] = {}
    singles: list[Metric] = []
    for metric in METRICS.values():
        member = _MEMBER.fullmatch(metric.name)
        (families.setdefault(member[1], []) if member else singles).append(metric)
    yield from ("| metric | unit | better | rows | formula |", "|---|---|---|---|---|")
    for one in singles:
        yield f"| `{one.name}` | {one.unit} | {one.better} | {one.kind} | {_cell(one.formula)} |"
    yield from ("", "Families of times, all in milliseconds, lower is better:", "")
    yield from ("| family | rows | what is timed | metrics |", "|---|---|---|---|")
    for name, members in families.items():
        what = members[0].formula.partition(": ")[2] or members[0].formula.partition(" of ")[2]
        names = " ".join(f"`{metric.name}`" for metric in members)
        yield f"| `{name}` | {members[0].kind} | {_cell(what)} | {names} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
