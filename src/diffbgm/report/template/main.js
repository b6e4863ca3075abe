// Wires it together: canvases, pointer, wheel, keys, buttons.

const lanesBox = element("lanes");
const overview = element("overview");
const hint = element("hint");
const surfaces = [];
let drawing = false;

for (const row of lanesBox.querySelectorAll(".lane:not([hidden])")) {
  const [canvas, glow] = row.querySelectorAll("canvas");
  surfaces.push({ lane: lanes[row.dataset.lane], canvas, glow });
}
if (drumRows.length) lanesBox.querySelector("[data-lane=drums]").style.setProperty("--h", drumRows.length * 15 + 6 + "px");

// Sizes a canvas to its place on screen, in device pixels, and hands out a clean context in CSS pixels.
function context(canvas) {
  const scale = window.devicePixelRatio || 1;
  const w = Math.floor(canvas.clientWidth);
  const h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) {
    canvas.width = Math.round(w * scale);
    canvas.height = Math.round(h * scale);
  }
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, w, h);
  return [g, w, h];
}

function draw() {
  drawing = false;
  for (const { lane, canvas } of surfaces) {
    const [g, w, h] = context(canvas);
    if (w > 0) lane.draw(g, w, h);
  }
  drawOverview();
  showPosition();
}

function redraw() {
  if (!drawing) {
    drawing = true;
    requestAnimationFrame(draw);
  }
}

// The whole film, small: sections and waveform, whatever stretch the lanes show.
function drawOverview() {
  const [g, w, h] = context(overview.firstElementChild);
  const { start, end } = range;
  Object.assign(range, { start: 0, end: film.duration });
  for (const section of film.sections) {
    const x = range.x(section.start, w);
    translucent(g, 0.22, () => {
      g.fillStyle = colours[section.role] ?? colours.faint;
      g.fillRect(x, 0, range.x(section.end, w) - x, h);
    });
  }
  const peak = columns(film.wave.peak, film.wave.hz, w, true);
  g.fillStyle = colours.wave;
  for (let x = 0; x < w; x++) {
    const half = Math.max(0.5, (peak[x] / 255) * (h / 2 - 3));
    g.fillRect(x, h / 2 - half, 1, 2 * half);
  }
  Object.assign(range, { start, end });
  const frame = element("window");
  frame.style.left = (100 * start) / film.duration + "%";
  frame.style.width = (100 * range.span()) / film.duration + "%";
  frame.hidden = range.span() > film.duration * 0.999;
}

function showPosition() {
  const { t } = player;
  const width = surfaces[0].canvas.clientWidth;
  const x = range.x(t, width);
  const head = element("playhead");
  head.style.transform = `translateX(${x}px)`;
  head.style.visibility = x < -1 || x > width + 1 ? "hidden" : "visible";
  overview.querySelector(".needle").style.left = (100 * t) / film.duration + "%";
  overview.setAttribute("aria-valuenow", t.toFixed(2));
  overview.setAttribute("aria-valuetext", `${clock(t)}, bar ${position(Math.min(t, film.duration - 1e-3))}`);
  element("time").textContent = clock(t);
  element("now-bar").textContent = position(Math.min(t, film.duration - 1e-3));
  element("now-bpm").textContent = bpmOf(barAt(t)).toFixed(1);
  element("now-chord").textContent = spanAt(chords, t)?.name ?? "–";
  const section = sectionAt(t);
  element("now-section").textContent = section.role ? `${section.label} · ${section.role}` : section.label;
  const thumb = film.thumbnails.length ? thumbnailIn(...film.shots[shotAt(t)], t) : null;
  if (thumb && element("monitor").getAttribute("src") !== thumb.src) element("monitor").src = thumb.src;
  for (const { lane, glow } of surfaces) {
    if (!glow) continue;
    const [g, w, h] = context(glow);
    if (player.playing) lane.glow(g, w, h, t);
  }
}

// --- pointer: click seeks, drag moves, two fingers zoom ---------------------------------------

const pointers = new Map();
let dragged = false;

const localX = (event) => event.clientX - surfaces[0].canvas.getBoundingClientRect().left;
const timeAt = (event) => range.time(localX(event), surfaces[0].canvas.clientWidth);

function pinch(event) {
  const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
  const before = Math.abs(pointers.get(event.pointerId).x - other.x);
  const now = Math.abs(event.clientX - other.x);
  const left = surfaces[0].canvas.getBoundingClientRect().left;
  const middle = range.time((event.clientX + other.x) / 2 - left, surfaces[0].canvas.clientWidth);
  if (before > 8 && now > 8) range.zoom(before / now, middle);
}

lanesBox.addEventListener("pointerdown", (event) => {
  if (event.target.tagName !== "CANVAS" || event.button) return;
  pointers.set(event.pointerId, { x: event.clientX, from: event.clientX });
  dragged = pointers.size > 1;
  event.target.setPointerCapture(event.pointerId);
});

lanesBox.addEventListener("pointermove", (event) => {
  const pointer = pointers.get(event.pointerId);
  if (!pointer) {
    if (event.pointerType === "mouse") showHint(event);
    return;
  }
  dragged ||= Math.abs(event.clientX - pointer.from) > 4;
  if (pointers.size === 2) pinch(event);
  else if (dragged) range.pan(((pointer.x - event.clientX) / surfaces[0].canvas.clientWidth) * range.span());
  pointer.x = event.clientX;
});

lanesBox.addEventListener("pointerup", (event) => {
  if (pointers.delete(event.pointerId) && !dragged) player.seek(timeAt(event));
});
lanesBox.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
lanesBox.addEventListener("pointerleave", hideHint);

lanesBox.addEventListener("wheel", (event) => {
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    range.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.006), timeAt(event));
  } else {
    const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (!sideways || Math.abs(sideways) < Math.abs(event.shiftKey ? 0 : event.deltaY)) return;
    event.preventDefault();
    range.pan((sideways / surfaces[0].canvas.clientWidth) * range.span());
  }
}, { passive: false });

function showHint(event) {
  const surface = surfaces.find(({ canvas }) => canvas === event.target);
  if (!surface) return hideHint();
  const t = timeAt(event);
  const cursor = element("cursor");
  cursor.hidden = false;
  cursor.style.transform = `translateX(${localX(event)}px)`;
  const { top } = surface.canvas.getBoundingClientRect();
  const said = surface.lane.hint(t, event.clientY - top, surface.canvas.clientWidth, surface.canvas.clientHeight);
  hint.textContent = said ? `${clock(t)}\n${said}` : clock(t);
  hint.hidden = false;
  const x = Math.min(event.clientX + 14, window.innerWidth - hint.offsetWidth - 8);
  const y = event.clientY + 20 + hint.offsetHeight > window.innerHeight ? event.clientY - hint.offsetHeight - 12 : event.clientY + 20;
  hint.style.transform = `translate(${x}px, ${y}px)`;
}

function hideHint() {
  hint.hidden = element("cursor").hidden = true;
}

// --- the overview is a slider over the whole film ---------------------------------------------

function scrub(event) {
  const box = overview.getBoundingClientRect();
  player.seek(((event.clientX - box.left) / box.width) * film.duration);
  if (player.t < range.start || player.t > range.end) range.show(player.t - range.span() / 2, range.span());
}

overview.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  overview.setPointerCapture(event.pointerId);
  scrub(event);
});
overview.addEventListener("pointermove", (event) => {
  if (overview.hasPointerCapture(event.pointerId)) scrub(event);
});

// --- keys and buttons -------------------------------------------------------------------------

function goTo(t) {
  player.seek(t);
  range.follow(player.t);
}

function byBeats(count) {
  const beat = beatAt(player.t);
  const from = count > 0 ? Math.floor(beat / count + 1e-3) + 1 : Math.ceil(beat / -count - 1e-3) - 1;
  goTo(timeOfBeat(from * Math.abs(count)));
}

function byHits(direction) {
  const times = film.hits.map((hit) => hit.at ?? hit.t);
  const next = direction > 0 ? times.find((t) => t > player.t + 0.01) : times.findLast((t) => t < player.t - 0.01);
  if (next !== undefined) goTo(next);
}

const middle = () => (player.t >= range.start && player.t <= range.end ? player.t : (range.start + range.end) / 2);

const KEYS = {
  " ": () => player.toggle(),
  ArrowRight: (event) => byBeats(event.shiftKey ? meter : 1),
  ArrowLeft: (event) => byBeats(event.shiftKey ? -meter : -1),
  ".": () => byHits(1),
  ",": () => byHits(-1),
  Home: () => goTo(0),
  End: () => goTo(film.duration),
  "+": () => range.zoom(0.6, middle()),
  "=": () => range.zoom(0.6, middle()),
  "-": () => range.zoom(1 / 0.6, middle()),
  0: () => range.fit(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.closest("button, a, summary, input")) return;
  if (event.target.closest(".scroll") && event.key !== " ") return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action(event);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.seek !== undefined) goTo(Number(button.dataset.seek));
  if (button.dataset.part !== undefined) {
    const part = film.parts[button.dataset.part];
    part.visible = !part.visible;
    button.setAttribute("aria-pressed", part.visible);
    redraw();
  }
  if (event.detail > 0) button.blur(); // after a mouse click the space bar plays again
});

element("play").addEventListener("click", () => player.toggle());
element("zoom-in").addEventListener("click", () => range.zoom(0.6, middle()));
element("zoom-out").addEventListener("click", () => range.zoom(1 / 0.6, middle()));
element("zoom-fit").addEventListener("click", () => range.fit());

// --- begin ------------------------------------------------------------------------------------

document.documentElement.classList.add("scripted");
for (const thumb of film.thumbnails) {
  thumb.image = new Image();
  thumb.image.addEventListener("load", redraw);
  thumb.image.src = thumb.src;
}
element("monitor").hidden = !film.thumbnails.length;
range.listeners.push(redraw);
player.listeners.push(() => {
  if (player.playing) range.follow(player.t);
  showPosition();
});
readColours();
watchSound();
new ResizeObserver(redraw).observe(lanesBox);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  redraw();
});
draw();
