"""Folders in a config: the home folder that `~` stands for, and paths below the config file."""

from pathlib import Path


class HomeUnknown(Exception):
    """A path begins with `~`, and this user has no home folder, as in a container with an unknown user id."""

    user_facing = True

    def __str__(self) -> str:
        return (
            "`~` stands for the home folder, and this user has none. Set HOME, or write whole paths for data_folder and"
            " cache_folder in the config."
        )


def expand_home(path: Path) -> Path:
    """The path with `~` replaced by the home folder. Raises HomeUnknown."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise HomeUnknown from error
