"""Access control: the collections from which an audience may be answered. Pure."""

from collections.abc import Collection, Mapping

from bot.core.messages import EVERYONE, Audience


def readable_collections(readers: Mapping[str, Collection[str]], audience: Audience) -> frozenset[str]:
    """Names of the collections whose readers include everyone or a name of the audience.

    `readers` maps each collection to its reader names. A collection without readers is never readable.
    """
    allowed = audience.names | {EVERYONE}
    return frozenset(name for name, names in readers.items() if allowed.intersection(names))
