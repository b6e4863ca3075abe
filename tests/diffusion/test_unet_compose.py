"""A plan composed with U-Net weights whose network knows one piece: keys, ending, conditions, refusals."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffbgm.diffusion.behaviour import REPAIRED
from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.conditions import conditions_of
from diffbgm.diffusion.handmade import LAYOUT, handmade_rows
from diffbgm.diffusion.roll import LOWEST_PITCH, ONSET, SUSTAIN
from diffbgm.diffusion.unet import FeatureRows
from diffbgm.diffusion.weights import Weights
from diffbgm.errors import MissingToolError, OptionError
from tests.diffusion.plans import make_plan
from tests.diffusion.test_unet_denoiser import Session


def chromatic() -> np.ndarray:
    """A window with every pitch from 60 to 83 in turn, a quarter of a beat each, over and over."""
    out = np.zeros((2, 128, 128), np.float32)
    out[ONSET, np.arange(128), 60 + np.arange(128) % 24] = 1
    return out


def weights(conditions: str, transpose: str, session: Any = None) -> Weights:
    recipe = {"network": {"behaviour": asdict(REPAIRED)}, "data": {"transpose": transpose}}
    sampling = {
        "steps": 2, "sampler": "ddim", "guidance": 1.0, "spacing": "published", "selector": "both",
        "segments": "borders",
    }  # fmt: skip
    metadata = {
        "architecture": "unet", "recipe": recipe, "conditions": conditions, "sampling": sampling,
    }  # fmt: skip
    if session is None:
        session = Session(lambda *_: chromatic())
    return Weights("unet-0-00000000", Path("unet.onnx"), metadata, session)


def sounding(roll: Any, step: int) -> set[int]:
    keys = np.flatnonzero(roll.bits[:, :, step].any(axis=(0, 1)))
    return {int(key) + LOWEST_PITCH for key in keys}


@pytest.mark.parametrize(("key", "up"), [("D", 2), ("Gm", -2)])
def test_what_it_writes_at_home_is_heard_in_the_plans_key(key: str, up: int) -> None:
    plan = make_plan(bars=9, key=key)
    shares: list[float] = []
    roll = compose_roll(plan, weights(f"handmade-{LAYOUT}", "key"), progress=shares.append)
    assert roll.n_beats == 36
    assert shares == [0.5, 1.0]
    assert sounding(roll, 0) == {60 + up}
    # The last bar is the tonic chord, struck once and held.
    last = roll.bits[:, :, 128:].any(axis=0)
    assert not last[ONSET, 1:].any()
    tonic = {"D": {2, 6, 9}, "Gm": {7, 10, 2}}[key]
    assert {int(k + LOWEST_PITCH) % 12 for k in np.flatnonzero(last[ONSET, 0])} == tonic
    np.testing.assert_array_equal(last[SUSTAIN, 15], last[ONSET, 0])


@pytest.mark.parametrize(("key", "silent"), [("D", {1, 3, 6, 8, 10}), ("Gm", {1, 3, 6, 10})])
def test_weights_of_all_keys_are_kept_in_one(key: str, silent: set[int]) -> None:
    features = FeatureRows(
        np.zeros((36, 512), np.float32), np.zeros((36, 768), np.float32), np.ones((36, 1), bool)
    )
    home = {"D": 2, "Gm": 10}[key]
    roll = compose_roll(make_plan(bars=9, key=key), weights("features", "random"), features=features)
    heard = np.flatnonzero(roll.bits[:, ONSET, :112].any(axis=(0, 1)))
    assert {int(k + LOWEST_PITCH - home) % 12 for k in heard} == set(range(12)) - silent


def test_hand_made_rows_reach_the_network() -> None:
    plan = make_plan(bars=9)
    session = Session(lambda *_: chromatic())
    compose_roll(plan, weights(f"handmade-{LAYOUT}", "key", session))
    visual, caption = handmade_rows(conditions_of(plan))
    for k, start in enumerate((0, 4)):
        np.testing.assert_array_equal(session.asked[0]["visual"][k], visual[start : start + 32])
        np.testing.assert_array_equal(session.asked[0]["caption"][k], caption[start : start + 32])


def test_the_same_plan_gives_the_same_notes() -> None:
    first, again = (compose_roll(make_plan(bars=9), weights(f"handmade-{LAYOUT}", "key")) for _ in range(2))
    np.testing.assert_array_equal(first.bits, again.bits)


def test_what_does_not_go_together_is_refused() -> None:
    plan = make_plan(bars=9)
    rows = FeatureRows(
        np.zeros((36, 512), np.float32), np.zeros((36, 768), np.float32), np.ones((36, 1), bool)
    )
    with pytest.raises(MissingToolError, match="diffbgm features FILM"):
        compose_roll(plan, weights("features", "random"))
    with pytest.raises(MissingToolError, match=f"makes handmade-{LAYOUT}"):
        compose_roll(plan, weights("handmade-00000000", "key"))
    with pytest.raises(OptionError, match="follow no features"):
        compose_roll(plan, weights(f"handmade-{LAYOUT}", "key"), features=rows)
