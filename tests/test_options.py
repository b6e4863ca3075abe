"""Options: ranges, spellings, the configuration file, and that the command line offers exactly these."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from typer.main import get_command

from diffbgm import arguments, cli
from diffbgm.errors import InputError, OptionError
from diffbgm.options import ComposeOptions, Detector, OriginalAudio, Sampler, Segments, Selector, Spacing

ONLY_ON_THE_COMMAND_LINE = {"video", "config", "as_json", "debug", "help"}


def compose_parameters() -> dict[str, Any]:
    command = get_command(cli.app).commands["compose"]  # type: ignore[attr-defined]
    context = typer.Context(command)
    return {parameter.name: parameter for parameter in command.get_params(context)}


def test_the_command_line_offers_exactly_the_options() -> None:
    assert set(compose_parameters()) - ONLY_ON_THE_COMMAND_LINE == set(ComposeOptions.model_fields)


def test_the_command_line_says_what_the_options_say() -> None:
    parameters = compose_parameters()
    said = {name: parameters[name].help for name in ComposeOptions.model_fields}
    assert said == {name: field.description for name, field in ComposeOptions.model_fields.items()}


def test_the_command_line_sets_no_default_of_its_own() -> None:
    given = {name: parameters.default for name, parameters in compose_parameters().items()}
    assert {given[name] for name in ComposeOptions.model_fields} == {None}


def test_choices_agree() -> None:
    for offered, meant in (
        (arguments.OriginalAudio, OriginalAudio),
        (arguments.Shots, Detector),
        (arguments.Sampler, Sampler),
        (arguments.Spacing, Spacing),
        (arguments.Selector, Selector),
        (arguments.Segments, Segments),
    ):
        assert set(get_args(get_args(offered)[0])) == {meant, type(None)}


def test_at_most_ten_options_stand_in_the_main_panel() -> None:
    plain = [
        name
        for name, parameter in compose_parameters().items()
        if getattr(parameter, "rich_help_panel", None) != arguments.ADVANCED and name not in ("video", "help")
    ]
    assert len(plain) <= 10, plain


@pytest.mark.parametrize(
    ("written", "meant"), [("96", (96, 96)), (96, (96, 96)), ("90-110", (90, 110)), ([90, 110], (90, 110))]
)
def test_tempo_spellings(written: object, meant: tuple[float, float]) -> None:
    assert ComposeOptions.build({"tempo": written}).tempo == meant


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tempo", "fast"),
        ("tempo", "110-90"),
        ("tempo", "10"),
        ("tempo", "90-100-110"),
        ("energy", 1.5),
        ("energy", float("nan")),
        ("takes", 0),
        ("seed", -1),
        ("loudness", 3),
        ("hit", [-1.0]),
        ("original_audio", "loud"),
        ("no_such", 1),
    ],
)
def test_a_wrong_option_is_named(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"option {name.replace('_', '-')}: ") as caught:
        ComposeOptions.build({name: value})
    assert "\n" not in str(caught.value)


def test_what_is_given_wins_over_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('style = "lofi"\ntempo = "80-90"\nhit = [3.5, 7]\n', encoding="utf-8")
    options = ComposeOptions.build({"style": "piano"}, config)
    assert options.style == "piano"
    assert options.tempo == (80, 90)
    assert options.hit == (3.5, 7.0)


def test_an_unknown_field_of_the_configuration_is_named(tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('stile = "lofi"\n', encoding="utf-8")
    with pytest.raises(OptionError, match="option stile: there is no such option"):
        ComposeOptions.build({}, config)


@pytest.mark.parametrize("content", [b"style = ", b"\xff\xfe", None])
def test_a_broken_or_missing_configuration(tmp_path: Path, content: bytes | None) -> None:
    config = tmp_path / "mine.toml"
    if content is not None:
        config.write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.toml: cannot read the configuration"):
        ComposeOptions.build({}, config)
