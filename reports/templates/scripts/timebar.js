// The bar over the charts: the phases to jump to, the events, the moment under the cursor; and what starts it all.
"use strict";
const timebar = (() => {
  const { head, full, long } = run;
  const bar = document.getElementById("ruler");
  if (!bar) return null;
  const phases = document.getElementById("ruler-phases"), marks = document.getElementById("ruler-marks");
  const now = document.getElementById("ruler-now"), at = document.getElementById("ruler-at"), reset = document.getElementById("reset");
  const share = (t, [from, to]) => (t - from) / (to - from) * 100;

  function phaseButton(phase, view) {
    const button = document.createElement("button");
    const left = Math.max(share(phase.start, view), 0), right = Math.min(share(phase.end, view), 100);
    button.type = "button";
    button.style.left = `${left}%`;
    button.style.width = `${Math.max(right - left, 0)}%`;
    button.hidden = right <= left;
    button.title = `${phase.name}: ${phase.load}, ${moment(phase.start, long)} to ${moment(phase.end, long)}`;
    button.textContent = phase.name;
    const load = document.createElement("small");
    load.textContent = phase.load;
    button.append(load);
    button.addEventListener("click", () => {
      const seen = charts.view();
      charts.show(...(seen[0] === phase.start && seen[1] === Math.min(phase.end, full[1]) ? full : [phase.start, phase.end]));
    });
    return button;
  }

  function markButton(event, view) {
    const mark = document.createElement("button"), place = share(event.t, view);
    mark.type = "button";
    mark.className = "mark";
    mark.dataset.kind = event.kind;
    mark.style.left = `${place}%`;
    mark.style.setProperty("--shift", place < 25 ? "0" : place > 75 ? "-100%" : "-50%");
    mark.setAttribute("aria-label", `${moment(event.t, long)} ${event.kind}: ${event.text}`);
    mark.textContent = event.kind === "fault" ? "▼" : event.kind === "stop" ? "■" : "▲";
    return mark;
  }

  function rule(view) {
    const focused = [...phases.children].indexOf(document.activeElement);
    phases.replaceChildren(...head.phases.map((phase) => phaseButton(phase, view)));
    phases.children[focused]?.focus();
    marks.replaceChildren(...head.events.filter((e) => e.t >= view[0] && e.t <= view[1]).map((event) => markButton(event, view)));
    reset.disabled = view[0] <= full[0] && view[1] >= full[1];
  }

  function moved(time) {
    now.hidden = time == null;
    if (time == null) { at.textContent = "peak in view"; return; }
    const phase = head.phases.find((p) => time >= p.start && time < p.end);
    at.textContent = `at ${moment(time, long, true)}${phase ? ` in ${phase.name}` : ""}`;
    now.textContent = moment(time, long, true);
    now.style.left = `${share(time, charts.view())}%`;
  }

  charts.on("view", rule);
  charts.on("build", () => rule(charts.view()));
  charts.on("cursor", moved);
  reset.addEventListener("click", () => charts.show(...full));
  document.getElementById("log").addEventListener("click", charts.log);
  // A slow request or an error leads to its moment.
  for (const link of document.querySelectorAll("[data-moment]")) {
    link.addEventListener("click", () => {
      const time = Number(link.dataset.moment), room = Math.max(head.step * 15, (full[1] - full[0]) / 60);
      charts.show(time - room, time + room);
      document.getElementById("time").scrollIntoView();
    });
  }
  return { rule };
})();
