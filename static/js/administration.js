// Administration: what takes something away asks first; a secret that is shown once can be copied.
"use strict";

(() => {
  for (const asked of document.querySelectorAll("form[data-confirm]")) {
    asked.addEventListener("submit", (event) => {
      if (!window.confirm(asked.dataset.confirm)) {
        event.preventDefault();
      }
    });
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const field = document.getElementById(button.dataset.copy);
      field.select();
      try {
        await navigator.clipboard.writeText(field.value);
        button.textContent = "Copied";
      } catch {
        // Without the clipboard (plain HTTP) the text stays selected for Ctrl+C.
        button.textContent = "Selected: press Ctrl+C";
      }
    });
  }
})();
