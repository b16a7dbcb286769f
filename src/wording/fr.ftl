# Cartes, français. Les arguments sont prêts à être affichés. Résumés : moins de 140 caractères.

# ---- schémas
regimen-short = { $amount } { $unit }/{ $interval }
regimen-long = { $amount } { $unit } toutes les { $interval } en { $duration } h
regimen-at-once = { $amount } { $unit } toutes les { $interval }
regimen-pattern = { $amount } { $unit } à { $pattern } h
regimen-once = { $amount } { $unit } une fois
regimen-delayed = { $regimen }, différé de { $delay }
length-hours = { $n } h
length-days = { $n } j
length-weeks = { $n } sem
regimen-loading = { $loading } { $unit } une fois, puis { $regimen }
plan-stop = arrêt des doses
plan-keep = garder { $regimen }

# ---- résumés, le premier qui tient est utilisé
summary-change = { $name } : { $option }, { $label } prévue { $value } (cible { $range }), en cible à { $chance }. { $which } { $current } : { $now }, { $direction }.
summary-change-short = { $name } : { $option }, { $label } prévue { $value } (cible { $range }), en cible à { $chance }. { $which } : { $now }.
summary-start = { $name } : { $option }, { $label } prévue { $value } (cible { $range }), en cible à { $chance }.
summary-on-target = { $name } : { $current }, { $label } prévue { $now } (cible { $range }), en cible à { $chance }. Rien à changer.
summary-not-needed = { $name } : la cible est atteinte sans traitement.
summary-caution = { $name } : { $current } est en cible ({ $label } { $now }). { $caution }
summary-unclear = { $name } : { $current }, { $label } prévue { $now } (cible { $range }), { $direction }. Pas de dose nettement meilleure.
summary-unsuitable = { $name } : aucune dose de la liste ne convient ; { $current }, { $label } prévue { $now } (cible { $range }).
summary-nothing-suitable = { $name } : aucune dose de la liste ne convient à ce patient.
summary-watch = { $name } : { $label } prévue { $value } (cible { $range }), en cible à { $chance }.
summary-rule = { $name } : { $rule }
summary-rule-short = { $name } : une règle s'applique ; voir le détail.
summary-refused = { $name } : pas de dose proposée. { $what }
summary-refused-short = { $name } : pas de dose proposée ; la raison est dans le détail.
direction-high = trop élevé à { $chance }
direction-low = trop bas à { $chance }

# ---- les six blocs
block-based = **Données**
block-prediction = **Prédiction**
block-options = **Options**
block-rules = **Règles**
block-limits = **Limites**
block-ignored = **Ignoré ou manquant**
block-about = **À propos**
block-why = **Pourquoi pas de dose**
block-help = **Ce qui aiderait**

based-on = { $list }. Donnée la plus récente : { $newest }.
values-of = { $item } : { $list }
n-levels = { $n ->
    [one] { $n } concentration
   *[other] { $n } concentrations
  }
n-doses = { $n ->
    [one] { $n } dose administrée
   *[other] { $n } doses administrées
  }
n-more = { $n ->
    [one] { $n } autre
   *[other] { $n } autres
  }
no-levels = pas encore de concentration
level-at = { $value } { $unit } le { $time }
covariate-at = { $item } { $value } { $unit } ({ $time })
covariate-converted = { $item } { $value } { $unit } (saisi { $recorded }, { $time })
age-years = âge { $value } ans
preliminary = provisoire
present-from-doses = Le schéma actuel ({ $regimen }) est déduit des doses administrées ; aucune prescription avec intervalle n'a été trouvée.

prediction-personal = { $parameter } { $value } { $unit } (typique pour ces covariables : { $typical }).
prediction-population = Estimation de population : aucune concentration ne renseigne encore sur ce patient. { $parameter } { $value } { $unit } (90 % de tels patients : { $low } à { $high }).
prediction-uncertainty = { $label } avec le schéma actuel { $value }, intervalle à 90 % { $low } à { $high }.
prediction-last-level = Dernière concentration utilisée : prédite { $predicted }, mesurée { $measured } { $unit }.
prediction-two-modes = Deux explications conviennent à ces concentrations ({ $first } et { $second } { $unit } pour { $parameter }) ; les intervalles couvrent les deux. Une concentration de plus les départagerait.
prediction-guessed = { $item } inconnu, tous comptés : { $list }.
prediction-models = Modèles pondérés par leur ajustement : { $list }.

column-goal = probabilité { $label } { $range }
column-harm = probabilité { $label } ({ $range })
option-row = { $option } : { $values }
option-stop = fin du traitement
option-recommended = recommandé
option-present = schéma actuel
option-draft = tel que rédigé
which-present = Actuel
which-draft = Rédigé
item-age = âge
unit-years = ans

limits-inside = { $list }. Ce patient est dans ces limites.
limit-range = { $item } { $low } à { $high } { $unit }
limits-models-out = Écartés : { $list }.
limits-next-level = Prochaine concentration conseillée : en fin d'intervalle.
limits-no-further-level = Une concentration avant la troisième ou quatrième dose rendra l'estimation personnelle.
gap-in-doses = aucune dose saisie entre { $from } et { $to } : suspendue, ou administrée sans être saisie ?
nothing-ignored = Rien n'a été ignoré.
ignored-level-distribution = concentration { $value } { $unit } du { $time } : prélevée pendant une perfusion ou trop tôt après, non utilisée
ignored-level-no-dose = concentration { $value } { $unit } du { $time } : aucune dose connue avant, non utilisée

about = Estimation bayésienne à partir de modèles de population publiés ; un calcul pour la décision du clinicien, pas une prescription.
about-investigational = Expérimental : ce jumeau n'est pas validé cliniquement.
about-goal = Cible : { $source }.
about-computed = Calculé le { $time } avec { $models }.

# ---- refus
refuse-missing = Calcul impossible : pas de { $item } utilisable dans le dossier.
refuse-stale = Calcul impossible : pas de { $item } depuis { $hours } h.
refuse-age-missing = Calcul impossible : pas de date de naissance dans le dossier.
refuse-sex-missing = Calcul impossible : sexe non renseigné ; la fonction rénale en dépend.
refuse-outside = { $item } { $value } est hors des modèles ({ $low } à { $high }).
refuse-level-without-dose = Une concentration a été mesurée sans dose antérieure enregistrée.
refuse-other-way = La prescription est pour une voie que ces modèles ne couvrent pas.
refuse-several-orders = Plusieurs prescriptions de ce médicament sont actives : laquelle est administrée n'est pas clair.
refuse-outside-list = { $amount } { $unit } toutes les { $interval } h en { $duration } h : hors de ce qui peut être donné.
refuse-accumulated = Accumulation : { $label } des 24 h à venir prévue à { $value } (limite { $limit }).
refuse-several-drafts = Plusieurs prescriptions de ce médicament sont rédigées ensemble ; elles ne sont pas jugées une à une.
refuse-draft-unclear = La dose rédigée ne peut être jugée : { $reason }.
refuse-doses-crowded = Deux doses à moins de 15 minutes : l'une est peut-être saisie deux fois.
refuse-doses-unknown = Une concentration a été mesurée, mais la dose ou l'heure de certaines administrations manque.
refuse-misfit = Les concentrations ne correspondent pas au modèle (prédite { $predicted }, mesurée { $measured } { $unit }).
refuse-not-converged = L'ajustement ne converge pas sur ces concentrations.
refuse-population = Aucun modèle ne couvre ce patient : { $reason }.
refuse-partial = Le dossier n'a été lu qu'en partie : doses, dosages ou diagnostics peuvent manquer.
help-missing = Saisir ou prescrire : { $item }, puis redemander.
help-age-missing = Compléter le dossier du patient.
help-sex-missing = Compléter le dossier du patient.
help-outside = Suivre le protocole local et les concentrations.
help-level-without-dose = Enregistrer les doses administrées avec leurs horaires.
help-other-way = Suivre le protocole de cette voie.
help-several-orders = Arrêter les prescriptions caduques, puis redemander.
help-outside-list = Au plus { $single } { $unit } par dose et { $daily } { $unit } par jour, au plus { $longest } h d'écart, en perfusion lente. Vérifier dose, unité et intervalle.
help-accumulated = Suspendre, doser à nouveau, reprendre selon la concentration.
help-several-drafts = Rédiger une seule prescription avec une dose et un intervalle.
help-draft-unclear = Donner une dose et un intervalle, codés, avec unité.
help-doses-crowded = Corriger les administrations, puis redemander.
help-doses-unknown = Enregistrer dose et heure de chaque administration.
help-misfit = Vérifier les horaires de prélèvement et de perfusion ; refaire le dosage.
help-not-converged = Refaire le dosage, à distance de la perfusion.
help-population = Suivre le protocole local et les concentrations.
help-partial = Redemander, ou consulter le dossier.

member-outside = { $model } ({ $item } { $value }, construit sur { $low } à { $high })
member-failed = { $model } (l'ajustement n'a pas convergé)
member-missing = { $model } (il manque { $item })

# ---- propositions, liens
suggest-change = Passer à { $regimen }
suggest-start = Débuter { $regimen }
suggest-rule = Prescrire { $drug }
action-rule = Prescription en projet : { $drug }
suggest-level = Prescrire un dosage
action-order = Prescription provisoire : { $drug } { $regimen } (remplace la prescription en cours, à arrêter)
action-start = Prescription provisoire : { $drug } { $regimen }
action-update = Remplacer par { $drug } { $regimen }
action-level = Prescription provisoire : dosage de { $drug }
level-name = dosage de { $drug }
link-twin = Voir les courbes et ce sur quoi elles reposent
link-guideline = Recommandation à l'origine de la cible
link-model = Modèle : { $model }

