"""The server of `benchmarks/serving.py`, run as a process of its own, and the clients that load it."""

import concurrent.futures
import contextlib
import http.client
import itertools
import os
import pathlib
import socket
import subprocess
import time
from typing import NamedTuple

import numpy as np

from tfvae import config

_SERVER = pathlib.Path(__file__).with_name("kserve_server.py")
_START_SECONDS = 180
_REQUEST_SECONDS = 120


class Load(NamedTuple):
    """What a load gave."""

    clients: int
    requests_per_second: float
    p50: float  # Milliseconds.
    p99: float
    server_cores: float  # CPU seconds a second.
    client_cores: float
    other_cores: float  # Other processes, and what the hypervisor took: 0 on a machine that does nothing else.


class Server:
    """The running server of one export."""

    def __init__(self, process, port):
        self.process = process
        self.port = port

    def cpu_seconds(self):
        user, system = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Returns the resident memory in MiB."""
        pages = int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextlib.contextmanager
def served(python, version, batching, wait_microseconds, log):
    """Runs the server until the block ends; yields the `Server` once it answers that the model is ready.

    Args:
        python: The Python of the server's environment.
        version: The folder of one version of an export.
        batching: Whether simultaneous requests are merged.
        wait_microseconds: How long a batch that is not full waits.
        log: The file that gets all that the server says.

    Raises:
        config.UserError: If it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, str(_SERVER), f"--model_dir={version}"]
    command += [f"--batching={str(batching).lower()}", f"--http_port={port}", "--enable_grpc=false"]
    command += [f"--batch_timeout_micros={wait_microseconds}"]
    with open(log, "wb") as stream:
        try:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        except OSError as error:
            raise config.UserError(f"--server_python: cannot run {command[0]}: {error.strerror}.") from None
        try:
            _wait_until_ready(process, port, log)
            yield Server(process, port)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process, port, log):
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/v1/models/model")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    last = (log.read_text(errors="replace").strip().splitlines() or ["(empty)"])[-1]
    raise config.UserError(f"the server did not start; the last line of {log}: {last}")


def ask(connection, body):
    """Returns the answer's JSON text to one predict request, or to a question whether the model is ready (None)."""
    try:
        if body is None:
            connection.request("GET", "/v1/models/model")
        else:
            connection.request("POST", "/v1/models/model:predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise config.UserError(f"the server gave no answer: {error or type(error).__name__}; see its log.") from error
    if answer.status != 200:
        raise config.UserError(f"the server answered {answer.status}: {text[:300].decode(errors='replace')}")
    return text


def drive(port, bodies, clients, go_on):
    """Sends `bodies` in turn, from `clients` threads at once, while `go_on(number of the request)`.

    Returns:
        [(number of the request, seconds that it took, answer)], in no order.
    """
    numbers = itertools.count()

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_REQUEST_SECONDS)
        done = []
        with contextlib.closing(connection):
            while go_on(number := next(numbers)):
                start = time.perf_counter()
                answer = ask(connection, bodies[number % len(bodies)])
                done.append((number, time.perf_counter() - start, answer))
        return done

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(client) for _ in range(clients)]
        return [one for future in futures for one in future.result()]


def _machine_seconds():
    """Returns the CPU seconds of all processes since the machine started, and those that the hypervisor took."""
    user, nice, system, _, _, interrupts, soft, stolen = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def measure(server, bodies, clients, seconds):
    """Returns the `Load` of `clients` clients for some seconds, after half a second that is not counted."""

    def for_seconds(seconds):
        end = time.perf_counter() + seconds
        return drive(server.port, bodies, clients, lambda _: time.perf_counter() < end)

    def clocks():
        return np.array([time.perf_counter(), server.cpu_seconds(), time.process_time(), _machine_seconds()])

    for_seconds(0.5)
    before = clocks()
    milliseconds = [1000 * taken for _, taken, _ in for_seconds(seconds)]
    wall, server_cpu, client_cpu, all_cpu = clocks() - before
    return Load(
        clients,
        len(milliseconds) / wall,
        *np.percentile(milliseconds, [50, 99]).tolist(),
        server_cpu / wall,
        client_cpu / wall,
        max(0.0, all_cpu - server_cpu - client_cpu) / wall,
    )


def median(loads):
    """Returns the `Load` whose numbers are the medians of several loads' numbers."""
    return Load(*np.median(loads, axis=0).tolist())


def memory_over(server, bodies, requests, clients=32):
    """Returns [(requests sent, MiB)] over so many requests, of all bodies in turn."""
    samples = []

    def go_on(number):
        if number % 100 == 0 and number <= requests:
            samples.append((number, server.memory()))
        return number < requests

    drive(server.port, bodies, clients, go_on)
    return samples
