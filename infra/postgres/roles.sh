#!/bin/sh
# A role for each service, owner of its own databases and of nothing else; run it again to set changed passwords.
#
# PostgreSQL's image runs this once, on an empty volume; PGHOST and the like say where it runs by hand.
set -eu

folder=${SECRETS_FOLDER:-/run/secrets}
export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}" PGDATABASE="${PGDATABASE:-postgres}"
export PGPASSWORD="${PGPASSWORD:-$(head -n 1 "$folder/postgres_password")}"

provide() { # ROLE DATABASE...
  role=$1
  shift
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set role="$role" <<'SQL'
\getenv folder SECRETS_FOLDER_OF_ROLES
\set file :folder '/' :role '_db_password'
\set password `head -n 1 :'file'`
SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 60
  PASSWORD :'password';
SQL
  for database in "$@"; do
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set role="$role" --set database="$database" <<'SQL'
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'role')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
\connect :"database"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO :"role";
SQL
  done
}

export SECRETS_FOLDER_OF_ROLES="$folder"
provide prefect prefect
provide mlflow mlflow mlflow_auth
provide lidcflow lidcflow
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 <<'SQL'
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
SQL
