"""What does Pillow make of a still that does not fill its canvas, stands in an animation of one frame, or is transparent?"""

import io
import random
import struct
import zlib

import numpy
import torch
from PIL import Image, ImageOps

from .files import EXACT, save_golden
from .pictures import landscape

BACKGROUND = (0x12, 0x34, 0x56)


def make() -> None:
    """`<name>.file` bytes, `<name>.rgb` as load_image gives it, `<name>.over` composed over #123456."""
    save_stills("still-gifs", gifs())
    save_stills("still-frames", {**webp_frames(), **png_frames(), **avif_frames()}, differences={"avif": 1})
    transparent = {**transparent_pngs(), **transparent_others()}
    save_stills("transparent", transparent, differences={"avif": 1, "premultiplied.avif": 6})


def save_stills(name: str, files: dict[str, bytes], differences: dict[str, int] | None = None) -> None:
    tensors = {}
    for file_name, data in files.items():
        picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        rgba = picture.convert("RGBA")
        over = Image.alpha_composite(Image.new("RGBA", rgba.size, (*BACKGROUND, 255)), rgba)
        tensors[f"{file_name}.file"] = torch.tensor(list(data), dtype=torch.uint8)
        tensors[f"{file_name}.rgb"] = torch.from_numpy(numpy.array(picture.convert("RGB")))
        tensors[f"{file_name}.over"] = torch.from_numpy(numpy.array(over.convert("RGB")))
    differences = differences or {}
    allowed = {file: differences.get(file, differences.get(file.rsplit(".", 1)[1], 0)) for file in files}
    case = {"largest_byte_difference": allowed}
    save_golden("image", name, tensors, config={"background": "#123456"}, case=case, tolerance=EXACT)


# GIF


def gifs() -> dict[str, bytes]:
    colors = random.Random(5)
    many, other, few = ([tuple(colors.randbytes(3)) for _ in range(count)] for count in (16, 16, 4))
    grey = [(level, level, level) for level in range(256)]
    small = {"canvas": (24, 18), "box": (5, 3, 12, 10)}
    cases = {
        "whole": {"canvas": (12, 10), "box": (0, 0, 12, 10), "palette": many},
        "offset": {**small, "palette": many},
        "offset-background-index": {**small, "palette": many, "background": 5},
        "offset-transparent": {**small, "palette": many, "background": 5, "transparent": 3},
        "offset-local-palette": {**small, "palette": many, "local": other, "background": 5},
        "offset-local-palette-transparent": {**small, "palette": many, "local": other, "transparent": 1},
        "offset-only-local-palette": {**small, "local": other, "background": 5},
        "offset-interlaced": {**small, "palette": many, "interlaced": True},
        "interlaced-transparent": {**small, "palette": many, "interlaced": True, "transparent": 7},
        "beyond-canvas": {"canvas": (24, 18), "box": (18, 12, 12, 10), "palette": many, "background": 3},
        "beyond-canvas-transparent": {"canvas": (24, 18), "box": (18, 12, 12, 10), "palette": many, "transparent": 2},
        "wider-than-canvas": {"canvas": (8, 18), "box": (0, 2, 12, 10), "palette": many},
        "outside-canvas": {"canvas": (6, 6), "box": (10, 8, 12, 10), "palette": many},
        "no-canvas": {"canvas": (0, 0), "box": (0, 0, 12, 10), "palette": few},
        "no-palette": {**small},
        "no-palette-transparent": {**small, "transparent": 100},
        "grey-palette": {**small, "palette": grey, "transparent": 100},
        "index-beyond-palette": {**small, "palette": few, "code_size": 4},
        "transparent-beyond-palette": {**small, "palette": many, "local": few, "transparent": 9},
        "disposed-to-background": {**small, "palette": many, "disposal": 2, "frames": 3},
        "disposed-to-previous": {**small, "palette": many, "disposal": 3, "transparent": 1, "frames": 2},
        "bytes-between-blocks": {**small, "palette": many, "between": b"\0\0"},
    }
    return {f"{name}.gif": gif(**case, seed=name) for name, case in cases.items()}


def gif(
    canvas,
    box,
    seed,
    palette=None,
    local=None,
    background=0,
    transparent=None,
    interlaced=False,
    disposal=0,
    frames=1,
    code_size=None,
    between=b"",
) -> bytes:
    """A GIF of random pixels, since Pillow writes neither an offset first frame nor a background of one's choice."""
    _, _, width, height = box
    code_size = code_size or max(2, (len(local or palette or range(256)) - 1).bit_length())
    numbers = random.Random(seed)
    flags, colors = packed_palette(palette)
    file = b"GIF89a" + struct.pack("<HHBBB", *canvas, flags, background, 0) + colors
    for _ in range(frames):
        file += between
        if transparent is not None or disposal:
            file += struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2 | (transparent is not None), 10, transparent or 0, 0)
        flags, colors = packed_palette(local)
        file += b"," + struct.pack("<HHHHB", *box, flags | (0x40 if interlaced else 0)) + colors
        rows = [[numbers.randrange(1 << code_size) for _ in range(width)] for _ in range(height)]
        order = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4), *range(1, height, 2)]
        file += lzw([index for row in (order if interlaced else range(height)) for index in rows[row]], code_size)
    return file + b";"


def packed_palette(palette) -> tuple[int, bytes]:
    if palette is None:
        return 0, b""
    bits = (len(palette) - 1).bit_length()
    return 0x80 | (bits - 1), b"".join(bytes(color) for color in palette)


def lzw(indices: list[int], code_size: int) -> bytes:
    """Codes without compression: the table is cleared before codes grow."""
    clear = 1 << code_size
    codes = []
    for start in range(0, len(indices), clear - 2):
        codes += [clear, *indices[start : start + clear - 2]]
    bits = sum(code << (code_size + 1) * at for at, code in enumerate([*codes, clear + 1]))
    data = bits.to_bytes(((code_size + 1) * (len(codes) + 1) + 7) // 8, "little")
    blocks = [data[start : start + 255] for start in range(0, len(data), 255)]
    return bytes([code_size]) + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


# Animations of one frame


def noise(mode: str, size=(13, 9), seed=3) -> Image.Image:
    bands = len(mode)
    values = numpy.random.RandomState(seed).randint(0, 256, (size[1], size[0], bands)).astype(numpy.uint8)
    return Image.fromarray(values.squeeze(), mode)


def faded(size=(24, 16)) -> Image.Image:
    """A picture that is clear on the left and solid on the right."""
    picture = landscape(*size, 11).convert("RGBA")
    alpha = numpy.tile(numpy.linspace(0, 255, size[0]).astype(numpy.uint8), (size[1], 1))
    picture.putalpha(Image.fromarray(alpha, "L"))
    return picture


def webp_frames() -> dict[str, bytes]:
    exact = {"lossless": True, "exact": True}
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {}
    for flags, words in enumerate(("blend", "blend-dispose", "replace", "replace-dispose")):
        files[f"offset-{words}.webp"] = webp_frame(noise("RGBA"), exact, flags=flags)
        files[f"offset-{words}-no-alpha.webp"] = webp_frame(noise("RGBA"), exact, flags=flags, has_alpha=False)
    files["whole.webp"] = webp_frame(noise("RGBA"), exact, canvas=(13, 9), offset=(0, 0))
    files["whole-rgb.webp"] = webp_frame(noise("RGB"), exact, canvas=(13, 9), offset=(0, 0), has_alpha=False)
    files["lossy.webp"] = webp_frame(landscape(24, 16, 11), {"quality": 80}, canvas=(40, 30), has_alpha=False)
    files["lossy-alpha.webp"] = webp_frame(faded(), {"quality": 80}, canvas=(40, 30))
    files["rgb-on-clear.webp"] = webp_frame(noise("RGB"), exact)
    files["turned.webp"] = webp_frame(noise("RGBA"), exact, exif=exif.tobytes())
    return files


def webp_frame(picture, options, canvas=(20, 15), offset=(4, 2), flags=0, has_alpha=True, exif=b"") -> bytes:
    """An animated WebP of one frame and a coloured background; Pillow makes stills of such."""
    written = io.BytesIO()
    picture.save(written, "WEBP", **options)
    coded = b"".join(webp_chunk(name, data) for name, data in webp_chunks(written.getvalue()) if name in CODED)
    size = uint24(picture.width - 1) + uint24(picture.height - 1)
    frame = uint24(offset[0] // 2) + uint24(offset[1] // 2) + size + uint24(100) + bytes([flags]) + coded
    features = 0x02 | (0x10 if has_alpha else 0) | (0x08 if exif else 0)
    body = webp_chunk(b"VP8X", bytes([features, 0, 0, 0]) + uint24(canvas[0] - 1) + uint24(canvas[1] - 1))
    body += webp_chunk(b"ANIM", bytes([30, 20, 10, 255, 0, 0])) + webp_chunk(b"ANMF", frame)
    body += webp_chunk(b"EXIF", exif) if exif else b""
    return webp_chunk(b"RIFF", b"WEBP" + body)


CODED = (b"ALPH", b"VP8 ", b"VP8L")


def webp_chunks(file: bytes):
    at = 12
    while at < len(file):
        (length,) = struct.unpack_from("<I", file, at + 4)
        yield file[at : at + 4], file[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def uint24(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def png_frames() -> dict[str, bytes]:
    """One frame of an animation, and a default image with one frame behind it that is not shown."""
    first, second = faded(), faded().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    two, hidden = io.BytesIO(), io.BytesIO()
    first.save(two, "PNG", save_all=True, append_images=[second], duration=100)
    first.save(hidden, "PNG", save_all=True, default_image=True, append_images=[second], duration=100)
    chunks = []
    for name, data in png_chunks(two.getvalue()):
        if name == b"acTL":
            data = struct.pack(">II", 1, 0)
        is_second = name == b"fdAT" or (name == b"fcTL" and any(other == b"fcTL" for other, _ in chunks))
        if not is_second:
            chunks.append((name, data))
    return {"one-frame.png": png_file(chunks), "default-image.png": hidden.getvalue()}


def avif_frames() -> dict[str, bytes]:
    return {"one-frame.avif": avif_frame("RGB"), "one-frame-alpha.avif": avif_frame("RGBA")}


def avif_frame(mode: str) -> bytes:
    """A sequence of two, of which the tracks own up to one."""
    written = io.BytesIO()
    first, second = faded().convert(mode), faded().transpose(Image.Transpose.ROTATE_180).convert(mode)
    first.save(written, "AVIF", save_all=True, append_images=[second], quality=95, subsampling="4:4:4")
    file = bytearray(written.getvalue())
    # Where the number of samples stands behind the names of the tables of sizes, durations and chunks.
    for name, offset in ((b"stsz", 12), (b"stts", 12), (b"stsc", 16)):
        at = file.find(name)
        while at >= 0:
            file[at + offset : at + offset + 4] = struct.pack(">I", 1)
            at = file.find(name, at + 1)
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        at = file.find(name)
        while at >= 0:
            file[at + 8 : at + 24] = bytes(16)  # when it was made and changed
            at = file.find(name, at + 1)
    return bytes(file)


# Transparency


def transparent_pngs() -> dict[str, bytes]:
    """Every way in which a PNG is transparent. Sixteen-bit grey with a key is left out: Pillow clips such pictures."""
    width, height = 13, 9
    numbers = numpy.random.RandomState(4)

    def rows(highest: int, count: int, dtype: str) -> list[bytes]:
        return [numbers.randint(0, highest + 1, count).astype(dtype).tobytes() for _ in range(height)]

    def doubled(lines: list[bytes]) -> list[bytes]:
        """Of Pillow's sixteen-bit keys only the low bytes count."""
        return [bytes(byte for value in line for byte in (value, value)) for line in lines]

    palette = (b"PLTE", numbers.randint(0, 256, 48).astype("u1").tobytes())
    palette_alpha = (b"tRNS", bytes([0, 50, 100, 255, 200]))
    cases = {
        "rgb-alpha": (8, 6, rows(255, width * 4, "u1"), []),
        "grey-alpha": (8, 4, rows(255, width * 2, "u1"), []),
        "rgb-alpha-16-bit": (16, 6, rows(65535, width * 4, ">u2"), []),
        "grey-alpha-16-bit": (16, 4, rows(65535, width * 2, ">u2"), []),
        "rgb-key": (8, 2, rows(1, width * 3, "u1"), [(b"tRNS", struct.pack(">HHH", 1, 0, 1))]),
        "rgb-key-16-bit": (16, 2, doubled(rows(1, width * 3, "u1")), [(b"tRNS", struct.pack(">HHH", 257, 0, 257))]),
        "grey-key": (8, 0, rows(3, width, "u1"), [(b"tRNS", struct.pack(">H", 2))]),
        "one-bit-key": (1, 0, rows(255, 2, "u1"), [(b"tRNS", struct.pack(">H", 1))]),
        "palette-alpha": (8, 3, rows(15, width, "u1"), [palette, palette_alpha]),
        "palette-alpha-4-bit": (4, 3, rows(255, 7, "u1"), [palette, palette_alpha]),
        "palette-key": (8, 3, rows(15, width, "u1"), [palette, (b"tRNS", bytes([255, 255, 0]))]),
    }
    files = {}
    for name, (depth, kind, raw, before) in cases.items():
        header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + row for row in raw))
        files[f"{name}.png"] = png_file([(b"IHDR", header), *before, (b"IDAT", pixels), (b"IEND", b"")])
    return files


def transparent_others() -> dict[str, bytes]:
    pictures = {
        "lossless.webp": (noise("RGBA"), {"lossless": True, "exact": True}),
        "lossy.webp": (faded(), {"quality": 80}),
        "grey-alpha.webp": (faded().convert("LA"), {"lossless": True}),
        "alpha.avif": (faded(), {"quality": 95, "subsampling": "4:4:4"}),
        # What decoders differ by grows where the alpha is divided out.
        "premultiplied.avif": (faded(), {"quality": 95, "subsampling": "4:4:4", "alpha_premultiplied": True}),
        "opaque.png": (landscape(24, 16, 11).convert("RGBA"), {}),
    }
    files = {}
    for name, (picture, options) in pictures.items():
        written = io.BytesIO()
        picture.save(written, name.rsplit(".", 1)[1].upper(), **options)
        files[name] = written.getvalue()
    return files


def png_chunks(file: bytes):
    at = 8
    while at < len(file):
        (length,) = struct.unpack_from(">I", file, at)
        yield file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        at += 12 + length


def png_file(chunks) -> bytes:
    file = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        file += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return file
