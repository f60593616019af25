"""SAM-Vary's pretext task: a transcript counts if it is right as a whole."""

from random import Random

import pytest

from eaglebench.data.synthetic.engine import KINDS
from eaglebench.zoo.pretext import TensorBatch
from eaglebench.zoo.transcription import Transcription
from tests.helpers.pretexts import pretext_of


def test_transcripts_are_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("sam_vary")
    assert isinstance(pretext, Transcription)
    items = [
        pretext.make_item(KINDS[kind](Random(seed), 128), Random(0)) for kind in ("text", "shapes") for seed in range(2)
    ]
    words = TensorBatch.stack(items).words
    monkeypatch.setattr(pretext.opt, "generate", lambda **_: words)
    assert pretext.score([items]) == 1
    wrong = words.clone()
    wrong[0, 0] = words[2, 0]
    monkeypatch.setattr(pretext.opt, "generate", lambda **_: wrong)
    assert pretext.score([items]) == 0.75
