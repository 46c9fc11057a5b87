"""A small RTSP server on loopback, for the system's python3: rtsp_server.py PORT [WIDTH HEIGHT FPS].

Serves H.264 of a moving test image at /line. With USER:PASSWORD in DMDD_RTSP_LOGIN it asks for them. Prints
``ready`` when it listens.
"""

from __future__ import annotations

import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main() -> None:
    port, width, height, fps = [*sys.argv[1:], "320", "240", "30"][:4]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball"
        f" ! video/x-raw,width={width},height={height},framerate={fps}/1"
        " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 threads=1"
        " ! rtph264pay name=pay0 pt=96 )"
    )
    factory.set_shared(True)
    login = os.environ.get("DMDD_RTSP_LOGIN")
    if login:
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "line")
        auth = GstRtspServer.RTSPAuth()
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*login.split(":")), token)
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.from_string("line,media.factory.access=true,media.factory.construct=true")[0]
        )
    server.get_mount_points().add_factory("/line", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
