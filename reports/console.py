"""The verdict in the terminal: a table that a person can read at a glance, at 80 columns and without colours too."""

from typing import TextIO

from rich.box import ASCII2, SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from reports.analysis import Analysis, CriterionResult, State, Verdict
from reports.diagnosis import sentence
from reports.figures import MISSING, figure, identity_text, length, margin_text, measured_text, pair
from reports.texts import one_line, printable

_STYLES = {
    State.PASS: "green",
    State.FAIL: "bold red",
    State.NO_DATA: "bold magenta",
    State.WARN: "yellow",
}
_WORDS = {State.PASS: "pass", State.FAIL: "FAIL", State.NO_DATA: "NO DATA", State.WARN: "warn"}
_SIGNS = {State.PASS: "✓", State.FAIL: "✗", State.NO_DATA: "?", State.WARN: "!"}
_BANNERS = {
    Verdict.PASS: "bold white on green",
    Verdict.FAIL: "bold white on red",
    Verdict.INVALID: "bold white on magenta",
}

_ASCII = str.maketrans(
    {
        "–": "-",
        "—": "-",
        "−": "-",
        "→": "->",
        "≤": "<=",
        "≥": ">=",
        "×": "x",
        "…": "...",
        "·": "|",
        "✓": "+",
        "✗": "x",
        "∞": "inf",
        "’": "'",
        "“": '"',
        "”": '"',
        "§": "sect. ",
        "±": "+-",
        "\u00a0": " ",
    }
)

_WIDE = 100
_NARROW = 60


def print_verdict(analysis: Analysis, file: TextIO) -> None:
    """Write the verdict, its reasons, the criteria, broken checks and phases to `file`, as wide as it is."""
    terminal = _Terminal(file)
    terminal.banner(analysis)
    if analysis.criteria:
        terminal.show(_criteria_table(analysis, terminal))
        if any(result.close for result in analysis.criteria):
            terminal.line("~ close: the limit lies inside the 95 % interval of the measured value", "dim")
    broken = [check for check in analysis.health if not check.passed]
    for check in broken:
        terminal.line(
            f"generator: {check.name} is {check.measured}, limit {check.limit}: {check.advice}", "bold magenta"
        )
    if analysis.phases:
        terminal.show(_phase_table(analysis, terminal))
    terminal.line(identity_text(analysis.total.accounting), "dim")
    for finding in analysis.findings:
        terminal.line(f"found: {sentence(finding)}", "bold")
    for note in analysis.notes:
        terminal.line(f"note: {note}", "dim")


class _Terminal:
    """A rich console that falls back to ASCII when the encoding of the file cannot do more."""

    def __init__(self, file: TextIO) -> None:
        encoding = getattr(file, "encoding", None) or "utf-8"
        try:
            "–→≥✓─│".encode(encoding)
            self.ascii = False
        except (UnicodeEncodeError, LookupError):
            self.ascii = True
        self._encoding = encoding
        self._console = Console(file=file, highlight=False, emoji=False, markup=False, soft_wrap=False)

    @property
    def width(self) -> int:
        return self._console.width

    def text(self, value: str, style: str = "") -> Text:
        """Return the text in signs that the terminal has."""
        if self.ascii:
            value = value.translate(_ASCII).encode("ascii", "replace").decode("ascii")
        else:
            value = value.encode(self._encoding, "replace").decode(self._encoding)
        return Text(value, style=style)

    def line(self, value: str, style: str = "") -> None:
        self._console.print(self.text(one_line(value, 2000), style))

    def item(self, value: str) -> None:
        """Write one point of a list, the lines after its first under the first."""
        grid = Table.grid(padding=(0, 1))
        grid.add_row(" -", self.text(one_line(value, 1000)))
        self._console.print(grid)

    def table(self, *columns: Column) -> Table:
        """Return an empty table in the style of this terminal."""
        return Table(
            *columns,
            box=ASCII2 if self.ascii else SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
            show_edge=self.ascii,
        )

    def show(self, table: Table) -> None:
        """Write a table with a free line before it."""
        self._console.print()
        self._console.print(table)

    def banner(self, analysis: Analysis) -> None:
        run = analysis.run
        head = self.text(f" {analysis.verdict.value} ", _BANNERS[analysis.verdict])
        head.append_text(self.text(one_line(f"  {run.plan.id} · {run.plan.title}", 200), "bold"))
        self._console.print()
        self._console.print(head)
        facts = [
            *(["REHEARSAL, no certificate"] if run.rehearsal else []),
            *([run.ending.value.replace("_", " ").upper()] if run.ending.value != "completed" else []),
            run.host,
            length(analysis.length_s),
            f"{analysis.samples:,} samples",
            f"seed {run.seed}",
        ]
        self.line(" · ".join(facts), "dim")
        for reason in analysis.reasons:
            self.item(reason)


def _criteria_table(analysis: Analysis, terminal: _Terminal) -> Table:
    wide = terminal.width >= _WIDE
    roomy = terminal.width >= _NARROW
    table = terminal.table(Column("State", no_wrap=True))
    if roomy:
        table.add_column("Phase", overflow="fold")
    table.add_column("Metric", overflow="fold")
    table.add_column("Measured", justify="right", no_wrap=True)
    table.add_column("Limit", justify="right", no_wrap=True)
    if roomy:
        table.add_column("Margin", justify="right", no_wrap=True)
    if wide:
        table.add_column("Samples", justify="right")
        table.add_column("Requirement", overflow="fold")
    for result in analysis.criteria:
        table.add_row(*_criterion_row(result, terminal, roomy, wide))
    return table


def _criterion_row(result: CriterionResult, terminal: _Terminal, roomy: bool, wide: bool) -> list[Text]:
    criterion, style = result.criterion, _STYLES[result.state]
    measured, limit = pair(result)
    where = "".join(f" [{text}]" for text in (criterion.scenario, criterion.name) if text)
    cells = [terminal.text(f"{_SIGNS[result.state]} {_WORDS[result.state]}", style)]
    if roomy:
        cells.append(terminal.text(printable(criterion.phase or "whole run")))
    cells += [
        terminal.text(one_line(criterion.metric + where)),
        terminal.text(measured, style if result.state is not State.PASS else "bold"),
        terminal.text(limit),
    ]
    if roomy:
        cells.append(terminal.text(margin_text(result.margin) + (" ~" if result.close else "")))
    if wide:
        cells += [terminal.text(f"{result.measured.samples:,}"), terminal.text(one_line(criterion.id or MISSING))]
    return cells


_PHASE_COLUMNS = (
    ("Rate", "throughput_rps"),
    ("Success", "success_rate"),
    ("p50", "latency_p50_ms"),
    ("p95", "latency_p95_ms"),
    ("p99", "latency_p99_ms"),
)


def _phase_table(analysis: Analysis, terminal: _Terminal) -> Table:
    table = terminal.table(Column("Phase", overflow="fold"))
    columns = _PHASE_COLUMNS if terminal.width >= _NARROW else _PHASE_COLUMNS[:4:3]
    if terminal.width >= _WIDE:
        table.add_column("Load", overflow="fold")
    for head in ("Arrivals", "Failed", *(head for head, _ in columns)):
        table.add_column(head, justify="right", no_wrap=True)
    for phase in (*analysis.phases, analysis.total):
        accounting = phase.accounting
        failed = accounting.scheduled - accounting.outcomes.get("ok", 0)
        cells = [printable(phase.name) + ("" if phase.reached else " (not reached)")]
        if terminal.width >= _WIDE:
            cells.append(printable(phase.load) or MISSING)
        cells += [f"{accounting.scheduled:,}", figure(failed, "count")]
        for _, name in columns:
            found = phase.metrics.get(name)
            cells.append(MISSING if found is None else measured_text(found, name))
        style = "bold" if phase is analysis.total else ""
        table.add_row(*(terminal.text(cell, style) for cell in cells))
    return table
