"""What do Pillow and the pipeline make of pictures: when decoding, resizing, preprocessing, and for CLIP?"""

import struct
import zlib

import numpy
import torch
from diffusers.utils import load_image
from diffusers.video_processor import VideoProcessor
from PIL import Image

from . import color, stills
from .checkpoints import load_checkpoint
from .files import EXACT, TEST_FOLDER, save_golden
from .pictures import landscape

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

# Source picture and target (width, height).
RESIZES = {
    "photo": [(23, 17), (67, 50), (51, 13), (19, 37), (1, 1), (51, 37)],
    "noise": [(31, 9), (5, 24), (13, 11)],
    "row": [(37, 1), (7, 3)],
    "column": [(2, 11)],
    "pixel": [(3, 2)],
}


def make() -> None:
    resizes()
    preprocessing()
    pixel_values()
    pictures()
    stills.make()
    color.make()


def to_tensor(image: Image.Image) -> torch.Tensor:
    """(height, width) for one channel, else (height, width, channels), bytes."""
    return torch.from_numpy(numpy.array(image))


def resizes() -> None:
    """`<mode>.<source>` and `<mode>.<source>.<filter>.<width>x<height>`, bytes, as Image.resize gives them.

    Pillow multiplies RGBA with its alpha before it resizes and divides afterwards, save with `nearest`.
    """
    for mode in ("L", "RGB", "RGBA"):
        tensors = {}
        for name, picture in resize_sources(mode).items():
            tensors[f"{mode}.{name}"] = to_tensor(picture)
            for width, height in RESIZES[name]:
                for filter_name, resample in FILTERS.items():
                    resized = picture.resize((width, height), resample=resample)
                    tensors[f"{mode}.{name}.{filter_name}.{width}x{height}"] = to_tensor(resized)
        save_golden("image", f"resize-{mode.lower()}", tensors, config={"mode": mode}, tolerance=EXACT)


def resize_sources(mode: str) -> dict[str, Image.Image]:
    random = numpy.random.RandomState(5)
    photo = numpy.array(landscape(51, 37))
    y, x = numpy.mgrid[0:37, 0:51]
    # Alpha from clear to solid in waves, and fully clear in one corner.
    alpha = numpy.where(x + y < 20, 0, 127.5 + 127.5 * numpy.sin(x / 5) * numpy.cos(y / 7)).astype(numpy.uint8)
    # All four channels either black or white: the filters' overshoot is clipped.
    noise = (random.rand(11, 13, 4) > 0.5).astype(numpy.uint8) * 255
    sources = {
        "photo": numpy.dstack([photo, alpha]),
        "noise": noise,
        "row": random.randint(0, 256, (1, 1000, 4)).astype(numpy.uint8),
        "column": random.randint(0, 256, (70, 1, 4)).astype(numpy.uint8),
        "pixel": random.randint(0, 256, (1, 1, 4)).astype(numpy.uint8),
    }
    modes = {"L": lambda rgba: rgba[..., 1], "RGB": lambda rgba: rgba[..., :3], "RGBA": lambda rgba: rgba}
    return {name: Image.fromarray(numpy.ascontiguousarray(modes[mode](rgba)), mode) for name, rgba in sources.items()}


def preprocessing() -> None:
    """`<case>.picture` (height, width, 3) bytes; `<case>.image` (1, 3, height, width) in [-1, 1]: a Lanczos resize, no crop."""
    processor = VideoProcessor(do_resize=True, vae_scale_factor=8)
    tensors = {}
    for name, source, (width, height) in (
        ("down", landscape(75, 50), (48, 32)),
        ("up", landscape(30, 41, 23), (64, 40)),
        ("same", landscape(32, 24), (32, 24)),
    ):
        tensors[f"{name}.picture"] = to_tensor(source)
        tensors[f"{name}.image"] = processor.preprocess(source, height=height, width=width)
    save_golden("image", "preprocess", tensors, config={}, tolerance={"relative": 1e-6, "absolute": 0})


# Width and height of a stored picture, and how often each of its pixels is repeated across and down before CLIP sees it.
CLIP_PICTURES = {
    "photo-150x100": ((150, 100), 1),
    "wide-640x360": ((80, 45), 8),
    "tall-300x500": ((60, 100), 5),
    "large-1024x576": ((64, 36), 16),
    "narrow-160x600": ((32, 120), 5),
    "exact-224x224": ((56, 56), 4),
    "small-37x41": ((37, 41), 1),
    "tiny-2x3": ((2, 3), 1),
}

# The rows and columns of the 224 x 224 values that are stored.
KEPT = sorted({*range(0, 224, 6), 1, 2, 221, 222, 223})


def pixel_values() -> None:
    """`<case>.picture` bytes and `<case>.pixel_values` (3, 42, 42), what CLIP is given, at the rows and columns `kept`."""
    pipeline = load_checkpoint("two-levels-fp32")
    seen: list[torch.Tensor] = []
    pipeline.image_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    tensors = {}
    for name, (size, repeat) in CLIP_PICTURES.items():
        picture = to_tensor(landscape(*size))
        tensors[f"{name}.picture"] = picture
        repeated = picture.repeat_interleave(repeat, dim=0).repeat_interleave(repeat, dim=1)
        with torch.no_grad():
            pipeline._encode_image(Image.fromarray(repeated.numpy(), "RGB"), "cpu", 1, False)
        tensors[f"{name}.pixel_values"] = seen.pop()[0][:, KEPT][:, :, KEPT]
    case = {"repeat": {name: repeat for name, (_, repeat) in CLIP_PICTURES.items()}, "kept": KEPT}
    save_golden("image", "pixel-values", tensors, config={}, case=case, tolerance={"relative": 1e-5, "absolute": 0})


def pictures() -> None:
    """Small picture files of each kind, and what load_image makes of them: EXIF orientation applied, then RGB."""
    folder = TEST_FOLDER / "image" / "golden"
    largest_differences = write_pictures(folder)
    tensors = {name: to_tensor(load_image(str(folder / name))) for name in largest_differences}
    # Pillow clips 16 bit grey to white on the way to RGB. That fault is not followed: the high bytes are expected.
    tensors["grey-16-bit.png"] = tensors["grey.png"]
    case = {
        "largest_byte_difference": largest_differences,
        "not_as_reference": {"grey-16-bit.png": "the reference gives white; expected are the high bytes"},
    }
    save_golden("image", "pictures", tensors, config={}, case=case, tolerance=EXACT)


def write_pictures(folder) -> dict[str, int]:
    """Writes the files; returns by how much another decoder's bytes may differ from Pillow's, by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    upright = landscape(48, 32, 11)
    rgba = upright.copy()
    rgba.putalpha(Image.fromarray(numpy.tile(numpy.linspace(0, 255, 48).astype(numpy.uint8), (32, 1)), "L"))
    differences: dict[str, int] = {}

    def write(name: str, picture: Image.Image, difference: int = 0, **options) -> None:
        picture.save(folder / name, **options)
        differences[name] = difference

    # What a camera stores, so that turning it as the orientation says gives the upright picture.
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for orientation, transpose in undo.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright if transpose is None else upright.transpose(transpose)
        write(f"orientation-{orientation}.jpg", stored, 2, quality=92, subsampling=0, exif=exif)

    write("half-chroma.jpg", upright, 4, quality=85, subsampling=2)
    write("progressive.jpg", upright, 2, quality=90, subsampling=0, progressive=True)
    write("grey.jpg", upright.convert("L"), 2, quality=92)
    write("cmyk.jpg", upright.convert("CMYK"), 4, quality=95, subsampling=0)

    write("rgb.png", upright)
    write("alpha.png", rgba)
    write("grey.png", upright.convert("L"))
    write("grey-alpha.png", rgba.convert("LA"))
    write("palette.png", upright.quantize(16))
    transparent = upright.quantize(16)
    write("palette-transparent.png", transparent, transparency=3)
    write("one-bit.png", upright.convert("1"))
    write_sixteen_bit(folder / "grey-16-bit.png", numpy.array(upright.convert("L")), upright.size, channels=1)
    write_sixteen_bit(folder / "rgb-16-bit.png", numpy.array(upright), upright.size, channels=3)
    differences |= {"grey-16-bit.png": 1, "rgb-16-bit.png": 1}

    write("lossless.webp", upright, lossless=True)
    write("lossy.webp", upright, 4, quality=85)
    write("alpha.webp", rgba, lossless=True, exact=True)
    write("photo.avif", upright, 4, quality=90, subsampling="4:4:4")

    frames = [landscape(48, 32, seed).quantize(64) for seed in (11, 12, 13)]
    write("animated.gif", frames[0], save_all=True, append_images=frames[1:], duration=100, loop=0)
    write("animated.webp", upright, save_all=True, append_images=[landscape(48, 32, 12)], duration=100, lossless=True)
    return differences


def write_sixteen_bit(path, values: numpy.ndarray, size: tuple[int, int], channels: int) -> None:
    """A PNG of 16 bits a channel, which Pillow cannot write in colour: the bytes above, a spread of low bytes below."""
    width, height = size
    low = (numpy.arange(values.size) * 37 % 256).reshape(values.shape)
    rows = (values.astype(numpy.uint16) * 256 + low.astype(numpy.uint16)).astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    )
