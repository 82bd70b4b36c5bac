"""Names that files with secrets usually have. A code snapshot never carries such a file.

Only the name is looked at: a password inside ``train.py`` is not found. A pattern is of the shell's kind, matches one
part of a path, be it a file or a folder, and takes capital letters for small ones.
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECRET_NAMES: tuple[str, ...] = (
    # settings of an application
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    "secrets.*",
    "*_secrets.*",
    ".secrets",
    "*.secret",
    "*.secrets",
    "*.tfvars",
    "*.tfstate",
    # keys and the stores they lie in
    "*.pem",
    "*.key",
    "*.p8",
    "*.p12",
    "*.pfx",
    "*.ppk",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".ssh",
    ".gnupg",
    # passwords and tokens of tools and services
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".npmrc",
    ".pypirc",
    ".dockercfg",
    ".docker",
    ".aws",
    ".azure",
    ".boto",
    ".s3cfg",
    ".kube",
    "kubeconfig",
    ".vault-token",
    ".databrickscfg",
    "kaggle.json",
    "credentials",
    "credentials.*",
    "*credentials*.json",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
)
"""The patterns that are always in force."""


def secret_matcher(further: Sequence[str] = ()) -> Callable[[bytes], bool]:
    """Return a function that says of a path whether it names a secret, by these patterns and further ones."""
    patterns = "|".join(fnmatch.translate(pattern.lower()) for pattern in (*SECRET_NAMES, *further))
    matches = lru_cache(maxsize=65536)(re.compile(patterns).match)

    def is_secret(path: bytes) -> bool:
        return any(matches(part) for part in path.decode("utf-8", "surrogateescape").lower().split("/"))

    return is_secret
