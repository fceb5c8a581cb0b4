// The heat map: how many requests of each latency were due when. A uPlot chart without lines, so that it follows the view.
"use strict";
const heat = (() => {
  const edge = (bin) => 10 ** (bin / 10);
  const cells = () => run.chosen?.heat ?? { start: 0, step: 1, columns: [] };

  function range() {
    const filled = cells().columns.filter((c) => c.length);
    if (!filled.length) return [1, 10];
    return [edge(Math.min(...filled.map((c) => c[0]))), edge(Math.max(...filled.map((c) => c[0] + c.length - 1)))];
  }

  const most = () => Math.max(1, ...cells().columns.flatMap((c) => c.slice(1)));

  // Few must be seen beside many: the tone grows with the logarithm.
  const tone = (count, highest) => 0.12 + 0.88 * Math.log1p(count) / Math.log1p(highest);

  function draw(u) {
    const { start, step, columns } = cells(), highest = most(), hue = paint.colour("heat");
    paint.inside(u, (ctx) => columns.forEach((column, index) => {
      const from = Math.floor(u.valToPos(start + index * step, "x", true)), to = Math.floor(u.valToPos(start + (index + 1) * step, "x", true));
      for (let i = 1; i < column.length; i++) {
        if (!column[i]) continue;
        const bin = column[0] + i - 1, top = Math.floor(u.valToPos(edge(bin + 1), "y", true)), bottom = Math.floor(u.valToPos(edge(bin), "y", true));
        ctx.fillStyle = paint.faded(hue, tone(column[i], highest));
        ctx.fillRect(from, top, Math.max(to - from, 1), Math.max(bottom - top, 1));
      }
    }));
  }

  // What lies under the cursor, in words.
  function read(u) {
    const { start, step, columns } = cells();
    const time = u.posToVal(u.cursor.left, "x"), latency = u.posToVal(u.cursor.top, "y");
    const column = columns[Math.floor((time - start) / step)] ?? [], bin = Math.floor(Math.log10(latency) * 10 + 1e-9);
    const count = column.length ? column[bin - column[0] + 1] ?? 0 : 0;
    return `${figure(count, "count")} of ${figure(edge(bin), "ms")} to ${figure(edge(bin + 1), "ms")}`;
  }

  return { range, draw, read, most };
})();
