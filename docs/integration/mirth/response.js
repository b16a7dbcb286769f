// Response transformer: what the twin said, for routing. `response` is the text of the answer; `responseStatus`,
// `responseStatusMessage` decide what the queue does.
function find(bundle, type) {
    return (bundle.entry || []).map(function (entry) { return entry.resource; })
        .filter(function (resource) { return resource && resource.resourceType === type; });
}
var status = parseInt(String(responseStatusMessage).replace(/\D*(\d{3}).*/, '$1'), 10);
if (isNaN(status) || status >= 500 || status === 409) {
    responseStatus = QUEUED; // again later, with the same Idempotency-Key
} else if (status >= 400) {
    responseStatus = ERROR; // sending again would not help
    responseStatusMessage = JSON.parse(response).issue[0].diagnostics;
} else {
    responseStatus = SENT;
    var answer = JSON.parse(response);
    var guidance = find(answer, 'GuidanceResponse')[0];
    channelMap.put('twinStatus', guidance ? guidance.status : 'none');
    channelMap.put('twinText', guidance && guidance.note ? guidance.note[0].text : '');
    channelMap.put('twinMissing', JSON.stringify((guidance && guidance.dataRequirement) || []));
    var options = [];
    find(answer, 'RequestGroup').forEach(function (group) {
        group.action[0].action.forEach(function (option) {
            options.push({ rank: option.prefix, what: option.title, chances: option.description });
        });
    });
    channelMap.put('twinOptions', JSON.stringify(options));
}
