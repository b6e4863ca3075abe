"""`python -m diffbgm.train RECIPE ...`: train a model as a recipe says, or go on with a stopped run."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from diffbgm.data.pop909 import read_songs
from diffbgm.data.windows import WindowSource
from diffbgm.errors import DiffbgmError
from diffbgm.train.loop import Recipe, Trainer


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m diffbgm.train", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds POP909/")
    parser.add_argument("--table", type=Path, required=True, help="POP909-songs.csv")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoint and log")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, help="instead of the recipe's")
    given = parser.parse_args()
    try:
        recipe = Recipe.read(given.recipe)
        if given.steps is not None:
            recipe = replace(recipe, steps=given.steps)
        if given.threads is not None:
            recipe = replace(recipe, threads=given.threads)
        train = WindowSource(list(read_songs(given.data, given.table, "train")))
        heldout = WindowSource(list(read_songs(given.data, given.table, "heldout")))
    except DiffbgmError as error:
        print(f"diffbgm: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{len(train.windows)} windows of {len(train.songs)} songs; {len(heldout.windows)} held out")
    trainer = Trainer(recipe, train, heldout, given.run)
    trainer.resume()
    trainer.fit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
