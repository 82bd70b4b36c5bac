"""Hypothesis strategies that more than one test file draws from."""

from __future__ import annotations

from hypothesis import strategies as st

some_weights = st.dictionaries(
    st.text("abcdé日", min_size=1, max_size=3),
    st.one_of(
        st.integers(0, 10**30),
        st.floats(0, 1e300),
        st.fractions(0, max_denominator=10**6),
        st.decimals(0, 10**9, places=6),
    ),
    min_size=1,
).filter(lambda weights: any(weights.values()))
"""The weights of a split: of every type, of several scripts, not all zero."""
