// Small drawing helpers, and the colours as the style sheet has them now (light or dark).

const colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "muted", "faint", "panel", "lane", "grid", "grid-strong", "motion", "camera", "energy", "accent",
    "wave", "wave-peak", "speech", "speech-tint", "downbeat", "beat", "eighth", "sixteenth", "missed",
    "intro", "theme", "build", "climax", "calm", "outro"];
  for (let i = 0; i < 10; i++) names.push("part-" + i);
  for (const name of names) colours[name] = style.getPropertyValue("--" + name).trim();
  colours.sans = style.getPropertyValue("--sans").trim();
}

// The softer the note, the nearer to the ground; opaque, so that notes that overlap keep their colours.
function noteColour(part, velocity) {
  const share = 45 + 5 * Math.round((11 * velocity) / 127);
  return `color-mix(in srgb, ${partColour(part)} ${share}%, ${colours.lane})`;
}

const partColour = (part) => colours["part-" + (part.index % 10)];
const font = (px, weight = 400) => `${weight} ${px}px ${colours.sans}`;

function label(g, text, x, y, { colour = colours.muted, size = 11, weight = 400, align = "left", width = Infinity } = {}) {
  g.font = font(size, weight);
  g.fillStyle = colour;
  g.textAlign = align;
  g.textBaseline = "middle";
  let shown = text;
  if (g.measureText(shown).width > width) {
    while (shown && g.measureText(shown + "…").width > width) shown = shown.slice(0, -1);
    if (!shown) return;
    shown += "…";
  }
  g.fillText(shown, x, y);
}

// A small label on a ground of its own, readable over whatever is drawn there. `x` is its left edge.
function tag(g, text, x, y) {
  g.font = font(10);
  translucent(g, 0.8, () => roundRect(g, x, y - 6.5, g.measureText(text).width + 6, 13, 3, colours.lane));
  label(g, text, x + 3, y + 0.5, { size: 10 });
}

function vertical(g, x, h, colour, y = 0) {
  g.fillStyle = colour;
  g.fillRect(Math.round(x), y, 1, h - y);
}

function horizontal(g, y, w, colour) {
  g.fillStyle = colour;
  g.fillRect(0, Math.round(y), w, 1);
}

function roundRect(g, x, y, w, h, r, colour) {
  g.fillStyle = colour;
  g.beginPath();
  g.roundRect(x, y, w, h, Math.max(0, Math.min(r, w / 2, h / 2)));
  g.fill();
}

// Shape and colour both say where a hit landed, so that colour alone never carries it.
function mark(g, on, x, y, r) {
  g.fillStyle = g.strokeStyle = colours[on];
  g.beginPath();
  if (on === "downbeat") {
    g.moveTo(x, y - r * 1.25); g.lineTo(x + r * 1.25, y); g.lineTo(x, y + r * 1.25); g.lineTo(x - r * 1.25, y); g.fill();
  } else if (on === "beat") {
    g.arc(x, y, r, 0, 7); g.fill();
  } else if (on === "eighth") {
    g.moveTo(x, y - r); g.lineTo(x + r * 1.1, y + r); g.lineTo(x - r * 1.1, y + r); g.fill();
  } else if (on === "sixteenth") {
    g.fillRect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6);
  } else {
    g.lineWidth = 2;
    g.moveTo(x - r * 0.8, y - r * 0.8); g.lineTo(x + r * 0.8, y + r * 0.8);
    g.moveTo(x + r * 0.8, y - r * 0.8); g.lineTo(x - r * 0.8, y + r * 0.8); g.stroke();
  }
}

// Bars, and beats where there is room for them.
function grid(g, w, h) {
  const first = barAt(range.start);
  const last = barAt(range.end);
  const every = thinning((w * (film.bars[nBars] / nBars)) / range.span(), 7);
  for (let bar = first; bar <= last + 1 && bar <= nBars; bar++) {
    if (bar % every) continue;
    vertical(g, range.x(film.bars[bar], w), h, colours.grid);
    const beat = bar < nBars ? (range.x(film.bars[bar + 1], w) - range.x(film.bars[bar], w)) / meter : 0;
    if (beat > 14) for (let k = 1; k < meter; k++) vertical(g, range.x(film.bars[bar], w) + beat * k, h, colours.grid);
  }
  if (!roomFor(film.sections.length, w, 12)) return;
  for (const section of film.sections.slice(1)) vertical(g, range.x(section.start, w), h, colours["grid-strong"]);
}

// Whether `count` things spread over the whole film stand at least `least` pixels apart on screen.
const roomFor = (count, w, least) => (w * film.duration) / range.span() / Math.max(1, count) >= least;

// The smallest power of two by which steps of `pixels` must be thinned to stay `least` apart.
function thinning(pixels, least) {
  return pixels >= least ? 1 : 2 ** Math.ceil(Math.log2(least / pixels));
}

function speechTint(g, w, h) {
  g.fillStyle = colours["speech-tint"];
  for (const [a, b] of film.speech) {
    const x = range.x(a, w);
    g.fillRect(x, 0, Math.max(1, range.x(b, w) - x), h);
  }
}

// One value a pixel of a row of bytes at `hz` a second: the largest (or the mean) of what falls into it.
function columns(values, hz, w, largest) {
  const out = new Float32Array(w);
  for (let x = 0; x < w; x++) {
    const from = Math.max(0, Math.floor(range.time(x, w) * hz));
    const to = Math.min(values.length, Math.max(from + 1, Math.floor(range.time(x + 1, w) * hz)));
    let sum = 0;
    let top = 0;
    for (let i = from; i < to; i++) {
      sum += values[i];
      if (values[i] > top) top = values[i];
    }
    out[x] = largest ? top : to > from ? sum / (to - from) : 0;
  }
  return out;
}

// A line through y(x) for every pixel column; it breaks where y is null.
function trace(g, w, y, { stroke, fill, floor, width = 1.5 }) {
  g.beginPath();
  let pen = false;
  for (let x = 0; x < w; x++) {
    const at = y(x);
    if (at !== null) pen ? g.lineTo(x + 0.5, at) : g.moveTo(x + 0.5, at);
    pen = at !== null;
  }
  if (stroke) {
    g.strokeStyle = stroke;
    g.lineWidth = width;
    g.lineJoin = "round";
    g.stroke();
  }
  if (fill) {
    g.lineTo(w, floor); g.lineTo(0, floor);
    g.fillStyle = fill;
    g.fill();
  }
}

function translucent(g, alpha, draw) {
  g.globalAlpha = alpha;
  draw();
  g.globalAlpha = 1;
}
