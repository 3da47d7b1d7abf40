"""The table and the picture of `time_to_quality.py`, of the evaluations that its folder holds."""

import json
import os
import pathlib

import results

from tfvae import config

PSNR = 30.0


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{os.cpu_count()} cores ({name})"


def write(output, calibration, names):
    """Writes time_to_quality.json, .md and .png.

    Args:
        output: The folder with NAME.json of each model that has been trained.
        calibration: What `calibrate` has written.
        names: All models, this package's first.
    """
    found = {}
    for name in names:
        path = output / f"{name}.json"
        if path.exists() and name in calibration["models"]:
            found[name] = results.read(path)
            speed = calibration["models"][name]
            for point in found[name]["points"]:
                point["quiet_seconds"] = speed["start"] + point["steps"] * speed["step"]
    if names[0] not in found or len(found) < 2:
        raise config.UserError(f"{output} needs the trainings of {names[0]} and of a peer first.")
    text = table(found, calibration, names[0])
    (output / "time_to_quality.md").write_text(text, encoding="utf-8")
    raw = {"calibration": calibration, "models": found}
    (output / "time_to_quality.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    picture(found, output / "time_to_quality.png")
    print(text)


def reached(points, figure, target):
    """Returns the first evaluation that has at least `target`, or None."""
    return next((point for point in points if point[figure] >= target), None)


def when(point):
    if point is None:
        return "not reached"
    return f"{point['quiet_seconds'] / 60:.2f} min ({point['steps']:,} steps; {point['seconds'] / 60:.1f} min passed)"


def table(found, calibration, ours):
    """Returns the tables as Markdown: what was reached when, and evaluations at doubling steps."""
    peers = {name: model for name, model in found.items() if name != ours}
    best = max(peers, key=lambda name: max(point["elbo"] for point in peers[name]["points"]))
    target = max(point["elbo"] for point in peers[best]["points"])
    lines = [
        f"Speeds: {calibration['machine']}. Minutes are the first steps and the steps at these speeds; those that "
        f"passed in training stand behind. The best elbo of a peer is {target:,.0f} nats ({best}).",
        "",
        f"| model | weights | first steps, s | ms a step | {PSNR:.0f} dB | elbo {target:,.0f} | trained for "
        "| best PSNR, dB | best elbo |",
        "|" + "---|" * 9,
    ]
    for name, model in found.items():
        speed, points = calibration["models"][name], model["points"]
        cells = [name, f"{model['weights']:,}", f"{speed['start']:.1f}", f"{1000 * speed['step']:.1f}"]
        cells += [when(reached(points, "psnr", PSNR)), when(reached(points, "elbo", target)), when(points[-1])]
        cells += [f"{max(point[figure] for point in points):,.{digits}f}" for figure, digits in COLUMNS]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *comparison(found, peers, ours, target), "", *evaluations(found)]
    return "\n".join(lines) + "\n"


COLUMNS = (("psnr", 2), ("elbo", 0))


def comparison(found, peers, ours, target):
    """Yields a sentence about each figure: this package against the peer that reaches it first, or trained longest."""
    for figure, value, words in (("psnr", PSNR, f"{PSNR:.0f} dB"), ("elbo", target, f"An elbo of {target:,.0f}")):
        mine = reached(found[ours]["points"], figure, value)
        if mine is None:
            yield f"{words} was not reached by {ours}."
            continue
        theirs = [reached(model["points"], figure, value) for model in peers.values()]
        times = [point["quiet_seconds"] for point in theirs if point]
        if times:
            yield f"{words}: the first peer takes {min(times) / mine['quiet_seconds']:.1f} x the time of {ours}."
        else:
            spent = [model["points"][-1]["quiet_seconds"] / mine["quiet_seconds"] for model in peers.values()]
            yield f"{words}: no peer reached it in {min(spent):.1f} x the time of {ours}, or more."


def evaluations(found):
    yield "| model | steps | minutes | minutes that passed | PSNR, dB | elbo | rate | sigma |"
    yield "|" + "---|" * 8
    for name, model in found.items():
        points, wanted = model["points"], 0
        for point in points:
            if point["steps"] >= wanted or point is points[-1]:
                wanted = 2 * point["steps"]
                cells = [name, f"{point['steps']:,}", f"{point['quiet_seconds'] / 60:.2f}"]
                cells += [f"{point['seconds'] / 60:.1f}", f"{point['psnr']:.2f}", f"{point['elbo']:,.0f}"]
                yield f"| {' | '.join(cells)} | {point['rate']:.0f} | {point['sigma']:.4f} |"


def picture(found, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, model in found.items():
        minutes = [point["quiet_seconds"] / 60 for point in model["points"]]
        axes.plot(minutes, [point["psnr"] for point in model["points"]], ".-", label=name)
    axes.axhline(PSNR, color="gray", linewidth=0.8)
    axes.set(xscale="log", xlabel="minutes at the calibrated speed", ylabel="PSNR of test reconstructions, dB")
    axes.legend()
    figure.savefig(path, dpi=120)
