"""Answers and references for every official metric: edge cases, and random ones made of pieces of them."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple


class Pair(NamedTuple):
    """An answer with its references, and the options of the question."""

    prediction: str
    references: Sequence[str]
    choices: Sequence[str] = ()

    @property
    def question(self) -> str:
        """The references as one text."""
        return " | ".join(self.references)


class Material(NamedTuple):
    """What pairs for a metric are made of: answers, questions, and pieces of random answers."""

    answers: list[str]
    questions: list[tuple[list[str], list[str]]]
    pieces: list[str]


LETTERS = [
    "A", "B", "b", " B ", "B.", "b.", "B)", "(B)", "(b)", "[B]", "B:", "B,", "**B**", "B. a red car", "(B) a red car",
    "B a red car",
    "b a red car", "Because", "Banana.", "A red car", "The answer is B", "The answer is B.", "The answer is (B)",
    "the answer is b",
    "Answer: B", "The correct option is B", "Option B", "option b", "I choose B", "选B", "答案是B", "答案是 B。",
    "정답은 B", "A or B", "A, B",
    "(A) or (B)", "A. No, B.", "not A. B", "A B", "DNA is it", "I like the NBA and B", "a red car", "it is a red car",
    "a", "", " ",
    ".", "E", "E. none", "Z", "\u00c9.", "\uff22", "B\nbecause", "\n\nB", "B.\n", "''B''", '"B"', "B;", "A.B", "AB",
    "A)B)", "1. B", "None",
    "I think that it must be a red car there", "I think that it must be a blue car or a red car there", "C: a dog",
    "the answer is: C)",
    "best option is D, I pick B", "I am A. Most say the answer is unclear", "cab", "A (B) C", "is it (A)? (B)! (C).",
    "C or (B) maybe",
]  # fmt: skip
CHOICES = ["a blue car", "a red car", "a dog", "none"]
LETTER_PIECES = [
    "A", "B", "C", "D", "E", "a", "b", "c", "(A)", "(B)", "(C)", "A.", "B.", "C:", "D)", "b)", "a red car",
    "a blue car", "a dog",
    "dog", "none", "the answer is", "The answer is", "answer", "option", "Option", "choice is", "I choose",
    "best option is",
    ".", ",", ":", "(", ")", "'", "!", "\n", "  ", "no", "or", "DNA", "because", "\u00e9", "\u7b54\u6848\u662f", "not",
]  # fmt: skip
LETTER = Material(LETTERS, [(["A"], CHOICES), (["B"], CHOICES), (["C"], CHOICES)], LETTER_PIECES)
EITHER = LETTER._replace(questions=[(["A"], CHOICES[:2]), (["B"], CHOICES[:2])])
TEXTS = [
    "", " ", "12", "13", "1", "123", "hello", "HELLO", " hello ", "hallo", "hello there", "hell", "h", "helo wrld",
    "Acme Inc.", "Acme Inc",
    "acme   inc", " acme inc", "a  b", "a b", "a\tb", "a\nb", "stra\u00dfe", "STRASSE", "\u0130stanbul", "istanbul",
    "na\u00efve", "naive", "日本語", "日本国",
    "\uff28\uff45\uff4c\uff4c\uff4f", "$5", "5", "5 %", "5%", "yes", "yes.", "- yes", "yes - it is", "yes it is",
    "t-shirt", "tshirt", "t shirt",
    "?", "!", "...", "no, it's", "it's", "its",
]  # fmt: skip
TEXT_PIECES = [
    "hello", "Hello", "world", "a", "the", "12", "1", "3", ".", ",", "-", "'", "\u00df", "\u0130", "日", "本", "\uff21",
    "\u3000", "  ", "\n", "\t", "%", "e", "l", "o",
]  # fmt: skip
TEXT = Material(
    TEXTS,
    [
        (references, [])
        for references in (
            ["12"], ["hello"], ["Acme Inc"], ["acme   inc"], ["stra\u00dfe"], ["\u0130stanbul"], ["naive"], ["日本国"],
            ["a b"], ["yes it is"],
            ["yes  it is"], ["tshirt"], ["5"], ["\uff28ello"], ["other", "hello"], ["it's"], ["?"], ["c"],
        )
    ],
    TEXT_PIECES,
)  # fmt: skip
NUMBERS = [
    "100", "105", "95", "105.1", "94.9", "-1", "-1.04", "1e2", "52%", "52 %", "52%%", "50%", "0.5", "0.52", "0.525",
    "1,050", "1,000", "0",
    "0.0", "-0", "0%", "red", "Red", " red ", "red.", "nan", "NaN", "inf", "-inf", "infinity", "", "%", "1_000",
    "1000", "\uff12\uff10", "20", "+20",
    " 20 ", "20.", ".5", "5e-1", "1.05", "0.95", "1.0500000000000001", "3.15", "2.85", "3", "1e999", "105 ", "7 cm",
    "$7",
]  # fmt: skip
NUMBER = Material(
    NUMBERS,
    [
        (references, [])
        for references in (
            ["100"], ["1"], ["-1"], ["0.5"], ["50%"], ["50"], ["0"], ["0%"], ["1,050"], ["1000"], ["red"], ["Red"],
            ["20"], ["nan"], ["inf"],
            ["3"], ["7", "100"],
        )
    ],
    ["1", "0", "5", "9", ".", "%", "-", "e", ",", " ", "10", "00", "nan", "inf", "red"],
)  # fmt: skip
PEOPLE = [
    "cat", "Cat.", "a cat", "the cat", "cats", "2", "two", "Two", "none", "0", "1,000", "1000", "1,,000", "3.5", "3.",
    "U.S.A.", "usa",
    "t-shirt", "t shirt", "tshirt", "black - white", "black white", "red, white", "red white", "1,000 t-shirts",
    "yes!", "yes?", "yes", "dont",
    "don't", "couldntve", "couldnt've", "somebody'd", "somebodyd", "ow's'at", "oclock", "im", "dog's", "dog 's",
    "dogs", "line\nend",
    "line\rend", "a,\rb", "", "a", "?", "what?ever", "\u00c9T\u00c9", "." * 40 + "x", "x", "x\u00a0y", "Let's go",
    "lets go", "a/b", "(a) b", "it's, ok",
]  # fmt: skip
VOTES = Material(
    PEOPLE,
    [
        ([first] * votes + [second] * (10 - votes), [])
        for first, second in (
            ("cat", "dog"), ("two", "2"), ("1000", "1,000"), ("t-shirt", "t shirt"), ("don't", "do not"), ("dog's",
            "dogs"), ("yes", ""),
            ("line end", "x"), ("black white", "red white"), ("somebodyd", "usa"),
        )
        for votes in (1, 3)
    ],
    ["cat", "The", "a", "two", "'s", "dont", ",", "?", "!", "-", "/", ".", " . ", "1", ",0", "\n", "\r", "\t",
    "\u00a0", "one", "it's"],
)  # fmt: skip
YES_NO = [
    "yes", "Yes", "YES", "yes.", "Yes, it is", "no", "No.", "no!", "y", "Y", "n", "n.", "yeah", "nope", "not",
    "Not really", "nothing", "know",
    "I know", "the answer is yes", "There is no dog", "it is not", "yes or no", "no, yes", "", " ", ".", "maybe",
    "true", "\nyes", "ye s",
    "y.e.s", "eyes", "oh yes", "a no", "oh no", "noon", "1", "snow", "yes\nno",
]  # fmt: skip
YES_NO_QUESTIONS: list[tuple[list[str], list[str]]] = [(["yes"], []), (["no"], [])]
YES_OR_NO = Material(
    YES_NO, YES_NO_QUESTIONS, ["yes", "no", "Yes", "No", "n", "y", "not", ".", ",", " ", "it is", "a", "o", "\n"]
)
OPEN_TEXTS = [
    "42", "42.0", "42.00", "42.004", "42.006", "$42", "-42", "42%", "1,000", "1000", "1,000.00", "1.0e3", "1e3",
    "about 1,000 units", "12,34", "0.5", ".5",
    "so it is 42", "The answer is 42.", "x = 42", "x = 42\nsure", "thus 41. final result is 42",
    "answer is: 42 apples", "is 41, so 42", "it is",
    "is ", "x", "X", "an x here", "axe", "the answer is x", "mouse", "a Mouse", "the result is\nmouse",
    "could be cat\ntherefore mouse", ":", "", "nan",
    "inf", "is :", "so . is 42", "1_000", "42nd", "4 2", "42,", "3/4", "is 3/4", "2.5e-3", "answer final 42 result ",
    "so is so is 42",
]  # fmt: skip
OPEN = Material(
    OPEN_TEXTS,
    [
        (references, [])
        for references in (
            ["42"], ["42.0"], ["1,000"], ["1000"], ["0.5"], ["x"], ["mouse"], ["3/4"], ["0.0025"], ["cat", "42"],
            ["12,34"], ["$42"], ["nan"], ["-42"],
        )
    ],
    ["42", "1,000", "is ", "so ", "thus ", "answer ", "result ", "=", "\n", ". ", ".", "x", "mouse", "1e3", "-", "$",
    ",", "0", " ", "The", ":"],
)  # fmt: skip
FORMULAE = Material(
    [
        "x+2=3",
        "x + 2 = 3",
        "so x + 2\n= 3",
        "X+2=3",
        "x\t+2=3",
        "",
        "\\frac{1}{2}",
        "\\frac { 1 } { 2 }",
        "y",
        "\tx+2=3\t",
    ],
    [(["x+2=3"], []), (["x + 2 = 3"], []), (["\\frac{1}{2}"], []), (["y", "x+2=3"], []), (["x\t+2=3"], [])],
    ["x", "+", "2", "=", "3", " ", "\n", "\t", "\\frac", "{1}", "X"],
)
OPTION_TEXTS = ["rabbit", "cat", "tokyo 3/11", "none"]
MATHVISTA = Material(
    [],
    [
        *(([letter, text], OPTION_TEXTS) for letter, text in zip("ABCD", OPTION_TEXTS, strict=True)),
        *(([reference], []) for reference in ("14", "-3", "0", "1.2", "0.6", "1.45", "-0.5", "[2007, 2008]")),
    ],
    [],
)
# An option or a bare value alone: for others the official script asks a language model.
MATHVISTA_OPTIONS = [*OPTION_TEXTS, "A", "B", "C", "D", "(A)", "(B) cat", "(b)", "the answer is (C) tokyo 3/11", "(D)."]
MATHVISTA_VALUES = [
    "14", "14.0", "14.9", "-3", "0", "-0.4", "1.2", "1.20", "1.24", "1.25", "0.6", "0.649", "1.45", "1.454", "-.5",
    "-0.5", "[2007, 2008]",
    "[2007,2008]", "nan", "inf", "1e1", "fourteen", "$14", "", "1_4",
]  # fmt: skip
MATERIAL = {
    "exact_words": TEXT, "anls": TEXT, "contains": TEXT, "contains_formula": FORMULAE, "relaxed": NUMBER,
    "vqa": VOTES, "vqa_words": VOTES,
    "ai2d": LETTER, "mmbench": LETTER, "mmmu": LETTER, "scienceqa": LETTER, "seed": LETTER, "mmvp": EITHER,
    "mme": YES_OR_NO,
    "pope": YES_OR_NO, "mmmu_open": OPEN, "mathvista": MATHVISTA,
    "realworldqa": Material(
        [*LETTERS, "two", "Two.", "2", "Yes", "Downhill"], [*LETTER.questions, (["2"], []), (["Downhill"], []),
        (["Yes"], [])], LETTER_PIECES
    ),
}  # fmt: skip


def list_edges(metric: str) -> Iterator[Pair]:
    """Yield every answer of a metric's material to every question."""
    material = MATERIAL[metric]
    for references, choices in material.questions:
        answers = material.answers or (MATHVISTA_OPTIONS if choices else MATHVISTA_VALUES)
        yield from (Pair(answer, references, choices) for answer in answers)


def draw_pairs(metric: str, count: int, seed: int = 0) -> Iterator[Pair]:
    """Yield random answers, of up to eight pieces with and without spaces between them, to random questions."""
    rng, material = Random(f"{seed} {metric}"), MATERIAL[metric]
    for _ in range(count):
        references, choices = rng.choice(material.questions)
        if not material.pieces:
            answer = rng.choice(
                MATHVISTA_OPTIONS
                if choices
                else [*MATHVISTA_VALUES, str(round(rng.uniform(-20, 20), rng.randrange(4)))]
            )
        else:
            answer = rng.choice(["", " "]).join(rng.choices([*material.pieces, *references], k=rng.randrange(9)))
        yield Pair(answer, references, choices)
