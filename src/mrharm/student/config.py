"""The student's configuration: a T5, a vision tower, and how the two are fused."""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig, T5Config


@strict
class MrHarmConfig(T5Config):
    """A T5 configuration plus the vision tower's and the fusion's.

    Args:
        vision_config: the vision tower's configuration, or its dict with ``model_type``; None: a text-only student.
        vision_width: width of the image features the fusion reads; taken from ``vision_config`` where there is one.
        fusion: ``every_block`` adds a fusion after each encoder block and one after the encoder (the paper, 13 modules
            for 12 blocks), ``last`` only the one after the encoder, ``none`` no fusion at all.
        train_vision: whether the vision tower learns; a frozen one stays in evaluation mode.
        tied_head: whether the output head shares the embeddings and decoder outputs are scaled (original T5); Flan-T5
            and T5 v1.1 have a separate head.
    """

    model_type = "mrharm"
    sub_configs = {"vision_config": AutoConfig}

    vision_config: dict[str, Any] | PreTrainedConfig | None = None
    vision_width: int | None = None
    fusion: str = "every_block"
    train_vision: bool = False
    tied_head: bool = False
    feed_forward_proj: str = "gated-gelu"
    decoder_start_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.vision_config, dict):
            values = dict(self.vision_config)
            self.vision_config = CONFIG_MAPPING[values.pop("model_type")](**values)
        if self.vision_width is None and isinstance(self.vision_config, PreTrainedConfig):
            # The width of the last hidden state: the last stage's for a convolutional tower.
            sizes = getattr(self.vision_config, "hidden_sizes", None)
            self.vision_width = int(sizes[-1] if sizes else self.vision_config.hidden_size)
        # T5Config reads `tie_word_embeddings` only to learn whether decoder outputs are scaled, then forces it to
        # True; `tied_head` holds the same and survives a save and a load.
        kwargs.pop("scale_decoder_outputs", None)
        kwargs["tie_word_embeddings"] = self.tied_head
        super().__post_init__(**kwargs)

    def validate_fusion(self) -> None:
        """Check the way of fusing, and that there is a width to fuse; called when a configuration is made."""
        if self.fusion not in ("every_block", "last", "none"):
            raise ValueError(f"fusion must be every_block, last or none; got {self.fusion!r}")
        if self.fusion != "none" and self.vision_width is None:
            raise ValueError(
                "a fusion needs a vision_config or a vision_width; for a text-only student say fusion='none'"
            )
