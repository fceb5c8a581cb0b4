"""Which plans a command runs: by scenario, by tags, and soaks only when they are asked for."""

from pathlib import Path

import pytest
import yaml

from plans.choosing import SOAK, Wanted, choose, words
from plans.problems import PlanError

TAGS = {"baseline": ["quick"], "spike": ["quick", "spike"], "soak": [SOAK, "slow"], "mixed": []}


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    phases = [{"name": "only", "rate": 1, "duration": "1s"}]
    for name, tags in TAGS.items():
        plan = {"id": name, "title": name, "tags": tags, "mix": {"ReadOnlyUser": {}}, "phases": phases}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return sorted(tmp_path.glob("*.yaml"))


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


@pytest.mark.parametrize(
    ("wanted", "chosen", "left_out"),
    [
        (Wanted(), ["baseline", "mixed", "spike"], ["soak"]),
        (Wanted(soak=True), ["baseline", "mixed", "soak", "spike"], []),
        (Wanted(scenarios=frozenset({"spike", "mixed"})), ["mixed", "spike"], []),
        (Wanted(scenarios=frozenset({"soak"})), ["soak"], []),
        (Wanted(tags=frozenset({"quick"})), ["baseline", "spike"], []),
        (Wanted(tags=frozenset({"soak"})), ["soak"], []),
        (Wanted(unwanted=frozenset({"quick"})), ["mixed"], ["soak"]),
        (Wanted(unwanted=frozenset({"slow"})), ["baseline", "mixed", "spike"], []),
    ],
)
def test_what_is_run_of_a_folder(paths: list[Path], wanted: Wanted, chosen: list[str], left_out: list[str]) -> None:
    found = choose(paths, [], wanted)
    assert (names(found.plans), names(found.left_out)) == (chosen, left_out)


def test_a_soak_that_is_named_as_a_file_is_run(paths: list[Path]) -> None:
    soak = next(path for path in paths if path.stem == "soak")
    assert choose([soak], [soak], Wanted()).plans == [soak]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            Wanted(scenarios=frozenset({"spikes"})),
            "--scenario must be one of the plans (baseline, mixed, soak, spike), got",
        ),
        (Wanted(tags=frozenset({"fast"})), "--tags must leave a plan; the plans' tags are: quick, slow, soak, spike"),
        (Wanted(unwanted=frozenset({"quick"}), tags=frozenset({"spike"})), "--tags must leave a plan"),
    ],
)
def test_a_wish_that_leaves_nothing_is_named(paths: list[Path], wanted: Wanted, said: str) -> None:
    with pytest.raises(PlanError, match="command line") as error:
        choose(paths, [], wanted)
    assert said in str(error.value)


def test_a_folder_of_soaks_says_how_to_run_them(paths: list[Path]) -> None:
    with pytest.raises(PlanError, match="--include-soak must be given"):
        choose([path for path in paths if path.stem == "soak"], [], Wanted())


def test_no_plan_and_broken_plans_are_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"the folder holds no \.yaml files"):
        choose([], [], Wanted())
    (tmp_path / "a.yaml").write_text("id: 1", encoding="utf-8")
    with pytest.raises(PlanError, match=r"a\.yaml"):
        choose([tmp_path / "a.yaml"], [], Wanted())


def test_words_are_separated_by_commas() -> None:
    assert words(" a, b,,") == {"a", "b"}
    assert words(None) == frozenset()
