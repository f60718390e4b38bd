"""How much better can the decoder get once the latents are fixed? Trains the decoder alone, its temporal branches still the identity.

    python finetune_decoder.py --state .train --minutes 6

Reads .train/vae, writes .train/vae_tuned. The encoder stays, so the cached latents and the UNet stay right. Started again, it
continues from .train/vae_tuned.
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor

from muon import Muon
from pictures import Pictures, read_photos
from speed import Workers, use_fast_group_norm
from train_vae import fit, to_tensor, validate
from vae import is_temporal, skip_temporal_branches

LEARNING_RATE = 1.5e-3
CROP = 96
WIDTH, HEIGHT = 192, 128
LATENT_NOISE = 0.1


def decoder_loss(vae, pictures: Tensor) -> tuple[Tensor, Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            latents = vae.encode(pictures).latent_dist.mode().float()
        decoded = vae.decode(latents + LATENT_NOISE * torch.randn_like(latents), num_frames=1).sample
    error = decoded.float() - pictures
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
    colour = functional.avg_pool2d(error, 8).abs().mean()
    square = error.pow(2).mean()
    return error.abs().mean() + 6 * square + 0.1 * edges + 0.5 * colour, square.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    skip_temporal_branches()
    use_fast_group_norm()
    target = arguments.state / "vae_tuned"
    source = target if target.exists() else arguments.state / "vae"
    vae = AutoencoderKLTemporalDecoder.from_pretrained(source).train()
    seed = 6 if source == target else 5
    torch.manual_seed(seed)
    for name, parameter in vae.named_parameters():
        parameter.requires_grad_(name.startswith("decoder") and not is_temporal(name))
    trained = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    averaged = copy.deepcopy(vae)
    optimiser, workers = Muon(trained, LEARNING_RATE), Workers(trained)
    _, held_out = read_photos(arguments.state / "photos" / "held-out")
    photos = to_tensor(np.stack([fit(photo, WIDTH, HEIGHT) for photo in held_out]))
    pictures = Pictures(arguments.state, seed=seed)
    print(f"before: {validate(averaged, photos)[0]:.2f} dB", flush=True)
    total, step, squares = arguments.minutes * 60, 0, []
    started = reported = time.monotonic()
    while (seconds := time.monotonic() - started) < total:
        factor = float(min(1, (step + 1) / 10) * (0.5 * (1 + np.cos(np.pi * seconds / total)) * 0.98 + 0.02))
        batch = to_tensor(np.stack([pictures.crop(CROP, CROP) for _ in range(4)]))
        squares += workers.gradients(lambda part: decoder_loss(vae, part), list(batch.tensor_split(2)))
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step(factor)
        step += 1
        with torch.no_grad():
            keep = min(0.98, (step + 1) / (step + 5))
            torch._foreach_lerp_(list(averaged.parameters()), list(vae.parameters()), 1 - keep)
        if time.monotonic() - reported > 60:
            reported = time.monotonic()
            train_psnr = -10 * np.log10(float(torch.stack(squares[-80:]).mean()) / 4)
            print(f"{seconds:.0f} s step {step} train {train_psnr:.2f} dB held-out {validate(averaged, photos)[0]:.2f} dB", flush=True)
            averaged.save_pretrained(target)
    averaged.save_pretrained(target)
    print(f"done: step {step} held-out {validate(averaged, photos)[0]:.2f} dB", flush=True)


if __name__ == "__main__":
    main()
