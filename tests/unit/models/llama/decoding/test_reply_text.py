from models.engine import Sampling, ThinkingText
from models.llama.decoding.reply_text import ReplyText, ThinkingHabits, TokenLimits, token_limits

_LIMITS = TokenLimits(answer=5, thinking=3, total=100)


def _tokenize(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def _reply(
    words: list[str], habits: ThinkingHabits | None = None, prompt_end: str = "", stop: tuple[str, ...] = ()
) -> tuple[str, str, ReplyText]:
    """Thinking, answer and the reply after some tokens, and after those that close the thinking by force."""
    reply = ReplyText(habits or ThinkingHabits(), prompt_end, Sampling(stop=stop), _LIMITS)
    pieces: list[str | ThinkingText] = []
    waiting = list(words)
    while waiting and not (reply.is_full or reply.stopped):
        forced = reply.next_forced()
        data = waiting.pop(0) if forced is None else chr(forced)
        pieces += reply.push_token(data.encode(errors="surrogateescape"), _tokenize)
    is_whole = not reply.is_full
    pieces += reply.flush(is_whole=is_whole)
    thought = "".join(piece.text for piece in pieces if isinstance(piece, ThinkingText))
    return thought, "".join(piece for piece in pieces if isinstance(piece, str)), reply


def test_thinking_is_closed_at_its_limit_and_the_answer_has_all_of_its_own() -> None:
    thought, text, reply = _reply(["a", "b", "c", "d", "e", "f", "g", "h"], prompt_end="<think>\n")
    assert thought == "abc\n"
    assert text.replace("\n", "") == "def"  # the blank lines of the forced closing are two of five tokens
    assert reply.thinking_tokens == 3 + len("\n</think>")


def test_thinking_that_closes_in_time_is_not_closed_by_force() -> None:
    thought, text, reply = _reply(["a", "</think>", "b"], prompt_end="<think>\n")
    assert (thought, text, reply.next_forced()) == ("a", "b", None)


def test_stop_strings_end_the_answer_and_not_the_thinking() -> None:
    assert _reply(["x", "STOP", "</think>", "y", "STOP", "z"], prompt_end="<think>\n", stop=("STOP",))[:2] == (
        "xSTOP",
        "y",
    )


def test_a_character_that_is_cut_is_left_out() -> None:
    assert _reply(["Caf", "\udcc3"])[1] == "Caf"


def test_drafts_are_no_longer_than_what_may_follow() -> None:
    reply = ReplyText(ThinkingHabits(), "<think>\n", Sampling(), _LIMITS)
    assert reply.left_tokens == 3
    for _ in range(3):
        reply.push_token(b"a", _tokenize)
    assert reply.left_tokens == 0, "the closing is written first"


def test_limits_follow_the_effort_and_keep_room_for_the_answer() -> None:
    habits = ThinkingHabits(thinking_tokens=1000, is_on=True)
    given = {effort: token_limits(habits, effort, 100, 9000).thinking for effort in (None, "none", "low", "medium")}  # type: ignore[arg-type]
    assert given == {None: 1000, "none": 250, "low": 250, "medium": 500}
    assert token_limits(ThinkingHabits(thinking_tokens=1000), None, 100, 9000).thinking == 250
    assert token_limits(habits, None, 512, 400) == TokenLimits(answer=400, thinking=300, total=400)
    assert token_limits(habits, None, 1, 1) == TokenLimits(answer=1, thinking=1, total=1)


def test_the_first_reply_shows_whether_replies_begin_inside_the_thinking() -> None:
    silent, plain = ThinkingHabits(may_begin_inside=True), ThinkingHabits(may_begin_inside=True)
    assert _reply(["Hm", "</think>\n", "Yes"], silent)[:2] == ("Hm", "Yes")
    assert silent.may_begin_inside
    assert _reply(["Yes", "."], plain)[:2] == ("", "Yes.")
    assert not plain.may_begin_inside
    cut = ThinkingHabits(may_begin_inside=True)
    _reply(["a"] * 9, cut)
    assert cut.may_begin_inside, "a reply that was cut shows nothing"


def test_a_reply_that_had_begun_tells_nothing_about_where_replies_begin() -> None:
    for has_begun in (True, False):
        habits = ThinkingHabits(may_begin_inside=True)
        reply = ReplyText(habits, "", Sampling(), _LIMITS, has_begun=has_begun)
        pieces = reply.push_token(b"a", _tokenize)
        assert pieces == (["a"] if has_begun else []), "a reply that may begin inside its thinking is held"
        reply.flush(is_whole=True)
        assert habits.may_begin_inside == has_begun
