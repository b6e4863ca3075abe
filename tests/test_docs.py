"""What the documents say is there: options, files, commands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest
from typer import TyperException
from typer.core import TyperGroup
from typer.main import get_command

from diffbgm import __version__, cli
from diffbgm.spotting.cuesheet import CueSheet, Wishes

from .conftest import CHECKOUT

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_only_options_that_exist() -> None:
    commands = get_command(cli.app).commands.values()  # type: ignore[attr-defined]
    known = {flag for command in commands for parameter in command.params for flag in parameter.opts}
    known |= {
        flag for command in commands for parameter in command.params for flag in parameter.secondary_opts
    }
    lines = [line for line in README.splitlines() if "diffbgm " in line or "`--" in line]
    named = {flag for line in lines for flag in re.findall(r"(?<!\w)--[a-z][a-z-]+", line)}
    assert named
    assert named <= known | {"--help"}


def shell_commands(page: str) -> list[list[str]]:
    """The arguments of every call of diffbgm in the shell blocks of a page."""
    blocks = re.findall(r"```sh\n(.*?)```", (CHECKOUT / page).read_text(encoding="utf-8"), re.DOTALL)
    calls = re.findall(r"^(?:.* -m )?diffbgm (.*)$", "\n".join(blocks).replace("\\\n", " "), re.MULTILINE)
    words = [shlex.split(call, comments=True) for call in calls]
    return [each[: each.index("|")] if "|" in each else each for each in words]


def parse(arguments: list[str]) -> None:
    """Raises what the command line raises for arguments that it does not take; runs nothing."""
    context = get_command(cli.app).make_context("diffbgm", list(arguments))
    while isinstance(context.command, TyperGroup) and (left := [*context._protected_args, *context.args]):
        name, command, rest = context.command.resolve_command(context, left)
        assert command is not None
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize(
    "page",
    ["README.md", "docs/paper.md", "docs/unet.md", "docs/training.md", "docs/features.md", "docs/takes.md"],
)
def test_commands_in_the_documents_are_taken(page: str) -> None:
    commands = [each for each in shell_commands(page) if "--help" not in each]
    assert commands
    for arguments in commands:
        parse(arguments)


def test_a_command_that_is_not_taken_is_noticed() -> None:
    for wrong in (["compose", "film.mp4", "--sampler", "x"], ["weights", "export", "--no-such-option"]):
        with pytest.raises(TyperException):
            parse(wrong)


def test_every_field_of_a_recipe_is_documented() -> None:
    """`docs/training.md` names the fields in tables; a network's own fields may stand in one row."""
    pytest.importorskip("torch")
    from diffbgm.train import recipe

    page = (CHECKOUT / "docs" / "training.md").read_text(encoding="utf-8")
    sections = (recipe.DataOptions, recipe.ConditionOptions, recipe.TrainingOptions)
    fields = {field for section in sections for field in section.model_fields}
    assert not {field for field in fields if f"`{field}`" not in page}


def test_the_first_two_commands_are_the_ones_that_are_checked() -> None:
    install, tests = re.findall(r"```sh\n(.*)\n```", README)[:2]
    assert README.index(install) < 200
    clip = re.search(r"examples/\S+", install)
    assert clip is not None
    assert (CHECKOUT / clip.group()).is_file()
    assert re.fullmatch(r"pip install .*pytest", tests), ".ci/run looks for it by this pattern"
    assert len(re.findall(r"^pip install .*pytest$", README, re.MULTILINE)) == 1


def test_the_readmes_wishes_are_valid() -> None:
    text = re.search(r'"wishes": (\{.*?\n\})', README, re.DOTALL)
    assert text is not None
    wishes = Wishes.model_validate(json.loads(text.group(1)))
    assert wishes.sections


def test_the_cue_sheets_page_names_every_field() -> None:
    page = (CHECKOUT / "docs" / "cuesheet.md").read_text(encoding="utf-8")
    schema = CueSheet.model_json_schema()
    types = [
        schema,
        *(schema["$defs"][name] for name in ("Wishes", "HitWish", "SectionWish", "Plan", "Section", "Hit")),
    ]
    fields = {field for each in types for field in each["properties"]}
    assert not {field for field in fields if f"`{field}`" not in page and f'"{field}"' not in page}


def test_the_architecture_names_files_that_exist() -> None:
    text = (CHECKOUT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`([a-z_/]+/(?:[a-z_-]+\.(?:py|md))?)`", text)) | {"pipeline.py", "errors.py"}
    missing = [
        path for path in paths if not any((CHECKOUT / root / path).exists() for root in ("", "src/diffbgm"))
    ]
    assert not missing


def test_the_version_stands_in_one_place() -> None:
    citation = (CHECKOUT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(__version__)}$", citation, re.MULTILINE)
    project = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project


@pytest.mark.parametrize("script", ["speed.py", "e2e.py", "ablations.py"])
def test_benchmarks_start(script: str) -> None:
    run = subprocess.run(
        [sys.executable, str(CHECKOUT / "benchmarks" / script), "--help"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "usage:" in run.stdout
