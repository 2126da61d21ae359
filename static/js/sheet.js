/* Contact sheet: one tile has the focus; arrows move it, 1 accepts, 2 chooses a reason, Enter
   opens. A verdict is stored at once and may be given anew; the latest counts. */
"use strict";
document.querySelectorAll("[data-sheet]").forEach((sheet) => {
  const tiles = [...sheet.querySelectorAll("[data-tile]")];
  const isOn = () => localStorage.getItem("shortcuts") !== "off";

  function columns() {
    const top = tiles[0].offsetTop;
    return tiles.filter((tile) => tile.offsetTop === top).length || 1;
  }
  function focus(index) {
    tiles[Math.min(Math.max(index, 0), tiles.length - 1)].focus();
  }

  async function send(tile, verdict) {
    const form = tile.querySelector("[data-tile-form]");
    const state = tile.querySelector("[data-tile-state]");
    const data = new FormData(form);
    data.delete("verdict");
    data.set("verdict", verdict);
    if (tile.dataset.seen) data.set("seen_review", tile.dataset.seen);
    state.textContent = "Saving…";
    try {
      const answer = await fetch(form.action, {
        method: "POST", body: data, headers: { Accept: "application/json" },
      });
      const said = await answer.json();
      state.textContent = said.words;
      if (!answer.ok) return;
      tile.dataset.seen = said.review;
      tile.classList.toggle("is-accepted", verdict === "accepted");
      tile.classList.toggle("is-rejected", verdict !== "accepted");
      focus(tiles.indexOf(tile) + 1);
    } catch {
      state.textContent = "Not saved: the server does not answer. Press the key again.";
    }
  }

  sheet.addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.target.closest("[data-tile]"), "accepted");
  });
  sheet.addEventListener("change", (event) => {
    const choice = event.target.closest("[data-reject]");
    if (choice?.value) send(choice.closest("[data-tile]"), choice.value);
  });
  sheet.addEventListener("keydown", (event) => {
    const tile = event.target.closest("[data-tile]");
    if (!tile || event.target.matches("select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = tiles.indexOf(tile);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
    if (event.key in steps) {
      event.preventDefault();
      focus(at + steps[event.key]);
    } else if (event.key === "Enter" && event.target === tile) {
      tile.querySelector("a").click();
    } else if (isOn() && event.key === "1" && tile.querySelector("[data-accept]")) {
      event.preventDefault();
      send(tile, "accepted");
    } else if (isOn() && event.key === "2" && tile.querySelector("[data-reject]")) {
      event.preventDefault();
      tile.querySelector("[data-reject]").focus();
    }
  });
  if (tiles.length) tiles[0].focus({ preventScroll: true });
});
