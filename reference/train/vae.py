"""How is the autoencoder built? SVD's class with three levels (4x smaller latents), its temporal branches the identity at first."""

import torch
from diffusers import AutoencoderKLTemporalDecoder
from diffusers.models.resnet import SpatioTemporalResBlock, TemporalResnetBlock


def build_vae() -> AutoencoderKLTemporalDecoder:
    """Fresh weights. Zeroed last temporal convolutions make the frames independent of each other."""
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=(64, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        sample_size=256,
        force_upcast=True,
    )
    for module in vae.modules():
        if isinstance(module, TemporalResnetBlock):
            torch.nn.init.zeros_(module.conv2.weight)
            torch.nn.init.zeros_(module.conv2.bias)
    last = vae.decoder.time_conv_out
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    for channel in range(3):
        last.weight.data[channel, channel, 1] = 1
    return vae


def is_temporal(name: str) -> bool:
    return any(part in name for part in ("temporal_res_block", "time_mixer", "time_conv_out"))


def skip_temporal_branches() -> None:
    """Makes the class compute its spatial half only, which is the same function while the temporal branches are the identity."""

    def spatial_half(self, hidden_states, temb=None, image_only_indicator=None):
        return self.spatial_res_block(hidden_states, temb)

    SpatioTemporalResBlock.forward = spatial_half
