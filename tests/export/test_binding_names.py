"""The collector of used names: what it resolves, and what it refuses to pass over."""

from __future__ import annotations

import pytest

from tests.export.binding_names import CUDA, RTX, TENSORRT, Collected, collect

HEAD = """
from types import ModuleType
from typing import TYPE_CHECKING, Any
if TYPE_CHECKING:
    import tensorrt
"""


def collected(body: str, head: str = HEAD) -> Collected:
    return collect({"code.py": head + body}, TENSORRT)


RESOLVED = [
    ("x = 1 << int(trt.Flag.STRONG)", ["Flag", "Flag.STRONG"]),
    ("def f(b: tensorrt.Builder) -> None:\n    b.reset()", ["Builder", "Builder.reset"]),
    ("def f(b: 'tensorrt.Builder') -> None:\n    b.reset()", ["Builder", "Builder.reset"]),
    ("def f(b: tensorrt.Builder | None) -> None:\n    b.reset()", ["Builder", "Builder.reset"]),
    ("n: tensorrt.Net = make()\nn.num_layers", ["Net", "Net.num_layers"]),
    ("def f(c: tensorrt.Config) -> None:\n    c.level = trt.Level.HIGH",
     ["Config", "Config.level", "Level", "Level.HIGH"]),
    ("def f(n: tensorrt.Net) -> None:\n    use(n.get(0), *n.all())", ["Net", "Net.all", "Net.get"]),
    ("def f(n: tensorrt.Net) -> None:\n    for i in range(n.size):\n"
     "        t: tensorrt.T = n.get(i)\n        t.name",
     ["Net", "Net.get", "Net.size", "T", "T.name"]),
    ("def f(n: tensorrt.Net) -> None:\n    def g() -> None:\n        n.inner()", ["Net", "Net.inner"]),
    ("class A:\n    def __init__(self) -> None:\n        self.e: tensorrt.Engine = make()\n"
     "    def f(self) -> None:\n        self.e.run()", ["Engine", "Engine.run"]),
    ("class A:\n    e: tensorrt.Engine\n\ndef f(a: A) -> None:\n    a.e.run()", ["Engine", "Engine.run"]),
    ("class L(trt.ILogger):\n    def log(self, s: int) -> None: ...\n    def _own(self) -> None: ...",
     ["ILogger", "ILogger.log"]),
    ("def f(trt: ModuleType) -> None:\n    base: Any = trt.ILogger\n    class L(base):\n"
     "        def lgo(self) -> None: ...",
     ["ILogger", "ILogger.lgo"]),
    ("getattr(trt.Flag, 'FP16')", ["Flag", "Flag.FP16"]),
    ("hasattr(trt, 'nptype')", ["nptype"]),
    ("names = [n for n in trt.Flag.__members__ if n]", ["Flag"]),
    ("v = str(trt.__version__)", ["__version__"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "names"), RESOLVED)
def test_uses_are_resolved_to_their_owners(body: str, names: list[str]) -> None:
    found = collected(body)
    assert found.unresolved == []
    assert found.names == names


REFUSED = [
    ("def f(n: tensorrt.Net) -> None:\n    n.get(0).name", "give it an annotated name first"),
    ("def f(n: tensorrt.Net) -> None:\n    n.things[0].name", "give it an annotated name first"),
    ("def f(n: tensorrt.Net) -> None:\n    t = n.get(0)\n    t.name", "annotate it"),
    ("b = trt.Builder(1)", "annotate it"),
    ("def f(n: tensorrt.Net) -> None:\n    a, b = n.pair()\n    a.name", "give it an annotated name first"),
    ("def f(n: tensorrt.Net) -> None:\n    for t in n.all():\n        t.name", "elements of unknown type"),
    (
        "def f(n: tensorrt.Net) -> list[str]:\n    return [t.name for t in n.all()]",
        "elements of unknown type",
    ),
    ("def f(ts: list[tensorrt.T]) -> None:\n    ts[0].name", "a container hides the type"),
    ("def f(b: Any) -> None:\n    trt.x\n    b.reset()", "a name whose annotation tells nothing"),
    ("def f(m: ModuleType) -> None:\n    trt.x\n    m.Builder", "a name whose annotation tells nothing"),
    ("def f(name: str) -> None:\n    getattr(trt.Flag, name)", "a name that is computed"),
    ("def f(n: tensorrt.Net) -> None:\n    with n.open() as t:\n        t.name", "a name without a type"),
    ("def f(n: tensorrt.Net) -> None:\n    if (t := n.get(0)):\n        t.name", "without a type"),
    ("def make() -> tensorrt.Net: ...\n\nx = make()\nx.name", "annotate it"),
    ("def make() -> tensorrt.Net: ...\n\nmake().name", "give it an annotated name first"),
    ("def f(x: tensorrt.A | tensorrt.B) -> None: ...", "two of the binding's types"),
]


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_what_cannot_be_resolved_is_an_error(body: str, message: str) -> None:
    found = collected(body)
    assert any(message in problem and problem.startswith("code.py:") for problem in found.unresolved), found


def test_importing_names_out_of_the_module_is_refused() -> None:
    found = collect({"code.py": "from tensorrt import Builder\nimport tensorrt\n"}, TENSORRT)
    assert "hides names" in found.unresolved[0]


def test_a_maker_of_another_file_is_known() -> None:
    files = {
        "a.py": HEAD + "def make() -> tensorrt.Builder: ...",
        "b.py": "from a import make\n\nmake().reset()\n",
    }
    assert "b.py:3" in collect(files, TENSORRT).unresolved[0]


def test_files_without_the_binding_are_left_alone() -> None:
    text = "def f(x: Any) -> None:\n    x.name\n    y = x.get()[0].z\n"
    assert collect({"code.py": text}, TENSORRT) == Collected()


def test_the_two_flavours_are_collected_apart() -> None:
    text = "import tensorrt_rtx\n\ndef f(c: tensorrt_rtx.Config) -> None:\n    c.sms = rtx.Cap.SM86\n"
    assert collect({"code.py": text}, TENSORRT).names == []
    assert collect({"code.py": text}, RTX).names == ["Cap", "Cap.SM86", "Config", "Config.sms"]


def test_cuda_is_collected_through_its_import() -> None:
    text = """
def f() -> int:
    from cuda.bindings import runtime as cudart
    status, count = cudart.cudaGetDeviceCount()
    props: cudart.cudaDeviceProp
    status, props = cudart.cudaGetDeviceProperties(0)
    if status != cudart.cudaError_t.cudaSuccess:
        return count
    return props.major
"""
    found = collect({"code.py": text}, CUDA)
    assert found.unresolved == []
    assert found.names == [
        "cudaDeviceProp",
        "cudaDeviceProp.major",
        "cudaError_t",
        "cudaError_t.cudaSuccess",
        "cudaGetDeviceCount",
        "cudaGetDeviceProperties",
    ]
