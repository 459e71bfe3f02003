"""Suggestion of the nearest command for an unknown one."""

import difflib

import click


class SuggestingGroup(click.Group):
    """A group that names the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a better sentence."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f"Did you mean `{near[0]}`?" if near else f"`{ctx.command_path} --help` lists the commands."
            raise click.UsageError(f"{error.message} {hint}", ctx) from error
