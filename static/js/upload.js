/* Upload: say what was chosen before it is sent, send it with real progress, show the answer.
   Without this file the form posts as it is. */
"use strict";
(() => {
  const KINDS = {
    nifti: "NIfTI",
    gzip: "NIfTI, compressed",
    zip: "Zip archive",
    dicom: "DICOM",
    empty: "Empty file",
    pdf: "PDF, not an image",
    unknown: "Not recognised here; the server looks",
  };
  const MAX_FILES = 6000;
  const LISTED = 12;

  const area = document.getElementById("upload-area");
  if (!area) return;

  // The answer to a wrong confirmation is the form again, with the reason.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 422) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === area) focusOn(area);
  });
  function focusOn(where) {
    const heading = where.querySelector("[data-focus]");
    if (heading) heading.focus();
  }

  const form = area.querySelector("[data-upload]");
  if (!form) return;
  const find = (name) => form.querySelector(`[data-${name}]`);
  const drop = find("drop");
  const picker = form.querySelector("#files");
  const folder = form.querySelector("#folder");
  const send = find("send");
  const cancel = find("cancel");
  const progress = find("progress");
  const bar = progress.querySelector("progress");
  const words = find("progress-words");
  let chosen = [];
  let request = null;

  form.querySelectorAll("[data-folder]").forEach((element) => {
    if ("webkitdirectory" in picker) element.hidden = false;
  });

  picker.addEventListener("change", () => choose([...picker.files]));
  folder.addEventListener("change", () => choose([...folder.files]));
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("is-over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("is-over");
    const entries = [...event.dataTransfer.items]
      .map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry())
      .filter(Boolean);
    const files = entries.length
      ? (await Promise.all(entries.map(filesOf))).flat()
      : [...event.dataTransfer.files];
    choose(files);
  });

  /* All files of a dropped file or folder. */
  async function filesOf(entry) {
    if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
    const reader = entry.createReader();
    const children = [];
    for (;;) {
      const batch = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!batch.length) break;
      children.push(...batch);
    }
    return (await Promise.all(children.map(filesOf))).flat();
  }

  async function kindOf(file) {
    if (file.size === 0) return "empty";
    const head = new Uint8Array(await file.slice(0, 132).arrayBuffer());
    const text = (from, to) => String.fromCharCode(...head.slice(from, to));
    if (text(128, 132) === "DICM") return "dicom";
    if (text(0, 2) === "PK") return "zip";
    if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
    if (text(0, 4) === "%PDF") return "pdf";
    const view = new DataView(head.buffer);
    const size = head.length >= 4 ? [view.getInt32(0, true), view.getInt32(0, false)] : [];
    return size.includes(348) || size.includes(540) ? "nifti" : "unknown";
  }

  function megabytes(bytes) {
    return bytes < 1048576 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
  }

  async function choose(files) {
    chosen = files.filter((file) => !file.name.startsWith("."));
    const kinds = [];
    for (const file of chosen) kinds.push(await kindOf(file));
    refuse(objection());
    show(kinds);
  }

  /* What would be refused anyway is said before anything is sent. */
  function objection() {
    const bytes = chosen.reduce((sum, file) => sum + file.size, 0);
    const limit = Number(form.dataset.maxBytes);
    if (!chosen.length) return "Choose the files of one visit first.";
    if (chosen.length > MAX_FILES) {
      return `These are ${chosen.length} files; at most ${MAX_FILES} are sent at once. Pack them into one zip file.`;
    }
    if (bytes > limit) {
      return `These files are ${megabytes(bytes)}; at most ${megabytes(limit)} are taken at once. Choose fewer series.`;
    }
    return "";
  }

  function show(kinds) {
    const box = find("chosen");
    box.replaceChildren();
    if (!chosen.length) return;
    const total = megabytes(chosen.reduce((sum, file) => sum + file.size, 0));
    const table = document.createElement("table");
    table.className = "table";
    const caption = table.createCaption();
    caption.textContent = `${chosen.length === 1 ? "1 file" : `${chosen.length} files`}, ${total}`;
    const head = table.createTHead().insertRow();
    ["File", "Kind", "Size"].forEach((word) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = word;
      head.append(cell);
    });
    const body = table.createTBody();
    rowsOf(kinds).forEach((cells) => {
      const row = body.insertRow();
      cells.forEach((text) => {
        row.insertCell().textContent = text;
      });
    });
    const scroll = document.createElement("div");
    scroll.className = "table-scroll upload-files";
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Chosen files");
    scroll.append(table);
    box.append(scroll);
  }

  function rowsOf(kinds) {
    if (chosen.length <= LISTED) {
      return chosen.map((file, index) => [file.name, KINDS[kinds[index]], megabytes(file.size)]);
    }
    const groups = new Map();
    chosen.forEach((file, index) => {
      const group = groups.get(kinds[index]) || { count: 0, bytes: 0 };
      groups.set(kinds[index], { count: group.count + 1, bytes: group.bytes + file.size });
    });
    return [...groups].map(([kind, group]) => [`${group.count} files`, KINDS[kind], megabytes(group.bytes)]);
  }

  function refuse(sentence) {
    const box = find("refusal");
    box.replaceChildren();
    if (!sentence) return;
    const message = document.createElement("div");
    const text = document.createElement("p");
    message.className = "message message--error";
    text.textContent = sentence;
    message.append(text);
    box.append(message);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (request) return;
    const sentence = objection();
    refuse(sentence);
    if (sentence) return;
    const data = new FormData();
    data.append("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
    data.append("visit_date", form.querySelector("[name=visit_date]").value);
    chosen.forEach((file) => data.append("files", file, file.name));
    post(data);
  });
  cancel.addEventListener("click", () => request && request.abort());
  window.addEventListener("beforeunload", (event) => {
    if (request) event.preventDefault();
  });

  function post(data) {
    request = new XMLHttpRequest();
    request.open("POST", form.getAttribute("action") || window.location.pathname);
    request.setRequestHeader("HX-Request", "true");
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      bar.value = (100 * event.loaded) / event.total;
      words.textContent = `Sent ${megabytes(event.loaded)} of ${megabytes(event.total)}`;
    });
    request.upload.addEventListener("load", () => {
      bar.removeAttribute("value");
      words.textContent = "Reading the images and removing what names the person…";
    });
    request.addEventListener("load", () => answered(request));
    request.addEventListener("error", () => ended("The connection broke. Nothing was stored; send again."));
    request.addEventListener("abort", () => ended("Stopped. Nothing was stored."));
    busy(true);
    request.send(data);
  }

  function busy(isBusy) {
    send.disabled = isBusy;
    cancel.hidden = !isBusy;
    progress.hidden = !isBusy;
    bar.value = 0;
    words.textContent = "Sending";
  }

  function ended(sentence) {
    request = null;
    busy(false);
    refuse(sentence);
  }

  function answered(answer) {
    request = null;
    busy(false);
    const type = answer.getResponseHeader("Content-Type") || "";
    const where = answer.getResponseHeader("HX-Push-Url");
    if (answer.status === 200 && where) {
      area.innerHTML = answer.responseText;
      window.history.pushState({}, "", where);
      window.htmx.process(area);
      document.querySelectorAll(".upload-recent, .upload-form ~ *").forEach((element) => element.remove());
      focusOn(area);
    } else if (answer.status === 422 && type.startsWith("text/html")) {
      find("refusal").innerHTML = answer.responseText;
    } else if (answer.status === 403 || answer.status === 200) {
      refuse("Your session has ended. Sign in again in another tab, then send again.");
    } else {
      refuse("The server could not take the files. Nothing was stored; send again, and tell your administrator if it happens twice.");
    }
  }
})();
