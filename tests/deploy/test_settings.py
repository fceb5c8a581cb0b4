"""Settings by the environment: what is set there arrives, and the command line wins over it."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

from plans.run import RunRecord
from tests.execution.harness import ENVIRONMENT, ROOT, plan_file

# In a process of its own, because Locust patches the one that imports it.
_VARIABLES = """
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments
from execution.options import add_arguments
parser = get_empty_argument_parser()
setup_parser_arguments(parser)
add_arguments(parser)
print(*(action.env_var for action in parser._actions if getattr(action, "env_var", None)))
"""


def test_a_run_takes_its_settings_from_the_environment_and_the_command_line_wins(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    plan = plan_file(tmp_path)
    settings = {
        "PROOFLOAD_RUNS": str(runs),
        "PROOFLOAD_SEED": "7",
        "PROOFLOAD_RATE": "10",
        "PROOFLOAD_TIME_SCALE": "0.9",
        "PROOFLOAD_ALLOW_HOST": "one.example,two.example",
        "LOCUST_HOST": "embedded",
    }
    command = [sys.executable, str(ROOT / "certify.py"), str(plan), "--time-scale=0.5"]
    done = subprocess.run(command, env=ENVIRONMENT | settings, capture_output=True, text=True, timeout=90, check=False)
    (folder,) = runs.iterdir()
    record = RunRecord.read(folder)
    assert done.returncode in {0, 3}, done.stderr
    assert (record.seed, record.time_scale, record.rate_scale) == (7, 0.5, 0.5)
    assert record.plan.target.allow == ("one.example", "two.example")


def test_locust_conf_keeps_the_web_ui_on_this_machine() -> None:
    config = configparser.ConfigParser()
    config.read_string("[all]\n" + (ROOT / "locust.conf").read_text(encoding="utf-8"))
    assert dict(config["all"]) == {"locustfile": "locustfile.py", "web-host": "127.0.0.1"}


def test_every_variable_of_the_page_is_one_that_is_read() -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8").partition("## Settings by environment")[2]
    table = page.partition("## GitHub Actions")[0]
    done = subprocess.run(
        [sys.executable, "-c", _VARIABLES], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True
    )
    login = (ROOT / "execution" / "login.py").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:PROOFLOAD|LOCUST)_[A-Z_]+)`", table))
    assert len(named) > 10
    assert [name for name in named if name not in done.stdout.split() and f'"{name}"' not in login] == []
