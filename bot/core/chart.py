"""Draws the answers of the last day as a small chart."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from PIL import Image, ImageDraw, ImageFont

from bot.core.history import AnswerStats

HOURS = 24
HOUR_S = 3600.0
SIZE = (640, 320)
LEFT, RIGHT, TOP, BOTTOM, GAP = 48, 12, 28, 24, 34
PAPER, INK, GRID = "#ffffff", "#3b3f46", "#dfe2e6"
COUNTS, DELAYS = "#4a7db5", "#c8762d"
LABEL_EVERY = 3


@dataclass(frozen=True, slots=True)
class ChartHour:
    """One hour: `label` is its hour of the clock, `first_token_s` the median, None without an answer."""

    label: int
    answers: int
    first_token_s: float | None


@dataclass(frozen=True, slots=True)
class Panel:
    """A strip of the picture, in pixels from the top; a bar of full height stands for `highest`."""

    top: int
    bottom: int
    highest: float

    def bar_top(self, value: float) -> int:
        """A bar's top edge, in pixels from the top of the picture."""
        return self.bottom - round(value / self.highest * (self.bottom - self.top))


def group_by_hour(answers: Sequence[AnswerStats], now: float) -> list[ChartHour]:
    """The last 24 hours of the local clock, the current one last; `now` in seconds since the epoch."""
    last = datetime.fromtimestamp(now).astimezone().replace(minute=0, second=0, microsecond=0)
    starts = [last - timedelta(hours=HOURS - 1 - hour) for hour in range(HOURS)]
    began = starts[0].timestamp()
    delays: list[list[float]] = [[] for _ in starts]
    for each in answers:
        at = min(int((each.ended_at - began) // HOUR_S), HOURS - 1)
        if each.outcome == "answered" and at >= 0:
            delays[at].append(each.timings.first_token_s)
    return [
        ChartHour(start.hour, len(within), median(within) if within else None)
        for start, within in zip(starts, delays, strict=True)
    ]


def draw_chart(hours: Sequence[ChartHour], titles: tuple[str, str]) -> bytes:
    """A PNG: answers per hour above, the median seconds to their first token below, each under its title.

    Takes about 8 ms. Pillow's own font has no accented letters, so the titles must not have any.
    """
    image = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(image)
    middle = (SIZE[1] - TOP - BOTTOM - GAP) // 2
    counts = dict(enumerate(float(hour.answers) for hour in hours))
    delays = {at: hour.first_token_s for at, hour in enumerate(hours) if hour.first_token_s is not None}
    _draw_panel(pen, (TOP, TOP + middle), counts, COUNTS, titles[0])
    _draw_panel(pen, (TOP + middle + GAP, SIZE[1] - BOTTOM), delays, DELAYS, titles[1])
    for at in range(0, len(hours), LABEL_EVERY):
        left, right = _column(at)
        pen.text(((left + right) / 2, SIZE[1] - BOTTOM + 5), f"{hours[at].label}", INK, _font(), anchor="mt")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _draw_panel(
    pen: ImageDraw.ImageDraw, span: tuple[int, int], values: Mapping[int, float], colour: str, title: str
) -> None:
    top, bottom = span
    panel = Panel(top, bottom, _round_up(max(values.values(), default=0.0)))
    pen.text((LEFT, top - 8), title, INK, _font(), anchor="lb")
    for fraction in (1.0, 0.5, 0.0):
        value = panel.highest * fraction
        y = panel.bar_top(value)
        pen.line([(LEFT, y), (SIZE[0] - RIGHT, y)], fill=GRID)
        pen.text((LEFT - 6, y), f"{value:g}", INK, _font(), anchor="rm")
    for at, value in values.items():
        left, right = _column(at)
        if value:
            pen.rectangle([left + 2, min(panel.bar_top(value), bottom - 1), right - 2, bottom], fill=colour)


def _column(at: int) -> tuple[float, float]:
    width = (SIZE[0] - LEFT - RIGHT) / HOURS
    return LEFT + at * width, LEFT + (at + 1) * width


def _round_up(value: float) -> float:
    """The next number that looks round at the top of a scale and at half of it: 2, 4, 6, 10, 20..."""
    if value <= 0:
        return 2.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 6, 10) if power * step >= value)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12)
