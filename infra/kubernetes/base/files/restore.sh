#!/bin/sh
# Put a database back as it was: restore.sh DATABASE < file
# What is there is dropped first, so stop the services that use it. The roles must exist: roles.sh makes them.
set -eu

folder=${SECRETS_FOLDER:-/run/secrets}
PGPASSWORD=$(head -n 1 "$folder/postgres_password")
export PGPASSWORD PGHOST="${PGHOST:-127.0.0.1}" PGUSER="${PGUSER:-postgres}"

case $1 in
  prefect | lidcflow) owner=$1 ;;
  mlflow | mlflow_auth) owner=mlflow ;;
  *)
    echo "restore.sh: DATABASE must be prefect, mlflow, mlflow_auth or lidcflow, got $1" >&2
    exit 2
    ;;
esac

archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
cat > "$archive"
pg_restore --list "$archive" > /dev/null # what is no dump must not cost the database
dropdb --if-exists --force "$1"
createdb --owner="$owner" "$1"
psql --no-psqlrc --quiet --dbname=postgres --command="REVOKE ALL ON DATABASE \"$1\" FROM PUBLIC"
pg_restore --exit-on-error --single-transaction --dbname="$1" "$archive"
