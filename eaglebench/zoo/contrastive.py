"""CLIP's pretext task: which caption belongs to which picture."""

import math
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.drawing import Picture
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_tokens
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.zoo.captions import caption
from eaglebench.zoo.pretext import GROUP, ExpertPretext, Fields, padded, pixels

LONGEST = 40  # tokens of a caption
WIDTH, HEADS, DEPTH = 128, 4, 2
TEMPERATURE = 0.07  # at first, as in CLIP (arXiv 2103.00020)
SHARPEST = 0.01


class Contrastive(ExpertPretext):
    """An expert and a small text encoder with CLIP's symmetric loss; both are pooled by attention, as in SigLIP's image tower."""

    metric = f"share of held-out pictures whose own caption is the nearest of {GROUP}"

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.tokenizer = tiny_tokenizer()
        self.text = TextEncoder(len(self.tokenizer))
        self.pool = AttentionPool(part.channels, WIDTH, HEADS)
        self.scale = Scale()

    def item(self, picture: Picture, rng: Random) -> Mapping[str, Tensor]:
        ids = self.tokenizer(caption(picture, rng), add_special_tokens=False)["input_ids"]
        words = torch.tensor(padded(ids, LONGEST, self.tokenizer.pad_token_id))
        return {"images": pixels(picture), "words": words}

    def embedded(self, batch: Fields) -> tuple[Tensor, Tensor]:
        """Unit vectors [B, WIDTH] of images and of captions."""
        texts = self.text(batch.words, batch.words == self.tokenizer.pad_token_id)
        return F.normalize(self.pool(to_tokens(self.features(batch.images))), dim=-1), F.normalize(texts, dim=-1)

    def forward(self, batch: Fields) -> Tensor:
        images, texts = self.embedded(batch)
        logits = self.scale(images @ texts.T)
        own = torch.arange(len(batch), device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        right = []
        for batch in self.batches(groups):
            images, texts = self.embedded(batch)
            nearest = (images @ texts.T).argmax(1)
            right.append((nearest == torch.arange(len(batch), device=nearest.device)).float().mean())
        return fmean(map(float, right))


class TextEncoder(nn.Module):
    """A small transformer over word ids [B, T], pooled to [B, WIDTH]."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, WIDTH)
        self.places = nn.Parameter(torch.randn(LONGEST, WIDTH) * WIDTH**-0.5)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False)
        self.pool = AttentionPool(WIDTH, WIDTH, HEADS)

    def forward(self, words: Tensor, padding: Tensor) -> Tensor:
        return self.pool(self.blocks(self.words(words) + self.places, src_key_padding_mask=padding), padding)


class Scale(nn.Module):
    """Times a learned number, one over the temperature, which is held above SHARPEST as in CLIP."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))

    def forward(self, likeness: Tensor) -> Tensor:
        # The parameter itself is held: a clamped copy would give it no gradient to come back by.
        with torch.no_grad():
            self.log.clamp_(max=-math.log(SHARPEST))
        return likeness * self.log.exp()


class AttentionPool(nn.Module):
    """One learned query attends over tokens [B, N, C] and gives [B, width]."""

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, heads, kdim=channels, vdim=channels, batch_first=True)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens_BNC: Tensor, padding_BN: Tensor | None = None) -> Tensor:
        tokens = self.norm(tokens_BNC)
        query = self.query.expand(len(tokens), -1, -1)
        pooled = self.attention(query, tokens, tokens, key_padding_mask=padding_BN, need_weights=False)[0][:, 0]
        return pooled + self.mlp(pooled)
