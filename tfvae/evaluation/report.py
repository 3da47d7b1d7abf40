"""`report.html`: one page that holds all numbers and pictures and needs nothing else; and the files beside it."""

import base64
import html

from tfvae import files
from tfvae.evaluation.figures import NOT_ALWAYS
from tfvae.evaluation.results import text

_STYLE = """
:root { color-scheme: light; --ink: #1c2733; --faint: #66727f; --line: #e3e7eb; --accent: #d94801; }
body { margin: 0 auto; max-width: 1080px; padding: 3rem 1.5rem 5rem; color: var(--ink); background: #fff;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 3rem 0 .8rem; padding-top: 1rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 2rem 0 .4rem; }
p { max-width: 46rem; margin: .6rem 0; }
.faint, figcaption, .words { color: var(--faint); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: 1rem 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
table.measures { table-layout: fixed; }
th { text-align: left; font-weight: 600; color: var(--faint); border-bottom: 1px solid var(--ink); }
th, td { padding: .32rem .7rem .32rem 0; vertical-align: baseline; }
td { border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .85rem; white-space: nowrap; }
figure { margin: 1.4rem 0; }
figure img { max-width: 100%; height: auto; display: block; border: 1px solid var(--line); border-radius: 4px; }
figcaption { font-size: .9rem; margin-top: .4rem; }
@media print { body { padding: 0; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""
# What the page begins with, in this order; the other pictures follow below the numbers.
_FIRST = ("learning_curve", "reconstructions", "ends", "walk", "samples")
_HEADINGS = {
    "learning_curve": "Learning curve",
    "reconstructions": "Reconstructions",
    "ends": "A walk from one image to another",
    "samples": "New images",
}


def write(folder, results, figures, learning_curve=None):
    """Writes evaluation.json, the pictures and report.html into `folder`.

    Args:
        folder: A `pathlib.Path`.
        results: A `results.Results`.
        figures: List of `figures.Figure`.
        learning_curve: The `figures.Figure` of the run, or None.
    """
    for name in NOT_ALWAYS:  # Of an evaluation that is replaced.
        (folder / f"{name}.png").unlink(missing_ok=True)
    for figure in figures:
        files.write(folder / f"{figure.name}.png", figure.png)
    files.write(folder / "evaluation.json", results.json())
    shown = [learning_curve, *figures] if learning_curve else figures
    files.write(folder / "report.html", page(results, shown))


def page(results, figures):
    """Returns the page as HTML."""
    by_name = {figure.name: figure for figure in figures}
    name = " ".join(results.about["model"].rstrip("/").split("/")[-2:])
    parts = [f"<h1>A variational autoencoder: {_escaped(name)}</h1>", _about(results.about), _summary(results)]
    for key in _FIRST:
        if key in _HEADINGS:
            parts.append(f"<h2>{_HEADINGS[key]}</h2>" if key in by_name else "")
        parts.append(_figure(by_name[key]) if key in by_name else "")
    parts += ["<h2>Numbers</h2>", f"<p>{_HOW_TO_READ}</p>"]
    parts += [f"<p>{_escaped(note)}</p>" for note in results.notes]
    parts += [_table(title, numbers) for title, numbers in results.groups.items()]
    parts += [_by_samples(results.details.get("log_prob_by_samples"))]
    parts += ["<h2>To look at</h2>", *(_figure(figure) for figure in figures if figure.name not in _FIRST)]
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escaped(name)}: evaluation</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


_HOW_TO_READ = (
    "All on images that the model has never seen. The floor of what the model draws is what real images get in its "
    "place: validation images, judged in the same way. That of the bound and of reconstructions is what the same model "
    "gets on validation images; that of walks, where a true renderer is known, is its own walk. "
    "Better: which direction is better, or the number that is right. <code>evaluation.json</code> "
    "has the same numbers in full."
)


def _escaped(value):
    return html.escape(str(value), quote=True)


def _about(about):
    rows = "".join(f"<dt>{_escaped(key)}</dt><dd>{_escaped(value)}</dd>" for key, value in about.items())
    return f"<dl>{rows}</dl>"


def _summary(results):
    """Returns the few numbers that say most, in a sentence each."""
    wanted = (
        ("likelihood", "elbo", "{} nats: lower bound of log p(x)"),
        ("reconstruction", "psnr", "{} dB: reconstructions"),
        ("reconstruction", "ssim", "{}: structural similarity of reconstructions"),
        ("samples", "redrawing_psnr", "{} dB: new images to the nearest that the true renderer draws, median"),
        ("samples", "sharpness", "{}: sharpness of new images over that of real ones"),
        (
            "samples",
            "coverage_above_floor_mean",
            "{}: distance of attributes of new images from the data, above its floor",
        ),
        ("walks", "stays", "{}: share of what two images have in common that stays on the walk between them"),
        ("walks", "switches_once", "{}: share of what they have not in common that changes once"),
    )
    found = []
    for title, name, words in wanted:
        groups = [numbers for group, numbers in results.groups.items() if group.startswith(title)]
        values = [number.value for numbers in groups for number in numbers if number.name == name]
        if values:
            found.append(f"<li>{_escaped(words.format(text(values[0])))}</li>")
    return f"<ul>{''.join(found)}</ul>"


def _figure(figure):
    image = base64.b64encode(figure.png).decode()
    caption = _escaped(figure.caption)
    return (
        f'<figure><img src="data:image/png;base64,{image}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def _table(title, numbers):
    rows = ""
    for number in numbers:
        rows += f'<tr><td class="name">{_escaped(number.name)}</td>'
        rows += "".join(f'<td class="number">{text(value)}</td>' for value in (number.value, number.floor))
        rows += f"<td>{_escaped(number.unit)}</td><td>{_escaped(number.better)}</td>"
        rows += f'<td class="words">{_escaped(number.words)}</td></tr>'
    head = '<tr><th>measure</th><th class="number">value</th><th class="number">floor</th><th>unit</th><th>better</th>'
    table = f'<table class="measures">{_WIDTHS}{head}<th></th></tr>{rows}</table>'
    return f"<h3>{_escaped(title.capitalize())}</h3>{table}"


_WIDTHS = "".join(f'<col style="width:{width}rem">' for width in (18.5, 5.5, 5.5, 5.5, 4.5)) + "<col>"


def _by_samples(bounds):
    if not bounds:
        return ""
    head = "".join(f'<th class="number">K = {k:,}</th>' for k in bounds)
    row = "".join(f'<td class="number">{text(value)}</td>' for value in bounds.values())
    title = "Importance-weighted log p(x), nats/image, by the number of codes K"
    return f"<h3>{title}</h3><table><tr>{head}</tr><tr>{row}</tr></table>"
