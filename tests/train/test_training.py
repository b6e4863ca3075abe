"""The training loop: it learns, resumes exactly, shares batches, and stops in good order."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training tests need torch: pip install 'diffbgm[train]'")
pytest.importorskip("accelerate", reason="training tests need accelerate: pip install 'diffbgm[train]'")

import torch

from diffbgm.data.windows import WindowSource
from diffbgm.errors import DiffbgmError, InputError, OptionError
from diffbgm.train.batches import Batches, Tensors, collate
from diffbgm.train.checkpoint import CHECKPOINT, Checkpoint
from diffbgm.train.examples import Examples, from_songs
from diffbgm.train.loop import BAD_BATCH, StoppedError, Trainer
from diffbgm.train.objectives import CleanTokens, loss_weights, token_loss
from diffbgm.train.recipe import Recipe
from diffbgm.train.transformer import BeatTransformer, TransformerConfig, attention_mask

from .songs import recipe, scale_song

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def source() -> WindowSource:
    return WindowSource([scale_song(0), scale_song(1)])


class Heard:
    """A reporter that keeps what it was told, and can act after a step."""

    def __init__(self, at: int | None = None, act: Any = None) -> None:
        self.losses: list[float] = []
        self.heldout_losses: list[float] = []
        self.at, self.act = at, act

    def update(self, step: int, spent_s: float, figures: dict[str, float]) -> None:
        self.losses.append(figures["loss"])
        assert np.isfinite([*figures.values()]).all()
        if step == self.at:
            self.act()

    def heldout(self, step: int, spent_s: float, loss: float) -> None:
        self.heldout_losses.append(loss)


def trained(source: WindowSource, run: Path, one: Recipe, **options: Any) -> tuple[Trainer, Heard]:
    heard = Heard(options.pop("at", None), options.pop("act", None))
    trainer = Trainer(one, from_songs(source, one), from_songs(source, one), run)
    trainer.fit(heard, **options)
    return trainer, heard


def assert_same_weights(one: Checkpoint, other: Checkpoint) -> None:
    assert one.step == other.step
    for name in ("network", "average"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.keys() == second.keys()
        for tensor in first:
            assert torch.equal(first[tensor], second[tensor]), tensor


def test_a_beat_sees_the_tokens_of_its_own_segment_only() -> None:
    mask = torch.zeros(1, 4, 2, dtype=torch.bool)
    mask[0, :3, 0] = True
    mask[0, 3, 1] = True
    allowed = attention_mask(mask, n_semantic=2)[0, 0]
    assert allowed.shape == (4, 4 + 2 * 2)
    assert allowed[0].tolist() == [True, True, True, False, True, True, False, False]
    assert allowed[3].tolist() == [False, False, False, True, False, False, True, True]


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    network = BeatTransformer(TransformerConfig(width=32, depth=2, heads=2, bottleneck=24, dropout=0.5))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    one = recipe()
    examples = from_songs(WindowSource([scale_song(0)]), one)
    batch = Batches(examples, one.training)[0]
    inputs = [batch[name] for name in ("clean", "level", "dynamic", "semantic", "mask")]
    with torch.no_grad():
        assert not torch.equal(network(*inputs), network(*inputs))
        network.eval()
        assert torch.equal(network(*inputs), network(*inputs))


def test_the_loss_of_the_truth_is_zero_and_velocities_count_only_at_onsets(source: WindowSource) -> None:
    one = recipe()
    tokens = collate([from_songs(source, one).draw(0, 0.5, None)])["clean"]
    weights, bit = loss_weights(one.training), CleanTokens(TransformerConfig(), one.training).bit

    def loss(prediction: torch.Tensor) -> float:
        return float(token_loss(prediction, tokens, weights, bit))

    perfect = tokens * 100
    perfect[..., 2112:2124] = tokens[..., 2112:2124]
    assert loss(perfect) == pytest.approx(0, abs=1e-6)
    wrong_silence = perfect.clone()
    wrong_silence[..., 2112 + 1] += 5  # second step of the melody: no onset there in this song
    assert loss(wrong_silence) == pytest.approx(0, abs=1e-6)
    wrong_onset = perfect.clone()
    wrong_onset[..., 2112] += 2
    assert loss(wrong_onset) == pytest.approx(0.5 * 4, rel=1e-5)


def test_training_learns_and_goes_on_to_the_same_weights(source: WindowSource, tmp_path: Path) -> None:
    one = recipe({"dropout": 0.1}, steps=30)
    _, heard = trained(source, tmp_path / "whole", one)
    assert np.mean(heard.losses[-5:]) < 0.7 * heard.losses[0]
    assert len(heard.heldout_losses) == 1

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError) as stopped:
        trained(source, tmp_path / "split", one, at=13, act=stop)
    assert stopped.value.number == signal.SIGTERM
    assert Checkpoint.load(tmp_path / "split").step == 13
    again, rest = trained(source, tmp_path / "split", one)
    assert rest.losses == heard.losses[13:]
    assert again.spent_s > 0
    assert_same_weights(Checkpoint.load(tmp_path / "whole"), Checkpoint.load(tmp_path / "split"))
    finished, nothing = trained(source, tmp_path / "split", one)
    assert (finished.step, nothing.losses) == (30, [])


def test_signals_are_as_before_afterwards(source: WindowSource, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    trained(source, tmp_path, recipe(steps=1))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_run_goes_on_only_with_its_own_recipe(source: WindowSource, tmp_path: Path) -> None:
    trained(source, tmp_path, recipe(steps=2))
    longer, heard = trained(source, tmp_path, recipe(steps=4))
    assert (longer.step, len(heard.losses)) == (4, 2)
    with pytest.raises(OptionError, match=r"training\.learning_rate: the run was begun with 0\.003"):
        trained(source, tmp_path, recipe(steps=4, learning_rate=1e-3))
    with pytest.raises(OptionError, match=r"network\.width: the run was begun with 32, the recipe says 64"):
        trained(source, tmp_path, recipe({"width": 64}, steps=4))


def test_a_run_may_begin_with_the_weights_of_another(source: WindowSource, tmp_path: Path) -> None:
    """With more dropout and longer windows; not with a network of other sizes."""
    trained(source, tmp_path / "first", recipe(steps=12))
    first = Checkpoint.load(tmp_path / "first")
    long = WindowSource(source.songs, beats=96)
    again = recipe({"dropout": 0.1}, steps=3, initial=str(tmp_path / "first"))
    begun = Trainer(again, from_songs(long, again), from_songs(long, again), tmp_path / "second")
    for name, value in begun.average.state_dict().items():
        assert torch.equal(value, first.average[name])
    begun.fit()
    resumed = Trainer(again, from_songs(long, again), from_songs(long, again), tmp_path / "second")
    assert resumed.step == 3
    assert not torch.equal(resumed.network.state_dict()["leave.bias"], first.average["leave.bias"])
    wider = recipe({"width": 64}, steps=3, initial=str(tmp_path / "first"))
    with pytest.raises(OptionError, match=r"training\.initial: .*first trained another network"):
        Trainer(wider, from_songs(source, wider), from_songs(source, wider), tmp_path / "third")


def test_windows_of_any_length_have_their_own_conditions() -> None:
    songs = [scale_song(0)]
    source = WindowSource(songs, beats=80)
    assert [window.start_beat for window in source.windows] == [0, 4, 8, 12, 16]
    window = source.windows[-1]
    short = WindowSource(songs, beats=32)
    assert source.tokens(window).shape == (80, 2148)
    given, part = source.conditions(window), short.conditions(window)
    assert given.mask.shape == (80, 3)  # A to beat 32, B to 64, A again
    np.testing.assert_array_equal(given.dynamic[:32], part.dynamic)
    np.testing.assert_array_equal(source.tokens(window)[:32], short.tokens(window))
    with pytest.raises(OptionError, match="window_beats"):
        Recipe.build(recipe().to_json() | {"data": {"set": "dataset", "window_beats": 128}})


def test_parts_of_a_batch_give_the_same_update(source: WindowSource, tmp_path: Path) -> None:
    whole, _ = trained(source, tmp_path / "whole", recipe(steps=3))
    parts, _ = trained(source, tmp_path / "parts", recipe(steps=3, accumulate=4))
    for one, other in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def examples(source: WindowSource) -> Examples:
    return from_songs(source, recipe())


def drawn(batch: Tensors) -> list[bytes]:
    """Each window of a batch as bytes."""
    rows = zip(*(tensor.numpy() for name, tensor in sorted(batch.items()) if name != "semantic"), strict=True)
    return sorted(b"".join(part.tobytes() for part in row) for row in rows)


def test_processes_and_parts_share_the_batch_of_one(source: WindowSource) -> None:
    options = recipe(batch=8).training
    whole = drawn(Batches(examples(source), options)[5])
    shared = []
    for process in range(2):
        of_parts = Batches(examples(source), recipe(batch=8, accumulate=2).training, process, 2)
        shared += [*drawn(of_parts[10]), *drawn(of_parts[11])]
    # Masks are padded to the segments of each part; all windows have three at most here.
    assert len(shared) == len(whole) == 8
    assert sorted(one[-64:] for one in shared) == sorted(one[-64:] for one in whole)
    with pytest.raises(OptionError, match=r"training\.batch: 8 windows cannot be shared by 3 processes"):
        Batches(examples(source), options, 0, 3)


def test_batches_depend_on_seed_and_step_alone(source: WindowSource) -> None:
    one = Batches(examples(source), recipe().training)
    again = Batches(examples(source), recipe().training)
    other = Batches(examples(source), recipe(seed=1).training)
    for name, tensor in one[7].items():
        assert torch.equal(tensor, again[7][name])
    assert not torch.equal(one[7]["noise"], one[8]["noise"])
    assert not torch.equal(one[7]["noise"], other[7]["noise"])
    loaded = list(one.loader(7, 9))
    assert len(loaded) == 2
    assert torch.equal(loaded[1]["noise"], one[8]["noise"])
    levels = one[7]["level"] * 4
    assert levels.int().tolist() == [0, 1, 2, 3]


def test_an_epoch_has_every_window_once(source: WindowSource) -> None:
    one = Batches(examples(source), recipe(order="epochs", batch=4).training)
    count = len(one.examples)
    assert count == 18
    seen = np.concatenate([one.windows_of(step) for step in range(9)])
    assert sorted(seen[:18]) == sorted(seen[18:]) == list(range(18))
    assert not np.array_equal(seen[:18], seen[18:])
    assert recipe(steps=None, epochs=2.0).training.total_steps(count) == 9


def test_workers_prepare_the_same_batches(source: WindowSource) -> None:
    options = recipe(workers=1).training
    (loaded,) = Batches(examples(source), options).loader(3, 4)
    assert torch.equal(loaded["noise"], Batches(examples(source), recipe().training)[3]["noise"])


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_batch(
    source: WindowSource, tmp_path: Path
) -> None:
    one = recipe(steps=3)
    trainer = Trainer(one, from_songs(source, one), from_songs(source, one), tmp_path)
    with torch.no_grad():
        trainer.network.leave.bias.fill_(float("nan"))
    with pytest.raises(DiffbgmError, match="the loss is nan at step 0"):
        trainer.fit()
    kept = torch.load(tmp_path / BAD_BATCH, weights_only=True)
    assert torch.equal(kept["noise"], trainer.batches[0]["noise"])
    assert not (tmp_path / CHECKPOINT).exists()


def test_precision_that_a_cpu_has_not_is_refused(source: WindowSource, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="fp16 needs a GPU"):
        trained(source, tmp_path, recipe(steps=1, precision="fp16"))


def test_bfloat16_trains(source: WindowSource, tmp_path: Path) -> None:
    trainer, heard = trained(source, tmp_path, recipe(steps=2, precision="bf16"))
    assert {parameter.dtype for parameter in trainer.network.parameters()} == {torch.float32}
    assert np.isfinite(heard.heldout_losses).all()


def test_a_broken_checkpoint_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"not one")
    with pytest.raises(InputError, match="not a training checkpoint"):
        Checkpoint.load(tmp_path)
    torch.save({"format": 1}, tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match="another version"):
        Checkpoint.load(tmp_path)
    torch.save({"format": 2, "evil": Recipe}, tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match="more than numbers"):
        Checkpoint.load(tmp_path)


def test_the_rate_warms_up_and_falls(source: WindowSource, tmp_path: Path) -> None:
    one = recipe(steps=100, warmup_steps=10, learning_rate=1.0)
    trainer = Trainer(one, from_songs(source, one), from_songs(source, one), tmp_path)
    assert trainer.rate() == pytest.approx(0.1)
    trainer.step = 100
    assert trainer.rate() == pytest.approx(0.02)
    trainer.options = trainer.options.model_copy(update={"schedule": "constant"})
    assert trainer.rate() == 1.0
