// Home, live: the server's parts replace those that changed. Without this script the page stands as loaded.
"use strict";
(() => {
  const root = document.querySelector("[data-live]");
  const told = document.querySelector("[data-live-told]");
  const { localize, all } = window.tocsin;
  // The step of the chart that somebody points at.
  let at = -1;

  const replace = (name, html) => {
    const part = document.getElementById(`live-${name}`);
    if (!part || part.dataset.html === html) return;
    // Nobody's place in a table, a menu or an open drawer is taken away from under them.
    if (part.contains(document.activeElement) && document.activeElement !== document.body) return;
    const open = all("details", part).map((each) => each.open);
    part.dataset.html = html;
    part.innerHTML = html;
    all("details", part).forEach((each, index) => { each.open = Boolean(open[index]); });
    localize(part);
    // What somebody is reading on the chart stays, with the figures of now.
    const chart = part.querySelector("[data-chart]");
    if (chart && at >= 0) point(chart, at);
  };

  const say = (text) => { if (told && told.textContent !== text) told.textContent = text; };

  let source = null;
  const listen = () => {
    source = new EventSource(root.dataset.live);
    source.onmessage = (event) => {
      Object.entries(JSON.parse(event.data).parts).forEach(([name, html]) => replace(name, html));
    };
    source.onopen = () => say("Live: figures are at most a few seconds old.");
    // Each answer is one event and ends; only a source that is closed for good has failed.
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      say("No longer live. Load the page again; you may have to sign in.");
    };
  };
  const stop = () => { if (source) source.close(); source = null; };
  // A page that nobody looks at asks for nothing.
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else if (!source) listen(); });
  window.addEventListener("pagehide", stop);
  if (root && window.EventSource) listen();

  // What the chart says at a step.
  const point = (chart, index) => {
    const rows = all("[data-chart-table] tbody tr", chart.parentElement);
    if (!rows.length) return;
    at = Math.max(0, Math.min(rows.length - 1, index));
    const names = all("[data-chart-table] thead th", chart.parentElement).slice(1);
    const cells = all("td", rows[at]);
    const tip = chart.querySelector("[data-tip]");
    tip.replaceChildren(...[rows[at].querySelector("th").textContent, ...names.map((name, i) => `${name.textContent}: ${cells[i].textContent}`)]
      .map((text) => { const line = document.createElement("p"); line.textContent = text; return line; }));
    tip.hidden = false;
    const share = rows.length > 1 ? at / (rows.length - 1) : 0;
    tip.classList.toggle("chart-tip-left", share < 0.5);
    const cursor = chart.querySelector("[data-cursor]");
    cursor.removeAttribute("hidden");
    cursor.setAttribute("d", `M${share * 600} 0V180`);
  };
  const leave = (chart) => { at = -1; chart.querySelector("[data-tip]").hidden = true; chart.querySelector("[data-cursor]").setAttribute("hidden", ""); };
  const chartOf = (event) => event.target.closest && event.target.closest("[data-chart]");
  document.addEventListener("pointermove", (event) => {
    const chart = chartOf(event);
    if (!chart) return;
    const box = chart.querySelector("svg").getBoundingClientRect();
    const rows = all("[data-chart-table] tbody tr", chart.parentElement).length;
    point(chart, Math.round((event.clientX - box.left) / box.width * (rows - 1)));
  });
  document.addEventListener("pointerout", (event) => {
    const chart = chartOf(event);
    if (chart && !chart.contains(event.relatedTarget)) leave(chart);
  });
  document.addEventListener("keydown", (event) => {
    const chart = chartOf(event);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!chart) return;
    if (step) { event.preventDefault(); point(chart, at + step); }
    if (event.key === "Escape") leave(chart);
  });
})();
