#!/bin/sh
# Write a database to standard output, as pg_restore reads it: dump.sh DATABASE > file
# One transaction sees all of it: services may go on. Which databases there are: prefect, mlflow, mlflow_auth, lidcflow.
set -eu

folder=${SECRETS_FOLDER:-/run/secrets}
PGPASSWORD=$(head -n 1 "$folder/postgres_password")
export PGPASSWORD PGHOST="${PGHOST:-127.0.0.1}" PGUSER="${PGUSER:-postgres}"
exec pg_dump --format=custom --dbname="$1"
