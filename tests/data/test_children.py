"""Child processes that do the drawing and the searching: what becomes of one whose parent is gone."""

import subprocess
import sys

WORK = "from tfvae.data import children; children.serve(lambda number: [number] * 100_000)"


def test_a_child_without_a_parent_ends_without_a_word():
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    with subprocess.Popen([sys.executable, "-c", WORK], **pipes, text=True) as child:
        child.stdout.close()
        print(1, file=child.stdin, flush=True)
        assert child.wait(60) == 1
        assert child.stderr.read() == ""
