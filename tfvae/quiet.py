"""TensorFlow's import, without the notes about drivers and instructions that it writes over a command's own lines."""

import contextlib
import importlib.util
import os
import sys


@contextlib.contextmanager
def _no_stderr():
    """Sends what anything in this process writes to stderr, C++ code too, to nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _Finder:
    """Finds `tensorflow` once, with a loader that is quiet; an exception of the import is raised as ever."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            load = spec.loader.exec_module

            def exec_module(module):
                with _no_stderr():
                    load(module)

            spec.loader.exec_module = exec_module
        return spec


def hush():
    """Makes the first `import tensorflow` quiet, unless TF_CPP_MIN_LOG_LEVEL says what is wanted."""
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        sys.meta_path.insert(0, _Finder())
