import re

import pytest

from knowledge.loaders import load_documents
from knowledge.loaders.types import LoadLimits, RawFile
from knowledge.reader import FileUnreadable
from tests.fakes.broken_files import WHOLE, broken_files

BROKEN = broken_files()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_its_reason(name: str) -> None:
    data, pattern = BROKEN[name]
    with pytest.raises(FileUnreadable) as caught:
        load_documents(RawFile(name, data), LoadLimits())
    assert re.search(pattern, caught.value.reason)
    assert caught.value.reason.endswith(".")


@pytest.mark.parametrize("kind", WHOLE)
def test_the_same_file_unbroken_is_read(kind: str) -> None:
    assert load_documents(RawFile(f"whole.{kind}", WHOLE[kind]), LoadLimits())[0].text


def test_there_are_a_hundred_of_them() -> None:
    assert len(BROKEN) >= 100
