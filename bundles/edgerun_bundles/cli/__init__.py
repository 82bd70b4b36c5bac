"""The workstation's commands. They parse, call the package and print, and decide nothing of their own."""
