"""The finished film: picture untouched, everything else kept, sound at its loudness and in time."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyloudnorm
import pytest
from scipy.signal import resample_poly

from diffbgm.errors import InputError, OutputError
from diffbgm.options import ComposeOptions
from diffbgm.sound.check import check_sound
from diffbgm.sound.finish import Finished, finish
from diffbgm.sound.mux import Provenance, check_container
from diffbgm.sound.source import SourceSound, first_frame_s
from diffbgm.sound.synth import Music

from ..media import make_video, texture
from .conftest import RATE, Sound, decode, raw_music, sine, tone_db
from .films import Extras, enrich, film, pictures, repacked

SECONDS = 3.2
PROVENANCE = Provenance("0.1.0", "stand-in", 7)
Play = Callable[[float], Music]


def compose(source: Path, output: Path, music: Music, **options: object) -> Finished:
    return finish(source, output, music, (), ComposeOptions(**options), PROVENANCE)  # type: ignore[arg-type]


def true_peak_db(sound: Sound) -> float:
    """Another way than the one under test: eightfold polyphase oversampling."""
    return float(20 * np.log10(np.abs(resample_poly(sound.astype(float), 8, 1, axis=1)).max()))


def lufs(sound: Sound) -> float:
    return float(pyloudnorm.Meter(RATE).integrated_loudness(sound.T.astype(float)))


def streams(path: Path) -> list[tuple[str, str]]:
    with av.open(str(path)) as container:
        return [(s.type, s.codec_context.name if s.codec_context else str(s.name)) for s in container.streams]


@pytest.mark.parametrize(
    ("suffix", "codec", "own", "sound_codec"),
    [
        (".mp4", "libx264", None, "aac"),
        (".mp4", "libx265", "aac", "aac"),
        (".mp4", "libsvtav1", "aac", "aac"),
        (".mp4", "libvpx-vp9", "aac", "aac"),
        (".mp4", "mpeg4", "aac", "aac"),
        (".mov", "libx264", "aac", "aac"),
        (".mov", "libx265", None, "aac"),
        (".mov", "prores_ks", "aac", "aac"),
        (".mkv", "libx264", "aac", "aac"),
        (".mkv", "libx265", None, "aac"),
        (".mkv", "libsvtav1", "libopus", "aac"),
        (".webm", "libvpx", "libopus", "opus"),
        (".webm", "libvpx-vp9", None, "opus"),
        (".webm", "libsvtav1", "libopus", "opus"),
    ],
)
def test_picture_is_copied_bit_by_bit(
    suffix: str, codec: str, own: str | None, sound_codec: str, tmp_path: Path, music_of: Play
) -> None:
    audio = {} if own is None else {"audio": "tone", "audio_codec": own}
    source = film(tmp_path / f"in{suffix}", codec=codec, **audio)
    output = tmp_path / f"out{suffix}"
    done = compose(source, output, music_of(SECONDS))
    assert pictures(output) == pictures(source)
    assert streams(output)[-1] == ("audio", sound_codec)
    assert done.n_frames == round(10 * SECONDS)
    assert done.warnings == ()
    with av.open(str(output)) as container:
        picture = container.streams.video[0]
        assert next(container.decode(picture)).width == 96
        if codec == "libx265" and suffix in (".mp4", ".mov"):
            assert picture.codec_context.codec_tag == "hvc1"
        if codec == "prores_ks":
            with av.open(str(source)) as old:
                assert picture.codec_context.codec_tag == old.streams.video[0].codec_context.codec_tag


@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "mpeg4"), (".mpg", "mpeg2video")])
def test_other_containers_go_into_matroska(suffix: str, codec: str, tmp_path: Path, music_of: Play) -> None:
    shots = [(SECONDS, texture(1))]
    source = make_video(tmp_path / f"in{suffix}", shots, fps=25, size=(96, 64), codec=codec, audio="tone")
    output = tmp_path / "out.mkv"
    compose(source, output, music_of(SECONDS))
    old, new = pictures(source)[0], pictures(output)[0]
    assert new.hashes == old.hashes
    np.testing.assert_allclose(
        np.sort(np.asarray(new.times_s, float)), np.arange(len(new.times_s)) / 25, atol=0.001
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("start_s", [0.0, 1.5])
def test_sound_begins_with_the_picture(suffix: str, start_s: float, tmp_path: Path) -> None:
    """Clicks in music and film sound stay where they were, counted from the first frame."""
    clicks = np.zeros((2, round(SECONDS * RATE)), np.float32)
    clicks[:, RATE // 2 :: RATE] = 0.9
    hum = sine(200, -30.0, SECONDS)
    music = raw_music(tmp_path / "music.f32", clicks + hum)
    source = film(tmp_path / f"in{suffix}", audio=np.roll(clicks, RATE // 4, axis=1), start_s=start_s)
    output = tmp_path / f"out{suffix}"
    compose(source, output, music)
    heard = SourceSound(output, "stereo", first_frame_s(output), clicks.shape[1])
    sound = np.abs(np.concatenate(list(heard.blocks()), axis=1)[0])
    for second in range(int(SECONDS)):
        for offset in (0.5, 0.75):  # the music's click, the film's click
            middle = round((second + offset) * RATE)
            window = sound[middle - 2000 : middle + 2000]
            # The film's own click may be 1 ms off in the source already, as mp4 writes its start.
            allowed = 10 if offset == 0.5 else 100
            assert abs(int(np.argmax(window)) - 2000) <= allowed, f"{second + offset} s is off"


@pytest.mark.parametrize(
    ("suffix", "mode", "target"),
    [
        (".mp4", "keep", -14.0),
        (".mp4", "drop", -16.0),
        (".mov", "duck", -23.0),
        (".mkv", "keep", -16.0),
        (".webm", "keep", -23.0),
        (".webm", "duck", -14.0),
    ],
)
def test_loudness_and_true_peak_of_the_decoded_file(
    suffix: str, mode: str, target: float, tmp_path: Path, music_of: Play
) -> None:
    source = film(tmp_path / f"in{suffix}", audio="tone")
    output = tmp_path / f"out{suffix}"
    done = compose(source, output, music_of(SECONDS), loudness=target, original_audio=mode)
    sound = decode(output)
    assert lufs(sound) == pytest.approx(target, abs=0.5)
    assert true_peak_db(sound) <= -0.7
    assert done.loudness_lufs == pytest.approx(lufs(sound), abs=0.15)
    assert done.true_peak_dbtp == pytest.approx(true_peak_db(sound), abs=0.4)
    assert done.warnings == ()


def test_loud_and_peaky_music_is_encoded_again_until_it_keeps_its_peak(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = 0.05 * rng.standard_normal((2, round(SECONDS * RATE)))
    noise[:, ::6000] = 1.0
    music = raw_music(tmp_path / "music.f32", noise.astype(np.float32))
    output = tmp_path / "out.mp4"
    compose(film(tmp_path / "in.mp4"), output, music, loudness=-9.0)
    sound = decode(output)
    assert true_peak_db(sound) <= -0.7
    assert lufs(sound) == pytest.approx(-9.0, abs=0.5)


def test_a_target_out_of_reach_is_said(tmp_path: Path) -> None:
    clicks = np.zeros((2, round(SECONDS * RATE)), np.float32)
    clicks[:, ::24000] = 0.5
    music = raw_music(tmp_path / "music.f32", clicks)
    done = compose(film(tmp_path / "in.mp4"), tmp_path / "out.mp4", music, loudness=-5.0)
    assert done.true_peak_dbtp is not None
    assert done.true_peak_dbtp <= -0.7
    assert [warning for warning in done.warnings if "LUFS instead of -5.0" in warning]


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo"), (6, "5.1")])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_own_channel_layout(channels: int, layout: str, suffix: str, tmp_path: Path, music_of: Play) -> None:
    source = film(tmp_path / f"in{suffix}", audio=sine(440, -20.0, SECONDS, channels))
    output = tmp_path / f"out{suffix}"
    done = compose(source, output, music_of(SECONDS))
    with av.open(str(output)) as container:
        sound = container.streams.audio[0]
        assert (sound.layout.name, sound.sample_rate) == (layout, RATE)
    assert done.loudness_lufs == pytest.approx(-14.0, abs=0.5)


def test_mono_telephone_sound(tmp_path: Path, music_of: Play) -> None:
    path = tmp_path / "in.mkv"
    picture = film(tmp_path / "picture.mkv")
    with av.open(str(picture)) as old, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
        stream = new.add_stream("pcm_s16le", rate=8000, layout="mono")
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
        wave = (3000 * np.sin(2 * np.pi * 700 * np.arange(8000 * SECONDS) / 8000)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
        frame.sample_rate, frame.pts = 8000, 0
        new.mux(stream.encode(frame))
        new.mux(stream.encode(None))
    output = tmp_path / "out.mkv"
    silence = raw_music(tmp_path / "music.f32", np.zeros((2, round(SECONDS * RATE)), np.float32))
    compose(path, output, silence, loudness=-20)
    sound = decode(output)
    assert sound.shape[0] == 1
    assert tone_db(sound[:, RATE // 2 : 5 * RATE // 2], 700) == pytest.approx(-17.0, abs=1.5)


def test_keep_and_drop_are_heard(tmp_path: Path) -> None:
    music = raw_music(tmp_path / "music.f32", sine(1000, -20.0, SECONDS))
    source = film(tmp_path / "in.mp4", audio="tone")  # 440 Hz
    tones = {}
    for mode in ("keep", "duck", "drop"):
        compose(source, tmp_path / f"{mode}.mp4", music, original_audio=mode)
        sound = decode(tmp_path / f"{mode}.mp4")[:, RATE // 2 : 5 * RATE // 2]
        tones[mode] = tone_db(sound, 440) - tone_db(sound, 1000)
    assert tones["keep"] > tones["duck"] + 10
    assert tones["duck"] < -8
    assert tones["drop"] < -60


def test_further_sound_tracks_are_copied_but_not_with_drop(tmp_path: Path, music_of: Play) -> None:
    plain = film(tmp_path / "plain.mp4", audio=sine(500, -20.0, SECONDS, 6))
    source = enrich(plain, tmp_path / "in.mp4", Extras(sounds=[sine(300, -20.0, SECONDS, 1)]))
    compose(source, tmp_path / "keep.mp4", music_of(SECONDS))
    np.testing.assert_array_equal(decode(tmp_path / "keep.mp4", 1), decode(source, 1))
    with av.open(str(tmp_path / "keep.mp4")) as container:
        assert [s.language for s in container.streams.audio] == ["und", "deu"]
    compose(source, tmp_path / "drop.mp4", music_of(SECONDS), original_audio="drop")
    assert [kind for kind, _ in streams(tmp_path / "drop.mp4")] == ["video", "audio"]
    with av.open(str(tmp_path / "drop.mp4")) as container:
        assert container.streams.audio[0].layout.name == "stereo"


@pytest.mark.parametrize(
    ("suffix", "subtitles"),
    [(".mp4", "mov_text"), (".mov", "mov_text"), (".mkv", "subrip"), (".webm", "webvtt")],
)
def test_subtitles_and_chapters_are_kept(suffix: str, subtitles: str, tmp_path: Path, music_of: Play) -> None:
    plain = film(tmp_path / f"plain{suffix}", audio="tone")
    source = enrich(plain, tmp_path / f"in{suffix}", Extras(subtitles=subtitles, chapters=True))
    output = tmp_path / f"out{suffix}"
    compose(source, output, music_of(SECONDS))

    def words(path: Path) -> list[tuple[float, bytes]]:
        with av.open(str(path)) as container:
            track = container.streams.subtitles[0]
            assert track.language == "eng"
            packets = [p for p in container.demux(track) if p.size and b"hello" in bytes(p)]
            return [(float(p.pts * p.time_base), bytes(p)) for p in packets]

    assert words(output) == words(source)
    assert len(words(output)) == 2
    with av.open(str(output)) as container:
        chapters = [
            (c["metadata"]["title"], float(c["start"] * c["time_base"])) for c in container.chapters()
        ]
    assert chapters == [("One", 0.0), ("Two", 2.0)]


@pytest.mark.parametrize(
    ("old", "codec", "new", "expected"),
    [
        (".mp4", "mov_text", ".mkv", b"hello"),
        (".mkv", "subrip", ".mp4", b"\x00\x05hello"),
        (".mkv", "subrip", ".mov", b"\x00\x05hello"),
    ],
)
def test_subtitles_change_their_form_with_the_container(
    old: str, codec: str, new: str, expected: bytes, tmp_path: Path, music_of: Play
) -> None:
    source = enrich(film(tmp_path / f"plain{old}"), tmp_path / f"in{old}", Extras(subtitles=codec))
    output = tmp_path / f"out{new}"
    done = compose(source, output, music_of(SECONDS))
    assert done.warnings == ()
    with av.open(str(output)) as container:
        track = container.streams.subtitles[0]
        assert track.language == "eng"
        packets = [p for p in container.demux(track) if p.size and b"hello" in bytes(p)]
        assert [bytes(p) for p in packets] == [expected, expected]
        assert [float(p.pts * p.time_base) for p in packets] == pytest.approx([0.5, 2.5], abs=0.002)
        assert [float(p.duration * p.time_base) for p in packets] == pytest.approx([1.0, 0.7], abs=0.31)


def test_all_picture_tracks_attachments_and_covers_are_kept(tmp_path: Path, music_of: Play) -> None:
    extras = Extras(attachment=True, cover=True, second_picture=True)
    source = enrich(film(tmp_path / "plain.mkv", audio="tone"), tmp_path / "in.mkv", extras)
    output = tmp_path / "out.mkv"
    done = compose(source, output, music_of(SECONDS))
    assert done.warnings == ()
    assert pictures(output) == pictures(source)
    with av.open(str(output)) as container:
        assert [s.data for s in container.streams.attachments] == [b"not really a font"]
        assert len(container.streams.video) == 3


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_kept(rotation: int, tmp_path: Path, music_of: Play) -> None:
    source = film(tmp_path / "in.mp4", rotation=rotation)
    output = tmp_path / "out.mp4"
    compose(source, output, music_of(SECONDS))
    turned = []
    for path in (source, output):
        with av.open(str(path)) as container:
            turned.append(next(container.decode(video=0)).rotation)
    assert turned[0] == turned[1] != 0


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_metadata_is_kept_and_says_where_the_music_comes_from(
    suffix: str, tmp_path: Path, music_of: Play
) -> None:
    source = film(tmp_path / f"in{suffix}", metadata={"title": "Ein Film", "comment": "my own words"})
    output = tmp_path / f"out{suffix}"
    compose(source, output, music_of(SECONDS))
    with av.open(str(output)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert tags["title"] == "Ein Film"
    assert tags["comment"] == "my own words; Music generated by diffbgm 0.1.0 (weights stand-in, seed 7)"


def test_a_phones_own_tags_are_kept(tmp_path: Path, music_of: Play) -> None:
    plain = film(tmp_path / "plain.mov")
    source = tmp_path / "in.mov"
    with (
        av.open(str(plain)) as old,
        av.open(str(source), "w", container_options={"movflags": "use_metadata_tags"}) as new,
    ):
        copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
        new.metadata["com.apple.quicktime.make"] = "Fruit"
        for packet in old.demux():
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    compose(source, tmp_path / "out.mov", music_of(SECONDS))
    with av.open(str(tmp_path / "out.mov")) as container:
        assert container.metadata["com.apple.quicktime.make"] == "Fruit"
        assert "diffbgm" in container.metadata["comment"]


def test_mp4_can_be_played_while_it_loads(tmp_path: Path, music_of: Play) -> None:
    output = tmp_path / "out.mp4"
    compose(film(tmp_path / "in.mp4"), output, music_of(SECONDS))
    data = output.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_same_input_same_film(tmp_path: Path, music_of: Play) -> None:
    source = film(tmp_path / "in.mp4", audio="tone")
    compose(source, tmp_path / "one.mp4", music_of(SECONDS))
    compose(source, tmp_path / "two.mp4", music_of(SECONDS))
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_a_film_of_a_few_frames(tmp_path: Path, music_of: Play) -> None:
    source = film(tmp_path / "in.mp4", seconds=0.3, audio="tone")
    done = compose(source, tmp_path / "out.mp4", music_of(0.3))
    assert done.n_frames == 3
    assert done.true_peak_dbtp is None or done.true_peak_dbtp <= -0.7


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_holes_in_the_sound_are_skipped_and_the_rest_stays_in_time(how: str, tmp_path: Path) -> None:
    clicks = np.zeros((2, round(SECONDS * RATE)), np.float32)
    clicks[:, RATE // 2 :: RATE] = 0.9
    source = film(tmp_path / "in.mkv", audio=clicks + sine(200, -30, SECONDS))
    broken = tmp_path / "broken.mkv"
    with av.open(str(source)) as old, av.open(str(broken), "w") as new:
        copies = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
        for packet in old.demux():
            if packet.size:
                hole = packet.stream.type == "audio" and 1.0 < float(packet.pts * packet.time_base) < 2.0
                if not hole or how == "damaged":
                    data = b"\xff" * packet.size if hole else bytes(packet)
                    new.mux(repacked(packet, data, copies[packet.stream_index]))
    output = tmp_path / "out.mkv"
    silence = raw_music(tmp_path / "music.f32", np.zeros_like(clicks))
    done = compose(broken, output, silence)
    assert ["damaged packets of the film's sound" in warning for warning in done.warnings] == (
        [True] if how == "damaged" else []
    )
    heard = SourceSound(output, "stereo", first_frame_s(output), clicks.shape[1])
    sound = np.abs(np.concatenate(list(heard.blocks()), axis=1)[0])
    assert sound[round(1.2 * RATE) : round(1.8 * RATE)].max() < 0.05
    for second in (0.5, 2.5):
        window = sound[round(second * RATE) - 2000 : round(second * RATE) + 2000]
        assert abs(int(np.argmax(window)) - 2000) <= 48


def test_a_truncated_film_is_finished_as_far_as_it_goes(tmp_path: Path, music_of: Play) -> None:
    whole = film(tmp_path / "whole.mkv", audio="tone").read_bytes()
    source = tmp_path / "in.mkv"
    source.write_bytes(whole[: int(0.7 * len(whole))])
    done = compose(source, tmp_path / "out.mkv", music_of(2.0))
    assert 0 < done.n_frames < 40
    assert pictures(tmp_path / "out.mkv")[0].hashes == pictures(source)[0].hashes


def test_picture_that_the_container_cannot_hold(tmp_path: Path, music_of: Play) -> None:
    source, output = film(tmp_path / "in.mp4"), tmp_path / "out.webm"
    with pytest.raises(OutputError, match=r"\.webm cannot hold the film's picture \(h264\)"):
        check_container(source, output)
    with pytest.raises(OutputError, match=r"choose a name that ends in \.mkv"):
        compose(source, output, music_of(SECONDS))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
    check_container(source, tmp_path / "out.mkv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_folder_that_is_not_there(tmp_path: Path, music_of: Play) -> None:
    with pytest.raises(OutputError, match="its folder does not exist"):
        compose(film(tmp_path / "in.mp4"), tmp_path / "none" / "out.mp4", music_of(SECONDS))


def test_input_that_is_no_film(tmp_path: Path, music_of: Play) -> None:
    text = tmp_path / "in.mp4"
    text.write_text("just words")
    with pytest.raises(InputError):
        compose(text, tmp_path / "out.mp4", music_of(SECONDS))
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("room", [30_000, 1_300_000])
def test_a_full_disk_leaves_the_old_file(room: int, tmp_path: Path, music_of: Play) -> None:
    """The system refuses files beyond `room` bytes: first the mix in the working folder, then the film."""
    resource = pytest.importorskip("resource")
    music = music_of(SECONDS)
    source = make_video(tmp_path / "in.mov", [(SECONDS, texture(1))], codec="prores_ks", audio="tone")
    assert source.stat().st_size > room
    output = tmp_path / "out.mov"
    output.write_text("an older film")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OutputError, match="no room left to write it"):
            compose(source, output, music)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert output.read_text() == "an older film"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mov", "out.mov"]


def test_silences_are_found(tmp_path: Path) -> None:
    tone = sine(440, -20.0, SECONDS)
    tone[:, RATE : round(2.5 * RATE)] = 0.0
    music = raw_music(tmp_path / "music.f32", tone)
    done = compose(film(tmp_path / "in.mp4"), tmp_path / "out.mp4", music)
    assert len(done.silences) == 1
    assert done.silences[0] == pytest.approx((1.0, 2.5), abs=0.11)
    assert check_sound(tmp_path / "out.mp4").duration_s == pytest.approx(SECONDS, abs=0.03)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "bbb_opening_854x480_h264.mp4",
        "bbb_trailer_640x360_vp8.webm",
        "montage_everyday_720p.mkv",
        "nasa_webb_mirror_2tracks.mp4",
        "squirrel_720p_silent_track.mp4",
    ],
)
def test_real_films(name: str, shared: Path, tmp_path: Path, music_of: Play) -> None:
    source = shared / "data" / "videos" / name
    output = tmp_path / f"out{source.suffix}"
    done = finish(source, output, music_of(10.0), ((2.0, 5.0),), ComposeOptions(), PROVENANCE)
    assert pictures(output) == pictures(source)
    assert done.loudness_lufs == pytest.approx(-14.0, abs=0.5)
    assert done.true_peak_dbtp is not None
    assert done.true_peak_dbtp <= -0.7
    assert [kind for kind, _ in streams(output)] == [kind for kind, _ in streams(source)]
