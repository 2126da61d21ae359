/* The patient's figure: axis switch, zoom buttons, one crosshair that reads all five rows,
   arrows from visit to visit, Enter or click shows the measurement. */
"use strict";
document.querySelectorAll("[data-timeline]").forEach((figure) => {
  const source = JSON.parse(document.getElementById(figure.dataset.timeline).textContent);
  const chart = figure.querySelector("[data-chart]");
  const meta = source.layout.meta;
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
    const xaxis = copy.layout.xaxis;
    xaxis.range = range.map(timeToAxis);
    xaxis.type = origins[axis] ? "linear" : "date";
    xaxis.ticksuffix = origins[axis] ? " y" : "";
    return copy;
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

  function valueAt(region, time) {
    const row = nearest(meta.values[region], time);
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
      brain: valueAt("brain", time),
      cord: valueAt("cord", time),
      gap: gapAt(time),
      drug: drugs.map(([, , drug]) => drug).join(", ") || "none",
    };
    Object.entries(words).forEach(([name, text]) => {
      figure.querySelector(`[data-read="${name}"]`).textContent = text;
    });
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
    if (!run) return;
    const url = chart.dataset.pointUrl.replace("00000000-0000-0000-0000-000000000000", run);
    htmx.ajax("GET", url, { target: figure.querySelector("#glance"), swap: "innerHTML" });
  }

  function runOn(day) {
    for (const trace of source.data) {
      if (trace.meta?.role !== "points") continue;
      const index = trace.x.indexOf(day);
      if (index >= 0) return trace.customdata[index];
    }
    return null;
  }

  let at = days.length - 1;
  function onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && days.length) {
      event.preventDefault();
      at = Math.min(Math.max(at + step, 0), days.length - 1);
      point(stamp(days[at]));
    }
    if (event.key === "Enter" && days.length) open(runOn(days[at]));
  }

  redraw().then(() => {
    chart.on("plotly_relayout", (change) => {
      const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (from === undefined) return;
      const time = (x) => (origins[axis] ? axisToTime(x) : Date.parse(`${String(x).replace(" ", "T")}Z`) || stamp(String(x).slice(0, 10)));
      range = [time(from), time(to)];
    });
    chart.on("plotly_click", (event) => {
      const mark = event.points.find((one) => one.customdata);
      if (mark) open(mark.customdata);
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
    if (button?.dataset.zoom) zoom(button.dataset.zoom);
    if (button?.dataset.download) {
      NeuraxisChart.download(chart, button.dataset.download, document.title.split(" ")[0]);
    }
  });
  document.addEventListener("theme:changed", redraw);
});
