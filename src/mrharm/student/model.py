"""The student model: a T5 encoder-decoder whose encoder is fused with a vision tower."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, T5ForConditionalGeneration
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput
from transformers.models.t5.modeling_t5 import T5Stack

from mrharm.student.config import MrHarmConfig
from mrharm.student.fusion import FusionBlock, FusionLayer


class _KnownInitialisation:
    """Declares that a class initialises by `transformers.initialization`. In classes from outside, transformers skips
    modules without parameters (T5's attention), in case they ignore its flags.
    """

    @classmethod
    def is_custom_code(cls) -> bool:
        """See the class."""
        return False


class FusionEncoder(_KnownInitialisation, T5Stack):
    """A T5 encoder with a vision tower, fused after every block, after the last, or not at all."""

    def __init__(self, config: MrHarmConfig) -> None:
        super().__init__(config)
        if config.fusion == "every_block":
            self.block = nn.ModuleList(FusionBlock(config, i == 0, i) for i in range(config.num_layers))
        self.last_fusion = None
        if config.fusion != "none":
            assert config.vision_width is not None  # MrHarmConfig.validate_fusion
            self.last_fusion = FusionLayer(config.d_model, config.vision_width)
        self.vision = (
            AutoModel.from_config(config.vision_config) if config.vision_config is not None else None
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise as T5 does; the fusion's projections as nn.Linear does, its values as a copy of its keys."""
        super()._init_weights(module)
        if isinstance(module, FusionLayer):
            for linear in (module.query, module.key, module.output):
                bound = 1 / math.sqrt(linear.in_features)
                init.uniform_(linear.weight, -bound, bound)
                init.uniform_(linear.bias, -bound, bound)
            init.copy_(module.value.weight, module.key.weight)
            init.copy_(module.value.bias, module.key.bias)

    def see(self, pixel_values: Tensor) -> Tensor:
        """Pictures -> image features, through the vision tower (class token included, for towers that have it).

        *Shape:* (batch, 3, height, width) -> (batch, patches, d_image)
        """
        if self.vision is None:
            raise ValueError("this student has no vision tower: give image_features, or neither")
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.train_vision):
            weight = next(self.vision.parameters())
            features: Tensor = self.vision(pixel_values.to(weight.dtype)).last_hidden_state
        # A convolutional tower answers (batch, d_image, rows, columns).
        return features.flatten(2).transpose(1, 2) if features.ndim == 4 else features

    def pool_picture(self, pixel_values: Tensor) -> Tensor:
        """Pool what the vision tower makes of pictures over their places.

        The mean of the last hidden state; of convolutions, the mean and the spread of the first stage, as later ones
        keep only what the training told apart.

        *Shape:* (batch, 3, height, width) -> (batch, width)
        """
        assert self.vision is not None  # as in `see`
        weight = next(self.vision.parameters())
        outputs = self.vision(pixel_values.to(weight.dtype), output_hidden_states=True)
        if outputs.last_hidden_state.ndim == 3:
            return outputs.last_hidden_state.float().mean(1)
        places = outputs.hidden_states[0].float().flatten(2)  # (batch, width, places)
        return torch.cat([places.mean(-1), places.std(-1)], 1)

    def _see_present(self, pixel_values: Tensor, image_mask: Tensor | None) -> Tensor:
        """Return `see` of the pictures that are there, zeros for the others, which must not shift batch statistics."""
        if image_mask is None or bool(image_mask.all()):
            return self.see(pixel_values)
        features = self.see(pixel_values[image_mask])
        return features.new_zeros(len(pixel_values), *features.shape[1:]).index_copy(
            0, image_mask.nonzero()[:, 0], features
        )

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_features: Tensor | None = None,
        image_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Text and picture -> fused text states.

        Args:
            input_ids: *Shape:* (batch, text)
            attention_mask: 1 for tokens, 0 for padding. *Shape:* (batch, text)
            inputs_embeds: instead of ``input_ids``. *Shape:* (batch, text, d_text)
            pixel_values: normalised pictures. *Shape:* (batch, 3, height, width)
            image_features: precomputed, instead of ``pixel_values``. *Shape:* (batch, patches, d_image)
            image_mask: True where a meme has a picture; None means every one has. *Shape:* (batch,)

        Returns:
            ``last_hidden_state`` *Shape:* (batch, text, d_text)
        """
        if self.last_fusion is None:
            image_features = None
        elif image_features is None and pixel_values is not None:
            image_features = self._see_present(pixel_values, image_mask)
        fused = self.config.fusion == "every_block" and image_features is not None
        picture = {"image_features": image_features, "image_mask": image_mask} if fused else {}
        outputs = super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            **picture,
            **kwargs,
        )
        if image_features is None:
            return outputs
        assert self.last_fusion is not None
        return BaseModelOutput(
            last_hidden_state=self.last_fusion(outputs.last_hidden_state, image_features, image_mask),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def train(self, mode: bool = True) -> FusionEncoder:
        """Set the mode; a frozen vision tower stays in evaluation mode."""
        super().train(mode)
        if self.vision is not None and not self.config.train_vision:
            self.vision.eval()
        return self


class MrHarmForConditionalGeneration(_KnownInitialisation, T5ForConditionalGeneration):
    """Text and picture in, a rationale or a label out; ``generate`` takes the same picture arguments as ``forward``."""

    config_class = MrHarmConfig
    # T5's table also ties the head, which Flan-T5 has untied: the head would overwrite the embeddings on load.
    _tied_weights_keys = {
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    }
    _no_split_modules = ["T5Block", "FusionBlock"]

    def __init__(self, config: MrHarmConfig) -> None:
        if config.tied_head:
            self._tied_weights_keys = {**self._tied_weights_keys, "lm_head.weight": "shared.weight"}
        super().__init__(config)
        encoder_config = copy.deepcopy(config)
        encoder_config.is_decoder = encoder_config.use_cache = False
        self.encoder = FusionEncoder(encoder_config)
        if self.encoder.vision is not None and not config.train_vision:
            self.encoder.vision.requires_grad_(False).eval()
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise as T5 does; a separate head so small that the first logits have unit spread."""
        super()._init_weights(module)
        if module is self and not self.config.tied_head:
            init.normal_(self.lm_head.weight, std=self.config.initializer_factor * self.config.d_model**-0.5)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_features: Tensor | None = None,
        image_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Seq2SeqLMOutput:
        """As `FusionEncoder.forward` and T5's decoder.

        *Shapes:* decoder_input_ids, decoder_attention_mask and labels (-100: no loss) (batch, target)

        Returns:
            ``loss`` (token cross-entropy, scalar) where labels are given; ``logits``
            *Shape:* (batch, target, vocabulary)
        """
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids=input_ids,
                attention_mask=attention_mask,
                pixel_values=pixel_values,
                image_features=image_features,
                image_mask=image_mask,
            )
        return super().forward(
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            labels=labels,
            **kwargs,
        )

    def fusion_layers(self) -> list[FusionLayer]:
        """Every fusion module, first block first: 13 at paper size."""
        return [module for module in self.encoder.modules() if isinstance(module, FusionLayer)]

    @torch.no_grad()
    def fusion_attention(self, **arguments: Tensor) -> Tensor:
        """Compute the attention of text over patches, averaged over the fusion modules.

        ``arguments``: those of `FusionEncoder.forward`, with pictures.

        Returns:
            *Shape:* (batch, text, patches); each row sums to 1
        """
        attentions: list[Tensor] = []

        def remember(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            assert isinstance(layer, FusionLayer)
            attentions.append(layer.weights(inputs[0], inputs[1].to(layer.key.weight.dtype)))

        hooks = [layer.register_forward_hook(remember) for layer in self.fusion_layers()]
        try:
            self.encoder(**arguments)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack(attentions).float().mean(0)


# Known to transformers' Auto classes, as its conventions ask of a new model type.
AutoConfig.register(MrHarmConfig.model_type, MrHarmConfig)
AutoModelForSeq2SeqLM.register(MrHarmConfig, MrHarmForConditionalGeneration)
