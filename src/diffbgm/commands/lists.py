"""What there is to choose from: `diffbgm styles`, `diffbgm weights`."""

from __future__ import annotations

import typer

from diffbgm.arguments import Debug, Json, print_json


def styles(as_json: Json = False, debug: Debug = False) -> None:
    """List the styles."""
    from diffbgm.score.styles import load_style, style_names

    known = {name: load_style(name).description for name in style_names()}
    if as_json:
        print_json({"styles": [{"name": name, "description": text} for name, text in known.items()]})
        return
    for name, text in known.items():
        print(f"{name:<15} {text}")


def list_models(context: typer.Context, as_json: Json = False, debug: Debug = False) -> None:
    """List the models that come with diffbgm; `import` and `export` make others."""
    if context.invoked_subcommand is not None:
        return
    from diffbgm.diffusion.weights import list_weights, open_weights

    models = [open_weights(str(path)) for path in list_weights()]
    if as_json:
        print_json(
            {"weights": [{"name": m.name, "path": str(m.path), "metadata": m.metadata} for m in models]}
        )
        return
    for model in models:
        print(f"{model.name}  trained on {model.metadata['data']}")
