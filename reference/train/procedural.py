"""What do the procedural scenes look like? Gradients, noise, flat and striped shapes in saturated colours, made from a seed.

    python procedural.py --state .train --count 400
"""

import argparse
import colorsys
from pathlib import Path

import cv2
import numpy as np

SIZE = 320


def saturated_colour(random: np.random.Generator) -> np.ndarray:
    """An RGB colour in 0..255, most often a strong one: photographs alone hold few pure reds, greens and blues."""
    hue, saturation, value = random.uniform(), random.beta(2.5, 1.0), random.beta(2.5, 1.2)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32) * 255


def power_law_noise(random: np.random.Generator, size: int, exponent: float) -> np.ndarray:
    """Noise whose amplitude falls with frequency to the given exponent, as that of photographs does; zero mean, unit deviation."""
    vertical = np.fft.fftfreq(size)[:, None]
    horizontal = np.fft.rfftfreq(size)[None]
    amplitude = 1 / np.maximum(np.hypot(vertical, horizontal), 1 / size) ** exponent
    spectrum = amplitude * (random.normal(size=amplitude.shape) + 1j * random.normal(size=amplitude.shape))
    noise = np.fft.irfft2(spectrum, (size, size))
    return ((noise - noise.mean()) / (noise.std() + 1e-6)).astype(np.float32)


def background(random: np.random.Generator, size: int) -> np.ndarray:
    """A gradient between two colours, half of the time with coloured noise on it."""
    rows, columns = (np.mgrid[0:size, 0:size] / size).astype(np.float32)
    angle = random.uniform(0, 2 * np.pi)
    ramp = (np.cos(angle) * (columns - 0.5) + np.sin(angle) * (rows - 0.5)) * random.uniform(0.7, 1.5) + 0.5
    ramp = np.clip(ramp, 0, 1)[..., None]
    picture = saturated_colour(random) * (1 - ramp) + saturated_colour(random) * ramp
    if random.uniform() < 0.5:
        noise = power_law_noise(random, size, random.uniform(1.0, 2.0))[..., None]
        picture = picture + noise * random.normal(size=3).astype(np.float32) * 30
    return np.clip(picture, 0, 255).astype(np.uint8)


def draw_shape(random: np.random.Generator, picture: np.ndarray, radius: float) -> None:
    """One ellipse or polygon, flat, striped or shaded, drawn into the picture inside its own small window."""
    size = picture.shape[0]
    centre = random.uniform(0, size, 2)
    reach = int(radius) + 2
    left, right = max(0, int(centre[0]) - reach), min(size, int(centre[0]) + reach + 1)
    top, bottom = max(0, int(centre[1]) - reach), min(size, int(centre[1]) + reach + 1)
    if right - left < 2 or bottom - top < 2:
        return
    mask = np.zeros((bottom - top, right - left), np.uint8)
    middle = (int(centre[0]) - left, int(centre[1]) - top)
    if random.uniform() < 0.4:
        axes = (int(radius), max(1, int(radius * random.uniform(0.4, 1))))
        cv2.ellipse(mask, middle, axes, random.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    else:
        angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 7)))
        corners = np.stack([middle[0] + radius * np.cos(angles), middle[1] + radius * np.sin(angles)], 1)
        cv2.fillPoly(mask, [corners.astype(np.int32)], 255, cv2.LINE_AA)
    opacity = (mask.astype(np.float32) / 255)[..., None]
    fill = np.broadcast_to(saturated_colour(random), (*mask.shape, 3))
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32) / size
    kind = random.uniform()
    if kind < 0.3:
        angle = random.uniform(0, 2 * np.pi)
        wave = np.sin((np.cos(angle) * columns + np.sin(angle) * rows) * random.uniform(10, 120))
        fill = fill * (1 + random.uniform(0.1, 0.6) * wave[..., None])
    elif kind < 0.6:
        fill = fill * (0.6 + 0.8 * (rows - rows.min()) * size / (2 * reach))[..., None]
    window = picture[top:bottom, left:right]
    picture[top:bottom, left:right] = (window * (1 - opacity) + np.clip(fill, 0, 255) * opacity).astype(np.uint8)


def procedural_scene(random: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """A picture (size, size, 3), uint8: a few large shapes, or many whose sizes follow a power law (dead leaves)."""
    picture = background(random, size)
    if random.uniform() < 0.7:
        for _ in range(random.integers(4, 14)):
            draw_shape(random, picture, random.uniform(size * 0.05, size * 0.35))
    else:
        for _ in range(random.integers(60, 220)):
            draw_shape(random, picture, float(np.clip(size * 0.03 / np.sqrt(random.uniform(0.003, 1)), 3, size * 0.2)))
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    parser.add_argument("--count", type=int, default=400)
    arguments = parser.parse_args()
    random = np.random.default_rng(1)
    scenes = np.stack([procedural_scene(random) for _ in range(arguments.count)])
    np.save(arguments.state / "procedural.npy", scenes)
    sheet = np.vstack([np.hstack(scenes[row : row + 7]) for row in range(0, 21, 7)])
    cv2.imwrite(str(arguments.state / "procedural.png"), sheet[..., ::-1])


if __name__ == "__main__":
    main()
