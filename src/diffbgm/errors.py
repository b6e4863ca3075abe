"""Every failure a person can cause, with the exit code it ends in.

One line each: what happened, which file or field, what was expected, what to do. The command line
prints that line and exits with the class's code; the API raises the class itself.

| code | meaning |
|---|---|
| 0 | done |
| 1 | a bug in diffbgm |
| 2 | usage: unknown option, style, key, tempo or field |
| 3 | input missing, unreadable or without a picture, or a broken cue sheet |
| 4 | a model or tool is missing |
| 5 | part of a batch failed |
| 6 | output exists, its folder is missing or unwritable, or the disk is full |
"""

from __future__ import annotations


class DiffbgmError(Exception):
    """Base of all expected failures; `exit_code` is what the command line ends with."""

    exit_code = 1


class OptionError(DiffbgmError):
    """An option, style, key, tempo or field that does not exist or is out of range."""

    exit_code = 2


class InputError(DiffbgmError):
    """A file given as input is missing, unreadable, or not what it should be."""

    exit_code = 3


class CueSheetError(InputError):
    """A cue sheet that is not valid; the message names the field."""


class MissingToolError(DiffbgmError):
    """Weights, a soundfont or a library that is needed is not there."""

    exit_code = 4


class BatchError(DiffbgmError):
    """Some items of a batch failed; the others are done."""

    exit_code = 5


class OutputError(DiffbgmError):
    """The output cannot be written: it exists, its folder is missing or unwritable, or the disk is full."""

    exit_code = 6
