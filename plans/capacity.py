"""HOW MUCH can be asked of this machine: what a calibration found, and what share of it a plan wants."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from plans.input_files import peak_rate
from plans.mix import GenerationMix
from plans.schema import Plan

CALIBRATION_FILE = "calibration.json"
SCHEMA_VERSION = 1
_SAME_MACHINE = ("name", "processor", "cpus")


class Calibration(BaseModel):
    """What one process generated on a machine without being late: `calibration.json` in the folder of the runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: int = SCHEMA_VERSION
    taken_at: str = Field(description="wall clock, ISO 8601 with zone")
    requests_per_s: float = Field(gt=0, description="simple keep-alive requests")
    events_per_s: float = Field(gt=0, description="events of streams")
    streams: int = Field(gt=0, description="streams that were open at once at that rate of events")
    requests_limited_by: str = Field(description="client, server or ladder; only the first is the machine's limit")
    events_limited_by: str = Field(description="client, server or ladder")
    machine: dict[str, str]
    versions: dict[str, str]

    def save(self, runs: Path) -> Path:
        """Write the file so that a reader sees the old or the new text; return its path. Raises OSError."""
        runs.mkdir(parents=True, exist_ok=True)
        file = runs / CALIBRATION_FILE
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        temporary.replace(file)
        return file

    def foreign(self, machine: dict[str, str], versions: dict[str, str]) -> str | None:
        """Return in words why this says nothing about a machine with these versions; None when it does."""
        for ours, theirs, names in (
            (self.machine, machine, _SAME_MACHINE),
            (self.versions, versions, sorted({*self.versions, *versions})),
        ):
            for name in names:
                if ours.get(name) != theirs.get(name):
                    return f"it was taken with {name} {ours.get(name)}, and this is {theirs.get(name)}"
        return None


class Capacity(BaseModel):
    """What a run asks of its generator, and what is known of that."""

    model_config = ConfigDict(extra="forbid")
    requests_per_s: float | None = Field(
        None, description="highest rate of the plan; None when it has closed phases only"
    )
    events_per_s: float | None = Field(None, description="most events/s that its streams may send, by max_tokens")
    calibration: Calibration | None = None
    unknown: str | None = Field(None, description="why there is no share, in words")

    @property
    def share(self) -> float | None:
        """Share of the calibrated capacity that the plan asks for; more than 1 is more than the machine showed."""
        known = self.calibration
        if known is None or self.unknown or self.requests_per_s is None or self.events_per_s is None:
            return None
        return self.requests_per_s / known.requests_per_s + self.events_per_s / known.events_per_s

    def sentence(self) -> str:
        """Return what is known, for the reader of a report."""
        share, known = self.share, self.calibration
        if share is None or known is None:
            return f"unknown: {self.unknown}"
        return (
            f"the plan asks for up to {share:.0%} of what one process was seen to hold here on {known.taken_at[:10]} "
            f"({known.requests_per_s:,.0f} simple requests/s, or {known.events_per_s:,.0f} streamed events/s)"
        )


def asked(plan: Plan) -> tuple[float, float] | None:
    """Return the highest requests/s and the most events/s that the open phases may ask for; None without any."""
    rates = [
        phase.load.highest() if phase.trace is None else peak_rate(phase.trace)
        for phase in plan.phases
        if not phase.closed
    ]
    arriving = plan.mix.arriving().values()
    if not rates or not arriving:
        return None
    total = sum(options.share for options in arriving)
    events = sum(
        options.share / total * options.streaming * options.max_tokens
        for options in arriving
        if isinstance(options, GenerationMix)
    )
    return max(rates), max(rates) * events


def capacity(plan: Plan, runs: Path, machine: dict[str, str], versions: dict[str, str]) -> Capacity:
    """Return what a plan asks for beside what this machine was calibrated for; nothing is assumed."""
    wanted = asked(plan)
    found = Capacity() if wanted is None else Capacity(requests_per_s=wanted[0], events_per_s=wanted[1])
    file = runs / CALIBRATION_FILE
    try:
        found.calibration = Calibration.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        found.unknown = "this machine is not calibrated (make calibrate)"
        return found
    except (OSError, ValueError):
        found.unknown = f"{file} is not a calibration that can be read (make calibrate)"
        return found
    if foreign := found.calibration.foreign(machine, versions):
        found.unknown = f"the calibration does not count here: {foreign} (make calibrate)"
    elif wanted is None:
        found.unknown = "what closed phases ask for depends on the server"
    return found
