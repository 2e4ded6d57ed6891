"""Which code decides a result, and a hash of what that code means.

A fingerprint must change when the computation changes, and only then: hours of extraction hang on
it. So the files are found by following imports, and each is hashed as a syntax tree without what
cannot change a number: comments, docstrings, type annotations, the names of local variables, the
wording of errors, and the models of params.yaml, whose values are in the fingerprint themselves.
"""

import ast
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from pipeline.same_results import SAME_FILES, SAME_RESULTS

_ROOT = Path(__file__).parents[1]
_PACKAGE = Path(__file__).parent

DECIDES_NOTHING = frozenset(
    _PACKAGE / f"{name}.py"
    for name in (
        *("allocator", "atomic", "code_identity", "errors", "paths", "progress"),
        *("lease", "object_store", "result_store", "runtime", "same_results", "settings"),
        *("networks/backbones/contract", "networks/backbones/torchvision_weights"),
        *("networks/backbones/pytorchvideo_weights", "networks/backbones/hugging_face"),
        "networks/backbones/tensor_names",
        *("executors/elsewhere", "executors/on_ray", "executors/on_slurm", "executors/worker"),
    )
)
"""Modules that say where things lie and run, show progress, word errors, move whole files, read
parameters, describe what a backbone offers, or fetch and rename weights, whose tensors count
themselves. A package's `__init__.py` is never followed either: it names modules, and a result that
depends on one of them names that module as a root."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
# Fields of syntax nodes that mean nothing to the interpreter, or that Python versions spell
# differently.
_SILENT = {"annotation", "returns", "type_comment", "type_params", "kind", "ctx", "msg"}


def code_hash(*roots: ModuleType) -> str:
    """What names the computation of these modules and of all that they import from this project.

    Args:
        roots: For example the module that encodes frames and the file of the backbone's family.

    Returns:
        Hexadecimal: `meaning_hash`, or that of earlier code which is known to give the same results
        (same_results.py).
    """
    found = meaning_hash(*roots)
    return SAME_RESULTS.get(found, found)


@functools.cache
def meaning_hash(*roots: ModuleType) -> str:
    """SHA-256 over the meaning of these modules and of all that they import from this project.

    The same on every Python version, wherever the files lie and whatever they are called. A file
    that is known to give the results of an earlier one counts as that one (same_results.py).
    """
    files = files_behind(*(Path(str(root.__file__)) for root in roots))
    hashes = [file_hash(path) for path in files]
    counted = [SAME_FILES.get(found, found) for found in hashes]
    return hashlib.sha256("".join(sorted(filter(None, counted))).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 over the meaning of one file."""
    return hashlib.sha256(_meaning(path).encode()).hexdigest()


def library_versions(*names: str) -> dict[str, str]:
    """Major and minor version of each package: patch releases do not change what they compute."""
    return {name: ".".join(importlib.metadata.version(name).split(".")[:2]) for name in names}


def files_behind(*files: Path) -> set[Path]:
    """These files of the project and all that they import, directly or not, and that decide."""
    found: set[Path] = set()
    todo = {file.resolve() for file in files}
    while todo:
        file = todo.pop()
        found.add(file)
        todo |= imported(file) - found - DECIDES_NOTHING
    return found


@functools.cache
def imported(file: Path) -> frozenset[Path]:
    """The modules of this project that a file imports anywhere in it, packages left out."""
    found = set()
    for node in _executed(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            path = _ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if path.is_relative_to(_PACKAGE) and path.is_file():
                found.add(path)
    return frozenset(found)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below this one but those that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _executed(child)


def _meaning(path: Path) -> str:
    return " ".join(_tokens(ast.parse(path.read_text(encoding="utf-8")), ()))


class _Locals(dict[str, str]):
    """The local names of a function, numbered as they appear."""

    def __init__(self, function: ast.AST, depth: int) -> None:
        super().__init__()
        self._names = _local_names(function)
        self._depth = depth

    def __missing__(self, name: str) -> str:
        if name not in self._names:
            raise KeyError(name)
        self[name] = f"local{self._depth}.{len(self)}"
        return self[name]


def _local_names(function: ast.AST) -> set[str]:
    """Parameters and names that a function binds, without those of functions inside it."""
    assert isinstance(function, _FUNCTIONS)
    names = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    shared: set[str] = set()
    todo: list[ast.AST] = [function.body] if isinstance(function, ast.Lambda) else [*function.body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Global | ast.Nonlocal):
            shared |= set(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif not isinstance(node, ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return names - shared


def _tokens(node: object, scopes: tuple[_Locals, ...]) -> Iterator[str]:
    """The syntax below a node as text that only its meaning changes."""
    if isinstance(node, list):
        for item in node:
            yield from _tokens(item, scopes)
        return
    if not isinstance(node, ast.AST):
        yield repr(node)
        return
    if _says_nothing(node):
        return
    if isinstance(node, ast.Raise):
        yield f"(raise {_raised(node)})"
        return
    yield f"({type(node).__name__}"
    inner = scopes
    if isinstance(node, _FUNCTIONS):
        inner = (*scopes, _Locals(node, len(scopes)))
    for name, value in ast.iter_fields(node):
        if name in _SILENT or value is None or value == []:
            continue
        # A function's name and defaults belong to the scope around it.
        outside = isinstance(node, _FUNCTIONS) and name in ("name", "decorator_list")
        yield name
        if isinstance(value, str) and name in ("id", "arg", "name") and _names_a_variable(node):
            yield _resolved(value, scopes if outside else inner)
        else:
            yield from _tokens(value, scopes if outside else inner)
    yield ")"


def _says_nothing(node: ast.AST) -> bool:
    """Docstrings, imports from this project (which are followed), and models of params.yaml."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.ImportFrom(module=str(module)):
            return module.split(".")[0] == _PACKAGE.name
        case ast.Import(names=[ast.alias(name=name)]):
            return name.split(".")[0] == _PACKAGE.name
        case ast.ClassDef(bases=bases):
            return any(isinstance(base, ast.Name) and base.id == "Section" for base in bases)
        case ast.If(test=test):
            return ast.unparse(test) == "TYPE_CHECKING"
    return False


def _names_a_variable(node: ast.AST) -> bool:
    kinds = (ast.Name, ast.arg, ast.ExceptHandler, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, kinds)


def _resolved(name: str, scopes: tuple[_Locals, ...]) -> str:
    for scope in reversed(scopes):
        try:
            return scope[name]
        except KeyError:
            continue
    return name


def _raised(node: ast.Raise) -> str:
    """What kind of error is raised, without its words."""
    if isinstance(node.exc, ast.Call):
        return ast.unparse(node.exc.func)
    return ast.unparse(node.exc) if node.exc else ""
