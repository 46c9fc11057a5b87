"""Addresses of cameras, brokers, receivers and pages as people type them, with a secret in many of them."""

from __future__ import annotations

import random

#: Stands in each password; no part of four characters of it may be seen anywhere.
SECRET = "Zq7Xw9Kv"
_SCHEMES = (
    "rtsp",
    "rtsps",
    "rtmp",
    "http",
    "https",
    "mqtt",
    "mqtts",
    "ws",
    "ftp",
    "csi",
    "replay",
    "HTTP",
    "genicam",
    "file",
    "",
    "javascript",
    "ht tp",
)
_HOSTS = (
    "127.0.0.1",
    "localhost",
    "[::1]",
    "[::1",
    "::1]",
    "",
    "127.0.0.1.",
    "256.256.256.256",
    "[",
    "]",
    "a..b",
    "host name",
    "xn--",
    "ü",
    "0x7f.1",
    "[fe80::1%25lo]",
    "127.0.0.1\n",
    "\x1b[2J",
    "%",
    "-",
)
_PORTS = ("", ":1", ":0", ":65536", ":-1", ":http", ":", ":1:2", ":99999999999999999999", ":٣", ": 1")
_USERS = (
    "",
    "",
    "admin@",
    "admin:{}@",
    ":{}@",
    "admin:{}]@",
    "admin:[{}@",
    "admin:{}/x@",
    "admin:{}?@",
    "admin:{}#@",
    "ad%40min:{}%2F@",
    "admin:{}@{}@",
    "admin:\t{}@",
    "admin:{}:{}@",
)
_PATHS = (
    "",
    "/",
    "/stream",
    "/a b",
    "/../..",
    "?user=admin&password={}",
    "/x?token={}",
    "/\x00",
    "/ü",
    "//",
    "/%zz",
    "?fps=nan",
    "?loop=-1",
    "/topic/+/#",
    "/" + "a" * 3000,
    "/;password={}",
)


def make_address(seed: int) -> str:
    """The address of a seed; it reaches no host but this one."""
    draw = random.Random(seed)
    if draw.random() < 0.1:
        return draw.choice(_PLAIN)
    scheme = draw.choice(_SCHEMES)
    made = f"{scheme}://" if draw.random() < 0.9 else draw.choice((f"{scheme}:", f"{scheme}:/", scheme))
    made += draw.choice(_USERS) + draw.choice(_HOSTS) + draw.choice(_PORTS) + draw.choice(_PATHS)
    return made.replace("{}", SECRET)


_PLAIN = (
    "",
    " ",
    "-1",
    "99",
    "/dev/video99",
    "/dev/null",
    "/dev",
    "csi://",
    "csi://x",
    "csi://-1",
    "replay:",
    "replay:/nowhere.mp4",
    "replay:what?.mp4",
    "*",
    "[",
    "**/",
    "nowhere/*.png",
    "\x00",
    "a\x00b.png",
    "\udcff",
    "~nobody/x",
    "//",
    "/proc/self/mem",
    "/dev/zero",
    "é" * 300,
    "x" * 5000,
    "0x0",
    "1e3",
    "٣",
    "C:\\x.png",
)


def shows_secret(text: str) -> bool:
    """Whether a text holds four characters in a row of the secret."""
    return any(SECRET[i : i + 4] in text for i in range(len(SECRET) - 3))
