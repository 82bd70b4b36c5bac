"""Executes a notebook with a real kernel. It needs nbclient and ipykernel, which the tests do not."""

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

notebook = new_notebook(
    cells=[
        new_markdown_cell("# A notebook that a kernel ran"),
        new_code_cell("import math\nradius = 2"),
        new_code_cell("math.pi * radius**2"),
        new_code_cell("1 / 0"),
        new_code_cell(""),
    ],
    metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
)
NotebookClient(notebook, allow_errors=True, kernel_name="python3").execute()
nbformat.write(notebook, "executed.ipynb")
