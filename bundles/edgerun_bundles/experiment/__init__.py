"""The plan of an experiment: what is written down before it runs, and is changed only by a version that shows it.

It is the section ``[experiment]`` of a bundle's definition and the field ``experiment`` of its ``bundle.json``; every
field is in docs/experiments.md. Nothing here computes: `edgerun_sync.experiments` does.
"""
