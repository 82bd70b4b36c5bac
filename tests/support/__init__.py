"""What the tests share: models made on the spot, and published ones."""
