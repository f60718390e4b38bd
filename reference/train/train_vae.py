"""How is the autoencoder trained? On single pictures, in bfloat16 on two cores, resumable from its last checkpoint.

    python train_vae.py --state .train --minutes 30
    python train_vae.py --state .train --minutes 60     (continues, with the schedule stretched to 60 minutes in all)

Writes .train/vae (averaged weights) and .train/vae.pt (everything that continuing needs).
"""

import argparse
import copy
import queue
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from muon import Muon
from pictures import Pictures, read_photos
from resume import Resumable, average
from speed import Workers, use_fast_group_norm
from vae import build_vae, is_temporal, skip_temporal_branches

LEARNING_RATE = 4e-3
SMALL, LARGE = (8, 64, 64), (2, 128, 128)
LARGE_SHARE = 0.3
WIDTH, HEIGHT = 256, 160


def fit(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The largest centred part of that aspect, resized."""
    rows, columns = picture.shape[:2]
    scale = min(rows / height, columns / width)
    top, left = int((rows - height * scale) / 2), int((columns - width * scale) / 2)
    part = picture[top : top + int(height * scale), left : left + int(width * scale)]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 (count, height, width, 3) -> float in [-1, 1] (count, 3, height, width)"""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def validate(vae, photos: Tensor) -> tuple[float, float]:
    """Mean PSNR in dB of the held-out photos, and the deviation of their latents."""
    psnr, deviation = [], []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for photo in photos.split(4):
            latents = vae.encode(photo).latent_dist.mode()
            decoded = vae.decode(latents, num_frames=1).sample.float().clamp(-1, 1)
            psnr.append(-10 * torch.log10(((decoded - photo) / 2).pow(2).mean((1, 2, 3))))
            deviation.append(latents.float().std())
    return float(torch.cat(psnr).mean()), float(torch.stack(deviation).mean())


def reconstruction_loss(vae, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and the mean square error alone."""
    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(pictures).latent_dist
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
        latents = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        decoded = vae.decode(latents, num_frames=1).sample
    error = decoded.float() - pictures
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
    colour = functional.avg_pool2d(error, 8).abs().mean()
    square = error.pow(2).mean()
    return error.abs().mean() + 4 * square + 0.15 * edges + 0.5 * colour + 1e-4 * divergence, square.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=30, help="training time in all, earlier runs included")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    skip_temporal_branches()
    use_fast_group_norm()
    vae = build_vae()
    for name, parameter in vae.named_parameters():
        parameter.requires_grad_(not is_temporal(name))
    trained = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    averaged = copy.deepcopy(vae)
    optimiser = Muon(trained, LEARNING_RATE)
    workers = Workers(trained)
    state = Resumable(arguments.state / "vae.pt", 0, vae=vae, averaged=averaged, optimiser=optimiser)

    def save() -> None:
        averaged.save_pretrained(arguments.state / "vae")
        state.save()

    _, held_out = read_photos(arguments.state / "photos" / "held-out")
    photos = to_tensor(np.stack([fit(photo, WIDTH, HEIGHT) for photo in held_out]))
    pictures = Pictures(arguments.state, seed=state.seed)
    batches: queue.Queue = queue.Queue(8)
    size = [SMALL]

    def feed() -> None:
        while True:
            count, height, width = size[0]
            batches.put(np.stack([pictures.crop(height, width) for _ in range(count)]))

    threading.Thread(target=feed, daemon=True).start()
    total = arguments.minutes * 60
    started, reported, squares = time.monotonic() - state.seconds, time.monotonic(), []
    while state.seconds < total:
        share = state.seconds / total
        size[0] = LARGE if share > 1 - LARGE_SHARE else SMALL
        factor = float(min(1, (state.step + 1) / 40) * (0.5 * (1 + np.cos(np.pi * share)) * 0.97 + 0.03))
        batch = to_tensor(batches.get())
        parts = batch.tensor_split(2)
        extra = workers.gradients(lambda part: reconstruction_loss(vae, part), parts)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step(factor)
        state.step, state.seconds = state.step + 1, time.monotonic() - started
        squares.append(torch.stack(extra).mean().item())
        average(averaged, vae, state.step, warm_up=10, longest=0.996)
        if time.monotonic() - reported > 60:
            reported = time.monotonic()
            psnr, deviation = validate(averaged, photos)
            train_psnr = -10 * np.log10(np.mean(squares[-100:]) / 4)
            print(f"{state.seconds:.0f} s step {state.step} train {train_psnr:.2f} dB held-out {psnr:.2f} dB latents {deviation:.2f}", flush=True)
            save()
    psnr, deviation = validate(averaged, photos)
    print(f"done: step {state.step} held-out {psnr:.2f} dB latents {deviation:.2f}", flush=True)
    save()


if __name__ == "__main__":
    main()
