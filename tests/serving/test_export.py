"""What an export consists of, and that it is there whole or not at all."""

import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfvae import commandline, config, serving
from tfvae.data import preprocessing
from tfvae.serving import card, image_preprocessing, warmup


def saved_model(exported):
    return saved_model_pb2.SavedModel.FromString((exported.served.path / "saved_model.pb").read_bytes())


def extras(exported):
    return exported.served.path / "assets.extra"


def test_the_signatures_are_those_of_the_contract(exported):
    (graph,) = saved_model(exported).meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]
    named = {
        name: (set(signature.inputs), set(signature.outputs))
        for name, signature in graph.signature_def.items()
        if not name.startswith("__")
    }
    ends = {"images_a", "images_b", "weight"}
    assert named == {
        "serving_default": ({"images"}, {"reconstructions"}),
        "reconstruct": ({"images"}, {"reconstructions"}),
        "reconstruct_bytes": ({"image_bytes"}, {"reconstruction_bytes"}),
        "encode": ({"images"}, {"mean", "log_variance"}),
        "encode_bytes": ({"image_bytes"}, {"mean", "log_variance"}),
        "decode": ({"latents"}, {"images"}),
        "decode_bytes": ({"latents"}, {"image_bytes"}),
        "generate": ({"seed", "std"}, {"images", "latents"}),
        "generate_bytes": ({"seed", "std"}, {"image_bytes", "latents"}),
        "interpolate": (ends, {"images"}),
        "interpolate_bytes": ({"image_bytes_a", "image_bytes_b", "weight"}, {"image_bytes"}),
        "to_base": ({"latents"}, {"noise"}),
        "from_base": ({"noise"}, {"latents"}),
        "refine": ({"latents"}, {"latents"}),
        "sampler_log_prob": ({"latents"}, {"log_prob"}),
        "prepare_bytes": ({"image_bytes"}, {"images"}),
        "log_prob": ({"images", "latents"}, {"log_likelihood", "log_prior", "squared_error"}),
    }


def test_every_axis_but_the_first_is_fixed(exported):
    height, width, channels = exported.vae.image_shape
    sizes = {
        "images": [height, width, channels],
        "latents": [4],
        "noise": [4],
        "mean": [4],
        "log_variance": [4],
        "seed": [2],
    }
    sizes |= {key: sizes["images"] for key in ("images_a", "images_b", "reconstructions")}
    described = json.loads((extras(exported) / "signatures.json").read_text())["signatures"]
    for signature in described.values():
        for key, spec in (*signature["inputs"].items(), *signature["outputs"].items()):
            assert spec["shape"] == [None, *sizes.get(key, [])]
            assert spec["dtype"] == ("string" if "_bytes" in key else "int32" if key == "seed" else "float32")


def test_nothing_in_it_needs_xla_python_or_keeps_a_random_state(exported):
    (graph,) = saved_model(exported).meta_graphs
    functions = graph.graph_def.library.function
    assert functions
    for function in functions:
        compiled = function.attr.get("_XlaMustCompile")
        assert compiled is None or not compiled.b, function.signature.name
        for node in function.node_def:
            assert not node.attr["_XlaMustCompile"].b
            assert node.op not in ("PyFunc", "EagerPyFunc", "PyFuncStateless", "RandomStandardNormal", "RandomUniform")


def test_it_holds_the_weights_once(exported):
    stored = sum(path.stat().st_size for path in (exported.served.path / "variables").iterdir())
    weights = sum(4 * np.prod(weight.shape) for weight in exported.vae.trainable_variables)
    assert exported.vae.averages and stored < 1.1 * weights + 20_000


def test_beside_it_is_what_its_users_need(exported):
    text = (extras(exported) / "model_card.md").read_text()
    height, width, channels = exported.vae.image_shape
    for word in (f"{height} x {width} x {channels}", "`generate_bytes`", exported.settings.network, "`avatars`"):
        assert word in text
    recorded = commandline.read_flagfile(config.TrainConfig, extras(exported) / "flags.cfg")
    assert recorded == exported.settings
    contents = json.loads((extras(exported) / "signatures.json").read_text())
    assert contents["image_shape"] == list(exported.vae.image_shape) and contents["latent_dim"] == 4
    assert contents["max_pixels"] == min(exported.settings.max_pixels, image_preprocessing.SERVED_PIXELS)
    spec = preprocessing.spec_of(exported.settings, exported.vae.image_shape, image_preprocessing.DEEP)
    assert image_preprocessing.described_spec(contents) == spec
    assert len(exported.served.test_images()) == 16


def test_warm_up_requests_ask_every_signature_and_are_answered(exported):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = tf.data.TFRecordDataset(str(extras(exported) / "tf_serving_warmup_requests"))
    requests = [logs.PredictionLog.FromString(record.numpy()).predict_log.request for record in records]
    described = json.loads((extras(exported) / "signatures.json").read_text())["signatures"]
    assert [request.model_spec.signature_name for request in requests] == list(described)
    for request in requests:
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        for value in exported.served.call(request.model_spec.signature_name, **inputs).values():
            assert len(value) == 1


@pytest.fixture
def quick(monkeypatch):
    """Exports in no time: the SavedModel is one small file, for what is tested here is where it goes."""

    def write(functions, folder):
        (folder / "saved_model.pb").write_text("model")
        return {}

    monkeypatch.setattr(sys.modules["tfvae.serving.export"], "_write_saved_model", write)
    monkeypatch.setattr(warmup, "write", lambda *_: True)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def export(exported, base):
    return serving.export(exported.vae, exported.settings, base, exported.test_images)


def test_versions_count_up_and_old_ones_stay_as_they_are(exported, quick, tmp_path):
    base = tmp_path / "models" / "faces"
    assert export(exported, base) == base / "1"
    (base / "1" / "saved_model.pb").write_text("mine")
    (base / "9").mkdir()
    (base / "notes").mkdir()
    before = contents(base / "1")
    assert export(exported, base) == base / "10"
    assert contents(base / "1") == before
    assert sorted(path.name for path in base.iterdir()) == ["1", "10", "9", "notes"]
    assert base.joinpath("10").stat().st_mode & 0o777 == base.stat().st_mode & 0o777  # A server may be another user.


def test_the_digests_of_the_training_images_travel_with_it(exported, quick, tmp_path):
    digests = np.array([2**64 - 1, 5, 7], np.uint64)
    version = serving.export(exported.vae, exported.settings, tmp_path, exported.test_images, digests=digests)
    np.testing.assert_array_equal(np.load(version / "assets.extra" / "training_digests.npy"), digests)


def export_keeping(exported, base, keep):
    return serving.export(exported.vae, exported.settings, base, exported.test_images, keep_versions=keep)


def test_keep_versions_deletes_the_oldest_versions_and_nothing_else(exported, quick, tmp_path):
    base, other = tmp_path / "faces", tmp_path / "elsewhere"
    for number in (1, 2, 3):
        assert export(exported, base) == base / str(number)
    (base / "0").mkdir()  # A number, but no version.
    (base / "0" / "notes.txt").write_text("mine")
    (base / "notes").mkdir()
    (base / ".tfvae-writing-1").mkdir()  # An export that another process writes.
    export(exported, other)
    (base / "4").symlink_to(other / "1")
    assert export_keeping(exported, base, 2) == base / "5"
    assert sorted(path.name for path in base.iterdir()) == [".tfvae-writing-1", "0", "3", "4", "5", "notes"]
    assert (base / "0" / "notes.txt").read_text() == "mine" and (other / "1" / "saved_model.pb").is_file()
    assert export_keeping(exported, base, 9) == base / "6"
    assert {"3", "5"} <= {path.name for path in base.iterdir()}
    assert export_keeping(exported, base, 1) == base / "7"
    assert sorted(path.name for path in base.iterdir()) == [".tfvae-writing-1", "0", "4", "7", "notes"]


def test_old_versions_go_only_once_the_new_one_is_there(exported, quick, tmp_path, monkeypatch):
    first = export(exported, tmp_path)

    def fail(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(card, "text", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        export_keeping(exported, tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == [first.name] and (first / "saved_model.pb").is_file()


def test_a_version_that_cannot_be_deleted_is_named_and_the_new_one_stays(
    exported, quick, tmp_path, monkeypatch, capsys
):
    export(exported, tmp_path)
    remove = shutil.rmtree

    def fail(path, ignore_errors=False):
        if "deleting" in str(path):
            raise PermissionError(13, "Permission denied")
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", fail)
    assert export_keeping(exported, tmp_path, 1) == tmp_path / "2"
    assert "--keep_versions: cannot delete" in capsys.readouterr().out


def test_an_export_that_fails_leaves_nothing(exported, quick, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(card, "text", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        export(exported, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_clear_line(exported, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(config.UserError, match="--export_dir: cannot write .*file/faces: Not a directory"):
        export(exported, tmp_path / "file" / "faces")


def test_without_tensorflow_serving_it_says_so(exported, quick, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(warmup, "write", lambda *_: False)
    export(exported, tmp_path)
    assert "tensorflow-serving-api" in capsys.readouterr().out
