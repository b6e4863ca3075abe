"use strict";
(() => {
  const test = window.LISTENING_TEST;
  const store = `diffbgm-listening:${test.test}`;
  const $ = (id) => document.getElementById(id);
  const pairs = test.kind === "pairwise";
  const sides = ["A", "B"];

  /* ---------- what is kept: everything a listener did, after every step ---------- */

  let state = null;
  let order = [];
  let players = [];
  let shownAt = 0;

  function load() {
    try {
      return JSON.parse(localStorage.getItem(store));
    } catch {
      return null;
    }
  }

  function keep() {
    try {
      localStorage.setItem(store, JSON.stringify(state));
    } catch {
      warn("This browser does not let the page save your progress: please finish in one go and do not reload.");
    }
  }

  function begin(listener) {
    state = { listener, started: new Date().toISOString(), beeps: null, at: -1, answers: {}, heard: {}, seconds: {}, comment: "", finished: null };
    keep();
  }

  const answersTo = (trial) => (state.answers[trial.trial] ??= {});
  const isCheck = (trial) => trial.choose !== undefined;
  const complete = (trial) => test.questions.every((q) => answersTo(trial)[q.id] !== undefined);

  /* ---------- screens ---------- */

  function show(id) {
    for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
    players.forEach((player) => player.stop());
    players = [];
    const running = id === "trial" || id === "done";
    $("brand").hidden = id === "welcome"; // the title stands there in full
    $("progress").hidden = $("count").hidden = !running;
    if (running) {
      const done = order.filter(complete).length;
      $("progress").setAttribute("aria-valuemax", order.length);
      $("progress").setAttribute("aria-valuenow", done);
      $("progress").firstElementChild.style.width = `${(100 * done) / order.length}%`;
      $("count").textContent = `${done} of ${order.length} done`;
    }
    say("");
    scrollTo(0, 0);
    document.querySelector(`#${id} h1`).focus({ preventScroll: true });
  }

  function say(text) {
    $("status").textContent = text;
  }

  function warn(text) {
    $("warning").textContent = text;
    $("warning").hidden = false;
  }

  function go() {
    if (state === null) return showWelcome();
    order = orderFor(test, state.listener);
    if (state.at < 0) return showSound();
    if (state.at >= order.length) return showDone();
    showTrial();
  }

  function showWelcome() {
    const facts = $("facts");
    const n = Math.min(test.trials.length, test.clips_per_listener ?? Infinity);
    facts.replaceChildren();
    for (const fact of [
      pairs ? `${n} pairs of clips, each with ${plural(test.questions.length, "question")}` : `${plural(n, "clip")}, each with ${plural(test.questions.length, "question")}`,
      "There are no right answers: judge by your own ear",
      "You may stop at any time and go on later in this browser",
    ]) facts.append(make("li", {}, fact));
    $("title").textContent = test.title;
    $("introduction").textContent = test.introduction || (pairs
      ? "You will see the same video twice with different music, and say which music you prefer."
      : "You will see short videos with background music, and judge the music.");
    const named = new URLSearchParams(location.hash.slice(1)).get("listener");
    $("listener").value = named || `L-${Math.floor(Math.random() * 36 ** 5).toString(36).toUpperCase().padStart(5, "0")}`;
    show("welcome");
  }

  function showSound() {
    show("sound");
    players = [player($("beeps"), test.beeps, 1, { sound: true, name: "the beeps" })];
    const scale = document.querySelector("#beep-count .scale");
    scale.replaceChildren(...[1, 2, 3, 4, 5, 6, 7, 8].map((n) => option("beeps", n, String(n), state.beeps === n, () => { state.beeps = n; keep(); })));
  }

  function showTrial() {
    const trial = order[state.at];
    show("trial");
    shownAt = performance.now();
    const real = order.slice(0, state.at + 1).filter((t) => !isCheck(t)).length;
    $("trial-title").textContent = isCheck(trial) ? "A moment of attention" : `${pairs ? "Pair" : "Clip"} ${real}`;
    const text = $("trial-text");
    text.hidden = !isCheck(trial);
    if (isCheck(trial)) text.textContent = `There is nothing to hear here. To show that you read this, please answer “${label(trial.choose)}” to every question, then go on.`;
    const clips = trial.clips.map((clip, index) => ({ ...clip, index }));
    if (trial.swapped) clips.reverse();
    $("players").className = `players ${pairs && clips.length ? "two" : ""}`;
    $("players").replaceChildren();
    players = clips.map((clip, place) => {
      const box = make("div", { class: "player" });
      $("players").append(box);
      return player(box, clip.src, clip.volume, {
        name: pairs ? sides[place] : "the clip",
        badge: pairs ? sides[place] : "",
        sound: !/\.(mp4|webm|m4v|mov)$/.test(clip.src),
        heard: (state.heard[trial.trial] ??= [])[clip.index] ?? 0,
        tell(share) {
          state.heard[trial.trial][clip.index] = share;
        },
      });
    });
    $("answers").replaceChildren(...test.questions.map((q) => question(trial, q)));
    $("back").disabled = state.at === 0;
    $("next").textContent = state.at + 1 === order.length ? "Finish" : "Next";
    const keys = pairs ? "A and B play a clip, 1 A is better, 2 B is better, 3 no difference" : `Space plays, 1 to ${test.points === 10 ? "9 and 0" : test.points} answer`;
    $("keys").textContent = `Keys: ${keys}, Enter goes on, Backspace goes back.`;
  }

  function showDone() {
    if (!state.finished) {
      state.finished = new Date().toISOString();
      keep();
    }
    $("send-to").textContent = test.send_to ? ` to ${test.send_to}` : "";
    $("comment").value = state.comment;
    show("done");
  }

  /* ---------- pieces ---------- */

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const label = (choice) => ({ first: "A", second: "B", same: "No difference" })[choice] ?? String(choice);

  function option(name, value, text, chosen, choose) {
    const input = make("input", { type: "radio", name, value });
    input.checked = chosen;
    input.addEventListener("change", choose);
    return make("label", { class: "option" }, input, make("span", {}, text));
  }

  /* A choice is kept in the test's order of the pair, not in the one shown. */
  const turned = (trial, choice) => (!trial.swapped ? choice : ({ first: "second", second: "first" })[choice] ?? choice);

  function question(trial, q) {
    const values = pairs ? ["first", "second", "same"] : Array.from({ length: test.points }, (_, i) => i + 1);
    const scale = make("div", { class: `scale ${pairs ? "words" : ""}` });
    for (const value of values) {
      const chosen = answersTo(trial)[q.id] === turned(trial, value);
      scale.append(option(q.id, value, label(value), chosen, () => {
        answersTo(trial)[q.id] = turned(trial, value);
        keep();
        say("");
      }));
    }
    const box = make("fieldset", { class: "question", "data-question": q.id }, make("legend", {}, q.text), scale);
    if (!pairs) box.append(make("div", { class: "ends" }, make("span", {}, q.low), make("span", {}, q.high)));
    return box;
  }

  const ICON = { play: "M8 5v14l11-7z", pause: "M7 5h4v14H7zM13 5h4v14h-4z" };

  /** A clip with its own controls, so that nobody turns one take up against another. */
  function player(box, src, volume, { name, badge = "", sound = false, heard = 0, tell = null }) {
    const media = document.createElement(sound ? "audio" : "video");
    media.src = src;
    media.preload = "auto";
    media.playsInline = true;
    media.volume = volume;
    media.disableRemotePlayback = true;
    const play = make("button", { type: "button", class: "play", "aria-label": `Play ${name}` });
    play.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICON.play}"/></svg>`;
    const seek = make("input", { type: "range", min: 0, max: 1000, value: 0, step: 1, "aria-label": `Position in ${name}` });
    const clock = make("span", { class: "clock" });
    const bar = make("div", { class: "heard", title: "How much of it you have played" }, make("i", {}));
    const controls = make("div", { class: "controls" }, play, seek, clock);
    box.replaceChildren(...(badge ? [make("b", { class: "badge" }, badge)] : []), media, controls, ...(tell ? [bar] : []));
    const before = heard;
    const time = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

    function update() {
      const length = media.duration || 0;
      clock.textContent = length ? `${time(media.currentTime)} / ${time(length)}` : "";
      if (length && !seek.matches(":active")) seek.value = (1000 * media.currentTime) / length;
      if (!length || !tell) return;
      let played = 0;
      for (let i = 0; i < media.played.length; i++) played += media.played.end(i) - media.played.start(i);
      heard = Math.min(1, Math.max(heard, before, played / length));
      bar.firstElementChild.style.width = `${Math.min(100, (100 * heard) / (test.must_hear || 1))}%`;
      bar.classList.toggle("enough", heard >= test.must_hear - 0.01);
      tell(Math.round(heard * 1000) / 1000);
    }

    const self = {
      toggle() {
        if (!media.paused) return media.pause();
        for (const other of players) if (other !== self) other.pause();
        media.play().catch(() => warn(`This browser cannot play ${name}. Please try a current Chrome, Edge, Firefox or Safari.`));
      },
      pause: () => media.pause(),
      stop() {
        media.pause();
        media.removeAttribute("src");
        media.load();
      },
      enough: () => heard >= test.must_hear - 0.01,
      name,
      media,
    };
    play.addEventListener("click", self.toggle);
    if (!sound) media.addEventListener("click", self.toggle);
    seek.addEventListener("input", () => { if (media.duration) media.currentTime = (seek.value / 1000) * media.duration; });
    for (const event of ["timeupdate", "loadedmetadata", "ended", "pause"]) media.addEventListener(event, update);
    media.addEventListener("pause", keep);
    media.addEventListener("error", () => { if (media.getAttribute("src")) warn(`${src} cannot be played here.`); });
    for (const event of ["play", "pause", "ended"]) {
      media.addEventListener(event, () => {
        play.querySelector("path").setAttribute("d", media.paused ? ICON.play : ICON.pause);
        play.setAttribute("aria-label", `${media.paused ? "Play" : "Pause"} ${name}`);
      });
    }
    update();
    return self;
  }

  /* ---------- going on and back ---------- */

  function spent() {
    const id = order[state.at]?.trial;
    if (id) state.seconds[id] = Math.round(10 * ((state.seconds[id] ?? 0) + (performance.now() - shownAt) / 1000)) / 10;
    shownAt = performance.now();
  }

  function next() {
    const trial = order[state.at];
    const unheard = players.find((each) => !each.enough());
    if (unheard) return say(`Please play ${test.must_hear >= 0.99 ? "all" : `at least ${Math.round(100 * test.must_hear)} %`} of ${unheard.name} first.`);
    const open = test.questions.find((q) => answersTo(trial)[q.id] === undefined);
    if (open) {
      say("Please answer every question.");
      document.querySelector(`[data-question="${open.id}"] input`).focus();
      return;
    }
    spent();
    state.at += 1;
    keep();
    go();
  }

  function back() {
    if (state.at <= 0) return;
    if (state.at < order.length) spent();
    state.at -= 1;
    keep();
    go();
  }

  function results() {
    const trials = order.map((trial, position) => ({ trial, position })).filter(({ trial }) => Object.keys(answersTo(trial)).length);
    return {
      format: "diffbgm-listening-results-1",
      test: test.test,
      listener: state.listener,
      started: state.started,
      finished: state.finished,
      beeps: state.beeps,
      comment: state.comment,
      browser: navigator.userAgent.slice(0, 600),
      trials: trials.map(({ trial, position }) => ({
        trial: trial.trial,
        answers: answersTo(trial),
        heard: trial.clips.map((_, index) => (state.heard[trial.trial] ?? [])[index] ?? 0),
        seconds: state.seconds[trial.trial] ?? 0,
        position,
      })),
    };
  }

  function save() {
    const blob = new Blob([JSON.stringify(results(), null, 1) + "\n"], { type: "application/json" });
    const link = make("a", { href: URL.createObjectURL(blob), download: `results-${test.test.slice(0, 6)}-${state.listener.replace(/[^\w-]+/g, "_")}.json` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    say("Saved to your downloads.");
  }

  /* ---------- wiring ---------- */

  $("begin").addEventListener("submit", (event) => {
    event.preventDefault();
    const listener = $("listener").value.trim();
    if (!listener) return;
    begin(listener);
    go();
  });
  $("sound-next").addEventListener("click", () => {
    if (state.beeps === null) return say("Please choose how many beeps you hear.");
    state.at = 0;
    keep();
    go();
  });
  $("next").addEventListener("click", next);
  $("back").addEventListener("click", back);
  $("review").addEventListener("click", back);
  $("save").addEventListener("click", save);
  $("comment").addEventListener("input", () => { state.comment = $("comment").value; keep(); });
  $("answers").addEventListener("submit", (event) => event.preventDefault());
  $("again").addEventListener("click", () => {
    if (!confirm("Remove these answers from this browser and begin again? Save the results first.")) return;
    localStorage.removeItem(store);
    state = null;
    go();
  });
  addEventListener("pagehide", () => { if (state) { if (!$("trial").hidden) spent(); keep(); } });

  function choose(number) {
    const groups = [...document.querySelectorAll("section:not([hidden]) .question")];
    const focused = groups.find((group) => group.contains(document.activeElement));
    const group = focused ?? groups.find((each) => !each.querySelector("input:checked")) ?? groups[groups.length - 1];
    const input = group?.querySelectorAll("input")[number - 1];
    if (!input) return;
    input.click();
    const following = groups[groups.indexOf(group) + 1];
    (following?.querySelector("input:checked, input") ?? input).focus();
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || state === null) return;
    const target = event.target;
    if (target.matches("textarea, input:not([type=radio]):not([type=range])")) return;
    const key = event.key.toLowerCase();
    const onButton = target.matches("button, a");
    if (/^\d$/.test(key)) choose(key === "0" ? 10 : Number(key));
    else if (key === " " && !onButton && players.length) players[0].toggle();
    else if (pairs && (key === "a" || key === "b")) players[key === "a" ? 0 : 1]?.toggle();
    else if (key === "enter" && !onButton) {
      if (!$("trial").hidden) next();
      else if (!$("sound").hidden) $("sound-next").click();
    } else if (key === "backspace" && !$("trial").hidden) back();
    else return;
    event.preventDefault();
  });

  document.title = $("brand").textContent = test.title;
  state = load();
  const resumed = state !== null && state.at > 0 && !state.finished;
  go();
  if (resumed) say("Welcome back: you can go on where you left off.");
})();
