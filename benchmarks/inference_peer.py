"""pythae's VAE, timed on request: `inference.py` starts it in the environment `peers`.

The model is `VAE` with pythae's stock convolutional encoder and decoder of the size nearest to ours (those for CelebA,
64 x 64 RGB), untrained, for weights take the same time whatever they are. Each line of standard input is {"task",
"batch", "seconds"} in JSON; the answer is the list of seconds that each call took. With `--first
FOLDER COUNT` it writes so many images into a folder, and ends.
"""

import json
import sys
import time

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.nn.benchmarks.celeba import Decoder_Conv_AE_CELEBA, Encoder_Conv_VAE_CELEBA
from pythae.samplers import NormalSampler

SHAPE = (3, 64, 64)


def make_model():
    torch.manual_seed(0)
    config = VAEConfig(input_dim=SHAPE, latent_dim=64)
    return VAE(config, encoder=Encoder_Conv_VAE_CELEBA(config), decoder=Decoder_Conv_AE_CELEBA(config)).eval()


def tasks(model):
    sampler = NormalSampler(model)

    def encode(images):
        return model.encoder(images).embedding

    return {
        "generate": lambda images: sampler.sample(num_samples=len(images), batch_size=len(images)),
        "encode": encode,
        "reconstruct": lambda images: model.decoder(encode(images)).reconstruction,
    }


def main():
    model = make_model()
    if sys.argv[1:2] == ["--first"]:
        folder = sys.argv[2]
        NormalSampler(model).sample(num_samples=int(sys.argv[3]), batch_size=int(sys.argv[3]), output_dir=folder)
        return
    calls = tasks(model)
    print(json.dumps({"weights": sum(weight.numel() for weight in model.parameters())}), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        images, call, times = torch.rand(wanted["batch"], *SHAPE), calls[wanted["task"]], []
        with torch.inference_mode():
            call(images[:1])
            while not times or sum(times) < wanted["seconds"]:
                start = time.perf_counter()
                call(images)
                times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
