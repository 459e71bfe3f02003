"""`make demo-matrix`: an encrypted chat with Hearth on a temporary homeserver, removed afterwards."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from adapters.matrix.homeserver import MatrixUnusable, RequestRefused
from bot.cli.conversation import typed_lines
from bot.cli.next_steps import next_step
from bot.cli.terminal.output import make_console
from deploy.build import test_services
from deploy.build.progress import SetupFailed
from deploy.demo.chat import DemoChat
from deploy.demo.demo_instance import DemoFailed, DemoInstance
from deploy.demo.fallback_client import FallbackClient
from deploy.demo.server_evidence import ServerEvidence, collect_evidence
from deploy.demo.verifying import show_device_signature, verify_device
from deploy.dev.element import Peer
from deploy.dev.element.process import CallFailed
from deploy.dev.homeserver import Account, SynapseServer
from deploy.dev.homeserver import account as accounts

QUESTIONS = ("On which shelf is the backup drive?", "And what colour is the band around it?")
JOINED_WITHIN_S = 60.0
INTRODUCTION = (
    "A homeserver of its own on this machine, Hearth with an account there, and Ana, who asks. Everything is in a"
    " temporary folder and gone afterwards."
)
WITH_LIBRARY = "Ana writes with matrix-js-sdk, on which Element is built; it only deals with devices that are signed."
WITHOUT_LIBRARY = (
    "Ana writes with Hearth's own encryption, on a device of hers; Element's library, the better witness, is not here:"
    " {}"
)
UNLIMITED = (
    "Both accounts may send as fast as they like (the admin API's override_ratelimit); by default Synapse takes 0.2"
    " messages a second."
)
EXPECTED = (SetupFailed, DemoFailed, CallFailed, MatrixUnusable, RequestRefused, accounts.Refused, AssertionError)


async def play_demo(question: str, out: Console) -> None:
    """Run the whole demo, or only the given question unless it is empty. Raises the errors in EXPECTED."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hearth-demo-")))
        instance, server = DemoInstance(folder, out), await stack.enter_async_context(_homeserver(out))
        hearth, ana = await _accounts(server)
        out.print(UNLIMITED)
        instance.write_config(ana.user_id)
        _print_step(
            out, f"Hearth's account is {hearth.user_id}. It logs in once, signs its device, and reads the documents."
        )
        await _set_up_hearth(instance, server, hearth)
        await stack.enter_async_context(instance.running_daemon())
        person = await stack.enter_async_context(_open_client(server, ana, folder / "ana", out))
        chat = await _open_chat(person, hearth.user_id, out)
        device = (await instance.run_json_command("matrix", "status"))["device_id"]
        await (
            verify_device(chat, person, device, out)
            if isinstance(person, Peer)
            else show_device_signature(chat, person, device, out)
        )
        await _ask_questions(chat, question, out)
        _show_evidence(await collect_evidence(chat, server.folder), out)
        _print_step(out, "Stopping, and removing everything ...")


async def _accounts(server: SynapseServer) -> tuple[Account, Account]:
    hearth, ana = await server.register("hearth"), await server.register("ana")
    for account in (hearth, ana):
        await server.lift_limits(account.user_id)
    # Registration has logged the account in; `hearth matrix login` creates a device of its own.
    await server.log_out(hearth)
    return hearth, ana


async def _set_up_hearth(instance: DemoInstance, server: SynapseServer, hearth: Account) -> None:
    login_options = ("--homeserver", server.url, "--user", hearth.user_id)
    await instance.run_command(
        "matrix", "login", *login_options, "--password-env", "PASSWORD", PASSWORD=hearth.password
    )
    await instance.run_command("models", "get")
    await instance.run_command("index")


@asynccontextmanager
async def _homeserver(out: Console) -> AsyncIterator[SynapseServer]:
    _print_step(out, "Starting Synapse ...")
    server = SynapseServer(lifted=False)
    try:
        await server.start()
        out.print(f"It answers at {server.url}.")
        yield server
    finally:
        await asyncio.to_thread(server.close)


@asynccontextmanager
async def _open_client(
    server: SynapseServer, account: Account, folder: Path, out: Console
) -> AsyncIterator[Peer | FallbackClient]:
    """Ana's client: Element's library if it is installed or can be installed, else the fallback client."""
    try:
        await asyncio.to_thread(test_services.client_library, os.environ)
    except SetupFailed as failure:
        _print_step(out, WITHOUT_LIBRARY.format(failure))
        person: Peer | FallbackClient = await FallbackClient.enter(server.url, account, folder)
    else:
        _print_step(out, WITH_LIBRARY)
        person = await Peer.enter(server.url, account)
    try:
        yield person
    finally:
        await person.close()


async def _open_chat(person: Peer | FallbackClient, hearth: str, out: Console) -> DemoChat:
    room = await person.direct(hearth, encrypted=True)
    await person.until(lambda: person.members.get(room, {}).get(hearth) == "join", JOINED_WITHIN_S)
    algorithm = (await person.state(room, "m.room.encryption"))["algorithm"]
    out.print(f"She opens a direct chat, encrypted with {algorithm}. Hearth comes in:")
    welcome = await person.shown(room, lambda shown: shown.sender == hearth)
    out.print(Text(f"  {welcome.body}", style="italic"))
    return DemoChat(person, hearth, room, out)


async def _ask_questions(chat: DemoChat, question: str, out: Console) -> None:
    _print_step(out, "Ana asks.")
    for text in (question,) if question else QUESTIONS:
        await chat.send_text(text)
    if question or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    out.print(Text("\nNow you are Ana. !help lists the commands, Ctrl-D leaves.", style="dim"))
    async for line in typed_lines():
        if line:
            await chat.send_text(line, echo=False)


def _show_evidence(evidence: ServerEvidence, out: Console) -> None:
    _print_step(
        out,
        f"The server has kept {evidence.stored} messages and edits, {evidence.encrypted} of them encrypted, such as",
    )
    out.print(Text(f"  {evidence.example} ...", style="dim"))
    if evidence.plain_types:
        out.print(f"and, as by every client, not encrypted: {', '.join(evidence.plain_types)}.")
    if evidence.readable:
        raise DemoFailed(f"The server's files hold in plain: {evidence.readable}")
    out.print(f"None of the {evidence.lines} lines that Ana reads in the chat is in any of the server's files.")
    if evidence.warnings:
        raise DemoFailed(f"Ana's client warned of messages of Hearth: {', '.join(evidence.warnings)}")


def _print_step(out: Console, text: str) -> None:
    """Print the heading of a part of the demo."""
    out.print(Text(f"\n{text}", style="cyan"))


def main() -> int:
    """Run the demo; returns the exit status."""
    out = make_console()
    out.print(INTRODUCTION)
    try:
        test_services.synapse_python(os.environ)
        asyncio.run(_until_stopped(os.environ.get("QUESTION", ""), out))
    except EXPECTED as failure:
        make_console(stderr=True).print(f"\n{failure}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        out.print("\nStopped; everything is removed.")
        return 130
    out.print(f"\n{next_step()}", end="")
    return 0


async def _until_stopped(question: str, out: Console) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await play_demo(question, out)


if __name__ == "__main__":
    sys.exit(main())
