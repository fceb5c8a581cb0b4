// Charts that are not over time: latency by percentile, and what the load does to latency and quality.
"use strict";
const curves = (() => {
  const NAMES = new Map([[1, "0 %"], [2, "50 %"], [4, "75 %"], [10, "90 %"], [20, "95 %"], [100, "99 %"], [1e3, "99.9 %"], [1e4, "99.99 %"], [1e5, "99.999 %"], [1e6, "99.9999 %"], [1e7, "99.99999 %"]]);
  const TONES = ["ink", "blue", "orange", "green", "violet", "sky", "red"];
  const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3]];
  let live = [];

  const look = (label, index) => ({ label, tone: TONES[index % TONES.length], dash: index ? DASHES[Math.floor(index / TONES.length) % 4] : [5, 4], width: index ? 1.5 : 2 });

  function axes(x, y) {
    const axis = { stroke: paint.colour("soft"), grid: { stroke: paint.colour("rule"), width: 1 }, ticks: { show: false }, font: paint.font(1), gap: 5 };
    return [{ ...axis, size: 26, space: 60, ...x }, { ...axis, size: 62, space: 28, ...y }];
  }

  function legend(box, looks, texts) {
    box.querySelector(".legend").replaceChildren(...looks.map((one, index) => {
      const item = document.createElement("li"), name = document.createElement("span"), output = document.createElement("output");
      item.className = "entry";
      name.textContent = one.label;
      output.textContent = texts[index];
      item.append(charts.swatch(one), name, output);
      return item;
    }));
    return [...box.querySelectorAll(".legend output")];
  }

  // Each spectrum ends at its own maximum, so the axis holds the grid and every last place.
  function table(spectra) {
    const grid = run.head.spectrum, places = new Set();
    const lines = spectra.map(({ samples, values }) => new Map(values.map((v, i) => [i < values.length - 1 ? grid[i] : Math.max(samples, 1), v])));
    for (const line of lines) for (const place of line.keys()) places.add(place);
    const xs = [...places].sort((a, b) => a - b);
    return [xs, ...lines.map((line) => xs.map((x) => line.get(x) ?? null))];
  }

  function spectrum(box) {
    const spectra = run.chosen?.spectra ?? [], host = box.querySelector(".plot");
    const looks = spectra.map((one, index) => look(one.label, index));
    const outputs = legend(box, looks, spectra.map((one) => `${figure(one.samples, "count")} samples`));
    if (!spectra.length) return null;
    const data = table(spectra), last = Math.max(data[0].at(-1), 20);
    const labels = [...NAMES.keys()].filter((x) => x <= last);
    const plot = new uPlot({
      width: host.clientWidth, height: 240, legend: { show: false }, padding: [8, 14, 0, 0],
      scales: { x: { time: false, distr: 3, range: [1, last] }, y: charts.logarithmic() ? { distr: 3 } : { range: (u, low, high) => [0, high * 1.08 || 1] } },
      axes: axes({ splits: () => labels, filter: (u, s) => s, values: (u, s) => s.map((x) => NAMES.get(x) ?? "") }, { values: (u, s) => axisTexts(s, "ms") }),
      series: [{}, ...looks.map((one) => ({ label: one.label, stroke: paint.colour(one.tone), width: one.width, dash: one.dash, spanGaps: true, points: { show: false } }))],
      cursor: { y: false, drag: { x: false, y: false } },
      hooks: { draw: [targets], setCursor: [(u) => outputs.forEach((output, i) => { output.textContent = u.cursor.idx == null ? `${figure(spectra[i].samples, "count")} samples` : figure(u.data[i + 1][u.cursor.idx], "ms"); })] },
    }, data, host);
    return plot;
  }

  // A limit on a percentile is a point of this chart.
  function targets(u) {
    paint.inside(u, (ctx, bbox, px) => {
      for (const limit of run.limits(run.head.percentiles, true)) {
        const x = u.valToPos(limit.at, "x", true), y = u.valToPos(limit.value, "y", true);
        ctx.fillStyle = paint.colour(limit.broken ? "fail" : "pass");
        ctx.fillRect(x - 9 * px, y - px, 18 * px, 2 * px);
      }
    });
  }

  // One point for each step of time: how it was at that rate.
  function scatter(box) {
    const host = box.querySelector(".plot"), unit = box.dataset.unit;
    const [load, other] = ["chart-load-rps", box.dataset.of].map((id) => run.specs.find((s) => s.id === id));
    if (!load || !other) return null;
    const offered = run.curves(load), found = run.curves(other);
    const [rates, values] = [[load, offered, "offered"], [other, found, box.dataset.key]].map(([spec, of, key]) => of.values[spec.series.findIndex((s) => s.key === key)] ?? []);
    const phaseOf = (t) => run.head.phases.findIndex((p) => t >= p.start && t < p.end);
    const points = Array.from(values, (v, i) => ({ x: rates[i], y: v, phase: phaseOf(found.times[i]) })).filter((p) => p.y != null && p.x != null && p.phase >= 0).sort((a, b) => a.x - b.x);
    const looks = run.head.phases.map((p, index) => look(p.name, index + 1));
    legend(box, looks, looks.map(() => ""));
    if (!points.length) return null;
    return new uPlot({
      width: host.clientWidth, height: 200, legend: { show: false }, padding: [8, 14, 0, 0],
      scales: { x: { time: false, range: (u, low, high) => [0, high * 1.05 || 1] }, y: charts.logarithmic() && unit === "ms" ? { distr: 3 } : { range: (u, low, high) => [0, high * 1.08 || 1] } },
      axes: axes({ values: (u, s) => axisTexts(s, "rps") }, { values: (u, s) => axisTexts(s, unit) }),
      series: [{}, ...looks.map((one) => ({ label: one.label, stroke: paint.colour(one.tone), paths: () => null, points: { show: true, size: 5, fill: paint.faded(paint.colour(one.tone), 0.6) } }))],
      cursor: { drag: { x: false, y: false } },
    }, [points.map((p) => p.x), ...looks.map((_, index) => points.map((p) => (p.phase === index ? p.y : null)))], host);
  }

  function build() {
    for (const plot of live) plot.destroy();
    live = [];
    for (const [kind, draw] of [["spectrum", spectrum], ["scatter", scatter]]) {
      for (const box of document.querySelectorAll(`[data-chart=${kind}]`)) {
        const plot = draw(box);
        if (plot) live.push(plot);
      }
    }
  }

  function fit() {
    for (const plot of live) {
      const width = plot.root.parentElement.clientWidth;
      if (width && width !== plot.width) plot.setSize({ width, height: plot.height });
    }
  }

  charts.on("build", build);
  return { fit, plots: () => live };
})();
