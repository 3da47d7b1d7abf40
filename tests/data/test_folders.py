"""--data=FOLDER: what is found, what is left out and named, splits, labels, and how images arrive."""

import dataclasses
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from tfvae import config, data, files, pictures
from tfvae.data import decode_all, folders, source

H, W = 10, 12


def settings(folder, **others):
    return config.DataConfig(
        **{"data": str(folder), "image_size": H, "image_width": W, "batch_size": 4, "cache": "memory"}
        | {"data_dir": f"{folder}-prepared"} | others
    )  # fmt: skip


def colour(number):
    """Returns a colour that no other number has."""
    return (37 * number % 256, number // 7 % 256, (11 * number + 90) % 256)


def write(folder, *names, start=0, size=(W, H)):
    """Writes an image of its own colour under each name; the ending says the format."""
    for number, name in enumerate(names, start):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour(number)).save(path)


def numbered(folder, count, start=0):
    write(folder, *(f"{number:03d}.png" for number in range(start, start + count)), start=start)


def all_names(loaded):
    return sorted(name for split in source.SPLITS for name in loaded.names[split])


def line(loaded, *words):
    """Returns the one line of the report that has all `words`."""
    (found,) = [one for one in loaded.report.lines() if all(word in one for word in words)]
    return found


# Splits and labels.


def test_official_splits_and_class_folders_are_those_of_the_folder(tmp_path):
    for split, count in {"train": 6, "val": 2, "test": 3}.items():
        for k, kind in enumerate(("cats", "dogs")):
            write(tmp_path / split / kind, *(f"{n}.png" for n in range(count)), start=100 * count + 10 * k)
    loaded = data.load(settings(tmp_path))
    assert {name.split("/")[0] for name in loaded.names["train"]} == {"train"}
    assert {name.split("/")[0] for name in loaded.names["validation"]} == {"val"}
    assert {name.split("/")[0] for name in loaded.names["test"]} == {"test"}
    assert (loaded.num_training, loaded.num_validation, loaded.num_test) == (12, 4, 6)
    assert loaded.attribute_values == {"class": ("cats", "dogs")}
    for split in source.SPLITS:
        expected = [int("/dogs/" in name) for name in loaded.names[split]]
        np.testing.assert_array_equal(loaded.attributes[split]["class"], expected)


@pytest.mark.parametrize(("train", "validation", "test"), [
    ("training_set", "validation_set", "test_set"),
    ("train2017", "val2017", "test2017"),
    ("Train Images", "dev", "Test"),
])  # fmt: skip
def test_folders_of_splits_go_by_many_names(tmp_path, train, validation, test):
    for start, (name, count) in enumerate({train: 5, validation: 2, test: 3}.items()):
        write(tmp_path / name, *(f"{n}.png" for n in range(count)), start=100 * start)
    loaded = data.load(settings(tmp_path))
    assert (loaded.num_training, loaded.num_validation, loaded.num_test) == (5, 2, 3)
    assert {name.split("/")[0] for name in loaded.names["test"]} == {test}


def test_folders_of_splits_below_classes_are_told(tmp_path):
    for start, name in enumerate(("cats/train", "cats/test", "dogs/train", "dogs/test")):
        write(tmp_path / name, *(f"{n}.png" for n in range(5)), start=100 * start)
    loaded = data.load(settings(tmp_path))
    assert line(loaded, "no splits").endswith("outermost: cats/test, cats/train, dogs/test, dogs/train")


def test_words_of_splits_in_names_of_classes_are_told(tmp_path):
    for start, name in enumerate(("cat_train", "cat_test", "dog_train", "dog_test")):
        write(tmp_path / name, *(f"{n}.png" for n in range(5)), start=100 * start)
    assert line(data.load(settings(tmp_path)), "no splits").endswith("cat_test, cat_train, dog_test, dog_train")


@pytest.mark.parametrize(("other", "words"), [("masks/{}.png", "masks/"), ("images/{}_mask.png", " 0_mask.png, ")])
def test_what_is_called_as_masks_is_told(tmp_path, other, words):
    for number in range(6):
        write(tmp_path, f"images/{number}.png", other.format(number), start=2 * number)
    assert words in line(data.load(settings(tmp_path)), "taken as images, whatever they are called")


def test_pictures_of_this_program_beside_class_folders_take_no_labels_away(tmp_path):
    write(tmp_path, *(f"{kind}/{n}.png" for kind in ("cats", "dogs") for n in range(5)))
    pictures.save(np.zeros((8, 8, 3), np.uint8), tmp_path / "samples.png")
    loaded = data.load(settings(tmp_path))
    assert loaded.attribute_values == {"class": ("cats", "dogs")}
    assert not any("no labels" in one for one in loaded.report.lines())


def test_whole_numbers_beside_floats_are_told(tmp_path):
    random = np.random.default_rng(0)
    for number in range(6):
        pixels = random.random((H, W), np.float32)
        Image.fromarray(pixels).save(tmp_path / f"{number}.tif")
        Image.fromarray((4000 * pixels).astype(np.uint16)).save(tmp_path / f"{number}.png")
    with pytest.warns(UserWarning, match="files of whole numbers lie beside files of floats: all are ranged alike"):
        data.load(settings(tmp_path))


@pytest.mark.parametrize("word", ["val", "valid", "validation", "VALID"])
def test_a_missing_split_alone_is_dealt(tmp_path, word):
    numbered(tmp_path / "train", 20)
    numbered(tmp_path / word, 4, start=20)
    loaded = data.load(settings(tmp_path, holdout=0.1))
    assert (loaded.num_training, loaded.num_validation, loaded.num_test) == (18, 4, 2)
    assert {name.split("/")[0] for name in loaded.names["test"]} == {"train"}


def test_an_inspection_sets_masks_are_left_out_and_named(tmp_path):
    numbered(tmp_path / "bottle" / "train" / "good", 12)
    numbered(tmp_path / "bottle" / "test" / "good", 3, start=20)
    numbered(tmp_path / "bottle" / "test" / "scratch", 3, start=30)
    numbered(tmp_path / "bottle" / "ground_truth" / "scratch", 3, start=40)
    loaded = data.load(settings(tmp_path))
    assert not any("ground_truth" in name for name in all_names(loaded))
    assert (loaded.num_training, loaded.num_test) == (10, 6)
    assert "ground_truth/ (3)" in line(loaded, "left out", "beside the folders of the splits")
    assert loaded.attribute_values == {"class": ("good", "scratch")}
    assert loaded.attributes["test"]["class"].tolist() == [0, 0, 0, 1, 1, 1]


def test_a_class_that_is_called_train_is_no_split(tmp_path):
    for k, kind in enumerate(("bus", "car", "train")):
        numbered(tmp_path / kind, 10, start=20 * k)
    loaded = data.load(settings(tmp_path))
    assert loaded.attribute_values == {"class": ("bus", "car", "train")}
    assert (loaded.num_training, loaded.num_validation, loaded.num_test) == (24, 3, 3)


@pytest.mark.parametrize("beside", ["train_masks", "extra"])
def test_one_folder_beside_train_is_left_out_and_named(tmp_path, beside):
    numbered(tmp_path / "train", 20)
    numbered(tmp_path / beside, 20, start=30)
    loaded = data.load(settings(tmp_path))
    assert {name.split("/")[0] for name in all_names(loaded)} == {"train"}
    assert f"{beside}/ (20)" in line(loaded, "left out", "beside the folders of the splits")


@pytest.mark.parametrize("training", ["", "cats"])
def test_a_test_folder_without_train_is_the_test_split(tmp_path, training):
    numbered(tmp_path / training, 20)
    numbered(tmp_path / "test", 5, start=30)
    loaded = data.load(settings(tmp_path))
    assert sorted(loaded.names["test"]) == [f"test/{number:03d}.png" for number in range(30, 35)]
    assert (loaded.num_training, loaded.num_validation) == (18, 2)


def test_a_test_folder_alone_is_not_trained_on(tmp_path):
    (tmp_path / "train").mkdir()
    numbered(tmp_path / "test", 20)
    with pytest.raises(
        config.UserError, match="expected images to train on beside test/, got none; --data=.*test/ takes"
    ):
        data.load(settings(tmp_path))


def test_a_split_without_images_is_dealt(tmp_path):
    numbered(tmp_path / "train", 20)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "notes.txt").write_text("no image")
    loaded = data.load(settings(tmp_path))
    assert (loaded.num_training, loaded.num_validation, loaded.num_test) == (16, 2, 2)


def test_splits_that_are_made_of_links_are_splits(tmp_path):
    numbered(tmp_path / "all", 20)
    for split, numbers in {"train": range(15), "test": range(15, 20)}.items():
        (tmp_path / split).mkdir()
        for number in numbers:
            (tmp_path / split / f"{number:03d}.png").symlink_to(tmp_path / "all" / f"{number:03d}.png")
    loaded = data.load(settings(tmp_path))
    assert sorted(loaded.names["test"]) == [f"test/{number:03d}.png" for number in range(15, 20)]
    assert loaded.num_training + loaded.num_validation == 15


def test_links_into_a_hidden_store_arrive(tmp_path):
    numbered(tmp_path / "images" / ".git" / "objects", 12)
    for number in range(12):
        (tmp_path / "images" / f"{number}.png").symlink_to(
            tmp_path / "images" / ".git" / "objects" / f"{number:03d}.png"
        )
    assert len(all_names(data.load(settings(tmp_path / "images")))) == 12


def test_labels_that_some_images_lack_are_told(tmp_path):
    for k, kind in enumerate(("cats", "dogs")):
        numbered(tmp_path / kind, 10, start=20 * k)
    numbered(tmp_path, 3, start=50)
    loaded = data.load(settings(tmp_path))
    assert loaded.attribute_values == {} and line(loaded, "no labels, for 3 images are in no class folder")


@pytest.mark.parametrize("layout", ["images at the top", "one class", "a folder for each image"])
def test_folders_that_say_nothing_are_no_labels(tmp_path, layout):
    for number in range(20):
        below = {"images at the top": "a" if number % 2 else "", "one class": "a"}.get(layout, f"{number}")
        write(tmp_path / below, f"{number}.png", start=number)
    assert data.load(settings(tmp_path)).attribute_values == {}


def test_more_images_move_few_to_another_split(tmp_path):
    numbered(tmp_path, 60)
    before = data.load(settings(tmp_path))
    assert (before.num_training, before.num_validation, before.num_test) == (48, 6, 6)
    numbered(tmp_path, 5, start=60)
    os.utime(tmp_path / "000.png")
    after = data.load(settings(tmp_path))
    assert sum(len(set(before.names[split]) - set(after.names[split])) for split in source.SPLITS) <= 10
    assert not set(before.names["validation"]) & set(after.names["test"])
    assert not set(before.names["test"]) & set(after.names["validation"])


def test_shares_are_dealt_after_decoding(tmp_path):
    numbered(tmp_path, 10)
    for name in ("003.png", "007.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\nno more")
    with pytest.warns(UserWarning, match="2 of 10 images cannot be decoded .*: 003.png, 007.png"):
        loaded = data.load(settings(tmp_path, batch_size=1))
    assert (loaded.num_training, loaded.num_validation, loaded.num_test) == (6, 1, 1)
    numbered(tmp_path, 2, start=10)
    with pytest.warns(UserWarning):
        loaded = data.load(settings(tmp_path, batch_size=1))
    assert (loaded.num_training, loaded.num_validation, loaded.num_test) == (6, 2, 2)


# What is left out, and said.


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_programs_own_output_is_no_data(tmp_path):
    numbered(tmp_path, 16)
    before = all_names(data.load(settings(tmp_path)))
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "flags.cfg").write_text("--data=.\n")
    (run / "lock").write_text("")
    numbered(run / "pictures", 8, start=100)
    version = tmp_path / "saved_models" / "mine" / "1"
    (version / "assets.extra").mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"")
    numbered(version / "assets.extra" / "test_images", 8, start=200)
    evaluation = tmp_path / "evaluation" / "mine-1"
    numbered(evaluation, 3, start=300)
    (evaluation / "evaluation.json").write_text("{}")
    (evaluation / "report.html").write_text("")
    image = np.full((1, 4, 4, 3), 9, np.uint8)
    pictures.save(pictures.grid(image), tmp_path / "samples.png")
    pictures.animation(image, tmp_path / "walk.gif")
    pictures.animation(image, tmp_path / "walk.webp")
    loaded = data.load(settings(tmp_path))
    assert all_names(loaded) == before
    assert line(loaded, "left out: folders that this program wrote (3)")
    assert line(loaded, "left out: 3 pictures that this program wrote")


def test_hidden_folders_are_left_out_and_counted(tmp_path):
    numbered(tmp_path, 12)
    for name in (".ipynb_checkpoints", ".thumbnails", ".Trash-1000/files", "__MACOSX", "below/.cache"):
        numbered(tmp_path / name, 3, start=50)
    write(tmp_path, "._000.png")
    loaded = data.load(settings(tmp_path))
    assert len(all_names(loaded)) == 12
    found = line(loaded, "left out: hidden folders and files (6)")
    assert ".ipynb_checkpoints" in found and "below/.cache" in found and "._000.png" in found


@pytest.mark.parametrize("ending", ["tif", "jfif", "jpe", "avif", "pcx", "tga", "ico", "ppm", "dib", "jp2", "qoi"])
def test_every_format_that_pillow_reads_arrives_whatever_its_ending(tmp_path, ending):
    write(tmp_path, *(f"{number}.{ending}" for number in range(6)), size=(16, 16))
    if ending not in ("tga", "pcx", "ppm"):  # Those have hardly a signature: their endings tell.
        for path in sorted(tmp_path.iterdir())[:3]:
            path.rename(path.with_suffix(""))
    loaded = data.load(settings(tmp_path, batch_size=1))
    assert len(all_names(loaded)) == 6
    shown = {tuple(image[5, 5]) for split in source.SPLITS for image in loaded.images(split)}
    wanted = [colour(number) for number in range(6)]
    assert max(min(np.abs(np.subtract(one, two, dtype=int)).max() for one in shown) for two in wanted) <= 4


def test_files_that_are_no_images_are_counted_by_ending(tmp_path):
    numbered(tmp_path, 12)
    for name in ("a.txt", "b.txt", "labels.csv", "README", "model.pb", "list.json", "a.npy"):
        (tmp_path / name).write_bytes(b"P6 or not, 12, 13\n" if name != "a.npy" else b"\x93NUMPY\1\0")
    loaded = data.load(settings(tmp_path))
    found = line(loaded, "left out: 7 files that no image is in")
    assert ".txt 2" in found and ".csv 1" in found and "no ending 1" in found
    assert len(all_names(loaded)) == 12


@pytest.mark.parametrize("cache_kind", ["memory", "none", "disk"])
def test_a_damaged_image_is_named_and_left_out_or_refused(tmp_path, cache_kind):
    numbered(tmp_path / "images", 12)
    whole = (tmp_path / "images" / "000.png").read_bytes()
    (tmp_path / "images" / "cut.png").write_bytes(whole[:50])
    (tmp_path / "images" / "text.png").write_bytes(b"This is no image, whatever its name says.\n")
    Image.new("RGB", (31, 31)).save(tmp_path / "images" / "large.png")
    chosen = settings(tmp_path / "images", cache=cache_kind, max_pixels=900)
    large = r"large.png \(expected at most 900 pixels, got more\)"
    words = rf"3 of 15 images cannot be decoded .*: cut.png \(.+\), {large}, text.png"
    with pytest.warns(UserWarning, match=words + "; they are"):
        loaded = data.load(chosen)
    assert len(all_names(loaded)) == 12
    with pytest.raises(config.UserError, match=words + ".$"):
        data.load(dataclasses.replace(chosen, strict=True))


def test_links_are_followed_once(tmp_path):
    numbered(tmp_path / "elsewhere", 6)
    numbered(tmp_path / "images", 6, start=10)
    images = tmp_path / "images"
    (images / "linked").symlink_to(tmp_path / "elsewhere")
    (images / "again").symlink_to(tmp_path / "elsewhere")
    (images / "loop").symlink_to(images)
    (images / "copy.png").symlink_to(images / "010.png")
    loaded = data.load(settings(images))
    assert all_names(loaded) == sorted(
        [f"again/{n:03d}.png" for n in range(6)] + [f"{n:03d}.png" for n in range(10, 16)]
    )
    assert "copy.png, linked, loop" in line(loaded, "left out: links to what is there already (3)")


def test_a_linked_sub_folder_arrives(tmp_path):
    numbered(tmp_path / "elsewhere", 20)
    numbered(tmp_path / "images", 40, start=40)
    (tmp_path / "images" / "more").symlink_to(tmp_path / "elsewhere")
    assert len(all_names(data.load(settings(tmp_path / "images")))) == 60


def test_copies_are_told_and_go_to_one_split(tmp_path):
    numbered(tmp_path, 40)
    for number in range(40):
        shutil.copy(tmp_path / f"{number:03d}.png", tmp_path / f"copy-{number:03d}.png")
    loaded = data.load(settings(tmp_path))
    digests = [set(loaded.digests(split)) for split in source.SPLITS]
    assert not (digests[0] & digests[1] or digests[0] & digests[2] or digests[1] & digests[2])
    assert (loaded.num_validation, loaded.num_test) == (8, 8)
    assert line(loaded, "40 images exactly like another")


def test_a_copy_in_official_splits_stays_in_the_held_out_one(tmp_path):
    numbered(tmp_path / "train", 12)
    numbered(tmp_path / "test", 4, start=20)
    shutil.copy(tmp_path / "test" / "020.png", tmp_path / "train" / "leak.png")
    loaded = data.load(settings(tmp_path))
    assert "train/leak.png" not in all_names(loaded) and loaded.num_test == 4
    assert line(loaded, "left out: 1 training image that a held-out split has too")


def test_images_without_a_difference_are_told_before_training(tmp_path):
    for number in range(40):  # White icons on transparency.
        icon = Image.new("RGBA", (20, 20), (255, 255, 255, 0))
        icon.paste((255, 255, 255, 255), (number % 10, number // 10, 14, 15))
        icon.save(tmp_path / f"{number}.png")
    loaded = data.load(settings(tmp_path, image_width=0, image_size=20))
    assert line(loaded, "all 40 images are alike and of one colour", "--background=black or --channels=4")
    for others in ({"background": "black"}, {"channels": 4}):
        assert not data.load(settings(tmp_path, image_width=0, image_size=20, **others)).report.advice
    for number in range(10):
        Image.new("RGB", (20, 20), colour(number)).save(tmp_path / f"blank-{number}.png")
    assert line(data.load(settings(tmp_path, background="black")), "10 of 50 images are of one colour")


def test_what_crop_cuts_off_is_said(tmp_path):
    for number in range(12):
        Image.effect_noise((400, 100), 50 + number).save(tmp_path / f"{number}.png")
    loaded = data.load(settings(tmp_path, image_width=0))
    assert line(loaded, "--fit=crop cuts off 75% of an image on average", "--fit=pad")
    assert not data.load(settings(tmp_path, image_width=0, fit="pad")).report.advice
    assert loaded.report.aspects == (4, 4, 4)


def test_masks_of_0_and_1_in_files_of_8_bits_are_told(tmp_path):
    for number in range(12):
        pixels = np.zeros((H, W), np.uint8)
        pixels[: 1 + number % 9, : 1 + number] = 1
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    assert line(data.load(settings(tmp_path)), "no image is brighter than 1 of 255; --white=1 spreads them")
    spread = data.load(settings(tmp_path, white="1"))
    assert set(np.unique(spread.images("train"))) == {0, 255} and not spread.report.advice


def test_scans_of_12_bits_keep_their_levels(tmp_path):
    random = np.random.default_rng(0)
    scans = random.integers(127, 2192, (12, H, W), dtype=np.uint16)
    scans[0, 0, :2] = 127, 2191
    for number, scan in enumerate(scans):
        Image.fromarray(scan).save(tmp_path / f"{number:02d}.{'png' if number % 2 else 'tif'}")
    loaded = data.load(settings(tmp_path, channels=1))
    expected = np.rint((scans - 127.0) * 255 / (2191 - 127)).astype(np.uint8)
    found = {name: image for split in source.SPLITS
             for name, image in zip(loaded.names[split], loaded.images(split), strict=True)}  # fmt: skip
    for number, name in enumerate(sorted(found)):
        np.testing.assert_array_equal(found[name][..., 0], expected[number])
    assert line(loaded, "values from 127 to 2,191", "--black and --white say otherwise")
    assert loaded.spec.deep_values == (127, 2191)
    clipped = data.load(settings(tmp_path, channels=1, black="0", white="4095"))
    assert clipped.report.levels[1] == round(2191 * 255 / 4095)
    other = data.load(settings(tmp_path, channels=1, cache="none"))
    np.testing.assert_array_equal(other.images("train"), loaded.images("train"))


def test_16_bits_of_full_range_are_as_a_viewer_shows_them(tmp_path):
    for number in range(12):
        Image.fromarray(np.full((H, W), 5000 * number + 1000, np.uint16)).save(tmp_path / f"{number:02d}.png")
    loaded = data.load(settings(tmp_path, channels=1))
    expected = sorted(round((5000 * number + 1000) / 65535 * 255) for number in range(12))
    assert sorted(int(image[0, 0, 0]) for split in source.SPLITS for image in loaded.images(split)) == expected
    assert not any("values from" in one for one in loaded.report.found)


# Names that folders and data sets share.


def cartoonset(folder, count=12):
    from tfvae.data.cartoonset import ATTRIBUTES

    folder.mkdir()
    for number in range(count):
        write(folder, f"cs{number:04d}.png", start=number)
        rows = "".join(f'"{name}", {number % variants}, {variants}\n' for name, variants in ATTRIBUTES.items())
        (folder / f"cs{number:04d}.csv").write_text(rows)


def test_a_folder_beside_a_built_in_data_set_is_told(tmp_path, monkeypatch, capsys):
    from tfvae.data import prepared, sources

    monkeypatch.chdir(tmp_path)
    numbered(tmp_path / "avatars", 12)
    monkeypatch.setattr(prepared, "avatars", lambda settings: folders.find(settings, "avatars"))
    sources.find(settings("avatars"))
    said = capsys.readouterr().out
    assert said == "--data=avatars is the data set that comes with tfvae; --data=./avatars takes the folder\n"
    assert len(all_names(data.load(settings("./avatars")))) == 12


@pytest.mark.parametrize("name", ["cartoonset10k", "./cartoonset10k", "./other"])
def test_an_unpacked_cartoon_set_is_recognised(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    cartoonset(tmp_path / pathlib.Path(name).name)
    loaded = data.load(settings(name, data_dir=str(tmp_path / "prepared")))
    assert line(loaded, "an unpacked Cartoon Set, with its 18 attributes")
    assert len(loaded.attribute_values) == 18
    for split in source.SPLITS:
        numbers = [int(one[2:6]) for one in loaded.names[split]]
        np.testing.assert_array_equal(loaded.attributes[split]["hair"], numbers)
    if name == "cartoonset10k":
        assert line(loaded, "the unpacked Cartoon Set in ./cartoonset10k is taken", "--archive=FILE.tgz")


# The cache.


def test_all_caches_give_the_same_images_and_the_same_report(tmp_path):
    numbered(tmp_path / "images", 20)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    loaded = [data.load(settings(tmp_path / "images", cache=kind)) for kind in ("memory", "disk", "none", "disk")]
    for other in loaded[1:]:
        assert other.report == loaded[0].report and other.names == loaded[0].names
        for split in source.SPLITS:
            np.testing.assert_array_equal(other.images(split), loaded[0].images(split))
            np.testing.assert_array_equal(other.digests(split), loaded[0].digests(split))
    np.testing.assert_array_equal(next(iter(loaded[1].training))[0].numpy(), next(iter(loaded[2].training))[0].numpy())


def test_the_cache_on_disk_is_reused_until_a_file_or_a_setting_changes(tmp_path, monkeypatch):
    numbered(tmp_path / "images", 40)
    on_disk = settings(tmp_path / "images", cache="disk")
    first = data.load(on_disk)

    def refuse(self):
        raise AssertionError("decoded again")

    run = decode_all._Decoding.run
    monkeypatch.setattr(decode_all._Decoding, "run", refuse)
    np.testing.assert_array_equal(data.load(on_disk).images("train"), first.images("train"))
    for others in ({"background": "black"}, {"resize_filter": "nearest"}, {"white": "9"}, {"max_pixels": 999}):
        with pytest.raises(AssertionError, match="decoded again"):
            data.load(dataclasses.replace(on_disk, **others))
    monkeypatch.setattr(decode_all._Decoding, "run", run)
    name = first.names["train"][0]
    Image.new("RGB", (W, H), (1, 2, 3)).save(tmp_path / "images" / name)
    third = data.load(on_disk)
    np.testing.assert_array_equal(third.images("train", [0])[0], np.full((H, W, 3), (1, 2, 3)))
    left = [path.name for path in (tmp_path / "images-prepared" / "tfvae_cache").iterdir()]
    assert left and not any("incomplete" in name for name in left)


def test_a_cache_that_was_stopped_leaves_nothing_that_would_be_believed(tmp_path, monkeypatch):
    numbered(tmp_path / "images", 12)

    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(decode_all._Decoding, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        data.load(settings(tmp_path / "images", cache="disk"))
    assert list((tmp_path / "images-prepared" / "tfvae_cache").iterdir()) == []


def test_a_cache_of_many_images_is_filled_by_several_threads(tmp_path):
    numbered(tmp_path, 300)
    loaded = data.load(settings(tmp_path))
    for split in source.SPLITS:
        for name, image in zip(loaded.names[split], loaded.images(split), strict=True):
            np.testing.assert_array_equal(image, np.full((H, W, 3), colour(int(name[:3]))))


# Mistakes.


def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    numbered(tmp_path / "few", 5)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no image")
    (tmp_path / "hidden" / ".git").mkdir(parents=True)
    cases = {
        "empty": "expected images in this folder, got none",
        "missing": "must be .* an existing folder.*missing",
        "few": "at least one batch of 4 training images, got 3",
        "texts": "expected images, got none: 1 file that no image is in: .txt 1",
        "hidden": r"got none; left out: hidden folders and files \(1\): .git",
    }
    for name, words in cases.items():
        with pytest.raises(config.UserError, match=words) as error:
            data.load(settings(tmp_path / name))
        assert "\n" not in str(error.value)
    (tmp_path / "broken").mkdir()
    for number in range(9):
        (tmp_path / "broken" / f"{number}.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match="cannot be decoded"):
        with pytest.raises(config.UserError, match="none that can be decoded"):
            data.load(settings(tmp_path / "broken"))
    with pytest.raises(config.UserError, match="--archive needs --data=cartoonset"):
        data.load(settings(tmp_path / "few", archive="x.tgz"))
    for others in ({"white": "bright"}, {"black": "1e999"}, {"black": "9", "white": "9"}):
        with pytest.raises(config.UserError, match="--(black|white) must be"):
            settings(tmp_path, **others)


def test_a_digest_is_that_of_its_parts_with_a_zero_byte_between():
    import hashlib

    expected = hashlib.sha256(b"a\x001\x00" + "ü".encode() + b"\x00\x80").hexdigest()[:32]
    assert source.digest(iter(["a", 1, "ü", os.fsdecode(b"\x80")])) == expected
    assert source.digest(["ab"]) != source.digest(["a", "b"])


def test_image_files_lists_what_may_be_images(tmp_path):
    numbered(tmp_path, 3)
    numbered(tmp_path / ".hidden", 3)
    (tmp_path / "notes.txt").write_text("no image")
    files.write(tmp_path / "noending", (tmp_path / "000.png").read_bytes())
    assert folders.image_files(tmp_path) == [str(tmp_path / n) for n in ("000.png", "001.png", "002.png", "noending")]
