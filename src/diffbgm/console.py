"""What a person sees on the terminal when a command has done its work."""

from __future__ import annotations

from diffbgm.result import Result
from diffbgm.sound.speech import SpeechLevel, worst
from diffbgm.spotting.cuesheet import Plan
from diffbgm.takes.rank import Choice
from diffbgm.video.analysis import Analysis


def compose_summary(result: Result) -> str:
    """The finished films and what can be said of them in a few lines."""
    return "\n".join(_film_summary(film) for film in (result, *result.other_takes))


def _film_summary(result: Result) -> str:
    outputs = result.outputs
    beside = [path.name for path in outputs.files if path != outputs.video]
    lines = [str(outputs.video), f"  {plan_summary(result.plan)}"]
    lines += [f"  mood: {line}" for line in result.plan.mood_understood]
    if result.choice is not None and len(result.choice.takes) > 1:
        lines += [f"  {line}" for line in takes_summary(result.choice, result.plan.take)]
    if result.loudness_lufs is not None and result.true_peak_dbtp is not None:
        lines.append(f"  {result.loudness_lufs:.1f} LUFS, true peak {result.true_peak_dbtp:.1f} dBTP")
    if (least := worst(result.speech)) is not None:
        lines.append(f"  {speech_summary(least)}")
    lines.append(f"  beside it: {', '.join(beside)}")
    if outputs.stems is not None:
        lines.append(f"  stems in {outputs.stems}")
    return "\n".join(lines)


def speech_summary(least: SpeechLevel) -> str:
    """How far the words stand out where they do so least."""
    return (
        f"speech over music: {least.ratio_lu:.1f} LU at the worst span, "
        f"{least.start_s:.1f}-{least.end_s:.1f} s, the music lowered there by {least.ducked_db:.1f} dB"
    )


def takes_summary(choice: Choice, shown: int | None) -> list[str]:
    """Which take was kept and why, then the broken ones; for another film's take only its place."""
    if shown != choice.kept.number:
        place = next(k for k, take in enumerate(choice.takes, start=1) if take.number == shown)
        return [f"take {shown}, ranked {place} of {len(choice.takes)}"]
    broken = [f"take {take.number} rejected: {'; '.join(take.faults)}" for take in choice.rejected]
    return [choice.why, *broken]


def plan_summary(plan: Plan) -> str:
    """Key, tempo, bars, sections and hits in one line."""
    bpms = plan.tempo_map.bpm_of_bars()
    slow, fast = round(float(bpms.min())), round(float(bpms.max()))
    tempo = f"{slow} BPM" if slow == fast else f"{slow}-{fast} BPM"
    kept = sum(hit.on is not None for hit in plan.hits)
    return (
        f"{plan.style} in {plan.key}, {tempo}, {plan.tempo_map.n_bars} bars in {len(plan.sections)} "
        f"sections, {kept} of {len(plan.hits)} hits on the grid, seed {plan.seed}"
    )


def analysis_summary(analysis: Analysis) -> str:
    """The film's facts, then a line a shot."""
    sound = "no sound" if not analysis.has_audio else f"speech in {len(analysis.speech_spans)} spans"
    lines = [
        f"{analysis.video}: {analysis.duration_s:.2f} s, {analysis.width}x{analysis.height}, "
        f"{analysis.fps:.3f} fps, {len(analysis.shots)} shots, {sound}"
    ]
    lines += [
        f"{number:>4}  {shot.start_s:8.2f} - {shot.end_s:8.2f} s"
        for number, shot in enumerate(analysis.shots, start=1)
    ]
    return "\n".join(lines)
