"""The fleet: the device agent and the collector."""
