"""Verification of Hearth's device by Ana, with the trust that her client shows before and after."""

from rich.console import Console
from rich.text import Text

from deploy.demo.chat import DemoChat
from deploy.demo.fallback_client import FallbackClient
from deploy.dev.element import Peer
from deploy.dev.element.peer import Trust


async def show_device_signature(chat: DemoChat, person: FallbackClient, device: str, out: Console) -> None:
    """Print whether Hearth's device is signed by its owner."""
    signed = await person.is_device_signed(chat.hearth, device)
    out.print(f"Hearth's device {device} is {'' if signed else 'not '}signed by its owner.")


async def verify_device(chat: DemoChat, person: Peer, device: str, out: Console) -> None:
    """Verify Hearth's device by comparing emoji, as its admins do."""
    await person.know(chat.hearth, device)
    out.print(_trust_sentence(device, await person.trust(chat.hearth, device)))
    request = await person.verify(chat.hearth, device)
    await person.reaches(request, "ready")
    emoji = await person.compare_emoji(request)
    shown = await person.shown(chat.room, lambda shown: shown.sender == chat.hearth and emoji[0] in shown.body)
    out.print(f"She verifies it. Her client shows  {' '.join(emoji)}  and Hearth writes into the chat:")
    out.print(Text(f"  {shown.body}", style="italic"))
    await person.confirm(request)
    await person.reaches(request, "done")
    out.print(f"They are the same. {_trust_sentence(device, await person.comes_to_trust(chat.hearth, device))}")


def _trust_sentence(device: str, trust: Trust) -> str:
    signed = "signed" if trust.signed else "not signed"
    verified = "verified" if trust.device_verified else "not verified"
    return f"Hearth's device {device} is {signed} by its owner and {verified} by Ana."
