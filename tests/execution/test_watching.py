"""What the monitor is told to watch."""

from typing import Any

import pytest

from execution.watching import options, secrets
from plans.schema import Plan
from tests.reports.builder import PLAN

HERE, ELSEWHERE = "http://127.0.0.1:8000", "http://llm:8000"
PROMETHEUS = "http://prometheus:9090"


def watched(host: str, pid: int | None = None, monitors: dict[str, Any] | None = None, **target: Any) -> str:
    plan = Plan.model_validate(PLAN | {"target": {"host": host, **target}, "monitors": monitors or {}})
    return " ".join(options(plan, host, pid))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (watched(HERE), "--host --gpu --target-port 8000"),
        (watched(HERE, 7), "--host --gpu --target-pid 7 --page http://127.0.0.1:8000/metrics"),
        (watched(HERE, 7, {"server": False, "gpu": False}), "--host --target-pid 7"),
        (
            watched(HERE, 7, prometheus="/metrics", resources={"preset": "page"}),
            "--host --gpu --target-pid 7 --page http://127.0.0.1:8000/metrics",
        ),
        (watched(HERE, process={"name": "vllm"}), "--host --gpu --target-name vllm"),
        (watched(ELSEWHERE), "--host"),
        (watched(ELSEWHERE, prometheus="/prom"), "--host --page http://llm:8000/prom"),
        (watched(ELSEWHERE, prometheus="http://llm:9000"), "--host --page http://llm:9000/metrics"),
        (
            watched(ELSEWHERE, prometheus="/metrics", resources={"preset": "page"}),
            "--host --page-process --page http://llm:8000/metrics",
        ),
        (
            watched(HERE, resources={"prometheus": PROMETHEUS, "preset": "cadvisor", "selector": 'pod="x"'}),
            f'--host --gpu --prometheus {PROMETHEUS} --scraped-every 15.0 --preset cadvisor --selector pod="x"',
        ),
        (
            watched(ELSEWHERE, resources={"prometheus": PROMETHEUS, "queries": {"cpu_cores": "sum(x)"}}),
            f"--host --prometheus {PROMETHEUS} --scraped-every 15.0 --query cpu_cores=sum(x)",
        ),
        (watched(ELSEWHERE, monitors={"host": False, "target": False, "server": False}), ""),
    ],
)
def test_the_plan_and_the_host_decide(found: str, expected: str) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("page", "sent"), [("/metrics", True), (f"{ELSEWHERE}/metrics", True), ("http://other:8000/metrics", False)]
)
def test_the_token_goes_to_the_server_alone_and_by_name(page: str, sent: bool) -> None:
    assert ("--page-token MY_TOKEN" in watched(ELSEWHERE, prometheus=page, api_key_env="MY_TOKEN")) is sent


@pytest.mark.parametrize(
    ("plan", "url"),
    [
        ({"mix": {"DatabaseUser": {"url": "postgresql+psycopg://me:pw@db:5432/x"}}}, "postgresql://me:pw@db:5432/x"),
        ({"dependencies": {"postgresql": "postgresql://me@db/x"}}, "postgresql://me@db/x"),
        (
            {"dependencies": {"postgresql": {"url": "postgresql://me@db/x", "secret_env": "DB_PASSWORD"}}},
            "postgresql://me:p%40ss@db/x",
        ),
        ({"mix": {"DatabaseUser": {"url": "sqlite"}}}, None),
        ({"mix": {"DatabaseUser": {"url": "postgresql://db/x"}}, "monitors": {"database": False}}, None),
        ({}, None),
    ],
)
def test_a_postgresql_is_asked_whose_url_stands_in_no_command_line(
    plan: dict[str, Any], url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "p@ss")
    asked = Plan.model_validate(PLAN | {"target": {"host": HERE}, "criteria": []} | plan)

    assert list(secrets(asked).values()) == ([] if url is None else [url])
    assert ("--database" in options(asked, HERE, None)) is (url is not None)
    assert not any("://" in word for word in options(asked, HERE, None))
