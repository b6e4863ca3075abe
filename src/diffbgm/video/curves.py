"""Colour and motion over time, from the small frames.

All curves are sampled about `SAMPLES_HZ` times a second and stored at `CURVE_HZ`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from diffbgm.video.analysis import Curve, Transition

CURVE_HZ = 4.0
SAMPLES_HZ = 12.0

FloatArray = NDArray[np.float64]

# Speeds, in picture widths a second, at which the curves reach 1 - 1/e = 0.63. A brisk pan crosses the
# picture in about 3 s; a person crossing it fills about a tenth of it, so the mean is a tenth of that.
_CAMERA_SPEED = 0.30
_SUBJECT_SPEED = 0.04
# Chroma of the pure primaries lies between 0.51 and 0.53 of full scale (BT.601).
_FULL_CHROMA = 0.53


@dataclass
class Sampler:
    """Collects colour and motion of a film, frame by frame; a few bytes a sample."""

    _times: array[float] = field(default_factory=lambda: array("d"))
    _values: array[float] = field(default_factory=lambda: array("f"))
    _previous: tuple[float, NDArray[np.uint8]] | None = None
    _dis: cv2.DISOpticalFlow = field(
        default_factory=lambda: cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    )

    def push(self, time_s: float, yuv: NDArray[np.uint8]) -> None:
        """yuv: uint8 (height, width, 3), Y Cb Cr full range. Frames closer than 1/SAMPLES_HZ are skipped."""
        if self._previous is not None and time_s - self._previous[0] < 0.9 / SAMPLES_HZ:
            return
        luma = np.ascontiguousarray(yuv[..., 0])
        camera = subject = 0.0
        if self._previous is not None:
            before_s, before = self._previous
            if before.shape == luma.shape:
                flow = np.asarray(self._dis.calc(before, luma, np.zeros((*luma.shape, 2), np.float32)))
                widths_a_s = 1.0 / (luma.shape[1] * (time_s - before_s))
                camera, subject = (pixels * widths_a_s for pixels in split_motion(flow.astype(np.float32)))
        y, cb, cr = (float(v) for v in cv2.mean(yuv)[:3])
        chroma = cv2.mean(cv2.magnitude(*(yuv[..., k].astype(np.float32) - 128.0 for k in (1, 2))))[0]
        self._times.append(time_s)
        self._values.extend((subject, camera, y / 255, chroma / 255 / _FULL_CHROMA, (cr - cb) / 255))
        self._previous = time_s, luma

    def curves(self, duration_s: float, transitions: Sequence[Transition]) -> dict[str, Curve]:
        """Curves named motion, camera, brightness, saturation, warmth: all of the same length.

        Motion is left out where a sample spans a transition: there the flow field means nothing.
        """
        times = np.asarray(self._times)
        values = np.asarray(self._values, np.float64).reshape(-1, 5)
        subject, camera, brightness, saturation, warmth = values.T
        begin = np.concatenate([times[:1], times[:-1]])
        steady = np.ones(len(times), bool)
        steady[0] = len(times) == 1  # no motion is known at the very first frame
        for transition in transitions:
            steady &= (times < transition.from_s) | (begin >= transition.to_s)
        if not steady.any():
            steady[:] = True
        moving = times[steady]
        n = max(1, int(np.ceil(duration_s * CURVE_HZ - 1e-6)))
        return {
            "motion": _curve(moving, 1 - np.exp(-subject[steady] / _SUBJECT_SPEED), n),
            "camera": _curve(moving, 1 - np.exp(-camera[steady] / _CAMERA_SPEED), n),
            "brightness": _curve(times, brightness, n),
            "saturation": _curve(times, np.minimum(saturation, 1.0), n),
            "warmth": _curve(times, np.clip(warmth, -1.0, 1.0), n),
        }


def split_motion(flow: NDArray[np.float32]) -> tuple[float, float]:
    """Mean speeds of camera and subject in a flow field, in pixels.

    The camera is the affine field that fits most of the picture (least squares, reweighted five times
    with Cauchy weights, so that a moving subject does not pull it along); the subject is what is left.

    flow: float32 (height, width, 2), pixels to the right and down.
    """
    step = 5
    grid = flow[step // 2 :: step, step // 2 :: step].astype(np.float64)
    y, x = np.mgrid[0 : grid.shape[0], 0 : grid.shape[1]]
    design = np.stack([np.ones(x.size), x.ravel() / grid.shape[1] - 0.5, y.ravel() / grid.shape[0] - 0.5], 1)
    measured = grid.reshape(-1, 2)
    fitted = np.broadcast_to(np.median(measured, axis=0), measured.shape)
    for _ in range(5):
        rest = np.hypot(*(measured - fitted).T)
        scale = max(float(np.median(rest)), 0.05)
        weight = 1.0 / (1.0 + (rest / (2 * scale)) ** 2)
        weighted = design * weight[:, None]
        fitted = design @ np.linalg.solve(weighted.T @ design + 1e-6 * np.eye(3), weighted.T @ measured)
    rest = np.hypot(*(measured - fitted).T)
    return float(np.hypot(*fitted.T).mean()), float(np.maximum(rest - 0.1, 0.0).mean())


def _curve(times: FloatArray, values: FloatArray, n: int) -> Curve:
    """Mean of the samples in each bin of 1/CURVE_HZ; an empty bin holds the value before it."""
    bins = np.minimum((times * CURVE_HZ + 1e-6).astype(np.int64), n - 1)
    count = np.bincount(bins, minlength=n)
    mean = np.bincount(bins, values, n) / np.maximum(count, 1)
    filled = np.maximum.accumulate(np.where(count > 0, np.arange(n), -1))
    filled = np.where(filled < 0, bins[0], filled)
    return Curve(CURVE_HZ, mean[filled].astype(np.float32))
