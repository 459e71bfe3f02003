"""Names of readers and people: each right form is taken, and each wrong one leads to the nearest right one."""

import pytest

from bot.config.reader_names import name_faults, person_rules, reader_rules
from bot.config.yaml_source import parse_yaml
from bot.platforms import load_platforms

READERS, PEOPLE = reader_rules(["editor"], load_platforms()), person_rules(load_platforms())


@pytest.mark.parametrize(
    "name",
    [
        "everyone",
        "console",
        "console:family",
        "discord:123456789012345678",
        "discord:123456789012345678#private:42",
        "discord:guild:123456789012345678",
        "discord:role:123456789012345678",
        "discord:user:123456789012345678",
        "matrix:!kitchen:example.org",
        "matrix:!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM",
        "matrix:!kitchen:example.org#$thread",
        "matrix:user:@ana:example.org",
        "matrix:user:@ana:[::1]:8448",
        "matrix:server:example.org",
        "api:editor",
    ],
)
def test_a_name_that_an_audience_can_have_is_right(name: str) -> None:
    assert READERS.fault(name) is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("evryone", ["everyone"]),
        ("Everyone", ["everyone"]),
        ("konsole", ["console"]),
        ("console:", ["console"]),
        ("api:edtor", ["api:editor"]),
        ("discrod:role:42", ["discord:role:42"]),
        ("@ana:example.org", ["matrix:user:@ana:example.org"]),
        ("matrix:@ana:example.org", ["matrix:user:@ana:example.org"]),
        ("!kitchen:example.org", ["matrix:!kitchen:example.org"]),
        ("matrix:room:!kitchen:example.org", ["matrix:!kitchen:example.org"]),
        ("123", ["discord:guild:123", "discord:123", "discord:role:123", "discord:user:123"]),
        ("discord:server:123", ["discord:guild:123", "discord:123", "discord:role:123", "discord:user:123"]),
    ],
)
def test_a_wrong_reader_is_told_with_the_nearest_right_ones(name: str, near: list[str]) -> None:
    assert READERS.fault(name) == f"`{name}` matches nobody; did you mean {' or '.join(f'`{each}`' for each in near)}?"


@pytest.mark.parametrize("name", ["family", "api:tablet", "matrix:#kitchen:example.org", "discord:ana", ""])
def test_a_reader_without_a_near_one_is_told_with_examples(name: str) -> None:
    sentence = READERS.fault(name)
    assert sentence is not None
    assert sentence.startswith(f"`{name}` matches nobody. Write a name like `console`, `everyone`, ")


@pytest.mark.parametrize("name", ["console:eve", "discord:123456789012345678", "matrix:@eve:example.org"])
def test_a_persons_id_with_its_platform_is_right(name: str) -> None:
    assert PEOPLE.fault(name) is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("@eve:example.org", "matrix:@eve:example.org"),
        ("matrix:user:@eve:example.org", "matrix:@eve:example.org"),
        ("123456789012345678", "discord:123456789012345678"),
        ("discord:user:123", "discord:123"),
        ("Discord:123", "discord:123"),
    ],
)
def test_a_plain_id_is_told_with_its_platform(name: str, near: str) -> None:
    assert PEOPLE.fault(name) == f"`{name}` matches nobody; did you mean `{near}`?"


def test_a_plain_name_of_a_person_is_told_with_examples() -> None:
    sentence = PEOPLE.fault("eve")
    assert sentence is not None
    assert "`console:ana`" in sentence
    assert "`matrix:@ana:example.org`" in sentence


def test_names_are_checked_beside_other_faults_and_in_any_wrong_shape_of_the_file() -> None:
    text = "core: 7\nknowledge:\n  collections:\n    a: {folder: 1, readers: [console, evryone, 5]}\n    b: 3\n"
    assert [(each.path, each.line) for each in name_faults(parse_yaml(text), load_platforms())] == [
        ("knowledge.collections.a.readers[1]", 4)
    ]
    for odd in ("knowledge: []", "knowledge: {collections: x}", "http: {openai: 1}", "core: {people: {block: x}}", "x"):
        assert name_faults(parse_yaml(odd), load_platforms()) == []
