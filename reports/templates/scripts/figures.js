// Figures and moments as people read them: the same rules as reports/figures.py.
"use strict";
const SCALES = {
  "ms": [[600000, 60000, "min"], [1000, 1000, "s"], [0, 1, "ms"]],
  "s": [[7200, 3600, "h"], [600, 60, "min"], [1, 1, "s"], [0, 0.001, "ms"]],
  "bytes": [[1e12, 1e12, "TB"], [1e9, 1e9, "GB"], [1e6, 1e6, "MB"], [1e3, 1e3, "kB"], [0, 1, "B"]],
  "bytes/s": [[1e9, 1e9, "GB/s"], [1e6, 1e6, "MB/s"], [1e3, 1e3, "kB/s"], [0, 1, "B/s"]],
  "rps": [[0, 1, "RPS"]],
  "cores": [[0, 1, "cores"]],
  "tokens/s": [[0, 1, "tok/s"]],
  "count": [[0, 1, ""]],
  "ratio": [[0, 0.01, "%"]],
};

function figure(value, unit, digits = 3) {
  if (value == null) return "–";
  const size = Number(Math.abs(value).toPrecision(digits));
  const scales = SCALES[unit] ?? [[0, 1, unit]];
  const [, divisor, sign] = scales.find(([from]) => size >= from) ?? scales.at(-1);
  const scaled = value / divisor;
  const places = scaled === 0 || (unit === "count" && Number.isInteger(value)) ? 0
    : Math.min(Math.max(digits - 1 - Math.floor(Math.log10(Math.abs(Number(scaled.toPrecision(digits))))), 0), 9);
  const text = scaled.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  return `${text} ${sign}`.trim();
}

// The texts of an axis, without the zeros that tell nothing; a unit that never changes stands in the chart's title.
function axisTexts(splits, unit) {
  return splits.map((v) => {
    if (v == null) return null;
    if (v === 0) return "0";
    const scaled = ["ms", "s", "bytes", "bytes/s", "ratio"].includes(unit);
    const text = !scaled && Math.abs(v) >= 10000 ? `${figure(v / 1000, "count", 3)}k` : figure(v, scaled ? unit : "count", 3);
    return text.replace(/(\.\d*?)0+(?=[ k]|$)/, "$1").replace(/\.(?=[ k]|$)/, "");
  });
}

function moment(seconds, long, tenths = false) {
  const sign = seconds < 0 ? "-" : "";
  const total = Math.abs(tenths ? Math.round(seconds * 10) / 10 : Math.round(seconds));
  const rest = total % 60;
  const tail = (tenths && !Number.isInteger(total) ? rest.toFixed(1) : String(Math.round(rest))).padStart(tenths && !Number.isInteger(total) ? 4 : 2, "0");
  const minutes = Math.floor(total / 60);
  if (!long) return `${sign}${minutes}:${tail}`;
  return `${sign}${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${tail}`;
}
