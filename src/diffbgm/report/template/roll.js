// The piano roll and the drum lane: the notes of the score, as they sound.

// Parts of long notes come first, so that the shorter notes of others lie on top and nothing is hidden.
const meanLength = (part) => part.ends.reduce((sum, end, i) => sum + end - part.starts[i], 0) / Math.max(1, part.count);
const pitched = film.parts.filter((part) => !part.drums).sort((a, b) => meanLength(b) - meanLength(a));
const drummed = film.parts.filter((part) => part.drums);
const pitches = pitched.flatMap((part) => Array.from({ length: part.count }, (_, i) => part.notes[4 * i + 2]));
const lowest = Math.max(0, pitches.reduce((a, b) => Math.min(a, b), 127) - 2);
const highest = Math.max(lowest + 24, pitches.reduce((a, b) => Math.max(a, b), 0) + 2);
const BLACK_KEYS = new Set([1, 3, 6, 8, 10]);

// General MIDI percussion keys by the drum that is struck.
const DRUMS = [
  ["Cymbals", [49, 51, 52, 53, 55, 57, 59]],
  ["Hi-hat", [42, 44, 46]],
  ["Toms", [41, 43, 45, 47, 48, 50]],
  ["Snare", [37, 38, 39, 40]],
  ["Kick", [35, 36]],
];
const OTHER = "Percussion";
const drumOf = new Map(DRUMS.flatMap(([name, keys]) => keys.map((key) => [key, name])));
const drumName = (pitch) => drumOf.get(pitch) ?? OTHER;
const struck = new Set(drummed.flatMap((part) => Array.from({ length: part.count }, (_, i) => drumName(part.notes[4 * i + 2]))));
const drumRows = [OTHER, ...DRUMS.map(([name]) => name)].filter((name) => struck.has(name));

// Calls `visit(part, i)` for every shown note that sounds between a and b.
function eachNote(parts, a, b, visit) {
  for (const part of parts) {
    if (!part.visible) continue;
    for (let i = lastAtOrBefore(part.starts, a - part.longest - 1e-9) + 1; i < part.count && part.starts[i] <= b; i++) {
      if (part.ends[i] >= a) visit(part, i);
    }
  }
}

function noteBox(part, i, w, h) {
  const row = h / (highest - lowest + 1);
  const x = range.x(part.starts[i], w);
  const width = Math.max(1.5, range.x(part.ends[i], w) - x - (range.span() < 40 ? 1 : 0));
  const height = Math.max(2, Math.min(row - 0.5, 12));
  return [x, h - (part.notes[4 * i + 2] - lowest + 0.5) * row - height / 2, width, height];
}

// In a long film thousands of notes are a pixel or two wide: rounding those would only cost time.
function noteShape(g, [x, y, width, height], colour) {
  if (width > 3) return roundRect(g, x, y, width, height, 2, colour);
  g.fillStyle = colour;
  g.fillRect(x, y, width, height);
}

lanes.roll = {
  draw(g, w, h) {
    const row = h / (highest - lowest + 1);
    g.fillStyle = colours.grid;
    translucent(g, 0.5, () => {
      for (let pitch = lowest; pitch <= highest; pitch++) {
        if (BLACK_KEYS.has(pitch % 12)) g.fillRect(0, h - (pitch - lowest + 1) * row, w, row);
      }
    });
    grid(g, w, h);
    for (const hit of roomFor(film.hits.length, w, 12) ? film.hits : []) {
      if (hit.on && hit.at >= range.start && hit.at <= range.end) {
        translucent(g, 0.35, () => vertical(g, range.x(hit.at, w), h, colours[hit.on]));
      }
    }
    for (const part of pitched) {
      eachNote([part], range.start, range.end, (_, i) => noteShape(g, noteBox(part, i, w, h), noteColour(part, part.notes[4 * i + 3])));
    }
    for (let pitch = Math.ceil(lowest / 12) * 12; pitch <= highest; pitch += 12) {
      const y = h - (pitch - lowest) * row;
      horizontal(g, y, w, colours.grid);
      if (y > 12) tag(g, pitchName(pitch), 2, y - 7);
    }
  },
  glow(g, w, h, t) {
    eachNote(pitched, t, t, (part, i) => {
      const [x, y, width, height] = noteBox(part, i, w, h);
      roundRect(g, x - 1, y - 1, width + 2, height + 2, 3, colours.ink);
      roundRect(g, x, y, width, height, 2, partColour(part));
    });
  },
  hint(t, y, w, h) {
    const slack = (3 / w) * range.span();
    const found = [];
    eachNote(pitched, t - slack, t + slack, (part, i) => {
      const [, top, , height] = noteBox(part, i, w, h);
      if (y >= top - 2 && y <= top + height + 2) found.push(`${pitchName(part.notes[4 * i + 2])}  ${part.name}\nvelocity ${part.notes[4 * i + 3]}`);
    });
    return found[found.length - 1] ?? "";
  },
};

function drumBox(part, i, w, h) {
  const row = h / drumRows.length;
  const strength = part.notes[4 * i + 3] / 127;
  const width = Math.max(0.75, Math.min(3, (0.08 * w) / range.span()));
  const height = (row - 3) * (0.45 + 0.55 * strength);
  return [range.x(part.starts[i], w), (drumRows.indexOf(drumName(part.notes[4 * i + 2])) + 0.5) * row - height / 2, width, height];
}

lanes.drums = {
  draw(g, w, h) {
    const row = h / drumRows.length;
    drumRows.forEach((name, k) => {
      if (k) horizontal(g, k * row, w, colours.grid);
    });
    grid(g, w, h);
    eachNote(drummed, range.start - 1, range.end, (part, i) => {
      translucent(g, 0.45 + 0.55 * (part.notes[4 * i + 3] / 127), () => roundRect(g, ...drumBox(part, i, w, h), 1.5, partColour(part)));
    });
    drumRows.forEach((name, k) => tag(g, name, 2, (k + 0.5) * row));
  },
  glow(g, w, h, t) {
    eachNote(drummed, t - 0.12, t, (part, i) => {
      if (part.starts[i] < t - 0.12) return;
      const [x, y, width, height] = drumBox(part, i, w, h);
      roundRect(g, x - 1.5, y - 1.5, width + 3, height + 3, 3, colours.ink);
    });
  },
  hint: (t, y, w, h) => drumRows[Math.floor((y / h) * drumRows.length)] ?? "",
};
