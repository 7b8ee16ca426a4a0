"""The fusion: text positions attend to image patches and add the result.

Mr.Harm (Lin et al., Findings of EMNLP 2023), equations 3-4: ``H <- H + W_o softmax(Q K^T / sqrt(d_h)) V`` with one
head, ``d_h = d_text / 2``, biases on all four projections, no norm and no gate.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn
from transformers.models.t5.modeling_t5 import T5Block

from mrharm.student.config import MrHarmConfig


class FusionLayer(nn.Module):
    """One cross-attention from text positions to image patches, added to the text."""

    def __init__(self, d_text: int, d_image: int) -> None:
        super().__init__()
        d_head = d_text // 2
        self.query = nn.Linear(d_text, d_head)
        self.key = nn.Linear(d_image, d_head)
        self.value = nn.Linear(d_image, d_head)
        self.output = nn.Linear(d_head, d_text)

    def weights(self, hidden: Tensor, image_features: Tensor) -> Tensor:
        """Compute the attention of each text position over the patches, each row summing to 1.

        *Shapes:* (batch, text, d_text), (batch, patches, d_image) -> (batch, text, patches)
        """
        query, key = self.query(hidden), self.key(image_features)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        return scores.float().softmax(-1).to(hidden.dtype)

    def forward(self, hidden: Tensor, image_features: Tensor, image_mask: Tensor | None = None) -> Tensor:
        """Add the attended patches to the text states; a meme without a picture (mask False) passes unchanged.

        *Shapes:* (batch, text, d_text), (batch, patches, d_image), (batch,) -> (batch, text, d_text)
        """
        image_features = image_features.to(self.key.weight.dtype)
        attended = self.output(self.weights(hidden, image_features) @ self.value(image_features))
        if image_mask is not None:
            attended = attended.masked_fill(~image_mask.bool()[:, None, None], 0.0)
        return hidden + attended


class FusionBlock(T5Block):
    """A T5 encoder block followed by a fusion; the stack hands it the picture as keyword arguments."""

    def __init__(self, config: MrHarmConfig, has_relative_attention_bias: bool, layer_idx: int) -> None:
        super().__init__(config, has_relative_attention_bias=has_relative_attention_bias, layer_idx=layer_idx)
        assert config.vision_width is not None  # MrHarmConfig.validate_fusion
        self.fusion = FusionLayer(config.d_model, config.vision_width)

    def forward(
        self,
        hidden_states: Tensor,
        *args: Any,
        image_features: Tensor | None = None,
        image_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """As `T5Block.forward`, then the fusion where there is a picture.

        *Shapes:* hidden_states (batch, text, d_text); image_features (batch, patches, d_image); image_mask (batch,)
        """
        hidden_states, *rest = super().forward(hidden_states, *args, **kwargs)
        if image_features is not None:
            hidden_states = self.fusion(hidden_states, image_features, image_mask)
        return (hidden_states, *rest)
