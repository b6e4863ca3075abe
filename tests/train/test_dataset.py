"""Training from a built dataset: the same windows as from the files, in torch, with any number of workers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pyarrow")

import torch

from diffbgm.data.reader import Augmentation, Shuffled, Windows
from diffbgm.diffusion.handmade import LAYOUT
from diffbgm.diffusion.weights import open_weights
from diffbgm.errors import InputError, OptionError
from diffbgm.train.dataset import WindowDataset, WindowLoader
from diffbgm.train.examples import open_examples
from diffbgm.train.export import conditions_of
from diffbgm.train.recipe import Recipe

from ..conftest import Run
from ..data.built import build_here
from ..data.songs import make_song, write_song
from .songs import TRAINING, TRANSFORMER, UNET, as_toml

HOW = Augmentation(transpose="random", tempo=0.2, drop_conditions=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two made songs and one held out."""
    root = tmp_path_factory.mktemp("songs")
    for number in (1, 2, 9):
        write_song(make_song(number, n_bars=24, key=number), root / f"song{number}.mid")
    assert build_here(root, root / "d").failures == ()
    return root / "d"


def recipe(
    architecture: str = "beat-transformer", network: dict[str, object] | None = None, **data: object
) -> Recipe:
    sizes = TRANSFORMER if architecture == "beat-transformer" else UNET | {"behaviour": "repaired"}
    values = {"architecture": architecture, "network": sizes | (network or {}), "training": TRAINING}
    return Recipe.build(values | {"data": {"set": "dataset"} | data})


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_an_item_is_a_batch_of_the_stream(built: Path) -> None:
    stream = Shuffled(Windows(built, "train", augmentation=HOW), seed=2)
    dataset = WindowDataset(stream, 4)
    assert len(dataset) == len(stream.windows) // 4
    batch = dataset[1]
    assert batch["clean"].shape == (4, 64, 2148)
    for place in range(4):
        arrays = stream.at(4 + place)
        segments = len(arrays["semantic"])
        np.testing.assert_array_equal(batch["clean"][place].numpy(), arrays["clean"])
        np.testing.assert_array_equal(batch["semantic"][place, :segments].numpy(), arrays["semantic"])
        assert not batch["mask"][place, :, segments:].any()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_loader_goes_on_with_the_same_batches(built: Path, workers: int) -> None:
    """What workers had prepared ahead when it was stopped is handed out after, not lost."""
    whole = list(islice(WindowLoader(Shuffled(Windows(built, augmentation=HOW), 3), 4), 7))
    before = WindowLoader(Shuffled(Windows(built, augmentation=HOW), 3), 4, workers)
    had = list(islice(before, 3))
    after = WindowLoader(Shuffled(Windows(built, augmentation=HOW), 0), 4, workers)
    after.load_state_dict(before.state_dict())
    found = had + list(islice(after, 4))
    assert all(same(one, other) for one, other in zip(found, whole, strict=True))
    with pytest.raises(ValueError, match="batches of 2, expected 4"):
        WindowLoader(after.stream, 2).load_state_dict(after.state_dict())


@pytest.mark.parametrize("architecture", ["beat-transformer", "unet"])
def test_training_sees_the_windows_of_the_reader(built: Path, architecture: str) -> None:
    """Without a coin for streams, what the network learns from is what the reader gives."""
    train, heldout = open_examples(recipe(architecture), built, None)
    form = "tokens" if architecture == "beat-transformer" else "planes"
    for examples, split in ((train, "train"), (heldout, "heldout")):
        windows = Windows(built, split, form=form)
        assert len(examples) == len(windows) > 0
        for number in (0, 5):
            np.testing.assert_array_equal(
                examples.draw(number, 0.5, None)["clean"], windows.draw(number)["clean"]
            )


def test_training_transposes_and_changes_tempo_as_the_recipe_says(built: Path) -> None:
    train, _ = open_examples(recipe(transpose="random", tempo=0.5, drop_conditions=False), built, None)
    drawn = [train.draw(0, 0.5, np.random.default_rng(k)) for k in range(30)]
    assert len({each["clean"].tobytes() for each in drawn}) > 5
    assert len({each["semantic"].tobytes() for each in drawn}) > 2


def test_the_command_trains_from_a_dataset(built: Path, tmp_path: Path, diffbgm: Callable[..., Run]) -> None:
    toml = as_toml(recipe(), tmp_path / "r.toml")
    done = diffbgm("train", toml, "--data", built, "--run", tmp_path / "run", "--steps", 2)
    assert done.code == 0, done.err
    assert "step 2/2" in done.err
    assert "18 windows, 9 held out" in done.err
    exported = diffbgm("weights", "export", tmp_path / "run", "-o", tmp_path / "weights")
    assert exported.code == 0, exported.err
    weights = open_weights(exported.out.splitlines()[0])
    assert weights.conditions == "codes"
    assert "dataset build" in weights.metadata["data"]


@pytest.mark.parametrize(
    ("architecture", "steered_by", "conditions"),
    [
        ("beat-transformer", "notes", "codes"),
        ("beat-transformer", "features", "features"),
        ("unet", "notes", f"handmade-{LAYOUT}"),
        ("unet", "features", "features"),
    ],
)
def test_weights_say_what_they_follow(architecture: str, steered_by: str, conditions: str) -> None:
    network = {"features": steered_by == "features"} if architecture == "beat-transformer" else {}
    assert conditions_of(recipe(architecture, network, conditions=steered_by)) == conditions


def test_a_recipe_for_another_layout_is_told_of_the_dataset(built: Path) -> None:
    pop909 = Recipe.build({"network": TRANSFORMER, "training": TRAINING})
    with pytest.raises(InputError, match='built dataset; the recipe says set = "pop909"'):
        open_examples(pop909, built, None)
    with pytest.raises(InputError, match="no dataset there"):
        open_examples(recipe(), built.parent, None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"set": "pop909", "tempo": 0.1}, "conditions and tempo are of a dataset"),
        ({"set": "bgm909", "conditions": "features"}, "conditions and tempo are of a dataset"),
        ({"conditions": "features", "tempo": 0.1}, "songs with features of their films keep theirs"),
        ({"roll_features": True}, "no feature vectors to roll"),
        ({"phrases": "both"}, "only pop909 has those of two annotators"),
        ({"conditions": "features"}, "network.features: true where features of films steer"),
    ],
)
def test_options_that_do_not_go_together_are_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        recipe(**data)
