"""Do the latents move as the picture moves? Fine-tunes the autoencoder so that warped latents are the latents of the warped picture.

    python finetune_equivariance.py --state .train --minutes 10

A moving picture is then latents that slide, which a small UNet learns quickly; latents of an autoencoder trained on pictures alone
change their pattern at every shift by a fraction of a latent pixel. (The idea: EQ-VAE, arXiv:2502.09509; here with sub-pixel shifts
and zooms, and with the two latents compared directly.) Reads and replaces .train/vae; the one before is kept as .train/vae_first.
May be killed and started again (.train/vae_moved.pt).
"""

import argparse
import copy
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor

from muon import Muon
from pictures import Pictures, read_photos
from resume import Resumable, average
from speed import Workers, use_fast_group_norm
from train_vae import fit, to_tensor, validate
from vae import is_temporal, skip_temporal_branches

LEARNING_RATE = 1.2e-3
CROP = 80
MARGIN = 2
CONSISTENCY_WEIGHT = 0.15
WIDTH, HEIGHT = 192, 128


def random_warp(count: int, pixels: int) -> Tensor:
    """(count, 2, 3) for affine_grid: shifts of up to 5 pixels, zooms and turns of up to 8 %."""
    matrices = torch.zeros(count, 2, 3)
    scale, turn = torch.exp(0.16 * (torch.rand(count) - 0.5)), 0.16 * (torch.rand(count) - 0.5)
    matrices[:, 0, 0], matrices[:, 1, 1] = scale, scale
    matrices[:, 0, 1], matrices[:, 1, 0] = -turn, turn
    matrices[:, :, 2] = (torch.rand(count, 2) - 0.5) * 20 / pixels
    return matrices


def warp(x: Tensor, matrices: Tensor) -> Tensor:
    grid = functional.affine_grid(matrices, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def inside(x: Tensor, margin: int) -> Tensor:
    return x[:, :, margin:-margin, margin:-margin]


def inconsistency(moved: Tensor, encoded: Tensor) -> Tensor:
    """Mean square difference of the two latents as a share of their variance."""
    a, b = inside(moved, MARGIN), inside(encoded, MARGIN)
    return (a - b).pow(2).mean() / (0.5 * (a.var() + b.var()))


def warped_loss(vae, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction from warped latents for half of the pictures, plain for the rest; and the latents' inconsistency."""
    matrices = random_warp(len(pictures), CROP)
    plain = len(pictures) // 2
    target = warp(pictures, matrices)
    with torch.autocast("cpu", torch.bfloat16):
        both = vae.encode(torch.cat([pictures, target])).latent_dist
        mean, log_variance = both.mean.float(), both.logvar.float()
        first, second = mean.chunk(2)
        moved = warp(first, matrices)
        latents = torch.cat([second[:plain], moved[plain:]])
        latents = latents + torch.exp(0.5 * log_variance[len(pictures) :]) * torch.randn_like(latents)
        decoded = vae.decode(latents, num_frames=1).sample
    error = inside(decoded.float() - target, 4 * MARGIN)
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
    colour = functional.avg_pool2d(error, 8).abs().mean()
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    apart = inconsistency(moved, second)
    square = error.pow(2).mean()
    loss = error.abs().mean() + 4 * square + 0.15 * edges + 0.5 * colour + 1e-4 * divergence + CONSISTENCY_WEIGHT * apart
    return loss, torch.stack([error[:plain].detach().pow(2).mean(), apart.detach()])


def validate_consistency(vae, photos: Tensor) -> float:
    torch_state = torch.get_rng_state()
    torch.manual_seed(3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        matrices = random_warp(len(photos), WIDTH // 2)
        matrices[:, :, 2] *= 0.5
        moved = warp(vae.encode(photos).latent_dist.mode().float(), matrices)
        encoded = vae.encode(warp(photos, matrices)).latent_dist.mode().float()
    torch.set_rng_state(torch_state)
    return float(inconsistency(moved, encoded))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=10, help="training time in all, earlier runs included")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    skip_temporal_branches()
    use_fast_group_norm()
    first = arguments.state / "vae_first"
    if not first.exists():
        shutil.copytree(arguments.state / "vae", first)
    vae = AutoencoderKLTemporalDecoder.from_pretrained(first).train()
    for name, parameter in vae.named_parameters():
        parameter.requires_grad_(not is_temporal(name))
    trained = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    averaged = copy.deepcopy(vae)
    optimiser, workers = Muon(trained, LEARNING_RATE), Workers(trained)
    state = Resumable(arguments.state / "vae_moved.pt", 4, vae=vae, averaged=averaged, optimiser=optimiser)

    def save() -> None:
        averaged.save_pretrained(arguments.state / "vae")
        state.save()

    _, held_out = read_photos(arguments.state / "photos" / "held-out")
    photos = to_tensor(np.stack([fit(photo, WIDTH, HEIGHT) for photo in held_out]))
    pictures = Pictures(arguments.state, seed=99 + state.seed)
    total, results = arguments.minutes * 60, []
    started, reported = time.monotonic() - state.seconds, time.monotonic()
    print(f"before: {validate(averaged, photos)[0]:.2f} dB, inconsistency {validate_consistency(averaged, photos):.3f}", flush=True)
    while state.seconds < total:
        share = state.seconds / total
        factor = float(min(1, (state.step + 1) / 15) * (0.5 * (1 + np.cos(np.pi * share)) * 0.98 + 0.02))
        batch = to_tensor(np.stack([pictures.crop(CROP, CROP) for _ in range(6)]))
        results += workers.gradients(lambda part: warped_loss(vae, part), list(batch.tensor_split(2)))
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step(factor)
        state.step, state.seconds = state.step + 1, time.monotonic() - started
        average(averaged, vae, state.step, warm_up=5, longest=0.98)
        if time.monotonic() - reported > 60 or state.seconds >= total:
            reported = time.monotonic()
            square, apart = torch.stack(results[-60:]).mean(0).tolist()
            psnr, deviation = validate(averaged, photos)
            text = f"{state.seconds:.0f} s step {state.step} train {-10 * np.log10(square / 4):.2f} dB, {apart:.3f}"
            print(f"{text} held-out {psnr:.2f} dB, {validate_consistency(averaged, photos):.3f} latents {deviation:.2f}", flush=True)
            save()
    print("done", flush=True)


if __name__ == "__main__":
    main()
