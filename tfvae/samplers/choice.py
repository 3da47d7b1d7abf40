"""Which sampler an export gets: the one that `--sampler` names, or, of few images, the one that fits best."""

import concurrent.futures

import numpy as np
import tensorflow as tf

from tfvae.samplers import codes, flow_matching, mixture

FEW = 1_000  # Training images; of fewer, a flow may fit other images worse than the mixture or the prior.
_STEPS_OF_FEW = 1_000  # Of a flow's fit to so few.
_MOST_IMAGES = 50_000
_RATED = 128  # Codes of held-out images by which samplers are compared.


def make(vae, settings, load):
    """Returns the sampler that `--sampler` names: what `serving.export` takes.

    Args:
        vae: A `tfvae.VAE`; the weights are taken as they are.
        settings: A `config.ModelConfig`, with a seed.
        load: Called without arguments, for the `data.Data` to fit to, where it is needed.
    """
    if settings.sampler == "prior":
        return vae.prior
    images = load()
    known = codes.of_images(vae, images, "train", _MOST_IMAGES)
    held_out = codes.of_images(vae, images, "validation", _MOST_IMAGES)
    is_few = len(known.mean) < FEW
    steps = _STEPS_OF_FEW if is_few else flow_matching.STEPS
    fits = {
        "matching": lambda: _on_one_device(lambda: flow_matching.fit(known, held_out, settings.seed, steps)),
        "mixture": lambda: mixture.fit(known, settings.components, settings.seed),
    }
    is_free = settings.sampler == "matching" and is_few
    found = {name: fits[name]() for name in (fits if is_free else [settings.sampler])} | {"prior": vae.prior}
    rates = {name: rate(sampler, held_out, settings.seed) for name, sampler in found.items()}
    taken = min(rates, key=rates.get) if is_free else settings.sampler
    reason = f": of fewer than {FEW:,} training images, the best" if is_free else ""
    told = ", ".join(f"{name} {value:.4g}" for name, value in rates.items())
    print(f"sampler: {taken}{reason}; rate of the validation images in nats: {told}", flush=True)
    return found[taken]


def _on_one_device(function):
    """Returns what `function` returns outside of any strategy: a scope is its thread's own."""
    if not tf.distribute.has_strategy():
        return function()
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(function).result()


def rate(sampler, held_out, seed=0):
    """Returns the mean of log q(z|x) - log p(z) in nats, z from q(z|x), of some held-out images: their rate under p."""
    random = np.random.default_rng([seed, 2])
    rows = np.resize(np.arange(len(held_out.mean)), _RATED)
    latents = held_out.sample(random, rows)
    log_prob = tf.function(sampler.log_prob, input_signature=[tf.TensorSpec([None, latents.shape[1]])])
    return float(np.mean(held_out.log_prob(latents, rows) - log_prob(tf.constant(latents)).numpy()))
