"""What does lcms in Pillow make of pictures in other colour spaces: of ICC profiles, and of numbers that stand for one?"""

import io
import struct

import numpy
import torch
from PIL import Image, ImageCms

from .files import EXACT, save_golden
from .pictures import landscape
from .stills import noise, png_chunks, png_file

D50 = numpy.array([0.9642, 1, 0.8249])
D65 = (0.3127, 0.329)
BT709 = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), D65)
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), D65)
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
BT2020 = ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), D65)
VERSION_2 = 0x02400000
VERSION_4 = 0x04300000


def make() -> None:
    """`<name>.file` bytes, `<name>.rgb` as load_image gives it, `<name>.srgb` as ImageCms.profileToProfile does."""
    profiled = {**icc_pictures(), **tagged_pngs(), **tagged_avifs()}
    tensors = {}
    for name, (data, srgb, _, _) in profiled.items():
        tensors[f"{name}.file"] = torch.tensor(list(data), dtype=torch.uint8)
        tensors[f"{name}.rgb"] = torch.from_numpy(numpy.array(opened(data).convert("RGB")))
        tensors[f"{name}.srgb"] = torch.from_numpy(numpy.array(srgb.convert("RGB")))
    case = {
        # None where the picture is in sRGB; a problem where its values stay.
        "colors": {name: colors for name, (_, _, colors, _) in profiled.items()},
        "largest_byte_difference": {name: largest for name, (_, _, _, largest) in profiled.items()},
    }
    save_golden("image", "color-profiles", tensors, config={}, case=case, tolerance=EXACT)


# Pictures: file, in sRGB, what is said of its colours, by how much a byte may differ


def icc_pictures() -> dict:
    cases = {}
    picture, smooth = noise("RGB", (16, 12)), landscape(24, 16, 11)
    grey = picture.convert("L")

    def add(name, source, icc, colors, largest=1, **options):
        data = saved(name, source, icc_profile=icc, **options)
        stored = opened(data)
        brought = isinstance(colors, str)
        cases[name] = (data, converted(stored, icc) if brought else stored, colors, largest if brought else 0)

    for name, (title, icc) in rgb_profiles().items():
        add(f"{name}.png", picture, icc, f'the colour profile "{title}"')
    for name, icc in srgb_profiles().items():
        add(f"srgb-{name}.png", picture, icc, None)
    p3 = rgb_profiles()["display-p3"][1]
    title = 'the colour profile "Display P3"'
    add("display-p3.jpg", smooth, p3, title, quality=95, subsampling=0)
    add("display-p3.webp", smooth, p3, title, lossless=True)
    # Where decoders differ by 1, dark bytes in sRGB may by more: its curve is twelve times as steep there.
    add("display-p3.avif", smooth, p3, title, 6, quality=95, subsampling="4:4:4")
    add("palette.png", picture.quantize(16), p3, title)
    add("alpha.png", noise("RGBA", (16, 12)), p3, title)
    add("grey-in-display-p3.png", grey, p3, None)
    add("grey-in-adobe.jpg", grey, rgb_profiles()["adobe"][1], 'the colour profile "Adobe RGB (1998)"', quality=95)
    for name, (title, curve) in {"gamma-2.2": ("Gray Gamma 2.2", gamma(2.2)), "dot-gain": ("Dot Gain", gamma(1.6))}.items():
        icc = grey_profile(title, curve)
        add(f"grey-{name}.png", grey, icc, f'the colour profile "{title}"')
        with_alpha = grey.copy()
        with_alpha.putalpha(grey)
        add(f"grey-alpha-{name}.png", with_alpha, icc, f'the colour profile "{title}"')
    add("grey-srgb.png", grey, grey_profile("sGray", srgb_curve()), None)
    for name, lut in {"cmyk-16-bit": lut16(ink_to_lab, 4, 5), "cmyk-8-bit": lut8(ink_to_lab, 4, 3)}.items():
        icc = lut_profile(b"CMYK", b"prtr", "Coated Paper", lut)
        add(f"{name}.jpg", smooth.convert("CMYK"), icc, 'the colour profile "Coated Paper"', 2, quality=95, subsampling=0)

    no_name = {"name": "a colour profile without a name", "problem": "it cannot be used"}
    damaged = {"name": "a colour profile without a name", "problem": "it is damaged"}
    for kind, options in {"png": {}, "jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.items():
        add(f"cut-off.{kind}", smooth, p3[:200], no_name, **options)
        add(f"nonsense.{kind}", smooth, b"x" * 300, damaged, **options)
        other = {"name": 'the colour profile "Dot Gain"', "problem": "it is for grey, and the picture is RGB"}
        add(f"grey-profile.{kind}", smooth, grey_profile("Dot Gain", gamma(1.6)), other, **options)
    lost = saved("lost.jpg", smooth, icc_profile=p3 + bytes(70000), quality=95, subsampling=0)
    at = lost.index(b"ICC_PROFILE\0\1")
    (length,) = struct.unpack_from(">H", lost, at - 2)
    lost = lost[: at - 4] + lost[at - 2 + length : at + length] + lost[at + length :]
    cases["segment-lost.jpg"] = (lost, opened(lost), {"name": "a colour profile", "problem": "it is damaged"}, 0)
    return cases


def tagged_pngs() -> dict:
    cases = {}
    picture = noise("RGB", (16, 12))
    name, problem = "the colours of BT.2020 with PQ (HDR)", "PQ (HDR) cannot be brought to sRGB"

    def add(file_name, chunks, colors, icc=None):
        first, *others = png_chunks(saved("plain.png", picture))
        data = png_file([first, *chunks, *others])
        cases[f"{file_name}.png"] = (data, converted(picture, icc) if icc else picture, colors, 1 if icc else 0)

    def cicp(primaries, transfer, matrix=0, full_range=1):
        return (b"cICP", bytes([primaries, transfer, matrix, full_range]))

    def gama(value):
        return (b"gAMA", struct.pack(">I", value))

    def chrm(red, green, blue, white):
        return (b"cHRM", b"".join(struct.pack(">I", round(value * 1e5)) for value in (*white, *red, *green, *blue)))

    srgb_chunk = (b"sRGB", b"\0")
    add("cicp-display-p3", [cicp(12, 13)], "the colours of Display P3", matrix_profile("", DISPLAY_P3, srgb_curve()))
    add("cicp-before-srgb", [cicp(12, 13), srgb_chunk], "the colours of Display P3", matrix_profile("", DISPLAY_P3, srgb_curve()))
    add("cicp-bt2020", [cicp(9, 14)], "the colours of BT.2020", matrix_profile("", BT2020, srgb_curve()))
    add("cicp-linear", [cicp(1, 8)], "the colours of linear BT.709", matrix_profile("", BT709, gamma(1)))
    add("cicp-srgb", [cicp(1, 13)], None)
    add("cicp-bt709", [cicp(1, 1)], None)
    add("cicp-unspecified", [cicp(2, 2)], None)
    add("cicp-pq", [cicp(9, 16)], {"name": name, "problem": problem})
    add("cicp-hlg", [cicp(9, 18)], {"name": name.replace("PQ", "HLG"), "problem": problem.replace("PQ", "HLG")})
    narrow = {"name": "the colours of Display P3", "problem": "its values do not use the full range of RGB"}
    add("cicp-narrow", [cicp(12, 13, full_range=0)], narrow)
    add("cicp-unknown", [cicp(77, 13)], {"name": "primaries 77 of H.273", "problem": "they are not known"})
    add("gamma-srgb", [gama(45455), chrm(*BT709)], None)
    add("gamma-1", [gama(100000)], "a gamma of 1", matrix_profile("", BT709, gamma(1)))
    add("gamma-1.8", [gama(55556)], "a gamma of 1.8", matrix_profile("", BT709, gamma(1.8)))
    add("gamma-beside-srgb", [gama(100000), srgb_chunk], None)
    add("gamma-0", [gama(0)], None)
    add("primaries", [chrm(*DISPLAY_P3)], "primaries of its own", matrix_profile("", DISPLAY_P3, srgb_curve()))
    add("primaries-and-gamma", [gama(45455), chrm(*ADOBE)], "primaries of its own", matrix_profile("", ADOBE, srgb_curve()))
    line = {"name": "primaries of its own", "problem": "they cannot be used"}
    add("primaries-on-a-line", [chrm(D65, D65, D65, D65)], line)
    add("iccp-not-zlib", [(b"iCCP", b"x\0\0" + b"not zlib" * 9)], {"name": "a colour profile", "problem": "it is damaged"})
    return cases


def tagged_avifs() -> dict:
    """Pillow writes sRGB into the `nclx` box; other numbers take their place."""
    cases = {}
    for name, primaries, transfer, colors, icc in (
        ("display-p3", 12, 13, "the colours of Display P3", matrix_profile("", DISPLAY_P3, srgb_curve())),
        ("pq", 9, 16, {"name": "the colours of BT.2020 with PQ (HDR)", "problem": "PQ (HDR) cannot be brought to sRGB"}, None),
        ("bt709", 1, 1, None, None),
        ("unspecified", 2, 2, None, None),
    ):
        data = bytearray(saved("plain.avif", landscape(24, 16, 11), quality=95, subsampling="4:4:4"))
        at = data.index(b"nclx") + 4
        data[at : at + 4] = struct.pack(">HH", primaries, transfer)
        stored = opened(bytes(data))
        cases[f"nclx-{name}.avif"] = (bytes(data), converted(stored, icc) if icc else stored, colors, 6 if icc else 1)
    return cases


def saved(name: str, picture: Image.Image, **options) -> bytes:
    written = io.BytesIO()
    picture.save(written, {"jpg": "JPEG"}.get(name.rsplit(".", 1)[1], name.rsplit(".", 1)[1].upper()), **options)
    return written.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def converted(picture: Image.Image, icc: bytes) -> Image.Image:
    """In the perceptual intent, Pillow's default. What is not in the profile's own values is brought to RGB first."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    mode = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}[icc[16:20].decode()]
    return ImageCms.profileToProfile(picture.convert(mode), profile, ImageCms.createProfile("sRGB"), outputMode="RGB")


# Profiles


def rgb_profiles() -> dict[str, tuple[str, bytes]]:
    camera = (1 / 0.45, 1 / 1.0993, 0.0993 / 1.0993, 1 / 4.5, 0.0812)
    profiles = {
        "display-p3": ("Display P3", DISPLAY_P3, srgb_curve(), VERSION_4),
        "adobe": ("Adobe RGB (1998)", ADOBE, gamma(563 / 256), VERSION_2),
        "prophoto": ("ProPhoto RGB", PROPHOTO, gamma(461 / 256), VERSION_2),
        "bt2020": ("Rec. 2020", BT2020, parametric(3, camera), VERSION_4),
        "srgb-linear": ("sRGB linear", BT709, gamma(1), VERSION_2),
        "called-srgb": ("sRGB built-in", DISPLAY_P3, srgb_curve(), VERSION_4),
    }
    made = {name: (title, matrix_profile(title, *rest)) for name, (title, *rest) in profiles.items()}
    scanner = lut_profile(b"RGB ", b"scnr", "Scanner", lut16(light_to_lab, 3, 9))
    return {**made, "tables": ("Scanner", scanner)}


def srgb_profiles() -> dict[str, bytes]:
    steps = numpy.linspace(0, 1, 1024)
    light = numpy.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
    return {
        "parametric": matrix_profile("sRGB IEC61966-2.1", BT709, srgb_curve(), VERSION_4),
        "table": matrix_profile("sRGB IEC61966-2.1", BT709, table(light), VERSION_2),
        "compact": matrix_profile("c2", BT709, table(light[:: 1023 // 31]), VERSION_2),
        "lcms": without_date(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        "tables": lut_profile(b"RGB ", b"scnr", "sRGB v4 ICC preference", lut16(light_to_lab, 3, 9)),
    }


def without_date(icc: bytes) -> bytes:
    return icc[:24] + bytes(12) + icc[36:84] + bytes(16) + icc[100:]  # nor the checksum


def matrix_profile(title: str, primaries, curve: bytes, version: int = VERSION_4) -> bytes:
    columns = to_d50(primaries)
    tags = [(name, xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    return profile(b"RGB ", b"mntr", b"XYZ ", title, tags, version)


def grey_profile(title: str, curve: bytes) -> bytes:
    return profile(b"GRAY", b"mntr", b"XYZ ", title, [(b"kTRC", curve)], VERSION_2)


def lut_profile(values: bytes, kind: bytes, title: str, lut: bytes) -> bytes:
    return profile(values, kind, b"Lab ", title, [(b"A2B0", lut)], VERSION_2)


def profile(values: bytes, kind: bytes, connection: bytes, title: str, tags, version: int) -> bytes:
    tags = [(b"wtpt", xyz(D50)), *([(b"desc", description(title, version))] if title else []), *tags]
    start = 128 + 4 + 12 * len(tags)
    entries, data = b"", b""
    for name, tag in tags:
        entries += name + struct.pack(">II", start + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    header = bytearray(128)
    header[0:4], header[8:12] = struct.pack(">I", start + len(data)), struct.pack(">I", version)
    header[12:24], header[24:36] = kind + values + connection, struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    header[36:40], header[68:80] = b"acsp", fixed(D50)
    return bytes(header) + struct.pack(">I", len(tags)) + entries + data


def description(title: str, version: int) -> bytes:
    if version < VERSION_4:
        return b"desc" + bytes(4) + struct.pack(">I", len(title) + 1) + title.encode() + bytes(79)
    text = title.encode("utf-16be")
    return b"mluc" + bytes(4) + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(">II", len(text), 28) + text


def fixed(values) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + fixed(values)


def parametric(kind: int, parameters) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + fixed(parameters)


def srgb_curve() -> bytes:
    return parametric(3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))


def gamma(exponent: float) -> bytes:
    return parametric(0, (exponent,))


def table(light: numpy.ndarray) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">I", len(light)) + numpy.round(light * 65535).astype(">u2").tobytes()


def from_chromaticity(point) -> numpy.ndarray:
    x, y = point
    return numpy.array([x / y, 1, (1 - x - y) / y])


def to_d50(primaries) -> numpy.ndarray:
    """Columns: XYZ of full red, green and blue, adapted by Bradford."""
    *colors, white = primaries
    columns = numpy.stack([from_chromaticity(color) for color in colors], 1)
    columns = columns * numpy.linalg.solve(columns, from_chromaticity(white))
    bradford = numpy.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    scale = numpy.diag((bradford @ D50) / (bradford @ from_chromaticity(white)))
    return numpy.linalg.inv(bradford) @ scale @ bradford @ columns


def to_lab(values: numpy.ndarray) -> numpy.ndarray:
    x, y, z = (numpy.where(t > 216 / 24389, numpy.cbrt(t), (24389 / 27 * t + 16) / 116) for t in (values / D50).T)
    return numpy.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def light_to_lab(grid: numpy.ndarray) -> numpy.ndarray:
    return to_lab(grid**2 @ to_d50(DISPLAY_P3).T)


def ink_to_lab(grid: numpy.ndarray) -> numpy.ndarray:
    """A press of its own: each ink takes a part of the light, on paper that is not quite white."""
    passed = numpy.array([[0.05, 0.25, 0.65], [0.65, 0.06, 0.2], [0.9, 0.8, 0.03], [0.03, 0.03, 0.03]])
    light = 0.92 * numpy.prod(1 - grid[:, :, None] * (1 - passed), axis=1)
    return to_lab(light @ to_d50(BT709).T)


def grid_of(inputs: int, steps: int) -> numpy.ndarray:
    axes = numpy.meshgrid(*[numpy.linspace(0, 1, steps)] * inputs, indexing="ij")
    return numpy.stack(axes, -1).reshape(-1, inputs)


def lut16(to_lab_values, inputs: int, steps: int) -> bytes:
    lab = to_lab_values(grid_of(inputs, steps))
    coded = numpy.round((lab + [0, 128, 128]) * [652.8, 256, 256]).clip(0, 65535).astype(">u2").tobytes()
    line = numpy.array([0, 65535], ">u2").tobytes()
    header = b"mft2" + bytes(4) + bytes([inputs, 3, steps, 0]) + fixed(numpy.eye(3).ravel()) + struct.pack(">HH", 2, 2)
    return header + line * inputs + coded + line * 3


def lut8(to_lab_values, inputs: int, steps: int) -> bytes:
    lab = to_lab_values(grid_of(inputs, steps))
    coded = numpy.round((lab + [0, 128, 128]) * [2.55, 1, 1]).clip(0, 255).astype("u1").tobytes()
    header = b"mft1" + bytes(4) + bytes([inputs, 3, steps, 0]) + fixed(numpy.eye(3).ravel())
    return header + bytes(range(256)) * inputs + coded + bytes(range(256)) * 3
