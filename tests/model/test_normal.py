import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from tfvae.model import normal


def test_log_cdf_is_scipys_in_both_tails():
    points = np.concatenate([np.linspace(-60, 10, 1001), [-5e3, -29.999, -30.0, -30.001, 40.0]])
    np.testing.assert_allclose(normal.log_cdf(points), special.log_ndtr(points), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("compiled", [False, True])
def test_quantile_inverts_log_cdf(compiled):
    points = np.concatenate([np.linspace(-60, 0, 1001), [-4e3]])
    quantile = tf.function(normal.quantile, jit_compile=compiled)
    np.testing.assert_allclose(quantile(normal.log_cdf(points)), points, rtol=1e-9, atol=1e-12)
