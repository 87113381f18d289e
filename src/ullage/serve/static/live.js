// Keeps the page of a running audit current. Without it the page says the same when loaded again.
"use strict";

const live = document.getElementById("live");
const told = document.getElementById("told");

async function look() {
  const response = await fetch(live.dataset.from, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(String(response.status));
  const progress = await response.json();
  if (progress.finished) {
    location.reload();
    return;
  }
  if (told.textContent !== progress.told) told.textContent = progress.told;
  const steps = live.querySelectorAll(".step");
  progress.steps.forEach((done, place) => steps[place]?.classList.toggle("done", done));
  const models = live.querySelectorAll(".asking");
  progress.models.forEach((model, place) => {
    const here = models[place];
    if (!here) return;
    here.querySelector(".replies").textContent = model.replies.toLocaleString("en");
    here.querySelector(".failures").textContent = model.failures ? `${model.failures} failed` : "";
    here.querySelector("progress").value = model.replies;
  });
}

async function watch() {
  try {
    await look();
  } catch {
    told.textContent = "The server does not answer; is `ullage serve` still running?";
  }
  setTimeout(watch, document.hidden ? 10000 : 2000);
}

setTimeout(watch, 2000);
