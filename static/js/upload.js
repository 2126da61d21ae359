/* Upload: say what was chosen before it is sent, send it with progress for each file, continue
   what broke off, show the answer. Without this file the form posts as it is. */
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
  const LISTED = 60;

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
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  let chosen = [];
  let rows = new Map();
  let sending = null;
  let isBusy = false;
  let delivery = null;

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
    choose(await NeuraxisFiles.ofDrop(event.dataTransfer));
  });

  const sum = (files) => files.reduce((total, file) => total + file.size, 0);
  const counted = (count) => (count === 1 ? "1 file" : `${count} files`);
  function megabytes(bytes) {
    return bytes < 1048576 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
  }

  async function choose(files) {
    if (isBusy) return;
    chosen = files.filter((file) => !file.name.startsWith("."));
    const kinds = [];
    for (const file of chosen) kinds.push(await NeuraxisFiles.kindOf(file));
    refuse(objection());
    show(kinds);
  }

  /* What would be refused anyway is said before anything is sent. */
  function objection() {
    const limit = Number(form.dataset.maxBytes);
    const most = Number(form.dataset.maxFiles);
    const large = chosen.filter((file) => file.size > limit).length;
    if (!chosen.length) return "Choose the files first.";
    if (chosen.length > most) {
      return `These are ${chosen.length} files; at most ${most} are sent at once. Pack them into zip archives.`;
    }
    if (form.dataset.patient && sum(chosen) > limit) {
      return `These files are ${megabytes(sum(chosen))}; at most ${megabytes(limit)} are taken for one visit. Choose fewer series.`;
    }
    if (large && large === chosen.length) {
      return `Each file may be ${megabytes(limit)} at most. Send the series in smaller archives.`;
    }
    return "";
  }

  function show(kinds) {
    const box = find("chosen");
    box.replaceChildren();
    rows = new Map();
    if (!chosen.length) return;
    const table = document.createElement("table");
    table.className = "table";
    table.createCaption().textContent = `${counted(chosen.length)}, ${megabytes(sum(chosen))}`;
    const head = table.createTHead().insertRow();
    ["File", "Kind", "Size", "Sent"].forEach((word) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = word;
      head.append(cell);
    });
    const body = table.createTBody();
    linesOf(kinds).forEach((line) => showLine(body.insertRow(), line));
    const scroll = document.createElement("div");
    scroll.className = "table-scroll upload-files";
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Chosen files");
    scroll.append(table);
    box.append(scroll);
  }

  /* One line for each file; of many, one for each folder. */
  function linesOf(kinds) {
    const lines = new Map();
    const isShort = chosen.length <= LISTED;
    chosen.forEach((file, index) => {
      const path = NeuraxisFiles.pathOf(file);
      const where = isShort ? path : path.split("/").slice(0, -1).join("/") || "Single files";
      const key = `${where}|${kinds[index]}`;
      const line = lines.get(key) || { name: where, kind: kinds[index], files: [] };
      line.files.push(file);
      lines.set(key, line);
    });
    return [...lines.values()];
  }

  function showLine(row, line) {
    const size = sum(line.files);
    const many = line.files.length > 1 ? ` (${counted(line.files.length)})` : "";
    row.insertCell().textContent = line.name + many;
    row.insertCell().textContent = KINDS[line.kind];
    row.insertCell().textContent = megabytes(size);
    const cell = row.insertCell();
    const state = { sent: new Map(), size, cell, left: line.files.length, files: line.files.length };
    line.files.forEach((file) => rows.set(file, state));
  }

  const told = {
    bytes(file, sent) {
      const state = rows.get(file);
      state.sent.set(file, sent);
      draw(state);
      total();
    },
    end(file) {
      const state = rows.get(file);
      state.left -= 1;
      draw(state);
    },
    refused(file, sentence) {
      const state = rows.get(file);
      const line = document.createElement("p");
      line.className = "warn-text";
      line.textContent = state.files > 1 ? `${file.name}: ${sentence}` : sentence;
      state.refused = true;
      state.cell.append(line);
    },
  };

  const arrivedOf = (state) => [...state.sent.values()].reduce((all, one) => all + one, 0);

  function draw(state) {
    if (state.refused) return;
    const share = state.size ? arrivedOf(state) / state.size : 1;
    state.cell.textContent = state.left ? `${Math.floor(100 * share)} %` : "arrived";
  }

  function total() {
    const states = new Set(rows.values());
    const sent = [...states].reduce((all, state) => all + arrivedOf(state), 0);
    bar.value = (100 * sent) / Math.max(1, sum(chosen));
    words.textContent = `Sent ${megabytes(sent)} of ${megabytes(sum(chosen))}`;
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

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy) return;
    const sentence = objection();
    refuse(sentence);
    if (sentence) return;
    busy(true);
    try {
      await journey();
    } catch {
      refuse("The connection broke. Send again: it continues where it stopped.");
    }
    sending = null;
    busy(false);
  });
  cancel.addEventListener("click", () => sending && sending.stop());
  window.addEventListener("beforeunload", (event) => {
    if (isBusy) event.preventDefault();
  });

  async function journey() {
    delivery = delivery || (await continued()) || (await begun());
    if (!delivery) return;
    const arrived = await listed(delivery.files);
    show(await Promise.all(chosen.map(NeuraxisFiles.kindOf)));
    sending = NeuraxisFiles.send(chosen, { endpoint: delivery.files, token, arrived, told });
    const { failed, isStopped } = await sending.done;
    if (isStopped) {
      refuse("Stopped. Nothing was stored; send again to continue, or leave: what arrived expires.");
      return;
    }
    const isAll = failed === chosen.length;
    if (failed && (form.dataset.patient || isAll)) {
      refuse("Not every file arrived; the reason stands beside it. Send again to continue.");
      return;
    }
    await finish();
  }

  async function listed(address) {
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    return answer.ok && isJson(answer) ? (await answer.json()).files : [];
  }
  const isJson = (answer) => (answer.headers.get("Content-Type") || "").startsWith("application/json");

  /* The delivery that stopped, if one of the chosen files was part of it. */
  async function continued() {
    for (const place of document.querySelectorAll("[data-arriving]")) {
      const names = new Set((await listed(place.dataset.arriving)).map((one) => `${one.name}|${one.size}`));
      if (chosen.some((file) => names.has(`${NeuraxisFiles.pathOf(file)}|${file.size}`))) {
        return {
          delivery: place.dataset.delivery,
          files: place.dataset.arriving,
          finish: place.dataset.finish,
        };
      }
    }
    return null;
  }

  async function begun() {
    const data = new FormData();
    if (form.dataset.patient) {
      data.append("patient", form.dataset.patient);
      data.append("visit_date", form.querySelector("[name=visit_date]").value);
    }
    const answer = await post(form.dataset.upload, data);
    if (!isJson(answer)) {
      unexpected(answer);
      return null;
    }
    const said = await answer.json();
    if (answer.status === 201) return said;
    refuse(said.refusal);
    return null;
  }

  const post = (address, data) =>
    fetch(address, { method: "POST", body: data, headers: { "X-CSRFToken": token, "HX-Request": "true" } });

  async function finish() {
    bar.removeAttribute("value");
    words.textContent = "Reading the images and removing what names the person…";
    const data = new FormData();
    let where = delivery.finish;
    if (form.dataset.patient) {
      data.append("delivery", delivery.delivery);
      data.append("visit_date", form.querySelector("[name=visit_date]").value);
      where = window.location.pathname;
    }
    const answer = await post(where, data);
    const redirect = answer.headers.get("HX-Redirect");
    const address = answer.headers.get("HX-Push-Url");
    if (redirect) {
      isBusy = false;
      window.location.assign(redirect);
    } else if (answer.status === 200 && address) {
      delivery = null;
      area.innerHTML = await answer.text();
      window.history.pushState({}, "", address);
      window.htmx.process(area);
      document.querySelectorAll("[data-arriving], .upload-recent").forEach((element) => element.remove());
      focusOn(area);
    } else if (answer.status === 422) {
      if (form.dataset.patient) delivery = null;
      find("refusal").innerHTML = await answer.text();
    } else {
      delivery = null;
      unexpected(answer);
    }
  }

  function unexpected(answer) {
    refuse(
      answer.status === 403 || answer.status === 200
        ? "Your session has ended. Sign in again in another tab, then send again."
        : "The server could not take the files. Nothing was stored; send again, and tell your administrator if it happens twice.",
    );
  }

  function busy(is) {
    isBusy = is;
    send.disabled = is;
    cancel.hidden = !is;
    progress.hidden = !is;
    bar.value = 0;
    words.textContent = "Sending";
  }
})();
