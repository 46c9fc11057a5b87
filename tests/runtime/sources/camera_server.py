"""A camera's web server on loopback, as small as it goes: MJPEG streams, single ones, refusals."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
from numpy.typing import NDArray


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()


def number(image: NDArray[np.uint8]) -> int:
    """Which image of its row it is, modulo 50; JPEG keeps a plain gray to within a level or two."""
    return round(float(image.mean()) / 5) % 50


class CameraServer:
    """Serves until it is closed; a image's gray level is five times its number in its row.

    Attributes:
        port: where.
        sent: images sent so far, all kinds together.
        gate: cleared, the image streams pause.
    """

    def __init__(self, port: int = 0) -> None:
        self.sent = 0
        self.gate = threading.Event()
        self.gate.set()
        self.closing = threading.Event()
        camera = self

        class Handler(_Handler):
            server_camera = camera

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str, login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.port}/{path}"

    def close(self) -> None:
        """End all connections and stop listening."""
        self.closing.set()
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def picture(self, number: int) -> bytes:
        self.sent += 1
        return jpeg(5 * number % 250)


class _Handler(BaseHTTPRequestHandler):
    server_camera: CameraServer

    def do_GET(self) -> None:
        path = self.path.strip("/").partition("?")[0]
        getattr(self, "serve_" + path.replace(".", "_").replace("/", "_"), self.serve_nothing)()

    def serve_nothing(self) -> None:
        self.send_error(404)

    def serve_row(self) -> None:
        self._row("multipart/x-mixed-replace; boundary=frame", b"--frame", with_length=True)

    def serve_row_without_lengths(self) -> None:
        self._row("multipart/x-mixed-replace;boundary=frame", b"--frame", with_length=False)

    def serve_row_with_dashes(self) -> None:
        self._row('multipart/x-mixed-replace; boundary="--frame"', b"--frame", with_length=True)

    def serve_broken_row(self) -> None:
        self._row("multipart/x-mixed-replace; boundary=frame", b"--frame", with_length=True, broken=True)

    def serve_row_of_anything(self) -> None:
        self._head("multipart/x-mixed-replace; boundary=frame")
        while self.wfile.write(b"x" * 1000):
            pass

    def serve_snap_jpg(self) -> None:
        self._once("image/jpeg", self.server_camera.picture(self.server_camera.sent))

    def serve_moved(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/snap.jpg")
        self.end_headers()

    def serve_page(self) -> None:
        self._once("text/html; charset=utf-8", b"<html>log in</html>")

    def serve_line_mp4(self) -> None:
        self._once("video/mp4", b"0" * 100)

    def serve_silent(self) -> None:
        self.server_camera.closing.wait(60)

    def serve_basic(self) -> None:
        wanted = "Basic " + base64.b64encode(b"line:secret word").decode()
        if self.headers["Authorization"] == wanted:
            return self.serve_row()
        return self._login('Basic realm="camera"')

    def serve_digest(self) -> None:
        given = dict(
            part.strip().split("=", 1)
            for part in (self.headers["Authorization"] or "").removeprefix("Digest ").split(",")
            if "=" in part
        )
        ha1 = hashlib.md5(b"line:camera:secret word").hexdigest()
        ha2 = hashlib.md5(b"GET:/digest").hexdigest()
        wanted = hashlib.md5(f"{ha1}:once:{ha2}".encode()).hexdigest()
        if given.get("response", "").strip('"') == wanted:
            return self.serve_snap_jpg()
        return self._login('Digest realm="camera", nonce="once"')

    def _login(self, challenge: str) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _head(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _once(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _row(self, kind: str, mark: bytes, with_length: bool, broken: bool = False) -> None:
        camera = self.server_camera
        self._head(kind)
        self.wfile.write(b"\r\n")
        try:
            for number in itertools.count():
                if camera.closing.wait(0.01):
                    break
                camera.gate.wait(60)
                picture = camera.picture(number)
                if broken and number % 2:
                    picture = b"\xff\xd8 no picture \n--fram\r\n" + bytes(range(256))
                length = b"Content-Length: %d\r\n" % len(picture) if with_length else b""
                self.wfile.write(
                    mark + b"\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + picture + b"\r\n"
                )
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass
