"""Golden images for src/image/resize.rs. Needs Pillow==11.3.0, numpy==2.4.6
(Pillow 13 exchanges the two passes for some shapes, which moves roundings). Run: python tests/golden/resize.py

Stretch: Image.resize. Crop: torchvision's Resize(shorter side) + CenterCrop, written out (the longer side is truncated to an
integer, the margins are halved with Python's round). Pad: ImageOps.pad on grey 128. The comparison is exact.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def pictures():
    rng = np.random.default_rng(1)
    i, j = np.mgrid[:23, :37]
    noise = rng.integers(0, 256, (23, 37, 3), dtype=np.uint8)
    checker = np.repeat((((i + j) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    tall = np.stack([i * 11, j * 6, (i * j) % 256], axis=2).astype(np.uint8).transpose(1, 0, 2)
    return {"noise": noise, "checker": checker, "tall": np.ascontiguousarray(tall)}


def crop(image, height, width, resample):
    w, h = image.size
    if width * h >= height * w:
        size = (width, h * width // w)
    else:
        size = (w * height // h, height)
    image = image.resize(size, resample) if size != image.size else image
    top, left = int(round((size[1] - height) / 2)), int(round((size[0] - width) / 2))
    return image.crop((left, top, left + width, top + height))


def main():
    golden = {}
    for name, pixels in pictures().items():
        golden[name] = pixels
        image = Image.fromarray(pixels)
        for filter_name, resample in FILTERS.items():
            for height, width in [(16, 16), (8, 30), (50, 41), (23, 11), (5, 37)]:
                key = f"{name}:{filter_name}:{{}}:{height}x{width}"
                golden[key.format("stretch")] = np.asarray(image.resize((width, height), resample))
                golden[key.format("crop")] = np.asarray(crop(image, height, width, resample))
                padded = ImageOps.pad(image, (width, height), resample, color=(128, 128, 128))
                golden[key.format("pad")] = np.asarray(padded)
    np.savez_compressed(Path(__file__).with_name("resize.npz"), **golden)


if __name__ == "__main__":
    main()
