// What is painted on every chart: colours of the theme, bands of the phases, events, limits.
"use strict";
const paint = (() => {
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);

  function colour(name) {
    probe.style.color = `var(--${name === "ink" ? "grey" : name})`;
    return getComputedStyle(probe).color;
  }

  const faded = (rgb, alpha) => rgb.replace(/^rgb\(([^)]+)\)$/, `rgba($1, ${alpha})`);
  const font = (px, weight = "") => `${weight} ${11 * px}px ${getComputedStyle(document.body).fontFamily}`.trim();

  function inside(u, draw) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    draw(ctx, bbox, devicePixelRatio);
    ctx.restore();
  }

  function bands(u) {
    inside(u, (ctx, bbox, px) => {
      const band = colour("band"), rule = colour("rule-strong");
      run.head.phases.forEach((phase, index) => {
        const from = u.valToPos(phase.start, "x", true), to = u.valToPos(phase.end, "x", true);
        ctx.fillStyle = band;
        if (index % 2) ctx.fillRect(from, bbox.top, to - from, bbox.height);
        ctx.fillStyle = rule;
        if (index) ctx.fillRect(Math.round(from), bbox.top, px, bbox.height);
      });
    });
  }

  function events(u) {
    inside(u, (ctx, bbox, px) => {
      ctx.lineWidth = px;
      ctx.setLineDash([2 * px, 3 * px]);
      for (const event of run.head.events) {
        const x = Math.round(u.valToPos(event.t, "x", true));
        ctx.strokeStyle = faded(colour(event.kind === "fault" ? "red" : event.kind === "stop" ? "ink" : "orange"), 0.7);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
    });
  }

  function limits(u, spec) {
    inside(u, (ctx, bbox, px) => {
      ctx.font = font(px, "600");
      const taken = [];
      for (const limit of run.limits(spec.limits, spec.chosen)) {
        const from = Math.max(u.valToPos(limit.start, "x", true), bbox.left);
        const to = Math.min(u.valToPos(limit.end, "x", true), bbox.left + bbox.width);
        if (to - from < 4 * px) continue;
        ctx.strokeStyle = ctx.fillStyle = colour(limit.broken ? "fail" : "pass");
        const y = u.valToPos(limit.value, "y", true), above = y < bbox.top;
        if (!above) dashes(ctx, px, from, to, y);
        name(ctx, px, taken, { text: above ? `${limit.label} ↑` : limit.label, from, to, y: Math.max(y, bbox.top), below: above || limit.lower, top: bbox.top });
      }
    });
  }

  function dashes(ctx, px, from, to, y) {
    ctx.lineWidth = 1.5 * px;
    ctx.setLineDash([8 * px, 4 * px]);
    ctx.beginPath();
    ctx.moveTo(from, y);
    ctx.lineTo(to, y);
    ctx.stroke();
  }

  // The name of a limit at its right end, moved down until it covers no other.
  function name(ctx, px, taken, { text, from, to, y, below, top }) {
    const width = ctx.measureText(text).width;
    let line = below || y - 4 * px < top + 10 * px ? y + 13 * px : y - 5 * px;
    while (taken.some((t) => Math.abs(t.line - line) < 12 * px && to - width - 6 * px < t.to && to > t.from)) line += 13 * px;
    taken.push({ line, from: to - width - 8 * px, to });
    if (width + 10 * px >= to - from) return;
    ctx.lineWidth = 5 * px;
    ctx.lineJoin = "round";
    ctx.setLineDash([]);
    ctx.strokeStyle = faded(colour("surface"), 0.92);
    ctx.textAlign = "right";
    ctx.strokeText(text, to - 5 * px, line);
    ctx.fillText(text, to - 5 * px, line);
  }

  return { colour, faded, font, inside, bands, events, limits };
})();
