"""The statistics of experiments: pure functions over mergeable moments of units, with numpy and scipy and nothing else.

The row of every statistic is the unit that was randomised, never the inference. No function here reads a file, a clock
or a table, and none draws a random number: the same numbers in are the same scorecard out.
"""
