"""``python -m edgerun`` is the ``edgerun`` command."""

from edgerun.cli import main

main(prog_name="edgerun")
