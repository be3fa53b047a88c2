"""What a person has settled of the documents that were refused on the way to the cloud."""

STATEMENTS = (
    # Who and why; empty: nobody yet.
    "ALTER TABLE sync_parked ADD COLUMN settled TEXT NOT NULL DEFAULT ''",
)
