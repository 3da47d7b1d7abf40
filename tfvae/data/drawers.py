"""Draws many avatars on all cores.

Plain child processes rather than `multiprocessing`: they never import the caller's main module (which may be a script
without a guard, or a notebook) nor TensorFlow, and start within half a second.
"""

import base64
import concurrent.futures
import contextlib
import json
import os
import pathlib
import queue
import subprocess
import sys
from typing import NamedTuple

import tfvae

_CHUNK = 32


class Avatar(NamedTuple):
    """One finished avatar."""

    indices: tuple  # An index into each attribute's values.
    visible: tuple  # Of bool: whether each attribute shows.
    png: bytes


def _work(style, size):
    """Answers each line of avatar numbers on stdin with a line of avatars on stdout, both JSON, until stdin ends."""
    from tfvae.data import artwork, styles, visibility

    art = styles.load(style)
    shows = visibility.Visibility(style, size)
    for line in sys.stdin:
        avatars = []
        for number in json.loads(line):
            indices = artwork.sample(art, number)
            drawing = artwork.render(art, size, artwork.pins(art, indices))
            visible = [bool(mark) for mark in shows.marks(indices, drawing)]
            avatars.append([[int(index) for index in indices], visible, base64.b64encode(drawing.png).decode()])
        print(json.dumps(avatars), flush=True)


@contextlib.contextmanager
def _processes(style, size, count):
    """Yields a queue of `count` drawing processes, and ends them."""
    root = str(pathlib.Path(tfvae.__file__).parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "tfvae.data.drawers", style, str(size)]
    free = queue.Queue()
    started = []
    try:
        for _ in range(count):
            # In a session of their own, so that Ctrl-C reaches the caller alone, who then ends them.
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            environment = {**os.environ, "PYTHONPATH": paths}
            process = subprocess.Popen(command, **pipes, env=environment, text=True, start_new_session=True)
            started.append(process)
            free.put(process)
        yield free
    finally:
        for process in started:
            process.kill()
            process.communicate()


def draw_all(style, size, numbers):
    """Draws avatars on all cores.

    Args:
        style: The name of a style.
        size: Height and width in pixels.
        numbers: The avatars' numbers, as `artwork.sample` takes them.

    Yields:
        An `Avatar` for each number, in order.
    """
    chunks = [numbers[start : start + _CHUNK] for start in range(0, len(numbers), _CHUNK)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, len(chunks)) or 1
    with _processes(style, size, workers) as free, concurrent.futures.ThreadPoolExecutor(workers) as pool:

        def draw(chunk):
            process = free.get()
            try:
                print(json.dumps([int(number) for number in chunk]), file=process.stdin, flush=True)
                return [
                    Avatar(tuple(indices), tuple(visible), base64.b64decode(png))
                    for indices, visible, png in json.loads(process.stdout.readline())
                ]
            except (BrokenPipeError, json.JSONDecodeError):
                raise RuntimeError(
                    f"A process that draws {style} avatars ended early, see its message above."
                ) from None
            finally:
                free.put(process)

        try:
            for avatars in pool.map(draw, chunks):
                yield from avatars
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    _work(sys.argv[1], int(sys.argv[2]))
