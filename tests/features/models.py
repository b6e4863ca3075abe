"""Tiny networks with random weights, saved in the layout of the Hugging Face hub."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

_LETTERS = [*string.ascii_lowercase, *string.digits, *".,'"]
_VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
_VOCABULARY += _LETTERS + [f"##{letter}" for letter in _LETTERS]


def save_clip(folder: Path, *, width: int = 512, size: int = 32, seed: int = 0) -> Path:
    """CLIP with image features of `width` numbers, for pictures of `size` pixels."""
    torch.manual_seed(seed)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**layers, "vocab_size": 40, "max_position_embeddings": 8},
        vision_config={**layers, "image_size": size, "patch_size": 16},
        projection_dim=width,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    side = {"height": size, "width": size}
    transformers.CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size=side).save_pretrained(folder)
    return folder


def save_blip(folder: Path, *, size: int = 32, seed: int = 0) -> Path:
    """BLIP's captioner with a vocabulary of letters: what it says is noise, but always the same."""
    torch.manual_seed(seed)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = _VOCABULARY.index
    config = transformers.BlipConfig(
        text_config={
            **layers,
            "encoder_hidden_size": 16,
            "vocab_size": len(_VOCABULARY),
            "max_position_embeddings": 64,
            "bos_token_id": words("[DEC]"),
            "eos_token_id": words("[SEP]"),
            "sep_token_id": words("[SEP]"),
            "pad_token_id": words("[PAD]"),
        },
        vision_config={**layers, "image_size": size, "patch_size": 16},
    )
    net = transformers.BlipForConditionalGeneration(config)
    # Large differences between the words, so that pictures are told apart.
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0.0, 0.5)
    net.save_pretrained(folder)
    side = {"height": size, "width": size}
    transformers.BlipImageProcessorPil(size=side).save_pretrained(folder)
    _save_tokenizer(folder, bos_token="[DEC]")
    return folder


def save_bert(folder: Path, *, width: int = 768, seed: int = 0, longest: int = 64) -> Path:
    """BERT whose rows have `width` numbers."""
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(_VOCABULARY),
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=longest,
        initializer_range=0.1,
    )
    transformers.BertModel(config).save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


def save_word_bert(folder: Path, moods: dict[str, tuple[float, float]], *, seed: int = 0) -> Path:
    """BERT with a vocabulary of whole words whose first two numbers are valence and arousal, the rest noise.

    moods: of every word, or group of words, that the model knows.
    """
    torch.manual_seed(seed)
    values: dict[str, list[tuple[float, float]]] = {}
    for entry, value in moods.items():
        for word in entry.split():
            values.setdefault(word, []).append(value)
    vocabulary = [*_VOCABULARY[:5], *values]
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    net = transformers.BertModel(config)
    with torch.no_grad():
        table = net.embeddings.word_embeddings.weight
        table.normal_(0.0, 0.4)
        for row, said in enumerate(values.values(), start=5):
            table[row, :2] = 2.0 * torch.tensor(said).mean(dim=0)
    net.save_pretrained(folder)
    _save_tokenizer(folder, vocabulary)
    return folder


def as_pickle(folder: Path) -> Path:
    """The same weights in the older form, a pickle of tensors."""
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    return folder


def _save_tokenizer(folder: Path, vocabulary: Sequence[str] = _VOCABULARY, **special: str) -> None:
    """As google-bert/bert-base-uncased has it: a vocabulary and what kind of tokenizer reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
