// Keys for reading many items, and filters that act at once. Everything works without it.
"use strict";

const typing = (element) => element.matches("input, select, textarea");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const way = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  if (way) document.querySelector(`a[rel="${way}"]`)?.click();
  if (event.key === "/") {
    document.getElementById("q")?.focus();
    event.preventDefault();
  }
});

const filter = document.getElementById("filter");
filter?.querySelectorAll("select").forEach((select) => {
  select.addEventListener("change", () => {
    // Another target has other families.
    if (select.name === "target") filter.elements.family.value = "";
    filter.requestSubmit();
  });
});
