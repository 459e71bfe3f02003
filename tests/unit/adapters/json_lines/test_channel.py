"""Cutting lines, and standard input and output as a channel, over pipes and regular files."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.json_lines.channel import LineSplitter, StreamChannel, encode_event
from adapters.json_lines.stdio import StdioChannel
from bot.core.errors import ReaderGone, ReplyFailed
from tests.fakes.until import rounds


def test_lines_are_cut_wherever_the_data_is_split() -> None:
    data = "première\n\nzweite\nlast".encode()
    for cut in range(len(data) + 1):
        cutter = LineSplitter(100)
        lines = cutter.feed_data(data[:cut]) + cutter.feed_data(data[cut:]) + cutter.feed_eof()
        assert lines == ["première".encode(), b"", b"zweite", b"last"]


def test_a_line_over_the_limit_comes_out_as_one_none_and_the_next_is_whole() -> None:
    cutter = LineSplitter(5)
    lines = [line for _ in range(10) for line in cutter.feed_data(b"xxxx")] + cutter.feed_data(b"\n12345\n123456\nok\n")
    assert lines == [None, b"12345", None, b"ok"]


def test_an_event_is_one_line_of_valid_json_whatever_the_text() -> None:
    text = "l'été\n\u2028 \ud800 🏠"
    line = encode_event({"event": "text", "text": text})
    assert line.count(b"\n") == 1
    assert "l'été" in line.decode()
    assert json.loads(line)["text"] == text


async def collect(channel: StdioChannel) -> list[bytes | None]:
    return [line async for line in channel.read_lines()]


async def test_input_and_output_can_be_regular_files(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"one\ntwo")
    with source.open("rb") as reading, target.open("wb") as writing:
        channel = StdioChannel(reading.fileno(), writing.fileno(), 1000)
        assert await collect(channel) == [b"one", b"two"]
        await channel.write_event({"event": "a"})
        assert target.read_bytes() == b'{"event":"a"}\n'
        await channel.close()


async def test_more_lines_than_are_read_ahead_all_arrive_through_a_pipe() -> None:
    reading, writing = os.pipe()
    lines = [str(number).encode() for number in range(2000)]
    channel = StdioChannel(reading, writing, 1000)
    os.write(writing, b"\n".join(lines))
    os.close(writing)
    assert await collect(channel) == lines
    os.close(reading)


async def test_a_reader_who_goes_away_makes_writing_fail_and_closing_still_ends() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    channel = StdioChannel(0, writing, 1000)
    with pytest.raises(ReplyFailed):
        await channel.write_event({"event": "a"})
    await channel.close()
    os.close(writing)


async def test_a_slow_reader_holds_up_the_writer_and_not_the_loop() -> None:
    reading, writing = os.pipe()
    channel = StdioChannel(0, writing, 1000)
    event = {"event": "text", "text": "x" * 300_000}
    write = asyncio.create_task(channel.write_event(event))
    await asyncio.sleep(0.05)
    assert not write.done()
    received = b""
    while not received.endswith(b"\n"):
        received += os.read(reading, 65536)
        await asyncio.sleep(0)
    await write
    assert json.loads(received) == event
    await channel.close()


async def test_descriptors_in_non_blocking_mode_work_too() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    channel = StdioChannel(reading, writing, 1_000_000)
    lines = asyncio.create_task(collect(channel))
    await channel.write_event({"event": "text", "text": "x" * 300_000})
    await channel.close()
    os.close(writing)
    assert [len(line or b"") for line in await lines] == [
        len(encode_event({"event": "text", "text": "x" * 300_000})) - 1
    ]


@asynccontextmanager
async def stream_channels(read_within_s: float) -> AsyncIterator[tuple[StreamChannel, StreamChannel]]:
    """A channel with a limit on its reader, and the channel of the other end."""
    ours, theirs = socket.socketpair()
    async with AsyncExitStack() as stack:
        channels = []
        for end, limit_s in ((ours, read_within_s), (theirs, 60.0)):
            reader, writer = await asyncio.open_unix_connection(sock=end)
            channels.append(StreamChannel(reader, writer, 10_000_000, limit_s))
            stack.callback(writer.transport.abort)
        yield channels[0], channels[1]


async def test_a_reader_who_reads_nothing_more_is_given_up() -> None:
    async with stream_channels(0.05) as (channel, _):
        with pytest.raises(ReaderGone, match=r"has not read for 0\.05 s"):
            for _ in range(100):
                await channel.write_event({"event": "text", "text": "x" * 100_000})
        with pytest.raises(ReaderGone, match="closed"):
            await channel.write_event({"event": "text"})
        with pytest.raises(ReaderGone, match="closed"):
            channel.post_event({"event": "typing"})


async def test_events_that_may_be_missed_are_dropped_while_the_reader_is_behind() -> None:
    async with stream_channels(60.0) as (channel, other):
        for number in range(200_000):
            channel.post_event({"event": "queued", "place": number})
        channel._writer.write_eof()
        async with asyncio.timeout(60):
            lines = [json.loads(line or b"") async for line in other.read_lines()]
        assert [line["place"] for line in lines[:100]] == list(range(100))
        assert len(lines) < 200_000
        assert channel._writer.transport.get_write_buffer_size() == 0


async def test_the_same_on_standard_output() -> None:
    reading, writing = os.pipe()
    channel = StdioChannel(0, writing, 1000)
    full = asyncio.create_task(channel.write_event({"event": "text", "text": "x" * 1_000_000}))
    await rounds()
    for _ in range(1000):
        channel.post_event({"event": "queued"})
    assert channel._outgoing.qsize() <= 101
    received = b""
    while not received.endswith(b'"}\n{"event":"queued"}\n'):
        received += os.read(reading, 65536)
        await asyncio.sleep(0)
    await full
    os.set_blocking(reading, False)
    closing = asyncio.create_task(channel.close())
    while not closing.done():
        with suppress(BlockingIOError):
            os.read(reading, 65536)
        await asyncio.sleep(0.001)
    os.close(reading)
    os.close(writing)
