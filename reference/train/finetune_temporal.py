"""How steady can the decoder make a clip? Trains its temporal branches to decode what sampling gives into what moved.

    python finetune_temporal.py --state .train --minutes 15

A sampled clip's latents differ a little from frame to frame where they should not. So the branches learn from latents that the UNet
has sampled again from a moderate noise level, at which the motion is already decided, and from the true frames. Reads
.train/vae, .train/unet, .train/image_encoder and .train/latents; writes .train/vae_steady. May be killed and started again
(.train/vae_steady.pt).
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor

from cache_latents import SHARD
from clips import FRAMES, make_clip
from muon import Muon
from pictures import Pictures
from resume import Resumable, average
from speed import Workers, use_fast_group_norm, use_flat_temporal_convolution
from train_unet import VALIDATION_CLIPS, LatentClips, denoised, read_models
from train_vae import to_tensor
from vae import is_temporal

LEARNING_RATE = 1e-3
WINDOW = (16, 24)
MARGIN = 2
CLIPS_PER_STEP = 4
RESAMPLED_FROM = (0.25, 1.2)
STEPS = 3
DIFFERENCE_WEIGHT = 2.0


def resample(unet, image_encoder, clips: LatentClips, random: np.random.Generator, clip: int) -> Tensor:
    """(frames, 4, rows, columns), scaled: the clip's latents after noise from RESAMPLED_FROM and a few Euler steps."""
    top = float(np.exp(random.uniform(*np.log(RESAMPLED_FROM))))
    levels = [*np.geomspace(top, 0.03, STEPS), 0.0]
    batch = clips.batch(random, [clip], np.array([top]))
    batch.keep_latent[:] = 1
    batch.keep_embedding[:] = 1
    x = batch.latents + top * torch.randn_like(batch.latents)
    with torch.no_grad():
        for sigma, following in zip(levels[:-1], levels[1:], strict=True):
            batch.sigmas = torch.full((1,), float(sigma))
            x = x + (following - sigma) * (x - denoised(unet, image_encoder, batch, x)) / sigma
    return x[0]


def make_pairs(state: Path, count: int) -> None:
    """Writes .train/resampled.pt: latents as sampling gives them, and the frames they should become."""
    unet, image_encoder = (model.eval() for model in read_models(state))
    clips, random = LatentClips(state / "latents"), np.random.default_rng(11)
    torch.manual_seed(11)
    latents, frames = [], []
    for shard in range(-(-count // SHARD)):
        pictures = Pictures(state, seed=1000 + shard)  # the same clips as in the shard
        for index in range(SHARD):
            frames.append(torch.from_numpy(make_clip(pictures).frames))
            latents.append((resample(unet, image_encoder, clips, random, shard * SHARD + index) / clips.scaling_factor).half())
        print(f"{(shard + 1) * SHARD} clips resampled", flush=True)
    torch.save({"latents": torch.stack(latents), "frames": torch.stack(frames)}, state / "resampled.new")
    (state / "resampled.new").rename(state / "resampled.pt")


def decoding_loss(vae, part: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean absolute error of the frames and of the differences between them; and the second over first difference."""
    latents, frames = part  # (frames, 4, rows, columns), (frames, 3, height, width)
    with torch.autocast("cpu", torch.bfloat16):
        decoded = vae.decode(latents, num_frames=FRAMES).sample
    edge = 4 * MARGIN
    inner = decoded.float()[:, :, edge:-edge, edge:-edge]
    error = inner - frames[:, :, edge:-edge, edge:-edge]
    first, second = inner.detach().diff(dim=0), inner.detach().diff(n=2, dim=0)
    unsteady = error.diff(dim=0).abs().mean()
    loss = error.abs().mean() + 4 * error.pow(2).mean() + DIFFERENCE_WEIGHT * unsteady
    return loss, torch.stack([error.detach().pow(2).mean(), second.abs().mean() / first.abs().mean()])


def crop(random: np.random.Generator, latents: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    top, left = (int(random.integers(whole - part + 1)) for whole, part in zip(latents.shape[2:], WINDOW, strict=True))
    rows, columns = WINDOW
    frames = frames[:, 4 * top : 4 * (top + rows), 4 * left : 4 * (left + columns)]
    return latents[:, :, top : top + rows, left : left + columns].float(), to_tensor(frames.numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    parser.add_argument("--vae", default="vae", help="vae, or vae_tuned after finetune_decoder.py")
    parser.add_argument("--minutes", type=float, default=15, help="training time in all, earlier runs included")
    parser.add_argument("--clips", type=int, default=400, help="clips that are sampled again")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    use_fast_group_norm()
    use_flat_temporal_convolution()
    if not (arguments.state / "resampled.pt").exists():
        make_pairs(arguments.state, arguments.clips)
    pairs = torch.load(arguments.state / "resampled.pt")
    vae = AutoencoderKLTemporalDecoder.from_pretrained(arguments.state / arguments.vae).train()
    for name, parameter in vae.named_parameters():
        parameter.requires_grad_(is_temporal(name))
    trained = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    averaged = copy.deepcopy(vae)
    optimiser, workers = Muon(trained, LEARNING_RATE), Workers(trained)
    state = Resumable(arguments.state / "vae_steady.pt", 7, vae=vae, averaged=averaged, optimiser=optimiser)
    random = np.random.default_rng(state.seed)

    def parts(chosen: list[int], draw: np.random.Generator) -> list[tuple[Tensor, Tensor]]:
        return [crop(draw, pairs["latents"][clip], pairs["frames"][clip]) for clip in chosen]

    def validate() -> str:
        held = parts(list(range(VALIDATION_CLIPS)), np.random.default_rng(7))
        with torch.no_grad():
            square, ratio = torch.stack([decoding_loss(averaged, part)[1] for part in held]).mean(0).tolist()
        return f"left out: {-10 * np.log10(square / 4):.2f} dB, second over first difference {ratio:.3f}"

    def save() -> None:
        averaged.save_pretrained(arguments.state / "vae_steady")
        state.save()

    print(f"before: {validate()}", flush=True)
    total = arguments.minutes * 60
    started, reported = time.monotonic() - state.seconds, time.monotonic()
    while state.seconds < total:
        factor = float(min(1, (state.step + 1) / 20) * (0.5 * (1 + np.cos(np.pi * state.seconds / total)) * 0.98 + 0.02))
        chosen = random.integers(VALIDATION_CLIPS, len(pairs["latents"]), CLIPS_PER_STEP).tolist()
        workers.gradients(lambda part: decoding_loss(vae, part), parts(chosen, random))
        torch.nn.utils.clip_grad_norm_([p for p in trained if p.grad is not None], 1.0)
        optimiser.step(factor)
        state.step, state.seconds = state.step + 1, time.monotonic() - started
        average(averaged, vae, state.step, warm_up=10, longest=0.98)
        if time.monotonic() - reported > 60:
            reported = time.monotonic()
            print(f"{state.seconds:.0f} s step {state.step} {validate()}", flush=True)
            save()
    print(f"done: step {state.step} {validate()}", flush=True)
    save()


if __name__ == "__main__":
    main()
