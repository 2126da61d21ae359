/* The same slice of this scan and of the one before, moved together by one slider; the level is
   marked on the area profile. Left and right arrow move it from anywhere on the page. */
"use strict";
window.NeuraxisSlices = (() => {
  function begin(main) {
    main.querySelectorAll("[data-slices]").forEach((section) => pair(main, section));
  }

  function pair(main, section) {
    const rows = JSON.parse(main.querySelector(`#${section.dataset.slices}`).textContent);
    const range = section.querySelector("[data-slice-range]");
    const label = section.querySelector("[data-slice-label]");
    const profile = main.querySelector("[data-levels]");
    const mark = profile?.querySelector("[data-levels-at]");
    if (!rows.length) return;

    const views = [...section.querySelectorAll("[data-slice]")].map((canvas) => {
      const sheet = new Image();
      sheet.addEventListener("load", show);
      sheet.src = canvas.dataset.src;
      const words = section.querySelector(`[data-slice-words="${canvas.dataset.slice}"]`);
      return { canvas, sheet, words, isPrior: canvas.dataset.slice === "prior" };
    });

    function show() {
      const row = rows[Number(range.value)];
      label.textContent = row.label;
      range.setAttribute("aria-valuetext", row.label);
      views.forEach(({ canvas, sheet, words, isPrior }) => {
        const at = isPrior ? row.prior : row.at;
        const area = isPrior ? row.priorArea : row.area;
        const pen = canvas.getContext("2d");
        const [wide, high] = [canvas.width, canvas.height];
        pen.clearRect(0, 0, wide, high);
        if (at && sheet.complete && sheet.naturalWidth) {
          pen.drawImage(sheet, at[0], at[1], wide, high, 0, 0, wide, high);
        }
        words.textContent = at ? (area ? `${area.toFixed(1)} mm²` : "") : "does not show this level";
      });
      if (!mark || row.position === null) return;
      const { first, last } = profile.dataset;
      const x = ((row.position - Number(first)) / (Number(last) - Number(first))) * 800;
      mark.setAttribute("x1", x.toFixed(1));
      mark.setAttribute("x2", x.toFixed(1));
      mark.setAttribute("visibility", "visible");
    }

    range.value = String(Math.floor(rows.length / 2));
    range.addEventListener("input", show);
    section.hidden = false;
    show();
  }

  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const range = document.querySelector("[data-slices]:not([hidden]) [data-slice-range]");
    const isBusy = event.target.closest("input, textarea, select, [role=application], dialog");
    if (!step || !range || isBusy || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    range.value = String(Number(range.value) + step);
    range.dispatchEvent(new Event("input"));
  });
  begin(document.getElementById("main"));
  return { begin };
})();
