// Which stretch of the film is on screen. Everything that draws asks `range`; everything that moves changes it.

const range = {
  start: 0,
  end: film.duration,
  shortest: Math.min(film.duration, 1.5),
  listeners: [],

  span() {
    return this.end - this.start;
  },
  x(t, width) {
    return ((t - this.start) / this.span()) * width;
  },
  time(x, width) {
    return this.start + (x / width) * this.span();
  },
  show(start, span) {
    const wanted = Math.min(film.duration, Math.max(this.shortest, span));
    this.start = Math.max(0, Math.min(film.duration - wanted, start));
    this.end = this.start + wanted;
    for (const listener of this.listeners) listener();
  },
  // Makes the stretch `factor` times as long, with `anchor` staying where it is on screen.
  zoom(factor, anchor) {
    const span = Math.min(film.duration, Math.max(this.shortest, this.span() * factor));
    this.show(anchor - ((anchor - this.start) / this.span()) * span, span);
  },
  pan(seconds) {
    this.show(this.start + seconds, this.span());
  },
  fit() {
    this.show(0, film.duration);
  },
  // Turns the page when `t` is off screen, or runs towards its right edge.
  follow(t) {
    if (t < this.start || t > this.end - this.span() * 0.06) this.show(t - this.span() * 0.08, this.span());
  },
};
