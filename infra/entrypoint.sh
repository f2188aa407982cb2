#!/bin/sh
# Export the secrets that programs want in their environment, then become the program.
#
# NAME_FILE=/run/secrets/x sets NAME to the first line of the file. Only files of that folder are meant (SECRETS_FOLDER
# names another): SSL_CERT_FILE and its like stay what they are. lidcflow reads its own settings from files itself.
set -eu

folder=${SECRETS_FOLDER:-/run/secrets}

for variable in $(env | sed -n 's/^\([A-Z][A-Z0-9_]*\)_FILE=.*/\1/p'); do
  eval "file=\$${variable}_FILE"
  case $file in "$folder"/*) ;; *) continue ;; esac
  case $variable in
    LIDCFLOW_PATIENT_KEY_SECRET) ;;
    LIDCFLOW_*) continue ;;
  esac
  if [ ! -r "$file" ]; then
    echo "${variable}_FILE: the secret must be readable, got $file; check the mounted secrets" >&2
    exit 78
  fi
  value=$(head -n 1 "$file")
  if [ -z "$value" ]; then
    echo "${variable}_FILE: the secret must not be empty, got $file; make it again" >&2
    exit 78
  fi
  export "$variable=$value"
  unset "${variable}_FILE"
done

exec "$@"
