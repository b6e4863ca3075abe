"""A small plan with known sections, hits and key."""

from __future__ import annotations

from diffbgm.spotting.cuesheet import Hit, Plan, Section

BAR_S = 2.0


def make_plan(bars: int = 20, key: str = "D", seed: int = 3, melody: bool = True) -> Plan:
    """`bars` bars at 120 BPM in two sections that meet at the middle, one hit at bar 2, beat 2, step 2."""
    middle = bars // 2
    sections = tuple(
        Section(
            start_s=start * BAR_S, end_s=end * BAR_S, start_bar=start, end_bar=end, role=role, label=label,
            energy=0.5, valence=0.5, arousal=0.0, tempo_bpm=120, melody=melody,
        )
        for start, end, role, label in ((0, middle, "intro", "A"), (middle, bars, "climax", "B"))
    )  # fmt: skip
    hit = Hit(time_s=5.25, weight=1, source="cut", landed_s=5.25, error_ms=0, on="sixteenth", step=42)
    return Plan(
        duration_s=bars * BAR_S, fps=25, key=key, style="piano", seed=seed,
        bar_starts_s=tuple(k * BAR_S for k in range(bars + 1)), sections=sections, hits=(hit,),
        energy=(0.5,) * (4 * bars), density=(0.5,) * (4 * bars),
    )  # fmt: skip
