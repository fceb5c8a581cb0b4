"""`timeline.svg`: load and latency of a run as one picture, where no script runs; and the same as Mermaid charts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from reports.analysis import Analysis, Series, Verdict
from reports.figures import clock, figure
from reports.texts import one_line

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 960, 150, 70, 16, 64, 44
_MOST = 480
_TONES = {
    "offered": "#566070",
    "achieved": "#1b5bc7",
    "failed": "#b92d12",
    "p50": "#2a86b8",
    "p95": "#1b5bc7",
    "p99": "#7440b0",
}
_DASHES = {"offered": "6 4", "p99": "7 3"}
_SEALS = {Verdict.PASS: "#0a6e47", Verdict.FAIL: "#b92d12", Verdict.INVALID: "#6436b8"}
_MERMAID_POINTS = 60
_LOOK = '%%%%{init: {"xyChart": {"height": 280}, "themeVariables": {"xyChart": {"plotColorPalette": "%s"}}}}%%%%'
_FONT = 'font-family="system-ui, sans-serif"'


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    unit: str
    series: tuple[Series, ...]

    @property
    def highest(self) -> float:
        return max((v for s in self.series for v in s.values if v is not None and math.isfinite(v)), default=0.0) or 1.0


def _panels(analysis: Analysis) -> list[_Panel]:
    timeline = analysis.timeline
    found = (
        _Panel("Rate", "rps", tuple(s for s in timeline.load if s.key in ("offered", "achieved", "failed"))),
        _Panel("Latency", "ms", tuple(s for s in timeline.latency if s.key in ("p50", "p95", "p99"))),
        _Panel("WebSocket message latency", "ms", tuple(s for s in timeline.websocket if s.key.endswith("_p95"))),
    )
    return [panel for panel in found if any(v is not None for s in panel.series for v in s.values)][:2]


def thinned(values: Sequence[float | None], most: int) -> list[float | None]:
    """Return the highest value of each of at most `most` equal parts; None where a part has none."""
    part = max(-(-len(values) // most), 1)
    groups = (values[first : first + part] for first in range(0, len(values), part))
    return [max((v for v in group if v is not None), default=None) for group in groups]


def timeline_svg(analysis: Analysis) -> bytes:
    """Return the picture as SVG in UTF-8: nothing in it is fetched or run, and no text from outside acts."""
    panels = _panels(analysis)
    height = _TOP + len(panels) * (_PANEL + _GAP) + (0 if panels else 30)
    name = f"{analysis.verdict.value} · {one_line(analysis.run.plan.id, 60)} · {one_line(analysis.run.plan.title, 90)}"
    seal = _SEALS[analysis.verdict]
    reason = one_line(analysis.reasons[0], 130) if analysis.reasons else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(name)}">',
        f"<title>{escape(name)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<rect width="8" height="{height}" fill="{seal}"/>',
        f'<text x="24" y="28" {_FONT} font-size="17" font-weight="700" fill="{seal}">{escape(name)}</text>',
        f'<text x="24" y="48" {_FONT} font-size="12.5" fill="#566070">{escape(reason)}</text>',
    ]
    for index, panel in enumerate(panels):
        parts += _drawn(analysis, panel, _TOP + 16 + index * (_PANEL + _GAP), index == 0)
    return ("\n".join([*parts, "</svg>"]) + "\n").encode("utf-8", "replace")


def _drawn(analysis: Analysis, panel: _Panel, top: float, with_names: bool) -> list[str]:
    timeline, wide = analysis.timeline, _WIDTH - _LEFT - _RIGHT
    length = max(timeline.points * timeline.step_s, 1e-9)

    def across(time: float) -> float:
        return _LEFT + min(max((time - timeline.start_s) / length, 0.0), 1.0) * wide

    bottom, parts = top + _PANEL, []
    for number, phase in enumerate(p for p in analysis.phases if p.reached):
        left, right = across(phase.start_s), across(phase.end_s)
        tone = "#f1f4f8" if number % 2 else "#fafbfc"
        parts.append(f'<rect x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{_PANEL}" fill="{tone}"/>')
        if with_names:
            parts.append(_text(left + 2, top - 5, one_line(phase.name)[: int((right - left) / 7)], "#566070"))
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * _PANEL / 1.08
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#e1e5ea"/>')
        parts.append(
            _text(_LEFT - 6, y + 4, figure(panel.highest * share, panel.unit) if share else "0", "#566070", "end")
        )
    parts += [_line(one, panel.highest, bottom, wide) for one in panel.series]
    parts.append(_text(_LEFT, bottom + 16, clock(timeline.start_s, length), "#566070"))
    parts.append(_text(_WIDTH - _RIGHT, bottom + 16, clock(timeline.start_s + length, length), "#566070", "end"))
    words = "   ".join(f'<tspan fill="{_tone(one)}">{escape(one.label)}</tspan>' for one in panel.series)
    place = f'x="{_WIDTH / 2}" y="{bottom + 16}" {_FONT} font-size="11.5" text-anchor="middle" xml:space="preserve"'
    parts.append(f"<text {place}>{panel.title}:   {words}</text>")
    return parts


def _tone(series: Series) -> str:
    return _TONES[series.key.rpartition("_")[2]]


def _text(x: float, y: float, text: str, fill: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" {_FONT} font-size="11" text-anchor="{anchor}"'
    return f'<text {place} fill="{fill}">{escape(text)}</text>'


def _line(series: Series, highest: float, bottom: float, wide: float) -> str:
    values = thinned(series.values, _MOST)
    points, pen = [], "M"
    for index, value in enumerate(values):
        if value is None or not math.isfinite(value):
            pen = "M"
            continue
        x = _LEFT + (index + 0.5) / len(values) * wide
        points.append(f"{pen}{x:.1f} {bottom - value / highest * _PANEL / 1.08:.1f}")
        pen = "L"
    dash = _DASHES.get(series.key)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{"".join(points)}" fill="none" stroke="{_tone(series)}" stroke-width="1.5"{dashed}/>'


def _bridged(values: Sequence[float | None]) -> list[float]:
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    bridged = np.interp(np.arange(len(values)), [place for place, _ in known], [value for _, value in known])
    return [float(value) for value in bridged]


def mermaid(analysis: Analysis) -> list[str]:
    """Return the panels as Mermaid charts: GitHub draws them in a job summary, where it shows no picture of a file.

    They know no gaps, so a stretch without data is bridged.
    """
    lines = []
    for panel in _panels(analysis):
        found = [(one, thinned(one.values, _MERMAID_POINTS)) for one in panel.series]
        curves = [(one, _bridged(values)) for one, values in found if any(values)]
        if not curves or len(curves[0][1]) < 2:
            continue
        end = analysis.timeline.points * analysis.timeline.step_s
        lines += [
            "```mermaid",
            _LOOK % ", ".join(_TONES[one.key.rpartition("_")[2]] for one, _ in curves),
            "xychart-beta",
            f'    title "{panel.title}: {", ".join(one.label for one, _ in curves)}"',
            f'    x-axis "seconds" 0 --> {end:g}',
            f'    y-axis "{"requests/s" if panel.unit == "rps" else panel.unit}" 0 --> {panel.highest * 1.08:.4g}',
            *(f"    line [{', '.join(f'{value:.4g}' for value in values)}]" for _, values in curves),
            "```",
            "",
        ]
    return lines
