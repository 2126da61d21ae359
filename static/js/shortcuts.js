/* Single-key shortcuts. A link or button with data-key="n" is clicked by that key; its
   data-key-label (or its text) is listed under "?". They can be switched off (WCAG 2.1.4). */
"use strict";
(() => {
  const dialog = document.getElementById("shortcuts");
  if (!dialog) return;
  const toggle = dialog.querySelector("[data-shortcuts-toggle]");
  const list = dialog.querySelector("[data-shortcuts-list]");
  toggle.checked = localStorage.getItem("shortcuts") !== "off";
  toggle.addEventListener("change", () => {
    localStorage.setItem("shortcuts", toggle.checked ? "on" : "off");
  });

  const isTyping = (target) =>
    target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
  const owner = (key) =>
    [...document.querySelectorAll("[data-key]")].find(
      (element) => element.dataset.key === key && element.offsetParent !== null,
    );

  function open() {
    const known = new Map();
    document.querySelectorAll("[data-key]").forEach((element) => {
      known.set(element.dataset.key, element.dataset.keyLabel || element.textContent.trim());
    });
    known.set("?", "Show this list");
    list.replaceChildren();
    known.forEach((label, key) => {
      const term = document.createElement("dt");
      const name = document.createElement("kbd");
      const words = document.createElement("dd");
      name.textContent = key;
      words.textContent = label;
      term.append(name);
      list.append(term, words);
    });
    dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-shortcuts-open]")) open();
    if (event.target.closest("[data-shortcuts-close]")) dialog.close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (!toggle.checked || dialog.open) return;
    if (event.key === "?") {
      open();
      return;
    }
    const element = owner(event.key);
    if (!element) return;
    event.preventDefault();
    if (element.matches("input, select, textarea")) element.focus();
    else element.click();
    // A menu that a key opened is walked through by the same hand.
    if (element.matches("summary")) element.parentElement.querySelector("a, button")?.focus();
  });
})();
