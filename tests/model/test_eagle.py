"""EagleModel: visual tokens in their places, text-only samples without experts, every part trained."""

import pytest
import torch
from torch import Tensor

from eaglebench.config.build import build_factory
from eaglebench.data.collate import Collator, Item
from eaglebench.data.sample import Sample, Turn
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, build_encoder
from eaglebench.utils.errors import UserError
from tests.conftest import FUSIONS, composed


def build(*overrides: str) -> tuple[EagleModel, LanguageModel]:
    factory = build_factory(composed(*overrides))
    return factory.build_model(factory.experts)


def image(seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def batch_of(model: EagleModel, language: LanguageModel, images: list[Tensor | None]):
    encoder = build_encoder(model, language)
    items = []
    for index, picture in enumerate(images):
        sample = Sample(str(index), None if picture is None else "some", (Turn("how many shapes", "4"),))  # type: ignore[arg-type]
        items.append(Item(str(index), encoder.encode(sample), picture))
    return Collator(language.tokenizer.pad_token_id)(items)


@pytest.mark.parametrize("experts", ["[clip]", "[sam,clip]", "[clip,convnext,pix2struct,eva02,sam,sam_vary]"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_one_to_six_experts_give_a_loss_with_gradients_everywhere(fusion: str, experts: str) -> None:
    model, language = build(f"experts={experts}", f"fusion={fusion}")
    loss = model(batch_of(model, language, [image(), image(1)]))
    loss.backward()
    assert loss.ndim == 0 and torch.isfinite(loss)
    for name, part in model.parts().items():
        without = [key for key, parameter in part.named_parameters() if parameter.grad is None]
        assert without == [], name
    assert list(model.parts())[:-2] == [f"experts.{name}" for name in experts.strip("[]").split(",")]


def test_visual_tokens_stand_where_the_image_does() -> None:
    model, language = build("experts=[clip]")
    batch = batch_of(model, language, [image(), None, image(1)])
    with torch.no_grad():
        embeds, tokens = model.embed(batch), model.encode_images(batch.images)
        table = model.llm.get_input_embeddings()
    places = batch.input_ids == language.image_token_id
    assert places.sum(1).tolist() == [16, 0, 16]
    assert torch.equal(embeds[0][places[0]], tokens[0])
    assert torch.equal(embeds[2][places[2]], tokens[1])
    assert torch.equal(embeds[1], table(batch.input_ids[1]))


def test_text_only_samples_run_no_expert() -> None:
    model, language = build("experts=[clip]")
    seen: list[int] = []
    model.experts["clip"].register_forward_pre_hook(lambda module, arguments: seen.append(len(arguments[0])))
    model(batch_of(model, language, [None, None]))
    assert seen == []
    model(batch_of(model, language, [None, image(), None]))
    assert seen == [1]


def test_an_answer_depends_on_its_own_image_alone() -> None:
    model, language = build()
    model.eval()
    one = batch_of(model, language, [image(), image(1)])
    two = batch_of(model, language, [image(), image(2)])
    with torch.no_grad():
        first, second = model.embed(one), model.embed(two)
    torch.testing.assert_close(first[0], second[0], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(first[1], second[1])


def test_left_padding_does_not_change_an_answer() -> None:
    model, language = build("experts=[clip]")
    model.eval()
    encoder, collator = build_encoder(model, language), Collator(language.tokenizer.pad_token_id)
    short = encoder.encode_prompt(Sample("s", "some", (Turn("red", ""),)))  # type: ignore[arg-type]
    long = encoder.encode_prompt(Sample("l", None, (Turn("how many shapes " * 9, ""),)))
    alone = model.generate(collator.collate_prompts([short], [image()], ["s"]), 4)
    padded = model.generate(collator.collate_prompts([short, long], [image(), None], ["s", "l"]), 4)
    assert alone[0].tolist() == padded[0].tolist()[: alone.shape[1]]


def test_a_blind_model_refuses_images() -> None:
    _, language = build("experts=[clip]")
    blind = EagleModel({}, None, language)
    with pytest.raises(ValueError, match="blind"):
        blind.encode_images(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_visual_tokens_that_fill_the_context_are_refused_with_both_numbers() -> None:
    with pytest.raises(UserError, match=r"64 visual tokens.*max_length=60"):
        build("experts=[clip]", "fusion.grid=8", "llm.max_length=60")


def test_the_loss_is_that_of_the_language_models_own_class() -> None:
    """Computed for the targets alone; conversations of several lengths, with and without an image, in float64."""
    model, language = build("experts=[clip]")
    model.double().eval()
    encoder = build_encoder(model, language)
    conversations = [
        Sample("0", "some", (Turn("how many shapes", "4"), Turn("shape in red", "star"))),  # type: ignore[arg-type]
        Sample("1", None, (Turn("value of red", "7"),)),
        Sample("2", "some", (Turn("tallest bar", "blue"),)),  # type: ignore[arg-type]
    ]
    pictures = [image(), None, image(1)]
    items = [
        Item(sample.id, encoder.encode(sample), picture)
        for sample, picture in zip(conversations, pictures, strict=True)
    ]
    batch = Collator(language.tokenizer.pad_token_id)(items)
    own = model.llm(inputs_embeds=model.embed(batch), attention_mask=batch.attention_mask, labels=batch.labels).loss
    torch.testing.assert_close(model(batch), own, atol=1e-6, rtol=1e-6)
    gradients = [torch.autograd.grad(loss, model.fusion.parameters()) for loss in (model(batch), own)]
    for ours, upstream in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, upstream, atol=1e-6, rtol=1e-5)


def test_the_order_of_the_loss_tokens_is_the_upstream_one() -> None:
    """The loss is the mean negative log-likelihood of the targets, computed here by hand."""
    model, language = build("experts=[clip]")
    model.eval()
    batch = batch_of(model, language, [image()])
    with torch.no_grad():
        logits = model.llm(inputs_embeds=model.embed(batch), attention_mask=batch.attention_mask).logits[0]
        expected = [
            -logits[place - 1].log_softmax(-1)[label]
            for place, label in enumerate(batch.labels[0].tolist())
            if label >= 0
        ]
        torch.testing.assert_close(model(batch), torch.stack(expected).mean())
