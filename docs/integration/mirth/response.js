// Response transformer: what the twin said, for routing. `response` is the text of the answer; `responseStatus`,
// `responseStatusMessage` decide what the queue does.
function find(bundle, type) {
    return (bundle.entry || []).map(function (entry) { return entry.resource; })
        .filter(function (resource) { return resource && resource.resourceType === type; });
}
var code = String(responseStatusMessage).match(/\b\d{3}\b/);
var status = code ? Number(code[0]) : 0;
if (!status || status >= 500 || status === 409) {
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
    find(answer, 'RequestGroup').forEach(function (requests) {
        requests.action.forEach(function (group) {
            if (group.selectionBehavior !== 'at-most-one') {
                return; // further orders, such as a level
            }
            group.action.forEach(function (option) {
                options.push({ rank: option.prefix, what: option.title, chances: option.description });
            });
        });
    });
    channelMap.put('twinOptions', JSON.stringify(options));
}
