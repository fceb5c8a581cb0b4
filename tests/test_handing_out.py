"""Tests that share servers go to one process, and none waits at the end for a long one."""

import os
import re
import subprocess
import sys

from tests.handing_out import TESTS, module_of, pieces, place, shares

SHARING, ALONE, QUICK = "tests/execution/test_openapi.py", "tests/execution/test_run.py", "tests/plans/test_values.py"


def test_tests_of_a_module_that_follow_one_another_are_one_piece() -> None:
    found = pieces([f"{QUICK}::test_a", f"{QUICK}::test_b[1]", f"{SHARING}::test_c", f"{QUICK}::test_alone"])
    assert found[f"{QUICK}::test_a"] == found[f"{QUICK}::test_b[1]"]
    assert len(set(found.values())) == 3  # what is to be alone comes later, and does not hold the others up


def test_runs_are_pieces_of_their_own_unless_their_module_shares_something() -> None:
    assert shares(SHARING)
    assert not shares(ALONE)
    names = [f"{module}::{name}" for module in (SHARING, ALONE) for name in ("test_a", "test_b")]
    assert len(set(pieces(names).values())) == 3


def test_runs_go_first_and_those_that_share_before_the_others() -> None:
    places = [place(f"{module}::test_a") for module in (SHARING, ALONE, "tests/reports/test_browser.py", QUICK)]
    assert places == sorted(set(places))


def test_each_module_is_run_by_one_process() -> None:
    modules = [QUICK, "tests/plans/test_faults.py", "tests/data/test_traces.py"]
    plugins = ("-p", "xdist", "-p", "pytest_timeout", "-p", "pytest_rerunfailures", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "--numprocesses=2", "--verbose", *modules],
        cwd=TESTS.parent,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    processes: dict[str, set[str]] = {module: set() for module in modules}
    for process, name in re.findall(r"^\[(gw\d)\] .* PASSED (\S+)", done.stdout, re.MULTILINE):
        processes[module_of(name)].add(process)
    assert {module: len(by) for module, by in processes.items()} == dict.fromkeys(modules, 1)
