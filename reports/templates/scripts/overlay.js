// The curves of two runs on one axis: before dashed and grey, after in colour; all charts share one view.
"use strict";
(() => {
  const { step, points, charts } = JSON.parse(document.getElementById("data").textContent);
  const times = Float64Array.from({ length: points }, (_, i) => i * step);
  const full = [0, Math.max(times.at(-1) ?? 0, step)];
  const tones = ["blue", "violet", "red"];
  let live = [];
  let busy = false;

  function show(from, to) {
    if (to - from < step) return;
    busy = true;
    for (const plot of live) plot.setScale("x", { min: Math.max(from, full[0]), max: Math.min(to, full[1]) });
    busy = false;
  }

  function lines(spec) {
    return spec.curves.flatMap((curve, index) => ["before", "after"].map((run) => ({
      label: `${curve.label}, ${run}`, values: curve[run],
      stroke: paint.colour(run === "after" ? tones[index % tones.length] : "ink"), width: run === "after" ? 1.75 : 1.25,
      dash: run === "after" ? [] : index ? [2, 3] : [6, 4],
    })));
  }

  function legend(list, found) {
    list.replaceChildren(...found.map((line) => {
      const item = document.createElement("li"), name = document.createElement("span"), output = document.createElement("output");
      const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg"), stroke = document.createElementNS("http://www.w3.org/2000/svg", "line");
      for (const [key, value] of Object.entries({ x1: 0, x2: 24, y1: 5, y2: 5, stroke: line.stroke, "stroke-width": line.width, "stroke-dasharray": line.dash.join(" ") })) stroke.setAttribute(key, value);
      swatch.setAttribute("aria-hidden", "true");
      swatch.append(stroke);
      name.textContent = line.label;
      item.className = "entry";
      item.append(swatch, name, output);
      return item;
    }));
    return [...list.querySelectorAll("output")];
  }

  function draw(spec) {
    const frame = document.getElementById(spec.id), host = frame.querySelector(".plot"), found = lines(spec);
    const outputs = legend(frame.querySelector(".legend"), found);
    const axis = { stroke: paint.colour("soft"), grid: { stroke: paint.colour("rule"), width: 1 }, ticks: { show: false }, font: paint.font(1) };
    const read = (u) => found.forEach((line, index) => { outputs[index].textContent = u.cursor.idx == null ? "" : figure(line.values[u.cursor.idx], spec.unit); });
    return new uPlot({
      width: host.clientWidth, height: 190, legend: { show: false }, padding: [8, 8, 0, 0],
      scales: { x: { time: false, min: full[0], max: full[1] }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [{ ...axis, size: 26, values: (u, s) => s.map((t) => moment(t, full[1] >= 3600)) }, { ...axis, size: 62, values: (u, s) => axisTexts(s, spec.unit) }],
      series: [{}, ...found.map((line) => ({ label: line.label, stroke: line.stroke, width: line.width, dash: line.dash, points: { show: points < 40, size: 4 } }))],
      cursor: { sync: { key: "runs", setSeries: false }, y: false, drag: { x: true, y: false, dist: 6 }, bind: { dblclick: () => () => { show(...full); return null; } } },
      hooks: { setCursor: [read], setScale: [(u, key) => { if (key === "x" && !busy) show(u.scales.x.min, u.scales.x.max); }] },
    }, [times, ...found.map((line) => line.values)], host);
  }

  function build() {
    for (const plot of live) plot.destroy();
    busy = true;
    live = charts.map(draw);
    busy = false;
  }

  build();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build);
  addEventListener("resize", build);
  addEventListener("beforeprint", build);
})();
