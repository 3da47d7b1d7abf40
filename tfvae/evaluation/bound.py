"""Bounds of log p(x): the elbo from one code of each image, and the importance-weighted bound from many.

Sources: Kingma and Welling 2014 (the elbo); Burda, Grosse and Salakhutdinov 2016 (the importance-weighted bound, and
active units).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from tfvae import serving
from tfvae.evaluation.progress import progress_bar
from tfvae.evaluation.scene import with_floor

_CHUNK_BYTES = 2**26  # Of repeated images at once.
_ACTIVE = 0.01  # Of Burda et al.: the variance of a posterior mean over images above which its latent is used.


class Bound(NamedTuple):
    """Of each image, from one sample of its posterior: elbo = -distortion - rate."""

    distortion: np.ndarray  # [N] -log p(x|z), nats
    rate: np.ndarray  # [N] log q(z|x) - log p(z), nats: its mean over z is the KL divergence
    squared_error: np.ndarray  # [N] summed over H, W and C

    @property
    def elbo(self):
        """[N] nats."""
        return -self.distortion - self.rate


def sample(posterior, noise):
    """Returns codes and log q(z|x), nats: [..., Z] and [...]."""
    latents = posterior.mean + np.exp(0.5 * posterior.log_variance) * noise
    log_density = -0.5 * (np.square(noise) + posterior.log_variance + math.log(2 * math.pi)).sum(axis=-1)
    return latents.astype(np.float32), log_density


def measure(served, images, posterior, seed):
    """Returns the `Bound` of images [N, H, W, C] in [0, 1] whose `Posterior` is known."""
    noise = np.random.default_rng([seed, 0]).standard_normal(posterior.mean.shape, np.float32)
    latents, log_posterior = sample(posterior, noise)
    known = served.log_prob(images, latents)
    return Bound(-known.log_likelihood, log_posterior - known.log_prior, known.squared_error)


def sampler_rate(served, posterior, seed):
    """Returns the mean of log q(z|x) - log p(z), nats, p the density that is drawn from; one code of each image."""
    noise = np.random.default_rng([seed, 0]).standard_normal(posterior.mean.shape, np.float32)
    latents, log_posterior = sample(posterior, noise)
    return float((log_posterior - served.sampler_log_prob(latents)).mean())


def log_weights(served, images, posterior, samples, seed, progress=lambda number: None):
    """Returns log p(x|z) + log p(z) - log q(z|x), nats, of `samples` codes of each image.

    Args:
        served: A `serving.Served`.
        images: [N, H, W, C] in [0, 1].
        posterior: Their `Posterior`.
        samples: Codes of each image, K.
        seed: Of the noise; an image's noise depends on nothing else but its number.
        progress: Called with the number of codes done since it was last called.

    Returns:
        [N, K] float64. Memory does not grow with K.
    """
    chunk = max(1, min(samples, _CHUNK_BYTES // images[0].nbytes))
    weights = np.empty([len(images), samples])
    for number, image in enumerate(images):
        random = np.random.default_rng([seed, 1, number])
        own = type(posterior)(posterior.mean[number], posterior.log_variance[number])
        for start in range(0, samples, chunk):
            count = min(chunk, samples - start)
            latents, log_posterior = sample(own, random.standard_normal([count, len(own.mean)], np.float32))
            known = served.log_prob(np.broadcast_to(image, (count, *image.shape)), latents)
            weights[number, start : start + count] = known.log_likelihood + known.log_prior - log_posterior
            progress(count)
    return weights


def importance_weighted(weights, samples):
    """Returns the bound log mean_k w_k of each image, nats, [N], from `samples` weights at a time.

    Args:
        weights: [N, K] log weights; all are used, in groups whose bounds are averaged.
        samples: Weights of a group, at most K.
    """
    groups = weights.shape[1] // samples
    weights = weights[:, : groups * samples].reshape(len(weights), groups, samples)
    return (special.logsumexp(weights, axis=2) - math.log(samples)).mean(axis=1)


def active_units(means):
    """Returns how many latents vary with the image, of posterior means [N, Z]."""
    return int((np.var(means, axis=0) > _ACTIVE).sum())


def bits_per_dim(nats, dimensions):
    """Returns -log2 p(x) a number of the image, from log p(x) in nats."""
    return -nats / (dimensions * math.log(2))


def add(scene):
    """Adds bounds of log p(x); leaves them out, with a note, where the export cannot say log p(x|z)."""
    if not scene.served.has("log_prob"):
        scene.results.notes.append(
            "Likelihood is left out: this export is from before `log_prob`; `python -m tfvae.export` writes a new one."
        )
        return
    put, dimensions = scene.results.into("likelihood of test images"), scene.test.images[0].size
    held = scene.test, scene.other
    both = with_floor(lambda one: measure(scene.served, one.images, one.posterior, scene.settings.seed), *held)
    elbos = with_floor(lambda one: one.elbo.mean(), *both)
    bits = with_floor(lambda elbo: bits_per_dim(elbo, dimensions), *elbos)
    nats = "nats/image"
    put("elbo", *elbos, nats, "higher", "-distortion - rate, a lower bound of log p(x)")
    put("distortion", *with_floor(lambda one: one.distortion.mean(), *both), nats, "lower", "-E log p(x|z)")
    put("rate", *with_floor(lambda one: one.rate.mean(), *both), nats, "lower", "KL(q(z|x) || p(z))")
    put("bits_per_dim", *bits, "bits", "lower", "-elbo / (H W C ln 2)")
    seed_losses = with_floor(lambda one: one.squared_error.mean() + one.rate.mean(), *both)
    put("seed_loss", *seed_losses, "", "lower", "squared error of a sample, summed over pixels of [0, 1], + rate")
    if scene.served.has("sampler_log_prob"):
        rates = with_floor(lambda one: sampler_rate(scene.served, one.posterior, scene.settings.seed), *held)
        sums = [None if rate is None else bound.elbo.mean() + bound.rate.mean() - rate
                for rate, bound in zip(rates, both, strict=True)]  # fmt: skip
        put("sampler_elbo", *sums, nats, "higher", "the elbo under the density that new images are drawn from at std 1")
        put("sampler_rate", *rates, nats, "lower", "KL(q(z|x) || p(z)) of that density")
    units = with_floor(lambda one: active_units(one.posterior.mean), *held)
    words = f"of {scene.served.latent_dim} latents: the posterior mean varies by more than {_ACTIVE} over images"
    put("active_units", *units, "", "", words)
    _, _, count, samples = scene.settings.sizes
    count = min(count, len(scene.test.images))
    if count:
        posterior = serving.Posterior(*(column[:count] for column in scene.test.posterior))
        with progress_bar(count * samples, "Weighing codes", "code") as bar:
            images = scene.test.images[:count]
            weights = log_weights(scene.served, images, posterior, samples, scene.settings.seed, bar.update)
        numbers = sorted({1, samples, *(10**power for power in range(1, 7) if 10**power < samples)})
        bounds = {k: float(importance_weighted(weights, k).mean()) for k in numbers}
        words = f"importance-weighted log p(x) of {count} images, K = {samples} codes of each"
        put(f"log_prob_{samples}", bounds[samples], None, nats, "higher", words)
        if samples > 1:
            put("log_prob_1", bounds[1], None, nats, "higher", f"the same with K = 1, the elbo of these {count} images")
        scene.results.details["log_prob_by_samples"] = bounds
