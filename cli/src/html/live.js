"use strict";
const told = document.getElementById("live");
// Parts as they came, before anything in them is opened, searched or ticked.
const partsOf = (page) => new Map(Array.from(page.querySelectorAll("[data-part]"), (part) => [part.dataset.part, part]));
let shown = new Map(Array.from(partsOf(document), ([name, part]) => [name, part.outerHTML]));
const takeUp = (fresh) => {
  const present = partsOf(document);
  const parts = partsOf(fresh);
  const ticked = new Set(Array.from(document.querySelectorAll("input:checked"), (box) => box.value));
  const words = document.getElementById("words");
  const search = words && [words.value, document.getElementById("level").value];
  const came = new Map();
  const main = document.querySelector("main");
  let before = null;
  for (const [name, part] of parts) {
    came.set(name, part.outerHTML);
    const old = present.get(name);
    if (old && shown.get(name) === part.outerHTML) {
      before = old;
      continue;
    }
    const own = document.adoptNode(part);
    if (old) old.replaceWith(own);
    else if (before && before.parentElement === main) before.after(own);
    else main.prepend(own);
    ready(own);
    before = own;
  }
  for (const [name, part] of present) {
    if (!parts.has(name)) part.remove();
  }
  for (const box of document.querySelectorAll("input[type=checkbox]")) box.checked = ticked.has(box.value);
  const again = document.getElementById("words");
  if (search && again) {
    again.value = search[0];
    document.getElementById("level").value = search[1];
    again.dispatchEvent(new Event("input"));
  }
  document.title = fresh.title;
  shown = came;
};
const load = async () => {
  const answer = await fetch(location.href);
  told.textContent = answer.ok ? "live" : `not loaded: ${answer.status}`;
  if (answer.ok) takeUp(new DOMParser().parseFromString(await answer.text(), "text/html"));
};
if (document.body.dataset.events) {
  const events = new EventSource(document.body.dataset.events);
  let last = Promise.resolve();
  events.addEventListener("open", () => { told.textContent = "live"; });
  events.addEventListener("error", () => { told.textContent = "not connected"; });
  events.addEventListener("failed", (event) => { told.textContent = event.data; });
  events.addEventListener("changed", () => { last = last.then(load, load); });
  events.addEventListener("done", () => { events.close(); told.textContent = ""; });
}
