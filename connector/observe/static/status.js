// Keeps the page true: fetches it anew and changes only what differs, in place, so that focus, scrolling and selection stay.
"use strict";
(() => {
  const EVERY_MS = 5000;
  const live = () => document.getElementById("live");

  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  function adapt(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.id === "live" || old.id === "explain") return;
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const wanted = [...fresh.childNodes];
    wanted.forEach((child, at) => {
      const present = old.childNodes[at];
      if (!present) old.appendChild(child);
      else if (same(present, child)) adapt(present, child);
      else if (present.contains(document.activeElement)) old.insertBefore(child, present);
      else old.replaceChild(child, present);
    });
    while (old.childNodes.length > wanted.length) old.removeChild(old.lastChild);
  }

  async function look() {
    if (document.hidden) return;
    try {
      const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(EVERY_MS) });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of ["as-of", "main"]) adapt(document.getElementById(id), fresh.getElementById(id));
      if (live().textContent !== "live") live().textContent = "live";
    } catch {
      live().textContent = "no answer, trying again";
    }
  }

  if (location.pathname === "/") {
    setInterval(look, EVERY_MS);
    document.addEventListener("visibilitychange", look);
    look();
  }
})();
