"""Every limit of the workstation package, in one frozen record; each is tested at the limit and one past it."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What edgerun_bundles takes at most. What a capture leaves out for a limit is named, never dropped in silence."""

    code_file_max_bytes: int = 10 * 2**20
    """Bytes of one file that a code snapshot carries. A larger one is listed as left out."""

    code_max_bytes: int = 50 * 2**20
    """Bytes of a code snapshot: of the files it carries before compression, and of its git bundles, nested ones too."""

    code_commits_max: int = 10_000
    """Unpushed commits that travel in a code snapshot. With more, the tree travels without its history."""

    names_max: int = 1000
    """Names in each list of a code snapshot: left out, ignored, unpushed. Behind each list stands the full count."""

    nested_max: int = 64
    """Repositories inside one repository whose snapshots are taken too: submodules and untracked ones."""

    nested_depth_max: int = 8
    """How deep repositories may lie inside one another and still be captured and given back."""

    listing_max_bytes: int = 2**28
    """Bytes of the list of one tree's files, 100 or so a file; a tree of trees can name more files than atoms exist."""

    restored_max_bytes: int = 16 * 2**30
    """Bytes of all files that one restore writes."""

    statement_max_bytes: int = 64 * 2**20
    """Bytes of one provenance statement."""

    document_max_depth: int = 64
    """Lists and objects within each other in a statement, a parameter or a notebook."""

    notebook_max_bytes: int = 64 * 2**20
    """Bytes of one notebook, outputs included."""

    notebook_cells_max: int = 100_000
    """Cells of one notebook."""

    notebook_errors_max: int = 100
    """Errors in outputs that are kept of one notebook; the first ones."""

    data_entries_max: int = 10_000_000
    """Files, folders and links of one folder of data, at every depth."""

    data_depth_max: int = 128
    """Folders within each other in a folder of data."""

    data_columns_max: int = 16_384
    """Columns of one table."""

    data_tables_max: int = 1_000
    """Kinds of table (format and columns) in one folder, and problems with tables; what comes on top is counted."""

    packages_max: int = 20_000
    """Installed distributions of one environment."""

    parameters_max_bytes: int = 2**20
    """Bytes of a run's parameters as JSON."""

    classes_max: int = 1_000
    """Classes of one confusion matrix."""

    metric_names_max: int = 10_000
    """Names of metrics of one run; further ones are counted and not kept."""

    series_points_max: int = 1_000_000
    """Values that one run logs in steps, over all metrics; further ones are counted and not kept."""

    log_max_bytes: int = 256 * 2**20
    """Bytes of one run's log of metrics."""

    model_search_entries_max: int = 100_000
    """Files and folders that are looked through for the models that a run wrote."""

    models_max: int = 1_000
    """Models that one run names, and that are found at its end."""

    text_max_bytes: int = 65_536
    """Bytes of a traceback, of a command line's argument and of a tag; what is longer is cut and says so."""

    yaml_max_bytes: int = 2**20
    """Bytes of one YAML file; its reader is slow."""

    mlflow_file_max_bytes: int = 64 * 2**20
    """Bytes of one file of an MLflow run: a parameter, a tag, the log of a metric."""

    mlflow_files_max: int = 100_000
    """Parameters, tags and metrics of one MLflow run."""

    reference_rows_max: int = 65_536
    """Rows of training data that are run for a bundle's profile; of more, as many are drawn."""

    reference_row_max_bytes: int = 256 * 2**20
    """Bytes of one row of one input of the training data; some of them are in memory at a time."""

    index_max_bytes: int = 4 * 2**20
    """Bytes of a layout's index.json, and of a registry's list of referrers."""

    index_manifests_max: int = 1024
    """Manifests that one index lists."""

    archive_entries_max: int = 16384
    """Entries of an archive, its folders included."""

    archive_padding_max_bytes: int = 2**20
    """Zeros after the end of an archive."""

    pax_max_bytes: int = 4096
    """Bytes of one extended header of an archive."""

    referrers_max: int = 64
    """Provenance artifacts of one bundle that are fetched from a registry."""

    registry_answer_max_bytes: int = 2**20
    """Bytes of an answer of a registry that is no manifest, index or blob: tokens, errors."""

    upload_chunk_bytes: int = 8 * 2**20
    """Bytes of one request of an upload; a failure repeats no more than these."""

    roots_max: int = 256
    """Roots that are followed from the one that is trusted, in one go; as many as a device follows."""

    versions_tried_max: int = 64
    """Versions of one role that a publication tries before it says that too many others died."""

    redirects_max: int = 5
    """Redirects that one download follows."""

    attempts_max: int = 6
    """Times that one request is tried, or one blob goes on where it broke off without a byte more."""

    experiment_metrics_max: int = 64
    """Metrics of one experiment."""

    experiment_text_max: int = 2000
    """Characters of one text of an experiment's plan."""


LIMITS = Limits()
