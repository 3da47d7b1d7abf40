"""The order of the house: which way imports point, what is light, how long a file may be."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "tfvae"
ENTRY_POINTS = {"train", "generate", "reconstruct", "interpolate", "evaluate", "inspect", "export", "client"}
# What a part of the house may import of the others.
ALLOWED = {
    "settings": set(),
    "config": {"settings", "config"},
    "quiet": set(),
    "keras_backend": {"settings"},
    "locks": set(),
    "noise": set(),
    "files": {"locks"},
    "commandline": {"config", "keras_backend", "quiet"},
    "pictures": {"config", "files", "locks"},
    "outputs": {"config", "pictures"},
    "data": {"config", "files", "locks", "data"},
    "model": {"config", "keras_backend", "model", "noise"},
    "samplers": {"config", "model", "samplers"},
    "evaluation": {"config", "commandline", "files", "data", "model", "evaluation", "outputs", "pictures", "serving"},
    "remote": {"settings", "remote"},
    "serving": {"config", "commandline", "files", "locks", "noise", "pictures", "data", "serving"},
    "training": {
        "config",
        "commandline",
        "files",
        "keras_backend",
        "locks",
        "noise",
        "pictures",
        "data",
        "model",
        "samplers",
        "evaluation",
        "serving",
        "training",
    },
} | {
    name: {"config", "commandline", "data", "pictures", "outputs", "training", "serving", "evaluation", "remote"}
    for name in ENTRY_POINTS
}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path):
    """Returns the names of all modules that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    inside = {name.split(".")[1] for name in imported(path) if name.startswith("tfvae.")}
    assert inside <= ALLOWED[part(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_knows_flags_and_nobody_pickles(path):
    names = imported(path)
    assert part(path) == "commandline" or not any(name.startswith(("absl.flags", "absl.app")) for name in names)
    assert not {name.split(".")[0] for name in names} & {"pickle", "marshal", "shelve", "dill", "joblib"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 320


@pytest.mark.parametrize("command", sorted(ENTRY_POINTS))
def test_help_needs_no_tensorflow(command):
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"tfvae.{command}", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Flags, with their defaults:" in answer.stdout
    imports = {line.split("|")[-1].strip().split(".")[0] for line in answer.stderr.splitlines()}
    assert "absl" in imports and not {"tensorflow", "keras", "matplotlib"} & imports
