// Clinical entry by keyboard: the first empty field has the focus; Ctrl+Enter stores.
"use strict";

(() => {
  const form = document.querySelector("[data-fact-form]");
  if (form) {
    const fields = [...form.querySelectorAll("input:not([type=hidden]), select, textarea")];
    const wrong = form.querySelector(".field__errors");
    const start = wrong
      ? wrong.closest(".field").querySelector("input, select, textarea")
      : fields.find((field) => field.value === "" && field.type !== "checkbox") || fields[0];
    if (start) {
      start.focus();
    }
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
  }
  // What takes something away asks first.
  for (const asked of document.querySelectorAll("form[data-confirm]")) {
    asked.addEventListener("submit", (event) => {
      if (!window.confirm(asked.dataset.confirm)) {
        event.preventDefault();
      }
    });
  }
})();
