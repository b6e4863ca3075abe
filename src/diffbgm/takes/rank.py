"""Which take is best, and why: what each measure costs a take, added up.

A take's score is minus the sum of its costs, each a measure in a unit of its own times a weight. The units
are how far takes of one plan usually lie apart (standard deviations, `benchmarks/takes.py`), so a weight
says how much a measure counts. Being more typical than the songs themselves earns nothing: the distance
counts from the songs' median on, or the dullest take would win.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from diffbgm.takes.asked import Asked
from diffbgm.takes.gate import faults
from diffbgm.takes.measures import Measures
from diffbgm.takes.reference import reference_for
from diffbgm.timing import BEATS_PER_BAR

UNITS: Final = {
    "hits": 0.08,
    "density": 0.015,
    "melody": 0.02,
    "realism": 0.1,
    "key": 0.01,
    "novelty": 1.0,
    "dullness": 0.3,
    "clutter": 0.3,
}
WEIGHTS: Final = {
    "hits": 1.0,
    "density": 1.0,
    "melody": 0.5,
    "realism": 1.0,
    "key": 0.5,
    "novelty": 0.5,
    "dullness": 0.5,
    "clutter": 0.5,
}
HARMLESS_NOTES: Final = 10
"""Nine of ten held-out windows of songs share no longer passage with training songs."""

USUAL_OFF_KEY: Final = 0.02
"""Share of the notes outside the scale in songs, on average."""

_NAMED: Final = 0.1  # by so much ahead of the others a take is in what is named


@dataclass(frozen=True)
class Ranked:
    """A take as it was measured. number: which of the plan's takes. costs: by name, weighted."""

    number: int
    measures: Measures
    costs: dict[str, float]
    faults: tuple[str, ...]

    @property
    def score(self) -> float:
        return -sum(self.costs.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "take": self.number,
            "score": round(self.score, 3),
            "costs": {name: round(cost, 3) for name, cost in self.costs.items()},
            "measures": self.measures.to_json(),
            "rejected": list(self.faults),
        }


def ranked(number: int, measures: Measures, asked: Asked) -> Ranked:
    """A measured take with its costs and faults. What cannot be measured costs nothing."""
    reference = reference_for(asked.n_beats // BEATS_PER_BAR)
    usual = math.inf if reference is None else reference.usual
    raw = {
        "hits": 1.0 - measures.hits,
        "density": measures.density_error,
        "melody": measures.melody_wrong,
        "realism": max(0.0, measures.distance - usual),
        "key": max(0.0, measures.off_key - USUAL_OFF_KEY),
        "novelty": float(max(0, measures.copied_notes - HARMLESS_NOTES)),
        "dullness": measures.repetition,
        "clutter": measures.clutter,
    }
    costs = {
        name: 0.0 if math.isnan(value) else WEIGHTS[name] * value / UNITS[name] for name, value in raw.items()
    }
    return Ranked(number, measures, costs, faults(measures, asked))


@dataclass(frozen=True)
class Choice:
    """Takes of one plan, the best first: those that passed the gate, then the broken ones."""

    takes: tuple[Ranked, ...]

    @classmethod
    def of(cls, takes: list[Ranked]) -> Choice:
        """In order: sound before broken, then by score; of equal ones the first drawn."""
        return cls(tuple(sorted(takes, key=lambda take: (bool(take.faults), -take.score, take.number))))

    @property
    def kept(self) -> Ranked:
        return self.takes[0]

    @property
    def rejected(self) -> tuple[Ranked, ...]:
        return tuple(take for take in self.takes if take.faults)

    @property
    def why(self) -> str:
        """One line on why the kept take was kept."""
        kept = self.kept
        if kept.faults:
            return f"take {kept.number} of {len(self.takes)} kept, though none passed"
        others = [take for take in self.takes[1:] if not take.faults]
        if not others:
            return f"take {kept.number} of {len(self.takes)} kept, the only one that passed"
        gain = {
            name: sum(each.costs[name] for each in others) / len(others) - cost
            for name, cost in kept.costs.items()
        }
        better = [name for name in sorted(gain, key=lambda name: -gain[name])[:2] if gain[name] > _NAMED]
        on = f"; ahead of the others in {' and '.join(better)}" if better else ""
        score = f"score {kept.score:.2f}, next {others[0].score:.2f}"
        return f"take {kept.number} of {len(self.takes)} kept, {score}{on}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know: that no take passed."""
        if not self.kept.faults:
            return ()
        said = "; ".join(self.kept.faults)
        return (f"none of {len(self.takes)} takes passed; the best of them was kept ({said})",)

    def to_json(self) -> dict[str, Any]:
        return {
            "drawn": len(self.takes),
            "kept": self.kept.number,
            "why": self.why,
            "ranking": [take.to_json() for take in self.takes],
        }
