// What each lane draws, and what it says about the point under the mouse. Units: CSS pixels.

const lanes = {};
const CURVE_PAD = 6;

const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

lanes.ruler = {
  draw(g, w, h) {
    const perSecond = w / range.span();
    const step = TICKS.find((tick) => tick * perSecond >= 76) ?? 3600;
    for (let k = Math.ceil(range.start / step); k * step <= range.end; k++) {
      const x = range.x(k * step, w);
      vertical(g, x, 14, colours["grid-strong"], 2);
      if (x < w - 30) label(g, clock(k * step, step < 1 ? 1 : 0), x + 5, 9);
    }
    const every = thinning((w * (film.bars[nBars] / nBars)) / range.span(), 34);
    for (let bar = barAt(range.start); bar <= barAt(range.end); bar++) {
      const x = range.x(film.bars[bar], w);
      if (bar % every || x < -1) continue;
      vertical(g, x, h, colours["grid-strong"], 20);
      if (x < w - 14) label(g, String(bar + 1), x + 5, 26, { size: 10.5 });
    }
  },
  hint: (t) => `Bar ${position(t)}`,
};

lanes.shots = {
  draw(g, w, h) {
    const aspect = film.thumbnails[0]?.image?.naturalWidth ? film.thumbnails[0].image.naturalWidth / film.thumbnails[0].image.naturalHeight : 16 / 9;
    const tile = h * aspect;
    for (const { start, end, cuts } of shotClusters(w, 26)) {
      const left = Math.max(0, range.x(start, w));
      const right = Math.min(w, range.x(end, w));
      g.save();
      g.beginPath();
      g.roundRect(left + 0.75, 0, Math.max(1, right - left - 1.5), h, 4);
      g.clip();
      const spare = Math.min(0, range.x(end, w) - range.x(start, w) - tile); // a narrow shot shows the middle
      for (let x = range.x(start, w) + spare / 2; x < right; x += tile) {
        if (x + tile < 0) continue;
        const thumb = thumbnailIn(start, end, Math.min(range.time(x + tile / 2, w), end - 0.01));
        if (thumb?.image?.complete && thumb.image.naturalWidth) g.drawImage(thumb.image, x, 0, tile, h);
        else roundRect(g, x, 0, tile, h, 0, colours["grid-strong"]);
      }
      if (right - left > 6 * cuts.length) for (const cut of cuts) vertical(g, range.x(cut, w), 4, "#fff");
      g.restore();
    }
    g.fillStyle = "rgba(0,0,0,.45)";
    for (const change of film.transitions) {
      const x = range.x(change.from, w);
      const width = range.x(change.to, w) - x;
      if (width >= 3) g.fillRect(x, h - 4, width, 4);
    }
  },
  hint(t) {
    const shot = shotAt(t);
    const [start, end] = film.shots[shot];
    return `Shot ${shot + 1} of ${film.shots.length}\n${clock(start)} – ${clock(end)} (${(end - start).toFixed(2)} s)`;
  },
};

// Shots on screen; those too narrow for a picture are put together until they are `least` pixels wide.
function shotClusters(w, least) {
  const out = [];
  for (let i = shotAt(range.start); i < film.shots.length && film.shots[i][0] < range.end; i++) {
    const [start, end] = film.shots[i];
    const open = out[out.length - 1];
    if (open && range.x(open.end, w) - range.x(open.start, w) < least && range.x(end, w) - range.x(start, w) < least) {
      open.cuts.push(start);
      open.end = end;
    } else out.push({ start, end, cuts: [] });
  }
  return out;
}

function thumbnailIn(start, end, t) {
  const index = lastAtOrBefore(film.thumbnails, t, (thumb) => thumb.t);
  const near = [film.thumbnails[index], film.thumbnails[index + 1]].filter(Boolean);
  return near.find((thumb) => thumb.t >= start && thumb.t < end) ?? near[0];
}

lanes.sections = {
  draw(g, w, h) {
    for (const section of film.sections) {
      const left = range.x(section.start, w);
      const right = range.x(section.end, w);
      if (right < 0 || left > w) continue;
      const colour = colours[section.role] ?? colours.faint;
      const gap = right - left > 8 ? 0.75 : 0;
      translucent(g, 0.16 + 0.2 * section.energy, () => roundRect(g, left + gap, 0, right - left - 2 * gap, h, 5, colour));
      roundRect(g, left + gap, 0, Math.min(3, (right - left) / 4), h, 1.5, colour);
      const x = Math.max(left, 0) + 11;
      const room = Math.min(right, w) - x - 8;
      g.font = font(12, 650);
      const name = g.measureText(section.label).width + 7;
      if (room < 10) continue;
      label(g, section.label, x, h / 2 + 0.5, { colour: colours.ink, size: 12, weight: 650, width: room });
      if (room > name + 34) label(g, section.role, x + name, h / 2 + 0.5, { colour: colours.ink, size: 12, width: room - name });
      const bars = section.bars === 1 ? "1 bar" : section.bars + " bars";
      if (room > name + 130) label(g, bars, Math.min(right, w) - 10, h / 2 + 0.5, { align: "right" });
    }
  },
  hint(t) {
    const section = sectionAt(t);
    return `${section.label} · ${section.role}\n${section.bars} bars, energy ${section.energy.toFixed(2)}`;
  },
};

lanes.hits = {
  draw(g, w, h) {
    grid(g, w, h);
    const shown = film.hits.filter((hit) => hit.t >= range.start && hit.t <= range.end);
    const room = w / Math.max(1, shown.length);
    if (room < 7) return hitRows(g, shown, w, h);
    for (const hit of shown) {
      const x = range.x(hit.at ?? hit.t, w);
      if (hit.at !== null && Math.abs(range.x(hit.t, w) - x) > 1.5) vertical(g, range.x(hit.t, w), h, colours.faint);
      mark(g, hit.on ?? "missed", x, h / 2, Math.min(5, room / 2.4));
    }
  },
  hint(t, y, w) {
    const hit = nearest(film.hits, t, (10 / w) * range.span());
    if (!hit) return "";
    const landing = hit.on ? `on a ${hit.on}, ${signed(hit.error, 1)} ms` : "missed";
    return `${hit.source[0].toUpperCase() + hit.source.slice(1)} at ${clock(hit.t)}\n${landing}`;
  },
};

// Hundreds of hits: one row for each kind of landing, the best on top.
function hitRows(g, hits, w, h) {
  const rows = ["downbeat", "beat", "eighth", "sixteenth", "missed"];
  const height = h / rows.length;
  for (const hit of hits) {
    const on = hit.on ?? "missed";
    roundRect(g, range.x(hit.t, w) - 1, rows.indexOf(on) * height + 1, 2, height - 2, 1, colours[on]);
  }
}

function nearest(hits, t, within) {
  let best = null;
  for (const hit of hits) if (Math.abs(hit.t - t) <= within && (!best || Math.abs(hit.t - t) < Math.abs(best.t - t))) best = hit;
  return best;
}

const energyAt = (t) => film.energy[Math.max(0, Math.min(film.energy.length - 1, Math.floor(beatAt(t) + 1e-6)))] / 255;

lanes.curves = {
  draw(g, w, h) {
    grid(g, w, h);
    const y = (value) => h - CURVE_PAD - (value / 255) * (h - 2 * CURVE_PAD);
    const motion = columns(film.motion.values, film.motion.hz, w, false);
    translucent(g, 0.28, () => trace(g, w, (x) => y(motion[x]), { fill: colours.motion, floor: h }));
    trace(g, w, (x) => y(motion[x]), { stroke: colours.motion, width: 1.25 });
    const camera = columns(film.camera.values, film.camera.hz, w, false);
    trace(g, w, (x) => y(camera[x]), { stroke: colours.camera, width: 1 });
    trace(g, w, (x) => y(255 * energyAt(range.time(x, w))), { stroke: colours.energy, width: 2 });
  },
  hint(t) {
    const at = (curve) => ((curve.values[Math.min(curve.values.length - 1, Math.floor(t * curve.hz))] ?? 0) / 255).toFixed(2);
    return `Motion ${at(film.motion)}\nCamera ${at(film.camera)}\nEnergy ${energyAt(t).toFixed(2)}`;
  },
};

lanes.tempo = {
  draw(g, w, h) {
    grid(g, w, h);
    let [low, high] = [Infinity, -Infinity];
    for (let bar = 0; bar < nBars; bar++) {
      low = Math.min(low, bpmOf(bar));
      high = Math.max(high, bpmOf(bar));
    }
    const pad = Math.max(2, (high - low) * 0.15);
    const y = (bpm) => h - 5 - ((bpm - low + pad) / (high - low + 2 * pad)) * (h - 22);
    g.beginPath();
    const first = barAt(range.start);
    const last = barAt(range.end);
    for (let bar = first; bar <= last; bar++) {
      g.lineTo(range.x(film.bars[bar], w), y(bpmOf(bar)));
      g.lineTo(range.x(film.bars[bar + 1], w), y(bpmOf(bar)));
    }
    g.strokeStyle = colours.ink;
    g.lineWidth = 1.5;
    g.stroke();
    if (w / (last - first + 1) < 14) {
      label(g, high.toFixed(1), 4, 8);
      label(g, low.toFixed(1), 4, h - 8);
      return;
    }
    let free = -Infinity;
    let shown = null;
    for (let bar = first; bar <= last; bar++) {
      const x = Math.max(4, range.x(film.bars[bar], w) + 4);
      const text = bpmOf(bar).toFixed(1);
      if (x < free || x > w - 30 || text === shown) continue;
      label(g, text, x, Math.max(8, y(bpmOf(bar)) - 8));
      shown = text;
      free = x + 44;
    }
  },
  hint: (t) => `Bar ${barAt(t) + 1}: ${bpmOf(barAt(t)).toFixed(2)} BPM`,
};

lanes.chords = {
  draw(g, w, h) {
    const bright = { colour: colours.ink, size: 11.5, weight: 500 };
    let named = false;
    for (const { start, end, name } of chords) {
      const left = range.x(start, w);
      const right = range.x(end, w);
      if (right < 0 || left > w || right - left < 1.5) continue;
      if (right - left > 5) vertical(g, left, h, colours["grid-strong"]);
      g.font = font(bright.size, bright.weight);
      if (right - Math.max(0, left) <= g.measureText(name).width + 8) continue;
      label(g, name, Math.max(0, left) + 5, h / 2 + 0.5, bright);
      named = true;
    }
    if (!named && chords.length) label(g, "zoom in to read them", 6, h / 2);
  },
  hint: (t) => spanAt(chords, t)?.name ?? "",
};

lanes.speech = {
  draw(g, w, h) {
    for (const [a, b] of film.speech) {
      const x = range.x(a, w);
      roundRect(g, x, 4, Math.max(2, range.x(b, w) - x), h - 8, 4, colours.speech);
    }
  },
  hint(t) {
    const span = film.speech.find(([a, b]) => a <= t && t < b);
    return span ? `Speech ${clock(span[0])} – ${clock(span[1])}` : "";
  },
};

lanes.wave = {
  draw(g, w, h) {
    speechTint(g, w, h);
    grid(g, w, h);
    const peak = columns(film.wave.peak, film.wave.hz, w, true);
    const rms = columns(film.wave.rms, film.wave.hz, w, true);
    for (const [values, colour] of [[peak, colours["wave-peak"]], [rms, colours.wave]]) {
      g.fillStyle = colour;
      for (let x = 0; x < w; x++) {
        const half = Math.max(0.5, (values[x] / 255) * (h / 2 - 2));
        g.fillRect(x, h / 2 - half, 1, 2 * half);
      }
    }
  },
  hint(t) {
    const peak = film.wave.peak[Math.min(film.wave.peak.length - 1, Math.floor(t * film.wave.hz))] / 255;
    return peak > 0 ? `Peak ${signed(20 * Math.log10(peak), 1)} dBFS` : "Silence";
  },
};

const LOUDEST = -5;
const QUIETEST = -45;
const lufs = (byte) => byte / film.loudness.scale + film.loudness.floor;

lanes.loudness = {
  draw(g, w, h) {
    speechTint(g, w, h);
    grid(g, w, h);
    const y = (value) => h - (h * (Math.max(QUIETEST, value) - QUIETEST)) / (LOUDEST - QUIETEST);
    const momentary = columns(film.loudness.momentary, film.loudness.hz, w, false);
    translucent(g, 0.55, () => trace(g, w, (x) => y(lufs(momentary[x])), { fill: colours["wave-peak"], floor: h }));
    const short = columns(film.loudness.short, film.loudness.hz, w, false);
    trace(g, w, (x) => (short[x] > 0 ? y(lufs(short[x])) : null), { stroke: colours.wave, width: 1.75 });
    for (const level of [-14, -23, -35]) {
      horizontal(g, y(level), w, colours.grid);
      tag(g, signed(level, 0), 2, y(level));
    }
  },
  hint(t) {
    const at = (values) => {
      const value = lufs(values[Math.min(values.length - 1, Math.floor(t * film.loudness.hz))] ?? 0);
      return value <= film.loudness.floor ? "silence" : signed(value, 1) + " LUFS";
    };
    return `Over 3 s: ${at(film.loudness.short)}\nOver 0.4 s: ${at(film.loudness.momentary)}`;
  },
};
