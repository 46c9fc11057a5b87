"""A bundle whose results can be worked out by hand, and images for it."""

from tests.runtime.conftest import images as images
from tests.runtime.conftest import make_bundle as make_bundle
