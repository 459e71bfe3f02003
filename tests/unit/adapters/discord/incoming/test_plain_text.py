"""What people write becomes plain text."""

import pytest

from adapters.discord.incoming.plain_text import MentionNames, mentioned_ids, to_plain_text

NAMES = MentionNames(
    own_ids=frozenset({7, 70}),
    own_names=("Hearth", "hearth-bot"),
    people={1: "Ana", 2: "Ben [x]"},
    roles={3: "Cooks"},
    channels={4: "kitchen"},
)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<@7> where is the key?", "where is the key?"),
        ("<@!7>, where is the key?", "where is the key?"),
        ("<@&70> where is the key?", "where is the key?"),
        ("<@7> <@7> where?", "where?"),
        ("where is the key, <@7>?", "where is the key?"),
        ("where is the key <@7>", "where is the key"),
        ("did <@7> say so?", "did Hearth say so?"),
        ("<@7>", ""),
        ("<@7> Hearth, where?", "where?"),
        ("hearth: where?", "where?"),
        ("Hearth stones are warm", "Hearth stones are warm"),
        ("<@7> what did <@1> tell <@2>?", "what did @Ana tell @Ben [x]?"),
        ("<@7> ask <@&3> in <#4>", "ask @Cooks in #kitchen"),
        ("<@7> who is <@99>, <@&99>, <#99>?", "who is @somebody, @role, #channel?"),
        ("<@7> <:wave:123> hi <a:dance:456>", ":wave: hi :dance:"),
        ("<@7> is </reindex:55> safe?", "is /reindex safe?"),
        ("<@7> on <t:0:F>?", "on 1970-01-01 00:00 UTC?"),
        ("<@7> on <t:99999999999:F>?", "on 5138-11-16 09:46 UTC?"),
        ("<@7> @everyone come", "@everyone come"),
        ("<@7>\nline one\n  line two", "line one\n  line two"),
    ],
)
def test_mentions_become_names_and_ours_goes(written: str, read: str) -> None:
    assert to_plain_text(written, NAMES) == read


def test_a_name_with_signs_of_patterns_is_only_a_name() -> None:
    assert to_plain_text("H.e(arth: hi", MentionNames(own_names=("H.e(arth",))) == "hi"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("<@7> and <@!8> ask <@&9> in <#4>", {7, 8, 9}),
        ("type `<@7>` to ask", set()),
        ("type ``a ` <@7>`` or ```\n<@8>\n```", set()),
        ("an open ` and <@7>", {7}),
        ("`code` <@7> `code`", {7}),
        ("``a` <@7>", {7}),
    ],
)
def test_a_mention_in_code_mentions_nobody(text: str, ids: set[int]) -> None:
    assert mentioned_ids(text) == ids


def test_many_backticks_are_read_in_one_go() -> None:
    assert mentioned_ids("` `` " * 20_000 + "<@7>") == {7}
