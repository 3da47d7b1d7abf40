"""A PyTorch DataLoader with Pillow, timed on request: `input.py` starts it in the environment `peers`.

Each line of standard input is {"folder", "size", "batch_size", "workers"} in JSON; the answer is {"seconds", "images"}.
"""

import json
import pathlib
import sys
import time

import torch
from PIL import Image


class Folder(torch.utils.data.Dataset):
    """The images of a folder, as the tutorials read them: decoded to RGB, resized, [C, H, W] float32 in [0, 1]."""

    def __init__(self, folder, size):
        self._paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
        self._size = size

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, index):
        image = Image.open(self._paths[index]).convert("RGB").resize((self._size, self._size), Image.BILINEAR)
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return pixels.view(self._size, self._size, 3).permute(2, 0, 1).float() / 255


def main():
    for line in sys.stdin:
        wanted = json.loads(line)
        images = Folder(wanted["folder"], wanted["size"])
        loader = torch.utils.data.DataLoader(
            images, batch_size=wanted["batch_size"], shuffle=True, num_workers=wanted["workers"]
        )
        start = time.perf_counter()
        count = sum(len(batch) for batch in loader)
        print(json.dumps({"seconds": time.perf_counter() - start, "images": count}), flush=True)


if __name__ == "__main__":
    main()
