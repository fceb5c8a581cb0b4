// Chooses a scenario, a request, an outcome: each has figures of its own in the page, so what is shown stays exact.
"use strict";
const filters = (() => {
  const box = document.getElementById("filters");
  if (!box) return null;
  const fields = ["scenario", "name", "outcome"].map((key) => [key, document.getElementById(`filter-${key}`)]);
  const said = document.getElementById("filter-said"), figures = document.getElementById("selected");
  const FIGURES = [[2, "p50"], [10, "p90"], [20, "p95"], [100, "p99"], [1000, "p99.9"]];

  const matches = (selection, wanted) => Object.entries(wanted).every(([key, value]) => selection[key] === value);
  const wanted = () => Object.fromEntries(fields.map(([key, field]) => [key, field.value || null]));

  // What can be chosen in a field is what exists under the fields before it.
  function fill() {
    const above = {};
    for (const [key, field] of fields) {
      const was = field.value, there = run.selections.filter((s) => matches(s, above) && (key !== "name" || s.scenario));
      const values = [...new Set(there.map((s) => s[key]).filter((v) => v != null))];
      field.replaceChildren(new Option(field.dataset.all, ""), ...values.map((value) => new Option(words[value] ?? value, value)));
      field.value = values.includes(was) ? was : "";
      field.disabled = !values.length;
      above[key] = field.value || null;
    }
  }
  const words = JSON.parse(box.dataset.words);

  function rows(chosen) {
    for (const row of document.querySelectorAll("tr[data-scenario]")) {
      row.hidden = ["scenario", "name", "outcome"].some((key) => chosen[key] && row.dataset[key] !== undefined && row.dataset[key] !== chosen[key]);
    }
  }

  // Exact percentiles of the choice: a place of the spectrum that has samples to tell it from the maximum.
  function tell(selection) {
    const grid = run.head.spectrum;
    figures.tBodies[0].replaceChildren(...selection.spectra.map((one) => {
      const row = document.createElement("tr"), head = document.createElement("th");
      head.scope = "row";
      head.textContent = one.label;
      const values = FIGURES.map(([at]) => (grid.indexOf(at) < one.values.length - 1 ? one.values[grid.indexOf(at)] : one.values.at(-1)));
      row.append(head, ...[figure(one.samples, "count"), ...[...values, one.values.at(-1)].map((v) => figure(v, "ms"))].map((text) => {
        const cell = document.createElement("td");
        cell.className = "num";
        cell.textContent = text;
        return cell;
      }));
      return row;
    }));
    const parts = ["scenario", "name", "outcome"].map((key) => selection[key] && (words[selection[key]] ?? selection[key])).filter(Boolean);
    said.textContent = parts.length ? `${parts.join(" · ")}: ${figure(selection.samples, "count")} samples` : "";
    document.getElementById("filter-none").disabled = !parts.length;
  }

  function choose() {
    fill();
    const selection = run.selections.find((s) => matches(s, wanted())) ?? run.selections[0];
    run.chosen = selection;
    rows(selection);
    tell(selection);
    charts.build();
  }

  for (const [, field] of fields) field.addEventListener("change", choose);
  document.getElementById("filter-none").addEventListener("click", () => {
    for (const [, field] of fields) field.value = "";
    choose();
  });
  fill();
  tell(run.selections[0]);
  return { choose };
})();
