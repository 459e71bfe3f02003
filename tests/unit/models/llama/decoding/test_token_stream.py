from models.engine import StreamItem, ThinkingText, Usage
from models.llama.decoding.token_stream import TokenStream

_USAGE = Usage(1, 1, 0, 4, 0.1, 0.1, "stop")


async def test_pieces_of_one_kind_are_joined_and_thinking_stays_apart_from_text() -> None:
    stream = TokenStream()
    for piece in (ThinkingText("Hm"), ThinkingText("."), "Ye", "s."):
        stream.put_text(piece)
    stream.set_end(_USAGE)
    items: list[StreamItem] = [item async for item in stream.items()]
    assert items == [ThinkingText("Hm."), "Yes.", _USAGE]
