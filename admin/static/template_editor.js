// The editor of templates: colours, a preview that follows, findings as one writes. All of it works without.
"use strict";
(() => {
  const { all } = window.tocsin;

  // Colours: what is written is drawn once more behind a text area whose own ink is transparent.
  const CODE = /(\{#[\s\S]*?#\})|(\{\{[\s\S]*?\}\})|(\{%[\s\S]*?%\})|(<!--[\s\S]*?-->)|(<\/?[A-Za-z][\w:-]*)|(\/?>)/g;
  const INSIDE = /(\{\{[\s\S]*?\}\})|(\{%[\s\S]*?%\})|("[^"]*"|'[^']*')|([\w:-]+)(?==)/g;
  const piece = (kind, text) => {
    const span = document.createElement("span");
    span.className = `ink-${kind}`;
    span.textContent = text;
    return span;
  };
  const inked = (text, pattern, kinds) => {
    const found = document.createDocumentFragment();
    let end = 0;
    for (const match of text.matchAll(pattern)) {
      found.append(text.slice(end, match.index));
      const kind = kinds[match.slice(1).findIndex((group) => group !== undefined)];
      found.append(piece(kind, match[0]));
      end = match.index + match[0].length;
    }
    found.append(text.slice(end));
    return found;
  };
  const ink = (text, isHtml) => {
    if (!isHtml) return inked(text, /(\{#[\s\S]*?#\})|(\{\{[\s\S]*?\}\})|(\{%[\s\S]*?%\})/g, ["comment", "print", "statement"]);
    const found = document.createDocumentFragment();
    let end = 0, open = false;
    const between = (part) => found.append(open ? inked(part, INSIDE, ["print", "statement", "value", "attribute"]) : part);
    for (const match of text.matchAll(CODE)) {
      const which = match.slice(1).findIndex((group) => group !== undefined);
      // Within an element's tag only its end counts; all else is an attribute's.
      if (open && which !== 5) continue;
      if (!open && which === 5) continue;
      between(text.slice(end, match.index));
      found.append(piece(["comment", "print", "statement", "comment", "tag", "tag"][which], match[0]));
      if (which > 3) open = which === 4;
      end = match.index + match[0].length;
    }
    between(text.slice(end));
    return found;
  };
  const LONGEST = 60000;
  all("[data-code]").forEach((box) => {
    const [area, ground] = [box.querySelector("textarea"), box.querySelector("pre")];
    const draw = () => {
      const lit = area.value.length <= LONGEST;
      box.classList.toggle("code-lit", lit);
      if (lit) ground.replaceChildren(ink(area.value, box.dataset.code === "html"), "\n");
      follow();
    };
    const follow = () => {
      ground.style.width = `${area.clientWidth}px`;
      ground.style.height = `${area.clientHeight}px`;
      ground.scrollTop = area.scrollTop;
      ground.scrollLeft = area.scrollLeft;
    };
    area.addEventListener("input", draw);
    area.addEventListener("scroll", follow);
    new ResizeObserver(follow).observe(area);
    draw();
  });

  // How wide it is shown, and which button is pressed.
  const dress = (sight, view) => {
    sight.classList.toggle("sight-phone", view === "phone");
    sight.classList.toggle("sight-own", !["desktop", "phone", "dark"].includes(view));
  };
  all("a[data-view]").forEach((link) => link.addEventListener("click", () => {
    dress(document.querySelector("[data-sight]"), link.dataset.view);
    all("a[data-view]").forEach((each) => each.setAttribute("aria-current", String(each === link)));
  }));

  const form = document.querySelector("[data-editor]");
  if (!form) {
    const first = document.querySelector("a[data-view]");
    if (first) { first.setAttribute("aria-current", "true"); dress(document.querySelector("[data-sight]"), first.dataset.view); }
    return;
  }

  // A preview that follows: each is a frame of its own, so that the way back does not lead through all of them.
  const sight = form.querySelector("[data-sight]");
  const views = all("button[data-view]", form);
  let view = views.length ? views[0].value : "";
  let numbered = 0;
  const look = () => {
    if (!sight) return;
    const frame = sight.querySelector("iframe:last-of-type").cloneNode(false);
    frame.name = `preview-${++numbered}`;
    frame.hidden = true;
    sight.append(frame);
    frame.addEventListener("load", () => {
      if (frame.name !== `preview-${numbered}`) { frame.remove(); return; }
      all("iframe", sight).forEach((each) => { if (each !== frame) each.remove(); });
      frame.hidden = false;
      dress(sight, view);
    });
    const copy = document.createElement("form");
    Object.assign(copy, { method: "post", action: form.dataset.preview, target: frame.name, hidden: true });
    const said = new FormData(form);
    said.set("view", view);
    for (const [name, value] of said) {
      const input = document.createElement("textarea");
      input.name = name;
      input.value = value;
      copy.append(input);
    }
    document.body.append(copy);
    copy.submit();
    copy.remove();
  };
  views.forEach((button) => button.addEventListener("click", (event) => {
    event.preventDefault();
    view = button.value;
    views.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    look();
  }));

  // Findings as one writes; an answer that comes late does not take a newer one's place.
  const findings = form.querySelector("[data-findings]");
  let asked = 0;
  const check = async () => {
    const number = ++asked;
    const address = new URL(form.dataset.check, location.href);
    address.searchParams.set("part", "findings");
    const answer = await fetch(address, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (!answer.ok || number !== asked) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    findings.replaceChildren(...page.body.childNodes);
  };
  all("[data-check-now]", form).forEach((button) => button.addEventListener("click", (event) => { event.preventDefault(); check(); }));

  let timer, changed = false;
  form.addEventListener("input", () => {
    changed = true;
    clearTimeout(timer);
    timer = setTimeout(() => { look(); check(); }, 600);
  });
  form.addEventListener("submit", () => { changed = false; });
  window.addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });

  const rows = form.querySelector("[data-variables]");
  const more = form.querySelector("[data-add-variable]");
  more.hidden = false;
  const empty = (row) => all("input", row).forEach((input) => { input.value = ""; });
  more.addEventListener("click", () => {
    const row = rows.lastElementChild.cloneNode(true);
    empty(row);
    rows.append(row);
    row.querySelector("input").focus();
  });
  rows.addEventListener("click", (event) => {
    if (!event.target.closest("[data-remove-variable]")) return;
    event.preventDefault();
    const row = event.target.closest("tr");
    const next = row.nextElementSibling || row.previousElementSibling;
    // The last row stays, as what one more is made of.
    if (next) row.remove(); else empty(row);
    (next || row).querySelector("input").focus();
    form.dispatchEvent(new Event("input"));
  });

  look();
})();
