"""The metrics log: everything that was served, measured and kept through power cuts. FORMAT.md is its specification."""
