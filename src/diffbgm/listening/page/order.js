"use strict";
/* The order in which one listener meets the trials: always the same for the same test and listener. */

/** A generator of numbers in 0..1 from a text (FNV-1a for the seed, then mulberry32). */
function randomFrom(text) {
  let seed = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) seed = Math.imul(seed ^ text.charCodeAt(i), 0x01000193);
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(items, random) {
  const out = items.slice();
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

/**
 * Rounds in which every video occurs once: the order of the videos is drawn for every round, the order of a
 * video's trials once, and no video follows itself where there is more than one. Checks of attention come
 * after the first trial, at places of their own. Pairs are shown either way round (`swapped`).
 */
function orderFor(test, listener) {
  const random = randomFrom(test.test + "\n" + listener);
  const groups = new Map();
  for (const trial of shuffled(test.trials, random)) {
    if (!groups.has(trial.group)) groups.set(trial.group, []);
    groups.get(trial.group).push(trial);
  }
  const order = [];
  while (order.length < test.trials.length) {
    const round = shuffled([...groups.values()].filter((left) => left.length), random);
    const last = order.length ? order[order.length - 1].group : null;
    if (round.length > 1 && round[0][0].group === last) round.push(round.shift());
    for (const left of round) order.push({ ...left.shift(), swapped: random() < 0.5 });
  }
  if (test.clips_per_listener) order.length = Math.min(order.length, test.clips_per_listener);
  for (const check of test.checks) {
    order.splice(1 + Math.floor(random() * order.length), 0, { ...check, clips: [], swapped: false });
  }
  return order;
}
