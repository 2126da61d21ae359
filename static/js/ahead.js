/* The next measurement is fetched, with its pictures, while this one is looked at; a verdict
   then only swaps the page's content. The trail says which pages were fetched ahead. */
"use strict";
window.NeuraxisAhead = (() => {
  let next = null;
  let shown = window.location.pathname;

  async function prepare(main) {
    next = null;
    const address = main.querySelector("[data-ahead]")?.dataset.ahead;
    if (!address) return;
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Adopted, its pictures begin to load though nobody sees them yet.
      const content = document.adoptNode(page.getElementById("main"));
      if (!main.isConnected) return;
      next = { content, title: page.title, path: address.split("?")[0] };
      content.querySelectorAll("img").forEach((picture) => picture.decode?.().catch(() => {}));
      NeuraxisSlices.begin(content);
    } catch {
      // Not fetched: the verdict leads to the next page in the ordinary way.
    }
  }

  function show(words) {
    const { content, title, path } = next;
    document.getElementById("main").replaceWith(content);
    document.title = title;
    history.pushState({}, "", path);
    shown = path;
    const said = document.createElement("div");
    said.className = "message message--success";
    said.setAttribute("role", "status");
    said.append(Object.assign(document.createElement("p"), { textContent: words }));
    content.prepend(said);
    htmx.process(content);
    NeuraxisReview.begin(content);
    window.scrollTo(0, 0);
    content.focus({ preventScroll: true });
    prepare(content);
  }

  // Back and forward load the page that they lead to; a jump inside this one does not.
  window.addEventListener("popstate", () => {
    if (window.location.pathname !== shown) window.location.reload();
  });
  const begin = () => prepare(document.getElementById("main"));
  if (document.readyState === "complete") begin();
  else window.addEventListener("load", begin);
  return { path: () => next?.path ?? "", show };
})();
