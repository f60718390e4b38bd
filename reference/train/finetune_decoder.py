"""How much better can the decoder get once the latents are fixed? Trains the decoder alone, its temporal branches still the identity.

    python finetune_decoder.py --state .train --minutes 6

Reads .train/vae, writes .train/vae_tuned. The encoder stays, so the cached latents and the UNet stay right. May be
killed and started again (.train/vae_tuned.pt).
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
from resume import Resumable, average
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
    parser.add_argument("--minutes", type=float, default=6, help="training time in all, earlier runs included")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    skip_temporal_branches()
    use_fast_group_norm()
    vae = AutoencoderKLTemporalDecoder.from_pretrained(arguments.state / "vae").train()
    for name, parameter in vae.named_parameters():
        parameter.requires_grad_(name.startswith("decoder") and not is_temporal(name))
    trained = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    averaged = copy.deepcopy(vae)
    optimiser, workers = Muon(trained, LEARNING_RATE), Workers(trained)
    state = Resumable(arguments.state / "vae_tuned.pt", 5, vae=vae, averaged=averaged, optimiser=optimiser)

    def save() -> None:
        averaged.save_pretrained(arguments.state / "vae_tuned")
        state.save()

    _, held_out = read_photos(arguments.state / "photos" / "held-out")
    photos = to_tensor(np.stack([fit(photo, WIDTH, HEIGHT) for photo in held_out]))
    pictures = Pictures(arguments.state, seed=state.seed)
    print(f"before: {validate(averaged, photos)[0]:.2f} dB", flush=True)
    total, squares = arguments.minutes * 60, []
    started, reported = time.monotonic() - state.seconds, time.monotonic()
    while state.seconds < total:
        factor = float(min(1, (state.step + 1) / 10) * (0.5 * (1 + np.cos(np.pi * state.seconds / total)) * 0.98 + 0.02))
        batch = to_tensor(np.stack([pictures.crop(CROP, CROP) for _ in range(4)]))
        squares += workers.gradients(lambda part: decoder_loss(vae, part), list(batch.tensor_split(2)))
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step(factor)
        state.step, state.seconds = state.step + 1, time.monotonic() - started
        average(averaged, vae, state.step, warm_up=5, longest=0.98)
        if time.monotonic() - reported > 60:
            reported = time.monotonic()
            train_psnr = -10 * np.log10(float(torch.stack(squares[-80:]).mean()) / 4)
            print(f"{state.seconds:.0f} s step {state.step} train {train_psnr:.2f} dB held-out {validate(averaged, photos)[0]:.2f} dB", flush=True)
            save()
    save()
    print(f"done: step {state.step} held-out {validate(averaged, photos)[0]:.2f} dB", flush=True)


if __name__ == "__main__":
    main()
