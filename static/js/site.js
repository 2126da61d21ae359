/* What every page does: menus close, the theme switches, the rest of the page is told. */
"use strict";
(() => {
  const root = document.documentElement;
  const menus = () => document.querySelectorAll("details.menu[open]");

  document.addEventListener("click", (event) => {
    menus().forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    if (event.target.closest("[data-theme-switch]")) switchTheme();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menus().forEach((menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });

  /* A part of the page that could not be fetched says so where it is missing. */
  ["htmx:responseError", "htmx:sendError"].forEach((name) => {
    document.addEventListener(name, (event) => {
      const words = event.detail.elt.querySelector("[data-on-error]");
      if (words) words.hidden = false;
    });
  });

  function switchTheme() {
    const isDark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    document.dispatchEvent(new CustomEvent("theme:changed"));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new CustomEvent("theme:changed"));
  });
})();
