"""Results with known answers: clear winners, no difference, careless listeners, broken files."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffbgm.errors import InputError
from diffbgm.listening.analyze import analyze, analyze_files, table
from diffbgm.listening.records import Clip, Key, Results, Trial, load_key
from diffbgm.listening.spec import MOS_QUESTIONS, PAIRWISE_QUESTIONS

VIDEOS = tuple(f"v{number}" for number in range(6))
CHECK = "check"


def key_of(kind: str, systems: tuple[str, ...] = ("good", "poor", "same")) -> Key:
    clips = {f"{s}-{v}": Clip(system=s, video=v) for s in systems for v in VIDEOS}
    if kind == "mos":
        trials: dict[str, tuple[str, ...]] = {f"t-{name}": (name,) for name in clips}
    else:
        trials = {
            f"t-{a}-{b}-{v}": (f"{b}-{v}", f"{a}-{v}") if turn % 2 else (f"{a}-{v}", f"{b}-{v}")
            for a, b in combinations(systems, 2)
            for turn, v in enumerate(VIDEOS)
        }
    return Key(
        test="t", title="A test", kind=kind, points=5, must_hear=0.7, systems=systems, clips=clips,
        trials=trials,
        questions=MOS_QUESTIONS if kind == "mos" else PAIRWISE_QUESTIONS,
        checks={CHECK: 2 if kind == "mos" else "second"}, beeps=4,
    )  # fmt: skip


def results_of(key: Key, listener: str, answer: Any, **changes: Any) -> Results:
    """`answer(system or systems, video)` to the first question, 3 or same to the second."""
    trials = []
    for name, shown in key.trials.items():
        clips = [key.clips[each] for each in shown]
        if key.kind == "mos":
            answers = {"quality": answer(clips[0].system, clips[0].video), "correspondence": 3}
        else:
            answers = {"quality": answer(*(clip.system for clip in clips)), "correspondence": "same"}
        trials.append(Trial(trial=name, answers=answers, heard=(1.0,) * len(clips)))
    asked = key.checks[CHECK]
    trials.append(Trial(trial=CHECK, answers={"quality": asked, "correspondence": asked}))
    return Results(
        format="diffbgm-listening-results-1", test="t", listener=listener, beeps=4, trials=tuple(trials)
    ).model_copy(update=changes)


def rated(rng: np.random.Generator) -> Any:
    means = {"good": 4.3, "poor": 2.4, "same": 2.4}
    return lambda system, video: int(np.clip(np.rint(rng.normal(means[system], 0.7)), 1, 5))


@pytest.fixture
def mos() -> dict[str, Any]:
    key, rng = key_of("mos"), np.random.default_rng(0)
    return analyze([results_of(key, f"l{n}", rated(rng)) for n in range(12)], key)


def test_a_better_system_is_found_and_an_equal_one_is_not(mos: dict[str, Any]) -> None:
    json.dumps(mos, allow_nan=False)
    good, poor = mos["systems"]["good"]["quality"], mos["systems"]["poor"]["quality"]
    assert good["mean"] == pytest.approx(4.3, abs=0.25)
    assert good["n"] == 12 * 6
    assert poor["ci95"][0] < poor["mean"] < poor["ci95"][1] < good["ci95"][0]
    by_pair = {(each["a"], each["b"]): each for each in mos["comparisons"]["quality"]}
    better, equal = by_pair["good", "poor"], by_pair["poor", "same"]
    assert better["difference"] == pytest.approx(good["mean"] - poor["mean"], abs=1e-6)
    assert better["p"] == pytest.approx(2 / 2**12)
    assert better["p"] <= better["p_holm"] <= 3 * better["p"] + 1e-6
    assert better["wins"] > 10 * better["losses"]
    assert equal["p"] > 0.05
    assert equal["ci95"][0] < 0 < equal["ci95"][1]


def test_agreement_and_flat_answers(mos: dict[str, Any]) -> None:
    assert 0.5 < mos["agreement"]["quality"] < 0.9
    assert mos["agreement"]["correspondence"] is None  # all answered 3
    assert mos["systems"]["good"]["correspondence"] == {"mean": 3.0, "ci95": [3.0, 3.0], "n": 72}
    assert all(each["p"] == 1.0 for each in mos["comparisons"]["correspondence"])


def test_no_difference_is_rarely_called_significant() -> None:
    key, rng = key_of("mos", ("a", "b")), np.random.default_rng(3)
    alike = lambda system, video: int(rng.integers(1, 6))  # noqa: E731
    found = [analyze([results_of(key, f"l{n}", alike) for n in range(8)], key) for _ in range(40)]
    assert np.mean([each["comparisons"]["quality"][0]["p"] <= 0.05 for each in found]) <= 0.125


def test_pairs_know_which_clip_came_first() -> None:
    key = key_of("pairwise")
    worth = {"good": 2, "poor": 0, "same": 0}

    def vote(first: str, second: str) -> str:
        if worth[first] == worth[second]:
            return "same"
        return "first" if worth[first] > worth[second] else "second"

    report = analyze([results_of(key, f"l{n}", vote) for n in range(7)], key)
    assert report["systems"]["good"]["quality"]["mean"] == 1.0
    assert report["systems"]["poor"]["quality"]["mean"] == 0.25
    by_pair = {(each["a"], each["b"]): each for each in report["comparisons"]["quality"]}
    assert (by_pair["good", "poor"]["wins"], by_pair["good", "poor"]["losses"]) == (42, 0)
    assert by_pair["good", "poor"]["difference"] == 1.0
    assert by_pair["poor", "same"]["ties"] == 42
    assert by_pair["poor", "same"]["p"] == by_pair["poor", "same"]["p_sign"] == 1.0
    assert report["agreement"]["quality"] == 1.0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"beeps": None}, "beeps"),
        ({"beeps": 7}, "beeps"),
        ({"trials": ()}, "judged nothing"),
    ],
)
def test_careless_listeners_are_left_out(changes: dict[str, Any], why: str) -> None:
    key = key_of("mos")
    steady = lambda system, video: 4  # noqa: E731
    good = results_of(key, "careful", steady)
    bad = results_of(key, "careless", steady, **changes)
    report = analyze([good, bad], key)
    assert report["listeners"] == 1
    assert report["left_out"][0]["listener"] == "careless"
    assert why in report["left_out"][0]["why"]
    assert analyze([good, bad], key, keep_all=True)["listeners"] == 2


def test_failed_checks_and_unheard_clips_are_left_out() -> None:
    key = key_of("mos")
    good = results_of(key, "careful", lambda system, video: 4)
    wrong = Trial(trial=CHECK, answers={"quality": 5, "correspondence": 2})
    unheard = good.trials[0].model_copy(update={"heard": (0.5,)})
    for trials, why in (
        ((*good.trials[:-1], wrong), "check of attention"),
        ((unheard, *good.trials[1:]), "hearing enough"),
    ):
        other = good.model_copy(update={"listener": "other", "trials": trials})
        report = analyze([good, other], key)
        assert why in report["left_out"][0]["why"]


def test_a_listener_counts_once_with_the_fuller_file() -> None:
    key = key_of("mos")
    whole = results_of(key, "anna", lambda system, video: 4)
    part = whole.model_copy(update={"trials": whole.trials[:3]})
    report = analyze([part, whole, part], key)
    assert report["listeners"] == 1
    assert report["systems"]["good"]["quality"]["n"] == 6


def test_a_test_broken_off_is_used_as_far_as_it_goes() -> None:
    key = key_of("mos")
    part = results_of(key, "anna", lambda system, video: 4)
    part = part.model_copy(update={"trials": part.trials[:6]})  # one system only
    report = analyze([part], key)
    json.dumps(report, allow_nan=False)
    assert report["systems"]["good"]["quality"]["mean"] == 4.0
    assert report["systems"]["poor"]["quality"] == {"mean": None, "ci95": [None, None], "n": 0}
    assert "-" in table(report)


def test_nobody_listened() -> None:
    report = analyze([], key_of("mos"))
    json.dumps(report, allow_nan=False)
    assert report["listeners"] == 0
    assert table(report)


def test_the_table_can_be_read(mos: dict[str, Any]) -> None:
    text = table(mos)
    assert "12 listeners, 6 videos, ratings 1 to 5" in text
    lines = text.splitlines()
    ranked = [line.split()[0] for line in lines if "  n 72" in line][:3]
    assert ranked[0] == "good"
    assert "good - poor: +" in text
    assert "Krippendorff" in text


def test_same_seed_same_figures() -> None:
    key = key_of("mos")
    given = [results_of(key, f"l{n}", rated(np.random.default_rng(n))) for n in range(5)]
    assert analyze(given, key, seed=1) == analyze(given, key, seed=1)
    assert analyze(given, key, seed=1) != analyze(given, key, seed=2)


def write(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else value.model_dump_json())
    return path


def test_files_are_checked(tmp_path: Path) -> None:
    key = key_of("mos")
    key_file = write(tmp_path, "key.json", key)
    assert load_key(key_file) == key
    good = results_of(key, "anna", lambda system, video: 4)
    assert analyze_files([write(tmp_path, "a.json", good)], key_file)["listeners"] == 1
    for name, value, message in (
        ("no.json", "{", "not a listening test's results"),
        ("key.json", key, "not a listening test's results: "),
        ("other.json", good.model_copy(update={"test": "another"}), "another listening test"),
        (
            "trial.json",
            good.model_copy(update={"trials": (Trial(trial="nowhere", answers={}),)}),
            "not in the key",
        ),
        (
            "answer.json",
            good.model_copy(update={"trials": (Trial(trial="t-good-v0", answers={"quality": 9}),)}),
            "no answer",
        ),
        (
            "pair.json",
            good.model_copy(update={"trials": (Trial(trial="t-good-v0", answers={"quality": "first"}),)}),
            "no answer",
        ),
        (
            "question.json",
            good.model_copy(update={"trials": (Trial(trial="t-good-v0", answers={"beauty": 3}),)}),
            "no answer",
        ),
    ):
        with pytest.raises(InputError, match=message):
            analyze_files([write(tmp_path, name, value) if name != "key.json" else key_file], key_file)
    with pytest.raises(InputError, match="cannot read the key"):
        analyze_files([], tmp_path / "none.json")
