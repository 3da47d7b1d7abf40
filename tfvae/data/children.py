"""Work for plain child processes on all cores: a line of JSON in, a line of JSON out.

Plain child processes rather than `multiprocessing`: they never import the caller's main module (which may be a script
without a guard, or a notebook) nor TensorFlow, and start within half a second.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import queue
import subprocess
import sys

import tfvae


def serve(answer):
    """In a child: answers each line on stdin with a line on stdout until stdin ends.

    Args:
        answer: Takes what a line of JSON says and returns what can be written as one.
    """
    for line in sys.stdin:
        try:
            print(json.dumps(answer(json.loads(line))), flush=True)
        except BrokenPipeError:
            os._exit(1)  # Who has asked is gone, killed perhaps.


@contextlib.contextmanager
def _processes(module, arguments, count):
    """Yields a queue of `count` processes that run `module`, and ends them."""
    root = str(pathlib.Path(tfvae.__file__).parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", module, *map(str, arguments)]
    free = queue.Queue()
    started = []
    try:
        for _ in range(count):
            # In a session of their own, so that Ctrl-C reaches the caller alone, who then ends them.
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            # One thread each: they share the cores.
            environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            process = subprocess.Popen(command, **pipes, env=environment, text=True, start_new_session=True)
            started.append(process)
            free.put(process)
        yield free
    finally:
        for process in started:
            process.kill()
            process.communicate()


def ask(module, arguments, requests):
    """Has `requests` answered by processes that run `python -m module arguments`, on all cores.

    Args:
        module: A module whose main calls `serve`.
        arguments: Of the command line.
        requests: A list of what can be written as JSON.

    Yields:
        The answer to each request, in order.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, len(requests)) or 1
    with _processes(module, arguments, workers) as free, concurrent.futures.ThreadPoolExecutor(workers) as pool:

        def answered(request):
            process = free.get()
            try:
                print(json.dumps(request), file=process.stdin, flush=True)
                return json.loads(process.stdout.readline())
            except (BrokenPipeError, json.JSONDecodeError):
                raise RuntimeError(f"A process of {module} ended early, see its message above.") from None
            finally:
                free.put(process)

        try:
            yield from pool.map(answered, requests)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
