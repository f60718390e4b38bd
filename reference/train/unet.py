"""How are the UNet and the image encoder built? SVD's classes, small; the first level has no attention."""

import torch
from diffusers import UNetSpatioTemporalConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from clips import FRAMES


LATENT_DEVIATION = 4.0


def build_unet() -> UNetSpatioTemporalConditionModel:
    unet = UNetSpatioTemporalConditionModel(
        sample_size=32,
        in_channels=8,
        out_channels=4,
        down_block_types=(
            "DownBlockSpatioTemporal",
            "DownBlockSpatioTemporal",
            "CrossAttnDownBlockSpatioTemporal",
        ),
        up_block_types=("CrossAttnUpBlockSpatioTemporal", "UpBlockSpatioTemporal", "UpBlockSpatioTemporal"),
        block_out_channels=(64, 96, 96),
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
        layers_per_block=1,
        cross_attention_dim=64,
        transformer_layers_per_block=1,
        num_attention_heads=(2, 3, 3),
        num_frames=FRAMES,
    )
    start_as_still_copy(unet)
    return unet


@torch.no_grad()
def start_as_still_copy(unet: UNetSpatioTemporalConditionModel) -> None:
    """Sets the first weights so that every frame is the given image: v = -(image latent), from which training sets out.

    Each of the eight input channels travels as a pair (x, -x) through the outermost skip connection and the last block's
    shortcut; silu(x) - silu(-x) = x, so the last convolution reads it unchanged but for the group norm's scale.
    """
    count = 2 * unet.config.in_channels
    last = unet.up_blocks[-1].resnets[-1]
    spatial, temporal = last.spatial_res_block, last.temporal_res_block
    for weights in (unet.conv_in, spatial.conv_shortcut, spatial.conv2, temporal.conv2):
        weights.weight[:count] = 0
        weights.bias[:count] = 0
    skip = spatial.conv_shortcut.weight.shape[1] - unet.config.block_out_channels[0]
    unet.conv_out.weight.mul_(0.1)
    unet.conv_out.bias.zero_()
    for channel in range(unet.config.in_channels):
        gain = 1.0 if channel < 4 else 1 / LATENT_DEVIATION
        for sign, place in ((1, 2 * channel), (-1, 2 * channel + 1)):
            unet.conv_in.weight[place, channel, 1, 1] = sign * gain
            spatial.conv_shortcut.weight[place, skip + place, 0, 0] = 1
            if channel >= 4:
                unet.conv_out.weight[channel - 4, place, 1, 1] -= sign


def build_image_encoder() -> CLIPVisionModelWithProjection:
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=224,
            patch_size=32,
            projection_dim=64,
        )
    )
