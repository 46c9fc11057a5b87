"""Compare anomalib's models with dmdd-edge: same images, exported by anomalib, measured in one run.

anomalib has a separate environment, which only trains and exports; its files are measured in the project's
environment, by the same code as dmdd-edge's file. From the repository's root:

    python -m venv out/peers/venv && out/peers/venv/bin/pip install -r benchmarks/peers/requirements.txt
    python benchmarks/peers --data mvtec --model models/screw models/bottle

The environment takes 6 GB with PyPI's torch for Linux. STFPM, which learns by epochs, takes longest to train;
finished files are kept in ``out/peers`` and not made again. ``--make`` trains and exports only; ``--measure``
does the rest and needs an idle machine.
"""
