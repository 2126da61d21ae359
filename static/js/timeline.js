/* The patient's figure: axis switch, zoom buttons, one crosshair that reads all five rows and
   every structure that is drawn beside them, arrows from visit to visit, Enter or click shows
   the measurement. A value can be left out on the screen; the record is not changed. */
"use strict";
document.querySelectorAll("[data-timeline]").forEach((figure) => {
  const whole = JSON.parse(document.getElementById(figure.dataset.timeline).textContent);
  const chart = figure.querySelector("[data-chart]");
  const failure = figure.querySelector("[data-figure-error]");
  const structures = new Map(); // by slug, in the order in which they were chosen
  let source = whole;
  let meta = source.layout.meta;
  const DAY = 86400000;
  const YEAR = 365.25 * DAY;
  const origins = { calendar: null, onset: meta.onset, age: meta.born };
  const stamp = (day) => Date.parse(`${day}T00:00:00Z`);
  const iso = (time) => new Date(time).toISOString().slice(0, 10);
  let axis = "calendar";
  let range = meta.window.map(stamp);
  let crosshair = null;

  /* --- From calendar dates to the chosen axis and back ---------------------------------- */
  const toAxis = (day) => (origins[axis] ? (stamp(day) - stamp(origins[axis])) / YEAR : day);
  const timeToAxis = (time) => toAxis(iso(time));
  const axisToTime = (x) => (origins[axis] ? stamp(origins[axis]) + x * YEAR : Number(x));

  function onAxis() {
    const copy = structuredClone(source);
    copy.data.push(...[...structures.values()].flatMap((one) => structuredClone(one.traces)));
    ["yaxis2", "yaxis3"].forEach((name) => widen(copy.layout[name]));
    copy.data.forEach((trace) => {
      trace.x = trace.x.map(toAxis);
    });
    copy.layout.shapes.filter((shape) => shape.xref === "x").forEach((shape) => {
      shape.x0 = toAxis(shape.x0);
      shape.x1 = toAxis(shape.x1);
    });
    copy.layout.annotations.filter((note) => note.xref === "x").forEach((note) => {
      note.x = toAxis(note.x);
    });
    fold(copy);
    const xaxis = copy.layout.xaxis;
    xaxis.range = range.map(timeToAxis);
    xaxis.type = origins[axis] ? "linear" : "date";
    xaxis.ticksuffix = origins[axis] ? " y" : "";
    return copy;
  }

  /* Brain and cord keep one scale: what is drawn beside them widens both. */
  function widen(scale) {
    const spans = [...structures.values()].map((one) => one.span).filter(Boolean);
    if (!spans.length) return;
    const [low, high] = scale.range;
    scale.range = [
      Math.min(low, ...spans.map(([least]) => Math.log10(least * 0.995))),
      Math.max(high, ...spans.map(([, most]) => Math.log10(most * 1.005))),
    ];
    const [from, to] = scale.range.map((end) => 10 ** end);
    const step = [1, 2, 5, 10, 20, 50, 100].find((size) => (to - from) / size <= 6) || 200;
    const first = Math.floor(from / step + 1) * step;
    scale.tickvals = [];
    for (let value = first; value <= to; value += step) scale.tickvals.push(value);
  }

  /* --- Rows can be folded: their room goes to the others, the figure keeps its height -------- */
  const ROWS = ["y", "y2", "y3", "y4", "y5"];
  const FOLDED = "timeline-folded";
  const remembered = () => {
    try {
      return JSON.parse(localStorage.getItem(FOLDED)) || [];
    } catch {
      return []; // no storage, or somebody else's words in it
    }
  };
  const folded = new Set(remembered().filter((row) => ROWS.includes(row)).slice(0, ROWS.length - 1));
  const axisName = (row) => `yaxis${row.slice(1)}`;
  const rowOf = (reference) => String(reference).split(" ")[0];

  function fold(drawn) {
    if (!folded.size) return;
    const { layout } = drawn;
    const old = ROWS.map((row) => layout[axisName(row)].domain);
    const height = ([low, high]) => high - low;
    const line = 2 / layout.height; // what is left of a folded row, below its title
    const sum = (rows) => rows.reduce((all, index) => all + height(old[index]), 0);
    const every = ROWS.map((_, index) => index);
    const open = every.filter((index) => !folded.has(ROWS[index]));
    const grown = (sum(every) - line * folded.size) / sum(open);
    let top = 1;
    const now = old.map((domain, index) => {
      const size = folded.has(ROWS[index]) ? line : height(domain) * grown;
      if (index) top -= old[index - 1][0] - domain[1];
      const own = [Math.max(top - size, 0), top];
      top = own[0];
      return own;
    });
    // Whatever stands between two rows moves with them.
    const before = old.flatMap(([low, high]) => [high, low]);
    const after = now.flatMap(([low, high]) => [high, low]);
    const moved = (place) => {
      const end = before.findIndex((edge) => edge <= place);
      if (end <= 0) return end ? place : after[0] + place - before[0];
      const part = (before[end - 1] - place) / (before[end - 1] - before[end]);
      return after[end - 1] + (after[end] - after[end - 1]) * part;
    };
    // The days stay below the lowest row, whichever that is.
    Object.assign(layout.xaxis, { anchor: "free", position: 0 });
    ROWS.forEach((row, index) => {
      layout[axisName(row)].domain = now[index];
      if (folded.has(row)) layout[axisName(row)].visible = false;
    });
    const isFolded = (one) => folded.has(rowOf(one.yref));
    drawn.data = drawn.data.filter((trace) => !folded.has(trace.yaxis));
    ["shapes", "annotations"].forEach((kind) => {
      layout[kind] = layout[kind].filter((one) => !isFolded(one));
      // Words that hang from the top hang from the first row that is open.
      layout[kind].filter((one) => one.yref === "paper" && one.yanchor === "top").forEach((one) => {
        one.y = Math.min(one.y, old[open[0]][1]);
      });
      layout[kind].filter((one) => one.yref === "paper").forEach((one) => {
        ["y", "y0", "y1"].filter((name) => name in one).forEach((name) => {
          one[name] = moved(one[name]);
        });
      });
    });
  }

  function showRows() {
    figure.querySelectorAll("[data-row]").forEach((button) => {
      button.setAttribute("aria-pressed", String(!folded.has(button.dataset.row)));
    });
  }

  function toggleRow(row) {
    if (folded.has(row)) folded.delete(row);
    else if (folded.size < ROWS.length - 1) folded.add(row); // one row stays
    try {
      localStorage.setItem(FOLDED, JSON.stringify([...folded]));
    } catch {
      // Not remembered, then.
    }
    showRows();
    redraw();
  }

  const redraw = () => NeuraxisChart.draw(chart, onAxis());

  /* --- The crosshair reads every row ---------------------------------------------------- */
  const days = [...new Set([
    ...meta.edss.map(([day]) => day),
    ...meta.values.brain.map(([day]) => day),
    ...meta.values.cord.map(([day]) => day),
  ])].sort();

  const lastUntil = (rows, time) => rows.filter(([day]) => stamp(day) <= time).at(-1);
  const nearest = (rows, time) =>
    rows.reduce((best, row) =>
      (!best || Math.abs(stamp(row[0]) - time) < Math.abs(stamp(best[0]) - time) ? row : best), null);
  const minus = (text) => text.replaceAll("-", "−");

  function gapAt(time) {
    if (!meta.gap.length) return "not yet assessable";
    const [grid, mean, low, high] = meta.gap;
    const after = grid.findIndex((day) => stamp(day) >= time);
    if (after < 0 || (after === 0 && stamp(grid[0]) > time)) return "–";
    const before = Math.max(after - 1, 0);
    const width = stamp(grid[after]) - stamp(grid[before]) || 1;
    const part = (time - stamp(grid[before])) / width;
    const at = (values) => values[before] + (values[after] - values[before]) * part;
    const words = [mean, low, high].map((values) => at(values).toFixed(1));
    return minus(`${words[0]} % (${words[1]} to ${words[2]})`);
  }

  function valueAt(values, time) {
    const row = nearest(values, time);
    if (!row) return "no value";
    const months = Math.round((stamp(row[0]) - time) / (YEAR / 12));
    if (Math.abs(months) < 1) return `${row[1].toFixed(1)} %`;
    const far = Math.abs(months) < 24 ? `${Math.abs(months)} mo` : `${Math.round(Math.abs(months) / 12)} y`;
    return `${row[1].toFixed(1)} %, ${far} ${months > 0 ? "later" : "before"}`;
  }

  function read(time) {
    const edss = lastUntil(meta.edss, time);
    const drugs = meta.treatments.filter(
      ([start, end]) => stamp(start) <= time && (!end || stamp(end) >= time));
    const words = {
      date: iso(time),
      edss: edss ? edss[1].toFixed(1) : "–",
      brain: valueAt(meta.values.brain, time),
      cord: valueAt(meta.values.cord, time),
      gap: gapAt(time),
      drug: drugs.map(([, , drug, paused, resumed]) =>
        (paused && stamp(paused) <= time && time < stamp(resumed) ? `${drug} (interrupted)` : drug))
        .join(", ") || "none",
    };
    Object.entries(words).forEach(([name, text]) => {
      figure.querySelector(`[data-read="${name}"]`).textContent = text;
    });
    structures.forEach((one, slug) => {
      const place = figure.querySelector(`[data-structure-read="${slug}"]`);
      place.textContent = valueAt(one.values, time);
    });
  }

  /* --- Further structures, and the course without one value -------------------------------- */
  async function fetched(url) {
    failure.hidden = true;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      return await answer.json();
    } catch {
      failure.hidden = false;
      return null;
    }
  }

  async function choose(box) {
    const { structure: slug, url } = box.dataset;
    if (box.checked) {
      const marks = await fetched(url);
      if (!marks) box.checked = false;
      else if (box.checked) structures.set(slug, marks);
    }
    if (!box.checked) {
      structures.delete(slug);
      figure.querySelector(`[data-structure-read="${slug}"]`).textContent = "";
    }
    figure.querySelector(`[data-structure-line="${slug}"]`).hidden = !box.checked;
    await redraw();
    if (days.length) read(stamp(days[at]));
  }

  function show(drawn, day) {
    source = drawn;
    meta = source.layout.meta;
    const words = figure.querySelector("[data-dropped]");
    words.hidden = !day;
    words.querySelector("[data-dropped-day]").textContent = day;
    return redraw();
  }

  async function drop(button) {
    const drawn = await fetched(`${chart.dataset.figureUrl}?without=${button.dataset.drop}`);
    if (!drawn) return;
    await show(drawn, button.dataset.dropDay);
    figure.querySelector("[data-undrop]").focus();
  }

  function pixelOf(time) {
    const full = chart._fullLayout;
    return full.margin.l + full.xaxis.d2p(timeToAxis(time));
  }

  function point(time) {
    read(time);
    if (!crosshair) {
      crosshair = document.createElement("div");
      crosshair.className = "timeline__crosshair";
      chart.append(crosshair);
    }
    crosshair.style.left = `${pixelOf(time)}px`;
  }

  function timeUnder(event) {
    const full = chart._fullLayout;
    const x = event.clientX - chart.getBoundingClientRect().left - full.margin.l;
    const time = axisToTime(full.xaxis.p2l(x));
    return Math.min(Math.max(time, range[0]), range[1]);
  }

  /* --- Zoom by buttons as well as by dragging --------------------------------------------- */
  function zoom(kind) {
    const [start, end] = range;
    const middle = (start + end) / 2;
    const half = ((end - start) / 2) * (kind === "in" ? 0.6 : 1 / 0.6);
    range = kind === "all" ? meta.window.map(stamp) : [middle - half, middle + half];
    redraw();
  }

  /* --- Show the measurement behind a value below the chart --------------------------------- */
  function open(run) {
    if (!run) {
      const words = document.createElement("p");
      words.className = "soft";
      words.textContent = "No brain or cord was measured on this day; left and right lead on.";
      figure.querySelector("#glance").replaceChildren(words);
      return;
    }
    const url = chart.dataset.pointUrl.replace("00000000-0000-0000-0000-000000000000", run);
    htmx.ajax("GET", url, { target: figure.querySelector("#glance"), swap: "innerHTML" });
  }

  function runsOn(day) {
    return source.data.filter((trace) => trace.meta?.role === "points").flatMap((trace) =>
      trace.customdata.filter((_, index) => trace.x[index] === day));
  }

  /* Enter shows the brain's value of the day; once more, the cord's. */
  let opened = null;
  function openNext(day) {
    const runs = runsOn(day);
    opened = runs[(runs.indexOf(opened) + 1) % runs.length] || null;
    open(opened);
  }

  let at = days.length - 1;
  function onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && days.length) {
      event.preventDefault();
      at = Math.min(Math.max(at + step, 0), days.length - 1);
      point(stamp(days[at]));
    }
    if (event.key === "Enter" && days.length) openNext(days[at]);
  }

  showRows();
  redraw().then(() => {
    chart.on("plotly_relayout", (change) => {
      const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (from === undefined) return;
      const time = (x) => (origins[axis] ? axisToTime(x) : Date.parse(`${String(x).replace(" ", "T")}Z`) || stamp(String(x).slice(0, 10)));
      range = [time(from), time(to)];
    });
    chart.on("plotly_click", (event) => {
      const mark = event.points.find((one) => one.customdata);
      if (!mark) return;
      // A mark of the clinical course leads to its entry; a value shows its measurement below.
      if (mark.customdata.startsWith("fact-")) location.assign(`${chart.dataset.factsUrl}#${mark.customdata}`);
      else open(mark.customdata);
    });
    if (days.length) read(stamp(days[at]));
    figure.dataset.ready = "true";
  });
  chart.addEventListener("mousemove", (event) => point(timeUnder(event)));
  chart.addEventListener("keydown", onKey);
  figure.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.axis) {
      axis = button.dataset.axis;
      figure.querySelectorAll("[data-axis]").forEach((other) => {
        other.setAttribute("aria-pressed", String(other === button));
      });
      crosshair?.remove();
      crosshair = null;
      redraw();
    }
    if (button?.dataset.row) toggleRow(button.dataset.row);
    if (button?.dataset.drop) drop(button);
    if (button && "undrop" in button.dataset) show(whole, "").then(() => chart.focus());
    if (button?.dataset.zoom) zoom(button.dataset.zoom);
    if (button?.dataset.download) {
      NeuraxisChart.download(chart, button.dataset.download, document.title.split(" ")[0]);
    }
  });
  figure.addEventListener("change", (event) => {
    if (event.target.dataset.structure) choose(event.target);
  });
  const menu = figure.querySelector("[data-structures]");
  menu?.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    if (menu?.open && !menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("theme:changed", redraw);
});
