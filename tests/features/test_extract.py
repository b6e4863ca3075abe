"""From a film to its features with tiny models: rows, captions, cache, stopping and going on, command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="features need torch")
pytest.importorskip("transformers", reason="features need transformers")

import torch
import transformers
from safetensors.torch import load_file, save_file

from diffbgm.errors import InputError, OptionError, OutputError
from diffbgm.features import captioner, visual
from diffbgm.features.captioner import Captioner, CaptionSettings
from diffbgm.features.extract import FeatureSettings, extract
from diffbgm.features.film_features import FilmFeatures, sha256_of
from diffbgm.features.frames import pictures_at
from diffbgm.features.language import LanguageEncoder, Pooling, language_rows
from diffbgm.features.models import find_model
from diffbgm.features.visual import VisualEncoder, VisualSettings, pool, sample_times

from ..conftest import CHECKOUT, Run
from .conftest import Folders
from .models import save_bert, save_clip


def of(tiny: Folders, **changes: object) -> FeatureSettings:
    plain = FeatureSettings(visual=str(tiny.clip), captioner=str(tiny.blip), language=str(tiny.bert))
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which auto classes have loaded a network since the test began."""
    from diffbgm.features.models import Model

    loaded: list[str] = []
    load = Model.load

    def counted(self: Model, kind: type, **options: str | None) -> object:
        loaded.append(kind.__name__)
        return load(self, kind, **options)

    monkeypatch.setattr(Model, "load", counted)
    return loaded


# ---- the parts


def test_a_batch_gives_what_single_pictures_give(tiny: Folders, three_shots: Path) -> None:
    """Also across the border between two batches."""
    pictures = list(pictures_at(three_shots, np.linspace(0.0, 6.0, visual._BATCH + 3).tolist()))
    encoder = VisualEncoder(find_model(str(tiny.clip), "visual"))
    together = encoder.embed(pictures)
    alone = np.concatenate([encoder.embed([each]) for each in pictures])
    assert together.shape == (len(pictures), 512)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-6)


def test_image_features_are_those_of_the_library(tiny: Folders, three_shots: Path) -> None:
    (picture,) = pictures_at(three_shots, [1.0])
    net = transformers.CLIPModel.from_pretrained(tiny.clip).eval()
    processor = transformers.CLIPImageProcessorPil.from_pretrained(tiny.clip)
    with torch.no_grad():
        outputs = net.vision_model(**processor(images=picture, return_tensors="pt"))
        projected = net.visual_projection(outputs.pooler_output)[0]
    expected = (projected / projected.norm()).numpy()
    found = VisualEncoder(find_model(str(tiny.clip), "visual")).embed([picture])[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rows_pool_the_frames_of_their_time() -> None:
    frames = np.array([[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]], np.float32)
    np.testing.assert_allclose(pool(frames, 2), [[0.5**0.5, 0.5**0.5], [1, 0], [0, 1]], atol=1e-6)
    settings = VisualSettings(hz=2.0, frames=2)
    assert sample_times(1.0, settings) == [0.125, 0.375, 0.625, 0.875]
    assert sample_times(0.05, settings) == [0.125]
    assert len(sample_times(1.13, settings)) == 5


def test_captions_are_the_same_in_a_batch_and_alone(tiny: Folders, three_shots: Path) -> None:
    pictures = list(pictures_at(three_shots, np.linspace(0.0, 6.0, captioner._BATCH + 2).tolist()))
    describer = Captioner(find_model(str(tiny.blip), "captioner"), CaptionSettings(max_tokens=8))
    together = describer.describe(pictures)
    assert together == [describer.describe([each])[0] for each in pictures]
    assert len(set(together)) > 1, "what is said depends on the picture"
    assert not any("[" in text for text in together), "no special tokens"


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_language_rows_do_not_depend_on_their_neighbours(tiny: Folders, pooling: Pooling) -> None:
    """Padding must not count: short texts stand beside long ones, over more than one batch."""
    texts = ["a dog", "x", "", "a very long sentence " * 30, *(f"number {k}" for k in range(40))]
    encoder = LanguageEncoder(find_model(str(tiny.bert), "language"), pooling)
    together = encoder.embed(texts)
    alone = np.concatenate([encoder.embed([text]) for text in texts])
    assert together.shape == (len(texts), 768)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_the_poolings_are_what_they_are_called(tiny: Folders) -> None:
    net = transformers.BertModel.from_pretrained(tiny.bert).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(tiny.bert)("a dog runs", return_tensors="pt")
    with torch.no_grad():
        found = net(**tokens)
    expected = {
        "mean": found.last_hidden_state[0].mean(0),
        "cls": found.last_hidden_state[0, 0],
        "pooler": found.pooler_output[0],
    }
    model = find_model(str(tiny.bert), "language")
    for pooling, row in expected.items():
        rows = LanguageEncoder(model, pooling).embed(["a dog runs"])  # type: ignore[arg-type]
        np.testing.assert_allclose(rows[0], row.numpy(), atol=1e-5)


def test_a_model_without_a_pooler(tmp_path: Path) -> None:
    """Fine for the mean, refused where its output is asked for."""
    folder = save_bert(tmp_path / "bert", width=16)
    net = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False)
    net.save_pretrained(folder)
    model = find_model(str(folder), "language")
    assert language_rows(["a dog"], model, "mean", tmp_path / "cache").shape == (1, 16)
    with pytest.raises(Exception, match=r"2 tensors are missing, such as pooler\.dense"):
        language_rows(["a dog"], model, "pooler", tmp_path / "cache")


def test_folders_as_they_were_published(tiny: Folders, tmp_path: Path, three_shots: Path) -> None:
    """The hub's CLIP and BERT are older than today's names: of settings, of tensors, of their prefix."""
    clip = Path(shutil.copytree(tiny.clip, tmp_path / "clip"))
    old: dict[str, object] = {
        "crop_size": 32,
        "size": 32,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
    }
    (clip / "preprocessor_config.json").write_text(json.dumps(old), encoding="utf-8")
    pictures = list(pictures_at(three_shots, [1.0, 3.0]))
    rows = [VisualEncoder(find_model(str(each), "visual")).embed(pictures) for each in (tiny.clip, clip)]
    np.testing.assert_array_equal(rows[0], rows[1])

    bert = Path(shutil.copytree(tiny.bert, tmp_path / "bert"))
    tensors = load_file(bert / "model.safetensors")
    renamed = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for name, t in tensors.items()
    }
    renamed["bert.embeddings.position_ids"] = torch.arange(64)[None]
    renamed["cls.seq_relationship.bias"] = torch.zeros(2)
    save_file(renamed, bert / "model.safetensors", metadata={"format": "pt"})
    (bert / "tokenizer_config.json").write_text('{"do_lower_case": true}', encoding="utf-8")
    rows = [
        LanguageEncoder(find_model(str(each), "language"), "pooler").embed(["A dog runs"])
        for each in (tiny.bert, bert)
    ]
    np.testing.assert_array_equal(rows[0], rows[1])


# ---- the whole


@pytest.mark.usefixtures("no_network")
def test_features_of_a_film(tiny: Folders, three_shots: Path, tmp_path: Path, loads: list[str]) -> None:
    stages: list[tuple[str, float]] = []
    found = extract(three_shots, of(tiny), cache=tmp_path, progress=lambda *told: stages.append(told))
    assert found.film.sha256 == sha256_of(three_shots)
    assert found.duration_s == pytest.approx(6.0, abs=0.01)
    assert found.visual.shape == (6, 512)
    assert [shot.start_s for shot in found.shots] == pytest.approx([0.0, 2.0, 4.25], abs=0.05)
    assert [(c.start_s, c.end_s) for c in found.captions] == [(s.start_s, s.end_s) for s in found.shots]
    assert found.language.shape == (3, 768)
    assert (found.visual_by.name, found.captions_by.name, found.language_by.name) == ("clip", "blip", "bert")
    assert loads == ["AutoModel", "AutoModelForImageTextToText", "AutoModel"]
    done = [stage for stage, share in stages if share == 1.0]
    assert done == ["models", "shots", "visual", "captions", "language"]
    # Within a shot that stands still rows are the same, over a cut they are not.
    np.testing.assert_allclose(found.visual[0], found.visual[1], atol=1e-2)
    assert np.abs(found.visual[0] - found.visual[2]).max() > 2e-2

    loads.clear()
    again = extract(three_shots, of(tiny), cache=tmp_path)
    assert loads == [], "nothing is loaded for what is in the cache"
    assert again.about() == found.about()
    np.testing.assert_array_equal(again.visual, found.visual)
    np.testing.assert_array_equal(again.language, found.language)


def test_what_has_changed_is_made_anew(
    tiny: Folders, three_shots: Path, tmp_path: Path, loads: list[str]
) -> None:
    cache = tmp_path / "cache"
    first = extract(three_shots, of(tiny), cache=cache)
    loads.clear()
    assert len(extract(three_shots, of(tiny, visual_hz=2.0), cache=cache).visual) == 12
    assert loads == ["AutoModel"]
    loads.clear()
    other = save_clip(tmp_path / "clip", seed=1)
    changed = extract(three_shots, of(tiny, visual=str(other)), cache=cache)
    assert loads == ["AutoModel"]
    assert changed.visual_by != first.visual_by
    assert np.abs(changed.visual - first.visual).max() > 0.01
    loads.clear()
    several = extract(three_shots, of(tiny, caption=CaptionSettings(frames=3)), cache=cache)
    assert loads[0] == "AutoModelForImageTextToText"
    assert len(several.captions) == 3
    loads.clear()
    assert extract(three_shots, of(tiny, pooling="cls"), cache=cache).captions == first.captions
    assert loads == ["AutoModel"]


def test_given_captions_take_the_place_of_the_captioner(
    tiny: Folders, three_shots: Path, tmp_path: Path, loads: list[str]
) -> None:
    path = tmp_path / "film.srt"
    path.write_text(
        "1\n00:00:00,500 --> 00:00:03,000\nA sad dog.\n\n2\n00:00:05,000 --> 00:01:00,000\nThe end.\n\n"
        "3\n00:00:09,000 --> 00:01:00,000\nLater.\n",
        encoding="utf-8",
    )
    settings = of(tiny, captions=path, captioner="nobody/has-this")
    found = extract(three_shots, settings, cache=tmp_path / "cache")
    assert [caption.text for caption in found.captions] == ["A sad dog.", "The end."]
    assert found.captions[-1].end_s == pytest.approx(6.0, abs=0.01)
    assert (found.captions_by.name, found.captions_by.sha256) == ("film.srt", sha256_of(path))
    assert loads == ["AutoModel", "AutoModel"]
    encoder = LanguageEncoder(find_model(str(tiny.bert), "language"))
    np.testing.assert_allclose(found.language, encoder.embed(["A sad dog.", "The end."]), atol=1e-6)
    path.write_text("1\n00:10:00,000 --> 00:11:00,000\nA sad dog.\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"film\.srt: all captions begin after the film's end at 6\.00 s"):
        extract(three_shots, settings, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "width", "message"),
    [
        ("visual", 640, "option visual: odd gives 640 numbers a row, the paper's networks take 512"),
        ("language", 24, "option language: odd gives 24 numbers a row, the paper's networks take 768"),
    ],
)
def test_other_widths_are_refused_unless_wanted(
    tiny: Folders, three_shots: Path, tmp_path: Path, loads: list[str], change: str, width: int, message: str
) -> None:
    save = {"visual": save_clip, "language": save_bert}[change]
    settings = of(tiny, **{change: str(save(tmp_path / "odd", width=width))})
    with pytest.raises(OptionError, match=message):
        extract(three_shots, settings, cache=tmp_path / "cache")
    assert loads == [], "told before any work is done"
    found = extract(three_shots, replace(settings, any_width=True), cache=tmp_path / "cache")
    assert getattr(found, change).shape[1] == width


def test_a_width_that_the_configuration_does_not_tell(
    tiny: Folders, three_shots: Path, tmp_path: Path
) -> None:
    """As SigLIP's, which has no `projection_dim`: found at the first rows, and nothing of it is kept."""
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.SiglipConfig(
        text_config={**layers, "vocab_size": 40, "max_position_embeddings": 8},
        vision_config={**layers, "image_size": 32, "patch_size": 16},
    )
    folder = tmp_path / "siglip"
    transformers.SiglipModel(config).save_pretrained(folder)
    side = {"height": 32, "width": 32}
    transformers.SiglipImageProcessorPil(size=side).save_pretrained(folder)
    settings = of(tiny, visual=str(folder))
    with pytest.raises(OptionError, match="siglip gives 16 numbers a row"):
        extract(three_shots, settings, cache=tmp_path / "cache")
    found = extract(three_shots, replace(settings, any_width=True), cache=tmp_path / "cache")
    assert found.visual.shape == (6, 16)
    with pytest.raises(OptionError, match="siglip gives 16 numbers a row"):
        extract(three_shots, settings, cache=tmp_path / "cache")


def test_a_model_that_sees_nothing(tiny: Folders, three_shots: Path, tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "blind", width=512)
    side = {"height": 32, "width": 32}
    transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side).save_pretrained(folder)
    with pytest.raises(OptionError, match="option visual: blind has no image features"):
        extract(three_shots, of(tiny, visual=str(folder)), cache=tmp_path / "cache")


def test_no_place_for_the_cache(tiny: Folders, three_shots: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OutputError, match=r"the cache cannot be kept here .* set XDG_CACHE_HOME"):
        extract(three_shots, of(tiny), cache=tmp_path / "file")


# ---- stopped and gone on

KILLED = """
import os, signal, sys
sys.path.insert(0, {checkout!r})
from pathlib import Path
from diffbgm.features.extract import FeatureSettings, extract
from diffbgm.features.kept import Kept

def kill(self, index, value, keep=Kept.{kept_method}):
    keep(self, index, value)
    if index == 1:
        os.kill(os.getpid(), signal.SIGKILL)

Kept.{kept_method} = kill
settings = FeatureSettings({visual!r}, {captioner!r}, {language!r}, visual_hz=30.0, visual_frames=1)
extract(Path({film!r}), settings, cache=Path({cache!r}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_run_goes_on_where_it_was(
    tiny: Folders, three_shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """180 visual rows are three pieces; the process is killed once two of them are kept."""
    program = KILLED.format(
        checkout=str(CHECKOUT), kept_method="keep_rows",
        film=str(three_shots), visual=str(tiny.clip), captioner=str(tiny.blip), language=str(tiny.bert),
        cache=str(tmp_path / "cache"),
    )  # fmt: skip
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=120)
    assert killed.returncode == -9, killed.stderr.decode()
    seen: list[int] = []
    embed = VisualEncoder.embed

    def counted(self: VisualEncoder, pictures: object) -> np.ndarray:
        rows = embed(self, pictures)  # type: ignore[arg-type]
        seen.append(len(rows))
        return rows

    monkeypatch.setattr(VisualEncoder, "embed", counted)
    settings = of(tiny, visual_hz=30.0, visual_frames=1)
    resumed = extract(three_shots, settings, cache=tmp_path / "cache")
    assert seen == [180 - 2 * visual._ROWS_A_PIECE]
    seen.clear()
    whole = extract(three_shots, settings, cache=tmp_path / "elsewhere")
    assert sum(seen) == 180
    np.testing.assert_allclose(resumed.visual, whole.visual, atol=1e-6)
    assert resumed.about() == whole.about()


def test_lost_pieces_are_made_again_and_only_they(
    tiny: Folders, three_shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captioner, "_SHOTS_A_PIECE", 1)
    whole = extract(three_shots, of(tiny), cache=tmp_path)
    pieces = {path for path in tmp_path.rglob("00001.json") if path.with_name("00002.json").exists()}
    assert len(pieces) == 1
    pieces.pop().write_bytes(b"[broken")
    described: list[int] = []
    describe = Captioner.describe

    def counted(self: Captioner, pictures: object) -> list[str]:
        said = describe(self, pictures)  # type: ignore[arg-type]
        described.append(len(said))
        return said

    monkeypatch.setattr(Captioner, "describe", counted)
    again = extract(three_shots, of(tiny), cache=tmp_path)
    assert described == [1]
    assert again.captions == whole.captions


# ---- the command


def test_the_command(
    diffbgm: Callable[..., Run], tiny: Folders, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(film.parent / "cache"))
    models = ("--visual", tiny.clip, "--captioner", tiny.blip, "--language", tiny.bert)
    run = diffbgm("features", film, *models, "--json")
    assert run.code == 0, run.err
    said = json.loads(run.out)
    path = film.parent / "film.features.npz"
    assert said["features"] == str(path)
    assert said["visual_rows"] == 6
    loaded = FilmFeatures.load(path)
    loaded.check_film(film)
    assert [vars(caption) for caption in loaded.captions] == said["captions"]
    assert (film.parent / "cache" / "diffbgm" / "features").is_dir()

    run = diffbgm("features", film, *models)
    assert (run.code, run.err.count("\n")) == (6, 1)
    assert "exists already" in run.err
    run = diffbgm("features", film, *models, "--force", "--caption-frames", 2, "-o", path)
    assert run.code == 0, run.err
    assert run.out.splitlines()[0] == str(path)
    assert "6 visual rows, 512 wide, by clip" in run.out


def test_the_command_without_models(
    diffbgm: Callable[..., Run], film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = diffbgm("features", film)
    assert run.code == 4
    assert run.err.count("\n") == 1
    assert run.err.startswith(
        "diffbgm: openai/clip-vit-base-patch32: config.json and preprocessor_config.json"
    )
    assert "hf download openai/clip-vit-base-patch32 --local-dir DIR` and give --visual DIR" in run.err
    assert not (film.parent / "film.features.npz").exists()
