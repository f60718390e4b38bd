"""Which picture is trained on next? Random crops of the photos and procedural scenes, with colour augmentation."""

from pathlib import Path

import cv2
import numpy as np

PROCEDURAL_SHARE = 0.25
LOW_WEIGHT = {
    "saturnian-profile": 0.2,
    "hubble-deep-field": 0.2,
    "retina": 0.2,
    "valley-midnight": 0.2,
    "waves-midnight": 0.2,
    "umang": 0.3,
    "grass": 0.4,
    "gravel": 0.4,
    "brick": 0.4,
    "piazza-gae-aulenti": 0.5,
}
cv2.setNumThreads(1)


def read_photos(folder: Path) -> tuple[list[str], list[np.ndarray]]:
    """Names and RGB pictures (height, width, 3), uint8, in the order of their names."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
    return [path.stem for path in files], [cv2.imread(str(path))[..., ::-1].copy() for path in files]


class Pictures:
    """The training pictures in memory, and a random stream of choices from them."""

    def __init__(self, state: Path, seed: int):
        self.random = np.random.default_rng(seed)
        names, self.photos = read_photos(state / "photos" / "train")
        weights = np.array([LOW_WEIGHT.get(name, 1.0) for name in names])
        self.weights = weights / weights.sum()
        self.scenes = np.load(state / "procedural.npy")

    def choose(self) -> np.ndarray:
        """A whole picture (height, width, 3), uint8."""
        if self.random.uniform() < PROCEDURAL_SHARE:
            return self.scenes[self.random.integers(len(self.scenes))]
        return self.photos[self.random.choice(len(self.photos), p=self.weights)]

    def crop(self, height: int, width: int) -> np.ndarray:
        """A crop (height, width, 3), uint8, of random place and scale, mirrored and recoloured at random."""
        picture = self.choose()
        largest = min(picture.shape[0] / height, picture.shape[1] / width)
        scale = np.exp(self.random.uniform(np.log(min(0.8, largest)), np.log(largest)))
        rows, columns = int(height * scale), int(width * scale)
        top = self.random.integers(0, picture.shape[0] - rows + 1)
        left = self.random.integers(0, picture.shape[1] - columns + 1)
        filter = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
        crop = cv2.resize(picture[top : top + rows, left : left + columns], (width, height), interpolation=filter)
        if self.random.uniform() < 0.5:
            crop = crop[:, ::-1]
        return recolour(self.random, crop) if self.random.uniform() < 0.7 else np.ascontiguousarray(crop)


def recolour(random: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Swapped channels, other saturation, gains and offset: a few dozen photos do not hold every colour."""
    pixels = picture.astype(np.float32)
    if random.uniform() < 0.5:
        pixels = pixels[..., random.permutation(3)]
    grey = pixels.mean(-1, keepdims=True)
    pixels = grey + (pixels - grey) * random.choice([0.0, 0.6, 1.0, 1.4, 1.8], p=[0.05, 0.1, 0.35, 0.3, 0.2])
    pixels = pixels * random.uniform(0.75, 1.2, 3).astype(np.float32) + np.float32(random.uniform(-20, 20))
    return np.clip(pixels, 0, 255).astype(np.uint8)
