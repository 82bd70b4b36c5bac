"""The fleet service: what devices send is landed durably, then committed to tables, each row once. See PROTOCOL.md.

Landing acknowledges, committing may die anywhere: whatever is repeated, by whomever, gives the same tables.
"""
