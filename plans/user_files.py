"""Files of the operator's own that a plan names: read and parsed, never run, so that a check executes nothing."""

import ast
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from plans.mix import Mix
from plans.problems import Problem


def file_problems(mix: Mix) -> list[Problem]:
    """Return what is wrong with the files of a mix, as far as it shows without running them."""
    problems = []
    for name, options in mix.brought().items():
        field = f"mix.{name}.file"
        try:
            tree = ast.parse(Path(options.file).read_bytes(), options.file)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            problems.append(Problem("", field, f"must be a Python file, got '{options.file}' ({reason})"))
        except SyntaxError as error:
            problems.append(Problem("", field, f"is not valid Python: {options.file} line {error.lineno}: {error.msg}"))
        else:
            names = list(_bound(tree.body))
            if name not in names and "*" not in names:
                problems.append(Problem("", f"mix.{name}", f"is no class in {options.file}{_instead(name, tree)}"))
    return problems


def _bound(statements: list[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements bind where they stand, those in `if` and `try` included; `*` for any name."""
    for statement in statements:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name for alias in aliases)
            case ast.Assign(targets=targets):
                yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.If() | ast.With() | ast.Try():
                inner = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)]
                handlers = getattr(statement, "handlers", [])
                yield from _bound([*inner, *(node for handler in handlers for node in handler.body)])


def _instead(name: str, tree: ast.Module) -> str:
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    close = get_close_matches(name, classes, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; it has {', '.join(classes)}" if classes else "; it has no class"
