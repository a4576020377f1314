"""The small faults, made in a function's syntax tree: a comparison, a sign, a condition, a call that is left out."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ONLY_SAID = ("log.", "self._log.", "super().__init__", "warnings.", "self._say", "say(", "failpoint(")


@dataclass(frozen=True, slots=True)
class Fault:
    """One change: the `number`-th of the module at `path`, in its function `owner` at `line`, and what it is.

    `nth`: a function may have the same twice.
    """

    path: str
    number: int
    owner: str
    line: int
    what: str
    nth: int


class _Change(ast.NodeTransformer):
    """Make the `number`-th change of a module, and list all that there could be: owner, line, and what."""

    def __init__(self, number: int = -1) -> None:
        self.number, self.all = number, list[tuple[str, int, str]]()
        self.owners: list[str] = []

    def _hit(self, node: ast.AST, what: str) -> bool:
        self.all.append((self.owners[0], getattr(node, "lineno", 0), what))
        return len(self.all) - 1 == self.number

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if any("jit" in ast.unparse(decorator) for decorator in node.decorator_list):
            return node
        prefix = ".".join(self._classes)
        self.owners.append(f"{prefix}.{node.name}".lstrip("."))
        node.body = [self.visit(statement) for statement in node.body]
        self.owners.pop()
        return node

    _classes: tuple[str, ...] = ()
    visit_FunctionDef = visit_AsyncFunctionDef = _function  # noqa: N815 - ast calls it so

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if self.owners or any("Protocol" in ast.unparse(base) for base in node.bases):
            return node
        before, self._classes = self._classes, (*self._classes, node.name)
        node.body = [
            self.visit(statement) if not isinstance(statement, ast.AnnAssign) else statement for statement in node.body
        ]
        self._classes = before
        return node

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = [
            self.visit(statement)
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            else statement
            for statement in node.body
        ]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return self.generic_visit(node) if self.owners else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        text = ast.unparse(node)
        self.generic_visit(node)
        if len(node.ops) == 1:
            other = _COMPARISONS[type(node.ops[0])]
            if self._hit(node, f"{text} → {other.__name__}"):
                node.ops = [other()]
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        text = ast.unparse(node)
        self.generic_visit(node)
        other = ast.And if isinstance(node.op, ast.Or) else ast.Or
        if self._hit(node, f"{text} → {other.__name__}"):
            node.op = other()
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        text = ast.unparse(node)
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and self._hit(node, f"without not: {text}"):
            return ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
        return node

    def _sum(self, node: ast.BinOp | ast.AugAssign) -> ast.AST:
        text = ast.unparse(node)
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Sub) and self._hit(node, f"+ and - changed: {text}"):
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        return node

    visit_BinOp = visit_AugAssign = _sum  # noqa: N815 - ast calls it so

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node  # it is only said

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if self._hit(node, f"not raised: {ast.unparse(node)[:60]}"):
            return ast.Pass()
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        text = ast.unparse(node)
        if isinstance(node.value, ast.Constant) or text.startswith(_ONLY_SAID):
            return node
        self.generic_visit(node)
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call) and self._hit(node, f"left out: {text[:80]}"):
            # Who calls `super` has a cell, `__class__`, and its code without one would not fit the function.
            return ast.Expr(ast.Name("__class__", ast.Load())) if "super()" in text else ast.Pass()
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        text = ast.unparse(node)
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
            if self._hit(node, f"turned round: {text}"):
                node.value = ast.Constant(not node.value.value)
            return node
        return self.generic_visit(node)

    def _condition(self, node: ast.If | ast.IfExp | ast.While) -> ast.AST:
        text = ast.unparse(node.test)
        self.generic_visit(node)
        if isinstance(node.test, ast.Name | ast.Attribute | ast.Call) and self._hit(node, f"if not: {text[:80]}"):
            node.test = ast.UnaryOp(ast.Not(), node.test)
        return node

    visit_If = visit_IfExp = _condition  # noqa: N815 - ast calls it so


def faults_of(path: Path, name: str) -> Iterator[Fault]:
    """Yield each fault that the module at `path` can have; `name` is kept with it."""
    seen = Counter[tuple[str, str]]()
    change = _Change()
    change.visit(ast.parse(path.read_text()))
    for number, (owner, line, what) in enumerate(change.all):
        seen[owner, what] += 1
        yield Fault(name, number, owner, line, what, seen[owner, what])


def code_with(fault: Fault, path: Path) -> CodeType:
    """Compile the module at `path` with `fault`, and return the code of the function that has it."""
    tree = ast.fix_missing_locations(_Change(fault.number).visit(ast.parse(path.read_text())))
    code = compile(tree, str(path), "exec", dont_inherit=True)
    for part in fault.owner.split("."):
        code = next(const for const in code.co_consts if isinstance(const, CodeType) and const.co_name == part)
    return code
