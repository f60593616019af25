"""Room for answers: each prompt and its answer fit in the context of the language model, or none is answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from eaglebench.data.conversation import ConversationEncoder
from eaglebench.evaluation.questions import EvalQuestion
from eaglebench.utils.errors import UserError
from eaglebench.utils.quoting import list_first

Overlong = Literal["refuse", "shorten_answer"]
NAMED = 5  # questions that an error lists


@dataclass(frozen=True)
class AnswerLimits:
    """How long answers may become.

    Attributes:
        max_new_tokens: most tokens of an answer.
        by_family: most tokens of an answer by family, in place of `max_new_tokens`.
        overlong: `refuse` a prompt that leaves less of the context; or `shorten_answer` to what it leaves, and refuse
            only a prompt that leaves nothing.
    """

    max_new_tokens: int
    by_family: Mapping[str, int] = field(default_factory=dict)
    overlong: Overlong = "refuse"

    def find_limit(self, question: EvalQuestion) -> int:
        """The most new tokens of an answer, if the context has room for them."""
        return self.by_family.get(question.family, self.max_new_tokens)

    def fit(self, questions: Sequence[EvalQuestion], encoder: ConversationEncoder) -> list[int]:
        """The most new tokens of the answer to each question, all within the context.

        Raises:
            UserError: some prompts leave too little room; it counts and names them.
        """
        limits, bad = [], []
        for question in questions:
            wanted, prompt = self.find_limit(question), len(encoder.encode_prompt(question.sample, question.turn))
            room = encoder.max_length - prompt
            limits.append(min(wanted, room))
            if room < (wanted if self.overlong == "refuse" else 1):
                bad.append(f"{question.name}: {prompt} + {wanted}")
        if not bad:
            return limits
        shorten = ", or set evaluation.overlong=shorten_answer" if self.overlong == "refuse" else ""
        raise UserError(
            f"{len(bad)} of {len(questions)} questions do not fit in llm.max_length={encoder.max_length}, as tokens of "
            f"the prompt with its image + tokens of the answer ({list_first(bad, NAMED, '; ')}): shorten them, raise "
            f"llm.max_length as far as the model goes, lower evaluation.max_new_tokens{shorten}."
        )
