"""anomalib's models against dmdd-edge: trained on the same images, exported by anomalib, measured in one run.

anomalib lives in an environment of its own, which only trains and exports; what it wrote is measured in the
project's environment, by the same code as dmdd-edge's own file. From the repository's root, in that one:

    python -m venv out/peers/venv && out/peers/venv/bin/pip install -r benchmarks/peers/requirements.txt
    python benchmarks/peers --data mvtec --model models/screw models/bottle

The first step takes long (STFPM is trained); what is finished lies in ``out/peers`` and is not made again.
``--make`` does that step alone, ``--measure`` the other, which wants an idle machine.
"""
