"""The projector taught directly: an upper bound for what captions can teach it.

Shape letters: B batch, N visual tokens, W words of a token, D width of the language model.
"""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from eaglebench.data.collate import Batch, ConversationDataset
from eaglebench.data.conversation import Encoded
from eaglebench.data.sample import SLOTS, Sample
from eaglebench.data.source import DataSource
from eaglebench.data.synthetic.transcription import SEPARATOR
from eaglebench.fusion.place import find_places
from eaglebench.language.base import LanguageModel
from eaglebench.language.tokenizer import word_id
from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import ModelFactory
from eaglebench.stages.base import StageUnit
from eaglebench.stages.joint import Joint
from eaglebench.training.setup import TrainingSetup
from eaglebench.utils.errors import UserError
from eaglebench.zoo.pretext import pad_ids
from eaglebench.zoo.slots import MAX_WORDS, sum_words


class Slots(Joint):
    """The fusion learns the sums of word embeddings that the language model was pretrained on, cell by cell.

    Its labels are the synthetic world's own marks, the words of each cell, which no data set at full size has: a bound
    to measure recipes against, and no recipe itself.
    """

    part_kinds = ("experts", "fusion")

    def build_setup(self, unit: StageUnit, factory: ModelFactory, data: DataSource) -> TrainingSetup:
        setup = super().build_setup(unit, factory, data)
        model, language = setup.validation_models
        encoder = SlotEncoder(language, model.tokens_per_image)
        samples = data.training_split(self.name).samples
        if language.places is None or not all(map(encoder.fits, samples)):
            raise UserError(
                f"{self.name} needs the words of each visual token: it is for data=synthetic, llm=tiny, "
                f"stages.{self.name}.data={SLOTS} and a fusion of one 4x4 grid."
            )
        dataset = ConversationDataset(samples, encoder, data.reader(model.image_side))
        setup.network, setup.dataset, setup.count_targets = SlotRegression(model, language), dataset, None
        return setup


class SlotEncoder:
    """Encodes the words of the visual tokens of an image.

    Args:
        language: the language model, whose tokenizer knows each word as one token.
        visual_tokens: N.
    """

    def __init__(self, language: LanguageModel, visual_tokens: int) -> None:
        self.tokenizer = language.tokenizer
        self.visual_tokens = visual_tokens

    def fits(self, sample: Sample) -> bool:
        """Whether a sample has words for as many visual tokens."""
        return len(sample.turns[0].answer.split(SEPARATOR)) == self.visual_tokens

    def encode(self, sample: Sample) -> Encoded:
        """The ids of the words of each visual token, W each, padded."""
        ids: list[int] = []
        for cell in sample.turns[0].answer.split(SEPARATOR):
            words = [word_id(self.tokenizer, word) for word in cell.split()]
            ids += pad_ids(words, MAX_WORDS, self.tokenizer.pad_token_id)
        return Encoded(tuple(ids), tuple(ids))


class SlotRegression(EagleModel):
    """A model whose loss is the squared error of its visual tokens, over the variance of what they should be.

    Args:
        model: the model whose parts it shares.
        language: its language model.
    """

    def __init__(self, model: EagleModel, language: LanguageModel) -> None:
        experts = {name: expert for name, expert in model.experts.items()}
        super().__init__(experts, model.fusion, language)  # type: ignore[arg-type]
        self.language = language

    @cached_property
    def places(self) -> Tensor:
        """The vectors [N, D] of the places of the visual tokens."""
        assert self.language.places is not None
        return find_places(self.language.places, round(self.tokens_per_image**0.5))

    def forward(self, batch: Batch) -> Tensor:
        assert batch.images is not None
        targets_BND = self.embed_words(batch.input_ids)
        tokens_BND = self.encode_images(batch.images)
        loss: Tensor = F.mse_loss(tokens_BND, targets_BND) / targets_BND.var()
        return loss

    @torch.no_grad()
    def embed_words(self, ids_BK: Tensor) -> Tensor:
        """What the language model was pretrained on: the sum [B, N, D] of the words of each token and of its place."""
        ids_BNW = ids_BK.reshape(len(ids_BK), -1, MAX_WORDS)
        words_BND = sum_words(self.llm.get_input_embeddings()(ids_BNW), ids_BNW, self.pad_token_id)
        targets_BND: Tensor = words_BND + self.places.to(words_BND)
        return targets_BND
