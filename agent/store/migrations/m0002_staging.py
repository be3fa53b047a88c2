"""Pools that are being imported: their rows are there, the pool is not yet."""

STATEMENTS = (
    # `spoiled`: a rule admitted one of its codes meanwhile, so that it must be refused.
    "CREATE TABLE staging (pool INTEGER PRIMARY KEY, spoiled INTEGER NOT NULL DEFAULT 0)",
)
