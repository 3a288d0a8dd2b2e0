"""Completion for shells: what could stand at the end of a command that is being typed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flows.commands import ONLY_KEYS
from tasks.refusal import Refusal, did_you_mean

SCRIPTS = {
    "bash": """_finefold() {
    local IFS=$'\\n'
    COMPREPLY=($(compgen -W "$(finefold --complete "${COMP_LINE:0:$COMP_POINT}" 2>/dev/null)" -- \
"${COMP_WORDS[COMP_CWORD]##*=}"))
    [[ ${COMPREPLY-} == *= ]] && compopt -o nospace
}
complete -F _finefold finefold""",
    "zsh": """#compdef finefold
_finefold() {
    local -a found
    found=("${(@f)$(finefold --complete --whole "${BUFFER[1,$CURSOR]}" 2>/dev/null)}")
    compadd -S '' -- $found
}
compdef _finefold finefold""",
    "fish": """complete -c finefold -f -a '(finefold --complete --whole (commandline -cp) 2>/dev/null)'""",
}


def script(shell: str) -> str:
    """The script that a shell reads: `source <(finefold --shell-completion bash)`.

    Raises:
        Refusal: for a shell there is none for.
    """
    if shell not in SCRIPTS:
        raise Refusal(
            f"--shell-completion {shell}: no script for it{did_you_mean(shell, SCRIPTS)} {', '.join(SCRIPTS)}."
        )
    return SCRIPTS[shell]


def complete(arguments: Sequence[str], commands: Iterable[str]) -> list[str]:
    """What could follow the line typed so far.

    arguments: the line as one word; `--whole` before it asks for whole words, as zsh and fish replace them; without
    it only for what follows the last `=`, at which bash breaks words.
    """
    is_whole = "--whole" in arguments
    line = arguments[-1] if arguments else ""
    typed = line.split(" ")
    word = typed[-1]
    if len(typed) <= 2:
        return [command for command in commands if command.startswith(word)]
    key, equals, value = word.partition("=")
    from flows import config

    if not equals:
        known = [f"{name}=" for name in ONLY_KEYS[typed[1]]] if typed[1] in ONLY_KEYS else _keys(typed[2:-1])
        return [name for name in known if name.startswith(word)]
    *before, last = value.split(",")  # several values: each may be completed, and none comes twice
    options = [choice for choice in config.groups().get(key, []) if choice.startswith(last) and choice not in before]
    found = [",".join([*before, choice]) for choice in options]
    return [f"{key}={choice}" for choice in found] if is_whole else found


def _keys(earlier: Sequence[str]) -> list[str]:
    from flows import config

    try:
        composed = config.compose([word for word in earlier if word and not word.startswith("-")])
    except Refusal:
        composed = config.compose([])
    return sorted({f"{key}=" for key in (*config.groups(), *config.leaves(composed.recorded)) if "_target_" not in key})
