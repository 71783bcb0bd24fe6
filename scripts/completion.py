"""Completions for bash, zsh and fish, which ask the program itself at each Tab, and so never fall behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from typer._completion_shared import get_completion_script  # what `--show-completion` prints

Shell = Literal["bash", "zsh", "fish"]
PLACES: dict[Shell, Path] = {
    "bash": Path("usr/share/bash-completion/completions/gcal-salesloft"),
    "zsh": Path("usr/share/zsh/vendor-completions/_gcal-salesloft"),
    "fish": Path("usr/share/fish/vendor_completions.d/gcal-salesloft.fish"),
}
"""Where Debian's shells look for the completions of packages."""


def script(shell: Shell) -> str:
    text = get_completion_script(
        prog_name="gcal-salesloft", complete_var="_GCAL_SALESLOFT_COMPLETE", shell=shell
    )
    if shell == "zsh":
        # The file is the function's body at the first Tab: without this, that one would stay without an answer.
        text += '\n\n_gcal_salesloft_completion "$@"'
    return text.strip() + "\n"
