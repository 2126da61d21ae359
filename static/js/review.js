/* Review: the outline on and off, the scan before in the same place, the cross on the sagittal
   view, verdicts that survive a broken connection, and the next measurement fetched ahead of its
   turn. Without this file verdicts post as they are and every page loads by itself. */
"use strict";
window.NeuraxisReview = (() => {
  function begin(main) {
    const switcher = main.querySelector("[data-overlay-switch]");
    if (switcher) switcher.addEventListener("click", () => turn(main, switcher, "off"));
    const blink = main.querySelector("[data-blink-switch]");
    if (blink) blink.addEventListener("click", () => turn(main, blink, "before"));
    const landmark = main.querySelector("[data-landmark]");
    if (landmark) placeCross(main, landmark);
    const verdict = main.querySelector("[data-verdict]");
    if (verdict) keepVerdict(verdict);
  }

  /* One picture at a time in one place: with outline, without it, or the scan before. */
  function turn(main, button, other) {
    const isShown = button.getAttribute("aria-pressed") !== "true";
    main.querySelectorAll("[data-overlay-switch], [data-blink-switch]").forEach((one) => {
      one.setAttribute("aria-pressed", String(one === button && isShown));
    });
    main.querySelectorAll("[data-overlay]").forEach((picture) => {
      picture.hidden = picture.dataset.overlay !== (isShown ? other : "on");
    });
  }

  function placeCross(main, form) {
    const stage = form.querySelector("[data-stage]");
    const picture = stage.querySelector("img");
    const cross = stage.querySelector("[data-cross]");
    const point = form.querySelector("[data-point]");
    const place = form.querySelector("[data-place]");
    const fields = { x: form.querySelector("[name=px]"), y: form.querySelector("[name=py]") };
    const matrix = JSON.parse(main.querySelector("#pixel-to-world").textContent);
    const width = Number(picture.getAttribute("width"));
    const height = Number(picture.getAttribute("height"));
    const start = { x: Number(stage.dataset.startX), y: Number(stage.dataset.startY) };
    const pixelMm = Math.hypot(...matrix.map((row) => row[1]));
    let at = fields.x.value ? { x: Number(fields.x.value), y: Number(fields.y.value) } : null;
    stage.hidden = false;
    if (at) show();

    stage.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      move(
        ((event.clientX - box.left) * width) / box.width - 0.5,
        ((event.clientY - box.top) * height) / box.height - 0.5,
      );
      stage.focus({ preventScroll: true });
    });
    stage.addEventListener("focus", () => {
      if (!at && stage.matches(":focus-visible")) move(start.x, start.y);
    });
    stage.addEventListener("keydown", (event) => {
      const step = (event.shiftKey ? 5 : 0.5) / pixelMm;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key === "Enter") {
        event.preventDefault();
        if (at) form.requestSubmit();
      }
      if (!moves[event.key]) return;
      event.preventDefault();
      const from = at || start;
      move(from.x + moves[event.key][0], from.y + moves[event.key][1]);
    });
    form.addEventListener("change", show);

    function move(x, y) {
      at = { x: Math.min(Math.max(x, 0), width - 1), y: Math.min(Math.max(y, 0), height - 1) };
      show();
    }
    function show() {
      const isNamed = Boolean(form.querySelector("[name=kind]:checked"));
      place.disabled = !(at && isNamed);
      if (!at) return;
      cross.setAttribute("visibility", "visible");
      cross.setAttribute("transform", `translate(${at.x + 0.5} ${at.y + 0.5})`);
      fields.x.value = at.x.toFixed(2);
      fields.y.value = at.y.toFixed(2);
      const world = matrix.map((row) => row[0] * at.x + row[1] * at.y + row[2]);
      const words = world.map((value) => value.toFixed(1).replace("-", "−")).join(", ");
      point.textContent = `Point at ${words} mm (right, front, up).${isNamed ? "" : " Say what it is."}`;
    }
  }

  /* A verdict that could not be sent stays on the page and is sent again. */
  function keepVerdict(form) {
    const state = form.querySelector("[data-verdict-state]");
    let isSending = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (isSending || !event.submitter) return;
      isSending = true;
      const data = new FormData(form);
      data.set("verdict", event.submitter.value);
      data.set("ahead", window.NeuraxisAhead?.path() ?? "");
      for (;;) {
        try {
          const answer = await fetch(form.action, {
            method: "POST", body: data, headers: { "HX-Request": "true" },
          });
          const next = answer.headers.get("HX-Redirect");
          if (answer.ok && next) {
            window.location.assign(next);
            return;
          }
          if (answer.ok) {
            window.NeuraxisAhead.show((await answer.json()).words);
            return;
          }
          if (answer.status < 500) {
            // Overtaken, or a note is missing: nothing was stored, and the page says what to do.
            const value = document.createElement("input");
            value.type = "hidden";
            value.name = "verdict";
            value.value = event.submitter.value;
            form.append(value);
            form.submit();
            return;
          }
        } catch {
          // The connection is away: say so, and try again.
        }
        state.textContent = "Not saved yet: the server does not answer. Your verdict is kept and sent again.";
        await new Promise((done) => setTimeout(done, 4000));
      }
    });
  }

  begin(document.getElementById("main"));
  return { begin };
})();
