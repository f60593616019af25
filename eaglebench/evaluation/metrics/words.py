"""The words of a transcription, as GOT counts them: jieba's for Chinese, else what spaces part; or its characters."""

import importlib.util
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from eaglebench.utils.errors import UserError

Split = tuple[list[str], list[list[str]]]  # the parts of an answer, and those of each reference
CHINESE = re.compile("[\u4e00-\u9fa5]")


def split_words(prediction: str, references: Sequence[str]) -> Split:
    """The words of an answer, and those of each reference.

    If a reference has Chinese characters, jieba splits all texts, and spaces between them are words. The answer does
    not decide: whether a question can be scored is known before it is answered.

    Raises:
        UserError: a reference has Chinese characters, and jieba is not installed.
    """
    chinese = any(map(CHINESE.search, references))
    split: Callable[[str], list[str]] = load_jieba().lcut if chinese else str.split
    return split(prediction), [split(reference) for reference in references]


def split_characters(prediction: str, references: Sequence[str]) -> Split:
    """The characters of an answer, and those of each reference; a space is one."""
    return list(prediction), list(map(list, references))


@cache
def load_jieba() -> Any:
    """jieba's segmenter with its own dictionary, read once.

    jieba would keep the dictionary in a file of the shared temporary folder, and trust what it finds there.

    Raises:
        UserError: jieba is not installed.
    """
    if importlib.util.find_spec("jieba") is None:
        raise UserError(
            "the words of Chinese transcriptions are found by jieba, which is not installed: uv sync --extra chinese, "
            "or pip install 'eaglebench[chinese]'."
        )
    import jieba

    segmenter = jieba.Tokenizer()
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    return segmenter
