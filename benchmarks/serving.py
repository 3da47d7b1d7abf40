"""How an export is served under load: `python -m benchmarks.serving --server_python=SERVER/bin/python`.

KServe serves the SavedModel on this machine (`benchmarks/kserve_server.py`), without and with batching, by the
settings of `docs/serving/batching.config` (two batches at once, 32 rows at most, 2 ms of waiting for more).
Its environment is another one than the project's, because it wants other versions of what both need:

    python -m venv SERVER
    SERVER/bin/pip install 'kserve==0.21.*' 'tensorflow==2.21.*'

Measured from outside, over loopback, in the V1 protocol's JSON, one image a request, clients that keep their
connection and send the next request as soon as an answer has come (so the load is closed: N clients, N requests in
the system):
- answers a second, p50 and p99 of the time from the first byte sent to the last byte read, for each signature and
  number of clients, in turn on a server without and one with batching; medians of several rounds;
- the memory (RSS) of the server over requests of both signatures in turn;
- the cores that server and clients kept busy, and how many requests a second the same clients get from a route of the
  server that computes nothing: what the clients (and KServe's HTTP) could do at most.
Before that, served answers are held to the in-process ones. Writes serving.json, serving.png and the server's logs.
"""

import argparse
import base64
import contextlib
import datetime
import importlib.metadata
import io
import itertools
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import numpy as np
from PIL import Image

from benchmarks.serving_load import drive, measure, median, memory_over, served
from tfvae import config, outputs, quiet

SIGNATURES = ("generate_bytes", "reconstruct_bytes")
MODES = ("no batching", "batching")
CLIENTS = (1, 8, 32)
STD = 0.8


def requests_of(model, count=32):
    """Returns {signature: [(JSON body, inputs of the in-process call)]}, all different as far as the images go."""
    from tfvae.serving import seeds

    files = [path.read_bytes() for path in model.test_images()]
    if not files:
        raise config.UserError(f"--model: {model.path} came without test images.")
    both = {name: [] for name in SIGNATURES}
    for number in range(count):
        seed, file = seeds(0, number, number + 1), files[number % len(files)]
        instances = {"seed": seed[0].tolist(), "std": STD}, {"image_bytes": {"b64": base64.b64encode(file).decode()}}
        inputs = {"seed": seed, "std": np.full(1, STD, np.float32)}, {"image_bytes": [file]}
        for name, instance, arguments in zip(SIGNATURES, instances, inputs, strict=True):
            body = json.dumps({"signature_name": name, "instances": [instance]}).encode()
            both[name].append((body, arguments))
    return both


def difference(model, name, arguments, answer):
    """Returns (largest difference of pixels in 0..255, of latents) of a served answer to the in-process one."""
    row = json.loads(answer)["predictions"][0]
    row = row if "b64" not in row else {"reconstruction_bytes": row}
    pixels, latents = 0, 0.0
    for key, expected in model.call(name, **arguments).items():
        if key.endswith("_bytes"):
            got, wanted = (
                np.asarray(Image.open(io.BytesIO(file)), np.int16)
                for file in (base64.b64decode(row[key]["b64"]), expected[0])
            )
            pixels = max(pixels, int(np.abs(got - wanted).max()))
        else:
            latents = max(latents, float(np.abs(row[key] - expected[0]).max()))
    return pixels, latents


def check(server, model, both, batching):
    """Holds served answers to the in-process ones: latents to 1e-5, and pixels to be the same.

    With batching a pixel may be one of 255 levels off: TensorFlow compiles the function that the scheduler calls
    differently, so sums are rounded differently.

    Returns:
        {"1 clients" or "32 clients": {signature: [pixels, latents]}}, the largest differences.
    """
    found = {}
    for clients in (1, 32):
        found[f"{clients} clients"] = {}
        for name, pairs in both.items():
            bodies = [body for body, _ in pairs]
            answers = drive(server.port, bodies, clients, range(len(bodies)).__contains__)
            differences = [difference(model, name, pairs[number][1], answer) for number, _, answer in answers]
            pixels, latents = (max(column) for column in zip(*differences, strict=True))
            if pixels > int(batching) or latents > 1e-5:
                raise config.UserError(
                    f"{name}, {clients} clients: pixels differ by {pixels}, latents by {latents:.2g}."
                )
            found[f"{clients} clients"][name] = [pixels, latents]
    return found


def in_process(model, both, seconds, batch):
    """Returns {signature: images a second} of calls in this process, `batch` rows each, one after the other."""
    rates = {}
    for name, pairs in both.items():
        columns = zip(*(arguments.values() for _, arguments in pairs[:batch]), strict=True)
        arguments = dict(zip(pairs[0][1], map(np.concatenate, columns), strict=True))
        model.call(name, **arguments)
        calls, end = 0, time.perf_counter() + seconds
        start = time.perf_counter()
        while time.perf_counter() < end:
            model.call(name, **arguments)
            calls += 1
        rates[name] = batch * calls / (time.perf_counter() - start)
    return rates


def run(options):
    """Returns all measurements, ready for JSON."""
    from tfvae.serving import Served, find

    options.version = find(options.model).resolve()
    model = Served(options.version)
    both = requests_of(model)
    bodies = {name: [body for body, _ in pairs] for name, pairs in both.items()}
    in_turn = [body for pair in zip(*bodies.values(), strict=True) for body in pair]
    results = {"machine": machine(options), "image_shape": list(model.image_shape)}
    results["batch_timeout_micros"] = options.batch_timeout_micros
    results["request_bytes"] = {name: round(np.mean([len(body) for body in bodies[name]])) for name in bodies}
    results["in_process"] = {
        f"{batch} rows a call": in_process(model, both, options.seconds, batch) for batch in (1, 8, 32)
    }
    options.output.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as running:
        servers = {}
        for batching, mode in enumerate(MODES):
            log = options.output / f"server_{mode.replace(' ', '_')}.log"
            arguments = options.server_python, options.version, bool(batching), options.batch_timeout_micros, log
            servers[mode] = running.enter_context(served(*arguments))
            ready = servers[mode].memory()
            results[mode] = {"memory_when_ready": ready, "differences": check(servers[mode], model, both, batching)}
        print("Both servers are ready, and answer what the same signatures answer in this process.", flush=True)
        loads = {}
        # Rounds, and both servers in each: what slows the machine for a while slows all numbers alike.
        for _, (name, sent), clients, mode in itertools.product(
            range(options.rounds), (*bodies.items(), ("ready_route", [None])), CLIENTS, MODES
        ):
            load = measure(servers[mode], sent, clients, options.seconds)
            loads.setdefault((mode, name, clients), []).append(load)
        for (mode, name, _), rounds in loads.items():
            results[mode].setdefault(name, []).append({**median(rounds)._asdict(), "rounds": rounds})
        for mode in MODES:
            results[mode]["memory"] = memory_over(servers[mode], in_turn, options.requests)
    return results


def machine(options):
    """Returns the date, the machine and the versions."""
    code = (
        "import platform; from importlib.metadata import version;"
        "print(platform.python_version(), version('kserve'), version('tensorflow'))"
    )
    try:
        answer = subprocess.run([options.server_python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise config.UserError(
            f"--server_python must be a Python with kserve and tensorflow, got {options.server_python}."
        ) from None
    python, kserve, tensorflow = answer.stdout.split()
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": f"{os.cpu_count()} cores, {model}",
        "server": f"server: Python {python}, KServe {kserve}, TensorFlow {tensorflow}",
        "client": f"clients: Python {platform.python_version()}, TensorFlow {importlib.metadata.version('tensorflow')}",
    }


def table(results):
    """Returns the measurements as Markdown."""
    lines = [
        "| signature | clients | batching | answers/s | p50 ms | p99 ms | server's cores | clients' | others' |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in (*SIGNATURES, "ready_route"):
        for rows in zip(*(results[mode][name] for mode in MODES), strict=True):
            for mode, row in zip(("off", "on"), rows, strict=True):
                lines.append(
                    f"| {name} | {row['clients']:.0f} | {mode} | {row['requests_per_second']:.1f} | {row['p50']:.1f} "
                    f"| {row['p99']:.1f} | {row['server_cores']:.2f} | {row['client_cores']:.2f} "
                    f"| {row['other_cores']:.2f} |"
                )
    lines += ["", "| in process, one call after the other | " + " | ".join(SIGNATURES) + " |", "|---|---|---|"]
    for label, rates in results["in_process"].items():
        lines.append(f"| {label}: images/s | " + " | ".join(f"{rates[name]:.1f}" for name in SIGNATURES) + " |")
    total = results[MODES[0]]["memory"][-1][0]
    marks = [total * share // 10 for share in (1, 2, 4, 6, 8, 10)]
    heads = " | ".join(f"after {mark:,}" for mark in marks)
    lines += ["", f"| RSS of the server, MiB | ready | after the loads | {heads} |", "|---" * (len(marks) + 3) + "|"]
    for mode in MODES:
        samples = dict(results[mode]["memory"])
        values = [results[mode]["memory_when_ready"], samples[0], *(samples[mark] for mark in marks)]
        lines.append(f"| {mode} | " + " | ".join(f"{value:.1f}" for value in values) + " |")
    return "\n".join(lines)


def picture(results, path):
    """Writes latency against clients, and memory against requests."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(SIGNATURES) + 1, figsize=(14, 4), layout="constrained")
    for axis, name in zip(axes, SIGNATURES, strict=False):
        for mode, colour in zip(MODES, ("tab:blue", "tab:orange"), strict=True):
            for quantile, style in (("p50", "-o"), ("p99", "--o")):
                values = [row[quantile] for row in results[mode][name]]
                axis.plot(CLIENTS, values, style, color=colour, label=f"{quantile}, {mode}")
        axis.set(title=name, xlabel="clients", ylabel="ms", xscale="log", yscale="log", xticks=CLIENTS)
        axis.set_xticklabels(CLIENTS)
        axis.minorticks_off()
        axis.legend()
    for mode in MODES:
        axes[-1].plot(*zip(*results[mode]["memory"], strict=True), label=mode)
    most = max(memory for mode in MODES for _, memory in results[mode]["memory"])
    axes[-1].set(title="memory of the server", xlabel="requests", ylabel="RSS, MiB", ylim=(0, 1.2 * most))
    axes[-1].legend(loc="lower right")
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--server_python", required=True, type=os.path.expanduser, help="Python of the environment that has kserve."
    )
    parser.add_argument("--model", default="", help="saved_models/NAME or one version's folder; the newest export.")
    parser.add_argument("--output", type=pathlib.Path, default="serving", help="Folder for results (serving).")
    parser.add_argument("--overwrite", action="store_true", help="Replace results that are there.")
    parser.add_argument("--seconds", type=float, default=2, help="Length of each load (2).")
    parser.add_argument("--rounds", type=int, default=3, help="Loads of each kind; medians are shown (3).")
    parser.add_argument("--requests", type=int, default=10_000, help="Requests over which memory is watched (10000).")
    parser.add_argument(
        "--batch_timeout_micros", type=int, default=2000, help="How long a batch waits for more rows (2000)."
    )
    parser.add_argument("--quick", action="store_true", help="A minute: loads of 1 s, memory over 1,000 requests.")
    parser.error = sys.exit  # A mistake is answered by one line.
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds, options.requests = 1, 1, 1000
    quiet.hush()
    try:
        outputs.refuse_existing(options.output / "serving.json", options.overwrite)
        results = run(options)
        (options.output / "serving.json").write_text(json.dumps(results, indent=1) + "\n")
        picture(results, options.output / "serving.png")
    except (config.UserError, OSError) as error:
        sys.exit(str(error))
    print(f"{table(results)}\n\n{', '.join(results['machine'].values())}: {options.output}/serving.json, serving.png")


if __name__ == "__main__":
    main()
