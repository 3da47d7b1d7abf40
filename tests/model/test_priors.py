import numpy as np
import pytest
import tensorflow as tf

from tfvae.model import DiagonalGaussian, priors

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def flow():
    flow = priors.Flow(latent_dim=5, couplings=4, hidden=8)
    for variable in flow.trainable_variables:
        variable.assign_add(RANDOM.normal(0, 0.03, variable.shape).astype(np.float32))
    return flow


def test_flow_inverts_itself(flow):
    latents = RANDOM.normal(size=(7, 5)).astype(np.float32)
    np.testing.assert_allclose(flow.from_base(flow.to_base(latents)), latents, atol=1e-4)
    assert np.abs(flow.to_base(latents) - latents).max() > 0.1


def test_flows_log_prob_has_the_determinant_of_its_jacobian(flow):
    latents = tf.constant(RANDOM.normal(size=(3, 5)).astype(np.float32))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(latents)
        noise = flow.to_base(latents)
    jacobian = tape.batch_jacobian(noise, latents, experimental_use_pfor=False)
    _, log_determinant = np.linalg.slogdet(jacobian.numpy().astype(np.float64))
    expected = priors.StandardNormal().log_prob(noise) + log_determinant
    np.testing.assert_allclose(flow.log_prob(latents), expected, rtol=1e-4)


def test_flow_integrates_to_one():
    flow = priors.Flow(latent_dim=2, couplings=3, hidden=8)
    for variable in flow.trainable_variables:
        variable.assign_add(RANDOM.normal(0, 0.02, variable.shape).astype(np.float32))
    line = np.linspace(-12, 12, 481, dtype=np.float32)
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    mass = np.exp(flow.log_prob(points)).sum() * (line[1] - line[0]) ** 2
    np.testing.assert_allclose(mass, 1.0, rtol=5e-3)


def test_a_new_flow_is_the_standard_normal():
    flow, normal = priors.Flow(latent_dim=6), priors.StandardNormal()
    latents = RANDOM.normal(size=(4, 6)).astype(np.float32)
    np.testing.assert_allclose(flow.log_prob(latents), normal.log_prob(latents), rtol=1e-5)


def test_rates_of_a_new_flow_estimate_the_closed_form():
    posterior = DiagonalGaussian(tf.constant([[0.5, -1.0]]), tf.constant([[-1.0, 0.3]]))
    latents = posterior.sample(RANDOM.normal(size=(200_000, 2)).astype(np.float32))
    rates = priors.Flow(latent_dim=2).rates(posterior, latents)
    expected = tf.reduce_sum(priors.StandardNormal().rates(posterior, latents))
    np.testing.assert_allclose(tf.reduce_mean(rates), expected, rtol=0.01)


def test_one_latent_is_too_few_for_a_flow():
    with pytest.raises(ValueError, match="at least 2 latents"):
        priors.Flow(latent_dim=1)
