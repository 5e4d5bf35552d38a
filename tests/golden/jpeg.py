"""Golden files for src/io/images: small pictures in the kinds of JPEG that cameras and programs write (jpeg/*.jpg), and
their pixels as Pillow reads them (jpeg/pixels.npz). Needs Pillow==13.0.0, numpy==2.4.6. Run: python tests/golden/jpeg.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

rng = np.random.default_rng(1)
y, x = np.mgrid[:29, :37]
smooth = np.stack([128 + 100 * np.sin(x / 5), 128 + 100 * np.cos(y / 4), 3 * (x + y)], -1)
pixels = np.clip(smooth + rng.normal(0, 25, smooth.shape), 0, 255).astype(np.uint8)
colour, grey = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
folder = Path(__file__).parent / "jpeg"
folder.mkdir(exist_ok=True)
colour.save(folder / "baseline_420.jpg", quality=85, subsampling="4:2:0")
colour.save(folder / "restarts_422.jpg", quality=85, subsampling="4:2:2", restart_marker_blocks=2)
colour.save(folder / "progressive_420.jpg", quality=85, subsampling="4:2:0", progressive=True)
colour.save(folder / "progressive_444.jpg", quality=95, subsampling="4:4:4", progressive=True, optimize=True)
grey.save(folder / "progressive_grey.jpg", quality=90, progressive=True)
colour.convert("CMYK").save(folder / "cmyk.jpg", quality=90)

files = sorted(folder.glob("*.jpg"))
np.savez_compressed(folder / "pixels.npz", **{f.stem: np.array(Image.open(f).convert("RGB")) for f in files})
