"""Downloads from the media store, streamed up to a size limit, and uploads to it."""

from adapters.delivery.errors import TransientFailure
from adapters.matrix.api.http import CLIENT_API, HttpClient, api_path
from adapters.matrix.api.parsing import as_text
from adapters.matrix.homeserver import FileTooLarge, RequestRefused

SCHEME = "mxc://"
LEGACY_MEDIA_API = "/_matrix/media/v3"
UNRECOGNIZED = "M_UNRECOGNIZED"


async def download_file(http: HttpClient, uri: str, limit_bytes: int, timeout_s: float) -> bytes:
    """Download a file. Raises FileTooLarge when it is over the limit, RequestRefused for a malformed address."""
    server, slash, name = uri.removeprefix(SCHEME).partition("/")
    if not (uri.startswith(SCHEME) and server and slash and name) or "/" in name:
        raise RequestRefused(0, "HEARTH_NO_ADDRESS", {})
    path = api_path("download", server, name)
    try:
        return await _fetch(http, f"{CLIENT_API}/v1/media{path}", limit_bytes, timeout_s)
    except RequestRefused as error:
        # Servers before Matrix 1.11 have no authenticated media; some of them name no code.
        if error.status != 404 or error.code not in {UNRECOGNIZED, ""}:
            raise
    return await _fetch(http, LEGACY_MEDIA_API + path, limit_bytes, timeout_s)


async def upload_file(http: HttpClient, data: bytes, name: str, media_type: str, timeout_s: float) -> str:
    """Upload a file to the media store; returns its `mxc://` address."""
    headers = {"Content-Type": media_type}
    query = [("filename", name)] if name else []
    response = await http.request_json(
        "POST", f"{LEGACY_MEDIA_API}/upload", data=data, headers=headers, query=query, timeout_s=timeout_s
    )
    uri = as_text(response.get("content_uri"))
    if not uri.startswith(SCHEME):
        raise TransientFailure("the homeserver accepted a file and gave no address for it")
    return uri


async def _fetch(http: HttpClient, address: str, limit_bytes: int, timeout_s: float) -> bytes:
    async with http.open_response("GET", address, timeout_s=timeout_s) as response:
        if (response.content_length or 0) > limit_bytes:
            raise FileTooLarge
        data = bytearray()
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > limit_bytes:
                raise FileTooLarge
        return bytes(data)
