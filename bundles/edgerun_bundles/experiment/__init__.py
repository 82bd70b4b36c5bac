"""The plan of an experiment, which is written down before it runs, and the versions of a bundle in which it runs.

The plan is the section ``[experiment]`` of a bundle's definition and the field ``experiment`` of its ``bundle.json``;
docs/experiments.md has every field. `versions` and `releases` say what a step changes, purely; `published` reads what a
repository has of it; `steering` decides a step, and `carrying_out` publishes it. The statistics are `edgerun_sync`'s.
"""
