"""EagleModel: experts, a fusion and a language model, from a batch to a loss or to answers.

Shape letters: B batch, I images (I <= B), S side of an image, N visual tokens, D language model width, T text + image length,
K target tokens, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.collate import Batch
from eaglebench.data.conversation import IGNORE, TEMPLATES, Encoder
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.base import Fusion
from eaglebench.language.base import LanguageModel, repeated


class EagleModel(nn.Module):
    """The whole model. Its parts are `experts.<name>`, `fusion` and `llm`, in its state dict too.

    Args:
        experts: in the fusion's order; none for a blind model, which is given no images.
        fusion: built for these experts and this language model; None for a blind model.
        language: the language model.
    """

    fusion: Fusion | None

    def __init__(self, experts: Mapping[str, VisionExpert], fusion: Fusion | None, language: LanguageModel) -> None:
        super().__init__()
        self.experts = nn.ModuleDict(dict(experts))
        self.fusion = fusion
        self.llm = language.network
        self.image_token_id = language.image_token_id
        self.eos_token_id = language.tokenizer.eos_token_id
        self.pad_token_id = language.tokenizer.pad_token_id

    def parts(self) -> dict[str, nn.Module]:
        """What a stage trains or freezes, by name: `experts.<name>`, `fusion`, `llm`."""
        parts: dict[str, nn.Module] = {f"experts.{name}": expert for name, expert in self.experts.items()}
        if self.fusion is not None:
            parts["fusion"] = self.fusion
        parts["llm"] = self.llm
        return parts

    def blocks(self) -> list[nn.Module]:
        """The repeated blocks of the experts and of the language model: the units of sharding."""
        return [block for expert in self.experts.values() for block in expert.blocks()] + repeated(self.llm)  # type: ignore[operator]

    @property
    def tokens_of_an_image(self) -> int:
        """N, the visual tokens of an image; 0 for a blind model."""
        return self.fusion.visual_tokens if self.fusion is not None else 0

    @property
    def image_side(self) -> int:
        """The side that images are to be loaded at: the largest that an expert needs."""
        return max(int(expert.image_size) for expert in self.experts.values())  # type: ignore[arg-type]

    def forward(self, batch: Batch) -> Tensor:
        """The mean cross-entropy of the batch's target tokens."""
        assert batch.labels is not None
        targets_BT = batch.labels[:, 1:]
        is_target_BT = targets_BT != IGNORE
        # Words for the targets alone: most places are visual tokens and questions, and a vocabulary is wide.
        return self.loss(self.hidden(batch)[:, :-1][is_target_BT], targets_BT[is_target_BT])

    def hidden(self, batch: Batch) -> Tensor:
        """What the language model's layers make of a batch [B, T, D]."""
        output = self.llm.base_model(
            inputs_embeds=self.embed(batch), attention_mask=batch.attention_mask, use_cache=False
        )
        return output.last_hidden_state

    def loss(self, hidden_KD: Tensor, targets_K: Tensor) -> Tensor:
        """The mean cross-entropy of target tokens [K], each after the place that is to predict it."""
        logits_KV = self.llm.get_output_embeddings()(hidden_KD)
        return F.cross_entropy(logits_KV.float(), targets_K)

    @torch.no_grad()
    def generate(self, batch: Batch, max_new_tokens: int, **options: Any) -> Tensor:
        """Continuations [B, up to max_new_tokens] of left-padded prompts: greedy, or with transformers' options of generation."""
        return self.llm.generate(
            inputs_embeds=self.embed(batch),
            attention_mask=batch.attention_mask,
            max_new_tokens=max_new_tokens,
            **{"do_sample": False, **options},
            synced_gpus=dist.is_initialized(),  # as many passes in each process, where they exchange shards
            eos_token_id=self.eos_token_id,
            pad_token_id=self.pad_token_id,
        )

    def embed(self, batch: Batch) -> Tensor:
        """Input embeddings [B, T, D], visual tokens in the place of image tokens. Experts run for the images alone."""
        is_image_BT = batch.input_ids == self.image_token_id
        embeds_BTD = self.llm.get_input_embeddings()(batch.input_ids.masked_fill(is_image_BT, self.pad_token_id))
        if batch.images is None:
            if self.training and self.fusion is not None and dist.is_initialized():
                # The processes exchange gradients and shards in the same order: what one computes, all do.
                blank = torch.zeros(1, 3, self.image_side, self.image_side, dtype=torch.uint8, device=embeds_BTD.device)
                return embeds_BTD + 0 * self.visual_tokens(blank).sum().to(embeds_BTD.dtype)
            return embeds_BTD
        tokens_IND = self.visual_tokens(batch.images).to(embeds_BTD.dtype)
        return embeds_BTD.masked_scatter(is_image_BT.unsqueeze(-1), tokens_IND)

    def visual_tokens(self, images_I3SS: Tensor) -> Tensor:
        """Visual tokens [I, N, D] of uint8 square images."""
        if self.fusion is None:
            raise ValueError("a blind model was given images.")
        pixels = {name: expert.preprocess(images_I3SS) for name, expert in self.experts.items()}  # type: ignore[operator]
        return self.fusion(self.experts, pixels)


def encoder_of(model: EagleModel, language: LanguageModel, template: str | None = None) -> Encoder:
    """The encoder of conversations for this model, in its language model's template or another one."""
    written = TEMPLATES[template or language.template]
    return Encoder(language.tokenizer, written, language.image_token_id, model.tokens_of_an_image, language.max_length)
