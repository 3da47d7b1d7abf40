"""How far the long parts of an evaluation have come."""

import sys

from tqdm import tqdm


def progress_bar(total, words, unit="image"):
    """Returns a bar on standard error; where that is no terminal, a line there says what begins."""
    if not sys.stderr.isatty():
        print(f"{words}: {total:,} {unit}s", file=sys.stderr, flush=True)
    return tqdm(total=total, desc=words, unit=unit, disable=None)
