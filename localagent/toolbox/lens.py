"""Runs in the sandbox: the bytes of a picture file in, plain pixels out.

Whatever the file says it is and holds, what comes out is three bytes for each point, turned the right way up and scaled
to fit; a damaged or hostile file costs this process, and one sentence.
"""

from __future__ import annotations

import io
import json
import os
import sys
import warnings

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
_ORIENTATION = 0x0112
_MOST = 120_000_000
"""Points of a picture before it is scaled: a camera has fewer."""


def main() -> None:
    """`lens PIXELS`: the most points that may come out. The file comes on standard input."""
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        head, body = look(sys.stdin.buffer.read(), int(sys.argv[-1]))
    except Exception as error:  # noqa: BLE001 - whatever a decoder stumbles over is said in one sentence
        head, body = {"error": _said(error)}, b""
    with open(out, "wb") as file:
        file.write(json.dumps(head).encode() + b"\n" + body)


def look(data: bytes, pixels: int) -> tuple[dict[str, object], bytes]:
    """What the picture is, and its points. Raises whatever a decoder does."""
    from PIL import Image, ImageOps

    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = _MOST // 2
    with Image.open(io.BytesIO(data), formats=FORMATS) as file:
        if file.width * file.height > _MOST:
            raise ValueError(f"it has {file.width:,} x {file.height:,} points, which is too many")
        frames = getattr(file, "n_frames", 1)
        original = file.size[::-1] if file.getexif().get(_ORIENTATION) in (5, 6, 7, 8) else file.size
        # A photo is read at half or a quarter of its size where that is enough.
        file.draft("RGB", _fitting(file.size, 4 * pixels))
        turned = ImageOps.exif_transpose(file)
    turned = _flat(turned)
    size = _fitting(turned.size, pixels)
    if size != turned.size:
        turned = turned.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return {"wide": turned.width, "high": turned.height, "of": list(original), "frames": frames}, turned.tobytes()


def _flat(picture):
    """In red, green and blue, what is transparent on white."""
    from PIL import Image

    if picture.mode in ("RGBA", "LA", "PA") or (picture.mode == "P" and "transparency" in picture.info):
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    if picture.mode.startswith("I;16"):
        picture = picture.point(lambda value: value / 256, "L")
    return picture.convert("RGB")


def _fitting(size: tuple[int, int], pixels: int, least: int = 64, most: int = 4096) -> tuple[int, int]:
    """The same shape with at most so many points, and both sides between `least` and `most`."""
    wide, high = size
    scale = min(1.0, (pixels / (wide * high)) ** 0.5, most / max(wide, high))
    wide, high = max(1, int(wide * scale)), max(1, int(high * scale))
    grown = max(1.0, least / min(wide, high))
    if grown > 1.0:
        # A line of few points: as much larger as fits, the rest by pulling it wider.
        wide, high = min(most, max(least, round(wide * grown))), min(most, max(least, round(high * grown)))
        if wide * high > pixels:
            wide, high = (min(wide, pixels // high), high) if wide > high else (wide, min(high, pixels // wide))
    return wide, high


def _said(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is damaged, or of a kind that is not read here"
    text = " ".join(str(error).split())[:200]
    return text or type(error).__name__


if __name__ == "__main__":
    main()
