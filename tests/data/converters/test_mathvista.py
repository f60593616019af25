"""MathVista: free answers and options."""

from tests.helpers.releases import ReleaseFolder, describe


def test_mathvista(release: ReleaseFolder) -> None:
    free = {
        "question": "How high?",
        "image": "images/1.jpg",
        "choices": None,
        "answer": "1.2",
        "query": "Hint: a number.\nQuestion: How high?",
        "metadata": {"task": "textbook"},
    }
    choice = free | {
        "choices": ["No", "Yes"],
        "answer": "Yes",
        "query": "Hint: the letter.\nQuestion: Is it?\nChoices:\n(A) No\n(B) Yes",
    }
    release.json("testmini.json", {"1": free, "2": choice})
    release.images("images/1.jpg")
    first, second = release.convert("mathvista")
    assert describe(first) == ("1", "1.jpg", "Hint: a number.\nQuestion: How high?", ("1.2",), "textbook")
    assert describe(second)[3] == ("B", "Yes")
