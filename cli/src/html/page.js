"use strict";
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.closest("tr").querySelector("code"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Selected";
    }
  });
}
const words = document.getElementById("words");
if (words) {
  const level = document.getElementById("level");
  const found = document.getElementById("found");
  const lines = Array.from(document.querySelectorAll("#log p"), (line) => [line, line.textContent.toLowerCase()]);
  const search = () => {
    const wanted = words.value.toLowerCase();
    let count = 0;
    for (const [line, text] of lines) {
      const shown = text.includes(wanted) && (!level.value || line.dataset.level === level.value);
      line.hidden = !shown;
      count += shown ? 1 : 0;
    }
    found.textContent = count === 1 ? "1 line" : `${count} lines`;
  };
  words.form.addEventListener("submit", (event) => event.preventDefault());
  words.addEventListener("input", search);
  level.addEventListener("change", search);
}
