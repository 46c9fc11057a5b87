"""Draw the diagrams of docs/architecture.md and docs/method.md as SVG.

python docs/make_diagrams.py
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

IMAGES = Path(__file__).resolve().parent / "images"
INK, LINE, PAPER = "#1c2733", "#5b6b7a", "#ffffff"
BLUE, GREEN, AMBER, GRAY = "#dbe9f6", "#dff0e3", "#fbeccd", "#eceff1"


class Drawing:
    """An SVG image made of boxes, arrows and text."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" font-family="sans-serif" font-size="14" role="img">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{LINE}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
        ]

    def box(self, x: int, y: int, width: int, height: int, lines: str, fill: str) -> None:
        """A box; the first line of its text is bold."""
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{LINE}"/>'
        )
        rows = lines.split("\n")
        top = y + height / 2 - 9 * (len(rows) - 1) + 5
        for number, text in enumerate(rows):
            weight = ' font-weight="bold"' if number == 0 else ""
            self._parts.append(
                f'<text x="{x + width / 2:g}" y="{top + 18 * number:g}" text-anchor="middle" fill="{INK}"'
                f"{weight}>{escape(text)}</text>"
            )

    def arrow(self, *points: tuple[int, int], dashed: bool = False) -> None:
        """An arrow along some points."""
        path = " L".join(f"{x} {y}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<path d="M{path}" fill="none" stroke="{LINE}" stroke-width="1.5"{dash} marker-end="url(#tip)"/>'
        )

    def text(self, x: int, y: int, text: str, anchor: str = "middle") -> None:
        """A line of text."""
        self._parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{LINE}" font-size="13">{escape(text)}</text>'
        )

    def write(self, name: str) -> None:
        """Write the image into docs/images."""
        text = "\n".join([*self._parts, "</svg>"]) + "\n"
        (IMAGES / name).write_text(text, encoding="utf-8")


def stages() -> Drawing:
    """The stages, what passes between them, and who may import whom."""
    image = Drawing(860, 300, "Stages: train, export and runtime on top of the core")
    boxes = [
        (20, "train\nimages → run\ntorch, timm", BLUE),
        (310, "export\nrun → bundle\ntorch, onnx", AMBER),
        (600, "runtime\nbundle + frames → results\nONNX Runtime or TensorRT", GREEN),
    ]
    for x, text, fill in boxes:
        image.box(x, 40, 240, 80, text, fill)
    for x, text in ((260, "runs/"), (550, "models/")):
        image.arrow((x, 80), (x + 50, 80))
        image.text(x + 25, 70, text)
    image.box(20, 200, 820, 70, "core\nbundle, data, evaluation, sample, options, messages, cli", GRAY)
    for x in (140, 430, 720):
        image.arrow((x, 120), (x, 200), dashed=True)
    image.text(150, 165, "imports", "start")
    image.text(440, 165, "imports; also train and runtime", "start")
    image.text(730, 165, "imports", "start")
    return image


def run() -> Drawing:
    """The threads of a run and the life of a frame."""
    image = Drawing(900, 370, "Threads of a run: grab or read, main, writer, and beside them")
    image.box(20, 20, 220, 80, "grab thread (live source)\nkeeps the newest frame", BLUE)
    image.box(20, 130, 220, 80, "read thread (files)\nread, decode, prepare", BLUE)
    image.box(340, 60, 220, 110, "main thread\nprepare (live), graph\nPrepared → Inferred", AMBER)
    image.box(660, 70, 210, 90, "writer thread\nverdict, regions\nInferred → Result", GREEN)
    image.arrow((240, 60), (290, 60), (290, 95), (340, 95))
    image.arrow((240, 170), (290, 170), (290, 140), (340, 140))
    image.arrow((560, 115), (660, 115))
    image.text(290, 45, "Frame")
    image.text(290, 190, "slots + 1 waiting")
    image.text(610, 100, "4 waiting")
    image.box(660, 200, 210, 60, "sinks\nfiles, stdout, page", GRAY)
    image.box(660, 295, 210, 60, "delivery threads\nspool → MQTT, webhook", GRAY)
    image.arrow((765, 160), (765, 200))
    image.arrow((765, 260), (765, 295))
    image.box(340, 220, 220, 60, "watch thread\nstop, bundle reload", GRAY)
    image.arrow((450, 220), (450, 170), dashed=True)
    image.box(20, 295, 220, 60, "page thread\n/, /metrics, /healthz", GRAY)
    image.arrow((660, 245), (610, 245), (610, 325), (240, 325), dashed=True)
    image.text(20, 245, "solid: a frame's way", "start")
    image.text(20, 265, "dashed: control, state", "start")
    return image


def method() -> Drawing:
    """The network of DMDD."""
    image = Drawing(920, 300, "DMDD: teacher, student, two branches, eight distance maps, head")
    image.box(20, 110, 110, 70, "image\nuint8, BGR", GRAY)
    image.box(180, 30, 190, 70, "teacher, frozen\nfour stages", BLUE)
    image.box(180, 190, 190, 70, "student\nfour stages, decoupling", AMBER)
    image.box(420, 150, 190, 55, "normality branch\nPMN", GREEN)
    image.box(420, 230, 190, 55, "abnormality branch\nPMN", GREEN)
    image.box(660, 100, 110, 90, "8 distance\nmaps\n2 x 4 scales", GRAY)
    image.box(810, 110, 95, 70, "head\nmap, score", AMBER)
    image.arrow((130, 130), (155, 130), (155, 65), (180, 65))
    image.arrow((130, 160), (155, 160), (155, 225), (180, 225))
    image.arrow((370, 65), (715, 65), (715, 100))
    image.arrow((370, 215), (395, 215), (395, 178), (420, 178))
    image.arrow((370, 235), (395, 235), (395, 258), (420, 258))
    image.arrow((610, 178), (635, 178), (635, 145), (660, 145))
    image.arrow((610, 258), (715, 258), (715, 190))
    image.arrow((770, 145), (810, 145))
    return image


def main() -> None:
    """Draw every diagram."""
    for drawing, name in ((stages, "stages.svg"), (run, "run.svg"), (method, "method.svg")):
        drawing().write(name)


if __name__ == "__main__":
    main()
