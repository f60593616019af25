"""The table of a run's parts."""

from contextlib import nullcontext

import pytest

from eaglebench.config.build import build_factory, build_stages
from eaglebench.stages.summary import build_parts_table, summarize_parts
from eaglebench.utils.errors import UserError
from tests.conftest import composed
from tests.helpers.tables import row_cells


def test_parts_with_parameters_and_the_learning_rate_of_each_stage() -> None:
    cfg = composed("experts.clip.frozen=true", "experts.sam.lr=1e-4", "stages.sft.lr.experts=1e-3")
    factory = build_factory(cfg)
    model, _ = factory.build_model(factory.experts)
    table = build_parts_table(summarize_parts(model, factory, build_stages(cfg)))
    assert [str(column.header) for column in table.columns] == [
        "part",
        "parameters",
        "output shape",
        "pre_align",
        "projector",
        "sft",
    ]
    rows = row_cells(table)
    assert rows["experts.clip"] == ["116,608", "64 px -> 4x4x256", "-", "frozen", "frozen"]
    assert rows["experts.sam"][2:] == ["1e-04", "frozen", "1e-04"]
    assert rows["llm"][2:] == ["frozen", "frozen", "1e-03"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["experts.clip.lr=1e-4"], r"experts\.clip\.lr has no effect, .* add stages\.sft\.lr\.experts=1e-4"),
        (["experts.clip.lora.rank=4"], r"experts\.clip\.lora\.rank has no effect"),
        (["experts.sam.layer_decay=0.9", "experts.sam.frozen=true"], r"layer_decay .* leave out experts\.sam\.frozen"),
        (["experts.sam.lr=1e-4", "stages=[projector,sft]"], r"experts\.sam\.lr has no effect"),
        (["experts.clip.lr=1e-4", "stages.sft.lr.experts=1e-4"], None),
        (["experts.sam.lr=1e-4"], None),
    ],
)
def test_how_an_expert_trains_is_refused_where_no_stage_trains_it(overrides: list[str], message: str | None) -> None:
    cfg = composed(*overrides)
    factory = build_factory(cfg)
    model, _ = factory.build_model(factory.experts)
    with nullcontext() if message is None else pytest.raises(UserError, match=message):
        summarize_parts(model, factory, build_stages(cfg))
