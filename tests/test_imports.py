"""What starting up costs: guarded by what gets imported and by comparison, never by the clock on the wall."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import diffbgm

HEAVY = {"av", "cv2", "onnxruntime", "numpy", "torch", "symusic", "mido", "pygame", "scipy"}


def modules_after(code: str, cwd: Path | None = None) -> set[str]:
    """The modules in a fresh interpreter once it has run `code`."""
    program = f"{code}\nimport sys\nprint('\\n' + ' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=cwd, timeout=60
    )
    return set(run.stdout.rsplit("\n", 2)[-2].split())


def test_the_package_loads_nothing_by_itself() -> None:
    loaded = modules_after("import diffbgm")
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("diffbgm")} == {"diffbgm"}


HELP = "import diffbgm.cli\ntry:\n    diffbgm.cli.main([{arguments}])\nexcept SystemExit:\n    pass"


@pytest.mark.parametrize("arguments", ["'--help'", "'compose', '--help'", "'--version'"])
def test_help_loads_nothing_heavy(arguments: str) -> None:
    loaded = modules_after(HELP.format(arguments=arguments))
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("diffbgm")} <= {
        "diffbgm",
        "diffbgm.arguments",
        "diffbgm.cli",
        "diffbgm.commands",
        "diffbgm.commands.film",
        "diffbgm.commands.lists",
        "diffbgm.commands.measure",
        "diffbgm.data",
        "diffbgm.data.commands",
        "diffbgm.editing",
        "diffbgm.editing.commands",
        "diffbgm.errors",
        "diffbgm.features",
        "diffbgm.features.commands",
        "diffbgm.listening",
        "diffbgm.listening.commands",
        "diffbgm.train",
        "diffbgm.train.commands",
        "diffbgm.train.import_command",
    }


def cpu_seconds(*arguments: str, times: int = 5) -> float:
    """The least CPU time of a few runs of the interpreter."""
    if sys.platform == "win32":
        pytest.skip("needs the resource module")
    import resource

    least = float("inf")
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return least


def test_starting_up_costs_little() -> None:
    """Compared with importing numpy alone, on the same machine at the same time.

    Where these ratios hold, `import diffbgm` and `--help` stay far below 0.5 s and 0.3 s on any machine
    on which numpy starts in 0.1 s.
    """
    yardstick = cpu_seconds("-c", "import numpy")
    assert cpu_seconds("-c", "import diffbgm") < 1.0 * yardstick
    assert cpu_seconds("-m", "diffbgm", "--help") < 3.0 * yardstick


def test_every_public_name_resolves() -> None:
    for name in diffbgm.__all__:
        assert getattr(diffbgm, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = diffbgm.nonsense


def test_importing_leaves_no_trace(tmp_path: Path) -> None:
    """No folder, no log, no thread: importing the pipeline in an empty folder leaves it empty."""
    code = (
        "import threading, diffbgm.pipeline, diffbgm.cli, diffbgm.console\n"
        "assert threading.active_count() == 1, threading.enumerate()"
    )
    assert "torch" not in modules_after(code, cwd=tmp_path)
    assert not list(tmp_path.iterdir())
