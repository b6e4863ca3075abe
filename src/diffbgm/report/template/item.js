// Lanes that only the page of a dataset's item has: beats, spans in rows, curves, and strips of values a beat.

film.beats = Float64Array.from(film.beats);
for (const rows of Object.values(film.heat)) for (const row of rows) row.values = bytes(row.values);
for (const curve of Object.values(film.curves)) curve.values = bytes(curve.values);
for (const [start, end, name] of film.spans.harmony[0]?.spans ?? []) chords.push({ start, end, name });

const songBeatAt = (t) => lastAtOrBefore(film.beats, t);
const inSong = (t) => songBeatAt(t) >= 0 && songBeatAt(t) < film.beats.length - 1;

lanes.beats = {
  draw(g, w, h) {
    const last = Math.min(film.beats.length - 2, songBeatAt(range.end));
    const every = roomFor(film.beats.length, w, 3) ? 1 : 0;
    for (let k = Math.max(0, songBeatAt(range.start)); k <= last; k++) {
      if (film.downbeats[k]) vertical(g, range.x(film.beats[k], w), h, colours.downbeat, 2);
      else if (every) vertical(g, range.x(film.beats[k], w), h, colours["grid-strong"], h / 2);
    }
  },
  hint(t) {
    const k = songBeatAt(t);
    if (!inSong(t)) return "outside the song";
    const length = film.beats[k + 1] - film.beats[k];
    return `Beat ${k}${film.downbeats[k] ? ", a bar begins" : ""}\n${length.toFixed(3)} s, ${(60 / length).toFixed(1)} BPM`;
  },
};

function spanLane(name) {
  const rows = film.spans[name] ?? [];
  return {
    draw(g, w, h) {
      const height = h / Math.max(1, rows.length);
      rows.forEach(({ spans }, r) => {
        const y = r * height;
        let shown = -1;
        for (const [start, end, text, sure] of spans) {
          const left = range.x(start, w);
          const right = range.x(end, w);
          if (right < 0 || left > w || right - left < 1) continue;
          translucent(g, 0.1 + 0.3 * sure, () => roundRect(g, left + 0.5, y + 1, right - left - 1, height - 2, 3, colours.motion));
          const room = Math.min(right, w) - Math.max(left, 0) - 7;
          if (room < 12 || left < shown) continue;
          label(g, text, Math.max(left, 0) + 4, y + height / 2 + 0.5, { colour: colours.ink, width: room });
          shown = left;
        }
      });
    },
    hint(t, y, w, h) {
      const row = rows[Math.min(rows.length - 1, Math.floor((y / h) * rows.length))];
      const span = row?.spans.find(([start, end]) => start <= t && t < end);
      if (!span) return row?.name ?? "";
      return `${span[2]}\n${row.name}${span[3] < 1 ? `, confidence ${span[3].toFixed(2)}` : ""}`;
    },
  };
}
for (const name of ["keys", "harmony", "captions", "lyrics"]) lanes[name] = spanLane(name);

// Curves of the film: [name, colour]. Nothing is drawn where the film is not.
function curveLane(named) {
  const at = (curve, t) => {
    const k = Math.floor((t - curve.start) * curve.hz);
    return k >= 0 && k < curve.values.length ? curve.values[k] / 255 : null;
  };
  return {
    draw(g, w, h) {
      grid(g, w, h);
      const y = (value) => h - CURVE_PAD - value * (h - 2 * CURVE_PAD);
      for (const [name, colour] of named) {
        const curve = film.curves[name];
        if (!curve) continue;
        trace(g, w, (x) => {
          const value = at(curve, range.time(x + 0.5, w));
          return value === null ? null : y(value);
        }, { stroke: colours[colour], width: 1.25 });
      }
    },
    hint(t) {
      const values = named.map(([name]) => [name, film.curves[name] ? at(film.curves[name], t) : null]);
      return values.filter(([, value]) => value !== null).map(([name, value]) => `${name} ${(name === "warmth" ? 2 * value - 1 : value).toFixed(2)}`).join("\n");
    },
  };
}
lanes.motion = curveLane([["motion", "motion"], ["camera", "camera"]]);
lanes.colour = curveLane([["brightness", "beat"], ["saturation", "climax"], ["warmth", "build"]]);

lanes.dynamics = {
  draw(g, w, h) {
    grid(g, w, h);
    const y = (byte) => h - 4 - (byte / 255) * (h - 8);
    trace(g, w, (x) => {
      const t = range.time(x + 0.5, w);
      return inSong(t) ? y(film.energy[songBeatAt(t)]) : null;
    }, { stroke: colours.energy, width: 1.5 });
  },
  hint: (t) => (inSong(t) ? `velocity ${Math.round((film.energy[songBeatAt(t)] / 255) * 127)}` : ""),
};

// Rows of values a beat, each from its least (faint) to its largest (strong); blank where unknown.
function heatLane(name) {
  const rows = film.heat[name] ?? [];
  const valueOf = (row, k) => (row.values[k] === 255 ? null : row.low + (row.values[k] / 254) * (row.high - row.low));
  return {
    draw(g, w, h) {
      const height = h / Math.max(1, rows.length);
      const first = Math.max(0, songBeatAt(range.start));
      const last = Math.min(film.beats.length - 2, songBeatAt(range.end));
      rows.forEach((row, r) => {
        g.fillStyle = colours.energy;
        for (let k = first; k <= last; k++) {
          if (row.values[k] === 255) continue;
          const x = range.x(film.beats[k], w);
          g.globalAlpha = 0.06 + (0.94 * row.values[k]) / 254;
          g.fillRect(x, r * height + 0.5, Math.max(1, range.x(film.beats[k + 1], w) - x), height - 1);
        }
        g.globalAlpha = 1;
      });
      rows.forEach((row, r) => tag(g, row.name, 2, (r + 0.5) * height));
    },
    hint(t, y, w, h) {
      const row = rows[Math.min(rows.length - 1, Math.floor((y / h) * rows.length))];
      if (!row || !inSong(t)) return row?.name ?? "";
      const value = valueOf(row, songBeatAt(t));
      return `${row.name} ${value === null ? "unknown" : Number(value.toFixed(2))}\nbeat ${songBeatAt(t)}`;
    },
  };
}
for (const name of ["features", "learned", "notes_conditions", "film_conditions"]) {
  lanes[name] = heatLane(name);
  element("lanes").querySelector(`[data-lane=${name}]`)?.style.setProperty("--h", (film.heat[name]?.length ?? 1) * 14 + "px");
}
for (const name of ["keys", "harmony"]) {
  element("lanes").querySelector(`[data-lane=${name}]`)?.style.setProperty("--h", Math.max(1, film.spans[name].length) * 22 + "px");
}
