import dataclasses

import pytest

from tfvae import commandline, config

COMMANDS = [
    config.TrainConfig,
    config.GenerateConfig,
    config.ReconstructConfig,
    config.InterpolateConfig,
    config.EvaluateConfig,
    config.ExportConfig,
    config.ClientConfig,
]


@pytest.mark.parametrize("settings_class", COMMANDS)
def test_flagfile_text_reads_back_to_the_same_settings(settings_class, tmp_path):
    settings = settings_class()
    (tmp_path / "flags.cfg").write_text(commandline.flagfile(settings))
    assert commandline.read_flagfile(settings_class, tmp_path / "flags.cfg") == settings


def test_help_says_the_bounds_of_each_number():
    said = commandline._help(config.TrainConfig, "")
    assert "--epochs=50\n      Passes over the training images. At least 1, at most 1,000,000.\n" in said
    assert "Above 0.0, at most 10.0." in said


def test_every_bound_is_held_and_named():
    for settings_class in COMMANDS:
        for field in dataclasses.fields(settings_class):
            bounds = field.metadata
            wrong = [] if bounds["at_least"] is None else [bounds["at_least"] - 1]
            wrong += [] if bounds["at_most"] is None else [bounds["at_most"] + 1]
            wrong += [] if bounds["above"] is None else [bounds["above"]]
            wrong += [] if bounds["choices"] is None else ["nonsense" if type(field.default) is str else 2]
            for value in wrong:
                with pytest.raises(config.UserError, match=f"--{field.name} must .* got {value!r}"):
                    settings_class(**{field.name: type(field.default)(value)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image_size=4"], "--image_size must be at least 8, got 4."),
        (["--lr=nan"], "--lr must be a finite number, got nan."),
        (["--epochs=many"], "--epochs must be a whole number, got 'many'."),
        (["--epoch=3"], "Unknown command line flag 'epoch'"),
        (["--beta=4"], "--beta needs --objective=beta, got --objective=elbo."),
        (["--sigma=0.1"], "--sigma needs --likelihood=gaussian_fixed"),
        (["--sigmas=channels", "--likelihood=logistic"], "--sigmas needs --likelihood=gaussian or gaussian_optimal"),
        (["--logistics=3"], "--logistics needs --likelihood=logistic_mixture, got --likelihood=gaussian."),
        (["--components=3"], "--components needs --prior=mixture, got --prior=flow."),
        (["--background=nocolour"], "--background must be a colour's name or #rrggbb, got 'nocolour'."),
        (["--name=../elsewhere"], "--name must be letters"),
        (["--max_pixels=0"], "--max_pixels must be at least 1, got 0."),
        (["--flagfile=nowhere.cfg"], "nowhere.cfg"),
    ],
)
def test_mistakes_are_one_line_and_status_one(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tfvae", *arguments])
    with pytest.raises(SystemExit) as stopped:
        commandline.run(config.TrainConfig, lambda settings, files: None)
    assert message in stopped.value.code and "\n" not in stopped.value.code


def test_names_come_from_the_data():
    names = {
        "avatars": "avatars",
        "avatars/toon-head": "avatars-toon-head",
        "tfds:mnist/3.0.1": "mnist-3.0.1",
        "some where/My Photos": "My-Photos",
        "x/mnist.npz": "mnist",
    }
    assert {data: config.TrainConfig(data=data).run_name for data in names} == names


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.TrainConfig().lr = 1.0
