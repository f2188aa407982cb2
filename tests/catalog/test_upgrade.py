"""The scripts of Alembic."""

from alembic.script import ScriptDirectory

from lidcflow.catalog import migrate, upgrade


def test_the_version_of_the_code_is_that_of_the_last_script():
    assert ScriptDirectory(str(upgrade._SCRIPTS)).get_current_head() == str(migrate.SCHEMA_VERSION)
