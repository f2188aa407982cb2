"""Migrations of the catalog's tables: a script for each version, run by `lidcflow.catalog.migrate`.

A change of the tables is a new script in ``versions``, named after its version, which is the next whole number;
`lidcflow.catalog.migrate.SCHEMA_VERSION` grows with it. SQLite can't alter most columns:
``op.batch_alter_table`` works on both databases.
"""
