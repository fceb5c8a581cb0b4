"""The house is as docs/architecture.md draws it: who may import whom, and nothing grows beyond what one can read."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED: dict[str, frozenset[str]] = {
    "plans": frozenset({"data", "pydantic", "pydantic_core"}),
    "samples": frozenset(),
    "clients": frozenset({"brotli", "gevent", "httptools", "wsproto"}),
    "data": frozenset(),
    "target": frozenset({"fastapi", "starlette", "pydantic", "prometheus_client"}),
    "shapes": frozenset({"plans", "numpy"}),
    "monitoring": frozenset({"samples", "psutil"}),
    "scenarios": frozenset({"plans", "samples", "clients", "data", "shapes.arrivals", "locust", "gevent"}),
    "execution": frozenset(
        {"plans", "shapes", "scenarios", "samples", "clients", "monitoring", "locust", "gevent", "pydantic", "pyarrow"}
    ),
    "reports": frozenset({"plans", "samples", "numpy", "pandas", "pydantic"}),
    "calibration": frozenset({"plans", "samples", "numpy"}),
    "selftest": frozenset({"plans", "reports", "psutil", "yaml"}),
    "deploy": frozenset(),
    "capacity": frozenset({"plans", "reports", "samples", "numpy"}),
    "locustfile.py": frozenset({"plans", "execution", "scenarios", "shapes", "locust"}),
    "certify.py": frozenset({"plans", "reports"}),
}
"""What the modules of a folder may import, beside the folder itself and the standard library."""

EXCEPTIONS: dict[str, frozenset[str]] = {
    "plans/loading.py": frozenset({"yaml"}),
    "samples/segments.py": frozenset({"pyarrow"}),
    "clients/sql.py": frozenset({"sqlalchemy"}),
    "samples/columns.py": frozenset({"numpy", "pyarrow"}),
    "samples/live.py": frozenset({"locust", "numpy", "pyarrow"}),
    "samples/totals.py": frozenset({"numpy", "pyarrow"}),
    "shapes/profiles.py": frozenset({"locust"}),
    "data/text.py": frozenset({"tokenizers"}),
    "data/generators.py": frozenset({"faker"}),
    "data/openapi.py": frozenset({"jsf", "yaml"}),
    "data/quality.py": frozenset({"rapidfuzz"}),
    "data/schemas.py": frozenset({"jsonschema_rs"}),
    "scenarios/answers.py": frozenset({"orjson"}),
    "scenarios/locust_clients.py": frozenset({"requests"}),
    "execution/databases.py": frozenset({"psycopg", "redis"}),
    "execution/login.py": frozenset({"flask", "flask_login"}),
    "execution/web.py": frozenset({"flask"}),
    "execution/exposition.py": frozenset({"prometheus_client"}),
    "monitoring/prometheus.py": frozenset({"prometheus_client"}),
    "monitoring/gpu.py": frozenset({"pynvml"}),
    "monitoring/postgres.py": frozenset({"psycopg"}),
    "reports/frames.py": frozenset({"pyarrow"}),
    "reports/parquet.py": frozenset({"pyarrow"}),
    "reports/statistics.py": frozenset({"scipy"}),
    "reports/levels.py": frozenset({"ruptures"}),
    "capacity/law.py": frozenset({"scipy"}),
    "reports/render.py": frozenset({"jinja2", "markupsafe", "yaml"}),
    "reports/console.py": frozenset({"rich"}),
    "target/database.py": frozenset({"sqlalchemy"}),
    "target/server.py": frozenset({"uvicorn"}),
    "target/__main__.py": frozenset({"uvloop"}),
    "target/llama.py": frozenset({"xllamacpp"}),
    "target/llama_model.py": frozenset({"gguf", "numpy", "tokenizers"}),
}
"""What one file may import beyond its folder's row."""

NO_PLACE = {"utils", "util", "common", "helpers", "helper", "misc", "shared", "core", "lib"}
SUPPORT = ("tests", "benchmarks", "docs")
MOST_LINES = 400
MOST_FUNCTION_LINES = 50


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, as an absolute name."""

    file: Path
    line: int
    module: str


def sources(root: Path, *folders: str) -> list[Path]:
    """Return the Python files of some folders and files under `root`."""
    found: list[Path] = []
    for name in folders:
        place = root / name
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place] if place.exists() else []
    return found


def imports(root: Path, file: Path) -> Iterator[Import]:
    """Yield what a file imports, wherever in it; relative imports are made absolute."""
    package = ".".join(file.relative_to(root).parent.parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], base]).strip(".")
            # `from shapes import arrivals` is an import of shapes.arrivals where that is a module.
            names = [
                f"{base}.{alias.name}" if (root / base.replace(".", "/") / f"{alias.name}.py").exists() else base
                for alias in node.names
            ]
        else:
            continue
        yield from (Import(file, node.lineno, name) for name in dict.fromkeys(names))


def breaches(root: Path) -> list[str]:
    """Return every import that the table does not allow, as a sentence."""
    found = []
    for place, allowed in ALLOWED.items():
        own = place.removesuffix(".py")
        for file in sources(root, place):
            relative = file.relative_to(root).as_posix()
            permitted = allowed | EXCEPTIONS.get(relative, frozenset()) | {own}
            for one in imports(root, file):
                prefixes = [".".join(one.module.split(".")[:n]) for n in range(1, one.module.count(".") + 2)]
                if prefixes[0] not in sys.stdlib_module_names and permitted.isdisjoint(prefixes):
                    found.append(f"{relative}:{one.line} imports {one.module}, which {place} may not")
    return found


def test_every_import_is_in_the_table() -> None:
    assert breaches(ROOT) == []


@pytest.mark.parametrize(
    ("place", "text", "named"),
    [
        ("plans/new.py", "import locust", "plans/new.py:1 imports locust, which plans may not"),
        ("reports/new.py", "from gevent import sleep", "reports/new.py:1 imports gevent, which reports may not"),
        ("reports/new.py", "def f():\n    import locust.stats", "reports/new.py:2 imports locust.stats"),
        ("clients/new.py", "from samples.sample import Sample", "clients/new.py:1 imports samples.sample"),
        ("scenarios/new.py", "from shapes.pacers import Pacer", "scenarios/new.py:1 imports shapes.pacers"),
        ("target/new.py", "from ..plans import schema", "target/new.py:1 imports plans"),
        ("shapes/new.py", "from target import faults", "shapes/new.py:1 imports target"),
        ("scenarios/new.py", "import execution.run", "scenarios/new.py:1 imports execution.run"),
        ("samples/new.py", "import pyarrow", "samples/new.py:1 imports pyarrow"),
        ("calibration/new.py", "import execution.run", "calibration/new.py:1 imports execution.run"),
        ("locustfile.py", "import reports", "locustfile.py:1 imports reports"),
    ],
)
def test_a_planted_breach_is_found(tmp_path: Path, place: str, text: str, named: str) -> None:
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    found = breaches(tmp_path)

    assert len(found) == 1
    assert found[0].startswith(named)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("samples/segments.py", "import pyarrow as pa\nimport json\nfrom samples.sample import Sample"),
        ("scenarios/new.py", "from shapes import arrivals\nfrom scenarios.base import LoadUser"),
        ("target/new.py", "from . import errors\nfrom .faults import Faults"),
    ],
)
def test_what_is_allowed_is_no_breach(tmp_path: Path, place: str, text: str) -> None:
    for name in ("shapes/arrivals.py", place):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text if name == place else "", encoding="utf-8")

    assert breaches(tmp_path) == []


def test_every_exception_is_still_needed() -> None:
    unused = [
        f"{file}: {module}"
        for file, modules in EXCEPTIONS.items()
        for module in modules
        if not (ROOT / file).exists()
        or not any(one.module.split(".")[0] == module for one in imports(ROOT, ROOT / file))
    ]
    assert unused == []


def test_the_page_on_the_architecture_shows_the_table() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = {
        cells[0].strip().strip("`").rstrip("/"): {word.strip() for cell in cells[1:] for word in cell.split("`")}
        for cells in (line.strip("|").split("|") for line in page.splitlines() if line.startswith("| `"))
        if len(cells) == 3
    }
    shown = {place: rows.get(place, set()) for place in ALLOWED}
    wanted = {place: allowed - {"pydantic_core"} for place, allowed in ALLOWED.items()}
    for file, modules in EXCEPTIONS.items():
        wanted[file.split("/")[0]] |= {file.split("/")[1], *modules}

    assert {place: sorted(wanted[place] - shown[place]) for place in ALLOWED if wanted[place] - shown[place]} == {}


def test_every_folder_with_code_is_in_the_table_and_answers_a_question() -> None:
    folders = {file.relative_to(ROOT).parts[0] for file in ROOT.glob("*/*.py")} - set(SUPPORT)
    assert folders == {place for place in ALLOWED if not place.endswith(".py")}
    assert {path.name for path in ROOT.glob("*.py")} == {place for place in ALLOWED if place.endswith(".py")}
    assert [path for path in ROOT.rglob("*") if path.is_dir() and path.name in NO_PLACE and _ours(path)] == []


def _ours(path: Path) -> bool:
    first = path.relative_to(ROOT).parts[0]
    return not first.startswith(".") and first not in {"runs", "build"}


def test_every_package_says_that_it_is_one() -> None:
    folders = {file.parent for file in sources(ROOT, *ALLOWED, *SUPPORT)} - {ROOT}
    # Locust leaves the current folder on sys.path: without it a stray package of the same name would win.
    assert sorted(str(folder) for folder in folders if not (folder / "__init__.py").exists()) == []


def test_nothing_is_longer_than_one_can_read() -> None:
    long = []
    for file in sources(ROOT, *ALLOWED, "benchmarks", "docs"):
        text = file.read_text(encoding="utf-8")
        name = file.relative_to(ROOT).as_posix()
        if (lines := text.count("\n")) > MOST_LINES:
            long.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > MOST_FUNCTION_LINES:
                    long.append(f"{name}:{node.lineno} {node.name}: {lines} lines")
    assert long == []


def test_what_runs_beside_the_load_leaves_pandas_and_databases_out() -> None:
    # They would take 100 MB and a second; the report is a process of its own, and few plans query a database.
    code = "import certify, locustfile, sys; print(sorted({'pandas', 'scipy', 'sqlalchemy'} & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "[]"


def test_certify_keeps_little_beside_the_load() -> None:
    code = "import certify, sys; print(sorted({'pydantic', 'yaml', 'pyarrow'} & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "[]"


def test_a_report_without_a_trend_leaves_the_larger_half_of_scipy_out() -> None:
    # It would take half a second and 45 MB, also beside the load.
    code = "import reports.analyzer, reports.live, reports.publish, sys; print('scipy.stats' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "False"
