/* Files that a person chose or dropped: their paths, what their first bytes say, and how to
   send them piece by piece (tus), continuing what arrived before. Shows nothing itself. */
"use strict";
const NeuraxisFiles = (() => {
  const PIECE_BYTES = 8 * 1024 * 1024;
  const AT_ONCE = 3;
  const RETRY_MS = [0, 500, 1500, 3000, 6000, 12000, 24000];

  const pathOf = (file) => (file.neuraxisPath || file.webkitRelativePath || file.name).replace(/^\/+/, "");

  /* All files of a dropped file or folder, each with its path. */
  async function ofEntry(entry) {
    if (entry.isFile) {
      const file = await new Promise((done, fail) => entry.file(done, fail));
      file.neuraxisPath = entry.fullPath;
      return [file];
    }
    const reader = entry.createReader();
    const children = [];
    for (;;) {
      const batch = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!batch.length) break;
      children.push(...batch);
    }
    return (await Promise.all(children.map(ofEntry))).flat();
  }

  async function ofDrop(transfer) {
    const entries = [...transfer.items]
      .map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry())
      .filter(Boolean);
    return entries.length ? (await Promise.all(entries.map(ofEntry))).flat() : [...transfer.files];
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

  /* Send files to a delivery. `arrived` lists what it holds; `told` hears of bytes, ends and
     refusals; the answer is a promise with the number of files that failed. */
  function send(files, { endpoint, token, arrived, told }) {
    const known = new Map(arrived.map((one) => [`${one.name}|${one.size}|${one.modified}`, one]));
    const waiting = [...files];
    const running = new Set();
    let isStopped = false;
    let failed = 0;

    const one = (file) =>
      new Promise((done) => {
        const name = pathOf(file);
        const held = known.get(`${name}|${file.size}|${file.lastModified}`);
        if (held && held.offset === file.size) {
          told.bytes(file, file.size);
          told.end(file);
          done();
          return;
        }
        const upload = new tus.Upload(file, {
          endpoint,
          uploadUrl: held ? held.url : null,
          chunkSize: PIECE_BYTES,
          uploadDataDuringCreation: true,
          storeFingerprintForResuming: false,
          retryDelays: RETRY_MS,
          headers: { "X-CSRFToken": token },
          metadata: { filename: name, modified: String(file.lastModified) },
          onProgress: (sent) => told.bytes(file, sent),
          onSuccess: () => {
            running.delete(upload);
            told.bytes(file, file.size);
            told.end(file);
            done();
          },
          onError: (error) => {
            running.delete(upload);
            failed += 1;
            told.refused(file, sentenceOf(error));
            done();
          },
        });
        running.add(upload);
        upload.start();
      });

    async function lane() {
      while (waiting.length && !isStopped) await one(waiting.shift());
    }
    const lanes = Array.from({ length: AT_ONCE }, lane);
    let halt;
    const halted = new Promise((done) => {
      halt = done;
    });
    return {
      done: Promise.race([Promise.all(lanes).then(() => ({ failed, isStopped })), halted]),
      stop() {
        isStopped = true;
        running.forEach((upload) => upload.abort());
        halt({ failed, isStopped });
      },
    };
  }

  function sentenceOf(error) {
    const answer = error.originalResponse;
    if (!answer) return "The connection broke. Send again: it continues where it stopped.";
    const status = answer.getStatus();
    if (status === 413) return answer.getBody();
    if (status === 403 || status === 200) {
      return "Your session has ended. Sign in again in another tab, then send again.";
    }
    if (status === 404) return "This upload was discarded or has expired. Send again.";
    return "The server could not take the file. Send again, and tell your administrator if it happens twice.";
  }

  return { kindOf, ofDrop, pathOf, send };
})();
