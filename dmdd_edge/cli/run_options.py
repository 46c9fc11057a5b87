"""The options of ``dmdd-edge run``, in the groups in which its help shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_FRAMES, _CAMERA, _FILES = "Which frames", "Cameras and streams", "Files"
_SEND, _LIVE = "Messages", "Watching a run"

# Which frames.
EveryOption = Annotated[
    int, typer.Option("--every", min=1, help="Judge only each N-th frame.", rich_help_panel=_FRAMES)
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="End after so many frames.", rich_help_panel=_FRAMES)
]
DurationOption = Annotated[
    float | None, typer.Option("--duration", help="End after so many seconds.", rich_help_panel=_FRAMES)
]
WatchOption = Annotated[
    str | None,
    typer.Option(
        "--watch",
        help="Instead of --source: a folder that other software drops images into; each is taken once.",
        rich_help_panel=_FRAMES,
    ),
]
WatchExistingOption = Annotated[
    bool,
    typer.Option(
        "--watch-existing",
        help="Take the images that are in the watched folder at the start, too.",
        rich_help_panel=_FRAMES,
    ),
]
WatchSettleOption = Annotated[
    float,
    typer.Option(
        "--watch-settle",
        help="Seconds for which a dropped image must not have changed before it is read.",
        rich_help_panel=_FRAMES,
    ),
]

# Cameras and streams.
FpsOption = Annotated[
    float | None,
    typer.Option("--fps", help="Judge at most so many frames a second.", rich_help_panel=_CAMERA),
]
CameraSizeOption = Annotated[
    str | None,
    typer.Option("--camera-size", help="Picture to ask for, such as 1920x1080.", rich_help_panel=_CAMERA),
]
CameraFpsOption = Annotated[
    float | None,
    typer.Option("--camera-fps", help="Frames a second to ask the camera for.", rich_help_panel=_CAMERA),
]
ExposureOption = Annotated[
    float | None,
    typer.Option("--exposure", help="Exposure in milliseconds; locks it.", rich_help_panel=_CAMERA),
]
GainOption = Annotated[
    int | None,
    typer.Option("--gain", help="Gain in the camera's units; locks it.", rich_help_panel=_CAMERA),
]
WhiteBalanceOption = Annotated[
    int | None,
    typer.Option("--white-balance", help="White balance in kelvin; locks it.", rich_help_panel=_CAMERA),
]
CameraControlOption = Annotated[
    list[str] | None,
    typer.Option(
        "--camera-control",
        help="Another V4L2 control, such as focus_absolute=30; may be repeated.",
        rich_help_panel=_CAMERA,
    ),
]
StreamTimeoutOption = Annotated[
    float,
    typer.Option(
        "--stream-timeout",
        help="Reconnect a stream after this many seconds without an image.",
        rich_help_panel=_CAMERA,
    ),
]

# Files.
JsonlOption = Annotated[
    Path | None, typer.Option("--jsonl", help="Write a JSON line a frame here.", rich_help_panel=_FILES)
]
CsvOption = Annotated[
    Path | None, typer.Option("--csv", help="Write a row a frame here.", rich_help_panel=_FILES)
]
SaveOption = Annotated[
    Path | None,
    typer.Option("--save", help="Write an overlay of each frame into this folder.", rich_help_panel=_FILES),
]
SaveMapsOption = Annotated[
    Path | None,
    typer.Option(
        "--save-maps",
        help="Write each anomaly map into this folder, as a float32 TIFF.",
        rich_help_panel=_FILES,
    ),
]
SaveFramesOption = Annotated[
    Path | None,
    typer.Option(
        "--save-frames",
        help="Write each frame into this folder as it was judged, as a PNG without overlay.",
        rich_help_panel=_FILES,
    ),
]
OnlyAnomalousOption = Annotated[
    bool,
    typer.Option(
        "--save-only-anomalous",
        help="Write no overlay, map or frame of good frames.",
        rich_help_panel=_FILES,
    ),
]
SaveFormatOption = Annotated[
    str,
    typer.Option(
        "--save-format",
        help="Format of the overlays: png, jpg or webp. The last two are much smaller.",
        rich_help_panel=_FILES,
    ),
]
SaveSizeOption = Annotated[
    int | None,
    typer.Option(
        "--save-size",
        min=64,
        help="Longer side of the overlays in pixels at most; default: the frame's.",
        show_default=False,
        rich_help_panel=_FILES,
    ),
]
SaveCaptionOption = Annotated[
    bool,
    typer.Option(
        "--save-caption/--no-save-caption",
        help="Write the verdict below each overlay.",
        rich_help_panel=_FILES,
    ),
]
VideoOption = Annotated[
    Path | None,
    typer.Option(
        "--video",
        help="Write the overlays as a film. Browsers play .webm; also .mkv, .avi and .mp4.",
        rich_help_panel=_FILES,
    ),
]
VideoFpsOption = Annotated[
    float | None,
    typer.Option(
        "--video-fps",
        help="Its frames a second; default: the source's, or 10.",
        show_default=False,
        rich_help_panel=_FILES,
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on where a run over files stopped: each frame is in the result files once.",
        rich_help_panel=_FILES,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace earlier result files and pictures of these names.",
        rich_help_panel=_FILES,
    ),
]
RotateSizeOption = Annotated[
    str | None,
    typer.Option(
        "--rotate-size", help="Begin a new file at this size, such as 100MB.", rich_help_panel=_FILES
    ),
]
# The name that --rotate-size had; of `train` it is the rotation of the picture.
RotateOption = Annotated[str | None, typer.Option("--rotate", hidden=True)]
KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep",
        help="Delete the oldest files of this run above this size in all, such as 2GB.",
        rich_help_panel=_FILES,
    ),
]
FsyncOption = Annotated[
    str,
    typer.Option(
        "--fsync",
        help="When results are forced onto the disk: never, second or always.",
        rich_help_panel=_FILES,
    ),
]

# Messages.
MqttOption = Annotated[
    str | None,
    typer.Option(
        "--mqtt",
        help="Publish results: mqtt://user:password@host:1883/topic, or mqtts.",
        rich_help_panel=_SEND,
    ),
]
WebhookOption = Annotated[
    str | None, typer.Option("--webhook", help="POST results to this address.", rich_help_panel=_SEND)
]
NotifyOption = Annotated[
    str,
    typer.Option("--notify", help="Which results are sent: all or anomalous.", rich_help_panel=_SEND),
]
WebhookSecretOption = Annotated[
    str | None,
    typer.Option(
        "--webhook-secret-env",
        help="Environment variable with the key that signs each message (HMAC-SHA256).",
        rich_help_panel=_SEND,
    ),
]
WebhookTokenOption = Annotated[
    str | None,
    typer.Option(
        "--webhook-token-env", help="Environment variable with a bearer token.", rich_help_panel=_SEND
    ),
]
SpoolOption = Annotated[
    Path | None,
    typer.Option(
        "--spool", help="Folder where messages wait while nobody takes them.", rich_help_panel=_SEND
    ),
]
SpoolLimitOption = Annotated[
    str,
    typer.Option("--spool-limit", help="Size of a spool, beyond which the oldest go.", rich_help_panel=_SEND),
]

# Watching a run.
ServeOption = Annotated[
    str | None,
    typer.Option(
        "--serve", help="Show the run in a browser: 8080, or 127.0.0.1:8080.", rich_help_panel=_LIVE
    ),
]
ServeTokenOption = Annotated[
    str | None,
    typer.Option(
        "--serve-token-env",
        help="Environment variable with the token that may change the threshold there.",
        rich_help_panel=_LIVE,
    ),
]
ShowOption = Annotated[
    bool, typer.Option("--show", help="Show the overlays in a window.", rich_help_panel=_LIVE)
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Print only skipped frames, warnings, errors and the summary.",
        rich_help_panel=_LIVE,
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Print the times and regions of each frame, and how other backends could run.",
        rich_help_panel=_LIVE,
    ),
]
FailOption = Annotated[
    bool,
    typer.Option(
        "--fail-on-anomaly",
        help="Exit with code 3 when a frame is anomalous or cannot be read or judged, 1 without frames.",
        rich_help_panel=_LIVE,
    ),
]
