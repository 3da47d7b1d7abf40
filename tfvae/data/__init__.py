"""Images in, batches out: `load(config)` gives training, validation and test pipelines of one element spec.

The way of an image: list (`folders`, `arrays`, `prepared`), decode (`decode`, by Pillow, in threads), crop, resize and
composite (`preprocessing`), keep as uint8 (`cache`), deal to the splits (`splits`), then for each epoch a full
permutation, batch, float32 in [0, 1], flip (if asked for), prefetch (`pipeline`, which says why in this order).

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


def load_test_set(settings, deep_values=None, trained_on=None):
    """As `load`, of data that are a test set as a whole; see `pipeline.load_test_set`."""
    from tfvae.data import pipeline

    return pipeline.load_test_set(settings, deep_values, trained_on)


def draw(style, size, attributes):
    """Redraws an avatar from its attribute values, exactly as prepared; see `artwork.draw`."""
    from tfvae.data import artwork

    return artwork.draw(style, size, attributes)


def __getattr__(name):
    if name == "Data":
        from tfvae.data import pipeline

        return pipeline.Data
    raise AttributeError(f"module 'tfvae.data' has no attribute {name!r}")
