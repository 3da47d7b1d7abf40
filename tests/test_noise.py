"""Noise of seeds: the published words of Threefry, normal numbers, and the same ones wherever they are drawn."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfvae import noise

SEEDS = np.stack([np.repeat([0, 7], 50), np.tile(np.arange(50), 2)], axis=1).astype(np.int32)


@pytest.mark.parametrize(("counter", "key", "words"), [
    # The known answers of threefry2x32 with 20 rounds in Random123 (Salmon et al. 2011).
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
])  # fmt: skip
def test_words_are_those_of_threefry(counter, key, words):
    counter, key = (tuple(tf.constant([word], tf.uint32) for word in pair) for pair in (counter, key))
    assert [int(word[0]) for word in noise.threefry(key, counter)] == list(words)


def test_numbers_are_normal_and_independent():
    seeds = np.stack([np.zeros(50_000, np.int32), np.arange(50_000, dtype=np.int32)], axis=1)
    drawn = noise.normal(seeds, 5).numpy()
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 0.01
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.eye(5), atol=0.02)
    np.testing.assert_allclose(np.corrcoef(np.square(drawn.T)), np.eye(5), atol=0.02)
    neighbours = np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]
    assert abs(neighbours) < 0.02
    assert len(np.unique(drawn)) > 0.98 * drawn.size


def test_a_row_depends_on_its_own_seed_alone():
    drawn = noise.normal(SEEDS, 9).numpy()
    # To the last digit of sines and logarithms, which differ by the place in a processor's vector.
    np.testing.assert_allclose(noise.normal(SEEDS[3:5], 9), drawn[3:5], atol=1e-6)
    np.testing.assert_allclose(noise.normal(SEEDS[::-1], 9), drawn[::-1], atol=1e-6)
    extremes = np.int32([[-(2**31), 2**31 - 1], [2**31 - 1, -1]])
    assert np.isfinite(noise.normal(extremes, 1000)).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_graphs_plain_and_compiled_draw_the_same(compiled):
    def draw(seeds):
        return noise.normal(seeds, 64)

    np.testing.assert_allclose(tf.function(draw, jit_compile=compiled)(SEEDS), draw(SEEDS), atol=2e-6)


def test_a_process_that_compiles_by_itself_draws_the_same(tmp_path):
    code = (
        "import sys, numpy, tensorflow as tf\n"
        "from tfvae import noise\n"
        "@tf.function\n"
        "def draw(seeds):\n"
        "    return noise.normal(seeds, 64)\n"
        "numpy.save(sys.argv[1], draw(tf.constant(numpy.load(sys.argv[2]))))"
    )
    np.save(tmp_path / "seeds.npy", SEEDS)
    flags = {"TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit --tf_xla_min_cluster_size=1"}
    command = [sys.executable, "-c", code, tmp_path / "drawn.npy", tmp_path / "seeds.npy"]
    subprocess.run(command, env=os.environ | flags, check=True, timeout=300, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "drawn.npy"), noise.normal(SEEDS, 64), atol=2e-6)
