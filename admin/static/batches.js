// Batches that go on while they are looked at, and times in the viewer's zone.
"use strict";
(() => {
  // What is under way is read anew while somebody looks, for a quarter of an hour at most.
  const clock = document.querySelector("[data-live-every]");
  if (clock) {
    const parts = () => [...document.querySelectorAll("[data-live]")];
    const until = Date.now() + 15 * 60 * 1000;
    const look = async () => {
      if (document.hidden || document.querySelector("dialog[open]")) return;
      if (Date.now() > until) { clearInterval(timer); return; }
      let answer;
      try { answer = await fetch(location.href, { redirect: "error" }); } catch { return; }
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      // What is being confirmed by now must not be taken away under it.
      if (document.querySelector("dialog[open]")) return;
      const fresh = [...page.querySelectorAll("[data-live]")];
      // A page of another shape is none of this batch: somebody has to sign in again, say.
      if (fresh.length !== parts().length) return;
      parts().forEach((part, at) => {
        part.replaceChildren(...[...fresh[at].childNodes].map((node) => document.importNode(node, true)));
        window.tocsin.localize(part);
      });
      // Its end changes the state in the heading too.
      if (!page.querySelector("[data-live-every]")) { clearInterval(timer); location.reload(); }
    };
    const timer = setInterval(look, Number(clock.dataset.liveEvery) * 1000);
  }

  // The server takes times for UTC unless it is told how far away the viewer is, on that day.
  const form = document.querySelector("[data-zoned]");
  if (form) {
    const time = form.elements.scheduled_for;
    const offset = form.elements.scheduled_offset;
    const hint = document.getElementById("h-scheduled_for");
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (hint && zone) hint.textContent = hint.textContent.replace("In UTC", `In your zone, ${zone}`);
    form.addEventListener("submit", () => {
      offset.value = time.value ? String(-new Date(time.value).getTimezoneOffset()) : "";
    });
  }
})();
