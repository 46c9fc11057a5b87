"""anomalib's models against dmdd-edge: trained on the same images, exported by anomalib, measured in one run.

anomalib lives in an environment of its own, which only trains and exports; what it wrote is measured in the
project's environment, by the same code as dmdd-edge's own file. From the repository's root, in that one:

    python -m venv out/peers/venv && out/peers/venv/bin/pip install -r benchmarks/peers/requirements.txt
    python benchmarks/peers --data mvtec --model models/screw models/bottle

The environment takes 6 GB with the torch that PyPI gives Linux. Training takes longest by far for STFPM, the
one that learns by epochs; what is finished lies in ``out/peers`` and is not made again. ``--make`` trains and
exports and no more, ``--measure`` does the rest, which wants an idle machine.
"""
