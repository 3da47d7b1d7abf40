"""What a process does that `training.py` times: it makes one training, and runs it for as long as it is asked to.

Needs nothing but the standard library, so that it serves both environments.
"""

import json
import resource
import sys
import time


def serve(prepare, batch_size, **about):
    """Answers `training.py`: one JSON line when the training is ready, and one for each line "SECONDS" that comes.

    Args:
        prepare: A function without arguments that returns `steps`, of which `steps(n)` runs n optimizer steps, with
            their data, and returns when their results are there.
        batch_size: Images of a step.
        **about: What else the first line says.
    """
    start = time.perf_counter()
    steps = prepare()
    steps(1)
    first = time.perf_counter() - start
    steps(10)
    _answer(first_step_seconds=first, **about)
    for line in sys.stdin:
        seconds, count = float(line), 0
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            count += steps(max(1, 40 // batch_size))
        _answer(
            images_per_second=count * batch_size / (time.perf_counter() - start),
            peak_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )


def _answer(**values):
    print("answer " + json.dumps(values), flush=True)
