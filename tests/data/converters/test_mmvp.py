"""MMVP: pairs of images."""

from tests.helpers.releases import ReleaseFolder, describe


def test_mmvp(release: ReleaseFolder) -> None:
    release.write(
        "Questions.csv",
        "Index,Question,Options,Correct Answer\n"
        "1,Is it open?,(a) Open (b) Closed,(a)\n"
        "2,Is it open?,(a) Open (b) Closed,(b)\n"
        "3,How many?,(a) 1; 2 (b) 3,(b)\n",
    )
    release.images("MMVP Images/1.jpg", "MMVP Images/2.jpg", "MMVP Images/3.jpg")
    samples = release.convert("mmvp")
    assert describe(samples[0]) == ("1", "1.jpg", "Is it open?\nA. Open\nB. Closed", ("A", "Open"), "pair 1")
    assert describe(samples[1]) == ("2", "2.jpg", "Is it open?\nA. Open\nB. Closed", ("B", "Closed"), "pair 1")
    assert describe(samples[2]) == ("3", "3.jpg", "How many?\nA. 1; 2\nB. 3", ("B", "3"), "pair 2")
