"""CLIP's pretext task: which caption belongs to which image (arXiv 2103.00020)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.drawing import Scene, SceneQuestion
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_tokens
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.zoo.captions import write_caption
from eaglebench.zoo.pretext import GROUP, ExpertPretext, TensorBatch, pad_ids, to_pixels
from eaglebench.zoo.readout import list_candidates

MAX_TOKENS = 40  # of a caption
WIDTH, HEADS, DEPTH = 128, 4, 2
INITIAL_TEMPERATURE = 0.07  # as in CLIP
MIN_TEMPERATURE = 0.01


class Contrastive(ExpertPretext):
    """An expert and a small text encoder with CLIP's symmetric loss, both pooled by attention as SigLIP's image tower.

    Args:
        part: the expert.
    """

    metric = f"share of held-out scenes whose own caption is the nearest of {GROUP}"

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.tokenizer = tiny_tokenizer()
        self.text = TextEncoder(len(self.tokenizer))
        self.pool = AttentionPool(part.channels, WIDTH, HEADS)
        self.scale = LogitScale()

    def make_item(self, scene: Scene, rng: Random) -> Mapping[str, Tensor]:
        """`images`: uint8 [3, S, S]; `words`: token ids of the caption, [MAX_TOKENS]."""
        return {"images": to_pixels(scene), "words": self.to_words(write_caption(scene, rng))}

    def embed(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Unit vectors [B, WIDTH] of the images and of the captions."""
        return self.embed_images(batch.images), self.embed_texts(batch.words)

    def embed_images(self, images_B3SS: Tensor) -> Tensor:
        """Unit vectors [B, WIDTH] of uint8 images."""
        return F.normalize(self.pool(to_tokens(self.encode(images_B3SS))), dim=-1)

    def embed_texts(self, words_BT: Tensor) -> Tensor:
        """Unit vectors [B, WIDTH] of captions, as token ids of length MAX_TOKENS."""
        return F.normalize(self.text(words_BT, words_BT == self.tokenizer.pad_token_id), dim=-1)

    def read(self, images_B3SS: Tensor, questions: Sequence[SceneQuestion]) -> list[str | None]:
        """By the nearest of the captions that name no more than the thing asked for, as in zero-shot classification."""
        answers: list[str | None] = []
        for image, question in zip(self.embed_images(images_B3SS), questions, strict=True):
            candidates = list_candidates(question)
            if not candidates:
                answers.append(None)
                continue
            captions = [" ".join(pair).replace(VALUE, "") for pair in candidates.values()]
            words = torch.stack([self.to_words(caption) for caption in captions]).to(image.device)
            answers.append(list(candidates)[int((self.embed_texts(words) @ image).argmax())])
        return answers

    def to_words(self, caption: str) -> Tensor:
        """The token ids [MAX_TOKENS] of a caption."""
        ids = self.tokenizer(caption, add_special_tokens=False)["input_ids"]
        return torch.tensor(pad_ids(ids, MAX_TOKENS, self.tokenizer.pad_token_id))

    def forward(self, batch: TensorBatch) -> Tensor:
        images, texts = self.embed(batch)
        logits = self.scale(images @ texts.T)
        own = torch.arange(len(batch), device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        accuracies = []
        for batch in self.iterate_batches(groups):
            images, texts = self.embed(batch)
            nearest = (images @ texts.T).argmax(1)
            accuracies.append((nearest == torch.arange(len(batch), device=nearest.device)).float().mean())
        return fmean(map(float, accuracies))


class TextEncoder(nn.Module):
    """A small transformer over token ids [B, T], pooled to [B, WIDTH].

    Args:
        vocabulary: number of tokens.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, WIDTH)
        self.places = nn.Parameter(torch.randn(MAX_TOKENS, WIDTH) * WIDTH**-0.5)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False)
        self.pool = AttentionPool(WIDTH, WIDTH, HEADS)

    def forward(self, ids_BT: Tensor, padding_BT: Tensor) -> Tensor:
        hidden_BTC = self.blocks(self.words(ids_BT) + self.places, src_key_padding_mask=padding_BT)
        pooled: Tensor = self.pool(hidden_BTC, padding_BT)
        return pooled


class LogitScale(nn.Module):
    """Multiplies by the inverse of a learned temperature, which is kept above MIN_TEMPERATURE as in CLIP."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(-math.log(INITIAL_TEMPERATURE)))

    def forward(self, similarities: Tensor) -> Tensor:
        # The parameter itself is clamped: a clamped copy would leave it without a gradient that leads back.
        with torch.no_grad():
            self.log.clamp_(max=-math.log(MIN_TEMPERATURE))
        return similarities * self.log.exp()


class AttentionPool(nn.Module):
    """One learned query that attends over tokens [B, N, C] and gives [B, width].

    Args:
        channels: of the tokens.
        width: of the output.
        heads: of the attention.
    """

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, heads, kdim=channels, vdim=channels, batch_first=True)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens_BNC: Tensor, padding_BN: Tensor | None = None) -> Tensor:
        tokens_BNC = self.norm(tokens_BNC)
        query = self.query.expand(len(tokens_BNC), -1, -1)
        attended, _ = self.attention(query, tokens_BNC, tokens_BNC, key_padding_mask=padding_BN, need_weights=False)
        query_BC: Tensor = attended[:, 0]
        pooled_BC: Tensor = query_BC + self.mlp(query_BC)
        return pooled_BC
