"""What is documented exists, what exists is documented, and the commands that are shown work."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import certify
from docs import generate
from plans.durations import format_duration
from plans.exits import Exit
from plans.loading import load
from plans.metrics import METRICS
from plans.phases import LEVEL_KEYS, SHAPE_NAMES
from plans.schema import Plan
from reports.__main__ import main as report_main
from reports.analysis import Verdict
from reports.document import schema
from samples.sample import Outcome
from target.faults import PARAMETERS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
BY_NAME = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
EVERYTHING = "\n".join(BY_NAME.values())

REQUIREMENTS = {"HXP": 16, "EVAL": 14, "VIC": 10, "CAT": 12, "CARD": 6, "BEY": 8}

SECTIONS = {
    "Plan": "Plan",
    "Target": "Target",
    "Connections": "Connections",
    "Accounts": "Accounts",
    "TlsFiles": "TLS",
    "Process": "Process",
    "Resources": "Resources",
    "Queries": "Queries",
    "Dependencies": "Dependencies",
    "Dependency": "Dependency",
    "Traceability": "Traceability",
    "ChatMix": "ChatUser",
    "ConversationMix": "ConversationUser",
    "ToolMix": "ToolUser",
    "EmbeddingsMix": "EmbeddingsUser",
    "RerankMix": "RerankUser",
    "PromptSource": "Prompts",
    "Prefixes": "Prefixes",
    "Lengths": "Lengths",
    "AccessLogMix": "AccessLogUser",
    "Trace": "Trace",
    "CrudMix": "EvaluationRunUser, HighVolumeUser, ReadOnlyUser",
    "DatabaseMix": "DatabaseUser",
    "Operations": "Operations",
    "SessionMix": "SessionUser, SessionStressUser, LongSessionUser, SessionToolUser",
    "SessionOperations": "Session operations",
    "OpenApiMix": "OpenApiUser",
    "WebSocketMix": "WebSocketUser",
    "LocustMix": "A class of your own",
    "Phase": "Phase",
    "Levels": "Levels",
    "Think": "Think time",
    "Criterion": "Criterion",
    "AbortOnFail": "Abort on fail",
    "RequestLimits": "Limits",
    "Pool": "Pool",
    "GeneratorLimits": "Generator",
    "Monitors": "Monitors",
    "Judge": "Judge",
    "Fault": "Fault",
}
"""Heading in docs/plans.md under which the keys of each model stand; `Mix` has its keys as headings."""


def section(page: str, heading: str) -> str:
    """Return the text under a heading, up to the next one."""
    match = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", BY_NAME[page], re.MULTILINE | re.DOTALL)
    assert match, f"{page} has no heading '{heading}'"
    return match[1]


def rows(text: str) -> dict[str, list[str]]:
    """Return the rows of the tables in a text by their first cell, without its code marks; the first of a name."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    found: dict[str, list[str]] = {}
    for row in cells:
        found.setdefault(row[0].strip("`"), row[1:])
    return found


def blocks(text: str, kind: str) -> Iterator[str]:
    """Yield the fenced blocks of a kind, such as `sh` or `yaml plan`."""
    for match in re.finditer(rf"^( *)```{kind}\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL):
        yield match[2]


def models(model: type[BaseModel] = Plan) -> Iterator[type[BaseModel]]:
    yield model
    free = model.__annotations__.get("__pydantic_extra__")  # such as the names of a mix
    for annotation in (*(field.annotation for field in model.model_fields.values()), free):
        for below in _models_in(annotation):
            yield from models(below)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


MODELS = {model.__name__: model for model in models() if model.__name__ != "Mix"}


# -- the plan ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_every_key_of_a_plan_is_documented_with_its_default(name: str) -> None:
    documented = rows(section("plans.md", SECTIONS[name]))
    wrong = []
    for field, info in MODELS[name].model_fields.items():
        key = info.alias or field
        if key not in documented:
            wrong.append(f"{key} is missing")
        elif not default_is(info.default, documented[key][1]):
            wrong.append(f"{key}: the default is {info.default!r}, and the page says {documented[key][1]}")
    assert wrong == []


def default_is(default: Any, cell: str) -> bool:
    """Return whether a cell says what the default is; defaults that a page puts in words are not compared."""
    text = cell.strip("`")
    if default is PydanticUndefined:
        return text in {"required", "none", "empty"}  # a factory gives an empty list or mapping
    if default is None:
        return text != "required"
    if isinstance(default, bool):
        return text == str(default).lower()
    if isinstance(default, int | float):
        return text in {f"{default:g}", format_duration(default)}
    return text == default if isinstance(default, str) and default else text != "required"


def test_every_scenario_of_a_mix_has_its_sections() -> None:
    for name in Plan.model_fields["mix"].annotation.model_fields:  # type: ignore[union-attr]
        assert re.search(rf"^### .*\b{name}\b", BY_NAME["plans.md"], re.MULTILINE)
        assert re.search(rf"^## .*\b{name}\b", BY_NAME["scenarios.md"], re.MULTILINE)


def test_every_shape_is_documented_with_its_levels() -> None:
    documented = rows(section("plans.md", "Shapes"))
    for name, form in SHAPE_NAMES.items():
        row = documented[form.value]
        assert name == form.value or f"`{name}`" in row[0]
        assert all(f"`{level}`" in row[1] for level in LEVEL_KEYS[form])


def test_every_fault_is_documented_with_its_parameters_and_defaults() -> None:
    documented = rows(section("plans.md", "Fault"))
    for kind, parameters in PARAMETERS.items():
        said = documented[kind][0]
        for name, parameter in parameters.items():
            default = "required" if parameter.default is None else str(parameter.default).removesuffix(".0")
            assert f"`{name}` ({default})" in said, f"{kind}: {name}"
        assert said.count("`") == 2 * len(parameters), f"{kind}: {said}"


@pytest.mark.parametrize(
    ("page", "text"), [(name, text) for name, page in BY_NAME.items() for text in blocks(page, "yaml plan")]
)
def test_a_plan_on_a_page_can_be_loaded(tmp_path: Path, page: str, text: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    plan = load(path, environ={})
    assert plan.criteria, page


def test_the_children_on_the_pages_can_be_loaded(tmp_path: Path) -> None:
    for file in ("quickstart.yaml",):
        shutil.copy(ROOT / "plans" / file, tmp_path / file)
    (tmp_path / "summariser.yaml").write_text(list(blocks(BY_NAME["plans.md"], "yaml plan"))[-1], encoding="utf-8")
    children = [text for page in BY_NAME.values() for text in blocks(page, "yaml") if text.startswith("extends:")]
    for number, text in enumerate(children):
        path = tmp_path / f"child-{number}.yaml"
        path.write_text(text, encoding="utf-8")
        load(path, environ={})
    assert len(children) == 2


def test_other_yaml_on_the_pages_is_yaml() -> None:
    for page in BY_NAME.values():
        for text in blocks(page, "yaml"):
            assert isinstance(yaml.safe_load(text), dict)


# -- metrics, outcomes, verdicts ----------------------------------------------------------------------------------


def test_the_glossary_is_up_to_date() -> None:
    page = BY_NAME["metrics.md"]
    assert generate.with_glossary(page) == page, "run: python -m docs.generate"


def test_the_published_schema_of_the_verdict_is_up_to_date() -> None:
    published = json.loads((ROOT / "docs" / "verdict.schema.json").read_text(encoding="utf-8"))
    assert json.loads(schema()) == published, "run: python -m reports.document > docs/verdict.schema.json"


def test_every_metric_and_outcome_is_documented() -> None:
    glossary = section("metrics.md", "Glossary")
    assert [name for name in METRICS if f"`{name}`" not in glossary] == []
    outcomes = rows(section("metrics.md", "What became of an arrival"))
    assert [outcome.value for outcome in Outcome if outcome.value not in outcomes] == []


def test_every_check_of_the_generator_is_documented_and_has_advice() -> None:
    source = (ROOT / "reports" / "health.py").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    checks = {
        node.args[0].value
        for node in calls
        if isinstance(node.func, ast.Name)
        and node.func.id == "HealthCheck"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }
    assert len(checks) >= 8
    documented = rows(section("metrics.md", "Is the load generator well?"))
    assert checks - set(documented) == set()
    assert [name for name in checks if f"`{name}`" not in section("troubleshooting.md", "INVALID")] == []


@pytest.mark.parametrize("page", ["README.md", "ci.md", "metrics.md"])
def test_every_exit_code_is_documented(page: str) -> None:
    text = BY_NAME[page].replace("*", "").replace("|", " ")
    for verdict in Verdict:
        assert re.search(rf"\b{verdict.exit_code} +{verdict.value}", text)
    assert re.search(rf"\b{Exit.USAGE:d} .{{0,6}}bad plan or usage", text)


# -- commands and options -----------------------------------------------------------------------------------------


def run_options() -> set[str]:
    """Return the options that are added to Locust's, from the code: importing it would patch this process."""
    tree = ast.parse((ROOT / "execution" / "options.py").read_text(encoding="utf-8"))
    return {
        f"--{node.args[0].value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "add"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def test_every_option_of_a_run_is_documented_with_its_variable() -> None:
    options = run_options()
    assert "--plan" in options
    documented = rows(BY_NAME["README.md"])
    for option in options:
        variable = f"PROOFLOAD_{option.removeprefix('--').replace('-', '_').upper()}"
        assert documented[option][0] == f"`{variable}`"


def test_every_option_of_the_programs_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    certifying = {option for action in certify._parser()._actions for option in action.option_strings}
    with pytest.raises(SystemExit):
        report_main(["--help"])
    reporting = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    undocumented = [o for o in certifying | reporting if o not in {"-h", "--help"} and f"`{o}" not in EVERYTHING]
    assert [option for option in undocumented if f" {option} " not in EVERYTHING] == []


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_make_targets_are_documented_and_documented_targets_exist() -> None:
    shown = set(re.findall(r"`make ([a-z-]+)", EVERYTHING)) | set(
        re.findall(r"^make ([a-z-]+)", EVERYTHING, re.MULTILINE)
    )
    assert shown == make_targets()
    assert [target for target in make_targets() if f"`make {target}" not in BY_NAME["README.md"]] == []
    variables = set(re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert [name for name in variables if f"{name}=" not in EVERYTHING] == []


def test_every_benchmark_is_documented() -> None:
    source = (ROOT / "benchmarks" / "__main__.py").read_text(encoding="utf-8")
    names = re.findall(r'^    "(\w+)": \w+\.measure', source, re.MULTILINE)
    assert names
    assert [name for name in names if f"<!-- {name}:begin -->" not in BY_NAME["performance.md"]] == []


LOCUSTS_OWN = {"--worker", "--master-host", "--master-port", "--web-host", "--web-login"}


def shell_lines() -> list[tuple[str, str]]:
    return [
        (page, line.partition("  #")[0].strip())
        for page, text in BY_NAME.items()
        for block in blocks(text, "sh")
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    ]


@pytest.mark.parametrize(("page", "line"), shell_lines())
def test_a_command_on_a_page_is_one_that_exists(page: str, line: str) -> None:
    words = shlex.split(line)
    files = {word.removeprefix("PLAN=") for word in words if word.endswith((".py", ".yaml"))}
    # What the tutorial tells its reader to write is not here.
    assert [file for file in files - {"plans/mine.yaml"} if not (ROOT / file).exists()] == [], page
    if words[0] == "make":
        assert words[1] in make_targets()
    elif words[:2] == ["python", "-m"]:
        assert (ROOT / words[2] / "__main__.py").exists() or (ROOT / f"{words[2].replace('.', '/')}.py").exists()
    else:
        assert words[0] in {"python", "locust"}
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    known = run_options() | {"--host", "--headless"} | ({"--requests"} if "locustfile.py" in words else set())
    known |= {option for action in certify._parser()._actions for option in action.option_strings}
    assert options <= known | (LOCUSTS_OWN if words[0] == "locust" else set())


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_make_help_lists_every_target() -> None:
    done = run("make", "help")
    assert done.returncode == 0
    assert set(re.findall(r"^  make ([a-z-]+) ", done.stdout, re.MULTILINE)) == make_targets()


@pytest.mark.parametrize(
    "words",
    [
        ("certify.py", "--help"),
        ("-m", "plans"),
        ("-m", "plans", "check", "plans/quickstart.yaml"),
        ("-m", "plans", "schema"),
        ("-m", "reports", "--help"),
        ("-m", "benchmarks", "--help"),
        ("-m", "calibration", "--help"),
        ("-m", "docs.generate", "--check"),
    ],
)
def test_a_cheap_command_of_the_pages_works(words: tuple[str, ...]) -> None:
    done = run(sys.executable, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout or "--check" in words


def test_the_user_of_ones_own_is_a_locust_user() -> None:
    """In a process of its own, because Locust patches the one that imports it."""
    (text,) = (block for block in blocks(BY_NAME["scenarios.md"], "python") if "class SearchUser" in block)
    code = textwrap.dedent(text)
    done = run(sys.executable, "-c", f"{code}\nfrom locust import User\nassert issubclass(SearchUser, User)")
    assert done.returncode == 0, done.stderr


def test_the_first_command_of_the_readme_runs_as_a_short_rehearsal(tmp_path: Path) -> None:
    """Four seconds of the quickstart: nothing fails, and what has no data is too short to have any."""
    runs = tmp_path / "runs"
    done = run(sys.executable, "certify.py", "plans/quickstart.yaml", "--time-scale=0.05", f"--runs={runs}")
    folder = next(runs.iterdir())
    verdict = json.loads((folder / "report" / "verdict.json").read_text(encoding="utf-8"))

    assert done.returncode in {0, 3}, done.stdout + done.stderr
    jsonschema.validate(verdict, json.loads(schema()))
    assert [c["reason"] for c in verdict["criteria"] if c["state"] == "fail"] == []
    assert [c["measured"]["why"] for c in verdict["criteria"] if c["state"] == "no_data"] in (
        [],
        ["the phase is shorter than a window of 10 s"],
    )
    assert f"report: {folder}/report/report.html" in done.stdout
    named = set(re.findall(r"`([\w./-]+\.\w+)`", section("architecture.md", "The run folder")))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there - named == set()


# -- the pages themselves -----------------------------------------------------------------------------------------


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", BY_NAME[page], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.name)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    folders = "plans|shapes|scenarios|clients|samples|execution|monitoring|reports|data|target|tests|benchmarks|docs"
    text = page.read_text(encoding="utf-8")
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", text)
    # Written by the reader of the tutorial.
    missing = {name for name in named if not (ROOT / name).exists()} - {"plans/mine.yaml", "plans/broken.yaml"}
    assert missing == set()


def test_every_dependency_has_its_reason() -> None:
    page = section("architecture.md", "Dependencies").lower()
    for file in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
            if match := re.match(r"([A-Za-z][\w.-]*)", line):
                assert match[1].lower() in page, match[1]


def test_every_requirement_has_a_state_and_what_is_done_has_its_proof() -> None:
    documented = rows(BY_NAME["coverage.md"])
    ids = [f"{group}-{number}" for group, last in REQUIREMENTS.items() for number in range(1, last + 1)]
    assert [name for name in documented if re.fullmatch(r"[A-Z]+-\d+", name)] == ids
    for name in ids:
        text, state, plan, tests = documented[name]
        proofs = re.findall(r"`([^`]+)`", plan + tests)
        assert state in {"done", "partly", "not yet"}, name
        assert ("[" in text) == (state == "partly"), f"{name}: what is missing stands in brackets"
        assert all((ROOT / proof).exists() for proof in proofs), name
        assert (state == "not yet") == (proofs == []), name
        assert state != "done" or ("plans/" in plan and "tests/" in tests), name


def test_plans_prove_no_requirement_that_does_not_exist() -> None:
    groups = "|".join(REQUIREMENTS)
    for path in sorted((ROOT / "plans").rglob("*.yaml")):
        for name in re.findall(rf"\b(?:{groups})-\d+\b", path.read_text(encoding="utf-8")):
            group, number = name.split("-")
            assert 1 <= int(number) <= REQUIREMENTS[group], f"{path}: {name}"
