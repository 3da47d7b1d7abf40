"""The tables and the picture of `input.py`."""

import datetime
import os
import pathlib
import statistics


def slope(found, start, figure):
    """Returns MB more for each MB of images, from the least to the largest number of them."""
    points = [one for one in found if one["start"] == start]
    first, last = points[0], points[-1]
    return (last[figure] - first[figure]) / (last["data"] - first["data"])


def medians(rates):
    return {key: (statistics.median(found), min(found), max(found)) for key, found in rates.items()}


def table(rates, found, settings, took):
    """Returns the tables as Markdown."""
    found_medians = medians(rates)
    lines = [
        f"{datetime.date.today()}, {os.cpu_count()} cores ({processor()}), {settings.rounds} rounds, "
        f"{settings.images} images of each kind, {took / 60:.0f} min in all.",
        "",
        "| data | pass | way | images/s: median (least to most) | tfvae is |",
        "|---|---|---|---|---|",
    ]
    for (data, kind, way), (median, least, most) in found_medians.items():
        ours = found_medians[data, kind, "tfvae"][0]
        share = "" if way.startswith("tfvae") else f"{ours / median:.2f} x"
        lines.append(f"| {data} | {kind} | {way} | {median:,.0f} ({least:,.0f} to {most:,.0f}) | {share} |")
    trained = [median[0] for (_, kind, _), median in found_medians.items() if kind == "training"]
    cached = [median[0] for (_, kind, way), median in found_medians.items() if (kind, way) == ("cached", "tfvae")]
    lines += ["", f"The slowest cached epoch is {min(cached) / max(trained):.0f} x as fast as training."]
    if found:
        lines += [
            "",
            "| start | images | their size, MB | memory, MB: after an epoch | peak |",
            "|" + "---|" * 5,
        ]
        for one in found:
            figures = f"{one['images']:,} | {one['data']:,.0f} | {one['loaded']:,.0f} | {one['peak']:,.0f}"
            lines.append(f"| {one['start']} | {figures} |")
        last = found[-1]
        for start in ("first", "again"):
            part = {figure: slope(found, start, figure) for figure in ("loaded", "peak")}
            million = last["data"] / last["images"] * 1e6
            lines += [
                "",
                f"Cache on disk, {start} start: of the images' size {part['loaded']:.1%} more stays in memory, and "
                f"{part['peak']:.1%} at the peak: a million images ({million:,.0f} MB) would take "
                f"{part['loaded'] * million:,.0f} MB.",
            ]
    return "\n".join(lines) + "\n"


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def picture(rates, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = medians({key: one for key, one in rates.items() if key[1] == "cold"})
    names = [f"{data}: {way}" for data, _, way in found]
    middle, least, most = zip(*found.values(), strict=True)
    figure, axes = pyplot.subplots(figsize=(9, 0.35 * len(names) + 1), layout="constrained")
    errors = [
        [median - low for median, low in zip(middle, least, strict=True)],
        [high - median for median, high in zip(middle, most, strict=True)],
    ]
    colors = ["tab:orange" if key[2].startswith("tfvae") else "tab:gray" for key in found]
    axes.barh(names, middle, xerr=errors, color=colors)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("images/s, first pass")
    figure.savefig(path, dpi=120)
