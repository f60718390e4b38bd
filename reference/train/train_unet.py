"""How are the UNet and the image encoder trained? On cached latents, as SVD is (EDM noise levels, v-prediction), resumable.

    python train_unet.py --state .train --minutes 60
    python train_unet.py --state .train --minutes 120    (continues; only the last part of the longer schedule cools down)
    python train_unet.py --state .train --minutes 60 --start ../../models/tiny    (sets out from finished weights)

Four whole clips a step. Shards that arrive while training runs are picked up. Writes .train/unet, .train/image_encoder (averaged weights) and .train/unet.pt (all that continuing needs).
"""

import argparse
import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from scipy.special import ndtri
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from clips import FASTEST, FRAMES, HEIGHT, WIDTH, mean_flow
from muon import Muon
from resume import Resumable, average
from speed import Workers, use_fast_group_norm, use_flat_temporal_convolution
from unet import build_image_encoder, build_unet

LEARNING_RATE = 2.5e-3
CLIPS_PER_STEP = 4
COOL_DOWN_SHARE = 0.3
BASE_FPS = 7
DEFAULT_NOISE = 0.02
DROP_BOTH, DROP_LATENT, DROP_EMBEDDING = 0.1, 0.02, 0.02
VALIDATION_CLIPS = 6
VALIDATION_SIGMAS = [0.3, 2.0, 8.0, 25.0]
CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
CLIP_DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]


@dataclass
class Batch:
    latents: Tensor  # (clips, frames, 4, rows, columns), scaled
    condition: Tensor  # (clips, 4, rows, columns), unscaled, noise augmented
    images: Tensor  # (clips, 3, 224, 224), normalised for the image encoder
    added_ids: Tensor  # (clips, 3): fps - 1, motion bucket, noise augmentation
    sigmas: Tensor  # (clips)
    keep_latent: Tensor  # (clips), 0 or 1
    keep_embedding: Tensor

    def split(self, count: int) -> list["Batch"]:
        columns = zip(*(field.tensor_split(count) for field in self.__dict__.values()), strict=True)
        return [Batch(*column) for column in columns]


class LatentClips:
    """The cached clips, re-read as shards appear, and random batches of them."""

    def __init__(self, folder: Path):
        self.folder, self.shards = folder, 0
        scale = json.loads((folder / "scale.json").read_text())
        self.scaling_factor = scale["scaling_factor"]
        self.noise_table = scale["pixel_noise"], scale["latent_noise"]
        self.refresh()

    def refresh(self) -> None:
        files = sorted(self.folder.glob("*.pt"))
        if len(files) == self.shards:
            return
        self.shards = len(files)
        shards = [torch.load(path) for path in files]
        self.latents = torch.cat([shard["latents"] for shard in shards])
        self.first = torch.cat([shard["first"] for shard in shards])
        self.steps = torch.cat([shard["steps"] for shard in shards]).numpy()

    def batch(self, random: np.random.Generator, clips: list[int], sigmas: np.ndarray) -> Batch:
        """The latents of whole clips, with the ids that describe their motion."""
        latents, condition, ids = [], [], []
        for clip in clips:
            part = self.latents[clip].float()
            bucket = mean_flow(self.steps[clip], WIDTH, HEIGHT, -WIDTH / 2, -HEIGHT / 2) / FASTEST * 255
            noise = DEFAULT_NOISE if random.uniform() < 0.6 else float(np.exp(random.uniform(np.log(0.005), np.log(0.2))))
            latent_noise = float(np.interp(noise, *self.noise_table))
            fps = BASE_FPS if random.uniform() < 0.6 else int(random.integers(4, 13))
            fps = max(2, min(fps, int(255 * BASE_FPS / max(bucket, 1))))
            latents.append(part * self.scaling_factor)
            condition.append(part[0] + latent_noise * torch.randn(part[0].shape))
            ids.append([fps - 1, min(255.0, bucket * fps / BASE_FPS), noise])
        images = self.first[clips].permute(0, 3, 1, 2).float() / 127.5 - 1
        images = ((_resize_with_antialiasing(images, (224, 224)) + 1) / 2 - CLIP_MEAN) / CLIP_DEVIATION
        dropped = torch.from_numpy(random.uniform(size=len(clips)))
        both = dropped < DROP_BOTH
        latent = both | ((dropped >= DROP_BOTH) & (dropped < DROP_BOTH + DROP_LATENT))
        embedding = both | ((dropped >= DROP_BOTH + DROP_LATENT) & (dropped < DROP_BOTH + DROP_LATENT + DROP_EMBEDDING))
        return Batch(
            torch.stack(latents),
            torch.stack(condition),
            images,
            torch.tensor(ids),
            torch.from_numpy(sigmas).float(),
            (~latent).float(),
            (~embedding).float(),
        )


def read_models(folder: Path) -> list[torch.nn.Module]:
    unet = UNetSpatioTemporalConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    image_encoder = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder", dtype=torch.float32)
    return [unet.train(), image_encoder.train()]


def draw_sigmas(random: np.random.Generator, count: int) -> np.ndarray:
    """Stratified: one log-normal draw from each equal share of the distribution, so that every step sees high and low noise."""
    shares = (random.permutation(count) + random.uniform(size=count)) / count
    return np.exp(np.clip(0.7 + 1.5 * ndtri(np.clip(shares, 1e-3, 1 - 1e-3)), -4.0, 3.6))


def predict(unet, image_encoder, batch: Batch, noisy: Tensor) -> Tensor:
    """The UNet's v for noisy latents at the batch's noise levels."""
    sigma = batch.sigmas[:, None, None, None, None]
    with torch.autocast("cpu", torch.bfloat16):
        embedding = image_encoder(batch.images).image_embeds[:, None] * batch.keep_embedding[:, None, None]
        condition = (batch.condition * batch.keep_latent[:, None, None, None])[:, None].expand(-1, FRAMES, -1, -1, -1)
        scaled = torch.cat([noisy / (sigma**2 + 1).sqrt(), condition], 2)  # (clips, frames, 8, rows, columns)
        return unet(scaled, 0.25 * torch.log(batch.sigmas), embedding, batch.added_ids).sample.float()


def denoised(unet, image_encoder, batch: Batch, noisy: Tensor) -> Tensor:
    sigma = batch.sigmas[:, None, None, None, None]
    return noisy / (sigma**2 + 1) - sigma / (sigma**2 + 1).sqrt() * predict(unet, image_encoder, batch, noisy)


def v_prediction_loss(unet, image_encoder, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean square error of v (EDM, arXiv:2206.00364, with unit data deviation), and that of each clip."""
    sigma = batch.sigmas[:, None, None, None, None]
    noisy = batch.latents + sigma * torch.randn_like(batch.latents)
    target = (noisy / (sigma**2 + 1) - batch.latents) * (sigma**2 + 1).sqrt() / sigma
    each = (predict(unet, image_encoder, batch, noisy) - target).pow(2).mean((1, 2, 3, 4))
    return each.mean(), each.detach()


def validate(unet, image_encoder, clips: LatentClips) -> list[float]:
    """The loss on clips that training leaves out, at fixed noise levels and with fixed noise."""
    state = torch.get_rng_state()
    losses = []
    with torch.no_grad():
        for sigma in VALIDATION_SIGMAS:
            torch.manual_seed(7)
            random = np.random.default_rng(7)
            batch = clips.batch(random, list(range(VALIDATION_CLIPS)), np.full(VALIDATION_CLIPS, sigma))
            batch.keep_latent[:] = 1
            batch.keep_embedding[:] = 1
            losses.append(round(float(np.mean([v_prediction_loss(unet, image_encoder, part)[0] for part in batch.split(3)])), 4))
    torch.set_rng_state(state)
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=60, help="training time in all, earlier runs included")
    parser.add_argument("--start", type=Path, help="a folder whose unet and image_encoder are set out from, instead of fresh weights")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    use_fast_group_norm()
    use_flat_temporal_convolution()
    clips = LatentClips(arguments.state / "latents")
    models = torch.nn.ModuleList(read_models(arguments.start) if arguments.start else [build_unet(), build_image_encoder()])
    averaged = copy.deepcopy(models)
    trained = list(models.parameters())
    optimiser, workers = Muon(trained, LEARNING_RATE), Workers(trained)
    state = Resumable(arguments.state / "unet.pt", 0, models=models, averaged=averaged, optimiser=optimiser)
    print(f"parameters: UNet {sum(p.numel() for p in models[0].parameters())}, encoder {sum(p.numel() for p in models[1].parameters())}")
    random = np.random.default_rng(state.seed)

    def save() -> None:
        averaged[0].save_pretrained(arguments.state / "unet")
        averaged[1].save_pretrained(arguments.state / "image_encoder")
        state.save()

    total = arguments.minutes * 60
    started, reported, losses = time.monotonic() - state.seconds, time.monotonic(), []
    while state.seconds < total:
        share = state.seconds / total
        factor = float(min(1, (state.step + 1) / 50) * np.clip((1 - share) / COOL_DOWN_SHARE, 0.02, 1))
        chosen = random.integers(VALIDATION_CLIPS, len(clips.latents), CLIPS_PER_STEP).tolist()
        batch = clips.batch(random, chosen, draw_sigmas(random, CLIPS_PER_STEP))
        extra = workers.gradients(lambda part: v_prediction_loss(models[0], models[1], part), batch.split(2))
        torch.nn.utils.clip_grad_norm_([p for p in trained if p.grad is not None], 1.0)
        optimiser.step(factor)
        state.step, state.seconds = state.step + 1, time.monotonic() - started
        losses.append(float(torch.cat(extra).mean()))
        average(averaged, models, state.step, warm_up=20, longest=0.995)
        if time.monotonic() - reported > 120:
            reported = time.monotonic()
            values = validate(averaged[0], averaged[1], clips)
            mean = np.mean(losses[-100:])
            print(f"{state.seconds:.0f} s step {state.step} clips {len(clips.latents)} loss {mean:.4f} validation {values}", flush=True)
            save()
            clips.refresh()
    print(f"done: step {state.step} validation {validate(averaged[0], averaged[1], clips)}", flush=True)
    save()


if __name__ == "__main__":
    main()
