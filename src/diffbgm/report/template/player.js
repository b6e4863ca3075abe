// The sound and the playhead. `player.t` is the one position; the sound is brought there when it can be.

const player = {
  audio: element("audio"),
  t: 0,
  listeners: [],

  get playing() {
    return !this.audio.paused;
  },
  seek(t) {
    this.t = Math.max(0, Math.min(film.duration, t));
    if (this.audio.readyState > 0) this.audio.currentTime = this.t;
    this.changed();
  },
  toggle() {
    if (this.playing) {
      this.audio.pause();
    } else if (this.audio.readyState > 0) {
      if (this.t >= film.duration - 0.05) this.seek(0);
      this.audio.play().catch(() => this.changed()); // refused, or paused again before it began
    }
  },
  changed() {
    for (const listener of this.listeners) listener();
  },
};

function watchSound() {
  const { audio } = player;
  const play = element("play");
  const ready = () => {
    play.disabled = false;
    audio.currentTime = player.t;
  };
  const failed = () => {
    element("no-sound").hidden = false;
    play.disabled = true;
  };
  audio.removeAttribute("controls");
  audio.addEventListener("loadedmetadata", ready);
  audio.addEventListener("error", failed);
  const tick = () => {
    player.t = Math.min(film.duration, audio.currentTime);
    player.changed();
    if (player.playing) requestAnimationFrame(tick);
  };
  const state = () => {
    play.classList.toggle("playing", player.playing);
    play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    requestAnimationFrame(tick);
  };
  for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, state);
  // A blob can be searched in every browser; a long data: address cannot in some.
  const embedded = /^data:(audio\/mp4);base64,(.*)$/s.exec(audio.getAttribute("src"));
  if (embedded) audio.src = URL.createObjectURL(new Blob([bytes(embedded[2])], { type: embedded[1] }));
  else if (audio.readyState > 0) ready();
  else if (audio.error) failed();
}
