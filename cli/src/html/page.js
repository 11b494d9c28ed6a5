"use strict";
const ready = (part) => {
  for (const button of part.querySelectorAll("button[data-copy]")) {
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
  const words = part.querySelector("#words");
  if (words) {
    const level = part.querySelector("#level");
    const found = part.querySelector("#found");
    const lines = Array.from(part.querySelectorAll("#log p"), (line) => [line, line.textContent.toLowerCase()]);
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
  const compare = part.querySelector("#compare");
  if (compare) {
    const tell = () => {
      const ticked = compare.querySelectorAll("input:checked").length;
      compare.querySelector("button").disabled = ticked < 2;
    };
    compare.addEventListener("change", tell);
    tell();
  }
};
ready(document);
