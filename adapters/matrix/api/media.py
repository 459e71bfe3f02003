"""Files of the media store: fetched in pieces up to a limit, and put there."""

from adapters.matrix.api.http import CLIENT, Http, path
from adapters.matrix.api.parsing import text
from adapters.matrix.homeserver import Refused, TooLarge, Unsettled

SCHEME = "mxc://"
OLD = "/_matrix/media/v3"
UNKNOWN = "M_UNRECOGNIZED"


async def download(http: Http, uri: str, limit_bytes: int, timeout_s: float) -> bytes:
    """A file of the media store. Raises TooLarge when it is over the limit, Refused for what is no address of one."""
    server, slash, name = uri.removeprefix(SCHEME).partition("/")
    if not (uri.startswith(SCHEME) and server and slash and name) or "/" in name:
        raise Refused(0, "HEARTH_NO_ADDRESS", {})
    rest = path("download", server, name)
    try:
        return await _fetch(http, f"{CLIENT}/v1/media{rest}", limit_bytes, timeout_s)
    except Refused as error:
        # Servers before Matrix 1.11 have no authenticated media; some of them name no code.
        if error.status != 404 or error.code not in {UNKNOWN, ""}:
            raise
    return await _fetch(http, OLD + rest, limit_bytes, timeout_s)


async def upload(http: Http, data: bytes, name: str, media_type: str, timeout_s: float) -> str:
    """Put a file into the media store; its `mxc://` address."""
    headers = {"Content-Type": media_type}
    query = [("filename", name)] if name else []
    answer = await http.ask("POST", f"{OLD}/upload", data=data, headers=headers, query=query, timeout_s=timeout_s)
    uri = text(answer.get("content_uri"))
    if not uri.startswith(SCHEME):
        raise Unsettled("the homeserver took a file and gave no address for it")
    return uri


async def _fetch(http: Http, address: str, limit_bytes: int, timeout_s: float) -> bytes:
    async with http.opened("GET", address, timeout_s=timeout_s) as answer:
        if (answer.content_length or 0) > limit_bytes:
            raise TooLarge
        data = bytearray()
        async for piece in answer.content.iter_any():
            data += piece
            if len(data) > limit_bytes:
                raise TooLarge
        return bytes(data)
