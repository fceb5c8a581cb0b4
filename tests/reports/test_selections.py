"""Every part that the page can filter by has its own exact figures, from its own raw samples."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.analysis import SPECTRUM, Analysis, Selection, Spectrum
from samples.sample import LatencySource, Outcome, Protocol, Sample
from tests.reports.builder import RunBuilder, failed, request

PHASES = [{"name": "slow", "rate": 20, "duration": "30s"}, {"name": "fast", "rate": 40, "duration": "30s"}]


def _samples() -> list[Sample]:
    random = np.random.default_rng(7)
    found = []
    for index in range(1800):
        due = index / 20 if index < 600 else 30 + (index - 600) / 40
        where: dict[str, Any] = {
            "phase": "slow" if index < 600 else "fast",
            "scenario": ("A", "B")[index % 2],
            "name": f"n{index % 3}",
        }
        latency = float(random.lognormal(-2, 1))
        if index % 50 == 0:
            found.append(failed(due, Outcome.TIMEOUT, **where))
        elif index % 50 == 1:
            found.append(request(due, latency, outcome=Outcome.HTTP_ERROR, status=500, error="HTTP 500", **where))
        else:
            found.append(request(due, latency, **where))
    # An extra attempt belongs to its name and to no scenario; a pushed message is nobody's request.
    found.append(request(1.0, 9.0, phase="slow", scenario="A", name="n0", iteration=False))
    pushed: dict[str, Any] = {"protocol": Protocol.WEBSOCKET, "message_type": "m", "latency_source": LatencySource.ECHO}
    found.append(request(2.0, 0.002, phase="slow", scenario="W", name="push", iteration=False, **pushed))
    return found


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    builder = RunBuilder(phases=PHASES, criteria=[{"metric": "success_rate", "at_least": 0.5}])
    return builder.samples(SAMPLES).analyze(tmp_path_factory.mktemp("run") / "run")


SAMPLES = _samples()
ANSWERED = {Outcome.OK, Outcome.HTTP_ERROR, Outcome.BAD_CONTENT}


def _of(selection: Selection) -> list[Sample]:
    """Return what a selection is about, by its definition."""
    return [
        s
        for s in SAMPLES
        if (s.outcome in ANSWERED if selection.outcome is None else s.outcome == selection.outcome)
        and selection.scenario in (None, s.scenario)
        and selection.name in (None, s.name)
        and (s.iteration or selection.name is not None or selection.scenario == "W")
    ]


def _latencies(selection: Selection, phase: str | None = None) -> list[float]:
    return sorted((s.done_s - s.due_s) * 1000 for s in _of(selection) if phase in (None, s.phase))


def _by_formula(ordered: list[float], place: float) -> float:
    """Return the nearest rank of 1 - 1/place, as the metrics define it."""
    rank = math.ceil(len(ordered) * (1 - 1 / place) - 1e-9)
    return ordered[max(rank, 1) - 1]


def _check(spectrum: Spectrum, ordered: list[float]) -> None:
    assert spectrum.samples == len(ordered)
    places = [place for place in SPECTRUM if place < len(ordered)]
    assert len(spectrum.values) == len(places) + 1
    expected = [_by_formula(ordered, place) for place in places] + [ordered[-1]]
    assert spectrum.values == pytest.approx(expected, rel=1e-9)


def test_every_part_that_occurs_can_be_chosen_the_whole_run_first(analysis: Analysis) -> None:
    first = analysis.selections[0]
    assert (first.scenario, first.name, first.outcome) == (None, None, None)
    parts = {(s.scenario, s.name) for s in analysis.selections}
    names = {(scenario, f"n{n}") for scenario in "AB" for n in range(3)}
    assert parts == {(None, None), ("A", None), ("B", None), ("W", None), ("W", "push"), *names}
    outcomes = {s.outcome for s in analysis.selections if s.scenario is None}
    assert outcomes == {None, "ok", "http_error", "timeout"}
    assert {s.outcome for s in analysis.selections if s.scenario == "B"} == {None, "ok", "http_error"}


def test_the_percentiles_of_every_part_and_phase_are_exact(analysis: Analysis) -> None:
    for selection in analysis.selections:
        for spectrum in selection.spectra:
            phase = None if spectrum.label == "whole run" else spectrum.label
            _check(spectrum, _latencies(selection, phase))
        assert selection.samples == selection.spectra[0].samples


def test_a_spectrum_agrees_with_the_metrics(analysis: Analysis) -> None:
    at = dict(zip(SPECTRUM, analysis.selections[0].spectra[0].values, strict=False))
    for name, place in (("p50", 2), ("p90", 10), ("p95", 20), ("p99", 100)):
        assert at[place] == pytest.approx(analysis.total.metrics[f"latency_{name}_ms"].value)
    group = next(g for g in analysis.requests if (g.scenario, g.name) == ("A", "n0"))
    selection = next(s for s in analysis.selections if (s.scenario, s.name, s.outcome) == ("A", "n0", None))
    found = dict(zip(SPECTRUM, selection.spectra[0].values, strict=False))
    assert found[20] == pytest.approx(group.metrics["latency_p95_ms"].value)
    assert selection.spectra[0].values[-1] == pytest.approx(group.metrics["latency_max_ms"].value)


def test_the_heat_map_counts_every_request_once_in_its_bin(analysis: Analysis) -> None:
    for selection in analysis.selections:
        heat, found = selection.heat, {}
        for index, column in enumerate(heat.columns):
            for offset, count in enumerate(column[1:]):
                if count:
                    found[index, column[0] + offset] = count
        expected: dict[tuple[int, int], int] = {}
        for sample in _of(selection):
            latency = (sample.done_s - sample.due_s) * 1000
            key = int((sample.due_s - heat.start_s) // heat.step_s), math.floor(math.log10(latency) * 10 + 1e-9)
            expected[key] = expected.get(key, 0) + 1
        assert found == expected


def test_curves_of_a_part_add_up_to_its_samples(analysis: Analysis) -> None:
    for selection in analysis.selections[1:]:
        curves = {series.key: series.values for series in selection.curves}
        assert sum(v or 0 for v in curves["achieved"]) * selection.step_s == pytest.approx(selection.samples)
        highest = max(v for v in curves["max"] if v is not None)
        assert highest == pytest.approx(_latencies(selection)[-1])


def test_a_run_without_samples_has_nothing_to_choose(tmp_path: Path) -> None:
    assert RunBuilder().write(tmp_path / "run")
    assert RunBuilder().analyze(tmp_path / "other").selections == []
