"""The fleet's commands: ``edgerun agent``, ``edgerun collector`` and what they add to ``edgerun device``."""
