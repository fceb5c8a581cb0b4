"""Bad plans, options and files: exit code 2, words that name the spot, and not one request."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.execution.harness import ENVIRONMENT, LOCUST, ROOT, certify, plan_file, serving


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--time-scale=0"], "--time-scale must be > 0 and <= 100, got 0"),
        (["--time-scale=nan"], "--time-scale must be > 0"),
        (["--time-scale=fast"], "--time-scale"),
        (["--rate=-5"], "--rate must be 0 (as planned) or up to 1000000, got -5"),
        (["--rate=lots"], "--rate"),
        (["--seed=-1"], "--seed must be a whole number"),
        (["--seed=1.5"], "--seed"),
        (["--host=example.com"], "--host must be a URL"),
        (["--host=http://example.com"], "add 'example.com' to target.allow or --allow-host"),
        (["--host=http://user:pw@127.0.0.1"], "must not hold credentials"),
        (["--allow-host=*.example.com", "--host=http://example.org"], "is not allowed"),
        (["--runs=/proc/no-such/place"], "--runs must be a folder that can be made"),
        (["--rate=900000", "--time-scale=100"], "phases must make at most 50,000,000 arrivals in all, got 270,000,000"),
        (["--speed=9"], "unrecognized arguments: --speed=9"),
    ],
)
def test_a_bad_option_is_refused(tmp_path: Path, options: list[str], words: str) -> None:
    run = certify(plan_file(tmp_path), *options)

    assert run.code == 2, run.out
    assert words in run.err
    assert "Traceback" not in run.err
    assert not list((tmp_path / "runs").glob("*/run.json"))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("no-such-file.pem", None, "target.connections.tls.ca must be a file that can be read, got"),
        ("empty.pem", "nothing", "target.connections.tls must be certificates and a key without password in PEM form"),
    ],
)
def test_files_of_tls_are_read_before_the_load(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    tls = {"ca": str(tmp_path / name)}
    run = certify(plan_file(tmp_path, target={"host": "embedded", "connections": {"tls": tls}}))

    assert run.code == 2, run.out
    assert words in run.err
    assert "Traceback" not in run.err


def test_a_token_that_would_break_the_headers_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "TEST_TOKEN", "canary\r\nX-Evil: 1")
    run = certify(plan_file(tmp_path, target={"host": "embedded", "api_key_env": "TEST_TOKEN"}))

    assert run.code == 2, run.out
    assert "environment: TEST_TOKEN must be printable ASCII" in run.err
    assert "canary" not in run.err + run.out


def test_a_bad_plan_among_good_ones_keeps_all_of_them_from_starting(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving("--log", str(log)) as host:
        good = plan_file(tmp_path)
        bad = tmp_path / "bad.yaml"
        bad.write_text("id: BAD\ntitle: bad\nmix: {ChatUser: {}}\nphases: [{name: a, rate: -5, duration: 1s}]\n")
        run = certify(good, str(bad), f"--host={host}")

    assert run.code == 2
    assert "bad.yaml: phases[0].rate must be" in run.err
    assert "-5" in run.err
    assert json.loads(log.read_text()) == {"load": [], "beforehand": [], "requests": []}, "a request was sent"


def plain_locust(tmp_path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run a good plan by Locust itself, with these options."""
    return subprocess.run(
        [*LOCUST, "--headless", f"--plan={plan_file(tmp_path)}", f"--runs={tmp_path / 'runs'}", *options],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def test_locusts_own_forks_are_refused_with_the_way_to_workers(tmp_path: Path) -> None:
    done = plain_locust(tmp_path, "--processes=2")
    assert done.returncode == 2, done.stderr
    assert "use --workers of certify.py" in done.stderr


def test_a_plan_that_leaves_out_a_user_class_of_its_mix_is_refused(tmp_path: Path) -> None:
    done = plain_locust(tmp_path, "ChatUser")
    assert done.returncode == 2, done.stderr
    assert "must include EvaluationRunUser" in done.stderr


def test_tags_choose_among_the_plans_of_a_folder(tmp_path: Path) -> None:
    phases = [{"name": "only", "rate": 5, "duration": "1s"}]
    for name, tags in (("a", ["quick", "api"]), ("b", ["quick", "slow"]), ("c", [])):
        (tmp_path / "plans" / name).mkdir(parents=True)
        plan_file(tmp_path / "plans" / name, id=name.upper(), tags=tags, phases=phases)
    run = certify(tmp_path / "plans", "--tags=quick, other", "--exclude-tags=slow")
    none = certify(tmp_path / "plans", "--tags=slow", "--exclude-tags=quick")

    assert run.code == 0, run.out + run.err
    assert [folder.name.rpartition("-")[2] for folder in run.folder.parent.iterdir()] == ["A"]
    assert none.code == 2
    assert "--tags must leave a plan; the plans' tags are: api, quick, slow" in none.err


def test_docker_does_it_after_the_plans_were_checked_and_without_an_engine_that_is_said(tmp_path: Path) -> None:
    def in_docker(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "certify.py"), *words, "--docker"]
        environment = ENVIRONMENT | {"PATH": str(tmp_path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    unknown = in_docker(str(ROOT / "plans" / "catalytic"), "--scenario=spikes")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "--scenario must be one of the plans (baseline, mixed, soak, spike, stress), got 'spikes'" in unknown.stderr
    missing = in_docker(str(ROOT / "plans" / "catalytic"), "--scenario=spike")
    assert missing.returncode == 3, missing.stderr
    assert "compose.py: " in missing.stderr
    assert not list(tmp_path.iterdir())
