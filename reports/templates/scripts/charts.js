// All charts over time share one view of one axis: `view` is the window that is seen, and every chart follows it.
"use strict";
const charts = (() => {
  const { head, specs, full, long } = run;
  const hidden = new Set();
  const INCREMENTS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  let view = [...full];
  let logarithmic = false;
  let live = []; // {spec, plot, outputs, curves}
  let busy = false;
  const listeners = { view: [], build: [], cursor: [] };

  function shown(spec, values) {
    // A logarithm has no place for 0.
    return logarithmic && spec.log ? values.map((v) => (v > 0 ? v : null)) : values;
  }

  function scaleY(spec) {
    if (spec.heat) return { distr: 3, range: heat.range() };
    if (logarithmic && spec.log) return { distr: 3 };
    // Memory is shown around its own level, or a leak would be a flat line.
    if (spec.unit === "bytes") return { range: (u, low, high) => {
      const room = Math.max((high - low) * 0.15, high * 0.01) || 1;
      return [Math.max(0, low - room), high + room];
    } };
    return { range: (u, low, high) => [0, withLimits(spec, high > 0 ? high * 1.08 : 1)] };
  }

  // A limit makes the axis longer only where the curve stays readable under it.
  function withLimits(spec, high) {
    const near = run.limits(spec.limits, spec.chosen).map((l) => l.value * 1.08).filter((v) => v <= high * 2.5);
    return Math.max(high, ...near);
  }

  function seriesOptions(spec, series, points) {
    const stroke = paint.colour(series.tone);
    return {
      label: series.label, stroke, width: series.width, dash: series.dash.length ? series.dash : undefined,
      fill: series.fill ? paint.faded(stroke, 0.1) : undefined, spanGaps: false, show: !hidden.has(`${spec.id}/${series.key}`),
      points: { show: points < 40, size: 4 },
      paths: series.key === "offered" ? uPlot.paths.stepped({ align: 1 }) : undefined,
    };
  }

  function axes(spec, narrow) {
    const axis = { stroke: paint.colour("soft"), grid: { stroke: paint.colour("rule"), width: 1 }, ticks: { show: false }, font: paint.font(1) };
    return [
      { ...axis, size: 26, gap: 5, space: 80, incrs: INCREMENTS, values: (u, s) => s.map((t) => moment(t, long)) },
      { ...axis, size: narrow ? 50 : 62, gap: 5, space: spec.flat ? 20 : 28, values: (u, s) => axisTexts(s, spec.unit) },
    ];
  }

  function options(spec, curves, width) {
    const narrow = width < 620;
    return {
      width, height: spec.tall ? (narrow ? 190 : 220) : spec.flat ? 108 : 136, legend: { show: false }, padding: [8, narrow ? 4 : 8, 0, 0],
      scales: { x: { time: false, min: view[0], max: view[1] }, y: scaleY(spec) },
      axes: axes(spec, narrow),
      series: [{}, ...(spec.heat ? [{ show: true, stroke: "transparent", points: { show: false } }] : spec.series.map((s) => seriesOptions(spec, s, curves.points)))],
      cursor: {
        sync: { key: "run", setSeries: false }, y: Boolean(spec.heat), drag: { x: true, y: false, dist: 6 }, points: { size: 6, show: !spec.heat },
        bind: { dblclick: () => () => { show(...full); return null; } },
      },
      hooks: {
        drawClear: [paint.bands],
        drawAxes: spec.heat ? [heat.draw] : [],
        draw: [paint.events, ...(spec.heat ? [] : [(u) => paint.limits(u, spec)])],
        setCursor: [read],
        setScale: [(u, key) => { if (key === "x" && !busy) show(u.scales.x.min, u.scales.x.max); }],
      },
    };
  }

  function build() {
    for (const { plot } of live) plot.destroy();
    live = [];
    for (const spec of specs) {
      const box = document.getElementById(spec.id), host = box.querySelector(".plot");
      const curves = run.curves(spec);
      const values = spec.heat ? [Array.from(curves.times, () => null)] : curves.values.map((v) => shown(spec, v));
      busy = true;
      const plot = new uPlot(options(spec, curves, host.clientWidth), [curves.times, ...values], host);
      busy = false;
      live.push({ spec, plot, curves, outputs: spec.heat ? [box.querySelector("output")] : legend(spec, box.querySelector(".legend")) });
    }
    for (const tell of listeners.build) tell();
    peaks();
  }

  function legend(spec, list) {
    list.replaceChildren();
    return spec.series.map((series, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!hidden.has(`${spec.id}/${series.key}`)));
      button.title = `Show or hide ${series.label}`;
      const name = document.createElement("span");
      name.textContent = series.label;
      const output = document.createElement("output");
      button.append(swatch(series), name, output);
      button.addEventListener("click", () => toggle(spec, series, index, button));
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
      return output;
    });
  }

  function swatch(series) {
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    picture.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const looks = { x1: 0, x2: 24, y1: 5, y2: 5, stroke: paint.colour(series.tone), "stroke-width": series.width + 0.5, "stroke-dasharray": series.dash.join(" ") };
    for (const [name, value] of Object.entries(looks)) line.setAttribute(name, value);
    picture.append(line);
    return picture;
  }

  function toggle(spec, series, index, button) {
    const key = `${spec.id}/${series.key}`;
    if (!hidden.delete(key)) hidden.add(key);
    button.setAttribute("aria-pressed", String(!hidden.has(key)));
    live.find((one) => one.spec === spec).plot.setSeries(index + 1, { show: !hidden.has(key) });
  }

  // Without a cursor the legends show the highest point of the part that is seen.
  function peaks() {
    for (const { spec, outputs, curves } of live) {
      if (spec.heat) { outputs[0].textContent = `up to ${figure(heat.most(), "count")} in a cell`; continue; }
      const from = Math.max(0, Math.ceil((view[0] - head.start) / curves.step));
      const to = Math.min(curves.points - 1, Math.floor((view[1] - head.start) / curves.step));
      curves.values.forEach((values, index) => {
        let peak = null;
        for (let i = from; i <= to; i++) if (values[i] != null && (peak == null || values[i] > peak)) peak = values[i];
        outputs[index].textContent = figure(peak, spec.unit);
      });
    }
    for (const tell of listeners.cursor) tell(null);
  }

  function read(u) {
    const one = live.find((candidate) => candidate.plot === u);
    if (!one) return;
    const index = u.cursor.idx;
    if (index == null || u.cursor.left < 0) {
      if (one === live[0]) peaks();
      return;
    }
    if (one.spec.heat) one.outputs[0].textContent = heat.read(u);
    else one.curves.values.forEach((values, i) => { one.outputs[i].textContent = figure(values[index], one.spec.unit); });
    if (one === live[0]) for (const tell of listeners.cursor) tell(one.curves.times[index]);
  }

  // The one place where the view changes: from a drag in any chart, a phase, a slow request, or a reset.
  function show(from, to) {
    from = Math.max(from, full[0]);
    to = Math.min(to, full[1]);
    if (to - from < head.step) return;
    view = [from, to];
    busy = true;
    for (const { plot } of live) plot.setScale("x", { min: from, max: to });
    busy = false;
    for (const tell of listeners.view) tell(view);
    peaks();
  }

  function fit() {
    for (const { spec, plot } of live) {
      const width = document.getElementById(spec.id).querySelector(".plot").clientWidth;
      if (width && width !== plot.width) plot.setSize({ width, height: plot.height });
    }
  }

  function log(event) {
    logarithmic = !logarithmic;
    event.currentTarget.setAttribute("aria-pressed", String(logarithmic));
    build();
  }

  return {
    build, show, full, fit, log, swatch, view: () => view, logarithmic: () => logarithmic, on: (what, tell) => listeners[what].push(tell),
    plots: () => live.map((one) => one.plot), ids: () => specs.map((s) => s.id),
  };
})();
