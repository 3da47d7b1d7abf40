"""The decoders on many hostile files: for `faults.py`, in child processes, so that a crash is seen and its file kept.

As a script it is such a process: it prepares the files FIRST to LAST - 1 of SEED, writes the number of the one in hand
to the file MARK, and prints a line of JSON for each that was slow, took much memory, or raised what it should not; and
a last one with the totals (Linux only).
"""

import collections
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "data"))

_SECONDS, _MEGABYTES = 5.0, 512  # What one image may take.
_PATIENCE = 120  # Seconds without the next image: the process hangs (it may share the machine with others).


def content_of(seed, number):
    """Returns (name of the file it was made of, content) of the hostile file `number` of `seed`."""
    import mutations

    return mutations.hostile(random.Random(f"{seed}-{number}"))


def _status(kind):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) * 1024 / 1e6


def work(seed, first, last, mark):
    """Prepares the files `first` to `last` - 1 and prints what was found."""
    import tensorflow as tf

    from tfvae import config
    from tfvae.data import decode, preprocessing
    from tfvae.serving import image_files, image_preprocessing

    most, spec = config.DataConfig.max_pixels, preprocessing.ImageSpec(60, 60, 3, deep_values=image_preprocessing.DEEP)
    read = tf.function(lambda content: image_files.read(content, "image_bytes", spec, most),
                       [tf.TensorSpec([None], tf.string)], autograph=False)  # fmt: skip

    def prepare(number, content):
        """As training does it, with Pillow; every other PNG and JPEG file as the graph of an export does it."""
        if number % 2 and content.startswith(decode.PNG_OR_JPEG):
            return read([content])[0]
        with decode.limits(most):
            return preprocessing.prepare(decode.open_image(content, most, (60, 60)), spec)

    outcomes, slowest, largest, resident = collections.Counter(), 0.0, 0.0, 0.0
    for number in range(first, last):
        name, content = content_of(seed, number)
        mark.write_text(str(number))
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # The peak counts from here.
        started, outcome = time.process_time(), "decoded"
        try:
            if prepare(number, content).shape != (60, 60, 3):
                outcome = "wrong shape"
        except (tf.errors.InvalidArgumentError, decode.NotAnImage, decode.Unreadable):
            outcome = "refused"
        except Exception as error:
            outcome = type(error).__name__
        seconds, megabytes = time.process_time() - started, _status("VmHWM") - resident
        if number == first:  # It set up the graph; what the allocator keeps of later files counts.
            resident = _status("VmRSS")
        else:
            slowest, largest = max(slowest, seconds), max(largest, megabytes)
            bad = outcome not in ("decoded", "refused") or seconds > _SECONDS or megabytes > _MEGABYTES
            if bad:
                found = {"number": number, "name": name, "outcome": outcome, "seconds": seconds, "MB": megabytes}
                print(json.dumps(found), flush=True)
        outcomes[outcome] += 1
    print(json.dumps({"outcomes": outcomes, "slowest": slowest, "largest": largest}), flush=True)


def measure(inputs, seed, output, chunk=5000):
    """Prepares `inputs` hostile files, a process for each `chunk`; files that do harm are kept in `output`.

    Returns:
        {"inputs", "outcomes", "slowest" (s of processor time), "largest" (MB beyond what was resident), "harmful"}.
    """
    mark = output / "images.mark"
    outcomes, slowest, largest, harmful = collections.Counter(), 0.0, 0.0, []
    first = 0
    while first < inputs:
        last = min(first + chunk, inputs)
        command = [sys.executable, __file__, str(seed), str(first), str(last), str(mark)]
        mark.unlink(missing_ok=True)
        with open(output / "images.log", "w+") as log:
            child = subprocess.Popen(command, stdout=log, stderr=subprocess.DEVNULL)
            code = _watched(child, mark)
            log.seek(0)
            lines = [json.loads(line) for line in log if line.startswith("{")]
        harmful += [line for line in lines if "number" in line]
        totals = [line for line in lines if "outcomes" in line]
        if totals:
            outcomes.update(totals[0]["outcomes"])
            slowest, largest = max(slowest, totals[0]["slowest"]), max(largest, totals[0]["largest"])
            first = last
        else:  # It ended in the middle: go on behind the file that did it.
            number = int(mark.read_text()) if mark.exists() and mark.read_text() else first
            reason = "hang" if code is None else f"signal {-code}" if code < 0 else f"status {code}"
            harmful.append({"number": number, "name": content_of(seed, number)[0], "outcome": reason})
            outcomes[reason] += 1
            first = number + 1
        print(f"images: {first:,} of {inputs:,}: {dict(outcomes)}, harmful: {len(harmful)}", flush=True)
    for one in harmful:
        (output / f"harmful-{one['number']}-{one['name']}").write_bytes(content_of(seed, one["number"])[1])
    mark.unlink(missing_ok=True)
    return {"inputs": inputs, "outcomes": outcomes, "slowest": slowest, "largest": largest, "harmful": harmful}


def _watched(child, mark):
    """Waits for `child`; returns its status, None where it was killed because `mark` stood still."""
    seen, since = None, time.monotonic()
    while child.poll() is None:
        time.sleep(0.5)
        now = mark.read_text() if mark.exists() else ""
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _PATIENCE:
            child.send_signal(signal.SIGKILL)
            child.wait()
            return None
    return child.returncode


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4]))
