"""What a run or a station keeps to be looked at later: images worth a look, and what people say of them.

An archive is a folder:

- ``archive.json``: says that it is one;
- ``kept/DATE/ID.json``: a record for each image that was kept, beside it ``ID.png`` (the image as the
  detector received it) and ``ID.map.png`` (the anomaly map);
- ``counts.jsonl``: how many frames were judged, kept or not;
- ``feedback.jsonl``: what people say of the images; lines are only added.
"""
