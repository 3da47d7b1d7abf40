"""What happens beside the steps of a training: records, checkpoints, averaged validation, pictures, a clean end."""

import contextlib
import gc
import json
import signal
import sys
import threading
import time

import keras
import numpy as np
import tensorflow as tf

from tfvae import config, files, noise, pictures
from tfvae.serving.paths import Maps, walked
from tfvae.training import checkpoints, failures

RECONSTRUCTIONS, SAMPLES, WALK, SAMPLE_STD = 15, 60, 11, 0.8
_MOST_SHOWN = 64  # Images of the first batch.


class Interrupted(Exception):
    """Ctrl-C or SIGTERM came, and a checkpoint was written."""


class Progress(keras.callbacks.Callback):
    """Knows the step, records each batch's loss, writes checkpoints, and ends the run where it has to end.

    Args:
        folder: The run folder.
        step: Steps taken before this training began.
        steps_per_epoch: Of the whole run.
        minutes: A checkpoint at least this often.
    """

    def __init__(self, folder, step, steps_per_epoch, minutes):
        super().__init__()
        self.step, self._steps_per_epoch, self._seconds = step, steps_per_epoch, 60 * minutes
        self._checkpoints, self._path = folder / "checkpoints", folder / "loss_per_batch.csv"
        self._signal = None
        self._saved_at = time.monotonic()
        self.losses = _read_losses(self._path, step)
        if step and not np.isfinite(self.losses).all():
            print(
                f"{self._path} is damaged: it lacks {np.isnan(self.losses).sum():,} of the losses of {step:,} steps; "
                "the training goes on without them.",
                file=sys.stderr,
            )
        self._written = 0  # The first writing rewrites the file: what a lost step recorded is gone from it.

    def __enter__(self):
        """Takes over Ctrl-C and SIGTERM, so that both end the run after the steps in hand and a checkpoint."""
        # Only the main thread may: elsewhere both signals do what they always do.
        ours = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        self._handlers = {number: signal.signal(number, self._interrupt) for number in ours}
        return self

    def __exit__(self, error, *_):
        if error is not None and sys.stdout.isatty():
            print(flush=True)  # Ends the line of the progress bar.
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _interrupt(self, number, _):
        if self._signal is not None:
            raise KeyboardInterrupt  # The second time, at once.
        self._signal = number
        print(
            "\nstopping after the steps in hand, with a checkpoint; once more to stop at once",
            file=sys.stderr,
            flush=True,
        )

    def on_train_batch_end(self, batch, logs=None):
        # Several steps may have run at once.
        recent = self.model.recent_losses.numpy()
        for step in range(self.step, int(self.model.optimizer.iterations.numpy())):
            loss = float(recent[step % len(recent)])
            if not np.isfinite(loss):
                raise config.UserError(
                    f"The loss is {loss} at step {step + 1} (epoch {step // self._steps_per_epoch + 1}); "
                    "any checkpoint before it is kept. Try a lower --lr."
                )
            self.losses.append(loss)
        self.step = len(self.losses)
        if self.step % self._steps_per_epoch == 0:
            return  # The epoch's validation and records come first: `on_epoch_end` goes on from here.
        if self._signal is not None or time.monotonic() - self._saved_at > self._seconds:
            self.save()
        if self._signal is not None:
            raise Interrupted(self._signal)

    def on_epoch_end(self, epoch, logs=None):
        self.save()
        if self._signal is not None:
            raise Interrupted(self._signal)

    def save(self):
        """Writes the losses so far, then a checkpoint: one never lacks the losses that led to it."""
        text = "".join(f"{step},{loss}\n" for step, loss in enumerate(self.losses[self._written :], self._written + 1))
        if self._written:
            files.append(self._path, text)
        else:
            files.write(self._path, "step,loss\n" + text)
        self._written = len(self.losses)
        checkpoints.save(self.model, self._checkpoints, self.step)
        self._saved_at = time.monotonic()


def _read_losses(path, steps):
    """Returns the recorded loss of each of `steps` batches, nats per image, as a list; nan where none is recorded."""
    losses = [float("nan")] * steps
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
            step, _, loss = line.partition(",")
            if step.isdecimal() and 1 <= int(step[:20]) <= steps:  # Not of a later step.
                with contextlib.suppress(ValueError):  # Cut short.
                    losses[int(step) - 1] = float(loss)
    return losses


def _validation_loss(line):
    """Returns the validation loss of a line of `metrics.jsonl`; nan where the line is damaged."""
    try:
        return float(json.loads(line)["val_loss"])
    except (ValueError, TypeError, KeyError):
        return float("nan")


class RestoredMetrics(keras.callbacks.Callback):
    """Puts back the running means of an epoch that is resumed in its middle: `fit` has reset them."""

    def __init__(self, values):
        super().__init__()
        self._values = values

    def on_epoch_begin(self, epoch, logs=None):
        variables = [variable for tracker in self.model.metrics for variable in tracker.variables]
        for variable, value in zip(variables, self._values, strict=True):
            variable.assign(value)


class AveragedValidation(keras.callbacks.Callback):
    """Validates with the averaged weights, those that are exported."""

    def on_test_begin(self, logs=None):
        self._averaged = self.model.averaged_weights()
        self._averaged.__enter__()

    def on_test_end(self, logs=None):
        self._averaged.__exit__()


class Records(keras.callbacks.Callback):
    """Writes `metrics.jsonl`, TensorBoard logs, the learning curve and, after each epoch, pictures.

    Args:
        folder: The run folder.
        images: Validation images [n, H, W, C] float32: reconstructed; the walk goes from the first to the last.
        progress: The `Progress` of this training.
        epoch: The epoch that this training begins in; records of it and of later ones are dropped.
        steps_per_epoch: Of the whole run.
        settings: The `config.TrainConfig`, whose `way` the walk follows; it and the samples are of the prior.
    """

    def __init__(self, folder, images, progress, epoch, steps_per_epoch, settings):
        super().__init__()
        self._settings = settings
        self._folder, self._images, self._progress, self._steps_per_epoch = folder, images, progress, steps_per_epoch
        self._metrics = folder / "metrics.jsonl"
        text = self._metrics.read_text(encoding="utf-8", errors="replace") if self._metrics.exists() else ""
        lines = text.splitlines()
        files.write(self._metrics, "".join(f"{line}\n" for line in lines[:epoch]))
        self._validation = [_validation_loss(line) for line in lines[:epoch]]
        whole = int(np.isfinite(self._validation).sum())
        if whole < epoch:
            print(
                f"{self._metrics} is damaged: it has whole lines of {whole} of the {epoch} epochs before this; the "
                "training goes on without the others.",
                file=sys.stderr,
            )
        self._board, self._told = None, set()

    def draw_first_batch(self, images):
        """Draws what the model sees first, [B, H, W, C] in [0, 1], before an hour is spent on it."""
        with self._going_on("pictures cannot be drawn"):
            (self._folder / "pictures").mkdir(exist_ok=True)
            pictures.save(pictures.grid(images[:_MOST_SHOWN]), self._folder / "pictures" / "first_batch.png")

    def on_epoch_begin(self, epoch, logs=None):
        self._began, self._first_step = time.monotonic(), self._progress.step

    def on_epoch_end(self, epoch, logs=None):
        speed = (self._progress.step - self._first_step) / (time.monotonic() - self._began)
        rate = float(self.model.optimizer.learning_rate)
        record = {"epoch": epoch + 1, "step": self._progress.step, "learning_rate": rate}
        record |= {name: float(value) for name, value in (logs or {}).items()}
        files.append(self._metrics, json.dumps(record) + "\n")
        self._validation.append(record["val_loss"])
        drawn = {}
        with self._going_on("pictures cannot be drawn"):
            drawn |= self._draw()
            (self._folder / "pictures").mkdir(exist_ok=True)
            for name, picture in drawn.items():
                pictures.save(picture, self._folder / "pictures" / f"epoch_{epoch + 1:04d}_{name}.png")
        with self._going_on("TensorBoard's records cannot be written"):
            self._write_board(epoch + 1, record | {"steps_per_second": speed}, drawn)
        with self._going_on("the learning curve cannot be drawn"):
            path = self._folder / "learning_curve.png"
            pictures.learning_curve(self._progress.losses, path, self._validation, self._steps_per_epoch)
        # Matplotlib's figures refer to themselves, and Python frees such things so seldom that a training would grow by
        # 4 MB an epoch.
        gc.collect()

    @contextlib.contextmanager
    def _going_on(self, words):
        """Makes whatever fails within the block one line, said once: no training ends for want of a picture."""
        try:
            yield
        except Exception as error:
            if words not in self._told:
                self._told.add(words)
                print(f"{self._folder}: {words} ({failures.in_short(error)}); training goes on.", file=sys.stderr)

    def _write_board(self, epoch, scalars, drawn):
        if self._board is None:
            self._board = tf.summary.create_file_writer(str(self._folder / "tensorboard"))
        with self._board.as_default(step=epoch):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
            for name, picture in drawn.items():
                tf.summary.image(name, picture[np.newaxis])
        self._board.flush()

    def _draw(self):
        """Returns the epoch's pictures by name, of the averaged weights."""
        with self.model.averaged_weights():
            reconstructions, samples, walk = (images.numpy() for images in self._decoded())
        drawn = {"reconstructions": pictures.rows([self._images, reconstructions]), "samples": pictures.grid(samples)}
        return drawn | ({"walk": pictures.rows([walk])} if len(self._images) > 1 else {})

    @tf.function  # Traced once: op by op, the pictures of an epoch of few images would take longer than its steps.
    def _decoded(self):
        """Returns reconstructions [n, H, W, C], samples [SAMPLES, H, W, C] and a walk [WALK, H, W, C]."""
        vae = self.model
        means = vae.encode(self._images).mean
        samples = vae.prior.from_base(
            SAMPLE_STD * noise.normal([[vae.seed, n] for n in range(SAMPLES)], vae.latent_dim)
        )
        reconstructions = vae.decode(means)
        maps = Maps(lambda images: vae.encode(images).mean, vae.decode, vae.prior.to_base, vae.prior.from_base)
        between = vae.decode(walked(means[:1], means[-1:], tf.linspace(0.0, 1.0, WALK)[1:-1], self._settings.way, maps))
        walk = tf.concat([reconstructions[:1], between, reconstructions[-1:]], axis=0)
        return reconstructions, vae.decode(samples), walk
