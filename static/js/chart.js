/* Figures from the server: colours are CSS tokens, resolved for the theme of the moment. */
"use strict";
const NeuraxisChart = (() => {
  const probe = document.createElement("span");
  probe.hidden = true;

  /* "var(--brain)" -> "rgb(10, 104, 168)": only a computed colour knows light from dark. */
  function colour(token, cache) {
    if (!cache.has(token)) {
      if (!probe.isConnected) document.body.append(probe);
      probe.style.color = token;
      cache.set(token, getComputedStyle(probe).color);
    }
    return cache.get(token);
  }

  function resolved(value, cache = new Map()) {
    if (typeof value === "string") return value.startsWith("var(") ? colour(value, cache) : value;
    if (Array.isArray(value)) return value.map((item) => resolved(item, cache));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolved(v, cache)]));
    }
    return value;
  }

  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };

  function draw(element, figure) {
    const { data, layout } = resolved(figure);
    return Plotly.react(element, data, layout, CONFIG);
  }

  function download(element, format, name) {
    return Plotly.downloadImage(element, {
      format, filename: name, width: element.clientWidth, height: element.clientHeight, scale: 2,
    });
  }

  return { draw, download, resolved };
})();
