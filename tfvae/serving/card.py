"""The card that travels with an export: what it is, of what it was made, and how it is called."""

import math

import keras
import tensorflow as tf

_TEXT = """# {name}: a variational autoencoder of {height} x {width} {colours} images

Reconstructs images, draws new ones and walks between two, through the signatures below. It runs in TensorFlow's C++
runtime and in TensorFlow Serving; no other code is needed.

| | |
|---|---|
| trained on | `{data}` |
| images | {height} x {width} x {channels}, float32 in [0, 1] |
| latents | {latent_dim} |
| network | {network}, width {width_setting}, {parameters:,} weights |
| likelihood, prior, objective | {likelihood}, {prior}, {objective} |
| new images | through {sampler} |
| training | {epochs} epochs, batch size {batch_size}, learning rate {lr} to {lr_end}, seed {seed} |
| files that come with other sizes | `--fit={fit}`, `--resize_filter={resize_filter}`, {behind} |
| written by | TensorFlow {tensorflow}, Keras {keras} |

All settings: `flags.cfg`. `python -m tfvae.train --flagfile=flags.cfg` trains it again.

## Signatures
One row is an image; B is any number of them. `..._bytes` are image files: PNG or JPEG of any size in, PNG out.
{alpha}
| signature | inputs | outputs |
|---|---|---|
{signatures}

`seed` is a pair of whole numbers for each image: the same pair draws the same image, in whatever batch. `std` 1 is
the whole variety; less is more typical and less varied. `weight` 0 is image a, 1 is image b. Reconstructions and walks
go through posterior means, so they have no noise; a walk {way}.

## Calling it
```python
import tensorflow as tf

model = tf.saved_model.load("{name}/VERSION")
answer = model.signatures["generate"](seed=tf.constant([[0, 0], [0, 1]]), std=tf.constant([0.8, 0.8]))
answer["images"]  # [2, {height}, {width}, {channels}]
```
TensorFlow Serving, with `--model_name={name} --model_base_path=/.../{name}`:
```bash
curl -d '{{"signature_name": "generate_bytes", "instances": [{{"seed": [0, 0], "std": 0.8}}]}}' \\
  http://localhost:8501/v1/models/{name}:predict
```
Files go in as `{{"image_bytes": {{"b64": "..."}}}}` and come back the same way.

## Limits
It knows the images it was trained on and nothing else: an image of another kind comes back as the nearest one that it
can draw. What its data leave out or show too often, so do its images.
"""


_FITTED = ", fitted to the codes of the training images after training; the prior is not used"
_PRIOR = "the prior, which was trained with the model"
_SAMPLERS = {
    "ContinuousFlow": "a continuous flow" + _FITTED,
    "Mixture": "a mixture of Gaussians" + _FITTED,
}

_WAYS = {
    ("wipe", "base"): "changes part by part, from the top down",
    ("spherical", "base"): "turns evenly in the Gaussian noise that codes are drawn with",
    ("linear", "base"): "goes straight through the Gaussian noise that codes are drawn with",
    ("spherical", "latent"): "turns evenly in the space of latents",
    ("linear", "latent"): "goes straight through the space of latents",
}


def _inputs_or_outputs(specs):
    def shape(spec):
        return "[" + ", ".join(["B", *map(str, spec["shape"][1:])]) + "]"

    return ", ".join(f"`{name}` {spec['dtype']} {shape(spec)}" for name, spec in specs.items())


_ALPHA = """`images` have colours multiplied by alpha, and alpha as the fourth channel; PNG files come out with straight
colours, as usual.
"""


def text(vae, settings, name, described, sampler, spec):
    """Returns the card as Markdown.

    Args:
        vae: The `tfvae.VAE`.
        settings: The `config.TrainConfig` it was trained with.
        name: The export's name.
        described: The signatures as `signatures.json` holds them.
        sampler: What codes are drawn from; None for the model's prior.
        spec: The `preprocessing.ImageSpec` that image files are brought to.
    """
    height, width, channels = vae.image_shape
    rows = (
        f"| `{key}` | {_inputs_or_outputs(signature['inputs'])} | {_inputs_or_outputs(signature['outputs'])} |"
        for key, signature in described.items()
    )
    return _TEXT.format(
        name=name,
        height=height,
        width=width,
        channels=channels,
        colours={1: "grey", 3: "RGB", 4: "transparent RGB"}[channels],
        alpha=_ALPHA if channels == 4 else "",
        behind="transparent around them" if channels == 4 else f"transparent pixels on {settings.background}",
        fit=spec.fit,
        resize_filter=spec.resize_filter,
        latent_dim=vae.latent_dim,
        parameters=sum(math.prod(weight.shape) for weight in vae.trainable_variables),
        width_setting=settings.width,
        sampler=_PRIOR if sampler in (None, vae.prior) else _SAMPLERS[type(sampler).__name__],
        way=_WAYS[settings.way],
        signatures="\n".join(rows),
        tensorflow=tf.__version__,
        keras=keras.__version__,
        **{
            key: getattr(settings, key)
            for key in ("data", "network", "likelihood", "prior", "objective", "epochs", "batch_size", "lr", "lr_end")
            + ("seed",)
        },
    )
