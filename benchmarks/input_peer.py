"""A PyTorch DataLoader with Pillow, timed on request: `input.py` starts it in the environment `peers`.

Each line of standard input is {"folder", "size", "batch_size", "workers", "on_white"} in JSON; the answer is
{"seconds", "images"}.
"""

import json
import pathlib
import sys
import time

import torch
from PIL import Image


class Folder(torch.utils.data.Dataset):
    """The images of a folder, as the tutorials read them: decoded to RGB, resized, [C, H, W] float32 in [0, 1].

    The tutorials drop transparency; `on_white` puts what is transparent on white instead.
    """

    def __init__(self, folder, size, on_white):
        self._paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
        self._size = size
        self._on_white = on_white

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, index):
        image = Image.open(self._paths[index])
        if self._on_white and image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB").resize((self._size, self._size), Image.BILINEAR)
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return pixels.view(self._size, self._size, 3).permute(2, 0, 1).float() / 255


def main():
    for line in sys.stdin:
        wanted = json.loads(line)
        images = Folder(wanted["folder"], wanted["size"], wanted["on_white"])
        loader = torch.utils.data.DataLoader(
            images, batch_size=wanted["batch_size"], shuffle=True, num_workers=wanted["workers"]
        )
        start = time.perf_counter()
        count = sum(len(batch) for batch in loader)
        print(json.dumps({"seconds": time.perf_counter() - start, "images": count}), flush=True)


if __name__ == "__main__":
    main()
