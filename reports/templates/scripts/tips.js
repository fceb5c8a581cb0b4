// The formula of a metric by mouse and by keyboard: from the glossary, beside the name that points at it.
"use strict";
(() => {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.role = "tooltip";
  tip.hidden = true;
  document.body.append(tip);
  let owner = null;

  function words(link) {
    const row = document.getElementById(link.dataset.metric ? `m-${link.dataset.metric}` : decodeURIComponent(link.hash.slice(1)));
    if (!row) return null;
    const [name, unit, better, formula] = [...row.cells].map((cell) => cell.textContent.trim());
    return [name, formula, `in ${unit}, better: ${better}`];
  }

  function show(link) {
    const found = words(link);
    if (!found) return;
    hide();
    owner = link;
    tip.replaceChildren(...found.map((text, index) => {
      const part = document.createElement(index ? "span" : "b");
      part.textContent = text;
      return part;
    }));
    link.setAttribute("aria-describedby", "tip");
    tip.hidden = false;
    const at = link.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const below = at.bottom + 6 + size.height < innerHeight;
    tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
    tip.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - size.height - 6)}px`;
  }

  function hide() {
    owner?.removeAttribute("aria-describedby");
    owner = null;
    tip.hidden = true;
  }

  for (const link of document.querySelectorAll(".metric, .sort[data-metric]")) {
    link.removeAttribute("title"); // for pages without scripts; two tips would cover each other
    link.addEventListener("mouseenter", () => show(link));
    link.addEventListener("focus", () => show(link));
    link.addEventListener("mouseleave", hide);
    link.addEventListener("blur", hide);
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", hide, { passive: true });
})();
