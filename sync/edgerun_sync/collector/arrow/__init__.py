"""Rows as Arrow and Parquet have them: the columns of PROTOCOL.md section 5. The one package that knows pyarrow.

Columns are made of whole arrays; no row of an event is looked at by itself.
"""
