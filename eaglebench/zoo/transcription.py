"""SAM-Vary's pretext task: Vary-tiny's, writing down what a page says (arXiv 2312.06109, section 3.2)."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from statistics import fmean

import torch
from torch import Tensor, nn
from transformers import OPTConfig, OPTForCausalLM

from eaglebench.data.conversation import IGNORE
from eaglebench.data.synthetic.drawing import Picture
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_tokens
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.zoo.captions import sentences, shows_shapes
from eaglebench.zoo.pretext import ExpertPretext, Fields, padded, pixels

LONGEST = 32  # tokens of a transcript
WIDTH, HEADS, DEPTH = 128, 4, 2
NOTHING = "no text"  # of a picture without any: the natural images of Vary-tiny


class Transcription(ExpertPretext):
    """An expert, one linear layer and a small OPT that reads the expert's cells as its first tokens."""

    metric = "share of held-out pictures whose text, and the colour of each word, is written down without a mistake"

    def __init__(self, part: VisionExpert) -> None:
        super().__init__(part)
        self.tokenizer = tiny_tokenizer()
        self.project = nn.Sequential(nn.LayerNorm(part.channels), nn.Linear(part.channels, WIDTH))
        self.opt = OPTForCausalLM(
            OPTConfig(
                vocab_size=len(self.tokenizer),
                hidden_size=WIDTH,
                word_embed_proj_dim=WIDTH,
                ffn_dim=2 * WIDTH,
                num_hidden_layers=DEPTH,
                num_attention_heads=HEADS,
                max_position_embeddings=part.grid**2 + 1 + LONGEST,
                dropout=0.0,
                init_std=WIDTH**-0.5,
                bos_token_id=self.tokenizer.eos_token_id,
                eos_token_id=self.tokenizer.eos_token_id,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        )

    def item(self, picture: Picture, rng: Random) -> Mapping[str, Tensor]:
        text = transcript(picture)
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"] + [self.tokenizer.eos_token_id]
        words = torch.tensor(padded(ids, LONGEST, self.tokenizer.pad_token_id))
        return {"images": pixels(picture), "words": words}

    def prefix(self, images: Tensor) -> Tensor:
        """Embeddings [B, N + 1, WIDTH]: the expert's cells, and the end token that begins a text."""
        cells = self.project(to_tokens(self.features(images)))
        begin = torch.full((len(cells), 1), self.tokenizer.eos_token_id, device=cells.device)
        return torch.cat([cells, self.opt.get_input_embeddings()(begin)], dim=1)

    def forward(self, batch: Fields) -> Tensor:
        prefix = self.prefix(batch.images)
        words = self.opt.get_input_embeddings()(batch.words)
        labels = batch.words.masked_fill(batch.words == self.tokenizer.pad_token_id, IGNORE)
        labels = torch.cat([labels.new_full(prefix.shape[:2], IGNORE), labels], dim=1)
        return self.opt(inputs_embeds=torch.cat([prefix, words], dim=1), labels=labels, use_cache=False).loss

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        right: list[bool] = []
        for batch in self.batches(groups):
            prefix = self.prefix(batch.images)
            written = self.opt.generate(
                inputs_embeds=prefix,
                attention_mask=prefix.new_ones(prefix.shape[:2]),
                max_new_tokens=LONGEST,
                do_sample=False,
            )
            for one, other in zip(written, batch.words, strict=True):
                given, expected = (self.tokenizer.decode(ids, skip_special_tokens=True) for ids in (one, other))
                right.append(given == expected)
        return fmean(right)


def transcript(picture: Picture) -> str:
    """What is written in the picture, line by line, with the colour of a coloured word."""
    if shows_shapes(picture):
        return NOTHING
    return "\n".join(sentences(picture.marks))
