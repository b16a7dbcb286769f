// Destination transformer: from ORU^R01 to the Parameters of $jumeau-evaluate.
// `msg` is the message as XML (E4X); `channelMap` holds what the destination sends.
var patientId = msg['PID']['PID.3']['PID.3.1'].toString();
var controlId = msg['MSH']['MSH.10']['MSH.10.1'].toString();
if (!/^[A-Za-z0-9.-]{1,64}$/.test(patientId)) {
    throw 'PID-3.1 is not the id of a patient on the FHIR server';
}
var parameters = {
    resourceType: 'Parameters',
    parameter: [
        { name: 'subject', valueReference: { reference: 'Patient/' + patientId } },
        { name: 'twin', valueCode: 'vancomycin' }
    ]
};
channelMap.put('messageControlId', controlId);
channelMap.put('request', JSON.stringify(parameters));
