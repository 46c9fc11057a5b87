"""Real engines from TensorRT-RTX, built on whatever machine this is, and the errors of builds that fail."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.export.engines.build import BuildOptions, build_plan
from dmdd_edge.export.engines.progress import PhaseTracker
from dmdd_edge.export.engines.rtx_target import allowed_gpus, build_rtx, parse_gpus, rtx_missing
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.engine import BatchProfile, EngineNeeds, check_engine, read_sidecar
from dmdd_edge.runtime.engines.logger import LogBook
from tests.export import small_graph, spoil

rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")


@pytest.mark.slow
def test_one_engine_for_three_gpus_is_built_without_a_gpu(small_fp16: Path, tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    built = build_rtx(
        small_fp16,
        tmp_path / "engines",
        gpus="sm120,sm86,SM89",
        options=BuildOptions(batch=BatchProfile.parse("1:8"), workspace_gib=0.5, opt_level=2),
        progress=lambda share, phase: seen.append((share, phase)),
    )
    data = built.path.read_bytes()
    assert built.path == tmp_path / "engines" / "rtx-sm86-sm89-sm120-fp16-b1-8.engine"
    sidecar = read_sidecar(built.path)
    assert sidecar == built.sidecar
    assert sidecar.engine_sha256 == hashlib.sha256(data).hexdigest()
    assert sidecar.onnx_sha256 == hashlib.sha256(small_fp16.read_bytes()).hexdigest()
    assert (sidecar.flavour, sidecar.library_version) == ("rtx", rtx.__version__)
    assert (sidecar.sms, sidecar.gpu, sidecar.driver) == (("sm86", "sm89", "sm120"), None, None)
    assert (sidecar.convolutions, sidecar.half_convolutions, sidecar.half_share) == (5, 5, 1.0)
    assert (sidecar.image_size, sidecar.workspace_bytes, sidecar.opt_level) == (small_graph.SIZE, 2**29, 2)
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) > 10
    gpu = GpuFacts("NVIDIA RTX A2000", "sm86", "580.65.06", "13.0", 6 << 30)
    needs = EngineNeeds(
        sidecar.onnx_sha256, rtx.__version__, gpu, listed_sha256=sidecar.engine_sha256, batch=8
    )
    assert check_engine(built.path, needs) == []


@pytest.mark.slow
def test_an_fp32_graph_becomes_an_fp32_engine(small_fp32: Path, tmp_path: Path) -> None:
    built = build_rtx(small_fp32, tmp_path, gpus="sm86", options=BuildOptions(precision="fp32"))
    assert (built.sidecar.convolutions, built.sidecar.half_convolutions) == (5, 0)
    assert built.path.name == "rtx-sm86-fp32-b1.engine"


def test_a_silent_fp32_engine_is_refused(small_fp32: Path, small_fp16: Path, tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="not a fp16 graph: 0 of its 5 convolutions are half"):
        build_rtx(small_fp32, tmp_path, options=BuildOptions(precision="fp16"))
    with pytest.raises(DmddError, match="not a fp32 graph: 5 of its 5 convolutions are half"):
        build_rtx(small_fp16, tmp_path, options=BuildOptions(precision="fp32"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "quoted"),
    [
        (
            spoil.resize("antialias", 1),
            "cannot read spoiled.onnx: Resize node_upsample_bilinear2d: .*Antialiasing is not supported",
        ),
        (spoil.mixed_product, "cannot read spoiled.onnx: Mul .* must have same input types"),
        (spoil.transpose_first, "cannot read spoiled.onnx: Transpose node_permute: .*has type UInt8"),
    ],
)
def test_what_the_static_checks_refuse_the_real_parser_refuses(
    change: Callable[[onnx.ModelProto], None], quoted: str, small_fp16: Path, tmp_path: Path
) -> None:
    model = onnx.load(small_fp16)
    change(model)
    onnx.save(model, tmp_path / "spoiled.onnx")
    with pytest.raises(DmddError, match=quoted):
        build_rtx(tmp_path / "spoiled.onnx", tmp_path)
    assert not list(tmp_path.glob("*.engine*"))


@pytest.mark.slow
def test_the_limit_of_topk_is_the_real_one(tmp_path: Path) -> None:
    graph = small_graph.write_onnx(small_graph.SmallFused(True, size=64, top=3840), tmp_path / "k.onnx", 64)
    assert build_rtx(graph, tmp_path, gpus="sm86").path.is_file()
    model = onnx.load(graph)
    spoil.more_in_topk(model)
    onnx.save(model, graph)
    with pytest.raises(DmddError, match=r"cannot build an engine from k.onnx: .*K exceeds the maximum"):
        build_rtx(graph, tmp_path, gpus="sm86")


def test_files_that_are_no_graph(tmp_path: Path) -> None:
    (tmp_path / "words.onnx").write_bytes(b"hello world")
    with pytest.raises(DmddError, match=r"words.onnx"):
        build_rtx(tmp_path / "words.onnx", tmp_path)
    with pytest.raises(DmddError, match=r"missing.onnx cannot be read"):
        build_rtx(tmp_path / "missing.onnx", tmp_path)


def test_ctrl_c_stops_a_build_and_leaves_nothing(small_fp16: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def press(share: float, phase: str) -> None:
        if share > 0.3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build_rtx(small_fp16, tmp_path, progress=press)
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_the_progress_bar_is_raised_after_the_build(small_fp16: Path, tmp_path: Path) -> None:
    def breaks(share: float, phase: str) -> None:
        raise ValueError("the terminal is gone")

    with pytest.raises(ValueError, match="the terminal is gone"):
        build_rtx(small_fp16, tmp_path, progress=breaks)


def test_a_graph_of_fixed_batch_takes_that_batch_only(small_fp16: Path, tmp_path: Path) -> None:
    model = onnx.load(small_fp16)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 2
    del model.graph.value_info[:]
    onnx.save(model, tmp_path / "fixed.onnx")
    targets = {"configure": lambda config: setattr(config, "num_compute_capabilities", 0)}
    with pytest.raises(
        DmddError, match=r"--batch 1:8 does not fit the graph, which accepts only batches of 2"
    ):
        build_plan(rtx, tmp_path / "fixed.onnx", BuildOptions(batch=BatchProfile.parse("1:8")), **targets)
    built = build_rtx(tmp_path / "fixed.onnx", tmp_path, options=BuildOptions(batch=BatchProfile.parse("2")))
    assert built.sidecar.batch == BatchProfile(minimum=2, optimum=2, maximum=2)


def test_gpus_are_named_from_the_library_itself() -> None:
    assert allowed_gpus(rtx)[0] == "sm75"
    assert {"sm86", "sm89", "sm120"} <= set(allowed_gpus(rtx))
    assert parse_gpus(" SM120, sm86,sm86", rtx) == ("sm86", "sm120")
    for text in ("sm87", "sm86,ampere", "", "current", "none"):
        with pytest.raises(DmddError, match="supported: sm75, sm80, sm86") as raised:
            parse_gpus(text, rtx)
        assert "--target tensorrt" in raised.value.fix
    assert rtx_missing() == ""


@pytest.mark.parametrize("change", [{"opt_level": 6}, {"opt_level": -1}, {"workspace_gib": 0}])
def test_options_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(DmddError, match=r"--opt-level|--workspace"):
        BuildOptions(**change)  # type: ignore[arg-type]


def test_hardware_compatible_is_not_for_rtx(small_fp16: Path, tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="--hardware-compatible does not apply to --target rtx"):
        build_rtx(small_fp16, tmp_path, options=BuildOptions(hardware_compatible=True))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt_rtx", None)
    with pytest.raises(DmddError, match="Cannot import TensorRT-RTX") as raised:
        build_rtx(tmp_path / "any.onnx", tmp_path)
    assert raised.value.fix == f"Install it: {install_command('rtx')}"
    assert install_command("rtx") in rtx_missing()


def test_nested_phases_become_one_rising_number() -> None:
    """Two outer steps; the first holds a phase of four steps, one of which holds one of two."""
    shares: list[float] = []
    tracker = PhaseTracker(lambda share, phase: shares.append(share))
    tracker.start("outer", None, 2)
    tracker.start("inner", "outer", 4)
    tracker.step("inner", 0)  # 1/4 of 1/2
    tracker.start("deep", "inner", 2)
    tracker.step("deep", 0)  # (1 + 1/2)/4 of 1/2
    tracker.finish("deep")
    tracker.step("inner", 1)
    tracker.finish("inner")
    tracker.step("outer", 0)
    tracker.start("second", "outer", 0)  # a phase without steps must not divide by zero
    tracker.finish("second")
    tracker.step("outer", 1)
    tracker.finish("outer")
    assert shares == pytest.approx([0.125, 0.1875, 0.25, 0.5, 1.0, 1.0])


def test_a_phase_that_ends_early_takes_its_inner_phases_along() -> None:
    tracker = PhaseTracker(None)
    tracker.start("outer", None, 1)
    tracker.start("middle", "outer", 3)
    tracker.start("inner", "middle", 3)
    tracker.finish("middle")
    tracker.start("again", "outer", 2)
    assert tracker.step("inner", 0)  # unknown by now: ignored
    assert tracker.step("again", 1)
    assert tracker._share == pytest.approx(1.0)


def test_a_log_book_quotes_errors_before_warnings_and_forgets_the_oldest() -> None:
    book = LogBook()
    assert book.quote() == "it gave no reason"
    book.add("WARNING", "weights are\n  sparse")
    assert book.quote() == "weights are sparse"
    for number in range(5):
        book.add("ERROR", f"error {number}")
        book.add("INTERNAL_ERROR", f"error {number}")
    assert book.quote(2) == "error 3 | error 4"
    for number in range(1000):
        book.add("WARNING", str(number))
    assert len(book.messages) == 400
    assert book.errors() == []
