"""How good is the checkpoint? Prints the table of figures for clips of the held-out photos.

Without --command the clips are made with diffusers.

    python measure.py generate --model ../../models/tiny --clips .train/clips --command "npx stillmotion"
    python measure.py table --model ../../models/tiny --clips .train/clips
    python measure.py sheet --model ../../models/tiny --clips .train/clips --sheet sheet.jpg

A clip is one .safetensors file with `frames`, float32 (frames, height, width, 3) in [0, 1], named after its settings as
`clip_name` says. A setting without clips is left out of the table.
"""

import argparse
import json
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder, StableVideoDiffusionPipeline
from PIL import Image
from safetensors.numpy import load_file, save_file
from skimage.color import deltaE_ciede2000, rgb2lab

from motion_fit import Fit, fit_motion, psnr
from pictures import read_photos
from train_vae import fit

PHOTOS = Path(__file__).parents[2] / "test" / "photos"
BUCKETS = (20, 60, 127, 190, 250)
SEEDS = (0, 1, 2, 3)
FPS = (4, 7, 14)
NOISES = (0.02, 0.1, 0.3)


@dataclass(frozen=True)
class Setting:
    photo: str
    seed: int = 0
    bucket: int = 127
    fps: int = 7
    noise: float = 0.02


def clip_name(setting: Setting) -> str:
    return f"{setting.photo}.seed{setting.seed}.bucket{setting.bucket}.fps{setting.fps}.noise{setting.noise}.safetensors"


def plan(photos: list[str], quick: bool) -> list[Setting]:
    """The default clip of each photo and those of the other buckets; of every third photo also other rates, noises and seeds."""
    settings = [Setting(photo) for photo in photos]
    settings += [] if quick else [Setting(photo, bucket=bucket) for photo in photos for bucket in BUCKETS]
    for photo in [] if quick else photos[::3]:
        settings += [Setting(photo, fps=fps) for fps in FPS]
        settings += [Setting(photo, noise=noise) for noise in NOISES]
        settings += [Setting(photo, seed=seed) for seed in SEEDS]
    return list(dict.fromkeys(settings))


def load_photos(model: Path) -> dict[str, np.ndarray]:
    """The held-out photos at the preset's size, float32 RGB in [0, 1]."""
    preset = json.loads((model / "preset.json").read_text())
    names, photos = read_photos(PHOTOS)
    fitted = [fit(photo, preset["width"], preset["height"]) for photo in photos]
    return {name: photo.astype(np.float32) / 255 for name, photo in zip(names, fitted, strict=True)}


def generate_with_diffusers(model: Path, clips: Path, settings: list[Setting], photos: dict[str, np.ndarray]) -> None:
    preset = json.loads((model / "preset.json").read_text())
    pipeline = StableVideoDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    for setting in settings:
        result = pipeline(
            Image.fromarray((photos[setting.photo] * 255).round().astype(np.uint8)),
            height=preset["height"],
            width=preset["width"],
            num_frames=preset["numFrames"],
            num_inference_steps=preset["numInferenceSteps"],
            min_guidance_scale=preset["minGuidanceScale"],
            max_guidance_scale=preset["maxGuidanceScale"],
            fps=setting.fps,
            motion_bucket_id=setting.bucket,
            noise_aug_strength=setting.noise,
            generator=torch.Generator().manual_seed(setting.seed),
            output_type="np",
        )
        # The writer of NumPy arrays takes their memory as it lies, and the frames are a transposed view.
        save_file({"frames": np.ascontiguousarray(result.frames[0], np.float32)}, clips / clip_name(setting))
        print(clip_name(setting), flush=True)


def generate_with_command(
    command: str, model: Path, clips: Path, settings: list[Setting], photos: dict[str, np.ndarray]
) -> None:
    """One run of the command a clip, e.g. `npx stillmotion`, on the photo at the preset's size."""
    for setting in settings:
        picture = clips / f"{setting.photo}.png"
        Image.fromarray((photos[setting.photo] * 255).round().astype(np.uint8)).save(picture)
        arguments = [*shlex.split(command), "generate", str(picture), "-o", str(clips / clip_name(setting)), "--quiet"]
        arguments += ["--model", str(model), "--seed", str(setting.seed), "--motion-bucket-id", str(setting.bucket)]
        arguments += ["--fps", str(setting.fps), "--noise-aug-strength", str(setting.noise)]
        started = time.monotonic()
        subprocess.run(arguments, check=True)
        print(f"{time.monotonic() - started:5.1f} s {clip_name(setting)}", flush=True)


def colour_error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean CIEDE2000 between sRGB pictures in [0, 1]."""
    return float(deltaE_ciede2000(rgb2lab(a), rgb2lab(b)).mean())


def reconstructions(model: Path, photos: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    vae = AutoencoderKLTemporalDecoder.from_pretrained(model / "vae", torch_dtype=torch.float32)
    decoded = {}
    for name, photo in photos.items():
        tensor = torch.from_numpy(photo).permute(2, 0, 1)[None] * 2 - 1
        with torch.no_grad():
            latents = vae.encode(tensor).latent_dist.mode()
            decoded[name] = ((vae.decode(latents, num_frames=1).sample[0].permute(1, 2, 0) + 1) / 2).clamp(0, 1).numpy()
    return decoded


def sharpness(frame: np.ndarray) -> float:
    """Variance of the Laplacian of the grey picture."""
    return float(cv2.Laplacian(cv2.cvtColor((frame * 255).astype(np.float32), cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def amplitude(motion: Fit, frames: int) -> float:
    """Mean displacement of a pixel, in pixels a frame."""
    return float(np.linalg.norm(motion.displacement, axis=-1).mean()) / (frames - 1)


def print_row(figure: str, value: str, bar: str, held: bool | None = None) -> None:
    print(f"| {figure} | {value} | {bar} | {'' if held is None else 'yes' if held else 'NO'} |", flush=True)


def print_table(model: Path, clips: Path) -> None:
    photos = load_photos(model)
    decoded = reconstructions(model, photos)
    found = {s: load_file(clips / clip_name(s))["frames"] for s in plan(list(photos), False) if (clips / clip_name(s)).exists()}
    motions = {setting: fit_motion(photos[setting.photo], frames[-1]) for setting, frames in found.items()}
    default = [Setting(name) for name in photos if Setting(name) in found]
    print(f"\n{len(default)} held-out photos, {len(found)} clips\n\n| figure | value | bar | held |\n| --- | --- | --- | --- |")
    quality = [psnr(decoded[name], photo) for name, photo in photos.items()]
    colour = [colour_error(decoded[name], photo) for name, photo in photos.items()]
    value = f"{np.mean(quality):.2f} dB ({min(quality):.1f} to {max(quality):.1f}), CIEDE2000 {np.mean(colour):.2f}"
    print_row("VAE reconstruction", value, "29 dB, 4", np.mean(quality) >= 29 and np.mean(colour) <= 4)
    first = [psnr(found[s][0], photos[s.photo]) for s in default]
    print_row("frame 0 against the photo", f"{np.mean(first):.2f} dB ({min(first):.1f} to {max(first):.1f})", "27 dB", np.mean(first) >= 27)
    moved = np.array([motions[s].moved_psnr for s in default])
    gain = moved - np.array([motions[s].still_psnr for s in default])
    value = f"{moved.mean():.2f} dB, {gain.mean():+.2f} dB over still ({gain.min():+.1f} to {gain.max():+.1f})"
    print_row("last frame against the best zoom, pan, rotation", value, "22 dB, +2", moved.mean() >= 22 and gain.mean() >= 2)
    sharp = np.array([sharpness(found[s][-1]) / sharpness(found[s][0]) for s in default])
    middle = float(np.exp(np.log(sharp).mean()))
    print_row("sharpness, last over first", f"{middle:.2f} ({sharp.min():.2f} to {sharp.max():.2f})", "0.6 to 1.6", 0.6 <= middle <= 1.6)
    ratios = [np.abs(np.diff(found[s], 2, axis=0)).mean() / np.abs(np.diff(found[s], axis=0)).mean() for s in default]
    print_row("second over first frame difference", f"{np.mean(ratios):.2f}", "0.75 at most", np.mean(ratios) <= 0.75)
    buckets = [s for s in found if s == Setting(s.photo, bucket=s.bucket) and Setting(s.photo, bucket=20) in found]
    if {s.bucket for s in buckets} == set(BUCKETS):
        sizes = [amplitude(motions[s], len(found[s])) for s in buckets]
        means = [np.mean([size for s, size in zip(buckets, sizes, strict=True) if s.bucket == bucket]) for bucket in BUCKETS]
        pearson = np.corrcoef([s.bucket for s in buckets], sizes)[0, 1]
        value = " ".join(f"{mean:.2f}" for mean in means) + f" px a frame, Pearson {pearson:.2f}"
        print_row(f"amplitude over buckets {BUCKETS}", value, "rising, 0.9", bool(np.all(np.diff(means) > 0) and pearson >= 0.9))
    seeds = [s for s in found if s == Setting(s.photo, seed=s.seed) and Setting(s.photo, seed=1) in found]
    if seeds:
        spread = []
        for a in seeds:
            for b in seeds:
                if a.photo == b.photo and a.seed < b.seed:
                    apart = np.linalg.norm(motions[a].displacement - motions[b].displacement, axis=-1).mean()
                    spread.append(apart / np.linalg.norm(motions[a].displacement, axis=-1).mean())
        print_row("motion of another seed lies apart by", f"{np.mean(spread):.2f} of the motion's size", "shown")
    for name, values in (("fps", FPS), ("noise", NOISES)):
        chosen = [s for s in found if s == Setting(s.photo, **{name: getattr(s, name)}) and Setting(s.photo, **{name: values[-1]}) in found]
        if {getattr(s, name) for s in chosen} != set(values):
            continue
        if name == "fps":
            figure = {s: amplitude(motions[s], len(found[s])) for s in chosen}
            title, unit = f"step at fps {FPS}", "px a frame"
        else:
            figure = {s: psnr(found[s][0], photos[s.photo]) for s in chosen}
            title, unit = f"frame 0 at noise augmentation {NOISES}", "dB against the photo"
        means = [np.mean([f for s, f in figure.items() if getattr(s, name) == value]) for value in values]
        falling = bool(np.all(np.diff(means) < 0))
        print_row(title, " ".join(f"{mean:.2f}" for mean in means) + f" {unit}", "falling", falling)
    print("\nfitted motion of the default clips (zoom, rotation, pan x, pan y: pixels at the last frame; dB moved, still)")
    for s in default:
        text = " ".join(f"{p:6.1f}" for p in motions[s].parameters)
        print(f"  {s.photo:22} {text}   {motions[s].moved_psnr:.1f} {motions[s].still_psnr:.1f}")


def write_sheet(model: Path, clips: Path, target: Path) -> None:
    """Each held-out photo beside its reconstruction and the frames of its default clip."""
    photos = load_photos(model)
    decoded = reconstructions(model, photos)
    rows = []
    for name, photo in photos.items():
        path = clips / clip_name(Setting(name))
        if path.exists():
            frames = load_file(path)["frames"]
            rows.append(np.hstack([photo, decoded[name], *(frames[i] for i in (0, 2, 4, -1))]))
    sheet = (np.vstack(rows) * 255).round().astype(np.uint8)
    Image.fromarray(sheet).save(target, quality=72)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["generate", "table", "sheet"])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="only the default clip of each photo")
    parser.add_argument("--command", help="makes the clips with this program instead of diffusers, e.g. 'npx stillmotion'")
    parser.add_argument("--sheet", type=Path, default=Path("sheet.jpg"))
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if arguments.action == "generate":
        photos = load_photos(arguments.model)
        arguments.clips.mkdir(parents=True, exist_ok=True)
        settings = [s for s in plan(list(photos), arguments.quick) if not (arguments.clips / clip_name(s)).exists()]
        if arguments.command:
            generate_with_command(arguments.command, arguments.model, arguments.clips, settings, photos)
        else:
            generate_with_diffusers(arguments.model, arguments.clips, settings, photos)
    elif arguments.action == "table":
        print_table(arguments.model, arguments.clips)
    else:
        write_sheet(arguments.model, arguments.clips, arguments.sheet)


if __name__ == "__main__":
    main()
