"""The faults that a plan may ask for are the ones that the embedded platform has."""

from typing import get_args

from plans.faults import FaultKind
from target.faults import PARAMETERS


def test_a_plan_knows_the_platforms_faults_and_no_others() -> None:
    assert set(get_args(FaultKind)) == set(PARAMETERS)
