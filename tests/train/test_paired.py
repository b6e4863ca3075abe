"""Both networks on a miniature of paired data, end to end: they learn, go on, export and write a window."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training tests need torch: pip install 'diffbgm[train]'")
pytest.importorskip("accelerate", reason="training tests need accelerate: pip install 'diffbgm[train]'")
pytest.importorskip("onnx", reason="training tests need onnx: pip install 'diffbgm[train]'")

import torch

from diffbgm.data.bgm909 import read_songs
from diffbgm.data.paired import PairedSource
from diffbgm.data.windows import WindowSource
from diffbgm.diffusion import unet
from diffbgm.diffusion.behaviour import PUBLISHED
from diffbgm.diffusion.conditions import Conditions
from diffbgm.diffusion.denoiser import Guidance, predict
from diffbgm.diffusion.levels import noise_levels
from diffbgm.diffusion.sampler import sample
from diffbgm.diffusion.tokens import clean_estimate, to_roll
from diffbgm.diffusion.weights import open_weights
from diffbgm.features.published import load_pth
from diffbgm.train.batches import Batches
from diffbgm.train.checkpoint import Checkpoint
from diffbgm.train.examples import from_pairs, from_songs, open_examples
from diffbgm.train.export import export_run
from diffbgm.train.loop import StoppedError, Trainer
from diffbgm.train.miniature import write_miniature
from diffbgm.train.recipe import Recipe

from .songs import UNET, paired_recipe, scale_song
from .test_training import Heard, assert_same_weights

pytestmark = pytest.mark.train
SAMPLING = {"guidance": 2.0, "eta": 0.0, "steps": 2}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout")
    write_miniature([scale_song(k, song_id=f"{k:03d}") for k in (1, 2, 9)], folder)
    return folder


def run_of(recipe: Recipe, layout: Path, run: Path, heard: Heard | None = None) -> Heard:
    heard = heard or Heard()
    train, heldout = open_examples(recipe, layout, None)
    Trainer(recipe, train, heldout, run).fit(heard)
    return heard


@pytest.mark.parametrize(
    ("architecture", "behaviour", "steps"),
    [("beat-transformer", "repaired", 24), ("unet", "published", 4)],
)
def test_a_network_learns_on_paired_data_and_goes_on(
    layout: Path, tmp_path: Path, architecture: str, behaviour: str, steps: int
) -> None:
    recipe = paired_recipe(architecture, behaviour, steps=steps, batch=2, validation_windows=2)
    whole = run_of(recipe, layout, tmp_path / "whole")
    assert np.mean(whole.losses[-2:]) < 0.9 * whole.losses[0]
    stopping = Heard(steps // 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(StoppedError):
        run_of(recipe, layout, tmp_path / "split", stopping)
    rest = run_of(recipe, layout, tmp_path / "split")
    assert rest.losses == whole.losses[steps // 2 :]
    assert_same_weights(Checkpoint.load(tmp_path / "whole"), Checkpoint.load(tmp_path / "split"))


def test_the_transformer_hears_what_it_is_told(layout: Path, tmp_path: Path) -> None:
    """Trained on rows, exported, run without torch: the rows change what it says, unknown ones may be."""
    recipe = paired_recipe("beat-transformer", steps=6)
    run_of(recipe, layout, tmp_path)
    path, metadata = export_run(tmp_path, tmp_path, SAMPLING)
    assert metadata["conditions"] == "features"
    weights = open_weights(str(path))
    _, heldout = open_examples(recipe, layout, None)
    given = heldout.draw(0, 0.5, None)
    conditions = Conditions(given["dynamic"], given["semantic"], given["mask"])
    tokens = sample(
        lambda z, s: clean_estimate(predict(weights, z, s, [conditions], Guidance(scale=2.0))),
        (1, *given["clean"].shape),
        noise_levels(2),
        np.random.default_rng(0),
    )
    assert to_roll(tokens[0]).n_beats == 64
    plain = predict(weights, given["clean"][None], 0.5, [conditions], Guidance(scale=1.0))
    free = predict(weights, given["clean"][None], 0.5, [conditions.without_dynamic()], Guidance(scale=1.0))
    assert np.abs(plain - free).max() > 1e-4


def test_the_unet_writes_a_window(layout: Path, tmp_path: Path) -> None:
    recipe = paired_recipe("unet", steps=1, batch=1, validation_windows=1)
    run_of(recipe, layout, tmp_path)
    path, metadata = export_run(tmp_path, tmp_path, SAMPLING)
    assert metadata["sampling"] == SAMPLING | {"selector": "both", "threshold": 0.364, "segments": "borders"}
    weights = open_weights(str(path))
    source = PairedSource(list(read_songs(layout, ["009"], load_pth, with_times=True)), 32, "time")
    rows = unet.FeatureRows(*source.features(source.windows[0]), source.mask(source.windows[0]))
    denoiser = unet.UNetDenoiser(weights, rows, Guidance(scale=1.0))
    planes = sample(denoiser, denoiser.shape, noise_levels(2), np.random.default_rng(0))
    assert planes.shape == (2, 128, 128)
    assert planes.min() >= 0
    assert planes.max() <= 1


def test_the_published_ways_reach_the_unet(layout: Path) -> None:
    """Features are rolled with the music; captions alone speak while noise is high; nothing is dropped."""
    recipe = paired_recipe("unet", "published")
    song = list(read_songs(layout, ["001"], load_pth))
    source = PairedSource(song, 32, "stretched")
    examples = from_pairs(source, recipe)
    visual, _ = source.features(source.windows[0])
    shifts = set()
    for seed in range(40):
        one = examples.draw(0, 0.9, np.random.default_rng(seed))
        (shift,) = [s for s in range(-6, 6) if np.array_equal(np.roll(visual, s, axis=1), one["visual"])]
        lowest = int(one["clean"][0].any(axis=0).argmax())
        assert lowest == 48 + shift
        shifts.add(shift)
        seen = one["mask"].any(axis=0)
        assert (seen[:32].any(), seen[32:].all()) == (False, True)
    assert len(shifts) > 6
    low = examples.draw(0, 0.1, np.random.default_rng(0))["mask"].any(axis=0)
    assert (low[:32].all(), low[32:].any()) == (True, False)
    mask = examples.draw(0, 0.9, None)["mask"]
    np.testing.assert_array_equal(mask[:64, 32:48], True)
    assert not mask[:64, 48:].any()
    assert PUBLISHED.alignment == recipe.alignment == "stretched"


def test_repaired_conditions_are_dropped_and_never_rolled(layout: Path) -> None:
    recipe = paired_recipe("unet")
    source = PairedSource(list(read_songs(layout, ["001"], load_pth, with_times=True)), 32, "time")
    examples = from_pairs(source, recipe)
    visual, caption = source.features(source.windows[0])
    kinds = {"all": 0, "nothing": 0, "visual": 0, "caption": 0}
    for seed in range(300):
        one = examples.draw(0, 0.5, np.random.default_rng(seed))
        seen = one["mask"].any(axis=0)
        pictures, words = bool(seen[:32].any()), bool(seen[32:].any())
        if not one["visual"].any():
            assert not words
            kinds["nothing"] += 1
        else:
            np.testing.assert_array_equal(one["visual"], visual)
            kinds["all" if pictures and words else "visual" if pictures else "caption"] += 1
        np.testing.assert_array_equal(one["caption"], caption)
        assert one["mask"].any(axis=1).all()
    assert all(15 <= kinds[kind] <= 50 for kind in ("nothing", "visual", "caption")), kinds


def test_streams_of_the_transformer_are_dropped(layout: Path) -> None:
    recipe = paired_recipe("beat-transformer")
    source = PairedSource(list(read_songs(layout, ["001"], load_pth, with_times=True)), 64, "time")
    examples = from_pairs(source, recipe)
    known = [examples.draw(0, 0.5, np.random.default_rng(seed)) for seed in range(300)]
    dynamic = np.array([one["dynamic"].any() for one in known])
    semantic = np.array([one["semantic"].any() for one in known])
    assert 0.14 < 1 - dynamic.mean() < 0.26
    assert 0.14 < 1 - semantic.mean() < 0.26
    assert 0.05 < (~dynamic & ~semantic).mean() < 0.15
    full = examples.draw(0, 0.5, None)
    _, caption = source.features(source.windows[0])
    of_first = full["mask"][:, 0]
    np.testing.assert_allclose(full["semantic"][0], caption[of_first].mean(axis=0), rtol=1e-4, atol=1e-5)


def test_the_unet_trains_on_songs_alone(tmp_path: Path) -> None:
    values: dict[str, Any] = {"architecture": "unet", "network": UNET | {"behaviour": "repaired"}}
    recipe = Recipe.build(values | {"training": {"steps": 2, "batch": 2, "precision": "fp32", "threads": 1}})
    source = WindowSource([scale_song(0)])
    examples = from_songs(source, recipe)
    batch = Batches(examples, recipe.training)[0]
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == {
        "clean": (2, 2, 128, 128), "visual": (2, 32, 512), "caption": (2, 32, 768), "mask": (2, 128, 64),
        "level": (2,), "noise": (2, 2, 128, 128),
    }  # fmt: skip
    trainer = Trainer(recipe, examples, examples, tmp_path)
    figures = trainer._update(iter([batch]))
    assert 0.5 < figures["loss"] < 2
    assert not torch.equal(*[next(iter(net.parameters())) for net in (trainer.network, trainer.average)])
