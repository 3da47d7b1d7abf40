"""Which sampler an export gets, the mixture that is fitted to codes, and exports that draw from it."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvae import config, model, samplers, serving, training
from tfvae.model import DiagonalGaussian
from tfvae.samplers import choice, codes, flow_matching, mixture

WEIGHTS, MEANS = np.array([0.2, 0.3, 0.5]), np.array([[-3.0, 0.0, 1.0], [0.0, 4.0, 0.0], [3.0, 0.0, -1.0]])
ROOTS = np.array([[[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.3, 2.0]], 0.5 * np.eye(3), np.diag([0.3, 1.0, 1.0])])


def draw(number, seed=0):
    """Returns samples [N, 3] of the mixture of WEIGHTS, MEANS and ROOTS."""
    random = np.random.default_rng(seed)
    chosen = random.choice(3, number, p=WEIGHTS)
    return MEANS[chosen] + np.einsum("nij,nj->ni", ROOTS[chosen], random.normal(size=(number, 3)))


def test_a_known_mixture_is_recovered():
    found = mixture.of_points(draw(20_000), 3)
    log_weights, means, _, factors = (part.numpy() for part in found._parameters())
    order = means[:, 0].argsort()
    np.testing.assert_allclose(np.exp(log_weights[order]), WEIGHTS, atol=0.02)
    np.testing.assert_allclose(means[order], MEANS, atol=0.1)
    np.testing.assert_allclose(np.linalg.inv(factors[order]), ROOTS, atol=0.1)
    drawn = found.from_base(np.random.default_rng(1).normal(size=(5000, 3)).astype(np.float32)).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), WEIGHTS @ MEANS, atol=0.15)


def test_the_same_codes_give_the_same_mixture():
    one, other = (mixture.of_points(draw(500), 4, seed=3) for _ in range(2))
    for variable, again in zip(one.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_array_equal(variable, again)


class Pixels:
    """Images whose pixels are codes: what `samplers` asks of a `data.Data`."""

    def __init__(self, num_training):
        random = np.random.default_rng(0)
        self._images = {"train": random.integers(0, 256, (num_training, 1, 1, 2), np.uint8)}
        self._images["validation"] = random.integers(0, 256, (500, 1, 1, 2), np.uint8)

    def images(self, split, numbers):
        return self._images[split][numbers]

    def spread(self, split, most):
        return np.arange(min(most, len(self._images[split])))


class Encoder:
    """q(z|x) = N(6 x - 2, 0.5^2): the codes are spread evenly from -2 to 4, and nothing like N(0, I)."""

    latent_dim, image_shape = 2, (1, 1, 2)

    def __init__(self, mean=lambda images: 6 * images - 2):
        self.prior = model.build(config.ModelConfig(prior="normal", latent_dim=2, width=4), (8, 8, 3)).prior
        self._mean = mean

    def encode(self, images):
        means = self._mean(tf.reshape(images, [-1, 2]))
        return DiagonalGaussian(means, tf.fill(tf.shape(means), tf.math.log(0.25)))


def rates(printed):
    """Returns {sampler: its rate} as `make` prints them."""
    parts = printed.split("in nats: ")[1].split(", ")
    return {name: float(value) for name, value in (part.split() for part in parts)}


@pytest.fixture
def quick(monkeypatch):
    """Fits of 200 steps."""
    fit = flow_matching.fit
    monkeypatch.setattr(
        flow_matching, "fit", lambda known, held, seed, steps: fit(known, held, seed, 200, units=32, blocks=1)
    )


@pytest.mark.parametrize(("num_training", "components"), [(400, 5), (9, 2), (1, 1)])
def test_a_mixture_is_fitted_to_codes_with_their_noise(num_training, components, capsys):
    settings = config.TrainConfig(sampler="mixture", components=5)
    images = Pixels(num_training)
    found = samplers.make(Encoder(), settings, lambda: images)
    assert found.components == components
    drawn = found.from_base(np.random.default_rng(1).normal(size=(4000, 2)).astype(np.float32)).numpy()
    known = 6.0 * images.images("train", np.arange(num_training)).reshape(-1, 2) / 255 - 2
    np.testing.assert_allclose(drawn.mean(axis=0), known.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(drawn.var(axis=0), known.var(axis=0) + 0.25, rtol=0.1)
    told = rates(capsys.readouterr().out)
    # Codes in [-2, 4]^2 with a noise of 0.5, against N(0, I): the cross-entropy in closed form.
    expected = 2 * (0.5 * (1 + 3 + 0.25) + 0.5 * np.log(2 * np.pi) - 0.5 * (1 + np.log(2 * np.pi * 0.25)))
    assert told["prior"] == pytest.approx(expected, rel=0.2)
    assert num_training == 1 or told["mixture"] < told["prior"]


def test_the_flow_is_taken_and_fits_better_than_the_prior(quick, capsys):
    found = samplers.make(Encoder(), config.TrainConfig(), lambda: Pixels(choice.FEW))
    assert isinstance(found, samplers.ContinuousFlow)
    told = rates(capsys.readouterr().out)
    # The codes' own entropy, and that of their noise: even on a square of 6 x 6, but for its soft edges.
    assert 2 * np.log(6) - (1 + np.log(2 * np.pi * 0.25)) < told["matching"] + 0.3 and told["matching"] < told["prior"]


@pytest.mark.parametrize(("num_training", "mean", "taken"), [
    (10, lambda images: tf.sqrt(0.75) * tf.math.ndtri(0.002 + 0.996 * images), "prior"),  # N(0, I) altogether.
    (300, lambda images: 10 * tf.round(images), "mixture"),  # Four clusters.
])  # fmt: skip
def test_of_few_images_the_best_is_taken(quick, num_training, mean, taken, capsys):
    found = samplers.make(Encoder(mean), config.TrainConfig(), lambda: Pixels(num_training))
    printed = capsys.readouterr().out
    assert f"sampler: {taken}: of fewer than 1,000 training images, the best" in printed
    told = rates(printed)
    assert sorted(told) == ["matching", "mixture", "prior"] and min(told, key=told.get) == taken
    assert type(found).__name__ == {"prior": "StandardNormal", "mixture": "Mixture"}[taken]


def test_a_collapsed_posterior_is_drawn_like_the_prior(quick):
    """q(z|x) = N(0, I) for all images."""
    known = codes.Codes(np.zeros((50, 3), np.float32), np.zeros((50, 3), np.float32))
    flow = flow_matching.fit(known, known, 0, 200)
    drawn = flow.from_base(np.random.default_rng(1).normal(size=(4000, 3)).astype(np.float32)).numpy()
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(3), atol=0.15)
    assert abs(choice.rate(flow, known)) < 0.1


def test_the_flow_is_fitted_under_a_strategy(quick):
    vae, images = Encoder(), Pixels(choice.FEW)
    alone = samplers.make(vae, config.TrainConfig(), lambda: images)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        found = samplers.make(vae, config.TrainConfig(), lambda: images)
    for weight, other in zip(found.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_codes_that_are_no_numbers_are_one_line():
    vae = Encoder(lambda images: images / 0)
    with pytest.raises(config.UserError, match="got 20 of 20 train images whose codes are not"):
        samplers.make(vae, config.TrainConfig(), lambda: Pixels(20))


def test_the_prior_needs_no_data():
    vae = Encoder()
    assert samplers.make(vae, config.TrainConfig(sampler="prior"), None) is vae.prior


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(settings, exported version) of a training with a N(0, I) prior that exported the prior."""
    place = tmp_path_factory.mktemp("trained")
    (place / "images").mkdir()
    random = np.random.default_rng(0)
    for number in range(30):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place / "images" / f"{number}.png")
    settings = config.TrainConfig(
        data=str(place / "images"), data_dir=str(place / "data"), runs_dir=str(place / "runs"), name="run",
        export_dir=str(place / "saved_models"), image_size=8, width=4, latent_dim=2, epochs=2, lr=1e-2, batch_size=5,
        jit=False, prior="normal", network="convolutional", sampler="prior")  # fmt: skip
    return settings, training.fit(settings)


def export(settings, **others):
    return training.export_run(
        config.ExportConfig(name="run", runs_dir=settings.runs_dir, export_dir=settings.export_dir, **others)
    )


def test_an_old_run_is_exported_with_a_density_of_its_codes(trained):
    settings, old = trained
    new = export(settings, sampler="mixture")
    before, after = serving.Served(old), serving.Served(new)
    images = np.stack([after.read(path) for path in after.test_images()])
    np.testing.assert_array_equal(after.reconstruct(images), before.reconstruct(images))
    seeds = serving.seeds(0, 0, 500)
    _, standard = before.generate(seeds, 1.0)
    drawn, latents = after.generate(seeds, 1.0)
    assert np.abs(standard.mean(axis=0)).max() < 0.15
    # Few and random images: their codes are nearly one point, and so is what is drawn of it, but for the noise.
    codes = before.encode(images)
    spread = np.sqrt(codes.mean.var(axis=0) + np.exp(codes.log_variance).mean(axis=0))
    np.testing.assert_allclose(latents.mean(axis=0), codes.mean.mean(axis=0), atol=1.0 * spread.max())
    np.testing.assert_allclose(latents.std(axis=0), spread, rtol=0.5)
    np.testing.assert_allclose(drawn, after.decode(latents), atol=1e-5)
    for path in ("wipe", "spherical", "linear"):
        walk = after.walk(images[0], images[1], 3, path)
        np.testing.assert_allclose(walk[[0, -1]], after.reconstruct(images[:2]), atol=1e-3)
    assert "a mixture of Gaussians, fitted to the codes" in (new / "assets.extra" / "model_card.md").read_text()
    assert "--sampler=mixture" in (new / "assets.extra" / "flags.cfg").read_text()
    assert "the prior, which was trained" in (old / "assets.extra" / "model_card.md").read_text()


def test_a_run_that_is_exported_again_draws_the_same(trained, quick, capsys):
    settings, _ = trained
    seeds = serving.seeds(0, 0, 20)
    one, other = (serving.Served(export(settings, sampler="matching")).generate(seeds, 0.8)[1] for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert "of fewer than 1,000 training images, the best" in capsys.readouterr().out


def test_a_run_is_exported_with_another_walk_and_without_a_mixture_of_its_own(trained, tmp_path):
    settings, old = trained
    shutil.copytree(settings.runs_dir, tmp_path / "runs")
    flags = tmp_path / "runs" / "run" / "flags.cfg"
    text = flags.read_text()
    flags.write_text(
        text.replace("--sampler=prior\n", "--sampler=aggregate\n--refine=2\n--candidates=8\n").replace(
            "--components=10", "--components=5"
        )
    )
    moved = dataclasses.replace(settings, runs_dir=str(tmp_path / "runs"))
    new, before = export(moved, sampler="prior", path="linear", space="latent"), serving.Served(old)
    images = np.stack([before.read(path) for path in before.test_images()])[:2]
    answer = serving.Served(new).interpolate(images[:1], images[1:], np.float32([0.5]))
    middle = before.encode(images).mean.mean(axis=0, keepdims=True)
    np.testing.assert_allclose(answer, before.decode(middle), atol=1e-5)
    assert "goes straight through the space of latents" in (new / "assets.extra" / "model_card.md").read_text()
    assert "part by part, from the top down" in (old / "assets.extra" / "model_card.md").read_text()
    written = (new / "assets.extra" / "flags.cfg").read_text()
    assert "--path=linear\n--space=latent\n" in written and "--sampler=prior\n" in written
    with pytest.raises(config.UserError, match="--space=latent needs --path=spherical or --path=linear"):
        export(settings, space="latent")


def test_data_that_changed_are_refused_and_the_prior_needs_none(trained, tmp_path):
    settings, old = trained
    moved = dataclasses.replace(settings, runs_dir=str(tmp_path / "runs"))
    (tmp_path / "runs" / "run" / "checkpoints").mkdir(parents=True)
    source = old.parent.parent.parent / "runs" / "run"
    for path in (*source.glob("*.*"), *(source / "checkpoints").iterdir()):
        if path.is_file():
            (tmp_path / "runs" / "run" / path.relative_to(source)).write_bytes(path.read_bytes())
    (tmp_path / "other").mkdir()
    for number in range(20):
        Image.new("RGB", (8, 8)).save(tmp_path / "other" / f"x{number}.png")
    flags = tmp_path / "runs" / "run" / "flags.cfg"
    flags.write_text(flags.read_text().replace(settings.data, str(tmp_path / "other")))
    with pytest.raises(config.UserError, match="was started with other images"):
        export(moved, sampler="mixture")
    assert export(moved).is_dir()
