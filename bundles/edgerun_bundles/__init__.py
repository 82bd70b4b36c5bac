"""The workstation: building, describing, signing and publishing model bundles."""
