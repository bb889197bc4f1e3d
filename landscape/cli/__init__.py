"""The command line. Commands are loaded on use, so that `landscape --help` imports neither torch nor seaborn."""

import os
import sys

from cyclopts import App, CycloptsError, Group, ValidationError

from landscape import __version__
from landscape.cli.applies import require_used
from landscape.errors import InputError

_TOO_LARGE = "expected a problem that fits in memory: lower --classes, --samples, --width or --depth"
_NO_MEMORY = ("can't allocate memory", "out of memory", "bad_alloc")  # how torch says it, without a type of its own
DONE, NOT_AS_ASKED, BAD_INPUT = 0, 1, 2


def _versions() -> str:
    """Returns the versions that results depend on: of landscape, of its numerics, which names records, and of torch."""
    from importlib.metadata import version

    from landscape.archive.experiment import NUMERICS

    return f"landscape {__version__} (numerics {NUMERICS}, torch {version('torch')}, Python {sys.version.split()[0]})"


app = App(
    name="landscape",
    help="How degenerate is a critical point? Find it, save it, count its flat directions exactly.",
    help_epilogue="Exit codes: 0 done, 1 computed but not what was asked for (not critical, undecided), 2 bad input.",
    version=_versions,
    group_parameters=Group("Parameters", validator=require_used),
    help_format="plaintext",
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # a stopped run says what it has
)
app.command("landscape.cli.solve:solve", name="solve", help="Find a critical point and save it.")
app.command("landscape.cli.degeneracy:degeneracy", name="degeneracy", help="Count the flat directions of a critical point.")
app.command("landscape.cli.prove:prove", name="prove", help="Prove index and nullity of a critical point in ball arithmetic.")
app.command("landscape.cli.prove:check", name="check", help="Verify a proof file with code of its own.")
app.command("landscape.cli.spectrum:spectrum", name="spectrum", help="Write or draw the Hessian spectrum of a critical point.")
app.command("landscape.cli.slices:slices", name="slice", help="Draw the loss along eigenvectors, or between two points.")
app.command("landscape.cli.weights:import_weights", name="import", help="Turn weights trained elsewhere into a point.")
_RUNS = (
    "IT IMPORTS YOUR FILES: their code is run, so name only files that you trust. Checkpoints are read without running anything."
)
network = App(name="network", help="Count and draw at networks of one's own.", help_format="plaintext")
network.command("landscape.cli.network:inspect", name="inspect", help=f"Count flat directions and explain them. {_RUNS}")
network.command("landscape.cli.network:slices", name="slice", help=f"Draw the loss along directions. {_RUNS}")
network.command("landscape.cli.network_head:network_head", name="head", help="Say where the head of a trained network stands.")
app.command(network)
app.command("landscape.cli.show:show", name="show", help="Print what a saved point is and where it came from.")
app.command("landscape.cli.atlas:atlas", name="atlas", help="List every known kind of critical point of a problem.")
app.command("landscape.cli.prevalence:prevalence", name="prevalence", help="Count where many random starts end.")
app.command("landscape.cli.predict:predict", name="predict", help="Predict where descent ends, at any width.")
app.command("landscape.cli.phase:phase", name="phase", help="Draw where DNC is a saddle, a minimum or the best known point.")
app.command("landscape.cli.report:report", name="report", help="Write a page of a point or of a folder of points.")
app.command("landscape.cli.sweep:sweep", name="sweep", help="Compute the jobs of a grid, here, on workers or on SLURM.")
app.command("landscape.cli.results:results", name="results", help="Print or write what a sweep has found.")
app.command("landscape.cli.verify:verify", name="verify", help="Check the claims of the paper, with numbers computed now.")
app.register_install_completion_command(name="install-completion")


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and exits with its code; bad input is one line on stderr."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except OSError:  # said already; the interpreter would try once more and complain in its own words
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Runs a command and returns its exit code."""
    try:
        result = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of stdout went away, as `| head` does; there is nobody left to tell.
        sys.stderr.close()
        return NOT_AS_ASKED
    except KeyboardInterrupt:
        return _say("interrupted: what was not saved before is lost, and the same command starts again", NOT_AS_ASKED)
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        return _say(reason, BAD_INPUT)
    return result if isinstance(result, int) else DONE


def _reason(error: Exception) -> str | None:
    """Returns what is wrong with the input, or with the machine for this input; None where the error is a bug."""
    match error:
        case ValidationError(argument=argument):
            return error.exception_message if argument is None else f"{argument.name}: {error.exception_message}"
        case InputError() | CycloptsError() | OSError():  # the last: a full disk under stdout, a name that is too long
            return str(error)
        case MemoryError():
            return _TOO_LARGE
        case RuntimeError() if any(sign in str(error) for sign in _NO_MEMORY):
            return _TOO_LARGE
        case _:
            return None


def _say(words: str, code: int) -> int:
    from landscape.cli.output import warn

    warn(words)
    return code
