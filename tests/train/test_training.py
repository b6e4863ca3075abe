from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training tests need torch: pip install 'diffbgm[train]'")
pytest.importorskip("onnx", reason="training tests need onnx: pip install 'diffbgm[train]'")

import onnx
import onnxruntime
import torch

from diffbgm.data.pop909 import Phrase, Song
from diffbgm.data.windows import WindowSource
from diffbgm.diffusion.denoiser import Guidance, predict
from diffbgm.diffusion.weights import open_weights
from diffbgm.train.export import INPUTS, example_inputs, export, halve, largest_difference, to_onnx
from diffbgm.train.loop import Recipe, Trainer, batches, collate, loss_of, loss_weights
from diffbgm.train.transformer import BeatTransformer, TransformerConfig, attention_mask

pytestmark = pytest.mark.train
SMALL = TransformerConfig(width=32, depth=2, heads=2, bottleneck=24)


def scale_song(seed: int, beats: int = 96) -> Song:
    """A made-up song in C major: a run of scale notes over held triads."""
    rng = np.random.default_rng(seed)
    bits = np.zeros((beats, 3, 2, 4, 88), bool)
    for beat in range(beats):
        bits[beat, 0, 0, 0, [39, 41, 43, 44, 46][rng.integers(5)]] = True
        bits[beat, 2, 0, 0, [27, 31, 34]] = True
        bits[beat, 2, 1, 1:, [27, 31, 34]] = True
    chroma = np.zeros((beats, 12), bool)
    chroma[:, [0, 4, 7]] = True
    return Song(
        song_id="000", bits=np.packbits(bits.reshape(beats, -1), axis=1),
        velocity=np.where(bits[:, :, 0].any(axis=-1), 80, 0).astype(np.uint8), chroma=chroma,
        bass=np.zeros(beats, np.int8), third=np.ones(beats, np.int8), tonic=np.zeros(beats, np.int8),
        minor=np.zeros(beats, bool), bpm=np.full(beats, 100, np.float32),
        phrases=(Phrase(0, 32, "A"), Phrase(32, 64, "B"), Phrase(64, 96, "A")),
    )  # fmt: skip


@pytest.fixture(scope="module")
def source() -> WindowSource:
    return WindowSource([scale_song(0), scale_song(1)])


def recipe(**changes: object) -> Recipe:
    base = Recipe(
        network=SMALL, steps=1_000_000, batch=4, warmup_steps=5, threads=1, learning_rate=3e-3, bfloat16=False
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def advance(trainer: Trainer, steps: int) -> list[float]:
    weights = loss_weights(trainer.recipe)
    stream = batches(trainer.train, trainer.recipe.batch, trainer.rng)
    return [trainer._update(next(stream), weights) for _ in range(steps)]


def test_a_beat_sees_the_tokens_of_its_own_segment_only() -> None:
    mask = torch.zeros(1, 4, 2, dtype=torch.bool)
    mask[0, :3, 0] = True
    mask[0, 3, 1] = True
    allowed = attention_mask(mask, n_semantic=2)[0, 0]
    assert allowed.shape == (4, 4 + 2 * 2)
    assert allowed[0].tolist() == [True, True, True, False, True, True, False, False]
    assert allowed[3].tolist() == [False, False, False, True, False, False, True, True]


def test_what_is_said_of_one_segment_reaches_another_only_through_the_music() -> None:
    """With self-attention silenced, a change in segment 1 leaves the beats of segment 0 as they were."""
    torch.manual_seed(0)
    network = BeatTransformer(SMALL).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for block in network.blocks:
            block.out.weight.zero_()
            block.out.bias.zero_()
    inputs = example_inputs(np.random.default_rng(0), batch=1, beats=16, segments=2)
    inputs["mask"] = np.repeat(np.eye(2, dtype=bool), 8, axis=0)[None]
    inputs["semantic"][:] = 1
    changed = dict(inputs, semantic=inputs["semantic"].copy())
    changed["semantic"][0, 1] = 2
    before, after = (
        network(*(torch.from_numpy(one[name]) for name in INPUTS)).detach().numpy()
        for one in (inputs, changed)
    )
    np.testing.assert_array_equal(before[0, :8], after[0, :8])
    assert np.abs(before[0, 8:] - after[0, 8:]).max() > 1e-4


def test_the_loss_of_the_truth_is_zero_and_velocities_count_only_at_onsets(source: WindowSource) -> None:
    window = source.windows[0]
    batch = collate([source.tokens(window)], [source.conditions(window)])
    weights = loss_weights(recipe())
    perfect = batch.tokens * 100
    perfect[..., 2112:2124] = batch.tokens[..., 2112:2124]
    assert float(loss_of(perfect, batch.tokens, weights)) == pytest.approx(0, abs=1e-6)
    wrong_silence = perfect.clone()
    wrong_silence[..., 2112 + 1] += 5  # second step of the melody: no onset there in this song
    assert float(loss_of(wrong_silence, batch.tokens, weights)) == pytest.approx(0, abs=1e-6)
    wrong_onset = perfect.clone()
    wrong_onset[..., 2112] += 2
    assert float(loss_of(wrong_onset, batch.tokens, weights)) == pytest.approx(0.5 * 4, rel=1e-5)


def test_training_learns_and_resumes_where_it_stopped(source: WindowSource, tmp_path) -> None:
    whole = Trainer(recipe(), source, source, tmp_path / "whole")
    losses = advance(whole, 40)
    assert np.mean(losses[-5:]) < 0.7 * losses[0]

    (tmp_path / "split").mkdir()
    first = Trainer(recipe(), source, source, tmp_path / "split")
    advance(first, 25)
    first.save()
    second = Trainer(recipe(seed=99), source, source, tmp_path / "split")
    second.resume()
    assert second.step == 25
    rest = advance(second, 15)
    np.testing.assert_allclose(rest, losses[25:], rtol=1e-5)
    for a, b in zip(whole.average.parameters(), second.average.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_batch(
    source: WindowSource, tmp_path
) -> None:
    trainer = Trainer(recipe(), source, source, tmp_path)
    with torch.no_grad():
        trainer.network.leave.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="step 0"):
        advance(trainer, 1)
    assert (tmp_path / "bad-batch.pt").exists()


@pytest.fixture(scope="module")
def trained(source: WindowSource, tmp_path_factory) -> BeatTransformer:
    trainer = Trainer(recipe(), source, source, tmp_path_factory.mktemp("run"))
    advance(trainer, 30)
    return trainer.network.eval()


def test_the_exported_graph_equals_the_network(trained: BeatTransformer, tmp_path) -> None:
    to_onnx(trained, tmp_path / "x.onnx")
    model = onnx.load(tmp_path / "x.onnx")
    assert largest_difference(trained, model.SerializeToString()) < 1e-4
    # and the comparison can fail
    with torch.no_grad():
        trained.leave.bias.add_(0.01)
    assert largest_difference(trained, model.SerializeToString()) > 5e-3
    with torch.no_grad():
        trained.leave.bias.sub_(0.01)
    half = halve(model).SerializeToString()
    assert largest_difference(trained, half) < 2e-2
    assert onnxruntime.InferenceSession(half).get_outputs()[0].name == "prediction"


def test_a_file_of_weights_is_opened_and_run_without_torch(
    trained: BeatTransformer, source: WindowSource, tmp_path
) -> None:
    sampling = {"guidance": 2.0, "eta": 0.5, "steps": 4, "selector": "both", "threshold": 0.364}
    path = export(trained, {"recipe": {}, "sampling": sampling}, "beat-transformer", tmp_path)
    weights = open_weights(str(path))
    assert weights.sampling == sampling
    window = source.windows[0]
    noisy = source.tokens(window)[None]
    conditions = [source.conditions(window)]
    plain = predict(weights, noisy, 0.5, conditions, Guidance(scale=1.0))
    batch = collate([noisy[0]], conditions)
    with torch.no_grad():
        expected = trained(
            batch.tokens, torch.tensor([0.5]), batch.dynamic, batch.semantic, batch.mask
        ).numpy()
    np.testing.assert_allclose(plain, expected, atol=2e-2)
    assert np.abs(predict(weights, noisy, 0.5, conditions, Guidance(scale=3.0)) - plain).max() > 1e-3
