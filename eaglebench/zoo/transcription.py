"""SAM-Vary's pretext task, which is Vary-tiny's: write down what a page says (arXiv 2312.06109, section 3.2)."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from statistics import fmean

import torch
from torch import Tensor, nn
from transformers import OPTConfig, OPTForCausalLM

from eaglebench.data.conversation import IGNORE
from eaglebench.data.synthetic.drawing import Scene, SceneQuestion
from eaglebench.data.synthetic.transcription import pair_phrases
from eaglebench.experts.base import VisionExpert
from eaglebench.fusion.grid import to_tokens
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.zoo.captions import shows_shapes
from eaglebench.zoo.pretext import ExpertPretext, TensorBatch, pad_ids, to_pixels
from eaglebench.zoo.readout import list_candidates

MAX_TOKENS = 32  # of a transcript
WIDTH, HEADS, DEPTH = 128, 4, 2
READ = ("text", "document")  # families whose answers are in a transcript
NO_TEXT = "no text"  # transcript of a scene without text, which stands for the natural images of Vary-tiny


class Transcription(ExpertPretext):
    """An expert, one linear layer and a small OPT that takes the expert's cells as its first tokens.

    Args:
        part: the expert.
    """

    metric = "share of held-out scenes whose text, and the colour of each word, is written without a mistake"

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
                max_position_embeddings=part.grid**2 + 1 + MAX_TOKENS,
                dropout=0.0,
                init_std=WIDTH**-0.5,
                bos_token_id=self.tokenizer.eos_token_id,
                eos_token_id=self.tokenizer.eos_token_id,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        )

    def make_item(self, scene: Scene, rng: Random) -> Mapping[str, Tensor]:
        """`images`: uint8 [3, S, S]; `words`: token ids of the transcript, [MAX_TOKENS]."""
        text = write_transcript(scene)
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"] + [self.tokenizer.eos_token_id]
        words = torch.tensor(pad_ids(ids, MAX_TOKENS, self.tokenizer.pad_token_id))
        return {"images": to_pixels(scene), "words": words}

    def embed_prefix(self, images_B3SS: Tensor) -> Tensor:
        """Embeddings [B, N + 1, WIDTH] of uint8 images: the expert's cells, and the end token that starts a text."""
        cells_BNC = self.project(to_tokens(self.encode(images_B3SS)))
        start_B1 = torch.full((len(cells_BNC), 1), self.tokenizer.eos_token_id, device=cells_BNC.device)
        return torch.cat([cells_BNC, self.opt.get_input_embeddings()(start_B1)], dim=1)

    def forward(self, batch: TensorBatch) -> Tensor:
        prefix = self.embed_prefix(batch.images)
        words = self.opt.get_input_embeddings()(batch.words)
        labels = batch.words.masked_fill(batch.words == self.tokenizer.pad_token_id, IGNORE)
        labels = torch.cat([labels.new_full(prefix.shape[:2], IGNORE), labels], dim=1)
        loss: Tensor = self.opt(inputs_embeds=torch.cat([prefix, words], dim=1), labels=labels, use_cache=False).loss
        return loss

    def score(self, groups: Iterable[Sequence[Mapping[str, Tensor]]]) -> float:
        right: list[bool] = []
        for batch in self.iterate_batches(groups):
            expected = self.tokenizer.batch_decode(batch.words, skip_special_tokens=True)
            right += [text == true for text, true in zip(self.write(batch.images), expected, strict=True)]
        return fmean(right)

    def write(self, images_B3SS: Tensor) -> list[str]:
        """The transcripts of uint8 images."""
        prefix = self.embed_prefix(images_B3SS)
        generated = self.opt.generate(
            inputs_embeds=prefix,
            attention_mask=prefix.new_ones(prefix.shape[:2]),
            max_new_tokens=MAX_TOKENS,
            do_sample=False,
        )
        texts: list[str] = self.tokenizer.batch_decode(generated, skip_special_tokens=True)
        return texts

    def read(self, images_B3SS: Tensor, questions: Sequence[SceneQuestion]) -> list[str | None]:
        """By the line of the transcript that names what is asked for."""
        if all(question.family not in READ for question in questions):
            return [None] * len(questions)
        answers: list[str | None] = []
        for text, question in zip(self.write(images_B3SS), questions, strict=True):
            lines = text.splitlines()
            found = [answer for answer, pair in list_candidates(question).items() if " ".join(pair) in lines]
            answers.append((found or [""])[0])
        return answers


def write_transcript(scene: Scene) -> str:
    """The text in a scene, line by line, with the colour of each coloured word before it."""
    if shows_shapes(scene):
        return NO_TEXT
    return "\n".join(phrase for _, phrase in pair_phrases(scene.marks))
