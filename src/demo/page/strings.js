// Every word of the playground, in both languages.

const en = {
  title: "Jumeau playground", skip: "Skip to the answer", tagline: "The patient’s twin, asked before the order is signed",
  dataFrom: "Data come", modePrefetch: "with the request", modeServer: "from a FHIR server", language: "Language",
  patients: "Patients", invented: "All of them are invented.", choosePatient: "Another patient", findPatient: "Find a patient",
  findHint: "Name, medicine, situation", found: (n) => (n === 1 ? "1 patient found." : `${n} patients found.`), nobody: "Nobody fits. Try another word.",
  inGroup: (n) => (n === 1 ? "1 patient" : `${n} patients`), otherService: "Ask another service…", ownService: "Back to this patient’s service",
  notServed: "This server offers no service for this patient’s treatment.", orderInHand: "Order in hand", moment: "The clinician",
  service: "Service", send: "Ask again", cards: "What the clinician sees", twin: "What the twin predicts", wire: "On the wire",
  request: "Request", response: "Response",
  notDevice: "A demonstration with invented patients. Calculations for a clinician’s decision, not orders. Nothing leaves this computer.",
  hookNames: { "patient-view": "opens the chart", "order-select": "drafts the order", "order-sign": "signs the order" },
  gender: { female: "woman", male: "man" }, child: { female: "girl", male: "boy" }, years: (n) => `${n} years`,
  asking: "Asking…", answeredIn: (ms) => `Answered in ${ms} ms`, answered: (n) => (n === 1 ? "1 card." : `${n} cards.`),
  indicator: { info: "Information", warning: "Warning", critical: "Critical" },
  source: "Source", newTab: "(opens in a new tab)", noLaunch: "The twin’s page cannot be opened from here.", recommended: "Recommended", why: "Why, and what this rests on",
  suggestions: "Suggestions", furtherReading: "Further reading",
  dismiss: "Dismiss…", dismissTitle: "Why is this not followed?", dismissSend: "Dismiss the card", cancel: "Cancel",
  comment: "In your own words (optional)", noReason: "No reason given", dismissed: "Dismissed", dismissedAs: (r) => `Dismissed: ${r}`,
  accepted: "Accepted", draftOrder: "The order that would now be drafted",
  nothingSigned: "It stays a draft until someone signs it. In this playground nobody does.",
  feedbackSending: "Sending feedback…", feedbackStored: "Feedback stored.", feedbackFailed: (why) => `Feedback was not stored: ${why}`,
  tryAgain: "Try again", raw: "As FHIR",
  actions: { create: "New", update: "Changed", delete: "Removed" },
  orderParts: { medication: "Medication", dosage: "Dosage", dose: "Dose", route: "Route", status: "Status", what: "What", when: "When" },
  silentTitle: "No card: nothing to say",
  silent: "The service found no reason to interrupt. When the plan is on target, the best advice is silence.",
  lateTitle: "No card in the time allowed",
  late: (ms) => `The answer took ${ms} ms and holds no card. A service that cannot finish in time stays silent rather than hold anybody up: this machine may be too busy. Ask again.`,
  errorTitle: (status) => `The service answered ${status}`, error412: "Something that it needs is missing or contradicts itself, so it gives no advice.",
  errorOther: "The request was not served.", offline: "The server cannot be reached.", noServices: "The server offers no services.",
  keep: "Keep", recommendedShort: "recommended", current: "current", option: "Option", onTarget: "On target", tooLow: "Too low", harm: "Harm",
  measures: { auc24: "AUC24", auc: "AUC", trough: "trough", peak: "peak" }, sameUnit: { trough: true, peak: true },
  interval: "90 % interval", intervalOf: (low, high) => `${low} to ${high}`, target: "Target", optionsTitle: "Options compared",
  optionsHint: "Choose a row to see its curve.", noCurve: "No curve was computed for this option.",
  showKeep: "Keep as ordered", showStop: "No further doses", show: "Also show", logScale: "Logarithmic axis",
  colon: ": ", internationalUnit: "IU",
  ends: { stop: "no more doses", keep: "as ordered", recommended: "★ advised", chosen: "this option" },
  now: "now", ago: (time) => `${time} ago`, inTime: (time) => `in ${time}`,
  hours: (n) => `${n} h`, days: (n, value) => (value === 1 ? `${n} day` : `${n} days`), weeks: (n, value) => (value === 1 ? `${n} week` : `${n} weeks`),
  tick: { hours: (n) => `${n} h`, days: (n) => `${n} d`, weeks: (n) => `${n} wk` },
  periods: { h: (n) => `${n} h`, d: (n, value) => (value === 1 ? `${n} day` : `${n} days`), wk: (n, value) => (value === 1 ? `${n} week` : `${n} weeks`) },
  readAt: "Read the curve at", past: "Past, fitted to this patient", measured: "Measured", ignored: "Measured, not used", dose: "Dose given",
  doseAssumed: "Dose assumed", bandHint: "Bands: nine chances in ten.", earlier: "What is older is in the table below.", axisTime: "Time from now",
  dataTable: "The same numbers as a table", doses: "Doses", levels: "Measured values", otherLevels: "Also measured", time: "Time", value: "Value", median: "Median",
  note: "Note", used: "used", notUsed: "not used", amount: "Amount", infusion: "Infusion", models: "Models that vote", model: "Model",
  version: "Version", weight: "Weight", paper: "Paper", fingerprint: "Fingerprint",
  finding: (o) => `${o.label}. Predicted ${o.measure}: ${o.value}${o.unit && ` ${o.unit}`} (90 % interval ${o.low} to ${o.high})`,
  findingSure: (o) => `${o.label}. Predicted ${o.measure}: ${o.value}${o.unit && ` ${o.unit}`}`,
  findingStop: (o) => `${o.label}: from ${o.from} now to ${o.to} in ${o.time}.`,
  findingTarget: (p) => `, ${p} chance on target`, chartTitle: (q) => `${q}: measured and predicted`,
  chartRange: (o) => `${o.label}: predicted between ${o.low} and ${o.high} ${o.unit} over the next ${o.time} (median).`,
  chartLast: (o) => `Last measured value: ${o.value}, ${o.when}.`,
  inputsTitle: "Read from the record", what: "What", recorded: "As recorded", from: "From", inputs: {
    wt: "Weight", ht: "Height", bsa: "Body surface", scr: "Creatinine", scr_umol: "Creatinine", scr_base: "Creatinine before treatment",
    alb: "Albumin", crp: "CRP", crp_now: "CRP now", mic: "MIC", alt: "ALT", ast: "AST", alp: "ALP", bili: "Bilirubin",
    aag: "Alpha-1 acid glycoprotein", anc: "Neutrophils", anc0: "Neutrophils before treatment", anc_now: "Neutrophils now",
    platelets: "Platelets", hct: "Haematocrit", inr: "INR", inr0: "INR before treatment", tpro: "Total protein", hdl: "HDL cholesterol",
    rf: "Rheumatoid factor", il6: "Interleukin 6", esr: "ESR", tjc: "Tender joints", sjc: "Swollen joints",
    pga: "Patient’s global assessment", phyvas: "Physician’s global assessment", pain: "Pain", haq: "HAQ", ecog: "ECOG status",
    sld: "Sum of lesion diameters", sld0: "Sum of lesion diameters at baseline", mayo: "Mayo score", gw: "Week of pregnancy",
    das28: "DAS28", fviii: "Factor VIII activity", tb: "Tuberculosis test",
  },
  parameters: "Fitted parameters", parameter: "Parameter", personal: "This patient", typical: "Typical for such a patient",
  copyCurl: "Copy as curl", copied: "Copied", copyFailed: "Select the text below", waiting: "Nothing yet.",
  responseHead: (status, ms) => `Status ${status}, ${ms} ms`, zone: (z) => `Clock times: ${z}.`,
};

const fr = {
  title: "Jumeau, démonstration", skip: "Aller à la réponse", tagline: "Le jumeau du patient, consulté avant de signer",
  dataFrom: "Les données viennent", modePrefetch: "avec la requête", modeServer: "d’un serveur FHIR", language: "Langue",
  patients: "Patients", invented: "Tous sont inventés.", choosePatient: "Un autre patient", findPatient: "Chercher un patient",
  findHint: "Nom, médicament, situation", found: (n) => (n <= 1 ? `${n} patient trouvé.` : `${n} patients trouvés.`), nobody: "Personne ne correspond. Essayez un autre mot.",
  inGroup: (n) => (n <= 1 ? `${n} patient` : `${n} patients`), otherService: "Interroger un autre service…", ownService: "Revenir au service de ce patient",
  notServed: "Ce serveur n’offre aucun service pour le traitement de ce patient.", orderInHand: "Prescription en cours", moment: "Le clinicien",
  service: "Service", send: "Redemander", cards: "Ce que voit le clinicien", twin: "Ce que prédit le jumeau", wire: "Sur le réseau",
  request: "Requête", response: "Réponse",
  notDevice: "Démonstration avec des patients inventés. Des calculs pour aider à décider, pas des prescriptions. Rien ne quitte cet ordinateur.",
  hookNames: { "patient-view": "ouvre le dossier", "order-select": "rédige la prescription", "order-sign": "signe la prescription" },
  gender: { female: "femme", male: "homme" }, child: { female: "fille", male: "garçon" }, years: (n) => `${n} ans`,
  asking: "Demande en cours…", answeredIn: (ms) => `Réponse en ${ms} ms`, answered: (n) => (n <= 1 ? `${n} carte.` : `${n} cartes.`),
  indicator: { info: "Information", warning: "Attention", critical: "Critique" },
  source: "Source", noLaunch: "La page du jumeau ne peut pas être ouverte d’ici.", newTab: "(s’ouvre dans un nouvel onglet)", recommended: "Recommandé", why: "Pourquoi, et sur quoi cela repose",
  suggestions: "Propositions", furtherReading: "Pour en savoir plus",
  dismiss: "Écarter…", dismissTitle: "Pourquoi ne pas suivre ?", dismissSend: "Écarter la carte", cancel: "Annuler",
  comment: "En vos propres mots (facultatif)", noReason: "Sans motif", dismissed: "Écartée", dismissedAs: (r) => `Écartée : ${r}`,
  accepted: "Accepté", draftOrder: "La prescription qui serait maintenant rédigée",
  nothingSigned: "Elle reste un brouillon tant que personne ne la signe. Ici, personne ne le fait.",
  feedbackSending: "Envoi du retour…", feedbackStored: "Retour enregistré.", feedbackFailed: (why) => `Le retour n’a pas été enregistré : ${why}`,
  tryAgain: "Réessayer", raw: "En FHIR",
  actions: { create: "Nouveau", update: "Modifié", delete: "Retiré" },
  orderParts: { medication: "Médicament", dosage: "Posologie", dose: "Dose", route: "Voie", status: "Statut", what: "Quoi", when: "Quand" },
  silentTitle: "Aucune carte : rien à signaler",
  silent: "Le service n’a trouvé aucune raison d’interrompre. Quand le traitement est dans la cible, le meilleur conseil est le silence.",
  lateTitle: "Aucune carte dans le temps imparti",
  late: (ms) => `La réponse a pris ${ms} ms et ne contient aucune carte. Un service qui ne peut finir à temps se tait plutôt que de faire attendre : cette machine est peut-être trop occupée. Redemandez.`,
  errorTitle: (status) => `Le service a répondu ${status}`, error412: "Une donnée indispensable manque ou se contredit : aucun conseil n’est donné.",
  errorOther: "La requête n’a pas abouti.", offline: "Le serveur est injoignable.", noServices: "Le serveur n’offre aucun service.",
  keep: "Maintenir", recommendedShort: "recommandé", current: "actuel", option: "Option", onTarget: "Dans la cible", tooLow: "Trop bas", harm: "Risque",
  measures: { auc24: "ASC24", auc: "ASC", trough: "résiduelle", peak: "pic" }, sameUnit: { trough: true, peak: true },
  interval: "Intervalle à 90 %", intervalOf: (low, high) => `${low} à ${high}`, target: "Cible", optionsTitle: "Options comparées",
  optionsHint: "Choisissez une ligne pour voir sa courbe.", noCurve: "Aucune courbe n’a été calculée pour cette option.",
  showKeep: "Maintien de la prescription", showStop: "Arrêt des doses", show: "Montrer aussi", logScale: "Axe logarithmique",
  colon: "\u202f: ", internationalUnit: "UI",
  ends: { stop: "arrêt", keep: "tel que prescrit", recommended: "★ conseillé", chosen: "cette option" },
  now: "maintenant", ago: (time) => `il y a ${time}`, inTime: (time) => `dans ${time}`,
  hours: (n) => `${n} h`, days: (n, value) => (value < 2 ? `${n} jour` : `${n} jours`), weeks: (n, value) => (value < 2 ? `${n} semaine` : `${n} semaines`),
  tick: { hours: (n) => `${n} h`, days: (n) => `${n} j`, weeks: (n) => `${n} sem.` },
  periods: { h: (n) => `${n} h`, d: (n, value) => (value < 2 ? `${n} jour` : `${n} jours`), wk: (n, value) => (value < 2 ? `${n} semaine` : `${n} semaines`) },
  readAt: "Lire la courbe à", past: "Passé, ajusté à ce patient", measured: "Mesuré", ignored: "Mesuré, non utilisé", dose: "Dose administrée",
  doseAssumed: "Dose supposée", bandHint: "Bandes : neuf chances sur dix.", earlier: "Ce qui est plus ancien figure dans le tableau plus bas.", axisTime: "Temps à partir de maintenant",
  dataTable: "Les mêmes chiffres en tableau", doses: "Doses", levels: "Valeurs mesurées", otherLevels: "Mesuré aussi", time: "Heure", value: "Valeur", median: "Médiane",
  note: "Remarque", used: "utilisée", notUsed: "non utilisée", amount: "Quantité", infusion: "Perfusion", models: "Modèles qui votent", model: "Modèle",
  version: "Version", weight: "Poids", paper: "Article", fingerprint: "Empreinte",
  finding: (o) => `${o.label}. Prédiction, ${o.measure} : ${o.value}${o.unit && ` ${o.unit}`} (intervalle à 90 % de ${o.low} à ${o.high})`,
  findingSure: (o) => `${o.label}. Prédiction, ${o.measure} : ${o.value}${o.unit && ` ${o.unit}`}`,
  findingStop: (o) => `${o.label} : de ${o.from} maintenant à ${o.to} dans ${o.time}.`,
  findingTarget: (p) => `, en cible à ${p}`, chartTitle: (q) => `${q} : mesures et prédiction`,
  chartRange: (o) => `${o.label} : prédiction entre ${o.low} et ${o.high} ${o.unit} sur ${o.time} (médiane).`,
  chartLast: (o) => `Dernière valeur mesurée : ${o.value}, ${o.when}.`,
  inputsTitle: "Lu dans le dossier", what: "Quoi", recorded: "Tel que noté", from: "Source", inputs: {
    wt: "Poids", ht: "Taille", bsa: "Surface corporelle", scr: "Créatinine", scr_umol: "Créatinine",
    scr_base: "Créatinine avant traitement", alb: "Albumine", crp: "CRP", crp_now: "CRP actuelle", mic: "CMI", alt: "ALAT", ast: "ASAT",
    alp: "PAL", bili: "Bilirubine", aag: "Alpha-1-glycoprotéine acide", anc: "Neutrophiles", anc0: "Neutrophiles avant traitement",
    anc_now: "Neutrophiles actuels", platelets: "Plaquettes", hct: "Hématocrite", inr: "INR", inr0: "INR avant traitement",
    tpro: "Protéines totales", hdl: "Cholestérol HDL", rf: "Facteur rhumatoïde", il6: "Interleukine 6", esr: "VS",
    tjc: "Articulations douloureuses", sjc: "Articulations gonflées", pga: "Appréciation globale du patient",
    phyvas: "Appréciation globale du médecin", pain: "Douleur", haq: "HAQ", ecog: "Statut ECOG", sld: "Somme des diamètres des lésions",
    sld0: "Somme initiale des diamètres", mayo: "Score de Mayo", gw: "Semaine de grossesse", das28: "DAS28",
    fviii: "Activité du facteur VIII", tb: "Test de tuberculose",
  },
  parameters: "Paramètres ajustés", parameter: "Paramètre", personal: "Ce patient", typical: "Typique d’un tel patient",
  copyCurl: "Copier pour curl", copied: "Copié", copyFailed: "Sélectionnez le texte ci-dessous", waiting: "Rien encore.",
  responseHead: (status, ms) => `Statut ${status}, ${ms} ms`, zone: (z) => `Heures d’horloge : ${z}.`,
};

const catalogue = { en, fr };
let tag = "en";

/** Changes the language; anything but French is English. */
export function setLanguage(wanted) {
  tag = wanted === "fr" ? "fr" : "en";
  document.documentElement.lang = tag;
  document.title = say("title");
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
}

/** `en` or `fr`. */
export function language() {
  return tag;
}

/** Words by key. Entries that are functions get the arguments; `group.member` reaches into a group. */
export function say(key, ...values) {
  let entry = catalogue[tag];
  for (const part of key.split(".")) entry = entry?.[part];
  if (typeof entry === "function") entry = entry(...values);
  return tag === "fr" && typeof entry === "string" ? entry.replace(/ ([:;?!%])/g, "\u202f$1").replace(/(\d) (h|j|jours?|semaines?|sem)\b/g, "$1\u00a0$2") : entry;
}
