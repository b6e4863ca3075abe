// One player for many styles: a style that is begun goes on where the last one was.

const view = JSON.parse(document.getElementById("view").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
document.documentElement.classList.add("scripted");

const cards = [...document.querySelectorAll(".style")].map((panel, index) => {
  const card = {
    panel,
    ...view.styles[index],
    audio: panel.querySelector("audio"),
    button: panel.querySelector(".play"),
    slider: panel.querySelector("input"),
    canvas: panel.querySelector("canvas"),
  };
  card.wave = bytes(card.wave);
  card.audio.removeAttribute("controls");
  // A blob can be searched in every browser; a data: address cannot in some.
  const [, type, sound] = /^data:(audio\/mp4);base64,(.*)$/s.exec(card.audio.getAttribute("src"));
  card.audio.src = URL.createObjectURL(new Blob([bytes(sound)], { type }));
  card.audio.preload = "metadata";
  card.slider.max = view.duration;
  return card;
});

let current = 0;
let t = 0;

function playing() {
  return !cards[current].audio.paused;
}

function choose(index, play) {
  const before = cards[current];
  const next = cards[index];
  if (before !== next) before.audio.pause();
  current = index;
  for (const card of cards) card.panel.classList.toggle("current", card === next);
  seek(t);
  if (play) {
    if (t >= view.duration - 0.1) seek(0);
    next.audio.play().catch(() => changed()); // refused, or paused again before it began
  }
}

function seek(second) {
  t = Math.max(0, Math.min(view.duration, second));
  const { audio } = cards[current];
  if (audio.readyState > 0) audio.currentTime = t;
  else audio.addEventListener("loadedmetadata", () => (audio.currentTime = t), { once: true });
  changed();
}

function changed() {
  cards.forEach((card, index) => {
    const sounds = index === current && playing();
    card.button.classList.toggle("playing", sounds);
    card.button.setAttribute("aria-label", `${sounds ? "Pause" : "Play"} ${card.name}`);
    card.slider.value = t;
    card.slider.setAttribute("aria-valuetext", `${t.toFixed(1)} seconds`);
    paint(card);
  });
}

function tick() {
  if (!playing()) return;
  t = cards[current].audio.currentTime;
  changed();
  requestAnimationFrame(tick);
}

function paint(card) {
  const { canvas } = card;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const scale = devicePixelRatio;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name);
  if (!card.picture || card.picture.width !== Math.round(width * scale) || card.dark !== colour("--page")) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    card.dark = colour("--page");
    card.picture = new OffscreenCanvas(canvas.width, canvas.height);
    const paper = card.picture.getContext("2d");
    paper.scale(scale, scale);
    drawMusic(paper, card, width, height, colour);
  }
  const paper = canvas.getContext("2d");
  paper.clearRect(0, 0, canvas.width, canvas.height);
  paper.drawImage(card.picture, 0, 0);
  const x = (t / view.duration) * canvas.width;
  paper.fillStyle = colour(card === cards[current] ? "--accent" : "--faint");
  paper.fillRect(x - scale, 0, 2 * scale, canvas.height);
}

function drawMusic(paper, card, width, height, colour) {
  const waveHeight = 22;
  const rollHeight = height - waveHeight - 6;
  paper.fillStyle = colour("--wave");
  const loudest = Math.max(1, ...card.wave);
  for (let x = 0; x < width; x++) {
    const level = card.wave[Math.floor((x / width) * card.wave.length)] / loudest;
    paper.fillRect(x, height - 1 - level * waveHeight, 1, level * waveHeight);
  }
  const pitches = card.parts.filter((part) => !part.drums).flatMap((part) => part.notes.filter((_, k) => k % 4 === 2));
  const low = Math.min(...pitches) - 1;
  const high = Math.max(...pitches) + 1;
  card.parts.forEach((part, number) => {
    paper.fillStyle = colour(`--part-${number % 10}`);
    for (let k = 0; k < part.notes.length; k += 4) {
      const [start, length, pitch, velocity] = part.notes.slice(k, k + 4);
      const x = (start / 1000 / view.duration) * width;
      const w = part.drums ? 1 : Math.max(1.2, (length / 1000 / view.duration) * width - 0.5);
      const y = part.drums ? rollHeight : 3 + (1 - (pitch - low) / (high - low)) * (rollHeight - 8);
      paper.globalAlpha = 0.35 + (0.65 * velocity) / 127;
      paper.fillRect(x, y, w, part.drums ? 4 : 2);
    }
  });
  paper.globalAlpha = 1;
}

cards.forEach((card, index) => {
  card.button.disabled = false;
  card.button.addEventListener("click", () => {
    if (index === current && playing()) card.audio.pause();
    else choose(index, true);
  });
  card.slider.addEventListener("input", () => {
    t = Number(card.slider.value);
    choose(index, playing());
  });
  for (const event of ["play", "pause", "ended"]) {
    card.audio.addEventListener(event, () => {
      changed();
      requestAnimationFrame(tick);
    });
  }
});

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    choose((current + step + cards.length) % cards.length, playing());
    cards[current].panel.scrollIntoView({ block: "nearest", behavior: reduced.matches ? "auto" : "smooth" });
  } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    seek(t + (event.key === "ArrowLeft" ? -2 : 2));
  } else if (event.key === "0") {
    seek(0);
  } else if (event.key === " " && event.target.tagName !== "BUTTON") {
    if (playing()) cards[current].audio.pause();
    else choose(current, true);
  } else {
    return;
  }
  event.preventDefault();
});
addEventListener("resize", changed);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
choose(0, false);
