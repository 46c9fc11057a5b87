"""Raw maps: the anomaly map of each frame at full precision, for evaluation and for a closer look."""

from __future__ import annotations

import cv2
import numpy as np

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.image_folder import ImageFolder

# Without compression: the noise in the last bits of floats leaves little to gain (a quarter, for 70 times the
# work), and readers without a further package take it, tifffile among them.
_PLAIN = [cv2.IMWRITE_TIFF_COMPRESSION, 1]


class Maps(ImageFolder):
    """Writes TIFF files of one float32 channel: S x S, 0..1, as the graph gave them.

    TIFF, since it is what evaluation of MVTec AD reads (``test/crack/000.png`` -> ``test/crack/000.tiff``),
    and what ImageJ, HALCON and Python open alike. A map lies in the frame as it was cut out, rotated and
    resized; ``Preprocess.map_to_source`` of the bundle lays it back. Arguments and errors as of
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
            raise DmddError(f"the map of {frame.source} cannot be encoded.", "This OpenCV lacks TIFF.")
        return data.tobytes()
