"""The confusion matrix: what was shown against what was found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from selftest.faults import NOTHING
from selftest.showing import Finding

FULL_SEEDS, FULL_CLEAN = 3, 10


def columns(findings: Sequence[Finding]) -> list[str]:
    """Return the names that were wanted or found, in the order of their appearance; nothing comes last."""
    names = dict.fromkeys([finding.wanted for finding in findings] + [finding.found for finding in findings])
    return [*(name for name in names if name != NOTHING), NOTHING]


def markdown(findings: Sequence[Finding]) -> str:
    """Return the matrix and what was not right, as Markdown."""
    heads = columns(findings)
    counts = Counter((finding.shown, finding.found) for finding in findings)
    shown = dict.fromkeys(finding.shown for finding in findings)
    wanted = {finding.shown: finding.wanted for finding in findings}
    lines = ["# Self-test", "", *reasons(findings), "", f"| shown \\ found | {' | '.join(heads)} |"]
    lines += ["|---|" + "---:|" * len(heads)]
    for name in shown:
        cells = (
            f"**{counts[name, head]}**" if head == wanted[name] else str(counts[name, head] or "") for head in heads
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    wrong = [finding for finding in findings if not finding.right]
    if wrong:
        lines += ["", "## Not right", ""]
        lines += [
            f"- {f.shown}, seed {f.seed}: found {f.found}; broken: {', '.join(f.broken)} ({f.folder})" for f in wrong
        ]
    return "\n".join(lines) + "\n"


def reasons(findings: Sequence[Finding]) -> list[str]:
    """Return the result in words."""
    faults = [finding for finding in findings if finding.wanted != NOTHING]
    clean = [finding for finding in findings if finding.wanted == NOTHING]
    found = sum(finding.right for finding in faults)
    kinds = len({finding.shown for finding in faults})
    alarms = sum(not finding.right for finding in clean)
    return [
        f"{found} of {len(faults)} runs with one of {kinds} faults were found and named rightly, "
        f"{alarms} false alarms in {len(clean)} runs without a fault."
    ]


def document(findings: Sequence[Finding], complete: bool) -> dict[str, Any]:
    """Return the result for machines; `passed` is about what was run, `complete` whether that was everything."""
    return {
        "schema_version": 1,
        "made_at": datetime.now().astimezone().isoformat(timespec="seconds"),
        "passed": bool(findings) and all(finding.right for finding in findings),
        "complete": complete,
        "reasons": reasons(findings),
        "findings": [asdict(finding) | {"right": finding.right} for finding in findings],
    }
