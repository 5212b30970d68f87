"""Small networks of transformers, saved in folders as their authors publish them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import transformers as hf

SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
MLP = {"intermediate_size": 64}
SQUARE = {"image_size": 32, "patch_size": 8}


def models() -> dict[str, hf.PreTrainedModel]:
    """By the names that the tests give them."""
    import transformers as hf  # takes seconds, which one of two processes need spend

    registers = {"image_size": 42, "patch_size": 14, "num_register_tokens": 4}
    texts = {"vocab_size": 99, "max_position_embeddings": 9, "bos_token_id": 0, "eos_token_id": 1}
    clip = hf.CLIPConfig(
        vision_config={**SIZE, **MLP, **SQUARE}, text_config={**SIZE, **MLP, **texts}
    )
    resnet = hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic"
    )
    return {
        "vit": hf.ViTModel(hf.ViTConfig(**SIZE, **MLP, **SQUARE)),
        "dinov2": hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**SIZE, **registers)),
        "dinov2_swiglu": hf.Dinov2Model(
            hf.Dinov2Config(**SIZE, image_size=28, patch_size=14, use_swiglu_ffn=True)
        ),
        "clip": hf.CLIPModel(clip),
        "resnet": hf.ResNetModel(resnet),
    }


def save(folder: Path) -> dict[str, str]:
    """Name -> architecture, as the configuration has it."""
    found = {}
    for name, model in models().items():
        model.save_pretrained(folder / name)
        found[name] = f"hf/{folder / name}"
    return found
