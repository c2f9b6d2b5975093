// What makes the console handier; every page works without it.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Times in the viewer's zone, UTC on hover.
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const localize = (root) => all("time[datetime]", root).forEach((time) => {
    if (time.dataset.utc) return;
    time.dataset.utc = time.textContent;
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  });
  window.tocsin = { localize, all };

  // Rows to select.
  const rows = (form) => {
    const ticks = all("input[name=selected]", form);
    // In the table's head, and beside the count where a telephone shows no head.
    const every = all("[data-all]", form);
    const told = form.querySelector("[data-selected]");
    const tell = () => {
      const count = ticks.filter((tick) => tick.checked).length;
      if (told) { told.hidden = !count; told.textContent = `${count} selected`; }
      every.forEach((box) => { box.checked = count === ticks.length; box.indeterminate = count > 0 && count < ticks.length; });
    };
    every.forEach((box) => {
      (box.closest("label") || box).hidden = false;
      box.addEventListener("change", () => { ticks.forEach((tick) => { tick.checked = box.checked; }); tell(); });
    });
    ticks.forEach((tick) => tick.addEventListener("change", tell));
    tell();
  };

  // What an action would do, in a dialog instead of on a page of its own.
  const dialog = document.querySelector("[data-ask]");
  const ask = async (event) => {
    const form = event.target;
    if (!dialog || !dialog.showModal || !form.matches("[data-asks]")) return;
    const body = new FormData(form, event.submitter);
    // Without any row there is nothing to ask about: the page that comes back says so.
    if (!body.has("selected")) return;
    event.preventDefault();
    const action = (event.submitter && event.submitter.getAttribute("formaction")) || form.getAttribute("action");
    const answer = await fetch(action, { method: "POST", body: new URLSearchParams(body), redirect: "manual" });
    const page = new DOMParser().parseFromString(answer.ok ? await answer.text() : "", "text/html");
    const part = page.getElementById("confirm");
    // What asks nothing goes the way it goes without a script; so far, nothing was changed.
    if (!part) { form.removeAttribute("data-asks"); form.requestSubmit(event.submitter); return; }
    dialog.replaceChildren(document.importNode(part, true));
    localize(dialog);
    dialog.showModal();
    const first = dialog.querySelector("input:not([type=hidden]), select, textarea, button");
    if (first) first.focus();
  };
  document.addEventListener("submit", ask);
  if (dialog) dialog.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]") || event.target === dialog) { event.preventDefault(); dialog.close(); }
  });

  // Colours, at once.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-theme-switch]")) return;
    event.preventDefault();
    document.documentElement.dataset.theme = event.submitter.value;
    show();
    fetch(event.target.action, { method: "POST", body: new URLSearchParams(new FormData(event.target, event.submitter)) });
  });
  const show = () => all("[data-theme-switch] button").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.value === document.documentElement.dataset.theme));
  });

  // A menu that was opened closes by Escape and by a click elsewhere.
  all("[data-menu]").forEach((menu) => {
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") menu.open = false; });
    document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  });

  all("[data-rows]").forEach(rows);
  localize(document);
  show();
})();
