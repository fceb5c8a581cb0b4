"""The page: one HTML file that holds everything it needs and asks the network for nothing."""

import base64
import hashlib
import json
import shlex
import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2 import __version__ as jinja_version
from jinja2.bccache import Bucket
from markupsafe import Markup

from plans.metrics import METRICS
from plans.run import Ending, Precondition, RunRecord
from reports import figures
from reports.analysis import SPECTRUM, Analysis, GroupResult, Measured, PhaseResult
from reports.charts import chart_data, charts
from reports.columns import GROUP_COLUMNS, HEADLINES, PHASE_TABLES, columns_with_values, label_of
from reports.texts import LONGEST, printable
from samples.sample import Outcome

TEMPLATES = Path(__file__).parent / "templates"

_STYLES = (
    "vendor/uplot-1.6.32.min.css",
    "styles/theme.css",
    "styles/page.css",
    "styles/tables.css",
    "styles/charts.css",
    "styles/print.css",
)
SCRIPTS = (
    "vendor/uplot-1.6.32.iife.min.js",
    *(
        f"scripts/{name}.js"
        for name in ("figures", "data", "paint", "heat", "charts", "timebar", "curves", "filters", "tips", "page")
    ),
)
_EARLY = "scripts/early.js"

_QUERY_FIGURES = ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "pool_wait_p95_ms")

OUTCOME_WORDS = {
    Outcome.OK: "ok",
    Outcome.HTTP_ERROR: "HTTP error",
    Outcome.BAD_CONTENT: "bad content",
    Outcome.TIMEOUT: "timeout",
    Outcome.CONNECT_ERROR: "connect error",
    Outcome.CUT: "cut",
    Outcome.DROPPED: "dropped",
}

_ENDINGS = {
    Ending.RUNNING: "crashed (the record was never closed)",
    Ending.COMPLETED: "completed",
    Ending.INTERRUPTED: "interrupted",
    Ending.ABORTED: "ended early by a broken limit",
    Ending.FAILED_TO_START: "failed to start",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A short fact about the run beside its verdict; `alarming` ones are warnings to the reader."""

    name: str
    text: str
    alarming: bool = False


def render(analysis: Analysis) -> str:
    """Return the whole page as text."""
    drawn = charts(analysis)
    scripts = [Markup(_source(name)) for name in SCRIPTS]
    early = Markup(_source(_EARLY))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            analysis=analysis,
            run=analysis.run,
            plan=analysis.run.plan,
            policy=_policy([early, *scripts]),
            styles=Markup("\n").join(Markup(_source(name)) for name in _STYLES),
            early=early,
            scripts=scripts,
            charts=drawn,
            data=Markup(chart_data(analysis, drawn)),
            sections=_sections(analysis, {chart.page for chart in drawn}),
            spectrum_rows=_spectrum_rows(analysis),
            query_figures=_QUERY_FIGURES,
            facts=facts(analysis),
            headlines=_headlines(analysis.total),
            phase_tables=_phase_tables(analysis),
            group_columns=columns_with_values(
                GROUP_COLUMNS, [r.metrics for r in (*analysis.scenarios, *analysis.requests)]
            ),
            measured_names=_measured_names(analysis),
            glossary=list(METRICS.values()),
            command=_command(analysis.run),
            plan_yaml=plan_yaml(analysis.run),
            trace=traceability(analysis.run),
        )
    )


def page(template: str, styles: tuple[str, ...], sources: tuple[str, ...] = (), **content: object) -> str:
    """Return a page made by another module from a template, styles and scripts of the report.

    `json`, when it is given, stands in the page as `data`: for a script, and unable to end it.
    """
    scripts = [Markup(_source(name)) for name in sources]
    text = json.dumps(content.pop("json", {}), allow_nan=False).replace("<", "\\u003c")
    return (
        _environment()
        .get_template(template)
        .render(
            policy=_policy(scripts),
            styles=Markup("\n").join(Markup(_source(name)) for name in styles),
            scripts=scripts,
            data=Markup(text),
            **content,
        )
    )


def facts(analysis: Analysis) -> list[Fact]:
    """Return what identifies the run, the warnings first."""
    run, found = analysis.run, []
    if run.time_scale != 1.0:
        found.append(Fact("rehearsal", f"time scale {run.time_scale:g}: no certificate", True))
    if run.rate_scale != 1.0:
        found.append(Fact("changed rate", f"{run.rate_scale:g} × the plan's: no certificate", True))
    if run.ending is not Ending.COMPLETED:
        found.append(Fact("ending", _ENDINGS[run.ending], True))
    return [
        *found,
        Fact("target", run.host),
        Fact("model", run.plan.target.model),
        Fact("started", run.started_at.replace("T", " ")),
        Fact("length", figures.length(analysis.length_s)),
        Fact("samples", f"{analysis.samples:,}"),
        Fact("seed", str(run.seed)),
        *([Fact("generator capacity", run.capacity.sentence(), (run.capacity.share or 0) > 1)] if run.capacity else []),
        Fact("run", run.id),
    ]


def traceability(run: RunRecord) -> list[tuple[str, str | tuple[str, ...] | None]]:
    """Return the fields of the test case that the plan is, by the words that people use."""
    plan = run.plan
    trace = plan.traceability
    return [
        ("Test case", plan.id),
        ("Name", plan.title),
        ("Description", plan.description or None),
        ("Category", plan.category),
        ("Level", None if plan.level is None else str(plan.level)),
        ("Priority", plan.priority),
        ("Type", plan.type),
        ("Component", plan.component),
        ("Requirement", trace.requirement),
        ("User story", trace.user_story),
        ("Architecture", trace.architecture),
        ("Task", trace.task),
        ("Covers", plan.covers),
        ("Objective", plan.objective),
        ("Success criteria", plan.success_criteria),
        ("Environment", plan.environment),
        ("Preconditions", plan.preconditions),
        ("Found before the load", tuple(_found(p) for p in run.preconditions)),
        ("Tags", plan.tags),
    ]


def _found(precondition: Precondition) -> str:
    return f"{precondition.name}: {'held' if precondition.held else 'FAILED'} ({precondition.found})"


def plan_yaml(run: RunRecord) -> str:
    """Return the plan as it was run, resolved and scaled, as YAML."""
    plain = run.plan.model_dump(mode="json", by_alias=True, exclude_none=True)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)


def _command(run: RunRecord) -> str:
    return shlex.join(run.command) if run.command else ""


def _sections(analysis: Analysis, pages: set[str]) -> list[tuple[str, str]]:
    """Return (id, word) of the sections that the page has, in its order."""
    answers = analysis.score or analysis.known or analysis.worst_answers or analysis.judgement
    found = (
        ("diagnosis", "Findings", bool(analysis.findings)),
        ("criteria", "Criteria", True),
        ("generator", "Trust", True),
        ("stress", "Stress", bool(analysis.stress)),
        ("time", "Charts", True),
        ("llm", "LLM", "llm" in pages),
        ("websocket", "WebSocket", "websocket" in pages),
        ("database", "Database", bool("database" in pages or analysis.run.queries)),
        ("machines", "Machines", "machines" in pages),
        ("phases", "Phases", True),
        ("requests", "Requests", True),
        ("slowest", "Slowest", bool(analysis.slowest)),
        ("errors", "Errors", True),
        ("quality", "Answers", bool(answers)),
        ("notes", "Notes", True),
        ("plan", "Plan", True),
        ("reproduce", "Reproduce", True),
        ("glossary", "Glossary", True),
    )
    return [(name, word) for name, word, there in found if there]


def _spectrum_rows(analysis: Analysis) -> list[tuple[str, int, list[str]]]:
    """Return label, samples and the percentiles p50 to p99.9 and maximum of the whole run and its phases."""
    spectra = analysis.selections[0].spectra if analysis.selections else []
    places = [SPECTRUM.index(at) for at in (2, 10, 20, 100, 1000)]
    return [
        (
            one.label,
            one.samples,
            [figures.figure(one.values[min(place, len(one.values) - 1)], "ms") for place in (*places, -1)],
        )
        for one in spectra
    ]


def _headlines(total: PhaseResult) -> list[tuple[str, str, Measured]]:
    nothing = Measured(None, 0, "not measured")
    found = [(label, name, always, total.metrics.get(name, nothing)) for label, name, always in HEADLINES]
    return [(label, name, measured) for label, name, always, measured in found if always or measured.value is not None]


def _phase_tables(analysis: Analysis) -> list[tuple[str, Any]]:
    rows = [phase.metrics for phase in (*analysis.phases, analysis.total)]
    tables = [(title, columns_with_values(columns, rows)) for title, columns in PHASE_TABLES]
    return [(title, columns) for title, columns in tables if columns]


def _measured_names(analysis: Analysis) -> list[str]:
    rows = [phase.metrics for phase in (*analysis.phases, analysis.total)]
    return [name for name in METRICS if any(name in row and row[name].value is not None for row in rows)]


def _policy(scripts: list[Markup]) -> str:
    """Return a Content-Security-Policy under which only the page's own scripts run and nothing is fetched."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    allowed = hashes or "'none'"
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'; form-action 'none'"


@cache
def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _finalize(value: object) -> object:
    if value is None:
        return figures.MISSING
    return printable(value) if type(value) is str else value


class _Shown(str):
    """A text that is printable already, as long as its place in the page wants it."""

    __slots__ = ()


def _printable(text: str, longest: int = LONGEST) -> str:
    return _Shown(printable(text, longest))


def _row_key(group: GroupResult) -> str:
    return group.name or group.scenario


class _Compiled(FileSystemBytecodeCache):
    """Templates as Python's own bytecode, beside that of this module, where it may be kept: 0.1 s of every report."""

    def __init__(self) -> None:
        # What is compiled depends on the settings below, too.
        made_by = zlib.crc32(Path(__file__).read_bytes(), zlib.crc32(jinja_version.encode()))
        super().__init__(str(Path(__file__).parent / "__pycache__"), f"templates-{made_by:08x}-%s.cache")

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep one template, or not: a folder that cannot be written to costs time and nothing else."""
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                super().dump_bytecode(bucket)


@cache
def _environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        bytecode_cache=_Compiled(),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        clock=figures.clock,
        duration=figures.length,
        margin=figures.margin_text,
        printable=_printable,
        thousands=lambda value: f"{value:,}",
    )
    env.globals.update(
        METRICS=METRICS,
        MISSING=figures.MISSING,
        figure=figures.figure,
        measured_text=figures.measured_text,
        interval_text=figures.interval_text,
        identity_text=figures.identity_text,
        pair=figures.pair,
        label_of=label_of,
        row_key=_row_key,
        outcome_words={outcome.value: words for outcome, words in OUTCOME_WORDS.items()},
    )
    return env
