"""Note names, chord symbols and keys as pitch classes: the one place that knows that D is 2 above C."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LETTERS: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

MAJOR_KEYS: Final = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_KEYS: Final = ("Cm", "C#m", "Dm", "Ebm", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm")
"""The twelve keys from C upwards, in the spelling with the fewer accidentals."""

# What stands after the root of a chord symbol, brackets and spelling variants taken out -> intervals above
# the root in the order root, third (or what is there in its place), fifth, seventh, further tones.
_CHORD_QUALITIES: Final[dict[str, tuple[int, ...]]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "5": (0, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "69": (0, 4, 7, 9, 2),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "mmaj7": (0, 3, 7, 11),
    "9": (0, 4, 7, 10, 2),
    "m9": (0, 3, 7, 10, 2),
    "maj9": (0, 4, 7, 11, 2),
    "add9": (0, 4, 7, 2),
    "madd9": (0, 3, 7, 2),
    "11": (0, 5, 7, 10, 2),
    "m11": (0, 3, 7, 10, 2, 5),
    "13": (0, 4, 7, 10, 2, 9),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "7sus4": (0, 5, 7, 10),
    "9sus4": (0, 5, 7, 10, 2),
    "dim": (0, 3, 6),
    "dim7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
    "aug": (0, 4, 8),
    "7#5": (0, 4, 8, 10),
    "7b5": (0, 4, 6, 10),
    "7b9": (0, 4, 7, 10, 1),
    "7#9": (0, 4, 7, 10, 3),
}
# Other spellings and what they become, tried from the top. A capital M is major, a small one minor.
_SPELLINGS: Final = (
    (r"[()]", ""),
    ("♯", "#"),
    ("♭", "b"),
    (r"^(ø|h)7?$", "m7b5"),
    (r"^(Δ|\^)7?$", "maj7"),
    (r"^(o|°)", "dim"),
    (r"^\+", "aug"),
    (r"^(major|maj|Maj|MAJ|ma(?!dd)|M|Δ|\^)", "maj"),
    (r"^(minor|min|Min|MIN|mi|-)", "m"),
    (r"^m(major|maj|Maj|ma(?!dd)|M|Δ|\^)", "mmaj"),
    (r"^maj$", ""),
    (r"^mmaj$", "mmaj7"),
    (r"sus$", "sus4"),
    (r"add2$", "add9"),
    (r"^2$", "sus2"),
    (r"^4$", "sus4"),
    (r"^6/9$", "69"),
    (r"^(aug7|7\+|7aug)$", "7#5"),
    (r"7-([59])$", r"7b\1"),
)
# How much of a piece in C each pitch class makes (Albrecht and Shanahan, "The use of large corpora to train a
# new type of key-finding algorithm", Music Perception 2013). The older ratings of Krumhansl and Kessler take
# a key's fifth for its tonic so often in music like ours that they named 4 keys of 9 where these name 7.
_MAJOR_PROFILE: Final = np.array([238, 6, 111, 6, 137, 94, 16, 214, 9, 80, 8, 81]) / 1000
_MINOR_PROFILE: Final = np.array([220, 6, 104, 123, 19, 103, 12, 214, 62, 22, 61, 52]) / 1000

_NO_CHORD: Final = ("N.C.", "NC", "N.C")
_MOST_CHORDS_A_BAR: Final = 4
LEFT_OPEN: Final = "*"
"""In a progression: whatever the model likes."""


def pitch_class(name: str) -> int:
    """0 for C to 11 for B, of a note or key name such as `C`, `F#`, `Bb` or `Ebm`; the mode is ignored."""
    note = name.removesuffix("m")
    return (_LETTERS[note[0]] + note.count("#") - note[1:].count("b")) % 12


def transposition(key: str) -> int:
    """Semitones from C major or A minor to `key` (`C`, `F#`, `Ebm`), -6 .. 5."""
    home = 9 if key.endswith("m") else 0
    return (pitch_class(key) - home + 6) % 12 - 6


def key_fits(chroma: ArrayLike) -> NDArray[np.float64] | None:
    """How well each key fits the weights of the twelve pitch classes from C: correlations, float64 (2, 12),
    rows major and minor, columns the tonic; None where all weights are equal.

    The method of Krumhansl and Schmuckler, with the profiles of Albrecht and Shanahan.
    """
    weights = np.asarray(chroma, dtype=np.float64)
    centred = weights - weights.mean()
    size = float(np.linalg.norm(centred))
    if size <= 1e-12:
        return None
    fits = np.zeros((2, 12))
    for row, profile in enumerate((_MAJOR_PROFILE, _MINOR_PROFILE)):
        shape = profile - profile.mean()
        for tonic in range(12):
            fits[row, tonic] = centred @ np.roll(shape, tonic) / (size * np.linalg.norm(shape))
    return fits


@dataclass(frozen=True)
class ChordSymbol:
    """A chord as a person writes it. tones: pitch classes from the root upwards; none where no chord is to
    sound (`N.C.`). bass: the pitch class that lies lowest, -1 where there is none.
    """

    text: str
    tones: tuple[int, ...]
    bass: int

    @classmethod
    def parse(cls, text: str) -> ChordSymbol:
        """`Am`, `C7`, `Cmaj7`, `F#m7b5`, `Bb`, `G/B`, `Dsus4`, `N.C.` and their usual other spellings.

        Raises ValueError, naming the symbol.
        """
        if text in _NO_CHORD:
            return cls(text, (), -1)
        match = re.fullmatch(r"([A-G][#b♯♭]?)(.*?)(?:/([A-G][#b♯♭]?))?", text)
        if match is None:
            raise ValueError(f"{text!r} is not a chord; one begins with a capital letter A to G, or is N.C.")
        root, quality, bass = match.groups()
        for spelling, meant in _SPELLINGS:
            quality = re.sub(spelling, meant, quality)
        if quality not in _CHORD_QUALITIES:
            raise ValueError(
                f"{text!r} is not a known chord; after the root {root} expected for example "
                "m, 7, maj7, m7, m7b5, dim, aug, sus4, 6, 9, add9"
            )
        lowest = _note(root)
        tones = tuple((lowest + step) % 12 for step in _CHORD_QUALITIES[quality])
        return cls(text, tones, lowest if bass is None else _note(bass))


def parse_progression(text: str) -> tuple[tuple[ChordSymbol | None, ...], ...]:
    """The chords of each bar, None for `*`, which is left open.

    `Am F,G C`: a space begins the next bar, a comma the next chord of a bar. With bar lines, `| Am | F G |`,
    bars are what stands between them. A bar has at most 4 chords.

    Raises ValueError, naming what is wrong.
    """
    written = text.split("|") if "|" in text else text.split()
    bars = tuple(
        tuple(
            None if chord == LEFT_OPEN else ChordSymbol.parse(chord)
            for chord in re.split(r"\s*,\s*|\s+", bar.strip())
        )
        for bar in written
        if bar.strip()
    )
    if not bars:
        raise ValueError('expected chords, a bar each, such as "Am F C G"')
    for bar in bars:
        if len(bar) > _MOST_CHORDS_A_BAR:
            raise ValueError(
                f"{','.join(chord.text if chord else LEFT_OPEN for chord in bar)!r}: "
                f"a bar has at most {_MOST_CHORDS_A_BAR} chords, not {len(bar)}"
            )
    return bars


def _note(name: str) -> int:
    return pitch_class(name.replace("♯", "#").replace("♭", "b"))
