// The film and its music, read once from the page.

const element = (id) => document.getElementById(id);

function bytes(base64) {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

const film = JSON.parse(element("view").textContent);
for (const curve of [film.motion, film.camera]) curve.values = bytes(curve.values);
film.energy = bytes(film.energy);
for (const name of ["peak", "rms"]) film.wave[name] = bytes(film.wave[name]);
for (const name of ["momentary", "short"]) film.loudness[name] = bytes(film.loudness[name]);
film.thumbnails = film.thumbnails.map(([t, base64]) => ({ t, src: "data:image/jpeg;base64," + base64, image: null }));
film.parts.forEach((part, index) => {
  part.index = index;
  part.visible = true;
  part.count = part.notes.length / 4;
  part.starts = new Float64Array(part.count);
  part.ends = new Float64Array(part.count);
  part.longest = 0;
  for (let i = 0; i < part.count; i++) {
    part.starts[i] = part.notes[4 * i] / 1000;
    part.ends[i] = part.starts[i] + part.notes[4 * i + 1] / 1000;
    part.longest = Math.max(part.longest, part.ends[i] - part.starts[i]);
  }
});

// Index of the last entry of `sorted` that is not after `value`; -1 if there is none.
function lastAtOrBefore(sorted, value, key = (x) => x) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(sorted[middle]) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const meter = film.meter ?? 4; // beats a bar
const nBars = film.bars.length - 1;
const barAt = (t) => Math.max(0, Math.min(nBars - 1, lastAtOrBefore(film.bars, t)));
const bpmOf = (bar) => (60 * meter) / (film.bars[bar + 1] - film.bars[bar]);

// Beats from the first downbeat, and back.
function beatAt(t) {
  const bar = barAt(t);
  return meter * (bar + (t - film.bars[bar]) / (film.bars[bar + 1] - film.bars[bar]));
}

function timeOfBeat(beat) {
  const bar = Math.max(0, Math.min(nBars - 1, Math.floor(beat / meter)));
  return film.bars[bar] + (beat / meter - bar) * (film.bars[bar + 1] - film.bars[bar]);
}

const spanAt = (spans, t) => spans.find((span) => span.start <= t && t < span.end);
const sectionAt = (t) => spanAt(film.sections, t) ?? film.sections[film.sections.length - 1];
const chords = film.chords.map(([beat, length, name]) => ({ start: timeOfBeat(beat), end: timeOfBeat(beat + length), name }));
const thumbnailAt = (t) => film.thumbnails[Math.max(0, lastAtOrBefore(film.thumbnails, t, (x) => x.t))];

function shotAt(t) {
  return Math.max(0, lastAtOrBefore(film.shots, t, (shot) => shot[0]));
}

function clock(t, digits = 2) {
  const unit = 10 ** digits;
  const whole = Math.max(0, Math.round(t * unit));
  const minutes = Math.floor(whole / unit / 60);
  const seconds = ((whole - minutes * 60 * unit) / unit).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  const hours = Math.floor(minutes / 60);
  return (hours ? hours + ":" + String(minutes % 60).padStart(2, "0") : minutes) + ":" + seconds;
}

function position(t) {
  const beat = Math.floor(beatAt(t) + 1e-6);
  const bar = Math.floor(beat / meter); // 0 is the bar of a pick-up
  return bar + 1 + "." + (beat - meter * bar + 1);
}

const pitchName = (pitch) => film.pitches[pitch % 12] + (Math.floor(pitch / 12) - 1);
const signed = (value, digits) => (value < 0 ? "−" : value > 0 ? "+" : "") + Math.abs(value).toFixed(digits);
