"""Ana makes sure that it is Hearth to whom she writes, and the screen shows what her client thinks of its device."""

from rich.console import Console
from rich.text import Text

from deploy.demo.chat import DemoChat
from deploy.demo.fallback_client import FallbackClient
from deploy.dev.element import Peer
from deploy.dev.element.peer import Trust


async def show_device_signature(chat: DemoChat, person: FallbackClient, device: str, out: Console) -> None:
    """Tell whether Hearth's device is signed."""
    signed = await person.is_device_signed(chat.hearth, device)
    out.print(f"Hearth's device {device} is {'' if signed else 'not '}signed by its owner.")


async def verify_device(chat: DemoChat, person: Peer, device: str, out: Console) -> None:
    """Compare emoji with Hearth, as its admins do."""
    await person.know(chat.hearth, device)
    out.print(_trust_sentence(device, await person.trust(chat.hearth, device)))
    asked = await person.verify(chat.hearth, device)
    await person.reaches(asked, "ready")
    emoji = await person.compare_emoji(asked)
    shown = await person.shown(chat.room, lambda shown: shown.sender == chat.hearth and emoji[0] in shown.body)
    out.print(f"She verifies it. Her client shows  {' '.join(emoji)}  and Hearth writes into the chat:")
    out.print(Text(f"  {shown.body}", style="italic"))
    await person.confirm(asked)
    await person.reaches(asked, "done")
    out.print(f"They are the same. {_trust_sentence(device, await person.comes_to_trust(chat.hearth, device))}")


def _trust_sentence(device: str, trust: Trust) -> str:
    signed = "signed" if trust.signed else "not signed"
    verified = "verified" if trust.device_verified else "not verified"
    return f"Hearth's device {device} is {signed} by its owner and {verified} by Ana."
