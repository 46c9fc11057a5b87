"""Raw maps: the anomaly map of each frame at full precision, for evaluation and inspection."""

from __future__ import annotations

import cv2
import numpy as np

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.image_folder import ImageFolder

# No compression: the noise in the last bits of floats leaves little to gain (a quarter, for 70 times the
# work), and readers such as tifffile need no further package.
_PLAIN = [cv2.IMWRITE_TIFF_COMPRESSION, 1]


class Maps(ImageFolder):
    """Writes TIFF files of one float32 channel: S x S, 0..1, as the graph returned them.

    TIFF, because the evaluation of MVTec AD reads it (``test/crack/000.png`` -> ``test/crack/000.tiff``), and
    ImageJ, HALCON and Python open it. A map covers the frame as it was cropped, rotated and resized, with
    tiles the joined one; ``Result.geometry.map_to_source`` maps it back. Arguments and errors as for
    ``ImageFolder``.

    Example:
        >>> import cv2
        >>> anomaly_map = cv2.imread("maps/000.tiff", cv2.IMREAD_UNCHANGED)  # doctest: +SKIP
    """

    suffix = ".tiff"
    option = "--save-maps"

    def encode(self, frame: Frame, result: Result) -> bytes:
        """A TIFF of its map."""
        done, data = cv2.imencode(".tiff", np.asarray(result.anomaly_map, np.float32), _PLAIN)
        if not done:
            raise DmddError(
                f"The map of {frame.source} cannot be encoded.", "Install an OpenCV build with TIFF support."
            )
        return data.tobytes()
