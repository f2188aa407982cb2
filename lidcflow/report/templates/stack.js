"use strict";
/* The stack of a study's page. The address holds the slice (#slice-20), so every link on the page is a jump. */
(() => {
  const stack = document.querySelector(".stack");
  const data = JSON.parse(document.getElementById("stack-data").textContent);
  const stage = stack.querySelector(".stage");
  const slider = stack.querySelector(".slider");
  const count = data.slices.length;
  const LEAST_HU = -1024, MOST_HU = 3071;
  const WHEEL_PIXELS = 60; /* a notch of a wheel is more, a slow trackpad adds up */
  const PAGE = 5;

  let current = 0;
  let voxels = null;
  let level = -600, width = 1500;

  const findings = [...document.querySelectorAll(".findings .to-finding")];
  const places = findings.length ? findings : [...document.querySelectorAll(".findings .to-peak")];
  const circles = document.getElementById("circles");
  const sliceOf = (hash) => Number(/^#slice-(\d+)$/.exec(hash)?.[1] ?? 0);
  const inHash = () => {
    const card = /^#(range|finding)-\d+$/.test(location.hash) && document.querySelector(`${location.hash} .to-peak`);
    const slice = sliceOf(card ? card.hash : location.hash);
    return slice >= 1 && slice <= count ? slice : null;
  };

  /* Pictures */

  const greys = new Uint8ClampedArray(MOST_HU - LEAST_HU + 1);
  const fillGreys = () => {
    const low = level - width / 2;
    for (let k = 0; k < greys.length; k++) greys[k] = (255 * (k + LEAST_HU - low)) / width;
  };

  const paint = (view) => {
    const [, , rows, columns] = data.shape;
    const canvas = view.querySelector("canvas");
    const picture = new ImageData(columns, rows);
    const pixels = new Uint32Array(picture.data.buffer);
    const start = (Number(view.dataset.channel) * count + current - 1) * rows * columns;
    for (let k = 0; k < pixels.length; k++) {
      const grey = greys[voxels[start + k] - LEAST_HU];
      pixels[k] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    canvas.width = columns;
    canvas.height = rows;
    canvas.getContext("2d").putImageData(picture, 0, 0);
    const name = view.querySelector("span").textContent;
    canvas.setAttribute("aria-label", `Slice ${current}, ${name}, level ${level}, width ${width} HU`);
  };

  const paintAll = () => {
    if (voxels) stack.querySelectorAll(".view").forEach((view) => view.offsetParent && paint(view));
  };

  const SVG = "http://www.w3.org/2000/svg";
  const drawn = (name, attributes) => {
    const one = document.createElementNS(SVG, name);
    Object.entries(attributes).forEach(([key, value]) => one.setAttribute(key, value));
    return one;
  };

  const ring = (found, width) => {
    const left = found.across > 0.8;
    const kind = found.slice_number === current ? "ring" : "ring beside";
    const circle = found.outline_mm.length
      ? drawn("polygon", { class: kind, points: found.outline_mm.join(" ") })
      : drawn("circle", { class: kind, cx: found.x_mm, cy: found.y_mm, r: found.radius_mm });
    const x = found.x_mm + (left ? -1.25 : 1.25) * found.radius_mm;
    const place = { class: left ? "left" : "", x, y: found.y_mm, dy: ".35em", "font-size": 0.05 * width };
    const name = drawn("text", place);
    name.textContent = found.rank;
    return [circle, name];
  };

  const drawRings = (here) => {
    stack.querySelectorAll(".rings").forEach((one) => {
      one.replaceChildren(...here.flatMap((found) => ring(found, one.viewBox.baseVal.width)));
    });
  };

  /* Where we are */

  const sourceLine = ([number, z, share]) => {
    const line = document.createElement("li");
    line.textContent = `${number} at ${z}, ${share} of the slice`;
    return line;
  };

  const tell = () => {
    const one = data.slices[current - 1];
    const ranges = data.ranges.filter(([first, last]) => first <= current && current <= last);
    const here = data.findings.filter((found) => found.first_slice <= current && current <= found.last_slice);
    const named = (ranks) => ranks.join(", ") || "–";
    const said = { ...one, range: named(ranges.map((range) => range[2])), finding: named(here.map((found) => found.rank)) };
    drawRings(here);
    stack.querySelectorAll("[data-show]").forEach((place) => (place.textContent = said[place.dataset.show]));
    document.querySelectorAll(".at").forEach((place) => (place.textContent = current));
    stack.querySelector(".sources ul").replaceChildren(...one.sources.map(sourceLine));
    stack.classList.toggle("in-range", ranges.length > 0);
    document.querySelectorAll(".card[id^=range-]").forEach((card) => {
      card.classList.toggle("here", ranges.some((range) => card.id === `range-${range[2]}`));
    });
    document.querySelectorAll(".card[id^=finding-]").forEach((card) => {
      card.classList.toggle("here", here.some((found) => card.id === `finding-${found.rank}`));
    });
    document.querySelectorAll(".profile .level").forEach((one, k) => one.classList.toggle("current", k === current - 1));
    slider.value = current;
    slider.setAttribute("aria-valuetext", `slice ${current}, nodule ${one.nodule}`);
    stack.dataset.slice = current;
  };

  const show = (slice, keep = true) => {
    const next = Math.min(count, Math.max(1, slice));
    if (next === current) return;
    current = next;
    if (keep) history.replaceState(null, "", `#slice-${current}`);
    tell();
    paintAll();
    document.dispatchEvent(new CustomEvent("slice"));
  };

  const jump = () => {
    const slice = inHash();
    if (slice === null) return;
    show(slice, false);
    (stage || stack).scrollIntoView({ block: "nearest" });
  };

  let at = -1; /* two findings can share a slice */
  const toPlace = (by) => {
    if (!places.length) return;
    if (at < 0 || sliceOf(places[at].hash) !== current) at = places.findIndex((link) => sliceOf(link.hash) === current);
    at = Math.min(places.length - 1, Math.max(0, at < 0 ? 0 : at + by));
    show(sliceOf(places[at].hash));
    places[at].closest(".card").scrollIntoView({ block: "nearest" });
  };

  /* Window and view */

  const presets = [...stack.querySelectorAll("[data-level]")];
  const views = [...stack.querySelectorAll("[data-view]")];
  const press = (buttons, chosen) => buttons.forEach((one) => one.setAttribute("aria-pressed", String(chosen(one))));

  const setWindow = (newLevel, newWidth) => {
    level = Math.round(Math.min(MOST_HU, Math.max(LEAST_HU, newLevel)));
    width = Math.round(Math.min(4096, Math.max(1, newWidth)));
    stack.querySelector(".level-hu").value = level;
    stack.querySelector(".width-hu").value = width;
    press(presets, (one) => Number(one.dataset.level) === level && Number(one.dataset.width) === width);
    fillGreys();
    paintAll();
  };

  const setView = (name) => {
    stack.dataset.view = name;
    press(views, (one) => one.dataset.view === name);
    paintAll();
  };

  const typed = () => {
    const values = [".level-hu", ".width-hu"].map((name) => stack.querySelector(name).valueAsNumber);
    if (values.every(Number.isFinite)) setWindow(...values);
  };

  /* Hands */

  const keys = {
    ArrowDown: () => show(current + 1),
    ArrowRight: () => show(current + 1),
    ArrowUp: () => show(current - 1),
    ArrowLeft: () => show(current - 1),
    PageDown: () => show(current + PAGE),
    PageUp: () => show(current - PAGE),
    Home: () => show(1),
    End: () => show(count),
    j: () => toPlace(1),
    k: () => toPlace(-1),
    c: () => circles?.click(),
    1: () => presets[0]?.click(),
    2: () => presets[1]?.click(),
    3: () => presets[2]?.click(),
    m: () => views[(views.findIndex((one) => one.dataset.view === stack.dataset.view) + 1) % 3]?.click(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(keys, event.key)) return;
    if (!answersKey(event.key)) return;
    if (event.target.matches("input:not(.slider, [type=checkbox]), select, textarea")) return;
    event.preventDefault();
    keys[event.key]();
  });

  let turned = 0;
  const turn = (event) => {
    if (event.ctrlKey) return; /* the browser's zoom */
    event.preventDefault();
    const pixels = event.deltaY * [1, 20, 400][event.deltaMode];
    turned += Math.min(WHEEL_PIXELS, Math.max(-WHEEL_PIXELS, pixels));
    if (Math.abs(turned) < WHEEL_PIXELS) return;
    show(current + Math.sign(turned));
    turned = 0;
  };

  let held = null;
  const grab = (event) => {
    if (event.button !== 0) return;
    held = { x: event.clientX, y: event.clientY, slice: current, level, width };
    stage.setPointerCapture(event.pointerId);
  };
  const drag = (event) => {
    if (!held) return;
    const [right, down] = [event.clientX - held.x, event.clientY - held.y];
    if (event.pointerType === "mouse") setWindow(held.level + 2 * down, held.width + 4 * right);
    else show(held.slice + Math.round((down / stage.clientHeight) * Math.max(20, count / 2)));
  };
  const release = () => (held = null);

  slider.addEventListener("input", () => show(slider.valueAsNumber));
  stack.querySelectorAll("[data-step]").forEach((button) => {
    button.addEventListener("click", () => show(current + Number(button.dataset.step)));
  });
  window.addEventListener("hashchange", jump);
  show(inHash() ?? Number(stack.dataset.first), false);
  if (!stage) return;

  presets.forEach((one) => one.addEventListener("click", () => setWindow(+one.dataset.level, +one.dataset.width)));
  views.forEach((one) => one.addEventListener("click", () => setView(one.dataset.view)));
  stack.querySelectorAll("input[type=number]").forEach((one) => one.addEventListener("input", typed));
  stage.addEventListener("wheel", turn, { passive: false });
  stage.addEventListener("pointerdown", grab);
  stage.addEventListener("pointermove", drag);
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  setWindow(level, width);
  setView(matchMedia("(min-width: 40rem)").matches ? "both" : "mean");

  const loading = stage.querySelector(".loading");
  fetch("voxels")
    .then((answer) => (answer.ok ? answer.arrayBuffer() : Promise.reject(new Error(`status ${answer.status}`))))
    .then((buffer) => {
      voxels = new Int16Array(buffer);
      loading.remove();
      paintAll();
    })
    .catch((error) => (loading.textContent = `The slices did not arrive (${error.message}); reload the page.`));
})();
