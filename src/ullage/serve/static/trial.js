// Says that an answer is on its way. Everything works without it.
"use strict";

const talk = document.querySelector("form.talk");

talk?.addEventListener("submit", () => {
  talk.querySelector("button").disabled = true;
  document.getElementById("sending").textContent = "The assistant is answering…";
});

document.getElementById("text")?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) talk.requestSubmit();
});

const turns = document.querySelectorAll(".turn");
turns[turns.length - 1]?.scrollIntoView({ block: "nearest" });
