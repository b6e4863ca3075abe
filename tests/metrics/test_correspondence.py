"""Music against picture: perfect, hopeless and chance, with answers known beforehand."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffbgm.errors import CueSheetError, InputError
from diffbgm.metrics.alignment import (
    accented,
    accents_at,
    at_steady_tempo,
    compare,
    heard_at,
    pairs_within,
    share_met,
    tbiou,
)
from diffbgm.metrics.association import circular_shift_test, ranks, spearman
from diffbgm.metrics.correspondence import across_films, flatten, measure
from diffbgm.sound.files import write_wav
from diffbgm.spotting.cuesheet import CueSheet, Hit, Plan, Section
from diffbgm.timing import TempoMap
from diffbgm.video.analysis import Analysis, Curve, Shot, Transition

TIMES = st.lists(st.integers(0, 400), max_size=8).map(lambda ticks: np.sort(np.array(ticks) / 20.0))


def times(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def test_share_met_counts_cuts_with_an_event_near() -> None:
    cuts, events = times(1, 2, 3, 4), times(1.03, 2.5, 2.96, 9)
    assert share_met(cuts, events, 0.035) == 0.25
    assert share_met(cuts, events, 0.04) == 0.5
    assert share_met(cuts, events, 0.5) == 0.75
    assert share_met(cuts, times(), 0.5) == 0.0
    assert math.isnan(share_met(times(), events, 0.5))


def test_tbiou_by_hand() -> None:
    cuts, events = times(1, 2, 3), times(1, 2.05, 5, 6)
    assert tbiou(cuts, cuts, 0.0) == 1.0
    assert tbiou(cuts, events, 0.04) == 1 / 6
    assert tbiou(cuts, events, 0.1) == 2 / 5
    assert tbiou(cuts, times(), 0.5) == 0.0
    assert math.isnan(tbiou(times(), events, 0.5))


def test_tbiou_pays_for_dense_events() -> None:
    cuts = np.arange(2.0, 58.0, 5.0)
    sixteenths = np.arange(0.0, 60.0, 0.125)
    assert share_met(cuts, sixteenths, 0.04) == 1.0
    assert tbiou(cuts, sixteenths, 0.04) < 0.03


@given(TIMES, TIMES, st.integers(0, 10))
def test_pairing_in_time_order_is_a_largest_one(cuts: np.ndarray, events: np.ndarray, ticks: int) -> None:
    tolerance = ticks / 20.0
    close = np.abs(cuts[:, None] - events[None, :]) <= tolerance + 1e-9
    assert pairs_within(cuts, events, tolerance) == largest_matching(close)


def largest_matching(close: np.ndarray) -> int:
    """By augmenting paths, for any bipartite graph."""
    partner: dict[int, int] = {}

    def place(cut: int, seen: set[int]) -> bool:
        for event in np.flatnonzero(close[cut]).tolist():
            if event not in seen:
                seen.add(event)
                if event not in partner or place(partner[event], seen):
                    partner[event] = cut
                    return True
        return False

    return sum(place(cut, set()) for cut in range(len(close)))


@given(TIMES, TIMES, st.integers(0, 10), st.integers(0, 10))
def test_figures_stay_in_range_and_grow_with_the_tolerance(
    cuts: np.ndarray, events: np.ndarray, a: int, b: int
) -> None:
    narrow, wide = sorted((a / 20.0, b / 20.0))
    for figure in (share_met, tbiou):
        low, high = figure(cuts, events, narrow), figure(cuts, events, wide)
        assert math.isnan(low) == (len(cuts) == 0)
        assert not len(cuts) or 0.0 <= low <= high <= 1.0
    assert not len(cuts) or tbiou(cuts, events, wide) <= share_met(cuts, events, wide) + 1e-12


def test_accents_are_local() -> None:
    at = np.arange(0.0, 20.0, 0.5)
    strength = np.where(np.arange(40) % 8 == 0, 2.0, 1.0) * np.where(at < 10, 1.0, 0.1)
    found = accented(at, strength)
    np.testing.assert_array_equal(np.flatnonzero(found), np.arange(0, 40, 8))
    assert not accented(times(1.0), times(5.0)).any()
    assert not accented(times(), times()).any()
    assert not accented(at, np.ones(40)).any()


def test_strong_onsets_at_the_moments() -> None:
    at = np.arange(0.0, 20.0, 0.5)
    strength = np.where(np.isin(at, (4.0, 9.0)), 3.0, 1.0)
    good = accents_at(times(4.01, 8.99), at, strength)
    assert good.heard == 1.0
    assert good.percentile == pytest.approx((38 + 0.5) / 39)
    assert good.strength_ratio == 3.0
    plain = accents_at(times(5.0), at, np.ones(40))
    assert plain.percentile == plain.local_percentile == 0.5
    missed = accents_at(times(4.25), at, strength)
    assert (missed.heard, missed.percentile) == (0.0, 0.0)
    assert math.isnan(accents_at(times(), at, strength).percentile)


def test_only_heard_positions_count() -> None:
    np.testing.assert_array_equal(heard_at(times(0, 1, 2), times(0.01, 1.2, 2.03)), times(0.01, 2.03))
    assert len(heard_at(times(0, 1), times())) == 0


def test_a_bent_map_is_straightened() -> None:
    bent = TempoMap((0.0, 2.2, 4.0))
    np.testing.assert_allclose(at_steady_tempo(times(0.0, 2.2, 3.1, 4.0), bent), times(0, 2, 3, 4))


def test_chance_of_a_steady_pulse_is_the_tolerance_over_the_period() -> None:
    pulse, cuts = np.arange(0.0, 60.0, 0.5), times(3, 11, 20, 33, 41)
    found = compare(
        lambda events: share_met(cuts, events, 0.04),
        pulse,
        60.0,
        rng=np.random.default_rng(0),
        n_offsets=2000,
        tempo_map=TempoMap((0.0, 30.0, 60.0)),
    )
    assert found.value == 1.0
    assert found.random == pytest.approx(0.08 / 0.5, abs=0.02)
    assert found.fixed_tempo is not None
    # All cuts lie on the same phase, so either all are met or none: p says how likely that was.
    assert found.p == pytest.approx(found.random, abs=0.02)


def test_a_figure_like_chance_has_no_small_p() -> None:
    rng = np.random.default_rng(1)
    ps = []
    for _ in range(60):
        cuts, events = np.sort(rng.uniform(0, 60, 12)), np.sort(rng.uniform(0, 60, 80))
        ps.append(compare(lambda e, c=cuts: share_met(c, e, 0.1), events, 60.0, rng=rng, n_offsets=99).p)
    assert np.mean(np.array(ps) <= 0.05) <= 0.12
    assert np.mean(ps) > 0.4


def test_ranks_share_ties() -> None:
    np.testing.assert_array_equal(ranks(times(10, 30, 10, 20)), times(1.5, 4, 1.5, 3))


def test_spearman_of_known_pairs() -> None:
    a = times(86, 97, 99, 100, 101, 103, 106, 110, 112, 113)
    b = times(2, 20, 28, 27, 50, 29, 7, 17, 6, 12)
    assert spearman(a, b) == pytest.approx(
        -29 / 165
    )  # IQ against hours of television, the textbook's example
    assert spearman(a, a**3) == pytest.approx(1.0)
    assert spearman(a, -a) == pytest.approx(-1.0)
    assert math.isnan(spearman(a, np.ones(10)))
    assert math.isnan(spearman(a[:2], b[:2]))
    with pytest.raises(ValueError, match="against"):
        spearman(a, b[:3])


def test_smooth_unrelated_curves_are_not_taken_for_related() -> None:
    """What the circular shift is for: with independent values assumed, most of these would be significant."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        a, b = (np.convolve(rng.normal(size=140), np.ones(20), "valid") for _ in range(2))
        found.append(circular_shift_test(a, b, 4).p)
    assert np.mean(np.array(found) <= 0.05) <= 0.15


def test_a_curve_that_follows_is_seen() -> None:
    rng = np.random.default_rng(0)
    a = np.convolve(rng.normal(size=140), np.ones(10), "valid")
    found = circular_shift_test(a, np.exp(a) + 0.01 * rng.normal(size=len(a)), 4)
    assert found.rho > 0.9
    assert found.p < 0.02
    assert abs(found.null_mean) < 0.2
    assert math.isnan(circular_shift_test(np.ones(50), a[:50], 4).rho)
    assert math.isnan(circular_shift_test(a[:6], a[:6], 4).p)


# A whole film: clicks for music, louder ones at the cuts.

FPS, DURATION, BPM = 25.0, 32.0, 120.0
CUTS = (6.0, 13.0, 21.0, 26.5)


def analysis_of(motion: np.ndarray | None = None) -> Analysis:
    flat = Curve(4.0, np.full(round(4 * DURATION), 0.4, np.float32))
    borders = (0.0, *CUTS, DURATION)
    return Analysis(
        video="film.mp4", container="mp4", duration_s=DURATION, frame_rate=Fraction(25), n_frames=800,
        width=64, height=48, rotation=0, has_audio=False,
        shots=tuple(Shot(a, b) for a, b in pairwise(borders)),
        transitions=tuple(Transition(cut, "cut", cut, cut, 0.8) for cut in CUTS),
        motion=flat if motion is None else Curve(4.0, motion.astype(np.float32)),
        camera=flat, brightness=flat, saturation=flat, warmth=flat, speech_spans=(), source_lufs=None,
        has_music=False, thumbnails=(), warnings=(),
    )  # fmt: skip


def plan_of(valence: float = 0.3, key: str = "C") -> Plan:
    """16 steady bars at 120 BPM, a hit at every cut, energy rising."""
    bars = tuple(2.0 * bar for bar in range(17))
    sections = tuple(
        Section(
            start_s=bars[first], end_s=bars[last], start_bar=first, end_bar=last, role="theme", label="A",
            energy=0.5, valence=valence, arousal=0.1, tempo_bpm=BPM,
        )
        for first, last in ((0, 8), (8, 16))
    )  # fmt: skip
    hits = [
        Hit(time_s=cut, weight=0.8, source="cut", landed_s=cut, error_ms=0.0, on="beat", step=round(cut * 8))
        for cut in CUTS
    ]
    hits.append(Hit(time_s=30.1, weight=0.1, source="user"))  # dropped
    energy = tuple(np.linspace(0.1, 0.9, 64))
    return Plan(
        duration_s=DURATION, fps=FPS, key=key, style="piano", seed=0, bar_starts_s=bars, sections=sections,
        hits=tuple(hits), energy=energy, density=energy,
    )  # fmt: skip


def sound_of(onsets: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Short decaying noise at each onset, float32 (2, samples)."""
    rng = np.random.default_rng(0)
    burst = rng.normal(size=4800) * np.exp(-np.arange(4800) / 900)
    sound = np.zeros(round(DURATION * 48_000) + 4800)
    for at, gain in zip(np.rint(onsets * 48_000).astype(int), gains, strict=True):
        sound[at : at + 4800] += 0.2 * gain * burst
    return np.tile(sound[: round(DURATION * 48_000)], (2, 1)).astype(np.float32)


def write_film(
    folder: Path, onsets: np.ndarray, gains: np.ndarray, plan: Plan | None, notes: str = ""
) -> Path:
    """A film as `compose` leaves it; the film itself is never opened where the music lies beside it."""
    film = folder / "film.mp4"
    write_wav(film.with_suffix(".wav"), iter([sound_of(onsets, gains)]), round(DURATION * 48_000))
    if plan is not None:
        CueSheet(video="film.mp4", plan=plan).save(film.with_suffix(".cues.json"))
    if notes:
        write_midi(film.with_suffix(".mid"), notes)
    return film


def write_midi(path: Path, ending: str) -> None:
    """A scale, then the `ending` in the last bar: `tonic` = C major in root position, `open` = G major."""
    file, track = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack()
    file.tracks.append(track)
    for pitch in (60, 62, 64, 65, 67, 69, 71) * 8 + (72, 71, 69, 67):
        track.append(mido.Message("note_on", note=pitch, velocity=80))
        track.append(mido.Message("note_off", note=pitch, time=480))
    chord = (48, 64, 67, 72) if ending == "tonic" else (43, 59, 62, 67)
    track += [mido.Message("note_on", note=pitch, velocity=80) for pitch in chord]
    track += [mido.Message("note_off", note=pitch, time=1920 * (pitch == chord[0])) for pitch in chord]
    file.save(path)


BEATS = np.arange(0.0, DURATION, 0.5)
PLAIN = np.ones(len(BEATS))
AT_CUTS = np.where(np.isin(BEATS, CUTS), 4.0, 1.0)


def test_music_on_the_cuts(tmp_path: Path) -> None:
    film = write_film(tmp_path, BEATS, AT_CUTS, plan_of(), "tonic")
    found = measure(film, analysis=analysis_of())
    json.dumps(found, allow_nan=False)
    assert found["listened_to"] == "music"
    assert found["onsets"] == pytest.approx(len(BEATS), abs=2)
    for target in ("cuts", "hits"):
        assert found[target]["n"] == 4
        for kind in ("onset", "accent", "beat"):
            met = found[target]["met"][kind]
            assert met["1_frame"]["value"] == 1.0
            assert met["1_frame"]["random"] < 0.35
        assert found[target]["met"]["accent"]["1_frame"]["p"] <= 0.02
        assert found[target]["met"]["downbeat"]["1_frame"]["value"] == 0.25
        assert found[target]["accents_there"]["percentile"]["value"] > 0.9
        assert found[target]["accents_there"]["percentile"]["p"] <= 0.02
        assert found[target]["accents_there"]["strength_ratio"] > 1.2
    accents = found["cuts"]["tbiou"]["accent"]["40_ms"]
    assert accents["value"] > 3 * accents["random"]
    assert found["length"]["sound_frames"] == 0.0
    assert found["final_chord"] == {"in_triad": 1.0, "bass_is_tonic": True, "resolves": True}
    assert found["mood"]["tempo_heard_bpm"] == pytest.approx(120, rel=0.02)


def test_music_beside_the_cuts(tmp_path: Path) -> None:
    film = write_film(tmp_path, BEATS + 0.2, PLAIN, plan_of(), "open")
    found = measure(film, analysis=analysis_of())
    assert found["cuts"]["met"]["onset"]["100_ms"]["value"] == 0.0
    assert found["cuts"]["tbiou"]["onset"]["100_ms"]["value"] == 0.0
    assert found["cuts"]["met"]["onset"]["100_ms"]["p"] == 1.0
    assert found["cuts"]["accents_there"]["heard"] == 0.0
    assert found["cuts"]["met"]["beat"]["100_ms"]["value"] == 0.0
    assert found["final_chord"]["resolves"] is False


def test_rising_energy_is_heard_as_loudness(tmp_path: Path) -> None:
    film = write_film(tmp_path, BEATS, np.linspace(0.05, 4, len(BEATS)), plan_of())
    assert measure(film, analysis=analysis_of())["energy_loudness"]["rho"] > 0.95
    film = write_film(tmp_path, BEATS, np.linspace(4, 0.05, len(BEATS)), plan_of())
    assert measure(film, analysis=analysis_of())["energy_loudness"]["rho"] < -0.95


def test_motion_is_followed_by_density(tmp_path: Path) -> None:
    busy = np.repeat([0.1, 0.8, 0.1, 0.8], round(DURATION))
    dense = np.concatenate(
        [np.arange(a, a + 8, step) for a, step in ((0, 1), (8, 0.25), (16, 1), (24, 0.25))]
    )
    film = write_film(tmp_path, dense, np.ones(len(dense)), None)
    assert measure(film, analysis=analysis_of(busy))["motion_density"]["rho"] > 0.8
    assert measure(film, analysis=analysis_of(0.9 - busy))["motion_density"]["rho"] < -0.8
    assert measure(film, analysis=analysis_of())["motion_density"]["rho"] is None  # nothing moves


def test_another_systems_film_needs_no_sidecar(tmp_path: Path) -> None:
    film = write_film(tmp_path, BEATS, PLAIN, None)
    found = measure(film, analysis=analysis_of())
    assert found["hits"] is found["final_chord"] is found["energy_loudness"] is None
    assert set(found["cuts"]["met"]) == {"onset", "accent"}
    assert found["cuts"]["met"]["onset"]["1_frame"]["fixed_tempo"] is None
    assert found["mood"]["valence"] is None
    json.dumps(found, allow_nan=False)


def test_given_cuts_win(tmp_path: Path) -> None:
    film = write_film(tmp_path, BEATS, PLAIN, None)
    found = measure(film, analysis=analysis_of(), cuts_s=[0.75, 3.25])
    assert found["cuts"]["n"] == 2
    assert found["cuts"]["met"]["onset"]["100_ms"]["value"] == 0.0
    assert measure(film, analysis=analysis_of(), cuts_s=[])["cuts"]["met"]["onset"]["100_ms"]["value"] is None


def test_the_same_every_time_and_another_seed_only_moves_the_baseline(tmp_path: Path) -> None:
    film = write_film(tmp_path, BEATS, AT_CUTS, plan_of())
    first, again, other = (measure(film, analysis=analysis_of(), seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert (
        first["cuts"]["met"]["onset"]["100_ms"]["value"] == other["cuts"]["met"]["onset"]["100_ms"]["value"]
    )
    assert first != other


def test_silence_is_measured_too(tmp_path: Path) -> None:
    film = write_film(tmp_path, times(), times(), plan_of())
    found = measure(film, analysis=analysis_of())
    json.dumps(found, allow_nan=False)
    assert found["onsets"] == 0
    assert found["cuts"]["met"]["onset"]["100_ms"]["value"] == 0.0
    assert found["length"]["audible_frames"] == -DURATION * FPS
    assert found["mood"]["key_heard"] is None


def test_broken_sidecars_are_named(tmp_path: Path) -> None:
    film = write_film(tmp_path, BEATS, PLAIN, plan_of())
    film.with_suffix(".mid").write_bytes(b"MThd nothing")
    with pytest.raises(InputError, match=r"film\.mid"):
        measure(film, analysis=analysis_of())
    film.with_suffix(".cues.json").write_text("{")
    with pytest.raises(CueSheetError, match="cues"):
        measure(film, analysis=analysis_of())


def test_flat_keys() -> None:
    nested = {"a": {"b": 1, "c": {"value": 0.5, "p": None}}, "name": "x", "yes": True, "list": [1, 2]}
    assert flatten(nested) == {"a_b": 1.0, "a_c_value": 0.5, "yes": 1.0}


def test_mode_follows_valence_across_films() -> None:
    valences = np.linspace(-0.9, 0.9, 9)
    films = [
        {"mood": {"valence": v, "arousal": -v, "mode_margin_heard": v / 4, "tempo_bpm": 100 + 20 * v}}
        for v in valences
    ]
    films.append({"mood": {"valence": None, "arousal": None, "mode_margin_heard": 0.1, "tempo_bpm": None}})
    found = across_films(films)
    assert found["mode_valence"]["rho"] == 1.0
    assert found["mode_valence"]["n"] == 9
    assert found["mode_valence"]["p"] == pytest.approx(1 / 2001, abs=1e-3)
    assert found["tempo_arousal"]["rho"] == -1.0
    assert across_films(films[:2])["mode_valence"]["rho"] is None
