"""docs/guarantees.md: each promise names the tests that hold it, and these exist."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")


def functions_of(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_named_test_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
    assert len(named) > 40
    for path, test in named:
        assert (ROOT / path).is_file(), path
        assert not test or test in functions_of(path), f"{path}::{test}"


def test_every_promise_names_a_test_or_a_benchmark():
    rows = [row for row in re.findall(r"^\| (.*) \|$", TEXT, re.M) if not set(row) <= set("-|: ")]
    promises = [row for row in rows if not row.startswith("promise |")]
    assert len(promises) > 25
    for row in promises:
        assert re.search(r"`(tests|benchmarks)/", row.rpartition(" | ")[2]), row
