"""Which camera motion turns a photo into a frame? The best zoom, rotation and pan of the whole picture, by least squares."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import minimize

STARTS = [(0, 0, 0, 0), (4, 0, 0, 0), (8, 0, 0, 0), (-4, 0, 0, 0), (0, 0, 5, 0), (0, 0, -5, 0), (0, 0, 0, 5), (0, 0, 0, -5)]


@dataclass
class Fit:
    parameters: np.ndarray  # zoom and rotation as displacement at the mean radius, pan x, pan y, all in pixels
    moved_psnr: float  # dB, the moved photo against the frame, where the moved photo covers it
    still_psnr: float  # dB, the photo itself over the same pixels
    displacement: np.ndarray  # (height, width, 2): how far each pixel moved


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """dB between pictures in [0, 1]."""
    return float(-10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2) + 1e-12))


def motion_matrix(parameters: np.ndarray, width: int, height: int) -> np.ndarray:
    """(2, 3): photo pixel -> frame pixel"""
    radius = 0.385 * 0.5 * (width + height)
    scale, angle = np.exp(parameters[0] / radius), parameters[1] / radius
    matrix = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]) * scale
    middle = np.array([width / 2 - 0.5, height / 2 - 0.5])
    matrix[:, 2] = middle - matrix[:, :2] @ middle + parameters[2:]
    return matrix


def move(photo: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The moved photo (height, width, 3) and which pixels of it are covered (height, width)."""
    height, width = photo.shape[:2]
    matrix = motion_matrix(parameters, width, height)
    moved = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    covered = cv2.warpAffine(np.ones((height, width), np.float32), matrix, (width, height)) > 0.999
    return moved, covered


def fit_motion(photo: np.ndarray, frame: np.ndarray) -> Fit:
    """Coarse starts on blurred pictures, then Powell's method on the pictures themselves; float32 RGB in [0, 1]."""
    photo, frame = photo.astype(np.float32), frame.astype(np.float32)

    def error(parameters: np.ndarray, source: np.ndarray, target: np.ndarray) -> float:
        moved, covered = move(source, parameters)
        return float(((moved - target) ** 2).mean(-1)[covered].mean()) if covered.mean() > 0.5 else 1.0

    blurred = [cv2.GaussianBlur(picture, (0, 0), 2.5) for picture in (photo, frame)]
    found = [minimize(error, start, args=tuple(blurred), method="Nelder-Mead", options={"maxfev": 160}) for start in STARTS]
    best = sorted(found, key=lambda result: result.fun)[:2]
    fine = [minimize(error, result.x, args=(photo, frame), method="Powell", options={"xtol": 0.02}) for result in best]
    parameters = min(fine, key=lambda result: result.fun).x
    moved, covered = move(photo, parameters)
    height, width = photo.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    matrix = motion_matrix(parameters, width, height)
    displacement = grid @ matrix[:, :2].T + matrix[:, 2] - grid
    return Fit(parameters, psnr(moved[covered], frame[covered]), psnr(photo[covered], frame[covered]), displacement)
