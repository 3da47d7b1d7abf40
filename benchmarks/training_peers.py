"""The trainings of PyTorch that `training.py` times: our default network in plain PyTorch, and in pythae.

Layers, sizes and objective are those of `tfvae.model.networks.residual` with the flow prior and averaged weights;
pythae trains the same encoder and decoder with its own objective, N(0, I) prior and trainer.
"""

import contextlib
import os
import sys
import tempfile

import torch
import training_worker
from torch import nn
from torch.nn import functional

GAIN, LATENT_DIM, WIDTH, WIDE, UNITS, SIZE = 5.0, 64, 64, 96, 256, 60


class Conv(nn.Conv2d):
    def __init__(self, inputs, outputs, size=3):
        super().__init__(inputs, outputs, size, padding=size // 2)
        self.weight.data /= GAIN
        self.bias.data.zero_()

    def forward(self, x):
        return GAIN * super().forward(x)


class Dense(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.weight.data /= GAIN
        self.bias.data.zero_()

    def forward(self, x):
        return GAIN * super().forward(x)


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first, self.second = Conv(channels, channels), Conv(channels, channels)

    def forward(self, x):
        return x + self.second(functional.silu(self.first(functional.silu(x))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.block = Conv(48, WIDTH), Conv(4 * WIDTH, WIDE, 1), Block(WIDE)
        self.third, self.fourth = Conv(4 * WIDE, WIDTH, 1), Dense(16 * WIDTH, UNITS)
        self.last = Dense(UNITS, 2 * LATENT_DIM)

    def forward(self, images):
        x = self.first(functional.pixel_unshuffle(images - 0.5, 4))
        x = torch.cat([x, x[:, :, -1:]], 2)  # 15 x 15 to 16 x 16: the edge is repeated.
        x = torch.cat([x, x[:, :, :, -1:]], 3)
        x = self.block(self.second(functional.pixel_unshuffle(x, 2)))
        x = functional.silu(self.third(functional.pixel_unshuffle(x, 2)))
        return self.last(functional.silu(self.fourth(x.flatten(1)))).chunk(2, 1)


class Decoder(nn.Module):
    def __init__(self, memory_format=torch.contiguous_format):
        super().__init__()
        self.memory_format = memory_format
        self.mapping = nn.Sequential(
            Dense(LATENT_DIM, UNITS), nn.SiLU(), Dense(UNITS, UNITS), nn.SiLU(), Dense(UNITS, 16 * WIDTH), nn.SiLU()
        )
        self.second, self.block = Conv(WIDTH, 4 * WIDE, 1), Block(WIDE)
        self.third, self.blocks = Conv(WIDE, 4 * WIDTH, 1), nn.Sequential(Block(WIDTH), Block(WIDTH))
        self.last = Conv(WIDTH, 48)

    def forward(self, latents):
        x = self.mapping(latents).unflatten(1, (WIDTH, 4, 4)).contiguous(memory_format=self.memory_format)
        x = self.block(functional.pixel_shuffle(self.second(x), 2))
        x = functional.pixel_shuffle(self.third(x), 2)[:, :, :15, :15]
        return functional.pixel_shuffle(0.5 + self.last(functional.silu(self.blocks(x))), 4)


class VAE(nn.Module):
    """The loss, in nats per image, of images [B, 3, 60, 60]."""

    def __init__(self, memory_format):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder(memory_format)
        self.scaled_log_sigma = nn.Parameter(torch.zeros(()))
        half = LATENT_DIM // 2
        self.couplings = nn.ModuleList(
            nn.Sequential(Dense(half, 128), nn.SiLU(), Dense(128, 128), nn.SiLU(), Dense(128, LATENT_DIM))
            for _ in range(8)
        )
        self.orders = [torch.randperm(LATENT_DIM) for _ in self.couplings]

    def forward(self, images, noise):
        mean, log_variance = self.encoder(images)
        latents = mean + torch.exp(0.5 * log_variance) * noise
        log_sigma = 30 * self.scaled_log_sigma
        errors = (images - self.decoder(latents)).square().sum((1, 2, 3))
        distortion = 0.5 * errors * torch.exp(-2 * log_sigma) + images[0].numel() * (log_sigma + 0.9189385)
        base, log_determinant = latents, 0.0
        for order, coupling in zip(self.orders, self.couplings, strict=True):
            kept, moved = base[:, order].chunk(2, 1)
            shift, log_scale = coupling(kept).chunk(2, 1)
            log_scale = 2 * torch.tanh(log_scale / 2)
            base = torch.cat([kept, moved * torch.exp(log_scale) + shift], 1)
            log_determinant = log_determinant + log_scale.sum(1)
        rate = 0.5 * (base.square() - noise.square() - log_variance).sum(1) - log_determinant
        return (distortion + rate).mean()


def plain(batch_size, channels_last, compiled):
    """A bare loop with fused Adam and averaged weights, on images that lie in memory."""
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    vae = VAE(memory_format).to(memory_format=memory_format)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-4, fused=True)
    weights = list(vae.parameters())
    averages = [weight.detach().clone() for weight in weights]
    loss_of = torch.compile(vae) if compiled else vae
    images = torch.rand(batch_size, 3, SIZE, SIZE).contiguous(memory_format=memory_format)

    def steps(count):
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(images, torch.randn(batch_size, LATENT_DIM))
            loss.backward()
            optimizer.step()
            torch._foreach_lerp_(averages, weights, 0.001)
        loss.item()
        return count

    training_worker.serve(lambda: steps, batch_size, parameters=sum(weight.numel() for weight in weights))


def pythae(batch_size):
    """pythae's VAE and trainer with our encoder and decoder: its epochs over images that lie in memory."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE as Model
    from pythae.models import VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class TheirEncoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.ours = Encoder()

        def forward(self, images):
            mean, log_variance = self.ours(images)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class TheirDecoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.ours = Decoder()

        def forward(self, latents):
            return ModelOutput(reconstruction=self.ours(latents))

    count = max(1, 320 // batch_size)
    images = torch.rand(count * batch_size, 3, SIZE, SIZE)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        with contextlib.redirect_stdout(nowhere):
            model = Model(VAEConfig((3, SIZE, SIZE), LATENT_DIM), encoder=TheirEncoder(), decoder=TheirDecoder())
            options = BaseTrainerConfig(
                output_dir=folder, per_device_train_batch_size=batch_size, learning_rate=1e-4, no_cuda=True
            )
            trainer = BaseTrainer(model, BaseDataset(images, torch.zeros(len(images))), training_config=options)
            trainer.prepare_training()

        def steps(_):
            trainer.train_step(epoch=1)
            return count

        training_worker.serve(
            lambda: steps, batch_size, parameters=sum(weight.numel() for weight in model.parameters())
        )


if __name__ == "__main__":
    torch.manual_seed(0)
    kind, batch = sys.argv[1], int(sys.argv[2])
    if kind == "pythae":
        pythae(batch)
    else:
        plain(batch, "last" in kind, "compiled" in kind)
