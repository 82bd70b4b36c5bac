"""Questions to the tables of a fleet: Ibis expressions, a module for each subject, and the engines that answer them.

An expression says what is asked and touches nothing; the same one gives the same rows on DuckDB, which runs in the
process, and on any engine that speaks Spark Connect.
"""
