"""Files that messages carry, kept on the same loopback server."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from typing import Any

# What a bot may upload in one file (reference.mdx, "Uploading Files").
FILE_LIMIT_BYTES = 10 * 1024 * 1024


@dataclass(eq=False)
class StoredFile:
    """A file, and where it can be fetched. `gone` makes its address answer 404."""

    id: int
    name: str
    data: bytes
    url: str
    media_type: str | None = None
    gone: bool = False

    def payload(self) -> dict[str, Any]:
        told = self.media_type or mimetypes.guess_type(self.name)[0]
        return {
            "id": str(self.id),
            "filename": self.name,
            "size": len(self.data),
            "url": self.url,
            "proxy_url": self.url,
            **({"content_type": told} if told else {}),
        }
