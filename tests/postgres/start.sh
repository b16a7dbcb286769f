#!/usr/bin/env bash
# A PostgreSQL of its own in a folder, from the system's packages: for tests. Prints the folder of its socket; `stop` ends it.
# With a port it listens on 127.0.0.1 too, by TLS and with a password alone; FOLDER/ca.pem vouches for the name localhost.
#   tests/postgres/start.sh FOLDER [PORT]        tests/postgres/start.sh FOLDER stop
set -euo pipefail

folder=$(realpath "$1")
binaries=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
[ -x "$binaries/initdb" ] || { echo "PostgreSQL is not installed: apt-get install postgresql" >&2; exit 3; }

# PostgreSQL does not run as root.
as=()
if [ "$(id -u)" = 0 ]; then
    chown -R postgres "$folder"
    chmod 755 "$folder"
    as=(runuser -u postgres --)
fi
cd "$folder"

if [ "${2:-}" = stop ]; then
    "${as[@]}" "$binaries/pg_ctl" --pgdata data --mode immediate --silent stop
    exit
fi
if [ ! -d data ]; then
    "${as[@]}" "$binaries/initdb" --pgdata data --username admin --auth trust --no-sync --encoding UTF8 >/dev/null
    echo "listen_addresses = ''
unix_socket_directories = '$folder'
fsync = off
log_min_messages = fatal" >> data/postgresql.conf
    new=yes
    if [ -n "${2:-}" ]; then
        # What it needs comes with Debian's PostgreSQL.
        "${as[@]}" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=test \
            -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem 2>/dev/null
        "${as[@]}" openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
            -keyout data/server.key -out server.csr 2>/dev/null
        echo "subjectAltName = DNS:localhost" > names
        "${as[@]}" openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
            -extfile names -out data/server.crt 2>/dev/null
        echo "listen_addresses = '127.0.0.1'
port = $2
ssl = on" >> data/postgresql.conf
        echo "local all all trust
hostssl all all 127.0.0.1/32 scram-sha-256" > data/pg_hba.conf
    fi
fi
# The server must not keep what waits for this script's output.
"${as[@]}" "$binaries/pg_ctl" --pgdata data --log log --silent --wait start </dev/null >/dev/null 2>&1
if [ "${new:-}" = yes ]; then
    # As docs/integration/store.md says: a role that is no superuser, with a database of its own.
    "${as[@]}" "$binaries/psql" --quiet --host "$folder" ${2:+--port "$2"} --username admin --dbname postgres \
        --command "CREATE ROLE jumeau LOGIN PASSWORD 'canary'" --command "CREATE DATABASE jumeau OWNER jumeau" >/dev/null
fi
echo "$folder"
