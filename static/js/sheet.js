/* Contact sheet: one tile has the focus; arrows move it, 1 accepts, 2 chooses a reason, 3 to 7
   reject for that reason, Enter opens. A verdict is stored at once and may be given anew; the
   latest counts. Behind the last one stands the way on. */
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
  function onward(tile) {
    const open = tiles.filter((one) => !one.dataset.seen && one.querySelector("[data-accept]"));
    const count = document.querySelector("[data-sheet-count]");
    if (count) count.textContent = String(tiles.filter((one) => one.dataset.seen).length);
    const after = tiles.indexOf(tile) + 1;
    if (after < tiles.length) focus(after);
    else if (open.length) open[0].focus();
    else document.querySelector("[data-sheet-more]")?.focus();
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
      onward(tile);
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
    const reason = tile.querySelector(`[data-reason-key="${CSS.escape(event.key)}"]`);
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
    } else if (isOn() && reason) {
      event.preventDefault();
      send(tile, reason.value);
    } else if (isOn() && /^[1-7]$/.test(event.key)) {
      tile.querySelector("[data-tile-state]")?.replaceChildren("Its level is not known yet: Enter opens it.");
    }
  });
  if (tiles.length) tiles[0].focus({ preventScroll: true });
});
