"""Avatars: drawn as DiceBear draws them, the same each time, no picture twice, and honest about what shows."""

import collections
import subprocess
import sys

import dicebear
import numpy as np
import pytest
import resvg_py

from tfvae import config, data
from tfvae.data import artwork, avatars, drawers, styles, visibility

COUNTS = (40, 8, 8)
SIZE = 32


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A small builder of `personas`, prepared."""
    builder = avatars.Avatars(size=SIZE, counts=COUNTS, data_dir=str(tmp_path_factory.mktemp("avatars")))
    builder.download_and_prepare()
    return builder


@pytest.fixture(scope="module")
def examples(built):
    """{split: list of examples}."""
    return {split: list(built.as_dataset(split=split).as_numpy_iterator()) for split in ("train", "validation", "test")}


def every(examples):
    return [example for split in examples.values() for example in split]


def test_each_prepared_avatar_is_redrawn_exactly_from_its_attributes(examples):
    assert {split: len(some) for split, some in examples.items()} == dict(
        zip(("train", "validation", "test"), COUNTS, strict=True)
    )
    for example in every(examples):
        redrawn = data.draw("personas", SIZE, example["attributes"])
        assert redrawn.dtype == np.uint8
        np.testing.assert_array_equal(redrawn, example["image"])


def test_no_picture_and_no_attributes_occur_twice(examples):
    pictures = [example["image"].tobytes() for example in every(examples)]
    values = [tuple(example["attributes"].items()) for example in every(examples)]
    assert len(set(pictures)) == len(set(values)) == sum(COUNTS)


def test_the_same_avatars_are_made_each_time(built, examples, tmp_path, monkeypatch):
    monkeypatch.setattr(drawers, "_CHUNK", 7)
    again = avatars.Avatars(size=SIZE, counts=COUNTS, data_dir=str(tmp_path))
    again.download_and_prepare()
    for example, other in zip(examples["train"], again.as_dataset(split="train").as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(example["image"], other["image"])
        assert example["attributes"] == other["attributes"] and example["visible"] == other["visible"]


def test_the_builder_says_whose_artwork_it_is(built):
    assert "CC BY 4.0" in built.info.description and "Draftbit" in built.info.description
    assert "CC BY 4.0" in built.info.citation and "sunglasses" in built.info.description
    features = built.info.features["attributes"]
    assert features["eyes"].names == ["glasses", "happy", "open", "sleep", "sunglasses", "wink"]
    assert features["skinColor"].names[0] == "#eeb4a4" and features["facialHair"].names[0] == "none"


def test_loaded_avatars_are_composited_on_the_background(built, monkeypatch):
    monkeypatch.setattr(avatars, "COUNTS", COUNTS)
    folder = built._data_dir_root
    settings = config.DataConfig(image_size=SIZE, image_width=24, background="#10e020", data_dir=str(folder))
    loaded = data.load(settings)
    assert loaded.image_shape == (SIZE, 24, 3)
    assert [loaded.num_training, loaded.num_validation, loaded.num_test] == list(COUNTS)
    assert set(loaded.attributes["test"]) == set(loaded.visible["test"]) == set(loaded.attribute_values)
    assert loaded.attribute_values["nose"] == ("mediumRound", "smallRound", "wrinkles")
    for split in ("train", "validation", "test"):
        for k, image in enumerate(loaded.images(split)):
            redrawn = data.draw("personas", SIZE, {name: some[k] for name, some in loaded.attributes[split].items()})
            # The size it was drawn at: cut in the middle, composited, not resized.
            alpha = redrawn[:, 4:28, 3:] / 255
            expected = redrawn[:, 4:28, :3] * alpha + np.array((16, 224, 32)) * (1 - alpha)
            assert np.abs(image - expected).max() <= 1.5
    transparent = data.draw("personas", SIZE, {name: some[0] for name, some in loaded.attributes["test"].items()})
    assert transparent[0, 0, 3] == 0


def public_drawing(style, values):
    """Draws an avatar through DiceBear's public interface, each choice pinned by options."""
    definition = styles.load(style).style
    options = {}
    for name, value in values.items():
        if name.endswith("Color"):
            options[name] = [value]
        else:
            options[name + "Probability"] = 0 if value == "none" else 100
            if value != "none":
                options[name + "Variant"] = [value]
    svg = str(dicebear.Avatar(definition, options))
    return artwork.pixels(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=40, height=40, skip_system_fonts=True)))


@pytest.mark.parametrize("style", ["personas", "avataaars", "big-ears", "micah", "fun-emoji"])
def test_drawings_are_those_of_dicebears_public_interface(style):
    art = styles.load(style)
    for number in range(8):
        indices = artwork.sample(art, number)
        values = {one.name: one.values[index] for one, index in zip(art.attributes, indices, strict=True)}
        names = {one.name: index for one, index in zip(art.attributes, indices, strict=True)}
        np.testing.assert_array_equal(data.draw(style, 40, names), public_drawing(style, values))


@pytest.mark.parametrize("style", ["personas", "rings", "triangles", "waves", "weave", "marbles", "gaze"])
def test_every_attribute_changes_the_drawing_somewhere(style):
    art = styles.load(style)
    for position, attribute in enumerate(art.attributes):
        found = set()
        for number in range(12):
            for index in range(2):
                indices = list(artwork.sample(art, number))
                indices[position] = index
                drawing = artwork.render(art, 24, artwork.pins(art, indices))
                found.add((number, drawing.png))
            if len(found) > number + 1:
                break
        else:
            pytest.fail(f"{style}: {attribute.name} changes nothing")


@pytest.mark.parametrize("style", ["personas", "avataaars", "toon-head", "lorelei"])
def test_values_have_the_shares_that_the_style_says_and_one_is_rare(style):
    art, count = styles.load(style), 4000
    drawn = [artwork.sample(art, number) for number in range(count)]
    assert drawn[:50] == [artwork.sample(art, number) for number in range(50)]
    for position, attribute in enumerate(art.attributes):
        np.testing.assert_allclose(sum(attribute.weights), 1)
        counts = collections.Counter(indices[position] for indices in drawn)
        for index, share in enumerate(attribute.weights):
            deviation = np.sqrt(share * (1 - share) / count)
            assert abs(counts[index] / count - share) <= 5 * deviation, (attribute.name, index)
    name, value = art.rare
    (rare,) = [attribute for attribute in art.attributes if attribute.name == name]
    assert rare.weights[rare.values.index(value)] == pytest.approx(0.05)
    facial_hair = [attribute for attribute in art.attributes if attribute.name == "facialHair"]
    assert all(one.values[0] == "none" and one.weights[0] == pytest.approx(0.9) for one in facial_hair)


def test_sunglasses_are_the_rare_value_of_personas():
    assert styles.load("personas").rare == ("eyes", "sunglasses")


@pytest.mark.parametrize(
    "style, size", [("personas", 40), ("personas", 16), ("avataaars", 24), ("micah", 24), ("rings", 16)]
)
def test_visible_means_that_another_value_would_change_a_pixel(style, size):
    art, shows = styles.load(style), visibility.Visibility(style, size)
    for number in range(6):
        indices = artwork.sample(art, number)
        drawing = artwork.render(art, size, artwork.pins(art, indices))
        assert shows.marks(indices, drawing) == shows.marks_by_redrawing(indices, drawing)


def test_what_another_attribute_hides_is_marked(examples):
    names = {one.name: one.values for one in styles.load("personas").attributes}
    seen = set()
    for example in every(examples):
        beard = names["facialHair"][example["attributes"]["facialHair"]]
        if beard == "none":
            assert not example["visible"]["facialHairColor"]
        if beard in ("beardMustache", "goatee", "pyramid", "walrus", "soulPatch"):
            assert example["visible"]["facialHairColor"]
        if names["hair"][example["attributes"]["hair"]] == "bald":
            assert not example["visible"]["hairColor"]
        assert example["visible"]["skinColor"] and example["visible"]["facialHair"]
        seen.add(beard)
    assert len(seen) > 1


def test_a_style_of_few_avatars_gives_all_it_has_in_proportion(tmp_path, monkeypatch):
    monkeypatch.setattr(avatars, "_LEAST", 200)
    builder = avatars.Avatars(style="glyphs", size=16, counts=(400, 40, 40), data_dir=str(tmp_path))
    builder.download_and_prepare()
    counts = {split: info.num_examples for split, info in builder.info.splits.items()}
    assert counts == {"train": 205, "validation": 20, "test": 20}  # 35 glyphs of 7 colours.


def test_mistakes_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(avatars, "COUNTS", (60, 6, 6))
    monkeypatch.setattr(avatars, "_LEAST", 30)
    for name, words in {
        "avatars/nonesuch": "--data=avatars/nonesuch: expected one of the styles adventurer, .*, weave",
        "avatars/initials": "--data=avatars/initials: expected a style of at least 30 different avatars, got 18",
    }.items():
        with pytest.raises(config.UserError, match=words) as error:
            data.load(config.DataConfig(data=name, data_dir=str(tmp_path)))
        assert "\n" not in str(error.value)
    indices = dict.fromkeys((one.name for one in styles.load("personas").attributes), 0)
    with pytest.raises(config.UserError, match="expected nose from 0 to 2, got 3"):
        data.draw("personas", 16, indices | {"nose": 3})
    with pytest.raises(config.UserError, match="unmatched: hat"):
        data.draw("personas", 16, indices | {"hat": 3})


def test_drawing_imports_no_tensorflow_and_needs_no_guarded_main_module(tmp_path):
    """A script without `if __name__ == "__main__"` draws in child processes, once."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from tfvae.data import artwork, drawers, visibility\n"
        "print(len(list(drawers.draw_all('personas', 16, list(range(40))))))\n"
        "assert 'tensorflow' not in sys.modules and 'tensorflow_datasets' not in sys.modules\n"
    )
    root = str(__import__("pathlib").Path(avatars.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env={"PYTHONPATH": root}, check=False
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["40"], "")


def test_a_drawing_process_that_dies_is_told():
    with pytest.raises(RuntimeError, match="A process of tfvae.data.drawers ended early"):
        list(drawers.draw_all("nonesuch", 16, [0, 1]))
