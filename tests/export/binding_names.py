"""Collects from the source which names of a binding (TensorRT, TensorRT-RTX, CUDA) the code uses.

A use is an attribute of the binding's module (``trt.Builder``, ``trt.MemoryPoolType.WORKSPACE``) or of a
name whose annotation says that it holds one of its objects (``builder: tensorrt.Builder``, then
``builder.create_network``), also of an attribute so annotated (``self.engine: tensorrt.ICudaEngine``).
What cannot be resolved is an error and not passed over: the result of a call must be given an annotated
name before it is used further, so that every attribute's owner is known.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Binding:
    """A binding's module.

    Attributes:
        module: its dotted name, as in ``import tensorrt``.
        aliases: names that always mean the module, such as the parameter ``trt``.
    """

    module: str
    aliases: tuple[str, ...] = ()


TENSORRT = Binding("tensorrt", ("trt",))
RTX = Binding("tensorrt_rtx", ("rtx",))
CUDA = Binding("cuda.bindings.runtime")


@dataclass(frozen=True, order=True)
class Use:
    """One name used, such as ``Builder.create_network``, and the places where it is."""

    name: str
    where: str


@dataclass
class Collected:
    """What a collection found: the uses, and what could not be resolved (each is an error)."""

    uses: list[Use] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return sorted({use.name for use in self.uses})


#: Names that mean some binding's module wherever they stand.
_ALIASES = {alias for binding in (TENSORRT, RTX, CUDA) for alias in binding.aliases}


def collect(sources: dict[str, str], binding: Binding) -> Collected:
    """Collect from source texts, by file name."""
    found = Collected()
    trees = {name: ast.parse(text) for name, text in sources.items()}
    makers = {name for tree in trees.values() for name in _makers(tree, binding)}
    for name, tree in trees.items():
        if _mentions(tree, binding, makers):
            _Collector(name, tree, binding, found, makers).visit(tree)
    found.uses = sorted(set(found.uses))
    return found


def project_sources(root: Path) -> dict[str, str]:
    """The texts of every stage, by path below the repository."""
    folders = ("dmdd_edge", "train", "export", "runtime", "benchmarks")
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def _makers(tree: ast.Module, binding: Binding) -> set[str]:
    """Functions that say they return a value of the binding."""
    roots = {binding.module, *binding.aliases}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.asname or alias.name for alias in node.names if alias.name == binding.module}
        elif isinstance(node, ast.ImportFrom):
            roots |= {alias.asname or alias.name for alias in _imported_from(node, binding)}
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and _names_a_type(node.returns, roots)
    }


def _names_a_type(annotation: ast.expr, roots: set[str]) -> bool:
    return any(
        isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[0] in roots
        for node in ast.walk(annotation)
    )


def _mentions(tree: ast.Module, binding: Binding, makers: set[str]) -> bool:
    """Whether a file uses the binding: imports it, has a name that always means it, or calls a maker."""
    if any(isinstance(node, ast.Call) and _called_name(node) in makers for node in ast.walk(tree)):
        return True
    return any(
        (isinstance(node, ast.Import) and any(alias.name == binding.module for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and _imported_from(node, binding))
        or (isinstance(node, ast.Name | ast.arg) and _name_of(node) in binding.aliases)
        for node in ast.walk(tree)
    )


def _called_name(node: ast.Call) -> str:
    function = node.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _name_of(node: ast.Name | ast.arg) -> str:
    return node.id if isinstance(node, ast.Name) else node.arg


def _imported_from(node: ast.ImportFrom, binding: Binding) -> list[ast.alias]:
    package, _, last = binding.module.rpartition(".")
    return [alias for alias in node.names if package and node.module == package and alias.name == last]


@dataclass(frozen=True)
class _Unknown:
    """The value of an expression that comes from the binding but whose type the source does not tell."""


#: What an expression is: the module ("" as a path), a path in it (a type, a member), an instance of a type,
#: unknown but of the binding, or nothing of the binding (None).
_Value = tuple[str, str] | _Unknown | None


class _Collector(ast.NodeVisitor):
    def __init__(
        self, file: str, tree: ast.Module, binding: Binding, found: Collected, makers: set[str]
    ) -> None:
        self.file, self.binding, self.found, self.makers = file, binding, found, makers
        self.scopes: list[dict[str, _Value]] = [dict.fromkeys(binding.aliases, ("path", ""))]
        self.loose: list[set[str]] = [set()]  # names annotated Any or object, by scope
        self.fields = dict(self._annotated_fields(tree))

    # -- what names mean -------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name == self.binding.module and (alias.asname or "." not in alias.name):
                self.scopes[0][alias.asname or alias.name] = ("path", "")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module == self.binding.module:
            self._fail(node, f"`from {node.module} import ...` hides names; import the module")
        for alias in _imported_from(node, self.binding):
            self.scopes[0][alias.asname or alias.name] = ("path", "")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        scope: dict[str, _Value] = {}
        loose: set[str] = set()
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for arg in [*arguments, *filter(None, (node.args.vararg, node.args.kwarg))]:
            if arg.arg not in self.binding.aliases:
                scope[arg.arg] = self._annotated(arg.annotation)
                if _is_loose(arg.annotation) and arg.arg not in _ALIASES:
                    loose.add(arg.arg)
        if node.returns is not None:
            self._annotated(node.returns)
        self.scopes.append(scope)
        self.loose.append(loose)
        for statement in node.body:
            self.visit(statement)
        self.scopes.pop()
        self.loose.pop()
        for decorator in node.decorator_list:
            self.visit(decorator)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """A class derived from one of the binding's: its public methods override names of the base."""
        for base in map(self._value, node.bases):
            if isinstance(base, tuple) and base[0] == "path":
                for item in node.body:
                    if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
                        self._use(item, f"{base[1]}.{item.name}")
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        value = self._value(node.value) if node.value is not None else None
        kind = self._annotated(node.annotation)
        if isinstance(node.target, ast.Name):
            is_class = isinstance(value, tuple) and value[0] == "path"
            if _is_loose(node.annotation) and is_class:
                kind = value  # `base: Any = trt.ILogger`, a base class under another name
            elif _is_loose(node.annotation):
                self.loose[-1].add(node.target.id)
            self.scopes[-1][node.target.id] = kind

    def visit_Assign(self, node: ast.Assign) -> None:
        value = self._value(node.value)
        for target in node.targets:
            names = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            for name in names:
                if isinstance(name, ast.Attribute):
                    self._value(name)  # writing an attribute uses its name as well
                elif isinstance(name, ast.Name) and value is not None and name.id not in self.binding.aliases:
                    if isinstance(value, _Unknown) and self._declared(name.id):
                        continue  # `props: T` before `status, props = call()`
                    if isinstance(target, ast.Tuple) and isinstance(value, _Unknown):
                        # Plain numbers among a call's results need no type; using them as objects does.
                        self.scopes[-1].setdefault(name.id, value)
                    else:
                        self._fail(node, f"`{name.id}` takes a value of {self.binding.module}: annotate it")

    def visit_For(self, node: ast.For) -> None:
        if self._value(node.iter) is not None:
            self._fail(node, "a loop over a value of the binding has elements of unknown type; index instead")
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if self._value(item.context_expr) is not None and item.optional_vars is not None:
                self._fail(node, "`with ... as` gives a value of the binding a name without a type")
        for statement in node.body:
            self.visit(statement)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        if self._value(node.value) is not None:
            self._fail(node, f"`{node.target.id} :=` takes a value of the binding without a type")

    def visit_comprehension(self, node: ast.comprehension) -> None:
        value = self._value(node.iter)
        if value is not None and not self._is_members(node.iter):
            self._fail(node.iter, "a comprehension over a value of the binding has elements of unknown type")
        for condition in node.ifs:
            self.visit(condition)

    # -- uses ------------------------------------------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._value(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._value(node)

    def _value(self, node: ast.expr) -> _Value:
        """What an expression is, noting every name it uses."""
        if isinstance(node, ast.Name):
            return next((scope[node.id] for scope in reversed(self.scopes) if node.id in scope), None)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Subscript):
            self._value(node.slice)
            return _Unknown() if self._value(node.value) is not None else None
        if isinstance(node, ast.IfExp):
            self.visit(node.test)
            values = [self._value(node.body), self._value(node.orelse)]
            return next((value for value in values if value is not None), None)
        self.generic_visit(node)
        return None

    def _attribute(self, node: ast.Attribute) -> _Value:
        owner = self._value(node.value)
        if isinstance(owner, _Unknown):
            self._fail(node, f"`.{node.attr}` of a value of unknown type: give it an annotated name first")
            return owner
        if owner is None:
            loose = isinstance(node.value, ast.Name) and any(node.value.id in names for names in self.loose)
            if loose:
                self._fail(
                    node,
                    f"`.{node.attr}` of a name whose annotation tells nothing: annotate it with its type",
                )
            if isinstance(node.value, ast.Name | ast.Attribute):
                return self.fields.get(node.attr)
            return None
        kind, path = owner
        name = f"{path}.{node.attr}" if path else node.attr
        dunder = node.attr.startswith("__")
        if not (dunder and path):
            self._use(node, name)
        if dunder:
            return None  # the interpreter's own, such as __version__
        return ("path", name) if kind == "path" else _Unknown()

    def _call(self, node: ast.Call) -> _Value:
        called = self._value(node.func)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            inner = argument.value if isinstance(argument, ast.Starred) else argument
            self._value(inner)
        if isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr", "setattr"):
            self._dynamic(node)
        return None if called is None and _called_name(node) not in self.makers else _Unknown()

    def _dynamic(self, node: ast.Call) -> None:
        owner = self._value(node.args[0])
        if owner is None:
            return
        name = node.args[1]
        if isinstance(owner, tuple) and isinstance(name, ast.Constant) and isinstance(name.value, str):
            self._use(node, f"{owner[1]}.{name.value}" if owner[1] else name.value)
        else:
            self._fail(node, "a name that is computed cannot be held against the bindings")

    # -- annotations -----------------------------------------------------------------------------------

    def _annotated(self, annotation: ast.expr | None) -> _Value:
        """The binding's type that an annotation names: the type itself, or it or None."""
        if annotation is None:
            return None
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
            kinds = [self._annotated(annotation.left), self._annotated(annotation.right)]
            named = [kind for kind in kinds if kind is not None]
            if len(named) > 1:
                self._fail(annotation, "an annotation names two of the binding's types")
            return named[0] if named else None
        path = self._type_path(annotation)
        if path is not None:
            self._use(annotation, path)
            return ("instance", path)
        if any(self._type_path(node) is not None for node in ast.walk(annotation)):
            self._fail(annotation, f"`{ast.unparse(annotation)}`: a container hides the type of its elements")
        return None

    def _type_path(self, node: ast.AST) -> str | None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and parts:
            value = next((scope[node.id] for scope in reversed(self.scopes) if node.id in scope), None)
            if value == ("path", ""):
                return ".".join(reversed(parts))
        return None

    def _annotated_fields(self, tree: ast.Module) -> Iterator[tuple[str, _Value]]:
        """Attributes annotated in a class body or as ``self.x: T``, by their name in the whole file."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.visit(node)
        for node in ast.walk(tree):
            annotated = [node] if isinstance(node, ast.AnnAssign) else getattr(node, "body", [])
            for item in annotated if isinstance(node, ast.AnnAssign | ast.ClassDef) else []:
                if isinstance(item, ast.AnnAssign) and (path := self._type_of(item.annotation)) is not None:
                    if isinstance(item.target, ast.Attribute):
                        yield item.target.attr, ("instance", path)
                    elif isinstance(item.target, ast.Name) and isinstance(node, ast.ClassDef):
                        yield item.target.id, ("instance", path)

    def _type_of(self, annotation: ast.expr) -> str | None:
        sides = [annotation.left, annotation.right] if isinstance(annotation, ast.BinOp) else [annotation]
        return next((path for side in sides if (path := self._type_path(side)) is not None), None)

    # -- small things ----------------------------------------------------------------------------------

    def _declared(self, name: str) -> bool:
        return any(isinstance(scope.get(name), tuple) for scope in self.scopes)

    def _is_members(self, node: ast.expr) -> bool:
        """``SomeEnum.__members__``: the names in it are strings."""
        return isinstance(node, ast.Attribute) and node.attr == "__members__"

    def _use(self, node: ast.AST, name: str) -> None:
        if name != "__name__":
            self.found.uses.append(Use(name, f"{self.file}:{getattr(node, 'lineno', 0)}"))

    def _fail(self, node: ast.AST, message: str) -> None:
        self.found.unresolved.append(f"{self.file}:{getattr(node, 'lineno', 0)}: {message}")


def _is_loose(annotation: ast.expr | None) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id in ("Any", "object", "ModuleType")
