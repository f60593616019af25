"""EagleModel: experts, a fusion and a language model, from a batch to a loss or to answers.

Shape letters: B batch, I images (I <= B), S side of an image in pixels, N visual tokens, D language model width, T text
and visual tokens, K target tokens, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationConfig

from eaglebench.data.collate import Batch
from eaglebench.data.conversation import IGNORE, TEMPLATES, ConversationEncoder
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.base import Fusion
from eaglebench.language.base import LanguageModel, decoder_blocks


class EagleModel(nn.Module):
    """The whole model. Its parts, and the prefixes of its state dict, are `experts.<name>`, `fusion` and `llm`.

    Args:
        experts: the experts by name, in the fusion's order; empty for a blind model, which takes no images.
        fusion: a fusion built for these experts and this language model; None for a blind model.
        language: the language model.

    Attributes:
        features: maps [images, C, H, W] of images that were encoded before, by source of the fusion; they are taken
            where a batch has the numbers of images in place of pixels.
    """

    fusion: Fusion | None

    def __init__(self, experts: Mapping[str, VisionExpert], fusion: Fusion | None, language: LanguageModel) -> None:
        super().__init__()
        self.experts = nn.ModuleDict(dict(experts))
        self.fusion = fusion
        self.features: dict[str, Tensor] = {}
        self.llm = language.network
        # transformers takes what a call leaves open from the checkpoint's generation_config.json: with a repetition
        # penalty there, answers that are said to be greedy would not be.
        self.llm.generation_config = GenerationConfig()
        self.image_token_id = language.image_token_id
        self.eos_token_id = language.tokenizer.eos_token_id
        self.pad_token_id = language.tokenizer.pad_token_id

    def parts(self) -> dict[str, nn.Module]:
        """The units that a stage trains or freezes, by name: `experts.<name>`, `fusion` and `llm`."""
        parts: dict[str, nn.Module] = {f"experts.{name}": expert for name, expert in self.experts.items()}
        if self.fusion is not None:
            parts["fusion"] = self.fusion
        parts["llm"] = self.llm
        return parts

    def blocks(self) -> list[nn.Module]:
        """The repeated blocks of the experts and of the language model: the units of sharding."""
        vision = [block for expert in self.experts.values() for block in expert.blocks()]  # type: ignore[operator]
        return vision + decoder_blocks(self.llm)

    @property
    def tokens_per_image(self) -> int:
        """N, the number of visual tokens per image; 0 for a blind model."""
        return self.fusion.visual_tokens if self.fusion is not None else 0

    @property
    def image_side(self) -> int:
        """The side in pixels at which images are loaded: the largest input side of an expert."""
        return max(int(expert.image_size) for expert in self.experts.values())  # type: ignore[arg-type]

    def forward(self, batch: Batch) -> Tensor:
        """The mean cross-entropy of the batch's target tokens, a scalar."""
        assert batch.labels is not None
        targets_BT = batch.labels[:, 1:]
        is_target_BT = targets_BT != IGNORE
        # Logits of targets only: most positions are visual tokens and questions, and the vocabulary is large.
        return self.loss(self.hidden_states(batch)[:, :-1][is_target_BT], targets_BT[is_target_BT])

    def hidden_states(self, batch: Batch) -> Tensor:
        """The last hidden states [B, T, D] of the language model for a batch."""
        output = self.llm.base_model(
            inputs_embeds=self.embed(batch), attention_mask=batch.attention_mask, use_cache=False
        )
        hidden_BTD: Tensor = output.last_hidden_state
        return hidden_BTD

    def loss(self, hidden_KD: Tensor, targets_K: Tensor) -> Tensor:
        """The mean cross-entropy of target tokens [K] under the hidden states [K, D] of their preceding positions."""
        logits_KV = self.llm.get_output_embeddings()(hidden_KD)
        return F.cross_entropy(logits_KV.float(), targets_K)

    @torch.no_grad()
    def generate(
        self, batch: Batch, max_new_tokens: int, end_ids: Sequence[int] | None = None, **options: Any
    ) -> Tensor:
        """Generate continuations of left-padded prompts.

        Args:
            batch: the prompts.
            max_new_tokens: upper limit for the length of a continuation.
            end_ids: the tokens that end a continuation; None: the tokenizer's end token.
            options: transformers' generation options; greedy decoding without them, whatever the checkpoint says.

        Returns:
            Token ids [B, at most max_new_tokens], without the prompts.
        """
        # A second value for one of the first three is a TypeError.
        settings = dict(
            max_new_tokens=max_new_tokens,
            eos_token_id=self.eos_token_id if end_ids is None else list(end_ids) or None,
            pad_token_id=self.pad_token_id,
            **{"do_sample": False, **options},
        )
        config = GenerationConfig()
        others = config.update(**settings)
        tokens: Tensor = self.llm.generate(
            inputs_embeds=self.embed(batch),
            attention_mask=batch.attention_mask,
            generation_config=config,
            synced_gpus=dist.is_initialized(),  # the same number of passes in each process: shards are all-gathered
            **others,
        )
        return tokens

    def embed(self, batch: Batch) -> Tensor:
        """Input embeddings [B, T, D] with visual tokens at the image tokens. Experts run only if there are images."""
        is_image_BT = batch.input_ids == self.image_token_id
        text_ids_BT = batch.input_ids.masked_fill(is_image_BT, self.pad_token_id)
        embeds_BTD: Tensor = self.llm.get_input_embeddings()(text_ids_BT)
        if batch.images is None:
            if self.training and self.fusion is not None and dist.is_initialized():
                # All processes exchange gradients and shards in the same order, so each must run every part.
                blank = torch.zeros(1, 3, self.image_side, self.image_side, dtype=torch.uint8, device=embeds_BTD.device)
                return embeds_BTD + 0 * self.encode_images(blank).sum().to(embeds_BTD.dtype)
            return embeds_BTD
        tokens_IND = self.encode_images(batch.images).to(embeds_BTD.dtype)
        return embeds_BTD.masked_scatter(is_image_BT.unsqueeze(-1), tokens_IND)

    def encode_images(self, images_I3SS: Tensor) -> Tensor:
        """Visual tokens [I, N, D] of square uint8 images, or of images by their numbers [I] in `features`.

        Visual tokens are returned as they are.

        Raises:
            ValueError: the model is blind.
        """
        if self.fusion is None:
            raise ValueError("a blind model was given images.")
        if images_I3SS.dim() == 3:
            return images_I3SS
        if images_I3SS.dim() == 1:
            dtype, device = next(self.fusion.parameters()).dtype, images_I3SS.device
            numbers = images_I3SS.cpu()
            maps = {source: value[numbers].to(device, dtype) for source, value in self.features.items()}
            return self.fusion.fuse_places(maps)
        pixels = {name: expert.preprocess(images_I3SS) for name, expert in self.experts.items()}  # type: ignore[operator]
        tokens_IND: Tensor = self.fusion(self.experts, pixels)
        return tokens_IND

    def encode_features(self, images_I3SS: Tensor) -> dict[str, Tensor]:
        """The maps of square uint8 images that the fusion takes, by source."""
        assert self.fusion is not None
        pixels = {name: expert.preprocess(images_I3SS) for name, expert in self.experts.items()}  # type: ignore[operator]
        return self.fusion.encode(dict(self.experts.items()), pixels)


def build_encoder(model: EagleModel, language: LanguageModel, template: str | None = None) -> ConversationEncoder:
    """Build the encoder that turns conversations into token ids for a model.

    Args:
        model: the model.
        language: its language model.
        template: name of a chat template in `TEMPLATES`; None: the language model's own.
    """
    chosen = TEMPLATES[template or language.template]
    return ConversationEncoder(
        language.tokenizer, chosen, language.image_token_id, model.tokens_per_image, language.max_length
    )
