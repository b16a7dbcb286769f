#!/usr/bin/env bash
# A PostgreSQL of its own in a folder, from the system's packages: for tests. Prints the folder of its socket; `stop` ends it.
#   tests/postgres/start.sh FOLDER        tests/postgres/start.sh FOLDER stop
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
fi
# The server must not keep what waits for this script's output.
"${as[@]}" "$binaries/pg_ctl" --pgdata data --log log --silent --wait start </dev/null >/dev/null 2>&1
if [ "${new:-}" = yes ]; then
    # As docs/integration/store.md says: a role that is no superuser, with a database of its own.
    "${as[@]}" "$binaries/psql" --quiet --host "$folder" --username admin --dbname postgres \
        --command "CREATE ROLE jumeau LOGIN" --command "CREATE DATABASE jumeau OWNER jumeau" >/dev/null
fi
echo "$folder"
