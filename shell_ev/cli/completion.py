"""``completion``: the script that teaches a shell the commands and options. Knows no client."""

from __future__ import annotations

import click

from .command import command
from .output import Output
from .reporting import ExitCode
from .settings import PROGRAM, Settings

_SHELLS = ("bash", "zsh", "fish")


@command(
    "completion",
    "shell-ev completion bash >> ~/.bashrc",
    "shell-ev completion zsh >> ~/.zshrc",
    "shell-ev completion fish > \\",
    "    ~/.config/fish/completions/shell-ev.fish",
    connects=False,
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_obj
def completion(settings: Settings, shell: str) -> ExitCode:
    """Print the script that completes commands and options in a shell.

    It holds for shells that are started afterwards.
    """
    from click.shell_completion import get_completion_class

    # Imported here: the group imports this module on use.
    from .main import COMPLETE, group

    found = get_completion_class(shell)
    if found is None:  # click has the three
        raise click.UsageError(f"there is no completion for {shell}")
    script = found(group, {}, PROGRAM, COMPLETE).source()
    if settings.json:
        Output(settings).document({"shell": shell, "script": script})
    else:
        print(script)
    return ExitCode.OK
