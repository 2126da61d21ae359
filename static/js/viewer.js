/* The stored image with a mask over it, in the browser's own graphics (NiiVue). */
"use strict";
document.querySelectorAll("[data-viewer]").forEach(async (viewer) => {
  const canvas = viewer.querySelector("[data-canvas]");
  const place = viewer.querySelector("[data-place]");
  const opacity = viewer.querySelector("[data-opacity]");
  const say = (words) => {
    place.textContent = words;
  };
  const minus = (text) => text.replaceAll("-", "−");
  const share = () => Number(opacity.value) / 100;

  const drawing = new niivue.Niivue({
    backColor: [0, 0, 0, 1], show3Dcrosshair: true, isRadiologicalConvention: true,
    crosshairColor: [0.42, 0.82, 0.8, 0.8], crosshairWidth: 1, dragAndDropEnabled: false,
    isResizeCanvas: true, logLevel: "error", multiplanarShowRender: niivue.SHOW_RENDER?.NEVER ?? 0,
    onLocationChange: (at) => {
      const [x, y, z] = at.mm;
      const value = at.values?.[0]?.value;
      const grey = Number.isFinite(value) ? `, intensity ${value.toPrecision(4)}` : "";
      say(minus(`${x.toFixed(1)}, ${y.toFixed(1)}, ${z.toFixed(1)} mm${grey}`));
    },
  });

  async function overlay(url) {
    while (drawing.volumes.length > 1) drawing.removeVolumeByIndex(1);
    if (!url) {
      drawing.updateGLVolume();
      return;
    }
    const isMap = url.endsWith("segmentation.nii.gz");
    await drawing.addVolumeFromUrl({
      url, name: "mask.nii.gz", colormap: isMap ? "warm" : "red", opacity: share(), cal_min: 0.5,
      cal_max: isMap ? 4 : 1,
    });
  }

  /* The measured structure, not the middle of the picture, is what somebody wants to see: the
     crosshair goes to the outlined voxel nearest to the outline's centre. */
  function toOutline() {
    const mask = drawing.volumes[1];
    if (!mask) return;
    const [, nx, ny] = mask.hdr.dims;
    const place = (index) => [index % nx, Math.floor(index / nx) % ny, Math.floor(index / (nx * ny))];
    const middle = [0, 0, 0];
    let count = 0;
    mask.img.forEach((label, index) => {
      if (!label) return;
      count += 1;
      place(index).forEach((value, axis) => {
        middle[axis] += value;
      });
    });
    if (!count) return;
    let nearest = Infinity;
    let voxel = null;
    mask.img.forEach((label, index) => {
      if (!label) return;
      const one = place(index);
      const far = one.reduce((sum, value, axis) => sum + (value - middle[axis] / count) ** 2, 0);
      if (far < nearest) [nearest, voxel] = [far, one];
    });
    const mm = mask.hdr.affine.slice(0, 3).map((row) =>
      row[3] + voxel.reduce((sum, value, axis) => sum + row[axis] * value, 0));
    drawing.scene.crosshairPos = drawing.mm2frac(mm, 0, true);
    drawing.createOnLocationChange();
    drawing.drawScene();
  }

  try {
    await drawing.attachToCanvas(canvas);
    await drawing.loadVolumes([{ url: viewer.dataset.image, name: "image.nii.gz" }]);
    drawing.setSliceType(drawing.sliceTypeMultiplanar);
    const first = viewer.querySelector('[data-mask][aria-pressed="true"]');
    if (first) {
      await overlay(first.dataset.mask);
      toOutline();
    }
    if (!place.textContent.includes("mm")) say("Ready.");
    viewer.dataset.ready = "true";
  } catch (error) {
    say(`The image could not be shown: ${error.message}. The review page shows the pictures.`);
    return;
  }

  const press = (group, button) => {
    group.querySelectorAll("button").forEach((other) => {
      other.setAttribute("aria-pressed", String(other === button));
    });
  };
  viewer.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    press(button.parentElement, button);
    if (button.dataset.plane !== undefined) drawing.setSliceType(Number(button.dataset.plane));
    if (button.dataset.mask !== undefined) await overlay(button.dataset.mask);
  });
  opacity?.addEventListener("input", () => {
    if (drawing.volumes.length > 1) drawing.setOpacity(1, share());
  });
  canvas.addEventListener("keydown", (event) => {
    const steps = {
      ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 0, 1], ArrowDown: [0, 0, -1],
      PageUp: [0, 1, 0], PageDown: [0, -1, 0],
    };
    if (!steps[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    drawing.moveCrosshairInVox(...steps[event.key]);
  });
});
