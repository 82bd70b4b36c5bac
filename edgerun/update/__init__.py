"""How a device follows a repository: bundles/REPOSITORY.md is the contract. Nothing that serves imports it.

What is fetched is believed for its signatures and digests, never for where it came from; and whatever goes wrong, what
is active goes on serving.
"""
