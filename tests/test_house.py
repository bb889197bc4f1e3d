"""The rules of the house: linters, layers, sizes, names, banned calls, dependencies, nothing of one machine in the repository.

Every rule of our own is a function from a source to its violations, tried on a source that breaks it as well as on the tree.
"""

import ast
import configparser
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from landscape.curvature.operators.operator import Matrix

ROOT = Path(__file__).resolve().parent.parent
CODE = ("landscape", "scripts", "figures", "benchmarks")
FILE_LINES, FUNCTION_LINES = 400, 70
BANNED_NAMES = {"utils", "helpers", "misc", "common", "base", "core"}

# of one machine: its folders and package sources; of one registry: its hosts and the options that name one
MACHINE = re.compile(
    r"(?<![\w.])/(?:[w]ork|[r]oot|home/\w+|opt/(?:pypi|wheels))[/\w-]*|[f]ile:///"
    r"|[p]ypi\.org|[p]ythonhosted\.org|download\.[p]ytorch\.org|[a]naconda\.org|--(?:extra-)?index[-]url|--find[-]links"
)


def sources(*folders: str) -> list[Path]:
    found = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if "build" not in path.parts)
    assert found, f"expected Python files in {folders}, got none"
    return found


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def report(broken: list[str], rule: str) -> None:
    assert not broken, "\n".join([f"{rule}:", *broken])


# ---------------------------------------------------------------------------------------------------------------- linters


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("ruff", ("-m", "ruff", "check", "--quiet", "--output-format", "concise", ".")),
        ("ruff format", ("-m", "ruff", "format", "--check", "--quiet", ".")),
        pytest.param("mypy", ("-m", "mypy", "--no-error-summary", *CODE, "tests"), marks=pytest.mark.slow),
        ("import-linter", ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-logo")),
    ],
)
def test_linter(tool: str, arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{tool} objects (exit {done.returncode}):\n{done.stdout}{done.stderr}"


def test_shapes_are_checked_at_run_time() -> None:
    with pytest.raises(TypeCheckError):
        Matrix(torch.zeros(2, 3))


# ------------------------------------------------------------------------------------------------------- sizes and names


def long_functions(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0
            lines = node.end_lineno - node.lineno + 1 - docstring
            if lines > FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines without its docstring"


def test_files_are_short() -> None:
    counts = {named(path): len(path.read_text().splitlines()) for path in sources(*CODE)}
    report([f"{name}: {lines} lines" for name, lines in counts.items() if lines > FILE_LINES], f"over {FILE_LINES} lines")


def test_functions_are_short() -> None:
    broken = [f"{named(path)}:{found}" for path in sources(*CODE) for found in long_functions(ast.parse(path.read_text()))]
    report(broken, f"over {FUNCTION_LINES} lines in one function")


@pytest.mark.parametrize(("lines", "expected"), [(FUNCTION_LINES - 1, 0), (FUNCTION_LINES, 1)])
def test_the_measure_of_functions(lines: int, expected: int) -> None:
    body = '    """First.\n\n    More.\n    """\n' + "    x = 1\n" * lines  # the def itself is a line too
    assert len(list(long_functions(ast.parse(f"class A:\n  def f():\n{body}")))) == expected


def banned_name(path: Path) -> bool:
    return any(part.lower() in BANNED_NAMES for part in path.with_suffix("").parts)


def test_names_say_something() -> None:
    places = sources(*CODE, "tests")
    report([named(path) for path in places if banned_name(path.relative_to(ROOT))], "a name that says nothing")
    assert banned_name(Path("landscape/utils.py"))
    assert banned_name(Path("landscape/core/operator.py"))
    assert not banned_name(Path("landscape/baseline.py"))


def public_names(tree: ast.Module) -> Iterator[str]:
    """Yields the classes, functions and types that a module defines for others; constants are in capitals."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                if not name.startswith("_") and not name.isupper():
                    yield name


# The checker stands alone and shares the verb; each module has its own logger. Commands are named after what they call, so the
# command line is left out.
SAME_ON_PURPOSE = {"analyse", "check", "log"}  # `analyse` of a module hands points of the model to that of the model


def test_no_name_stands_for_two_things() -> None:
    homes: dict[str, list[str]] = {}
    for path in sources("landscape"):
        if "cli" not in path.parts:
            for name in set(public_names(ast.parse(path.read_text()))):  # overloads stand several times
                homes.setdefault(name, []).append(named(path))
    assert len(homes) > 500
    report([f"{name}: {places}" for name, places in homes.items() if len(places) > 1 and name not in SAME_ON_PURPOSE], "two homes")


def test_the_sight_of_names() -> None:
    source = "LIMIT = 3\n_hidden = 1\nLoss = str\nclass Row: pass\ndef solve(): pass\ndef _solve(): pass"
    assert list(public_names(ast.parse(source))) == ["Loss", "Row", "solve"]


# ---------------------------------------------------------------------------------------------------------- banned calls

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
GLOBAL_STATE = {"set_default_dtype", "set_default_device", "set_default_tensor_type"}
ONLY_LITERAL = {"weights_only": True, "allow_pickle": False}


def banned_calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] in UNPICKLERS:
                for alias in names:
                    if alias.name.lower().startswith(("load", "open", "unpickler", "*")):
                        yield f"{node.lineno}: from {module} import {alias.name}"
            case ast.Import(names=names):
                for alias in names:
                    if alias.name.partition(".")[0] in UNPICKLERS and alias.asname:
                        yield f"{node.lineno}: import {alias.name} under another name"
            case ast.Attribute(value=ast.Name(id=owner), attr=attr) if owner in UNPICKLERS:
                if attr.lower().startswith(("load", "open", "unpickler")):
                    yield f"{node.lineno}: {owner}.{attr}"
            case ast.Attribute(attr=attr) | ast.Name(id=attr) if attr in GLOBAL_STATE | {"read_pickle"}:
                yield f"{node.lineno}: {attr}"
            case ast.Call(func=ast.Attribute(attr="cuda")):
                yield f"{node.lineno}: .cuda(): follow the device of the input"
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                yield f"{node.lineno}: {name}()"
            case ast.keyword(arg=str(arg), value=value) if arg in ONLY_LITERAL:
                if not (isinstance(value, ast.Constant) and value.value is ONLY_LITERAL[arg]):
                    yield f"{node.lineno}: {arg} is not literally {ONLY_LITERAL[arg]}"


def test_singular_vectors_are_computed_in_one_place() -> None:
    """The default of torch on CUDA devices leaves them orthonormal to 1e-12 only."""
    places = [path for path in sources("landscape") if re.search(r"linalg\.svd\(|torch\.svd\(|svd_lowrank", path.read_text())]
    assert [named(path) for path in places] == ["landscape/decomposition.py"]


def test_nothing_banned_is_called() -> None:
    places = sources(*CODE, "tests")
    report([f"{named(path)}:{found}" for path in places for found in banned_calls(ast.parse(path.read_text()))], "banned")


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(file)",
        "import pickle\nread = pickle.loads",
        "pickle.Unpickler(file)",
        "from pickle import load",
        "import pickle as p",
        "joblib.load(path)",
        "pandas.read_pickle(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=not safe)",
        "tensor.cuda()",
        "torch.set_default_dtype(torch.float64)",
        "from torch import set_default_dtype as f\nset_default_dtype(x)",
        "eval(text)",
    ],
)
def test_the_ban_sees(source: str) -> None:
    assert list(banned_calls(ast.parse(source)))


def test_the_ban_spares_the_innocent() -> None:
    source = """
        import pickle
        pickle.dump(x, file); model.eval(); ast.literal_eval(text); torch.cuda.is_available()
        torch.load(path, weights_only=True); np.load(path, allow_pickle=False); json.loads(text)
    """
    assert not list(banned_calls(ast.parse("\n".join(line.strip() for line in source.splitlines()))))


# ------------------------------------------------------------------------------------------------------------- one judge


def unjudged(tree: ast.AST) -> Iterator[str]:
    """Yields where zeros are counted without the judge, and where a sentence for people is read by code."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="landscape.curvature.counting.zeros", names=names):
                if any(alias.name in ("count_zeros", "*") for alias in names):
                    yield f"{node.lineno}: imports count_zeros"
            case ast.Attribute(attr="count_zeros"):
                yield f"{node.lineno}: count_zeros of a module"
            case ast.Attribute(value=ast.Attribute(attr="reason" | "detail") | ast.Name(id="reason" | "detail"), attr=attr):
                if attr in ("startswith", "endswith", "removeprefix", "removesuffix", "replace"):
                    yield f"{node.lineno}: reads a sentence: {attr}"
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Attribute(attr="reason" | "detail")]):
                yield f"{node.lineno}: reads a sentence: in"


def test_every_count_passes_the_judge() -> None:
    counters = (ROOT / "landscape" / "curvature", ROOT / "landscape" / "degeneracy" / "judgement.py")
    places = [path for path in sources("landscape") if not any(path.is_relative_to(counter) for counter in counters)]
    assert len(places) > 50
    report([f"{named(path)}:{found}" for path in places for found in unjudged(ast.parse(path.read_text()))], "not judged")


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("from landscape.curvature.counting.zeros import Nullity, count_zeros", True),
        ("from landscape.curvature.counting import zeros\nzeros.count_zeros(x, 0.0)", True),
        ("if report.reason.startswith('undecided'): pass", True),
        ("'routes' in report.reason", True),
        ("from landscape.curvature.counting.zeros import Nullity", False),
        ("if report.reason: print(report.reason)", False),
    ],
)
def test_the_sight_of_what_is_not_judged(source: str, seen: bool) -> None:
    assert bool(list(unjudged(ast.parse(source)))) is seen


# ------------------------------------------------------------------------------------------------------------- repository


def test_nothing_of_one_machine_is_in_git() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    assert listed.returncode == 0, f"git cannot list the files here: {listed.stderr}"
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert len(paths) > 10
    broken = []
    for path in paths:
        if path.is_file():
            for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1):
                broken += [f"{named(path)}:{number}: {found.group()}" for found in MACHINE.finditer(line)]
    report(broken, "an absolute path or a package registry")


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("cd /" + "work/main", True),
        ('cache = "/' + 'root/.cache"', True),
        ("/home/" + "ada/point.safetensors", True),
        ("see https://py" + "pi.org/project/x", True),
        ("pip install --index" + "-url X", True),
        ("fi" + "le:///tmp/x", True),
        ("a framework/" + "work/flow ../" + "work/x", False),
        ("square-root/of and ~/" + "home", False),
        ("https://arxiv.org/abs/2410.23169 and /tmp/x", False),
    ],
)
def test_the_sight_of_one_machine(line: str, seen: bool) -> None:
    assert bool(MACHINE.search(line)) is seen


def bash_blocks(text: str) -> list[str]:
    return re.findall(r"^```(?:bash|sh|shell|console)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def missing_paths(block: str) -> list[str]:
    mentioned = re.findall(r"(?<![\w/.-])(?:\./)?((?:scripts|figures|benchmarks|docs|tests|\.ci)/[\w./-]*\w)", block)
    return [path for path in mentioned if not (ROOT / path).exists()]


def bash_objects(block: str) -> str:
    return subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True).stderr


@pytest.mark.parametrize("page", sorted({"README.md", *(named(path) for path in (ROOT / "docs").rglob("*.md"))}))
def test_commands_on_a_page_are_real(page: str) -> None:
    blocks = bash_blocks((ROOT / page).read_text())
    assert blocks or page != "README.md", "expected bash blocks in the README, got none"
    for block in blocks:
        assert not bash_objects(block), f"{page}: bash cannot read\n{block}\n{bash_objects(block)}"
        assert not missing_paths(block), f"{page} names files that do not exist: {missing_paths(block)}"


def test_the_reading_of_pages() -> None:
    assert bash_blocks("x\n```bash\na\nb\n```\n```python\nc\n```\n") == ["a\nb\n"]
    assert bash_objects("if true; then\n")
    assert not bash_objects("echo 'fine'\n")
    assert missing_paths("./scripts/nowhere && cat scripts/test") == ["scripts/nowhere"]


@pytest.mark.parametrize("script", ["scripts/test", "scripts/environment", "scripts/slurm", ".ci/run"])
def test_shell_scripts_parse_and_can_run(script: str) -> None:
    assert not bash_objects((ROOT / script).read_text())
    assert (ROOT / script).stat().st_mode & 0o100, f"{script} is not executable"


# ----------------------------------------------------------------------------------------------------------- dependencies


def configuration() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def requirements(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def pins() -> dict[str, str]:
    found: dict[str, str] = {}
    for requirement in requirements((ROOT / "constraints.txt").read_text()):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"constraints.txt: expected an exact version, got {requirement}"
        assert "*" not in specifier.version
        assert "+" not in specifier.version, f"constraints.txt: a local label exists on no other machine: {requirement}"
        assert canonicalize_name(requirement.name) not in found, f"constraints.txt: {requirement.name} twice"
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


def declared() -> list[Requirement]:
    config = configuration()
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values(), "\n".join(build)]
    return [requirement for text in texts for requirement in requirements(text)]


def unpinned(wanted: list[Requirement], pinned: dict[str, str]) -> list[str]:
    """Returns what is wanted, directly or by what is wanted, and has no pin or one outside the wanted range."""
    broken, queue, seen = [], [(requirement, "setup.cfg") for requirement in wanted], set()
    while queue:
        requirement, parent = queue.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": e}) for e in ("", *requirement.extras)):
            continue
        exact_by_parent = parent != "setup.cfg" and any(s.operator == "==" for s in requirement.specifier)
        if name not in pinned:
            if not exact_by_parent:
                broken.append(f"{requirement} (wanted by {parent}) has no exact version")
            continue
        if not requirement.specifier.contains(pinned[name], prereleases=True):
            broken.append(f"{requirement} (wanted by {parent}) excludes {pinned[name]}")
        if name not in seen:
            seen.add(name)
            queue += [(Requirement(text), requirement.name) for text in wanted_by(name)]
    return broken


def wanted_by(name: str) -> list[str]:
    """Returns what a distribution wants; nothing for one of an extra that is not installed here."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def test_everything_installed_is_pinned() -> None:
    report(unpinned(declared(), pins()), "constraints.txt")


def test_the_search_for_pins() -> None:
    pinned = pins()
    rich = [Requirement("rich>=13")]
    assert not unpinned(rich, pinned)
    assert unpinned(rich, {name: version for name, version in pinned.items() if name != "rich"})
    assert unpinned(rich, {name: version for name, version in pinned.items() if name != "mdurl"})  # two steps away
    assert unpinned([Requirement("rich>=1000")], pinned)


def test_lower_bounds_are_stated() -> None:
    report([str(wanted) for wanted in declared() if not any(s.operator == ">=" for s in wanted.specifier)], "no lower bound")


# modules that load an extra when it is used
ON_REQUEST = dict.fromkeys(
    (f"landscape/sweep/{name}.py" for name in ("clusters", "credentials", "engine", "run", "slurm")), "batch"
)
ON_REQUEST["landscape/studies/heads/images.py"] = "images"


def test_imports_are_declared() -> None:
    config = configuration()
    wanted = {canonicalize_name(r.name) for r in requirements(config["options"]["install_requires"])}
    extras = {place: requirements(config["options.extras_require"][extra]) for place, extra in ON_REQUEST.items()}
    owners = metadata.packages_distributions()
    imported: dict[str, str] = {}
    for path in sources("landscape"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            imported |= {name.partition(".")[0]: named(path) for name in names}
    outside = {name: path for name, path in imported.items() if name not in sys.stdlib_module_names and name != "landscape"}
    assert "torch" in outside
    homes = {name: {canonicalize_name(owner) for owner in owners.get(name, [name])} for name in outside}
    allowed = {path: {canonicalize_name(r.name) for r in extra} for path, extra in extras.items()}
    broken = [f"{path}: {name}" for name, path in outside.items() if not (wanted | allowed.get(path, set())) & homes[name]]
    report(broken, "imported and not in install_requires")


def test_metadata_has_one_home() -> None:
    assert "project" not in tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert not (ROOT / "setup.py").exists()
    assert (ROOT / "landscape" / "py.typed").is_file()


def test_the_citation_has_the_version() -> None:
    version = re.search(r'^__version__ = "(.+)"$', (ROOT / "landscape" / "__init__.py").read_text(), re.MULTILINE).group(1)
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
