/* The figures of the cohort page: drawn when they come near, again when the theme changes. */
"use strict";
(() => {
  const figures = [...document.querySelectorAll("[data-cohort]")].map((figure) => ({
    figure,
    chart: figure.querySelector("[data-chart]"),
    source: JSON.parse(document.getElementById(figure.dataset.cohort).textContent),
  }));

  const draw = (one) =>
    NeuraxisChart.draw(one.chart, structuredClone(one.source)).then(() => {
      one.figure.dataset.ready = "true";
    });

  figures.forEach((one) => {
    one.chart.style.height = `${one.chart.dataset.height}px`;
    draw(one);
    one.figure.addEventListener("click", (event) => {
      const format = event.target.closest("button")?.dataset.download;
      if (format) NeuraxisChart.download(one.chart, format, one.figure.dataset.cohort);
    });
  });
  document.addEventListener("theme:changed", () => figures.forEach(draw));
})();
