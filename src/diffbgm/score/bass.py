"""Bass lines, written from the harmony by a style's patterns: near, singable, and walking where asked.

All notes are on the grid, before dynamics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from diffbgm.score.decode import GridNote
from diffbgm.score.form import Form
from diffbgm.score.harmony import Chord, Key, nearest
from diffbgm.score.styles import StylePart
from diffbgm.timing import STEPS_PER_BEAT

_BASS: Final = 84
_OCTAVE: Final = 12
_FAR: Final = 7
"""Between two roots the bass moves by at most a fifth, unless the range leaves no other."""

_WALK_STEPS: Final = 4 * STEPS_PER_BEAT
"""A walk looks ahead for the chord it leads to by so much."""


def bass_line(part: StylePart, form: Form) -> list[GridNote]:
    """The bass: roots in the octave nearest to where it was, and what the pattern makes of them.

    `1` the chord's bass, `3` its third, `5` its fifth, `8` the octave, `p` a note that leads into the next
    beat's bass, `w` the next note of a walk to the next chord, `-` goes on (struck anew where the chord
    changes), `.` rests. Where a chord begins its bass stands instead of `3`, `5`, `p` and `w`. Two notes in a
    row are never more than an octave apart.
    """
    low, high = part.range
    root = sounded = round((low + high) / 2)
    out: list[GridNote] = []
    begun: tuple[int, int] | None = None  # step and pitch of the sounding note
    for step in range(form.final_step):
        token = form.harmonic_token(part.patterns, step)
        if form.chord_begins(step):
            root = bass_pitch(form.chord(step), root, low, high)
            token = "1" if (token == "-" and begun) or token in "35pw" else token
        if token == "-":
            continue
        if begun:
            out.append(GridNote(begun[0], step, begun[1], _BASS))
            sounded = begun[1]
        begun = None
        if token != ".":
            pitch = _tone(token, root, sounded, part, form, step)
            if abs(pitch - sounded) > _OCTAVE:
                pitch = nearest(pitch % _OCTAVE, sounded, low, high)
            begun = step, pitch
    if begun:
        out.append(GridNote(begun[0], form.final_step, begun[1], _BASS))
    return out


def bass_pitch(chord: Chord, before: int, low: int, high: int) -> int:
    """The chord's bass near the bass before it, leaning to the lower half of the range."""
    near = nearest(chord.bass, before, low, high)
    leaning = nearest(chord.bass, 0.6 * before + 0.4 * (low + (high - low) / 3), low, high)
    return leaning if abs(leaning - before) <= _FAR else near


def _tone(token: str, root: int, sounded: int, part: StylePart, form: Form, step: int) -> int:
    low, high = part.range
    if token == "w":
        return _walked(part, form, step, root, sounded)
    if token == "p":
        after = min((step // STEPS_PER_BEAT + 1) * STEPS_PER_BEAT, form.n_steps - 1)
        return _leading(root, _bass_after(form, after, root, part), form.key_at(after), part)
    if token == "8":
        return root + _OCTAVE if root + _OCTAVE <= high else max(root - _OCTAVE, low + (root - low) % _OCTAVE)
    if token in "35":
        pitch_class = form.chord(step).tones[1 if token == "3" else 2]
        above = root + (pitch_class - root) % _OCTAVE
        return above if above <= high else nearest(pitch_class, root, low, high)
    return root


def _bass_after(form: Form, step: int, before: int, part: StylePart) -> int:
    """The bass of the chord at a step: of the final one from the last bar on."""
    chord = form.chord(step) if step < form.final_step else form.key.tonic_chord
    return bass_pitch(chord, before, *part.range)


def _leading(root: int, target: int, key: Key, part: StylePart) -> int:
    """The note beside `target` on the side the bass comes from: of the scale, or a semitone away."""
    low, high = part.range
    side = -1 if target >= root and target - 2 >= low else 1
    for distance in (1, 2):
        pitch = target + side * distance
        fits = part.approach == "chromatic" or pitch % 12 in key.scale
        if fits and pitch != root and low <= pitch <= high:
            return pitch
    return root


def _walked(part: StylePart, form: Form, step: int, root: int, sounded: int) -> int:
    """The next note on the cheapest way from `sounded` to the bass of the chord that comes next.

    A way has one note for each stroke of the walk left; its cost counts leaps, notes that repeat, and notes
    foreign to chord or scale, of which only the last before the change may be a semitone beside its goal.
    """
    changes = range(step + 1, min(step + _WALK_STEPS, form.final_step) + 1)
    change = next((at for at in changes if at == form.final_step or form.chord_begins(at)), changes[-1])
    goal = _bass_after(form, change, root, part)
    strokes = [at for at in range(step, change) if form.harmonic_token(part.patterns, at) == "w"]
    # Cheapest way to each pitch of the stroke at hand: cost, and the first note of that way.
    ways: dict[int, tuple[float, int]] = {sounded: (0.0, -1)}
    for at in strokes:
        last = at == strokes[-1]
        reached: dict[int, tuple[float, int]] = {}
        for before, (cost, first) in ways.items():
            for pitch, own in _steps_from(before, form, at, goal if last else None, part):
                total = cost + own + (abs(goal - pitch) if last else 0.0)
                if pitch not in reached or total < reached[pitch][0]:
                    reached[pitch] = (total, pitch if first < 0 else first)
        ways = reached
    return min(ways.values())[1]


def _steps_from(
    before: int, form: Form, step: int, goal: int | None, part: StylePart
) -> Iterator[tuple[int, float]]:
    """Where a walk may go from a pitch, and what each step costs. goal: what the note must lead into."""
    low, high = part.range
    tones, scale = form.chord(step).tones, form.key_at(step).scale
    for pitch in range(max(low, before - _FAR), min(high, before + _FAR) + 1):
        beside = goal is not None and abs(pitch - goal) == 1 and part.approach == "chromatic"
        if pitch % 12 in tones:
            own = 0.0
        elif pitch % 12 in scale:
            own = 1.0
        elif beside:
            own = 0.5
        else:
            continue
        repeated = 6.0 * (pitch == before) + 4.0 * (pitch == goal)
        yield pitch, own + repeated + max(0, abs(pitch - before) - 2) / 2
