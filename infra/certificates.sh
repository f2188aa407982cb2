#!/bin/sh
# Make Dask's certificates: infra/certificates.sh FOLDER FOLDER_OF_THE_AUTHORITY
#
# FOLDER gets dask_ca.crt, dask.crt and dask.key, which scheduler, workers and flows share: whoever holds the key may
# run code on every worker. The authority's key signs the next ones and belongs on no server: keep its folder elsewhere.
set -eu
umask 077

if [ $# -ne 2 ]; then
  echo "usage: $0 FOLDER FOLDER_OF_THE_AUTHORITY" >&2
  exit 2
fi
folder=$1
authority=$2
mkdir -p "$folder" "$authority"

if [ ! -s "$authority/ca.key" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=lidcflow Dask authority" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$authority/ca.key" -out "$authority/ca.crt" 2>/dev/null
fi

request=$(mktemp)
trap 'rm -f "$request" "$request.ext"' EXIT
printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
  "extendedKeyUsage=serverAuth,clientAuth" "subjectAltName=DNS:scheduler,DNS:localhost,IP:127.0.0.1" > "$request.ext"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=lidcflow Dask" \
  -keyout "$folder/dask.key.new" -out "$request" 2>/dev/null
openssl x509 -req -in "$request" -CA "$authority/ca.crt" -CAkey "$authority/ca.key" -CAcreateserial \
  -days "${DAYS:-365}" -extfile "$request.ext" -out "$folder/dask.crt.new" 2>/dev/null
cp "$authority/ca.crt" "$folder/dask_ca.crt"
mv -f "$folder/dask.key.new" "$folder/dask.key"
mv -f "$folder/dask.crt.new" "$folder/dask.crt"
