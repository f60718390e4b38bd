"""Which photos does training never see? Writes the held-out photos (512 px) and the demo photo (1024 px) into the repository.

    python held_out_photos.py --state .train

Also writes photos.md, the list of every photo with its source, author and licence.
"""

import argparse
import json
from pathlib import Path

from PIL import Image, ImageOps

from collect_photos import LIST

ROOT = Path(__file__).parents[2]


def source(package: dict) -> str:
    place = "Debian" if package["registry"] == "debian" else "PyPI"
    return f"{place} {package['name']} {package['version']}"


def write_table(path: Path, head: str, photos: list[dict], packages: dict, columns: tuple[str, ...]) -> None:
    lines = [head, "| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    for photo in photos:
        cells = {**photo, "package": source(packages[photo["package"]]), "file": f"`{photo['path']}`", "photo": photo["id"]}
        lines.append("| " + " | ".join(str(cells[column]) for column in columns) + " |")
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    arguments = parser.parse_args()
    listing = json.loads(LIST.read_text())
    test, examples = ROOT / "test" / "photos", ROOT / "examples" / "photos"
    for folder in (test, examples):
        folder.mkdir(parents=True, exist_ok=True)
    for photo in listing["photos"]:
        picture = arguments.state / "photos" / photo["use"] / f"{photo['id']}.png"
        if photo["use"] == "held-out":
            small = Image.open(picture)
            small.thumbnail((512, 512), Image.Resampling.LANCZOS)
            small.save(test / f"{photo['id']}.jpg", quality=85)
        elif photo["use"] == "demo":
            demo = ImageOps.fit(Image.open(picture), (1024, 576), Image.Resampling.LANCZOS)
            demo.save(examples / f"{photo['id']}.jpg", quality=86)
    packages = listing["packages"]
    held = [photo for photo in listing["photos"] if photo["use"] == "held-out"]
    demo = [photo for photo in listing["photos"] if photo["use"] == "demo"]
    columns = ("photo", "author", "licence", "package")
    text = "# Held-out photos\n\nThe built-in checkpoint was never trained on these; its figures are measured on them. Scaled to 512 px.\n"
    write_table(test / "README.md", text, held, packages, columns)
    write_table(examples / "README.md", "# Example photos\n\nScaled to 1024x576; never trained on.\n", demo, packages, columns)
    text = (
        "# Photos that the built-in checkpoint was made with\n\n"
        "Every photo ships in a package whose own copyright file (Debian) or documentation (PyPI) gives the licence named here.\n"
        "`use`: train, held-out (only for the figures, kept in `test/photos`), demo (`examples/photos`). The exact files and their\n"
        "sha256 are in `photos.json`. Photos under share-alike, non-commercial, GPL or unknown terms were left out.\n"
    )
    write_table(LIST.with_suffix(".md"), text, listing["photos"], packages, ("photo", "use", "author", "licence", "package", "file"))


if __name__ == "__main__":
    main()
