"""Inspect image files: ``python detect_image.py models/screw part1.png part2.png``."""

import sys

from dmdd_edge import DataError, Detector


def main(bundle: str, paths: list[str]) -> None:
    """Print a line per image and write an overlay of each one that is not good."""
    with Detector.load(bundle) as detector:
        for path in paths:
            try:
                result = detector(path)
            except DataError as error:  # one broken file does not stop the others
                print(error.message)  # begins with the path
                continue
            print(f"{path}: {result.status}, score {result.score:.3f} (threshold {result.threshold:.3f})")
            for region in result.regions:
                print(f"  {region}")
            if result.status != "good":
                result.save(f"{path}.overlay.png")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python detect_image.py BUNDLE IMAGE...")
    main(sys.argv[1], sys.argv[2:])
