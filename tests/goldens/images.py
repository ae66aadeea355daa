"""Writes images/*: small files of every kind that photographs come as, and images.json: what Pillow makes of them.

Each but those of parts/ is decoded, turned as its EXIF orientation asks and converted to red, green and blue. `scaled` is a larger picture after
torchvision's Resize (on Pillow's images), `middle` that after its CenterCrop. Pixels are of three bytes, row by row.
"""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
import torchvision
from PIL import Image, ImageOps
from torchvision.transforms import v2

FOLDER = Path(__file__).with_name("images")
WIDTH, HEIGHT = 24, 17


def picture(width, height):
    """Smooth colours with an edge, so that neither subsampling nor quantisation hides a wrong conversion."""
    y, x = np.mgrid[0:height, 0:width]
    red = 255 * x / (width - 1)
    green = 255 * y / (height - 1)
    blue = np.where(x + y < (width + height) / 2, 40, 210)
    return np.stack([red, green, blue], axis=-1).round().astype(np.uint8)


def pixels(image):
    return np.asarray(image.convert("RGB")).reshape(-1, 3).tolist()


def sixteen_bits(path, values):
    """Pillow cannot write colour of 16 bits: a PNG by hand, big-endian, without filters."""
    height, width = values.shape[:2]
    kind = 2 if values.ndim == 3 else 0
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def adobe_transform(path, source, transform):
    """The same file with another colour transform in Adobe's segment: 2 is YCCK."""
    data = bytearray(source.read_bytes())
    data[data.index(b"Adobe") + 11] = transform
    path.write_bytes(data)


def write_files():
    FOLDER.mkdir(exist_ok=True)
    rgb = Image.fromarray(picture(WIDTH, HEIGHT))
    rgb.save(FOLDER / "baseline.jpg", quality=95)
    rgb.save(FOLDER / "progressive.jpg", quality=95, progressive=True, subsampling=0)
    rgb.convert("L").save(FOLDER / "grey.jpg", quality=95)
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        rgb.save(FOLDER / f"orientation{orientation}.jpg", quality=95, subsampling=0, exif=exif)
    cmyk = FOLDER / "cmyk.jpg"
    rgb.convert("CMYK").save(cmyk, quality=95)
    adobe_transform(FOLDER / "ycck.jpg", cmyk, 2)
    rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(FOLDER / "palette.png")
    transparent = rgb.copy()
    transparent.putalpha(90)
    transparent.save(FOLDER / "transparent.png")
    (FOLDER / "png_in_disguise.JPEG").write_bytes((FOLDER / "transparent.png").read_bytes())
    parts = FOLDER / "parts"
    parts.mkdir(exist_ok=True)
    large = Image.fromarray(picture(201, 150))
    for name, subsampling, progressive in [("full", 0, False), ("half", 2, False), ("scans", 2, True)]:
        large.save(parts / f"{name}.jpg", quality=90, subsampling=subsampling, progressive=progressive)
    # Multiples of 257 are what 8 bits become in 16: nothing is rounded.
    sixteen_bits(FOLDER / "colour16.png", picture(WIDTH, HEIGHT).astype(np.uint16) * 257)
    sixteen_bits(FOLDER / "grey16.png", picture(WIDTH, HEIGHT)[..., 0].astype(np.uint16) * 257)


def expected(path):
    if path.name == "colour16.png":
        return picture(WIDTH, HEIGHT).reshape(-1, 3).tolist()
    if path.name == "grey16.png":
        grey = picture(WIDTH, HEIGHT)[..., :1]
        return np.repeat(grey, 3, axis=-1).reshape(-1, 3).tolist()
    return pixels(ImageOps.exif_transpose(Image.open(path)))


def main():
    write_files()
    golden = {"pillow": PIL.__version__, "torchvision": torchvision.__version__.split("+")[0], "decoded": {}}
    for path in sorted(path for path in FOLDER.iterdir() if path.is_file()):
        width, height = ImageOps.exif_transpose(Image.open(path)).size
        golden["decoded"][path.name] = {"width": width, "height": height, "pixels": expected(path)}
    large = Image.fromarray(picture(31, 23))
    golden["scaled"] = {}
    for name, side, mode in [
        ("down", 10, v2.InterpolationMode.BILINEAR),
        ("down_cubic", 10, v2.InterpolationMode.BICUBIC),
        ("up", 30, v2.InterpolationMode.BILINEAR),
    ]:
        scaled = v2.Resize(side, mode)(large)
        middle = v2.CenterCrop(7)(scaled)
        golden["scaled"][name] = {
            "side": side,
            "width": scaled.width,
            "height": scaled.height,
            "pixels": pixels(scaled),
            "middle": pixels(middle),
        }
    with open(FOLDER.with_suffix(".json"), "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
