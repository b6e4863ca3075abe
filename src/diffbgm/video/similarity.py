"""Do two pictures show the same scene?

Two questions of rising cost, both blind to brightness and contrast, so that flashes, fades and exposure
steps do not look like a change of scene:

- `local_match`: are the details of each block found near the same place? Answers within a steady shot.
- `same_view`: is one picture a shifted, scaled or turned copy of the other? Answers for whip pans, zooms
  and a phone that switches lens.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]

_SHRINKS = (1, 2, 3)
_BLOCK = (15, 20)  # rows, columns
_REACH = 8  # pixels a block may move
_PLAIN = 4.0  # standard deviation below which a block has no details to compare
_BOLD = 30.0  # ... above which more contrast gives no more weight

_FEATURES = 250
_DISTINCT = 0.8  # Lowe 2004, section 7.1: nearest over second nearest distance
_WITHIN_PX = 3.0
_ENOUGH_INLIERS = 10
_ENOUGH_CELLS = 5  # of 16: a logo that stays over a cut covers one or two


def local_match(a: Luma, b: Luma) -> float | None:
    """How well the details of two pictures agree: unrelated about 0.4, at most 0.55; the same 1.

    Each textured block of one picture is looked for within 8 pixels in the other by normalised
    correlation, and the best values are averaged, weighted by contrast. That is done both ways and at
    three sizes (a soft picture has its structure in the small ones), and the lowest answer counts. None
    where both pictures are plain. a, b: uint8 (height, width), about 90x160.
    """
    answers = []
    for shrink in _SHRINKS:
        size = (a.shape[1] // shrink, a.shape[0] // shrink)
        small_a = np.asarray(cv2.resize(a, size, interpolation=cv2.INTER_AREA), np.uint8)
        small_b = np.asarray(cv2.resize(b, size, interpolation=cv2.INTER_AREA), np.uint8)
        answers += [_one_way(small_a, small_b), _one_way(small_b, small_a)]
    return min((answer for answer in answers if answer is not None), default=None)


def _one_way(a: Luma, b: Luma) -> float | None:
    rows, columns = _BLOCK
    n_down, n_across = a.shape[0] // rows, a.shape[1] // columns
    whole = a[: n_down * rows, : n_across * columns].astype(np.float32)
    contrast = whole.reshape(n_down, rows, n_across, columns).std(axis=(1, 3))
    wide = cv2.copyMakeBorder(b, _REACH, _REACH, _REACH, _REACH, cv2.BORDER_REPLICATE)
    total = matched = 0.0
    for down, across in np.argwhere(contrast >= _PLAIN):
        y, x = int(down) * rows, int(across) * columns
        around = wide[y : y + rows + 2 * _REACH, x : x + columns + 2 * _REACH]
        found = cv2.matchTemplate(around, a[y : y + rows, x : x + columns], cv2.TM_CCOEFF_NORMED)
        weight = min(float(contrast[down, across]), _BOLD)
        total += weight
        matched += weight * min(max(cv2.minMaxLoc(found)[1], 0.0), 1.0)
    return matched / total if total > 0 else None


def same_view(a: Luma, b: Luma) -> bool:
    """Whether one picture is the other one shifted, scaled or turned, as by a zoom or another lens.

    SIFT features (Lowe 2004) that agree on one similarity transform (RANSAC), spread over the picture.
    Unrelated pictures share up to 4 such features, pictures of one view 20 and more.
    """
    sift = cv2.SIFT.create(_FEATURES, contrastThreshold=0.02)
    points_a, described_a = sift.detectAndCompute(a, None)
    points_b, described_b = sift.detectAndCompute(b, None)
    if min(len(points_a), len(points_b)) < _ENOUGH_INLIERS:
        return False
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(described_a, described_b, k=2)
    good = [first for first, second in pairs if first.distance < _DISTINCT * second.distance]
    if len(good) < _ENOUGH_INLIERS:
        return False
    at_a = np.array([points_a[m.queryIdx].pt for m in good], np.float32)
    at_b = np.array([points_b[m.trainIdx].pt for m in good], np.float32)
    cv2.setRNGSeed(0)  # RANSAC draws from OpenCV's own generator
    _, inlier = cv2.estimateAffinePartial2D(at_a, at_b, method=cv2.RANSAC, ransacReprojThreshold=_WITHIN_PX)
    if inlier is None or int(inlier.sum()) < _ENOUGH_INLIERS:
        return False
    cells = np.floor(at_a[inlier.ravel() > 0] / np.array(a.shape[::-1]) * 4).astype(int)
    return len(np.unique(cells, axis=0)) >= _ENOUGH_CELLS
