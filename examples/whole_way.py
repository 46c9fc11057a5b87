"""The whole way on drawn parts: train, export, and inspect a camera replay."""

from pathlib import Path

import cv2

from dmdd_edge import Detector, ExportOptions, TrainOptions, export_bundle, train_detector, write_sample

work = Path("whole_way")
plates = write_sample(work / "data", overwrite=True)  # or your folder of images of good parts
parts = sorted(plates.glob("test/*/*.png"))  # and your images of parts to inspect
run = train_detector(TrainOptions(data=plates, runs_dir=work / "runs", steps=200, overwrite=True))
export = export_bundle(
    ExportOptions(runs_dir=work / "runs", models_dir=work / "models", target="onnx"), progress=print
)
belt = cv2.VideoWriter(str(work / "belt.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (256, 256))
for path in parts:
    if (image := cv2.imread(str(path))) is not None:
        belt.write(cv2.resize(image, (256, 256)))
belt.release()

with Detector.load(export.bundle.path) as detector:
    for result in detector.stream(f"replay:{work / 'belt.avi'}"):  # or a camera: "/dev/video0"
        print(result)
        if result.status != "good":
            result.save(work / f"rejected-{result.index:03}.png")
