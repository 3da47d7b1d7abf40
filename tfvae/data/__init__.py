"""Images in, batches out: `load(config)` gives training, validation and test pipelines of one element spec.

The way of an image: list, decode (parallel), composite on the background, resize, keep as uint8, then for each epoch a
full permutation, batch, float32 in [0, 1], flip (if asked for), prefetch. `pipeline` says why in this order.

Nothing is imported before it is called for: TensorFlow takes seconds, and drawing processes need none of it.
"""


def load(config):
    """Opens the images that `config.data` names, prepares them at their first use, and returns a `pipeline.Data`.

    Args:
        config: A `config.DataConfig`.

    Raises:
        UserError: If there are no such images, or fewer than a batch of them.
    """
    from tfvae.data import pipeline

    return pipeline.load(config)


def draw(style, size, attributes):
    """Redraws an avatar from its attribute values, exactly as prepared; see `artwork.draw`."""
    from tfvae.data import artwork

    return artwork.draw(style, size, attributes)


def __getattr__(name):
    if name == "Data":
        from tfvae.data import pipeline

        return pipeline.Data
    raise AttributeError(f"module 'tfvae.data' has no attribute {name!r}")
