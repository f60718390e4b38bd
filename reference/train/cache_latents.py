"""Which latents does the UNet learn from? Encodes clips once and keeps them as shards, so that training never runs the encoder.

    python cache_latents.py --state .train --clips 800

Continues after the shards that exist. Also writes .train/latents/scale.json: the scaling factor (1 / deviation of the latents)
and how strongly noise on the pixels shows in the latents.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder

from clips import make_clip
from pictures import Pictures
from train_vae import to_tensor
from vae import skip_temporal_branches

SHARD = 50
PIXEL_NOISE = [0.0, 0.005, 0.02, 0.05, 0.1, 0.2]


def encode(vae: AutoencoderKLTemporalDecoder, pictures: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        return vae.encode(pictures).latent_dist.mode().float()


def measure_scale(vae: AutoencoderKLTemporalDecoder, shard: dict) -> dict:
    """The latents' scaling factor, and the deviation in the latents for each deviation of pixel noise."""
    first = to_tensor(shard["first"][:24].numpy())
    clean = encode(vae, first)
    noise = [float((encode(vae, first + s * torch.randn_like(first)) - clean).std()) for s in PIXEL_NOISE]
    deviation = float(shard["latents"].float().std())
    return {"scaling_factor": 1 / deviation, "pixel_noise": PIXEL_NOISE, "latent_noise": noise}


def make_shard(vae: AutoencoderKLTemporalDecoder, pictures: Pictures) -> dict:
    clips = [make_clip(pictures) for _ in range(SHARD)]
    return {
        "latents": torch.stack([encode(vae, to_tensor(clip.frames)).half() for clip in clips]),
        "first": torch.from_numpy(np.stack([clip.frames[0] for clip in clips])),
        "steps": torch.from_numpy(np.stack([clip.step for clip in clips])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    parser.add_argument("--clips", type=int, default=800)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    skip_temporal_branches()
    vae = AutoencoderKLTemporalDecoder.from_pretrained(arguments.state / "vae").eval()
    folder = arguments.state / "latents"
    folder.mkdir(exist_ok=True)
    for index in range(len(list(folder.glob("*.pt"))), arguments.clips // SHARD):
        shard = make_shard(vae, Pictures(arguments.state, seed=1000 + index))
        if index == 0:
            (folder / "scale.json").write_text(json.dumps(measure_scale(vae, shard), indent=2))
        torch.save(shard, folder / f"{index:03}.new")
        (folder / f"{index:03}.new").rename(folder / f"{index:03}.pt")
        print(f"{(index + 1) * SHARD} clips", flush=True)


if __name__ == "__main__":
    main()
