"""WHAT do we run, and what counts as a pass?"""

from plans.loading import load
from plans.problems import PlanError, Problem
from plans.run import RunRecord
from plans.schema import Plan

__all__ = ["Plan", "PlanError", "Problem", "RunRecord", "load"]
