"""Bass lines, chords and percussion, written from the harmony by a style's patterns.

All notes are on the grid, before dynamics: velocities here say only how a bar is weighted.
"""

from __future__ import annotations

from typing import Final

from diffbgm.score.decode import GridNote
from diffbgm.score.form import Form
from diffbgm.score.harmony import Chord, Key, nearest, voiced
from diffbgm.score.instruments import DRUMS
from diffbgm.score.styles import KEEP, StyleDrums, StylePart
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT

_CHORD_STRIKE: Final = {"X": 84, "x": 66}
_TONE: Final = 74
_BASS: Final = 84
_RINGING: Final = ("Cymbal", "Open", "Ride")
_RINGING_STEPS: Final = 16


def metrical(step: int) -> int:
    """What the place in the bar adds to a velocity: one, three, the other beats, between them."""
    within = step % STEPS_PER_BAR
    if within == 0:
        return 8
    if within % STEPS_PER_BEAT == 0:
        return 4 if within == STEPS_PER_BAR // 2 else 1
    return -3 if within % 2 == 0 else -7


def bass_line(part: StylePart, form: Form) -> list[GridNote]:
    """The bass: roots in the octave nearest to where it was, and what the pattern makes of them.

    `1` the chord's bass, `3` its third, `5` its fifth, `8` the octave, `p` a note of the scale that leads
    into the next beat's bass, `-` goes on (struck anew where the chord changes), `.` rests. Where a chord
    that was asked for begins, its bass stands instead of `3`, `5` and `p`.
    """
    low, high = part.range
    root = round((low + high) / 2)
    out: list[GridNote] = []
    begun: tuple[int, int] | None = None  # step and pitch of the sounding note
    for step in range(form.final_step):
        token = form.harmonic_token(part.patterns, step)
        chord = form.chord(step)
        if form.chord_begins(step):
            root = bass_pitch(chord, root, low, high)
            token = "1" if (token == "-" and begun) or (form.asked[step] and token in "35p") else token
        if token == "-":
            continue
        if begun:
            out.append(GridNote(begun[0], step, begun[1], _BASS + metrical(begun[0])))
        begun = None if token == "." else (step, _bass_tone(token, chord, root, part, form, step))
    if begun:
        out.append(GridNote(begun[0], form.final_step, begun[1], _BASS + metrical(begun[0])))
    return out


def bass_pitch(chord: Chord, before: int, low: int, high: int) -> int:
    """The chord's bass near the bass before it, leaning to the lower half of the range."""
    return nearest(chord.bass, 0.6 * before + 0.4 * (low + (high - low) / 3), low, high)


def _bass_tone(token: str, chord: Chord, root: int, part: StylePart, form: Form, step: int) -> int:
    low, high = part.range
    if token == "8":
        return root + 12 if root + 12 <= high else max(root - 12, low + (root - low) % 12)
    if token == "p":
        after = min((step // STEPS_PER_BEAT + 1) * STEPS_PER_BEAT, form.n_steps - 1)
        following = form.chord(after) if after < form.final_step else form.key.tonic_chord
        return _leading(root, bass_pitch(following, root, low, high), form.key_at(after), low, high)
    if token in "35":
        pitch_class = chord.tones[1 if token == "3" else 2]
        above = root + (pitch_class - root) % 12
        return above if above <= high else nearest(pitch_class, root, low, high)
    return root


def _leading(root: int, target: int, key: Key, low: int, high: int) -> int:
    """The note of the scale beside `target` on the side the bass comes from."""
    side = -1 if target >= root and target - 2 >= low else 1
    for distance in (1, 2):
        pitch = target + side * distance
        if pitch % 12 in key.scale and pitch != root and low <= pitch <= high:
            return pitch
    return root


def chord_part(part: StylePart, form: Form) -> list[GridNote]:
    """Chords or broken chords by the pattern, each in the inversion nearest to the one before.

    `X` and `x` strike the whole chord (loud, soft), `0`..`7` its notes counted from the lowest, `-` goes
    on (struck anew where the chord changes), `.` rests.
    """
    low, high = part.range
    stack: tuple[int, ...] = ()
    out: list[GridNote] = []
    last = ""
    begun: tuple[int, tuple[int, ...], int] | None = None  # step, pitches, velocity
    for step in range(form.final_step):
        token = form.harmonic_token(part.patterns, step)
        if form.chord_begins(step):
            stack = voiced(form.chord(step).tones, stack, low, high, part.voices)
            token = last if token == "-" and begun else token
        if token == "-":
            continue
        if begun:
            out += [GridNote(begun[0], step, pitch, begun[2]) for pitch in begun[1]]
        begun, last = None, token
        if token in _CHORD_STRIKE:
            begun = (step, stack, _CHORD_STRIKE[token] + metrical(step))
        elif token != ".":
            begun = (step, (_tone(stack, int(token), high),), _TONE + metrical(step))
    if begun:
        out += [GridNote(begun[0], form.final_step, pitch, begun[2]) for pitch in begun[1]]
    return out


def _tone(stack: tuple[int, ...], index: int, high: int) -> int:
    """The index-th note of the chord, going on in the next octave above its highest."""
    octaves, within = divmod(index, len(stack))
    pitch = stack[within] + 12 * octaves
    while pitch > high:
        pitch -= 12
    return pitch


def drum_part(drums: StyleDrums, form: Form) -> list[GridNote]:
    """Percussion: patterns by level, one lower under speech; fills into a new section and a crash on it."""
    out: list[GridNote] = []
    for name in sorted({*drums.patterns, *drums.fills}):
        patterns, fill = drums.patterns.get(name), drums.fills.get(name, "")
        for step in range(form.final_step):
            softer = bool(form.speech[step])
            token = (patterns and form.token(patterns, step, softer)) or "."
            if fill and fill[step % STEPS_PER_BAR] != KEEP and _fills(step // STEPS_PER_BAR, form):
                token = fill[step % STEPS_PER_BAR]
            if token != ".":
                out.append(drum_note(name, step, 14 * int(token)))
    if drums.crash:
        for first in form.first_bars[1:]:
            step = first * STEPS_PER_BAR
            if step < form.final_step and form.level[first] >= 1 and not form.speech[step]:
                out.append(drum_note(drums.crash, step, 96))
    return out


def drum_note(name: str, step: int, velocity: int) -> GridNote:
    """One stroke; what rings is given time to."""
    steps = _RINGING_STEPS if any(word in name for word in _RINGING) else 1
    return GridNote(step, step + steps, DRUMS[name], min(velocity, 127))


def _fills(bar: int, form: Form) -> bool:
    """Whether a fill leads out of this bar: into a new section that is no quieter, and not over speech."""
    step = bar * STEPS_PER_BAR
    if form.speech[step : step + STEPS_PER_BAR].any() or form.level[bar] == 0:
        return False
    if bar + 1 == form.tempo_map.n_bars - 1:
        return False  # the final chord comes out of calm
    return bar + 1 in form.first_bars and form.level[bar + 1] >= form.level[bar]
