"""Avatars are found again from their pictures; layers show what the data has."""

import numpy as np
import pytest

from tfvae.data import artwork, preprocessing, styles
from tfvae.data.preprocessing import ImageSpec
from tfvae.evaluation import layers, redrawing, synthesis, walks

SPEC = ImageSpec(32, 32, 3)


@pytest.fixture(scope="module")
def searcher():
    return synthesis.Searcher("personas", SPEC)


def guess(indices, style="personas", sure=0.9):
    """The probabilities of a reader that says `indices`."""
    counts = [len(attribute.values) for attribute in styles.load(style).attributes]
    found = [np.full(count, (1 - sure) / (count - 1)) for count in counts]
    for values, index in zip(found, indices, strict=True):
        values[index] = sure
    return found


def avatar(number, style="personas"):
    return artwork.sample(styles.load(style), number)


def test_a_true_avatar_is_found_from_the_guess_of_another_one(searcher):
    assert searcher.has_layers
    for number in range(8):
        image = searcher.draw(avatar(number))
        for found in searcher.find(image, guess(avatar(number + 100))):
            np.testing.assert_array_equal(searcher.draw(found), image)


def test_the_reader_is_believed_where_speckle_is_nearer_to_another_avatar(searcher):
    """A shadow of a beard that lowers the squared error a little is no beard; the nearest avatar may have it."""
    art = styles.load("personas")
    names = [one.name for one in art.attributes]
    at = names.index("facialHair")
    plain = list(avatar(1))
    plain[at] = art.attributes[at].values.index("none")
    bearded = list(plain)
    bearded[at] = art.attributes[at].values.index("shadow")
    faces = [searcher.draw(tuple(one)).astype(np.float32) for one in (plain, bearded)]
    speckle, between = np.random.default_rng(0).normal(0, 30, faces[0].shape), faces[1] - faces[0]
    speckle -= (speckle * between).sum() / (between**2).sum() * between  # It speaks for neither.
    probable, nearest = searcher.find(0.4 * faces[0] + 0.6 * faces[1] + speckle, guess(plain, sure=0.99))
    assert probable[at] == plain[at] and nearest[at] == bearded[at]


def test_what_shows_is_what_the_data_says(searcher):
    art = styles.load("personas")
    bald = dict(zip([one.name for one in art.attributes], avatar(0), strict=True))
    bald["hair"] = next(one for one in art.attributes if one.name == "hair").values.index("bald")
    bald["facialHair"] = 0
    shows = dict(zip(bald, searcher.visible(tuple(bald.values())), strict=True))
    assert shows["skinColor"] and not shows["hairColor"] and not shows["facialHairColor"]


def test_a_style_whose_layers_cannot_be_told_apart_is_searched_by_drawing(monkeypatch):
    monkeypatch.setattr(layers.Layers, "calibrate", lambda self, avatars: 1000.0)
    searcher = synthesis.Searcher("fun-emoji", ImageSpec(24, 24, 3))
    assert not searcher.has_layers
    image, likely = searcher.draw(avatar(0, "fun-emoji")), guess(avatar(0, "fun-emoji"), "fun-emoji", sure=0.4)
    other = likely[0].argsort()[0]
    likely[0][other] += 0.5  # The second most probable value is right.
    for found in searcher.find(image, likely):
        np.testing.assert_array_equal(searcher.draw(found), image)


@pytest.mark.parametrize(
    "spec",
    [
        ImageSpec(20, 20, 3, background=(255, 0, 40)),
        ImageSpec(20, 14, 3, "crop", "bicubic", (255, 0, 40)),
        ImageSpec(20, 14, 4, "pad", "nearest"),
        ImageSpec(12, 20, 1, "stretch", "lanczos", (255, 0, 40)),
        ImageSpec(20, 20, 4),
    ],
    ids=str,
)
def test_avatars_and_their_layers_are_what_the_pipeline_makes(spec):
    art = styles.load("personas")
    rgba = artwork.pixels(artwork.render(art, 20, artwork.pins(art, avatar(3))).png)
    drawn = synthesis.render(art, spec, avatar(3))[1]
    np.testing.assert_array_equal(drawn, preprocessing.prepare_pixels(rgba, spec))
    layered = layers.Layers(art, spec).draw(avatar(3))
    assert layered.shape == spec.shape and np.abs(layered - drawn).mean() < 2


def test_analyses_in_child_processes_and_ghosts_are_far_from_avatars(searcher):
    ends = np.stack([searcher.draw(avatar(number)) for number in range(8)]) / np.float32(255)
    art = styles.load("personas")
    probabilities = {one.name: np.full((8, len(one.values)), 1 / len(one.values)) for one in art.attributes}
    done = []
    found = synthesis.analyse(ends, probabilities, "personas", SPEC, done.append)
    assert sum(done) == 8 and redrawing.psnrs(ends, found).min() == pytest.approx(100)
    for name, column in found.attributes.items():
        known = np.array([dict(zip(probabilities, avatar(number), strict=True))[name] for number in range(8)])
        assert (column == known)[found.visible[name]].all()

    fades = walks.cross_fade(ends[:4], ends[4:], 5)[:, 2]
    ghosts = synthesis.analyse(fades, {name: part[:4] for name, part in probabilities.items()}, "personas", SPEC)
    psnrs = redrawing.psnrs(fades, ghosts)
    assert np.median(psnrs) < 25 and psnrs.max() < 30  # True avatars have 100; of walks, those over 25 are counted.


def test_avatars_with_transparency_are_found_in_child_processes():
    spec = ImageSpec(20, 20, 4)
    art = styles.load("personas")
    drawn = np.stack([synthesis.render(art, spec, avatar(number))[1] for number in range(2)])
    assert 0 < (drawn[..., 3] == 0).mean() < 1 and (drawn[..., :3] <= drawn[..., 3:]).all()
    probabilities = {one.name: np.full((2, len(one.values)), 1 / len(one.values)) for one in art.attributes}
    np.testing.assert_array_equal(synthesis.analyse(drawn, probabilities, "personas", spec).redrawings, drawn)
