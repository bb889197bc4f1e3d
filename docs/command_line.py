"""Makes docs/command-line.md from the command line itself: every command, option, default and choice, with an example each.

`docs/command_line.py --write` writes the page; a test compares it with what the commands say, and the page's blocks are run.
"""

import inspect
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from cyclopts import App

from landscape.cli import app
from landscape.cli.applies import rules

PAGE = Path(__file__).parent / "command-line.md"
HEAD = """# Command line

Made from the commands themselves by `docs/command_line.py`; `landscape COMMAND --help` says the same. The examples of this page
are run by the tests, from top to bottom, in one folder.

Every command has `--help` and `--json`. Exit codes: 0 done; 1 computed, but the answer is not what was asked for (not critical,
undecided); 2 bad input, said in one line.
{devices}
The model is either one text, `--problem "K=10,n=5,d=70,L=2,decay=2**-10"`, or an option each; the two may be mixed.
"""
EXAMPLES = {
    "solve": "landscape solve --classes 4 --samples 2 --width 6 --depth 2 --decay 1e-2 \\\n    --seed 0 --out point.safetensors\n"
    "landscape solve --problem K=4,n=2,d=6,L=2,decay=1e-2 --start dnc --out dnc.safetensors",
    "degeneracy": "landscape degeneracy point.safetensors dnc.safetensors",
    "prove": "landscape prove point.safetensors --out proof.json",
    "check": "landscape check proof.json",
    "spectrum": "landscape spectrum point.safetensors dnc.safetensors --style page --plot both.pdf\n"
    "landscape spectrum point.safetensors --method slq --out density.csv",
    "slice": "landscape slice point.safetensors --along stiffest --plot slice.png",
    "import": "python - <<'END'\nimport numpy as np\nimport landscape as ls\n\n"
    'factors = ls.load("dnc.safetensors").factors()\n'
    'np.savez("weights.npz", **{name: factor.numpy() for name, factor in factors.items()})\nEND\n'
    "landscape import weights.npz --decay 1e-2 --out imported.safetensors",
    "show": "landscape show point.safetensors --plot point.png",
    "atlas": "landscape atlas --problem K=6,n=1,d=12,L=2,decay=2e-3 --index 0 --plot atlas.png",
    "prevalence": "landscape prevalence --problem K=4,n=2,d=6,L=2,decay=1e-2 --seeds 5 --out starts",
    "predict": "landscape predict --problem K=8,n=1,d=60,L=2,decay=2**-7 --method formula",
    "phase": "landscape phase --over decay,depth --decay 1e-4:0.2 --depth 1:3 --steps 6 \\\n    --plot phase.png",
    "report": "landscape report point.safetensors --out report.html",
    "sweep": "cat > grid.toml <<'END'\n[problem]\nclasses = 4\nsamples = 2\nwidth = [5, 6]\ndepth = 2\ndecay = 1e-2\n\n"
    "[start]\nseed = [0, 1]\nEND\nlandscape sweep grid.toml --out sweep --workers 0",
    "results": "landscape results sweep --sort loss",
    "verify": 'landscape verify --fast --claim "Theorem 5"',
    "network inspect": "cat > mine.py <<'END'\nimport torch\n\n\ndef build():\n    torch.manual_seed(0)\n"
    "    return torch.nn.Linear(3, 2)\n\n\n"
    "data = [(torch.eye(3), torch.tensor([0, 1, 1]))]\nEND\n"
    "landscape network inspect mine.py:build --data mine.py:data --decay 1e-2 --polish",
    "network slice": "landscape network slice mine.py:build --data mine.py:data --steps 5 --plot network.png",
    "network head": "landscape network head weights.npz --decay 1e-2,1e-2,1e-2",
}


def commands(of: App = app, prefix: str = "") -> list[str]:
    """Returns the names of the commands, in the order of the help; a command of a group stands behind the group's name."""
    names: list[str] = []
    for name in of:
        if not name.startswith("-"):
            inner = of[name]
            assert isinstance(inner, App)
            grouped = inner.default_command is None
            names += commands(inner, f"{prefix}{name} ") if grouped else [prefix + name]
    return names


def page() -> str:
    """Returns the page."""
    computing = [name for name in commands() if any("--device" in option[0] for option in options(name))]
    rest = [name for name in commands() if name not in computing and name != "install-completion"]
    devices = f"`--device` is on {_listed(computing)}; {_listed(rest)} make no tensors on a device."
    rows = [f"| [`{name}`](#landscape-{name.replace(' ', '-')}) | {_first_line(name)} |" for name in commands()]
    parts = [HEAD.format(devices=devices), "| command | what it does |\n|---|---|", *rows, ""]
    return "\n".join([*parts, *(section(name) for name in commands())])


def section(name: str) -> str:
    """Returns the part of the page for one command."""
    lines = [f"## landscape {name}", "", _first_line(name), ""]
    if more := explanation(name):
        lines += [more, ""]
    if found := options(name):
        lines += ["| option | takes | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| {' '.join(f'`{each}`' for each in names)} | {takes} | {default} | {words} |"
            for names, takes, default, words in found
        ]
        lines.append("")
    if name in EXAMPLES:
        lines += ["```bash", EXAMPLES[name], "```", ""]
    return "\n".join(lines)


def explanation(name: str) -> str:
    """Returns what the docstring of a command says after its first line."""
    call = _command(name).default_command
    if name == "install-completion" or call is None:
        return ""
    return " ".join((inspect.getdoc(call) or "").partition("\n")[2].split()).replace("|", "\\|")


def options(name: str) -> list[tuple[tuple[str, ...], str, str, str]]:
    """Returns names, values, default and meaning of every option of a command."""
    found = []
    for argument in _command(name).assemble_argument_collection():
        if argument.show and argument.names != ("*",):
            default = argument.field_info.default
            said = "" if default is None or default is False or default is inspect.Parameter.empty else f"`{default}`"
            told = [argument.parameter.help or "", *(f"Only {rule}." for rule in rules(argument))]
            words = " ".join(told).replace("|", "\\|")
            found.append((tuple(argument.names), _takes(argument.hint), "required" if argument.required else said, words))
    return found


def _first_line(name: str) -> str:
    return str(_command(name).help).partition("\n")[0]


def _command(name: str) -> App:
    command = app
    for part in name.split():
        command = command[part]  # type: ignore[assignment]
    return command


def _takes(hint: Any) -> str:
    """Returns what may be typed for a type: choices, a number, a text, a file; nothing for a flag."""
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    inner = [each for each in get_args(hint) if each not in (type(None), ...)]
    if inner:
        words = " or ".join(dict.fromkeys(_takes(each) for each in inner))
        return f"{words}, repeated" if get_origin(hint) in (list, tuple) else words
    return {bool: "", int: "whole number", float: "number", str: "text", Path: "file or folder"}.get(
        hint, getattr(hint, "__name__", "text")
    )


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        sys.exit("docs/command-line.md is not what the commands say: docs/command_line.py --write")
