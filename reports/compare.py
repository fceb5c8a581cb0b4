"""`python -m reports.compare BEFORE AFTER`: did the server get slower, faster, or can nobody tell?

Each of the two is a run folder, or a baseline file that `make baseline` wrote.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plans.exits import Exit
from plans.metrics import METRICS, Better
from plans.quantities import parse_quantity
from plans.run import RUN_FILE
from reports.analysis import REPORT_FOLDER
from reports.changes import Change, Word
from reports.comparison import Comparison, Row, compare
from reports.figures import change_text, figure, unit_of
from reports.markdown import safe
from reports.render import page
from reports.snapshots import POINTS, Curve, NoSnapshot, Snapshot, read_snapshot, snapshot
from reports.texts import one_line

_STYLES = (
    "vendor/uplot-1.6.32.min.css",
    *(f"styles/{name}.css" for name in ("theme", "page", "tables", "charts", "comparison", "print")),
)
_SCRIPTS = ("vendor/uplot-1.6.32.iife.min.js", *(f"scripts/{name}.js" for name in ("figures", "paint", "overlay")))
_TONES = {Word.REGRESSED: "FAIL", Word.UNKNOWN: "INVALID", Word.SAME: "PASS", Word.IMPROVED: "PASS"}
_STATES = {Word.REGRESSED: "fail", Word.UNKNOWN: "no_data", Word.SAME: "pass", Word.IMPROVED: "pass"}
_GLOSS = {
    Word.REGRESSED: "Worse than chance and tolerance explain.",
    Word.UNKNOWN: "A regression can be neither shown nor excluded.",
    Word.SAME: "A regression beyond the tolerance is excluded.",
    Word.IMPROVED: "Better than chance and tolerance explain, and nothing worse.",
}
_WIDTH = 200


class NotComparable(Exception):
    """What was named is no run and no baseline; the message names it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and write the page; return 0 no regression, 1 regression, 2 bad usage, 3 cannot tell."""
    parser = argparse.ArgumentParser(prog="python -m reports.compare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path, metavar="BEFORE", help="run folder, or baseline file")
    parser.add_argument("after", type=Path, metavar="AFTER", help="run folder, or baseline file")
    parser.add_argument("--tolerance", help="by how much a figure may be worse, such as 10 %% (default: 5 %%)")
    parser.add_argument("--out", type=Path, help="folder to write to (default: the report folder of AFTER)")
    options = parser.parse_args(arguments)
    try:
        tolerance = _tolerance(options.tolerance)
        before, after = _read(options.before), _read(options.after)
        found = compare(before, after, tolerance)
        place = write(found, options.out or _place(options.after))
    except NotComparable as error:
        print(f"error: {error}", file=sys.stderr)
        return Exit.USAGE
    except OSError as error:
        print(f"error: the comparison cannot be written: {error}", file=sys.stderr)
        return Exit.USAGE
    print("\n".join(to_text(found)))
    print(f"comparison: {place}")
    return found.exit_code


def _tolerance(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(str(parse_quantity(text, "share")))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10:
        raise NotComparable(f"--tolerance must be a share of 0 to 10 such as 0.1, or 10 %, got '{text}'")
    return value


def _read(path: Path) -> Snapshot:
    if path.is_file():
        try:
            return read_snapshot(json.loads(path.read_text(encoding="utf-8")), path.stem)
        except (ValueError, NoSnapshot) as error:
            raise NotComparable(f"{path} is no baseline: {error}") from None
    if not (path / RUN_FILE).is_file():
        raise NotComparable(f"{path} is neither a run folder (no {RUN_FILE} in it) nor a baseline file")
    # Here and not above: a wrong path need not wait for pandas.
    from reports.analyzer import analyze  # noqa: PLC0415

    try:
        return snapshot(analyze(path))
    except ValueError as error:
        raise NotComparable(f"{path} cannot be analysed: {one_line(str(error))}") from None


def _place(after: Path) -> Path:
    return after / REPORT_FOLDER if after.is_dir() else Path("runs") / "comparisons"


def write(found: Comparison, folder: Path) -> Path:
    """Write the comparison as HTML, JSON and Markdown and return the page. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "comparison-with-" + "".join(c if c.isalnum() or c in "-_." else "_" for c in found.before.name)[:80]
    for ending, text in {"html": to_html(found), "json": to_json(found), "md": to_markdown(found)}.items():
        (folder / f"{stem}.{ending}").write_text(text, encoding="utf-8", errors="replace")
    return folder / f"{stem}.html"


def to_html(found: Comparison) -> str:
    """Return the page: one file, everything escaped, nothing fetched."""
    charts = list(_charts(found.before, found.after))
    return page(
        "comparison.html.j2",
        _STYLES,
        _SCRIPTS,
        comparison=found,
        before=found.before,
        after=found.after,
        tone=_TONES[found.word],
        states=_STATES,
        gloss=_GLOSS,
        charts=charts,
        shown=_shown,
        ends=_ends,
        tolerance=_tolerated,
        strip_of=strip_of,
        change_text=change_text,
        json={"step": _length(found) / POINTS, "points": POINTS, "charts": charts},
    )


def to_json(found: Comparison) -> str:
    """Return the comparison for machines."""
    document = {
        "schema_version": 1,
        "verdict": found.word,
        "exit_code": found.exit_code,
        "reasons": found.reasons,
        "differences": found.differences,
        "before": _provenance(found.before),
        "after": _provenance(found.after),
        "judged": [_plain(row) for row in found.judged],
        "others": [_plain(row) for row in found.others],
    }
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def to_markdown(found: Comparison) -> str:
    """Return the answer and what is judged as GitHub Markdown."""
    names = f"{safe(found.after.name)} against {safe(found.before.name)}"
    lines = [f"## Comparison · {found.word}", "", names, "", *(f"- {safe(reason)}" for reason in found.reasons), ""]
    if found.differences:
        lines += ["Different, too:", "", *(f"- {safe(one)}" for one in found.differences), ""]
    lines += [
        "| Metric | Where | Before | After | Change | 95 % interval | Tolerance | Verdict |",
        "|---|---|---:|---:|---:|---|---:|---|",
    ]
    lines += [f"| {' | '.join(_cells(row))} |" for row in found.judged]
    return "\n".join(lines) + "\n"


def to_text(found: Comparison) -> list[str]:
    """Return what a terminal shows."""
    rows = [[row.change.metric, one_line(row.where, 60), *_cells(row)[2:]] for row in found.judged]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(8)]
    lines = [f"{found.word.upper()}: {one_line(found.after.name, 100)} against {one_line(found.before.name, 100)}"]
    lines += [f" - {one_line(reason)}" for reason in found.reasons]
    lines += [f"warning: {one_line(one)}" for one in found.differences]
    return lines + [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _cells(row: Row) -> list[str]:
    change = row.change
    return [
        change.metric,
        safe(row.where),
        _shown(change, "before"),
        _shown(change, "after"),
        change_text(change.change, change.metric),
        _ends(change),
        _tolerated(change),
        str(change.word),
    ]


def _shown(change: Change, which: str) -> str:
    found = change.before if which == "before" else change.after
    return figure(None if found is None else found.value, unit_of(change.metric))


def _ends(change: Change) -> str:
    if change.interval is None:
        return change_text(None, change.metric)
    return " to ".join(change_text(end, change.metric) for end in change.interval)


def _tolerated(change: Change) -> str:
    return change_text(change.tolerance, change.metric).lstrip("+")


@dataclass(frozen=True, slots=True)
class Strip:
    """Where an interval and its tolerance are drawn: 0 to 200, no change at 100, worse to the right."""

    low: float
    high: float
    point: float
    allowed: tuple[float, float]


def strip_of(change: Change) -> Strip | None:
    """Return how the interval of a change is drawn; None without one."""
    if change.worse is None or change.change is None:
        return None
    sign = 1 if METRICS[change.metric].better is Better.LOWER else -1
    reach = max(4 * change.tolerance, 1e-9)  # beyond it the arm leaves the strip: the figures stand beside it

    def place(value: float) -> float:
        return round(_WIDTH / 2 * (1 + min(max(value / reach, -1.0), 1.0)), 1)

    low, high = change.worse
    allowed = (place(-change.tolerance), place(change.tolerance))
    return Strip(place(low), place(high), place(sign * change.change), allowed)


def _plain(row: Row) -> dict[str, object]:
    change, scope = row.change, row.scope
    return {
        "phase": scope.phase,
        "scenario": scope.scenario,
        "name": scope.name,
        "metric": change.metric,
        "unit": unit_of(change.metric),
        "before": None if change.before is None else change.before.model_dump(),
        "after": None if change.after is None else change.after.model_dump(),
        "change": change.change,
        "interval": None if change.interval is None else [_finite(end) for end in change.interval],
        "tolerance": change.tolerance,
        "verdict": change.word,
        "why": change.why,
    }


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _provenance(one: Snapshot) -> dict[str, object]:
    return one.model_dump(mode="json", exclude={"scopes", "curves", "judged", "schema_version"})


def _length(found: Comparison) -> float:
    return max(found.before.length_s or 0.0, found.after.length_s or 0.0, 1.0)


def _charts(before: Snapshot, after: Snapshot) -> list[dict[str, object]]:
    """Return the curves that both have, on one time axis, by group and unit."""
    length = max(before.length_s or 0.0, after.length_s or 0.0, 1.0)
    there = {(one.group, one.unit, one.label): one for one in before.curves}
    charts: dict[tuple[str, str], list[dict[str, object]]] = {}
    for curve in after.curves:
        if (other := there.get((curve.group, curve.unit, curve.label))) is not None:
            lines = charts.setdefault((curve.group, curve.unit), [])
            ends = {"before": _stretched(other, before, length), "after": _stretched(curve, after, length)}
            lines.append({"label": curve.label, **ends})
    return [
        {
            "id": f"chart-{index}",
            "title": group.capitalize() if group.islower() else group,
            "unit": unit,
            "curves": lines,
        }
        for index, ((group, unit), lines) in enumerate(charts.items())
    ]


def _stretched(curve: Curve, run: Snapshot, length: float) -> list[float | None]:
    """Return the curve at 200 moments of the longer of the two runs; None after its own end."""
    own, count = run.length_s or length, len(curve.values)
    places = [int((index + 0.5) / POINTS * length / own * count) for index in range(POINTS)]
    return [curve.values[place] if place < count else None for place in places]


if __name__ == "__main__":
    sys.exit(main())
