"""Mutants of a source text: each is one small edit that a careless hand could make.

What is not mutated: annotations, docstrings, decorators, f-strings and other prose (a string with a space in
it, and every string in a ``raise``): what a message says is not what a test of behaviour is about.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_COMPARE: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"),
    ast.Mod: ("%", "+"),
    ast.Pow: (r"\*\*", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: (r"\|", "&"),
    ast.BitXor: (r"\^", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
_READERS = {"require", "integer", "boolean", "octets", "text", "array", "position", "interval"}
"""Of ``protocol.fields``: the texts that they are given say what a field is, in the message of an error."""

_SWAPPED_NAMES = {"max": "min", "min": "max", "all": "any", "any": "all"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit: the bytes from ``start`` to ``end`` become ``text``.

    ``function`` is the qualified name of the function that it is in, empty at the top of a module. ``called``
    says that it runs when that is called, not when the module is imported. ``lines`` are the first and last
    line one of which runs if the edit does. ``was`` and ``becomes`` are the changed lines without their
    indentation: with module and function they name the mutant wherever in the file it stands.
    """

    start: int
    end: int
    text: str
    function: str
    called: bool
    lines: tuple[int, int]
    was: str = ""
    becomes: str = ""

    def apply(self, source: bytes) -> bytes:
        """The source with this defect."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants_of(source: bytes) -> list[Mutant]:
    """All mutants of a module that are programs, in the order of the text, each edit once."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: dict[tuple[int, int, str], Mutant] = {}
    for mutant in _Finder(source, starts).module(ast.parse(source)):
        found.setdefault((mutant.start, mutant.end, mutant.text), mutant)
    named = [
        _named(mutant, source) for mutant in sorted(found.values(), key=lambda m: (m.start, m.end, m.text))
    ]
    return [mutant for mutant in named if _compiles(mutant.apply(source))]


def _compiles(source: bytes) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _named(mutant: Mutant, source: bytes) -> Mutant:
    begin = source.rfind(b"\n", 0, mutant.start) + 1
    stop = source.find(b"\n", mutant.end)
    stop = len(source) if stop < 0 else stop
    was, becomes = (
        " ".join(text.decode().split())
        for text in (
            source[begin:stop],
            source[begin : mutant.start] + mutant.text.encode() + source[mutant.end : stop],
        )
    )
    return replace(mutant, was=was, becomes=becomes)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walk stands."""

    function: str = ""
    called: bool = False
    lines: tuple[int, int] = (1, 1)
    prose: bool = False


class _Finder:
    def __init__(self, source: bytes, starts: list[int]) -> None:
        self._source = source
        self._starts = starts

    def module(self, tree: ast.Module) -> Iterator[Mutant]:
        yield from self._block(tree.body, _Place())

    # -- statements --------------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt], place: _Place) -> Iterator[Mutant]:
        for statement in body:
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                yield from self._statement(statement, place)

    def _statement(self, node: ast.stmt, place: _Place) -> Iterator[Mutant]:
        place = replace(place, lines=_header(node))
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for default in (*node.args.defaults, *node.args.kw_defaults):
                    if default is not None:
                        yield from self._expression(default, place)
                name = f"{place.function}.{node.name}".lstrip(".")
                yield from self._block(node.body, replace(place, function=name, called=True))
            case ast.ClassDef():
                name = f"{place.function}.{node.name}".lstrip(".")
                yield from self._block(node.body, replace(place, function=name))
            case ast.If() if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                return
            case ast.Assign(targets=[ast.Name(id="__slots__" | "__all__")]) | ast.Import() | ast.ImportFrom():
                return
            case ast.AnnAssign():
                if node.value is not None:
                    yield from self._expression(node.value, place)
            case ast.Raise():
                if node.exc is not None:
                    yield from self._expression(node.exc, replace(place, prose=True))
            case _:
                yield from self._parts(node, place)
        yield from self._of_statement(node, place)

    def _of_statement(self, node: ast.stmt, place: _Place) -> Iterator[Mutant]:
        match node:
            case ast.If(body=[ast.Raise()], orelse=[]):
                # Its condition made False is the same as no ``raise``.
                yield from self._edits(node.test, place, "True", "False")
            case ast.If():
                yield from self._edits(node.test, place, "True", "False")
                yield from self._raises(node.body, place)
                yield from self._raises(node.orelse, place)
            case ast.While():
                yield from self._edits(node.test, place, "False")
                yield from self._raises(node.body, place)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.With() | ast.For():
                yield from self._raises(node.body, replace(place, called=True))
            case ast.Expr() | ast.Delete() | ast.AugAssign():
                yield from self._edits(node, place, "pass")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
                yield from self._edits(node, place, "pass")
            case ast.AnnAssign(target=ast.Attribute()) if node.value is not None:
                yield from self._edits(node, place, "pass")
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield from self._edits(value, place, "None")
            case ast.Continue():
                yield from self._edits(node, place, "break")
            case ast.Break():
                yield from self._edits(node, place, "continue")
        if isinstance(node, ast.AugAssign):
            yield from self._between(node.target, node.value, _ARITHMETIC.get(type(node.op)), place)

    def _raises(self, body: list[ast.stmt], place: _Place) -> Iterator[Mutant]:
        for node in body:
            if isinstance(node, ast.Raise):
                yield from self._edits(node, replace(place, lines=_header(node)), "pass")

    # -- expressions -------------------------------------------------------------------------------------

    def _parts(self, node: ast.AST, place: _Place) -> Iterator[Mutant]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from self._statement(child, place)
            elif isinstance(child, ast.expr):
                yield from self._expression(child, place)
            elif isinstance(child, ast.ExceptHandler):
                yield from self._handler(child, place)
            else:
                yield from self._parts(child, place)

    def _handler(self, node: ast.ExceptHandler, place: _Place) -> Iterator[Mutant]:
        if isinstance(node.type, ast.Tuple):
            place = replace(
                place, lines=(node.body[0].lineno, node.body[0].end_lineno or node.body[0].lineno)
            )
            names = node.type.elts
            for gone in range(len(names)):
                rest = ast.Tuple([name for n, name in enumerate(names) if n != gone], ast.Load())
                yield from self._edits(node.type, place, ast.unparse(rest))
        yield from self._block(node.body, place)

    def _expression(self, node: ast.expr, place: _Place) -> Iterator[Mutant]:
        match node:
            case ast.JoinedStr():
                return
            case ast.Constant():
                yield from self._constant(node, place)
                return
            case ast.Lambda():
                lines = (node.body.lineno, node.body.end_lineno or node.body.lineno)
                yield from self._expression(node.body, replace(place, called=True, lines=lines))
                return
            case ast.Compare():
                for left, op, right in zip(
                    (node.left, *node.comparators), node.ops, node.comparators, strict=False
                ):
                    yield from self._between(left, right, _COMPARE[type(op)], place)
            case ast.BinOp():
                yield from self._between(node.left, node.right, _ARITHMETIC.get(type(node.op)), place)
            case ast.BoolOp():
                for gone in range(len(node.values)):
                    rest = [value for n, value in enumerate(node.values) if n != gone]
                    kept = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
                    yield from self._edits(node, place, f"({ast.unparse(kept)})")
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
                yield from self._edits(node, place, f"({ast.unparse(node.operand)})")
            case ast.IfExp():
                yield from self._edits(node.test, place, "True", "False")
            case ast.Call():
                yield from self._call(node, place)
            case ast.Slice():
                for bound in (node.lower, node.upper):
                    if bound is not None:
                        yield from self._edits(bound, place, "")
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                for generator in node.generators:
                    for condition in generator.ifs:
                        yield from self._edits(condition, place, "True")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _READERS:
            place = replace(place, prose=True)
        yield from self._parts(node, place)

    def _constant(self, node: ast.Constant, place: _Place) -> Iterator[Mutant]:
        match node.value:
            case bool():
                yield from self._edits(node, place, str(not node.value))
            case int() | float():
                yield from self._edits(node, place, repr(node.value + 1))
            case bytes():
                yield from self._edits(node, place, repr(node.value + b"x"))
            case str() if not place.prose and " " not in node.value:
                yield from self._edits(node, place, repr(node.value + "x"))

    def _call(self, node: ast.Call, place: _Place) -> Iterator[Mutant]:
        if isinstance(node.func, ast.Name) and node.func.id in _SWAPPED_NAMES:
            yield from self._edits(node.func, place, _SWAPPED_NAMES[node.func.id])
        for keyword in node.keywords:
            if keyword.arg is not None:
                start, end = self._span(keyword)
                comma = re.compile(rb"\s*,?").match(self._source, end)
                yield self._edit(start, comma.end() if comma else end, "", place)

    # -- edits -------------------------------------------------------------------------------------------

    def _span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[end_line - 1] + end_column

    def _edit(self, start: int, end: int, text: str, place: _Place) -> Mutant:
        return Mutant(start, end, text, place.function, place.called, place.lines)

    def _edits(self, node: ast.expr | ast.stmt, place: _Place, *texts: str) -> Iterator[Mutant]:
        start, end = self._span(node)
        for text in texts:
            if self._source[start:end] != text.encode():
                yield self._edit(start, end, text, place)

    def _between(
        self, left: ast.expr, right: ast.expr, change: tuple[str, str] | None, place: _Place
    ) -> Iterator[Mutant]:
        """The operator between two operands becomes another one."""
        if change is None:
            return
        start, end = self._span(left)[1], self._span(right)[0]
        operator = re.search(change[0].encode(), self._source[start:end])
        if operator is not None:
            yield self._edit(start + operator.start(), start + operator.end(), change[1], place)


def _header(node: ast.stmt) -> tuple[int, int]:
    """The lines of a statement, without those of the statements in it."""
    body = getattr(node, "body", None)
    last = node.end_lineno or node.lineno
    return node.lineno, max(node.lineno, body[0].lineno - 1) if body else last
