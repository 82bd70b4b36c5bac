"""A repository of bundles: TUF metadata over blobs, as plain files in a folder, an object store or behind a web server.

bundles/REPOSITORY.md is the format. `workplace` is how one person works with one; the modules below it decide without
IO (`metadata`, `drafting`, `channels`) or do one thing each: `reading`, `publishing`, `pushing`, `rotation`, `stick`.
"""
