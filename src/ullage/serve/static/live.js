// Keeps the page of a running audit or training current. Without it the page loads itself anew.
"use strict";

// No live region: a screen reader would speak of nothing else. It is told what goes wrong.
const told = document.getElementById("told");

async function look() {
  const response = await fetch(location.href);
  if (!response.ok) throw new Error(String(response.status));
  const now = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = now.querySelector(`#${part.id}[data-live]`);
    if (!fresh) {
      // It is finished, and its page another.
      location.reload();
      return;
    }
    if (part.innerHTML !== fresh.innerHTML) part.replaceChildren(...fresh.childNodes);
  }
}

async function watch() {
  try {
    await look();
    told.removeAttribute("role");
  } catch {
    told.setAttribute("role", "alert");
    told.textContent = "The server does not answer; is `ullage serve` still running?";
  }
  setTimeout(watch, document.hidden ? 10000 : 2000);
}

setTimeout(watch, 2000);
