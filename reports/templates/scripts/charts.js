// All charts share one view of one time axis: `view` is the window that is seen, and every chart follows it.
"use strict";
const charts = (() => {
  const element = document.getElementById("data");
  const { head, charts: specs } = JSON.parse(element.textContent);
  const stack = document.getElementById("stack");
  const full = [head.start, head.start + Math.max(head.points - 1, 1) * head.step];
  const long = full[1] >= 3600;
  const times = Float64Array.from({ length: head.points }, (_, i) => head.start + i * head.step);
  const hidden = new Set();
  let view = [...full];
  let logarithmic = false;
  let live = []; // {spec, plot, outputs}
  let busy = false;

  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  function colour(name) {
    probe.style.color = `var(--${name === "ink" ? "grey" : name})`;
    return getComputedStyle(probe).color;
  }

  function faded(rgb, alpha) {
    return rgb.replace(/^rgb\(([^)]+)\)$/, `rgba($1, ${alpha})`);
  }

  function values(spec, series) {
    // A logarithm has no place for 0.
    return logarithmic && spec.log ? series.values.map((v) => (v > 0 ? v : null)) : series.values;
  }

  function top(plot, low, high) {
    return high > 0 ? high * 1.08 : 1;
  }

  function scaleY(spec) {
    if (logarithmic && spec.log) return { distr: 3 };
    // Memory is shown around its own level, or a leak would be a flat line.
    if (spec.unit === "bytes") return { range: (u, low, high) => {
      const room = Math.max((high - low) * 0.15, high * 0.01) || 1;
      return [Math.max(0, low - room), high + room];
    } };
    return { range: (u, low, high) => [0, withLimits(spec, top(u, low, high))] };
  }

  // A limit makes the axis longer only where the curve stays readable under it.
  function withLimits(spec, high) {
    const near = spec.limits.map((l) => l.value * 1.08).filter((v) => v <= high * 2.5);
    return Math.max(high, ...near);
  }

  function drawBands(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const band = colour("band"), rule = colour("rule-strong");
    head.phases.forEach((phase, index) => {
      const from = u.valToPos(phase.start, "x", true), to = u.valToPos(phase.end, "x", true);
      if (index % 2) {
        ctx.fillStyle = band;
        ctx.fillRect(from, bbox.top, to - from, bbox.height);
      }
      if (index) {
        ctx.fillStyle = rule;
        ctx.fillRect(Math.round(from), bbox.top, devicePixelRatio, bbox.height);
      }
    });
    ctx.restore();
  }

  function drawLimits(u, spec) {
    const { ctx, bbox } = u;
    const px = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const event of head.events) {
      const x = Math.round(u.valToPos(event.t, "x", true));
      ctx.strokeStyle = faded(colour(event.kind === "fault" ? "red" : event.kind === "stop" ? "ink" : "orange"), 0.7);
      ctx.lineWidth = px;
      ctx.setLineDash([2 * px, 3 * px]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.font = `600 ${11 * px}px ${getComputedStyle(document.body).fontFamily}`;
    const taken = [];
    for (const limit of spec.limits) {
      const tone = colour(limit.broken ? "fail" : "pass");
      const from = Math.max(u.valToPos(limit.start, "x", true), bbox.left);
      const to = Math.min(u.valToPos(limit.end, "x", true), bbox.left + bbox.width);
      if (to - from < 4 * px) continue;
      const y = u.valToPos(limit.value, "y", true);
      const above = y < bbox.top;
      ctx.strokeStyle = ctx.fillStyle = tone;
      if (!above) {
        ctx.lineWidth = 1.5 * px;
        ctx.setLineDash([8 * px, 4 * px]);
        ctx.beginPath();
        ctx.moveTo(from, y);
        ctx.lineTo(to, y);
        ctx.stroke();
      }
      const text = above ? `${limit.label} ↑` : limit.label;
      const width = ctx.measureText(text).width;
      let line = above ? bbox.top + 12 * px : limit.lower || y - 4 * px < bbox.top + 10 * px ? y + 13 * px : y - 5 * px;
      while (taken.some((t) => Math.abs(t.line - line) < 12 * px && to - width - 6 * px < t.to && to > t.from)) line += 13 * px;
      taken.push({ line, from: to - width - 8 * px, to });
      if (width + 10 * px < to - from) {
        ctx.lineWidth = 5 * px;
        ctx.lineJoin = "round";
        ctx.setLineDash([]);
        ctx.strokeStyle = faded(colour("surface"), 0.92);
        ctx.textAlign = "right";
        ctx.strokeText(text, to - 5 * px, line);
        ctx.fillText(text, to - 5 * px, line);
      }
    }
    ctx.restore();
  }

  function seriesOptions(spec, series, step) {
    const stroke = colour(series.tone);
    return {
      label: series.label, stroke, width: series.width, dash: series.dash.length ? series.dash : undefined,
      fill: series.fill ? faded(stroke, 0.1) : undefined, spanGaps: false, show: !hidden.has(`${spec.id}/${series.key}`),
      points: { show: head.points < 40, size: 4 },
      paths: series.key === "offered" ? uPlot.paths.stepped({ align: 1 }) : undefined,
    };
  }

  function options(spec, width) {
    const narrow = width < 620;
    const axis = { stroke: colour("soft"), grid: { stroke: colour("rule"), width: 1 }, ticks: { show: false }, font: `11px ${getComputedStyle(document.body).fontFamily}` };
    return {
      width, height: spec.tall ? (narrow ? 190 : 220) : spec.flat ? 108 : 136, legend: { show: false }, padding: [8, narrow ? 4 : 8, 0, 0],
      scales: { x: { time: false, min: view[0], max: view[1] }, y: scaleY(spec) },
      axes: [
        { ...axis, size: 26, gap: 5, space: 80, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400], values: (u, s) => s.map((t) => moment(t, long)) },
        { ...axis, size: narrow ? 50 : 62, gap: 5, space: spec.flat ? 20 : 28, values: (u, s) => axisTexts(s, spec.unit) },
      ],
      series: [{}, ...spec.series.map((s) => seriesOptions(spec, s, head.step))],
      cursor: { sync: { key: "run", setSeries: false }, y: false, drag: { x: true, y: false, dist: 6 }, points: { size: 6 }, bind: { dblclick: () => () => { show(...full); return null; } } },
      hooks: {
        drawClear: [drawBands],
        draw: [(u) => drawLimits(u, spec)],
        setCursor: [read],
        setScale: [(u, key) => { if (key === "x" && !busy) show(u.scales.x.min, u.scales.x.max); }],
      },
    };
  }

  function build() {
    for (const { plot } of live) plot.destroy();
    live = [];
    if (!stack) return;
    for (const spec of specs) {
      const figureElement = document.getElementById(spec.id);
      const host = figureElement.querySelector(".plot");
      busy = true;
      const plot = new uPlot(options(spec, host.clientWidth), [times, ...spec.series.map((s) => values(spec, s))], host);
      busy = false;
      live.push({ spec, plot, outputs: legend(spec, figureElement.querySelector(".legend")) });
    }
    rule();
    peaks();
  }

  function legend(spec, list) {
    list.replaceChildren();
    return spec.series.map((series, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!hidden.has(`${spec.id}/${series.key}`)));
      button.title = `Show or hide ${series.label}`;
      const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      swatch.setAttribute("aria-hidden", "true");
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      for (const [name, value] of Object.entries({ x1: 0, x2: 24, y1: 5, y2: 5, stroke: colour(series.tone), "stroke-width": series.width + 0.5, "stroke-dasharray": series.dash.join(" ") })) line.setAttribute(name, value);
      swatch.append(line);
      const name = document.createElement("span");
      name.textContent = series.label;
      const output = document.createElement("output");
      button.append(swatch, name, output);
      button.addEventListener("click", () => toggle(spec, series, index, button));
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
      return output;
    });
  }

  function toggle(spec, series, index, button) {
    const key = `${spec.id}/${series.key}`;
    if (!hidden.delete(key)) hidden.add(key);
    button.setAttribute("aria-pressed", String(!hidden.has(key)));
    live.find((one) => one.spec === spec).plot.setSeries(index + 1, { show: !hidden.has(key) });
  }

  // Without a cursor the legends show the highest point of the part that is seen.
  function peaks() {
    const from = Math.max(0, Math.ceil((view[0] - head.start) / head.step));
    const to = Math.min(head.points - 1, Math.floor((view[1] - head.start) / head.step));
    for (const { spec, outputs } of live) {
      spec.series.forEach((series, index) => {
        let peak = null;
        for (let i = from; i <= to; i++) if (series.values[i] != null && (peak == null || series.values[i] > peak)) peak = series.values[i];
        outputs[index].textContent = figure(peak, spec.unit);
      });
    }
    document.getElementById("ruler-at").textContent = "peak in view";
    document.getElementById("ruler-now").hidden = true;
  }

  function read(u) {
    const one = live.find((candidate) => candidate.plot === u);
    if (!one) return;
    const index = u.cursor.idx;
    if (index == null || u.cursor.left < 0) {
      if (one === live[0]) peaks();
      return;
    }
    one.spec.series.forEach((series, i) => { one.outputs[i].textContent = figure(series.values[index], one.spec.unit); });
    if (one !== live[0]) return;
    const t = times[index], phase = head.phases.find((p) => t >= p.start && t < p.end);
    document.getElementById("ruler-at").textContent = `at ${moment(t, long, true)}${phase ? ` in ${phase.name}` : ""}`;
    const now = document.getElementById("ruler-now");
    now.hidden = false;
    now.textContent = moment(t, long, true);
    now.style.left = `${(t - view[0]) / (view[1] - view[0]) * 100}%`;
  }

  // The one place where the view changes: from a drag in any chart, a phase, or a reset.
  function show(from, to) {
    from = Math.max(from, full[0]);
    to = Math.min(to, full[1]);
    if (to - from < head.step) return;
    view = [from, to];
    busy = true;
    for (const { plot } of live) plot.setScale("x", { min: from, max: to });
    busy = false;
    document.getElementById("reset").disabled = from <= full[0] && to >= full[1];
    rule();
    peaks();
  }

  function rule() {
    const share = (t) => (t - view[0]) / (view[1] - view[0]) * 100;
    const phases = document.getElementById("ruler-phases");
    const marks = document.getElementById("ruler-marks");
    const focused = [...phases.children].indexOf(document.activeElement);
    phases.replaceChildren(...head.phases.map((phase) => {
      const button = document.createElement("button");
      button.type = "button";
      const left = Math.max(share(phase.start), 0), right = Math.min(share(phase.end), 100);
      button.style.left = `${left}%`;
      button.style.width = `${Math.max(right - left, 0)}%`;
      button.hidden = right <= left;
      button.title = `${phase.name}: ${phase.load}, ${moment(phase.start, long)} to ${moment(phase.end, long)}`;
      button.textContent = phase.name;
      const load = document.createElement("small");
      load.textContent = phase.load;
      button.append(load);
      button.addEventListener("click", () => (view[0] === phase.start && view[1] === Math.min(phase.end, full[1]) ? show(...full) : show(phase.start, phase.end)));
      return button;
    }));
    phases.children[focused]?.focus();
    marks.replaceChildren(...head.events.filter((e) => e.t >= view[0] && e.t <= view[1]).map((event) => {
      const mark = document.createElement("button");
      const place = share(event.t);
      mark.type = "button";
      mark.className = "mark";
      mark.dataset.kind = event.kind;
      mark.style.left = `${place}%`;
      mark.style.setProperty("--shift", place < 25 ? "0" : place > 75 ? "-100%" : "-50%");
      mark.setAttribute("aria-label", `${moment(event.t, long)} ${event.kind}: ${event.text}`);
      mark.textContent = event.kind === "fault" ? "▼" : event.kind === "stop" ? "■" : "▲";
      return mark;
    }));
  }

  function fit() {
    for (const { spec, plot } of live) {
      const width = document.getElementById(spec.id).querySelector(".plot").clientWidth;
      if (width && width !== plot.width) plot.setSize({ width, height: plot.height });
    }
  }

  if (stack) {
    build();
    new ResizeObserver(fit).observe(stack);
    document.getElementById("reset").addEventListener("click", () => show(...full));
    document.getElementById("log").addEventListener("click", (event) => {
      logarithmic = !logarithmic;
      event.currentTarget.setAttribute("aria-pressed", String(logarithmic));
      build();
    });
    // Paper is light: the charts are drawn again for it, and once more for the screen.
    addEventListener("beforeprint", () => { fit(); build(); });
    addEventListener("afterprint", () => build());
  }
  return { build, show, full, view: () => view, plots: () => live.map((one) => one.plot), ids: () => specs.map((s) => s.id) };
})();
