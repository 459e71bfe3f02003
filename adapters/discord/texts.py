"""The sentences that people read on Discord only, per language."""

from bot.core.texts import CORE_TEXTS, Texts

TEXTS = Texts(__package__, CORE_TEXTS)
localize = TEXTS.localize
