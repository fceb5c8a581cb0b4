// Theme, sorting of tables, links into closed parts of the page, paper; and the first drawing of the charts.
"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const current = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const label = () => { button.textContent = current() === "dark" ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    root.dataset.theme = current() === "dark" ? "light" : "dark";
    try { localStorage.setItem("proofload-theme", root.dataset.theme); } catch { /* kept for this page only */ }
    label();
    charts.build();
  });
  dark.addEventListener("change", () => { label(); charts.build(); });
  label();

  // A cell sorts by data-v when it has one, else by its text; cells without a value stay last in both directions.
  function key(row, column) {
    const cell = row.cells[column];
    if (!cell) return null;
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const text = cell.textContent.trim();
    return text === "–" || text === "" ? null : text.toLowerCase();
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }

  function column(table, head) {
    // Heads stand in two rows; those that span both come first in the body.
    const [first, second] = table.tHead.rows;
    if (!second) return head.cellIndex;
    const spanning = [...first.cells].filter((cell) => cell.rowSpan === 2);
    return head.parentElement === first ? spanning.indexOf(head) : spanning.length + head.cellIndex;
  }

  function sort(table, head) {
    const body = table.tBodies[0], index = column(table, head);
    const rows = [...body.rows].map((row) => [key(row, index), row]);
    const numbers = rows.some(([value]) => typeof value === "number");
    const was = head.getAttribute("aria-sort");
    const down = was ? was === "ascending" : numbers;
    rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : (down ? -1 : 1) * compare(a, b));
    body.append(...rows.map(([, row]) => row));
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const control of table.querySelectorAll(".sort")) {
      control.addEventListener("click", () => sort(table, control.closest("th")));
    }
  }

  function open() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const closed = target && target.closest("details:not([open])");
    if (!closed) return;
    closed.open = true;
    target.scrollIntoView({ block: "center" });
  }
  addEventListener("hashchange", open);
  open();

  charts.build();
  const evidence = document.getElementById("evidence");
  if (evidence) new ResizeObserver(() => { charts.fit(); curves.fit(); }).observe(evidence);
  // Paper is light and narrow: the charts are drawn again for it, and once more for the screen.
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("section > details")) one.open = true;
    root.classList.add("paper");
    charts.build();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("paper");
    charts.build();
  });
})();
