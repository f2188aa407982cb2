#!/bin/sh
# Make the passwords, keys and certificates of an installation: infra/secrets.sh FOLDER [FOLDER_OF_THE_AUTHORITY]
#
# What is there stays: delete a file and run this again to rotate it (docs/operations.md says what to do then). Files
# that are made of others, as the databases' URLs, are always written anew. The folder is for its owner alone; the files
# in it are readable, since containers mount them one by one and run as users of their own.
set -eu
umask 077

if [ $# -lt 1 ]; then
  echo "usage: $0 FOLDER [FOLDER_OF_THE_AUTHORITY]" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
chmod 0700 .
authority=${2:-authority}

random() { openssl rand -hex "$1"; }
make() { [ -s "$1" ] || printf '%s\n' "$2" > "$1"; }
read_secret() { head -n 1 "$1"; }
write() { cat > "$1.new" && mv "$1.new" "$1"; }

for owner in postgres prefect_db mlflow_db lidcflow_db mlflow_admin mlflow pacs; do
  make "${owner}_password" "$(random 24)"
done
make prefect_auth "lidcflow:$(random 24)"
make mlflow_secret_key "$(random 32)"
make patient_key "$(random 32)"
for prefix in s3_admin s3_mlflow s3; do
  make "${prefix}_access_key" "$(random 10)"
  make "${prefix}_secret_key" "$(random 20)"
done

database=${DATABASE_HOST:-postgres:5432}
url() { printf 'postgresql+%s://%s:%s@%s/%s\n' "$1" "$2" "$(read_secret "$2_db_password")" "$database" "$3"; }
url asyncpg prefect prefect | write prefect_database_url
url pg8000 mlflow mlflow | write mlflow_database_url
url pg8000 lidcflow lidcflow | write lidcflow_catalog_url
write mlflow_auth.ini <<END
[mlflow]
default_permission = READ
database_uri = $(url pg8000 mlflow mlflow_auth)
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
END

identity() {
  printf '{"name": "%s", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": [%s]}' \
    "$1" "$(read_secret "$2_access_key")" "$(read_secret "$2_secret_key")" "$3"
}
on_bucket() { printf '"Read:%s", "Write:%s", "List:%s", "Tagging:%s"' "$1" "$1" "$1" "$1"; }
write storage_identities.json <<END
{"identities": [
  $(identity admin s3_admin '"Admin"'),
  $(identity mlflow s3_mlflow "$(on_bucket mlflow)"),
  $(identity lidcflow s3 "$(on_bucket lidcflow)")
]}
END
printf '{"RegisteredUsers": {"lidcflow": "%s"}}\n' "$(read_secret pacs_password)" | write orthanc_users.json

[ -s dask.crt ] || "$here/certificates.sh" . "$authority"
find . -maxdepth 1 -type f -exec chmod 0444 {} +
