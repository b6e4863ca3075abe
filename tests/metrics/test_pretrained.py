from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from diffbgm.errors import MissingToolError
from diffbgm.metrics.pretrained import ClapEmbedder, MertEmbedder, MusicnnEmbedder, open_embedder


def noise(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


@pytest.fixture
def transformers() -> ModuleType:
    pytest.importorskip("torch", reason="CLAP and MERT need torch")
    return pytest.importorskip("transformers", reason="CLAP and MERT need transformers")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_clap_from_a_local_folder(transformers: ModuleType, tmp_path: Path) -> None:
    """A tiny CLAP with random weights, saved and loaded as the published ones are."""
    audio = {
        "spec_size": 256, "patch_embeds_hidden_size": 16, "depths": [1, 1], "num_attention_heads": [1, 2],
        "hidden_size": 32, "window_size": 4, "num_mel_bins": 64, "projection_dim": 24,
        "fusion_type": None, "enable_fusion": False,
    }  # fmt: skip
    text = {
        "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "projection_dim": 24,
    }  # fmt: skip
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=24)
    transformers.ClapModel(config).save_pretrained(tmp_path)
    features = transformers.ClapFeatureExtractor(feature_size=64, truncation="rand_trunc", max_length_s=1)
    features.save_pretrained(tmp_path)
    embedder = ClapEmbedder(tmp_path, clip_s=1.0)
    assert embedder.rate == 48_000
    rows = embedder.embed(noise(2.5, embedder.rate))
    assert rows.shape == (2, 24)
    np.testing.assert_allclose(embedder.embed(noise(2.5, embedder.rate)), rows)
    assert not np.allclose(embedder.embed(noise(1.0, embedder.rate, seed=1)), rows[:1])
    assert embedder.embed(noise(0.5, embedder.rate)).shape[0] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mert_from_a_local_folder(transformers: ModuleType, tmp_path: Path) -> None:
    """A tiny HuBERT, the architecture that MERT's own code builds on."""
    config = transformers.HubertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8, 8), conv_stride=(5, 4), conv_kernel=(10, 8), num_feat_extract_layers=2,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    transformers.HubertModel(config).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=24_000).save_pretrained(tmp_path)
    embedder = MertEmbedder(tmp_path, clip_s=0.5)
    assert embedder.rate == 24_000
    assert embedder.embed(noise(1.2, embedder.rate)).shape == (2, 16)
    assert open_embedder("mert", tmp_path).name == "mert"


def test_a_folder_without_weights_is_one_line(transformers: ModuleType, tmp_path: Path) -> None:
    for name in ("clap", "mert"):
        with pytest.raises(MissingToolError, match=f"holds no weights that {name}"):
            open_embedder(name, tmp_path)


def test_missing_packages_and_folders_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "musicnn", None)
    monkeypatch.setitem(sys.modules, "musicnn.extractor", None)
    with pytest.raises(MissingToolError, match="pip install torch transformers"):
        open_embedder("clap", tmp_path)
    with pytest.raises(MissingToolError, match="pip install musicnn"):
        open_embedder("musicnn")
    with pytest.raises(MissingToolError, match="folder with its weights"):
        open_embedder("mert")
    with pytest.raises(ValueError, match="no embedder 'vgg'"):
        open_embedder("vgg")


def test_musicnn_reads_the_sound_and_gives_its_penultimate_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the package's own call: a file in, (taggram, tags, layers) out."""
    heard: list[int] = []

    def extractor(path: str, model: str, extract_features: bool) -> tuple[None, None, dict[str, np.ndarray]]:
        heard.append(Path(path).stat().st_size)
        assert (model, extract_features) == ("MTT_musicnn", True)
        return None, None, {"penultimate": np.ones((2, 200), np.float32)}

    package, module = ModuleType("musicnn"), ModuleType("musicnn.extractor")
    module.extractor = extractor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "musicnn", package)
    monkeypatch.setitem(sys.modules, "musicnn.extractor", module)
    embedder = MusicnnEmbedder()
    assert embedder.embed(noise(6, embedder.rate)).shape == (2, 200)
    assert heard == [44 + 2 * 6 * 16_000]
    assert embedder.embed(noise(1, embedder.rate)).shape == (0, 200)
