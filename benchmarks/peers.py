"""A process, often of the environment `peers`, that is asked for its part of a measurement."""

import json
import subprocess

from tfvae import config

_LACKED = "import importlib.util, sys; print(*(name for name in sys.argv[1:] if not importlib.util.find_spec(name)))"


def check(python, *modules):
    """Raises config.UserError where `python`, of --peers, cannot be run or has not all of `modules`."""
    expected = f"--peers must be the Python of an environment with {' and '.join(modules)}"
    try:
        answer = subprocess.run([python, "-c", _LACKED, *modules], capture_output=True, text=True)
    except OSError as error:
        raise config.UserError(f"{expected}; cannot run {python!r}: {error.strerror}.") from None
    if answer.returncode or answer.stdout.strip():
        raise config.UserError(f"{expected}; {python} lacks {answer.stdout.strip() or 'Python'}.")


class Peer:
    """Answers each line of JSON by one.

    Args:
        command: What to run; its first part is the Python of an environment.
        failed: What to say of it where it ends without an answer.
        stderr: As for `subprocess.Popen`.

    Raises:
        config.UserError: If it cannot be run, or ends without an answer.
    """

    def __init__(self, command, failed, stderr=None):
        self._failed = failed
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        except OSError as error:
            raise config.UserError(f"--peers: cannot run {command[0]}: {error.strerror}.") from None

    def read(self):
        """Returns the next answer."""
        line = self._process.stdout.readline()
        if not line:
            raise config.UserError(self._failed)
        return json.loads(line)

    def ask(self, **request):
        """Returns the answer to a request."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self.read()

    def close(self):
        self._process.stdin.close()
        self._process.wait()
