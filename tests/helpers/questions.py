"""Questions without a data set."""

from pathlib import Path

from eaglebench.data.sample import Sample, Turn
from eaglebench.evaluation.questions import EvalQuestion


def make_question(identity: str, family: str, answer: str = "1", image: bool = True) -> EvalQuestion:
    """A question about an image of its own, which need not exist."""
    return EvalQuestion(Sample(identity, Path(f"{identity}.png") if image else None, (Turn("q", answer, family),)), 0)
