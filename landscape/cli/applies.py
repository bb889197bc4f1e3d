"""Where an option means something. One that the chosen method, start or output would ignore is refused, never dropped in silence.

The rule stands in the annotation of the option itself, beside its help; `require_used` checks all of them for every command.
"""

from dataclasses import dataclass
from typing import Annotated, get_args, get_origin

from cyclopts import Argument, ArgumentCollection

from landscape.errors import InputError


@dataclass(frozen=True)
class Needs:
    """Rule of an option that means something only beside another one.

    Attributes:
        options: Names of other options, of which one must have been typed.
    """

    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"with {' or '.join(self.options)}"


@dataclass(frozen=True)
class Chosen:
    """Rule of an option that means something only for some values of another one.

    Attributes:
        option: Name of the other option.
        values: Values that the other must have, typed or by default.
    """

    option: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"with {self.option} {' or '.join(self.values)}"


@dataclass(frozen=True)
class NotWith:
    """Rule of an option that means nothing beside another one.

    Attributes:
        option: Name of the other option or argument.
    """

    option: str

    def __str__(self) -> str:
        return f"without {self.option.removeprefix('--').upper()}"


Rule = Needs | Chosen | NotWith


def require_used(arguments: ArgumentCollection) -> None:
    """Refuses the first option that was typed where it means nothing.

    Raises:
        InputError: If there is one; the message names both options as they are typed.
    """
    known = {argument.name: argument for argument in arguments}
    for argument in arguments:
        for rule in rules(argument) if argument.has_tokens else ():
            if got := _broken(rule, known):
                raise InputError(f"expected {argument.name} only {rule}, got {got}")


def rules(argument: Argument) -> list[Rule]:
    """Returns the rules that stand in the annotation of an argument."""
    hint = argument.field_info.annotation
    return [part for part in get_args(hint)[1:] if isinstance(part, Rule)] if get_origin(hint) is Annotated else []


def _broken(rule: Rule, known: dict[str, Argument]) -> str:
    """Returns what breaks a rule, or nothing."""
    match rule:
        case Needs(options):
            return "" if any(known[name].has_tokens for name in options) else "it without"
        case NotWith(option):
            return "both" if known[option].has_tokens else ""
        case Chosen(option, values):
            other = known[option]
            value = other.value if other.has_tokens else other.field_info.default
            return "" if value in values else f"it with {option} {other.value}" if other.has_tokens else "it without"
