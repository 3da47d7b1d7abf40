"""Settings and models that are wrong in every way that can be thought of: one line, exit status 1."""

import ast
import dataclasses
import os
import pathlib
import shutil
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvae import commandline, config, generate, serving, training
from tfvae.config import UserError

PACKAGE = pathlib.Path(serving.__file__).parent.parent
COMMANDS = [
    config.TrainConfig,
    config.GenerateConfig,
    config.ReconstructConfig,
    config.InterpolateConfig,
    config.ExportConfig,
    config.ClientConfig,
]


def ended(monkeypatch, settings_class, main, *arguments):
    """Runs a command; returns the line with which it ends, which says that its status is 1."""
    monkeypatch.setattr("sys.argv", ["tfvae", *arguments])
    with pytest.raises(SystemExit) as stopped:
        commandline.run(settings_class, main)
    assert isinstance(stopped.value.code, str) and stopped.value.code.isprintable(), stopped.value.code
    assert stopped.value.code.startswith("error: ")
    return stopped.value.code


def bounds_of(settings_class):
    """Yields (field, values that are allowed, values that are not)."""
    for field in dataclasses.fields(settings_class):
        bounds, kind = field.metadata, type(field.default)
        inside, outside = [field.default], []
        if kind in (int, float):
            tiny = 1 if kind is int else 1e-9
            for bound, sign in ((bounds["at_least"], -1), (bounds["at_most"], 1)):
                if bound is not None:
                    inside += [kind(bound), kind(bound - sign * tiny)]
                    outside += [kind(bound + sign * max(tiny, abs(bound) * 1e-9)), kind(sign * 10**12)]
            if bounds["above"] is not None:
                inside.append(kind(bounds["above"] + tiny))
                outside.append(kind(bounds["above"]))
        if kind is float:
            outside += [float("nan"), float("inf"), -float("inf")]
        if kind is str:
            outside += ["two\nlines", "nul\0", "ends in a space ", "\udcff"]
        yield field, inside, outside


@pytest.mark.parametrize("settings_class", COMMANDS)
def test_every_setting_is_held_to_its_bounds_and_no_tighter(settings_class):
    for field, inside, outside in bounds_of(settings_class):
        for value in inside:
            try:
                settings_class(**{field.name: value})
            except UserError as error:  # Only where another setting has to be given too.
                assert " needs --" in str(error) or field.name == "image_width", error
        for value in outside:
            with pytest.raises(UserError, match=f"^--{field.name} must "):
                settings_class(**{field.name: value})


@pytest.mark.parametrize("settings_class", COMMANDS)
def test_a_number_of_any_size_and_a_word_are_one_line(settings_class, monkeypatch):
    for field in dataclasses.fields(settings_class):
        if type(field.default) in (int, float):
            for value in ("many", "1e999", "-1" + "0" * 400, "", "0x", "\u0664\u0662\ud800"):
                line = ended(monkeypatch, settings_class, lambda *_: None, f"--{field.name}={value}")
                assert field.name in line


def test_flagfiles_that_are_none_are_one_line(tmp_path, monkeypatch):
    (tmp_path / "unknown").write_text("--epochs=3\n--colour=blue\n")
    (tmp_path / "itself").write_text(f"--flagfile={tmp_path / 'itself'}\n")
    (tmp_path / "one").write_text(f"--flagfile={tmp_path / 'other'}\n")
    (tmp_path / "other").write_text(f"--epochs=3\n--flagfile={tmp_path / 'one'}\n")
    (tmp_path / "within").write_text(f"--epochs=3\n--flagfile={tmp_path / 'unknown'}\n")
    (tmp_path / "many").write_text(f"--flagfile={tmp_path / 'empty'}\n" * 5_000)
    (tmp_path / "empty").write_text("")
    (tmp_path / "zeros").write_bytes(bytes(900_000))
    (tmp_path / "words").write_text("--epochs=3\na word\n")
    (tmp_path / "large").write_text("\n" * 1_000_001)
    (tmp_path / "dashes").write_text("--epochs=3\n--\n")
    (tmp_path / "undefok").write_text("--undefok=epohcs\n--epohcs=3\n")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "nul").write_bytes(b"--data=a\0b\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad value").write_text("--epochs=0\n")
    for name, words in {
        "unknown": "Unknown command line flag 'colour'",
        "itself": "at most 32 flagfiles, none of which leads to itself",
        "one": "at most 32 flagfiles, none of which leads to itself",
        "dashes": "expected flags, one a line, got '--'",
        "undefok": "Unknown command line flag 'undefok'",
        "within": f"--flagfile={tmp_path / 'unknown'}: Unknown command line flag 'colour'",
        "many": "at most 32 flagfiles, none of which leads to itself",
        "binary": "expected a file of text, got the byte 0x80",
        "zeros": "expected flags, one a line, got ",
        "words": "expected flags, one a line, got 'a word'",
        "large": "expected a file of flags, got more than 1,000,000 bytes",
        "pipe": "got a device or a pipe",
        "nul": "--data must be one line, without control characters",
        "folder": "expected a file of flags, one a line, got a folder",
        "missing": "expected a file of flags, one a line, got no such file",
        "bad value": "--epochs must be at least 1, got 0",
    }.items():
        line = ended(monkeypatch, config.TrainConfig, lambda *_: None, f"--flagfile={tmp_path / name}")
        assert words in line and len(line) < 1000 and (str(tmp_path) in line or name in ("nul", "bad value"))
    for path, got in {"": "none", "/dev/zero": "a device or a pipe", "x" * 5000: "File name too long"}.items():
        line = ended(monkeypatch, config.TrainConfig, lambda *_: None, "--flagfile", path)
        assert got in line and len(line) < 1000


def test_flagfiles_are_read_where_they_are_named(tmp_path):
    (tmp_path / "inner").write_text("\ufeff// Notepad begins files so\n--epochs=3\n\n# and\n--lr=0.5\n", "utf-8")
    (tmp_path / "outer").write_text(f"--epochs=2\n--flagfile={tmp_path / 'inner'}\n--width=7\n")
    arguments = ["--lr=0.1", f"--flagfile={tmp_path / 'outer'}", "--width", "9", "file", "--", "--flagfile=none"]
    settings, rest = commandline.parse(config.TrainConfig, arguments)
    assert (settings.epochs, settings.lr, settings.width, rest) == (3, 0.5, 9, ["file", "--flagfile=none"])


@pytest.mark.parametrize(
    "flag, expected",
    {
        "width=1.5": "a whole number, got '1.5'",
        "jit=maybe": "true or false, got 'maybe'",
        "lr=fast": "a number, got",
    }.items(),
)
def test_a_value_of_another_kind_is_told_in_plain_words(flag, expected, monkeypatch):
    line = ended(monkeypatch, config.TrainConfig, lambda *_: None, f"--{flag}")
    assert line.startswith(f"error: --{flag.partition('=')[0]} must be {expected}")


def test_a_warning_is_one_line(monkeypatch):
    monkeypatch.setattr("sys.argv", ["tfvae"])
    monkeypatch.setattr("warnings.formatwarning", warnings.formatwarning)  # Put back afterwards.
    commandline.run(config.TrainConfig, lambda *_: None)
    shown = warnings.formatwarning(UserWarning("3 files\nare none"), UserWarning, "file.py", 3)
    assert shown == "warning: 3 files\\nare none\n"


@pytest.mark.parametrize("flag", ["data", "runs_dir", "export_dir", "data_dir"])
def test_paths_that_cannot_be_are_one_line(flag, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = {"data": str(images), "image_size": "8", "cache": "disk"}
    for path in ("x" * 5000, "~nosuchuser_/x" if flag == "data" else "/dev/null/x"):
        flags = {**folder, flag: path}
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        line = ended(monkeypatch, config.TrainConfig, lambda settings, _: training.fit(settings), *arguments)
        assert f"--{flag}" in line
    assert not (tmp_path / "runs" / images.name / "flags.cfg").exists()


@pytest.fixture(scope="module")
def exported(whole):
    return whole.parent.parent / "export_dir" / "run"


class _Other(tf.Module):
    """A SavedModel with the names of our signatures, and other inputs."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, x):
        return {"y": 2 * x}


def _others(folder, exported):
    """Makes folders that are no exports of this package, each with what is said of it."""
    (folder / "empty").mkdir()
    (folder / "file").write_text("text")
    names = ("reconstruct", "encode", "decode", "generate_bytes", "interpolate", "prepare_bytes")
    other = _Other()
    tf.saved_model.save(other, str(folder / "other"), signatures={"serving_default": other.__call__})
    tf.saved_model.save(other, str(folder / "same names"), signatures={name: other.__call__ for name in names})
    for name in ("no variables", "half a variable", "flipped", "no index", "not a graph"):
        shutil.copytree(exported / "1", folder / name)
    (data,) = (folder / "no variables" / "variables").glob("*.data*")
    data.unlink()
    content = data.parent.parent.parent.joinpath("flipped", "variables", data.name).read_bytes()
    (folder / "half a variable" / "variables" / data.name).write_bytes(content[: len(content) // 2])
    half = len(content) // 2
    flipped = content[:half] + bytes([content[half] ^ 255]) + content[half + 1 :]
    (folder / "flipped" / "variables" / data.name).write_bytes(flipped)
    (folder / "no index" / "variables" / "variables.index").unlink()
    (folder / "not a graph" / "saved_model.pb").write_bytes(b"\x0a\xff\xff")
    cannot = "--model: cannot open"
    return {
        "missing": "--model: no such folder",
        "empty": "--model must be saved_models/NAME",
        "file": "--model must be saved_models/NAME",
        "other": "is no export of tfvae: it has no signature 'reconstruct'",
        "same names": "is no export of tfvae: its signatures take something else",
        "no variables": cannot,
        "half a variable": cannot,
        "flipped": cannot,
        "no index": cannot,
        "not a graph": cannot,
        "x" * 5000: "File name too long",
    }


def test_what_is_no_export_is_one_line(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, words in _others(tmp_path, exported).items():
        line = ended(monkeypatch, config.GenerateConfig, generate.main, f"--model={tmp_path / name}")
        assert words in line and "experimental_io_device" not in line
    assert not (tmp_path / "samples.png").exists()


def calls(path):
    """Returns the names of all that a file calls, such as `np.load`, each with its keywords."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        (ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords})
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def test_nothing_is_unpickled_evaluated_unpacked_or_given_to_a_shell():
    for path in PACKAGE.rglob("*.py"):
        for name, words in calls(path):
            if name.endswith("np.load"):
                assert words.get("allow_pickle") == "False", path
            last = name.rpartition(".")[2]
            assert last not in ("extractall", "eval", "system", "popen", "load_model", "enable_unsafe_deserialization")
            assert (last != "exec" and last != "unpack_archive") and words.get("shell", "False") == "False", path
            assert not (name.startswith("archive.") and last == "extract"), path


def test_a_keras_file_with_code_in_it_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: 2 * x)]).save(tmp_path / "bad.keras")
    with pytest.raises(ValueError, match="safe_mode|unsafe"):
        keras.saving.load_model(tmp_path / "bad.keras")


def test_an_array_with_objects_in_it_is_refused_unread(tmp_path):
    from tfvae import data

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    np.save(tmp_path / "bomb.npy", np.array([Bomb()] * 40, object), allow_pickle=True)
    with pytest.raises(UserError, match="expected arrays of numbers"):
        data.load(config.DataConfig(data=str(tmp_path / "bomb.npy"), data_dir=str(tmp_path)))
    assert not (tmp_path / "owned").exists()
