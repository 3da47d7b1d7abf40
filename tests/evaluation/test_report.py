"""What is written of the numbers: strict JSON, a table, a page that holds all and trusts nothing."""

import base64
import json
import re

import numpy as np
import pytest

from tfvae.evaluation import report
from tfvae.evaluation.figures import Figure
from tfvae.evaluation.progress import progress_bar
from tfvae.evaluation.results import Results, text

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def results():
    results = Results({"model": "saved_models/<b>/1", "data": "a & b"})
    put = results.into("reconstruction of test images")
    put("psnr", np.float32(31.25), 31, "dB", "higher", "10 log10(1 / mse)")
    put("stays", float("nan"), None, "", "higher", "<script>alert(1)</script>")
    results.details["log_prob_by_samples"] = {1: -10.0, 100: np.inf}
    results.notes.append("Left out: <nothing>.")
    return results


def test_json_is_strict(results):
    found = json.loads(results.json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    numbers = found["measures"]["reconstruction of test images"]
    assert numbers["psnr"] == {"value": 31.25, "floor": 31, "unit": "dB", "better": "higher",
                               "words": "10 log10(1 / mse)"}  # fmt: skip
    assert numbers["stays"]["value"] is None and found["details"]["log_prob_by_samples"]["100"] is None


def test_the_table_has_all_numbers(results):
    lines = results.table().splitlines()
    assert re.search(r"psnr +31\.25 +31 +dB +higher +10 log10", "\n".join(lines))
    assert lines[-1] == "Left out: <nothing>."


def test_numbers_as_a_reader_wants_them():
    shown = [text(value) for value in (12345.6, -34895.0, 123.45, 31.254, 2.5, 0.01234, 7, None, float("nan"), 0.0)]
    assert shown == ["12,346", "-34,895", "123.5", "31.25", "2.500", "0.0123", "7", "-", "-", "0.0000"]


def test_the_page_holds_everything_and_escapes_it(results, tmp_path):
    figures = [Figure("worst", 'The "worst" <one>.', PNG), Figure("samples", "New.", PNG)]
    report.write(tmp_path, results, figures, Figure("learning_curve", "The loss of each batch.", PNG))
    page = (tmp_path / "report.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "evaluation.json", "report.html", "samples.png", "worst.png"
    ]  # fmt: skip
    assert page.count("<img ") == 3 and page.count("data:image/png;base64," + base64.b64encode(PNG).decode()) == 3
    assert not re.search(r'(src|href)="(?!data:)', page) and "<script" not in page and "<b>" not in page
    assert "&lt;script&gt;" in page and "The &quot;worst&quot; &lt;one&gt;." in page and "a &amp; b" in page
    for tag in ("table", "figure", "h2", "h3", "dl", "ul", "tr", "td", "p"):
        assert len(re.findall(f"<{tag}[ >]", page)) == page.count(f"</{tag}>"), tag


def test_a_small_number_keeps_its_digits():
    assert [text(value) for value in (0.00011177, 0.0488, 0.5, 0.0, 31.4159, 32957.1)] == [
        "0.000112", "0.0488", "0.5000", "0.0000", "31.42", "32,957"
    ]  # fmt: skip


def test_what_begins_is_said_where_there_is_no_terminal(capsys):
    with progress_bar(1200, "Reading walks") as bar:
        bar.update(600)
    assert capsys.readouterr().err == "Reading walks: 1,200 images\n"
