"""From listeners' results to means, intervals, significance and agreement.

Listeners are left out (and named, with the reason) who failed a check of attention, counted other beeps
than were played, or answered before they had heard enough. One listener counts once: of several files the
one with the most answers.

Significance is judged with the listener as the unit: each listener's mean difference between two systems is
one value of a Wilcoxon signed-rank test. Single votes of one listener are not independent, so treating each
as a sample would claim far too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.errors import InputError
from diffbgm.listening.records import Key, Results, Trial, load_key, load_results
from diffbgm.listening.statistics import (
    binomial_test,
    bootstrap_mean,
    holm,
    krippendorff_alpha,
    signed_rank_test,
)

FloatArray = NDArray[np.float64]

_PREFERENCE: Final = {"first": 1.0, "same": 0.0, "second": -1.0}
_SLACK: Final = 0.02  # of the share heard, for players that stop a moment before the end
_BEEPS_OFF: Final = 1


@dataclass(frozen=True)
class LeftOut:
    """A listener whose answers are not used."""

    listener: str
    why: str


def analyze_files(
    results: Sequence[Path], key: Path, *, seed: int = 0, keep_all: bool = False
) -> dict[str, Any]:
    """`analyze` for files. Raises InputError if one is broken or belongs to another test."""
    secrets = load_key(key)
    read = []
    for path in results:
        one = load_results(path)
        if one.test != secrets.test:
            raise InputError(f"{path}: belongs to another listening test ({one.test}) than {key}")
        _check_trials(path, one, secrets)
        read.append(one)
    return analyze(read, secrets, seed=seed, keep_all=keep_all)


def analyze(results: Sequence[Results], key: Key, *, seed: int = 0, keep_all: bool = False) -> dict[str, Any]:
    """All figures as plain JSON values.

    `systems`: {system: {question: {"mean", "ci95", "n"}}} (pairwise: the share of comparisons won, a tie
    counting half). `comparisons`: {question: [{"a", "b", "difference", "ci95", "p", "p_holm", "wins",
    "losses", "ties", "p_sign", "listeners"}]}, a - b (pairwise: net share of votes for a), p by Wilcoxon
    over listeners, corrected by Holm within a question, p_sign by counting votes. `agreement`:
    {question: Krippendorff's alpha}, ordinal for ratings, nominal for pairs.
    keep_all: use every listener, whatever the checks say. seed: of the bootstrap.
    """
    used, left_out = _screen(_once_each(results), key, keep_all)
    rng = np.random.default_rng(seed)
    videos = sorted({clip.video for clip in key.clips.values()})
    tables = _Tables(used, key, videos)
    systems: dict[str, dict[str, Any]] = {system: {} for system in key.systems}
    comparisons: dict[str, list[dict[str, Any]]] = {}
    agreement: dict[str, float | None] = {}
    for question in key.questions:
        for system in key.systems:
            systems[system][question.id] = _summary(tables.of(question.id, system), rng)
        pairs = list(combinations(key.systems, 2))
        found = [_compare(tables.difference(question.id, a, b), rng) for a, b in pairs]
        corrected = holm([each["p"] for each in found])
        comparisons[question.id] = [
            {"a": a, "b": b, **each, "p_holm": _finite(p)}
            for (a, b), each, p in zip(pairs, found, corrected, strict=True)
        ]
        agreement[question.id] = _finite(tables.agreement(question.id))
    return {
        "test": key.test,
        "title": key.title,
        "kind": key.kind,
        "points": key.points,
        "listeners": len(used),
        "left_out": [{"listener": each.listener, "why": each.why} for each in left_out],
        "videos": len(videos),
        "questions": {question.id: question.text for question in key.questions},
        "systems": systems,
        "comparisons": comparisons,
        "agreement": agreement,
        "comments": [{"listener": r.listener, "comment": r.comment} for r in used if r.comment.strip()],
    }


def table(report: dict[str, Any]) -> str:
    """The report for a person to read."""
    mos = report["kind"] == "mos"
    lines = [
        report["title"],
        f"{report['listeners']} listeners, {report['videos']} videos, "
        + (f"ratings 1 to {report['points']}" if mos else "pairs; share of comparisons won"),
    ]
    lines += [f"left out: {each['listener']} ({each['why']})" for each in report["left_out"]]
    for question, text in report["questions"].items():
        lines += ["", f"{question}: {text}"]
        width = max(len(name) for name in report["systems"])
        ranked = sorted(report["systems"].items(), key=lambda item: -(item[1][question]["mean"] or -1.0))
        for name, found in ranked:
            one = found[question]
            lines.append(f"  {name:<{width}}  {_interval(one['mean'], one['ci95'])}  n {one['n']}")
        for each in report["comparisons"][question]:
            lines.append(
                f"  {each['a']} - {each['b']}: {_interval(each['difference'], each['ci95'], sign='+')}, "
                f"p {_number(each['p'], 4)} (Holm {_number(each['p_holm'], 4)}), "
                f"{each['wins']} won, {each['ties']} equal, {each['losses']} lost"
            )
        lines.append(f"  agreement (Krippendorff's alpha) {_number(report['agreement'][question], 2)}")
    return "\n".join(lines)


class _Tables:
    """The answers as arrays (listeners, videos)."""

    def __init__(self, used: Sequence[Results], key: Key, videos: Sequence[str]) -> None:
        self._key = key
        self._shape = (len(used), len(videos))
        self._column = {video: column for column, video in enumerate(videos)}
        self._answers: dict[tuple[str, str, str], FloatArray] = {}
        for row, one in enumerate(used):
            for trial in one.trials:
                if trial.trial in key.trials:
                    self._take(row, trial)

    def _take(self, row: int, trial: Trial) -> None:
        clips = [self._key.clips[name] for name in self._key.trials[trial.trial]]
        column = self._column[clips[0].video]
        for question, answer in trial.answers.items():
            if len(clips) == 1:
                self._at(question, clips[0].system, "")[row, column] = float(answer)
            else:
                vote = _PREFERENCE[str(answer)]
                self._at(question, clips[0].system, clips[1].system)[row, column] = vote
                self._at(question, clips[1].system, clips[0].system)[row, column] = -vote

    def _at(self, question: str, a: str, b: str) -> FloatArray:
        return self._answers.setdefault((question, a, b), np.full(self._shape, np.nan))

    def of(self, question: str, system: str) -> list[FloatArray]:
        """Ratings of a system, or for pairs its score (1 won, 0.5 equal, 0 lost) against each other one."""
        if self._key.kind == "mos":
            return [self._at(question, system, "")]
        others = [other for other in self._key.systems if other != system]
        return [(self._at(question, system, other) + 1) / 2 for other in others]

    def difference(self, question: str, a: str, b: str) -> FloatArray:
        """How much better a did than b where a listener judged both on a video."""
        if self._key.kind == "mos":
            return self._at(question, a, "") - self._at(question, b, "")
        return self._at(question, a, b)

    def agreement(self, question: str) -> float:
        if self._key.kind == "mos":
            units = [self._at(question, system, "") for system in self._key.systems]
            return krippendorff_alpha(np.concatenate(units, axis=1), "ordinal")
        units = [self._at(question, a, b) for a, b in combinations(self._key.systems, 2)]
        return krippendorff_alpha(np.concatenate(units, axis=1), "nominal")


def _summary(tables: list[FloatArray], rng: np.random.Generator) -> dict[str, Any]:
    # Against several others, a listener's figure for a video is the mean over those judged.
    stacked = np.stack(tables)
    known = np.isfinite(stacked)
    mean_of = np.where(
        known.any(axis=0), np.where(known, stacked, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan
    )
    mean, low, high = bootstrap_mean(mean_of, rng)
    return {"mean": _finite(mean), "ci95": [_finite(low), _finite(high)], "n": int(known.sum())}


def _compare(difference: FloatArray, rng: np.random.Generator) -> dict[str, Any]:
    mean, low, high = bootstrap_mean(difference, rng)
    votes = difference[np.isfinite(difference)]
    by_listener = np.array([np.nanmean(row) for row in difference if np.isfinite(row).any()])
    wins, losses = int((votes > 0).sum()), int((votes < 0).sum())
    return {
        "difference": _finite(mean),
        "ci95": [_finite(low), _finite(high)],
        "p": signed_rank_test(by_listener),
        "p_sign": binomial_test(wins, wins + losses),
        "wins": wins,
        "losses": losses,
        "ties": len(votes) - wins - losses,
        "listeners": len(by_listener),
    }


def _once_each(results: Sequence[Results]) -> list[Results]:
    best: dict[str, Results] = {}
    for one in results:
        if one.listener not in best or len(one.trials) > len(best[one.listener].trials):
            best[one.listener] = one
    return list(best.values())


def _screen(results: Sequence[Results], key: Key, keep_all: bool) -> tuple[list[Results], list[LeftOut]]:
    used, left_out = [], []
    for one in results:
        why = "" if keep_all else _fault(one, key)
        if why:
            left_out.append(LeftOut(one.listener, why))
        else:
            used.append(one)
    return used, left_out


def _fault(one: Results, key: Key) -> str:
    if not any(trial.trial in key.trials for trial in one.trials):
        return "judged nothing"
    if one.beeps is None or abs(one.beeps - key.beeps) > _BEEPS_OFF:
        return f"counted {one.beeps} beeps, {key.beeps} were played"
    for trial in one.trials:
        asked = key.checks.get(trial.trial)
        if asked is not None and any(answer != asked for answer in trial.answers.values()):
            return "did not choose what a check of attention asked for"
        if trial.trial in key.trials and (
            len(trial.heard) != len(key.trials[trial.trial]) or min(trial.heard) < key.must_hear - _SLACK
        ):
            return "answered before hearing enough of a clip"
    return ""


def _check_trials(path: Path, one: Results, key: Key) -> None:
    """Raises InputError if an answer cannot be one of this test's."""
    questions = {question.id for question in key.questions}
    for trial in one.trials:
        where = f"{path}: trial {trial.trial}"
        if trial.trial not in key.trials and trial.trial not in key.checks:
            raise InputError(f"{where} is not in the key; is it the key of this very build?")
        for question, answer in trial.answers.items():
            fits = (
                isinstance(answer, int) and answer <= key.points
                if key.kind == "mos"
                else answer in _PREFERENCE
            )
            if question not in questions or not fits:
                raise InputError(f"{where}: {question} = {answer!r} is no answer to this test's questions")


def _finite(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _number(value: float | None, digits: int, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{digits}f}"


def _interval(value: float | None, ci95: Sequence[float | None], sign: str = "") -> str:
    low, high = (_number(end, 2, sign) for end in ci95)
    return f"{_number(value, 2, sign)} [{low}, {high}]"
