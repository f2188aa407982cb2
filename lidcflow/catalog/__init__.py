"""The SQL database of a workspace: series, ledger and locks."""
