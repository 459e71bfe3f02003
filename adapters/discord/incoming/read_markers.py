"""Read markers of Discord: channels by id, with the id of the newest message handled."""

from pathlib import Path

from pydantic import Field, TypeAdapter, field_serializer, field_validator

from adapters.storage.read_markers import ReadMarkers, ReadState

FILE = "discord-marks.json"
THREAD_IDS = TypeAdapter(list[int])


class DiscordReadState(ReadState[int]):
    """Contents of the file. `direct`: the channels that are direct messages. Threads are written as a list."""

    direct: set[int] = Field(default_factory=set)

    @field_validator("threads", mode="before")
    @classmethod
    def _from_list(cls, value: object) -> dict[int, None]:
        return dict.fromkeys(THREAD_IDS.validate_python(value))

    @field_serializer("threads")
    def _to_list(self, threads: dict[int, None]) -> list[int]:
        return list(threads)

    @field_serializer("direct")
    def _to_known(self, direct: set[int]) -> list[int]:
        return sorted(direct & self.seen.keys())


class DiscordReadMarkers(ReadMarkers[int, DiscordReadState]):
    """The newest message handled in each channel."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FILE, DiscordReadState)

    @property
    def newest_id(self) -> int:
        """The newest message handled in any channel; 0 when there is none."""
        return max(self.saved.seen.values(), default=0)

    @property
    def direct_channels(self) -> frozenset[int]:
        """The direct message channels in which people have written."""
        return frozenset(self.saved.direct)

    def last_read_ids(self) -> dict[int, int]:
        """The newest message handled in each channel, as of now."""
        return dict(self.saved.seen)

    def mark_read(self, channel: int, position: int, direct: bool = False) -> None:
        """Note that a message was handled; an older message than the newest changes nothing."""
        if direct:
            self.saved.direct.add(channel)
        super().mark_read(channel, max(position, self.saved.seen.get(channel, 0)))
