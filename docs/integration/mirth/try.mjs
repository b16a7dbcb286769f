// Runs the two scripts outside the engine: a sample message in, answers of profiles/examples and an error back.
// E4X is not JavaScript any more, so the message is laid out as objects that are read the same way.
import { readFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import vm from 'node:vm';

const here = new URL('.', import.meta.url);
const script = (name) => new vm.Script(readFileSync(new URL(name, here), 'utf8'), { filename: name });
const example = (name) => readFileSync(new URL(`../../../profiles/examples/${name}.json`, here), 'utf8');

const hl7 = [
  'MSH|^~\\&|LAB|NORTH|TWINS|NORTH|20260115113000||ORU^R01|MSG00042|P|2.5.1',
  'PID|1||moreau^^^NORTH^PI||DOE^JANE',
  'OBR|1|||20578-1^Vancomycin^LN',
  'OBX|1|NM|20578-1^Vancomycin^LN||13.7|mg/L|||||F|||20260115111500',
].join('\r');

function parsed(text) {
  const msg = {};
  for (const line of text.split('\r')) {
    const fields = line.split('|');
    const name = fields[0];
    if (name === 'MSH') fields.splice(1, 0, '|'); // MSH-1 is the separator itself
    msg[name] ??= {};
    fields.slice(1).forEach((field, n) => {
      const parts = (msg[name][`${name}.${n + 1}`] = {});
      field.split('^').forEach((part, m) => { parts[`${name}.${n + 1}.${m + 1}`] = part; });
    });
  }
  return msg;
}

function run(name, given) {
  const map = new Map();
  const context = vm.createContext({ channelMap: { put: (k, v) => map.set(k, v) }, SENT: 'SENT', QUEUED: 'QUEUED', ERROR: 'ERROR', ...given });
  script(name).runInContext(context);
  return { map, context };
}

const request = run('transformer.js', { msg: parsed(hl7) }).map;
assert.equal(request.get('messageControlId'), 'MSG00042');
const parameters = JSON.parse(request.get('request'));
assert.equal(parameters.parameter[0].valueReference.reference, 'Patient/moreau');
assert.throws(() => run('transformer.js', { msg: parsed(hl7.replace('moreau', '../x')) }));

const good = run('response.js', { response: example('evaluate'), responseStatusMessage: 'HTTP/1.1 200 OK' });
assert.equal(good.context.responseStatus, 'SENT');
assert.equal(good.map.get('twinStatus'), 'success');
assert.equal(JSON.parse(good.map.get('twinOptions')).length, 3);
const lacking = run('response.js', { response: example('data-required'), responseStatusMessage: 'HTTP/1.1 200 OK' });
assert.equal(lacking.map.get('twinStatus'), 'data-required');
assert.equal(JSON.parse(lacking.map.get('twinMissing'))[0].type, 'Observation');
const busy = run('response.js', { response: '', responseStatusMessage: 'HTTP/1.1 503 Service Unavailable' });
assert.equal(busy.context.responseStatus, 'QUEUED');
const wrong = run('response.js', {
  response: '{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"wrong"}]}',
  responseStatusMessage: 'HTTP/1.1 422 Unprocessable Entity',
});
assert.deepEqual([wrong.context.responseStatus, wrong.context.responseStatusMessage], ['ERROR', 'wrong']);
console.log('5 passed, 0 failed');
