"""Questions at the terminal for options that were not given."""

import sys

from bot.cli.runner import CliError


async def ask_text(question: str, option: str) -> str:
    """A line, asked for until it is not blank. Without a terminal it raises CliError with the option's name."""
    return await _answer(question, option, hidden=False)


async def ask_secret(question: str, option: str) -> str:
    """A line that is not shown while it is typed. Raises CliError like `ask_text`."""
    return await _answer(question, option, hidden=True)


async def ask_yes_no(question: str) -> bool:
    """Whether the person says yes; without a terminal the answer is no."""
    if not _is_terminal():
        return False
    answer = await _line(f"{question} [y/N] ", hidden=False)
    return answer.strip().lower() in ("y", "yes")


async def _answer(question: str, option: str, *, hidden: bool) -> str:
    if not _is_terminal():
        raise CliError(f"{option} is needed, since there is no terminal to ask at.")
    while True:
        answer = await _line(f"{question}: ", hidden=hidden)
        # A password may begin or end with spaces.
        if answer.strip():
            return answer if hidden else answer.strip()


async def _line(prompt: str, *, hidden: bool) -> str:
    # Imported only where it is used: most runs ask nothing.
    from prompt_toolkit import PromptSession

    session: PromptSession[str] = PromptSession(is_password=hidden)
    try:
        return await session.prompt_async(prompt)
    except EOFError as error:
        raise CliError("Nothing was changed.") from error


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
