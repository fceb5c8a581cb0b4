"""What the monitor sees of a server's handles and cores in a real run, and what is left when the users have gone."""

from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.execution.harness import certify, plan_file

LEAK = {"kind": "handle_leak", "params": {"per_s": 10, "of": "connections"}}


@pytest.mark.parametrize(("faults", "leaks"), [([], False), ([LEAK], True)])
def test_connections_that_stay_when_the_users_have_gone_are_found(
    faults: list[dict[str, Any]], leaks: bool, tmp_path: Path
) -> None:
    criteria = [
        {"metric": "connections_left", "at_most": 5, "id": "left"},
        {"metric": "cpu_share_mean", "below": 1, "id": "cpu"},
    ]
    mix: dict[str, Any] = {"ReadOnlyUser": {}}
    phases = [{"name": "only", "users": 12, "duration": 4}]
    run = certify(plan_file(tmp_path, mix=mix, phases=phases, criteria=criteria, faults=faults))

    assert run.states() == {"left": "fail" if leaks else "pass", "cpu": "pass"}, run.out + run.err
    found = run.verdict["total"]["metrics"]
    assert (found["connections_left"]["value"] >= 20) is leaks
    cores = found["cpu_cores_mean"]["value"] / found["cpu_share_mean"]["value"]
    assert 0 < cores <= (psutil.cpu_count() or 1)
