"""Where sentences end while text is being written."""

import pytest

from adapters.delivery.sentence_ends import has_sentence, sentence_ends


@pytest.mark.parametrize(
    "text",
    [
        "Yes. ",
        "The drive is on shelf Heron. It",
        "Is it? ",
        "It is here!\n",
        "He said “it is here.” Then",
        "**It is here.** Then",
        "盘在架子上。",
        "هل هذا هو؟ نعم",
        "The drive:\n",
        "- shelf Heron\n",
        "Le disque est ici ! Il",
    ],
)
def test_a_whole_sentence_or_line_is_enough_to_show(text: str) -> None:
    assert has_sentence(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The drive",
        "The drive is here.",  # "here.example" may follow
        "It costs 3.50 at",
        "As Dr. Heron",
        "Some shelves, e.g. Heron",
        "J. R. Heron",
        "1. ",
        "```python\n",
        "\n\n",
        "- \n",
        "see disks.example/x",
    ],
)
def test_half_a_sentence_is_not(text: str) -> None:
    assert not has_sentence(text)


def test_sentence_ends_are_offsets_before_the_space_that_follows() -> None:
    text = "One. Two? Three"
    assert [text[:end] for end in sentence_ends(text)] == ["One.", "One. Two?"]
