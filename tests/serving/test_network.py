"""An export behind TensorFlow Serving's REST and gRPC interfaces: what curl, the client and docs/serving.md get.

The interfaces are those of `servers`, over the C++ runtime. Where tensorflow_model_server is on the PATH, the REST
tests run against that; or against TF_SERVING_URL, which has the version in the folder TF_SERVING_EXPORT as `avatars`.
"""

import base64
import dataclasses
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import servers
from PIL import Image
from session import LIBRARY, Refused, assert_same, example_inputs

from tfvae import client, commandline, config, data, remote, serving

DOCS = pathlib.Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="this TensorFlow comes without its C++ library")
only_colour = pytest.mark.parametrize("exported", ["colour"], indirect=True)


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def started(binary, base):
    """Starts TensorFlow Serving; returns (its process, URL) once it answers."""
    port = free_port()
    command = [binary, f"--rest_api_port={port}", f"--port={free_port()}", "--model_name=avatars"]
    process = subprocess.Popen([*command, f"--model_base_path={base}"])
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models/avatars", timeout=5).close()
            return process, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{binary} does not answer")


@pytest.fixture(scope="session")
def rest(exported, request):
    """(the `Served` of an export, the URL of a server that has it as `avatars`)."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        os.environ.pop(variable, None)
    if os.environ.get("TF_SERVING_URL"):
        yield serving.Served(os.environ["TF_SERVING_EXPORT"]), os.environ["TF_SERVING_URL"].rstrip("/")
        return
    binary = shutil.which("tensorflow_model_server")
    if binary:
        process, url = started(binary, exported.served.path.parent)
        yield exported.served, url
        process.terminate()
        process.wait()
        return
    server = servers.rest(servers.Model("avatars", 1, request.getfixturevalue("cpp")))
    yield exported.served, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def rpc(exported, cpp):
    """The address of a gRPC server that has the export as `avatars`."""
    pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")
    server, port = servers.rpc(servers.Model("avatars", 1, cpp))
    yield f"grpc://127.0.0.1:{port}"
    server.stop(0).wait()


def post(url, body, path="/v1/models/avatars:predict"):
    """Returns (status, answer) of a POST."""
    contents = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, contents), timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def as_json(array):
    if array.dtype != object:
        return array.tolist()
    return [{"b64": base64.b64encode(one).decode()} for one in array]


def as_array(value):
    if isinstance(value[0], dict):
        return np.array([base64.b64decode(one["b64"]) for one in value], object)
    return np.array(value, np.float32)


def test_every_signature_answers_in_rows_and_columns_as_it_does_in_process(rest):
    served, url = rest
    for name, arrays in example_inputs(served).items():
        expected = served.call(name, **arrays)
        columns = {key: as_json(value) for key, value in arrays.items()}
        status, answer = post(url, {"signature_name": name, "inputs": columns})
        assert status == 200, answer
        found = answer["outputs"] if len(expected) > 1 else {next(iter(expected)): answer["outputs"]}
        assert_same({key: as_array(value) for key, value in found.items()}, expected, served.image_shape, name)
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        status, answer = post(url, {"signature_name": name, "instances": rows})
        assert status == 200, answer
        rows = answer["predictions"]
        if len(expected) > 1:
            found = {key: as_array([row[key] for row in rows]) for key in expected}
        else:
            found = {next(iter(expected)): as_array(rows)}
        assert_same(found, expected, served.image_shape, name)
    images = example_inputs(served)["reconstruct"]["images"]
    named = post(url, {"instances": [{"images": image} for image in images.tolist()]})
    assert post(url, {"instances": images.tolist()}) == named and named[0] == 200


def test_mistakes_are_answered_by_400_and_404(rest):
    served, url = rest
    good = as_json(example_inputs(served)["reconstruct_bytes"]["image_bytes"])

    def files(*rows):
        return {"signature_name": "reconstruct_bytes", "instances": [{"image_bytes": row} for row in rows]}

    def b64(contents):
        return {"b64": base64.b64encode(contents).decode()}

    generate = {"signature_name": "generate_bytes"}
    for body, words in (
        (b"{", "JSON Parse error"),
        ([], "Is not object"),
        ({"signature_name": "draw", "instances": [1]}, 'Serving signature name: "draw" not found in signature def'),
        ({"signature_name": 3, "instances": [1]}, "must be a string value"),
        ({"signature_name": "generate"}, "Missing 'inputs' or 'instances' key"),
        (generate | {"instances": []}, "No values in"),
        (generate | {"instances": [{"seed": [0, 1]}]}, "keys must be equal to: seed,std"),
        (generate | {"instances": [{"seed": [0, 1.5], "std": 1}]}, "int32"),
        (generate | {"instances": [{"seed": [0, 1], "std": "much"}]}, "float"),
        (generate | {"instances": [{"seed": [0], "std": 1}]}, "not compatible with expected shape"),
        (generate | {"instances": [{"seed": [0, 1], "std": -1}]}, r"std\[0\]: expected a number from 0 to 1000"),
        (generate | {"inputs": {"std": [1]}}, "Missing named input: seed"),
        (files({"b64": "%"}), "base64"),
        (files(good[0], b64(b"")), r"image_bytes\[1]: expected a PNG or JPEG file, got none in 0 bytes"),
        (files(good[0], "text"), r"image_bytes\[1]: expected a PNG or JPEG file, got none in 4 bytes"),
        (files(good[0], b64(base64.b64decode(good[1]["b64"])[:90])), r"image_bytes\[1\]: expected a whole image"),
    ):
        status, answer = post(url, body)
        assert status == 400 and re.search(words, answer["error"]), (body, answer)
    for path, words in (
        ("/v1/models/other:predict", "Servable not found for request: Latest(other)"),
        ("/v1/models/avatars/versions/99:predict", "Servable not found for request: Specific(avatars, 99)"),
    ):
        status, answer = post(url, files(good[0]), path)
        assert status == 404 and words in answer["error"]
    status, answer = post(url, {}, "/v1/models/avatars:draw")
    assert status == 400 and "Malformed request: POST /v1/models/avatars:draw" in answer["error"]
    assert post(url, files(*good))[0] == 200  # It goes on.


def test_numbers_that_are_none_arrive_as_such_and_are_refused(rest):
    served, url = rest
    latents = np.full((1, served.latent_dim), np.nan).tolist()
    status, answer = post(
        url, {"signature_name": "decode", "instances": latents}
    )  # JSON's NaN, which the server takes.
    assert status == 400 and "latents[0]: expected finite numbers" in answer["error"]


def test_the_documentations_commands_run_as_they_stand(rest, tmp_path):
    served, url = rest
    (tmp_path / "saved_models").mkdir()
    (tmp_path / "saved_models" / "avatars").symlink_to(served.path.parent)
    text = (DOCS / "serving.md").read_text(encoding="utf-8").replace("http://localhost:8501", url)
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.S | re.M)
    script = "".join(block for block in blocks if "curl" in block or block.startswith("url="))
    assert script.count("curl") >= 10
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    images = np.stack([served.read(path) for path in served.test_images()[:2]])

    def shows(name, expected):
        with Image.open(tmp_path / name) as opened:
            assert opened.format == "PNG"
            pixels = np.asarray(opened).reshape(served.image_shape) / 255
        assert np.abs(pixels - expected).max() < 1.5 / 255, name

    shows("new.png", served.generate([[0, 1]], 0.8)[0][0])
    shows("reconstruction.png", served.reconstruct(images)[0])
    shows("middle.png", served.interpolate(images[:1], images[1:], [0.5])[0])
    shows("decoded.png", served.reconstruct(images)[0])

    def holds(name, key, expected):
        found = json.loads((tmp_path / name).read_text())[key]
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5, err_msg=name)

    means = served.encode(images).mean
    np.testing.assert_allclose(json.loads((tmp_path / "codes.json").read_text())["outputs"]["mean"], means, atol=1e-5)
    holds("decoded.json", "predictions", served.decode(means))
    holds("noise.json", "predictions", served.to_base(means))
    holds("latents_again.json", "predictions", means)
    holds("refined.json", "predictions", served.call("refine", latents=means)["latents"])
    holds("density.json", "predictions", served.sampler_log_prob(means))
    holds("prepared.json", "outputs", images[:1])
    for name in ("serving_default", "reconstruct"):
        holds(f"{name}.json", "outputs", served.reconstruct(images[:1]))
    holds("interpolate.json", "outputs", served.interpolate(images[:1], images[:1], [0.5]))
    np.testing.assert_allclose(
        json.loads((tmp_path / "encode.json").read_text())["outputs"]["mean"], means[:1], atol=1e-5
    )
    pair = served.log_prob(images[:1], means[:1])
    found = json.loads((tmp_path / "log_prob.json").read_text())["outputs"]
    np.testing.assert_allclose([found[key][0] for key in pair._fields], np.concatenate(pair), rtol=1e-4)
    assert len(json.loads((tmp_path / "generate.json").read_text())["predictions"][0]["latents"]) == served.latent_dim
    called = set(re.findall(r'"signature_name": "(\w+)"', script)) | {
        "serving_default",
        "reconstruct",
        "encode",
        "decode",
        "to_base",
        "refine",
        "sampler_log_prob",
    }
    assert called == set(example_inputs(served))


def test_the_documentations_python_and_client_commands_are_right(rest, tmp_path, monkeypatch):
    _, url = rest
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "serving.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    exec(compile(example.replace("http://localhost:8501", url), "serving.md", "exec"), {})
    with Image.open("new.png") as opened:
        assert opened.format == "PNG"
    lines = re.findall(r"^python -m tfvae\.client (.*)$", text, re.M)
    assert {line.split()[0] for line in lines} == {"generate", "reconstruct", "interpolate"}
    for line in lines:
        commandline.parse(config.ClientConfig, line.split())


def test_the_ready_files_name_what_the_server_knows():
    model_server_config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    from google.protobuf import text_format

    models = text_format.Parse(
        (DOCS / "serving" / "models.config").read_text(), model_server_config.ModelServerConfig()
    )
    (model,) = models.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("avatars", "/models/avatars", "tensorflow")
    # The messages of the other two files are not in the package.
    monitoring = (DOCS / "serving" / "monitoring.config").read_text()
    assert re.search(r"^prometheus_config \{\n  enable: true\n  path: \"/\S+\"\n\}$", monitoring, re.M)
    known = {"max_batch_size", "batch_timeout_micros", "num_batch_threads", "max_enqueued_batches"}
    batching = (DOCS / "serving" / "batching.config").read_text()
    assert set(re.findall(r"^(\w+) \{ value: \d+ \}$", batching, re.M)) == known


@pytest.fixture(params=["rest", "rpc"])
def command(request, exported, tmp_path, monkeypatch, capsys):
    """Returns a function that runs `python -m tfvae.client` against either interface and returns what it printed."""
    address = request.getfixturevalue(request.param)
    address = address[1] if request.param == "rest" else address
    monkeypatch.chdir(tmp_path)

    def run(*arguments, server=address):
        monkeypatch.setattr(sys, "argv", ["client", *map(str, arguments), f"--server={server}"])
        commandline.run(config.ClientConfig, client.main, (1, None))
        return capsys.readouterr().out

    return run


def pixels(path):
    with Image.open(path) as opened:
        assert opened.format == "PNG"
        return np.asarray(opened.convert("RGB")) / 255


def refused(command, *arguments, **options):
    """Returns the one line with which the command ends."""
    with pytest.raises(SystemExit) as error:
        command(*arguments, **options)
    line = error.value.code
    assert isinstance(line, str) and line.startswith("error: ") and "\n" not in line
    return line


@only_colour
def test_the_client_generates_reconstructs_and_walks(command, exported):
    served = exported.served
    assert "35 images from" in command("generate", "--num_images=35", "--seed=3", "--std=0.5", "--output=new")
    expected = served.generate(serving.seeds(3, 0, 35), 0.5)[0]
    assert np.abs(pixels("new/00034.png") - expected[34]).max() < 1.5 / 255
    files = served.test_images()[:3]
    images = np.stack([served.read(file) for file in files])
    command("reconstruct", *files, "--output=again")
    for number, expected in enumerate(served.reconstruct(images)):
        assert np.abs(pixels(f"again/0000{number}.png") - expected).max() < 1.5 / 255
    command("interpolate", *files[:2], "--steps=4", "--output=walk")
    for number, expected in enumerate(served.walk(images[0], images[1], 4)):
        assert np.abs(pixels(f"walk/0000{number}.png") - expected).max() < 1.5 / 255
    command("generate", "--num_images=2", "--version=1")
    assert pixels("samples.png").shape[1] > 20


@only_colour
def test_the_clients_mistakes_are_one_line(command, exported, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    good = exported.served.test_images()[0]
    for arguments, words in (
        (["draw"], "Expected one of generate, reconstruct, interpolate, got 'draw'."),
        (["reconstruct"], "Expected 1 or more files for reconstruct, got 0."),
        (["interpolate", good], "Expected 2 files for interpolate, got 1."),
        (["reconstruct", "missing.png"], "missing.png: no such file"),
        (["generate", "--output=full"], "full is not empty"),
        (["generate", "--num_images=0"], "--num_images must be at least 1"),
        (["generate", "--timeout=0"], "--timeout must be above 0"),
        (["generate", "--name=other"], "Servable not found for request: Latest(other)"),
        (["generate", "--version=9"], "Servable not found for request: Specific(avatars, 9)"),
    ):
        assert words in refused(command, *arguments)
    assert "error: notes.txt: expected an image file" in refused(command, "reconstruct", good, "notes.txt")
    (tmp_path / "half.png").write_bytes(good.read_bytes()[:90])
    line = refused(command, "reconstruct", good, "half.png")
    assert line.startswith("error: half.png: ") and "image_bytes[1]: expected a whole image" in line
    assert "must be http://HOST:PORT" in refused(command, "generate", server="localhost:8501")
    assert not (tmp_path / "samples.png").exists()


@only_colour
def test_a_server_that_is_not_there_or_slow_is_one_line(command):
    port = free_port()
    assert "cannot be reached" in refused(command, "generate", server=f"http://127.0.0.1:{port}")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "no answer within --timeout=0.2 seconds" in refused(command, "generate", "--timeout=0.2", server=address)
    line = refused(command, "generate", "--timeout=2", server=f"grpc://127.0.0.1:{port}")
    assert "UNAVAILABLE" in line or "no answer within" in line


@only_colour
def test_any_signature_can_be_called_and_numbers_come_back(exported, rest, rpc):
    inputs = example_inputs(exported.served)["encode"]
    expected = exported.served.encode(inputs["images"]).mean
    for server in (rest[1], rpc):
        means = remote.connect(server, "avatars").call("encode", "mean", images=inputs["images"].tolist())
        np.testing.assert_allclose(means, expected, atol=1e-5, rtol=1e-5)
        with pytest.raises(config.UserError, match="signature"):
            remote.connect(server, "avatars").call("draw", "images", seed=[[0, 0]])


def test_values_that_fit_no_signature_are_refused_before_they_are_sent():
    rpc = pytest.importorskip("tfvae.remote.rpc")
    assert rpc._array("std", [1]).dtype == np.float32 and rpc._array("image_bytes", [b"a\0"]).tolist() == [b"a\0"]
    for name, value in (("seed", [[0, 2**40]]), ("seed", np.array([[0, 2**40]])), ("std", ["a"])):
        with pytest.raises(config.UserError, match=f"^{name}: "):
            rpc._array(name, value)


@pytest.mark.parametrize("answer", [[[1, 2]], [b"hello"], [], [b"\x89PNG\r\n\x1a\n"] * 2])
def test_the_client_takes_nothing_but_the_pictures_it_asked_for(answer):
    class Server:
        def call(self, *_, **__):
            return answer

    with pytest.raises(config.UserError, match="--server: expected 1 PNG files from generate_bytes"):
        client._ask(Server(), "generate_bytes", "image_bytes", seed=[[0, 1]], std=[1.0])


def test_grpc_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(config.UserError, match=r"pip install 'tfvae\[serving\]'"):
        remote.connect("grpc://127.0.0.1:1", "avatars")


@only_colour
def test_rest_needs_no_tensorflow(rest, tmp_path):
    code = """if True:
        import runpy, sys
        sys.modules["tensorflow"] = sys.modules["keras"] = None
        sys.argv = ["client", *sys.argv[1:]]
        runpy.run_module("tfvae.client", run_name="__main__", alter_sys=True)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.bmp")
    child = subprocess.run(
        [sys.executable, "-c", code, "reconstruct", "red.bmp", f"--server={rest[1]}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert child.returncode == 0, child.stderr
    assert pixels(tmp_path / "reconstructions.png").size


@only_colour
def test_what_an_export_prepares_is_what_the_training_sees(exported, cpp, tmp_path):
    """One folder of images of many kinds, through the training's pipeline and through the graph in the C++ runtime."""
    random = np.random.default_rng(0)
    modes = {"rgb.png": "RGB", "rgba.png": "RGBA", "grey.png": "L", "photo.jpg": "RGB", "flat.bmp": "RGB"}
    modes |= {"some.gif": "P", "alpha.webp": "RGBA", "wide.webp": "RGB", "palette.png": "P"}
    modes |= {"grey.jpg": "L", "grey-alpha.png": "LA", "bilevel.png": "1", "cmyk.jpg": "CMYK"}
    for name, mode in modes.items():
        size = (random.integers(5, 90), random.integers(5, 90), 4)
        image = Image.fromarray(random.integers(0, 256, size, dtype=np.uint8))
        (image if mode == "RGBA" else image.convert("RGB").convert(mode)).save(tmp_path / name)
    height, width, channels = exported.vae.image_shape
    settings = dataclasses.replace(
        exported.settings, data=str(tmp_path), image_size=height, image_width=width, channels=channels, batch_size=1
    )
    loaded = data.load(settings)
    count = 0
    for split in ("train", "validation", "test"):
        for name, kept in zip(loaded.names[split], loaded.images(split), strict=True):
            contents, read = np.array([(tmp_path / name).read_bytes()], object), exported.served.read(tmp_path / name)
            if name.endswith((".png", ".jpg")):
                prepared = cpp.run("prepare_bytes", {"image_bytes": contents})["images"][0]
                off = np.abs(255 * prepared - kept)
                assert off.mean() <= 1 and off.max() <= 3.01 and np.abs(read - prepared).max() < 1e-6, name
            else:
                with pytest.raises(Refused, match="expected a PNG or JPEG file"):
                    cpp.run("prepare_bytes", {"image_bytes": contents})
                np.testing.assert_array_equal(read, kept / np.float32(255))
            count += 1
    assert count == len(modes)
