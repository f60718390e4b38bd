"""How does a training clip move? The camera goes forward: a zoom with a random drift and a slight roll, sometimes a nearer layer.

All clips move alike, each a little differently. Left to choose between quite different moves, a network this small chooses
differently in every part of the picture. A camera that goes forward also shows nothing that the first frame does not hold.

Speeds are in pixels a frame at the clip's own size. At 7 frames a second, motion bucket 255 is FASTEST, and the bucket is
proportional to the speed: 127 moves the picture by about 5 pixels over 8 frames, 255 by 10.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pictures import Pictures, recolour

WIDTH, HEIGHT, FRAMES = 192, 128, 8
FASTEST = 1.4
DRIFT, LARGEST_DRIFT = 0.35, 0.9  # of the zoom's mean displacement: deviation along each axis, and the most
ROLL = 0.1
PARALLAX_SHARE = 0.06
OVERSAMPLING = 2
MEAN_RADIUS = 0.385 * 0.5 * (WIDTH + HEIGHT)  # of the pixels, from the centre


@dataclass
class Clip:
    """Frames (frames, height, width, 3), uint8, and where a pixel of one frame (from the centre) lies in the next: x -> step @ (x, 1)."""

    frames: np.ndarray
    step: np.ndarray


def camera_step(random: np.random.Generator, speed: float) -> np.ndarray:
    """(3, 3), see step_matrix: a camera going forward, so that the mean displacement of a pixel is `speed`."""
    drift = random.normal(0, DRIFT, 2)
    drift *= min(1.0, LARGEST_DRIFT / np.hypot(*drift))
    roll = random.normal(0, ROLL)
    for_unit_speed = np.array([1 / MEAN_RADIUS, roll / MEAN_RADIUS, *drift])
    size = mean_flow(step_matrix(*(for_unit_speed * speed)), WIDTH, HEIGHT, -WIDTH / 2, -HEIGHT / 2)
    return step_matrix(*(for_unit_speed * speed * (speed / size if size > 0 else 0.0)))


def step_matrix(zoom: float, rotation: float, pan_x: float, pan_y: float) -> np.ndarray:
    """(3, 3): a pixel's place, from the centre, in the next frame."""
    scale = np.exp(zoom)
    cosine, sine = scale * np.cos(rotation), scale * np.sin(rotation)
    return np.array([[cosine, -sine, pan_x], [sine, cosine, pan_y], [0, 0, 1]])


def mean_flow(step: np.ndarray, width: int, height: int, left: float, top: float) -> float:
    """Mean displacement in pixels from one frame to the next over a window whose top left corner is given from the centre."""
    columns, rows = np.meshgrid(left + np.arange(width) + 0.5, top + np.arange(height) + 0.5)
    x = step[0, 0] * columns + step[0, 1] * rows + step[0, 2] - columns
    y = step[1, 0] * columns + step[1, 1] * rows + step[1, 2] - rows
    return float(np.hypot(x, y).mean())


def render(picture: np.ndarray, views: list[np.ndarray], scale: float, centre: tuple[float, float]) -> np.ndarray:
    """Frames of a picture: frame pixel x (from the centre) shows picture pixel centre + scale * view @ x."""
    width, height = WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING
    if scale > OVERSAMPLING:
        shrink = scale / OVERSAMPLING
        size = (max(1, round(picture.shape[1] / shrink)), max(1, round(picture.shape[0] / shrink)))
        centre = (centre[0] * size[0] / picture.shape[1], centre[1] * size[1] / picture.shape[0])
        scale = scale * size[0] / picture.shape[1]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    frames = []
    for view in views:
        matrix = scale * view[:2] / OVERSAMPLING
        matrix[:, 2] *= OVERSAMPLING
        matrix[:, 2] += np.array(centre) - matrix[:, :2] @ [width / 2 - 0.5, height / 2 - 0.5]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        large = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
        frames.append(cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
    return np.stack(frames)


def add_nearer_layer(random: np.random.Generator, frames: np.ndarray, other: np.ndarray, step: np.ndarray) -> np.ndarray:
    """An ellipse of another picture that moves 1.5 times as far."""
    other = cv2.resize(other, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    centre = (int(random.uniform(0.2, 0.8) * WIDTH), int(random.uniform(0.5, 1.0) * HEIGHT))
    axes = (int(random.uniform(0.08, 0.22) * WIDTH), int(random.uniform(0.12, 0.35) * HEIGHT))
    cv2.ellipse(mask, centre, axes, random.uniform(0, 180), 0, 360, 1, -1, cv2.LINE_AA)
    middle = np.array([WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5])
    result = []
    for index, frame in enumerate(frames):
        matrix = np.eye(3) + 1.5 * (np.linalg.matrix_power(step, index) - np.eye(3))
        matrix[:2, 2] += middle - matrix[:2, :2] @ middle
        layer = cv2.warpAffine(other, matrix[:2], (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        opacity = cv2.warpAffine(mask, matrix[:2], (WIDTH, HEIGHT))[..., None]
        result.append((frame * (1 - opacity) + layer * opacity).astype(np.uint8))
    return np.stack(result)


def make_clip(pictures: Pictures) -> Clip:
    """A clip of random picture, place, scale, colours, motion and speed."""
    random = pictures.random
    picture = pictures.choose()
    if random.uniform() < 0.5:
        picture = picture[:, ::-1]
    picture = recolour(random, picture) if random.uniform() < 0.5 else np.ascontiguousarray(picture)
    speed = 0.0 if random.uniform() < 0.03 else random.uniform(0.04, 1.0) * FASTEST
    step = camera_step(random, speed)
    views = [np.linalg.inv(np.linalg.matrix_power(step, index)) for index in range(FRAMES)]
    largest = min(picture.shape[1] / WIDTH, picture.shape[0] / HEIGHT)
    scale = np.exp(random.uniform(np.log(min(1.0, largest)), np.log(largest)))
    half_width, half_height = scale * WIDTH / 2, scale * HEIGHT / 2
    centre = (
        random.uniform(half_width, max(half_width, picture.shape[1] - half_width)),
        random.uniform(half_height, max(half_height, picture.shape[0] - half_height)),
    )
    frames = render(picture, views, scale, centre)
    if random.uniform() < PARALLAX_SHARE:
        frames = add_nearer_layer(random, frames, pictures.choose(), step)
    return Clip(frames, step)
