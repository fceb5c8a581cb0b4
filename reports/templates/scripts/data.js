// What the page draws, and which part of it is chosen: the whole run, or a scenario, a request, an outcome.
"use strict";
const run = (() => {
  const { head, charts, selections } = JSON.parse(document.getElementById("data").textContent);
  const start = head.start, full = [start, start + Math.max(head.points - 1, 1) * head.step];
  const times = (step, points) => Float64Array.from({ length: points }, (_, i) => start + i * step);
  const whole = { step: head.step, points: head.points, times: times(head.step, head.points) };
  let chosen = selections[0] ?? null;

  // The curves of a chart: its own, or those of the chosen selection on their own steps.
  function curves(spec) {
    if (!spec.chosen || !chosen || chosen === selections[0]) return { ...whole, values: spec.series.map((s) => s.values) };
    const found = chosen.curves, points = Math.max(0, ...Object.values(found).map((v) => v.length));
    const none = Array(points).fill(null);
    return { step: chosen.step, points, times: times(chosen.step, points), values: spec.series.map((s) => found[s.key] ?? none) };
  }

  // The limits that are about what a chart shows: those of the chosen part, where it can be chosen.
  function limits(all, choosable) {
    if (!choosable) return all;
    const where = chosen ?? { scenario: null, name: null };
    return all.filter((l) => (l.scenario ?? null) === where.scenario && (l.name ?? null) === where.name);
  }

  return {
    head, specs: charts, selections, full, long: full[1] >= 3600, curves, limits,
    get chosen() { return chosen; },
    set chosen(selection) { chosen = selection; },
  };
})();
