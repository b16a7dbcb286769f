# Pourquoi un élément du dossier n'a pas été utilisé, ou l'a été sous une hypothèse.

remark-more = … et { $count } autres remarques

## Le dossier dans son ensemble
remark-page-missing = Le dossier est incomplet : le serveur annonçait d'autres pages, qui n'ont pas été lues
remark-broken-entry = { $count } entrées du dossier étaient illisibles
remark-server-message = Le serveur a envoyé { $count } messages à la place de données
remark-unreadable-entry = { $type } : { $count } entrées étaient illisibles
remark-unreadable = { $type } n'est pas du FHIR valide et n'a pas été utilisé
remark-versions = { $type } existe en deux versions et rien n'indique la plus récente ; aucune n'a été utilisée
remark-modified = { $name } : non utilisé, une extension en modifie le sens ({ $type })
remark-no-subject = { $name } : non utilisé, la ressource { $type } ne dit pas de qui il s'agit
remark-other-subject = { $name } : non utilisé, la ressource { $type } concerne une autre personne
remark-zone-assumed = { $count } heures sans fuseau horaire ont été lues comme { $zone }

## La personne
remark-birth-date = La date de naissance { $date } est impossible et n'a pas été utilisée
remark-birth-date-partial = La date de naissance { $date } est incomplète ; { $taken } a été retenu
remark-patient-inactive = Le dossier du patient est marqué comme inactif

## Mesures
remark-entered-in-error = { $name } { $value } du { $time } : saisi par erreur
remark-entered-in-error-bare = { $name } : saisi par erreur
remark-status = { $name } { $value } du { $time } : non utilisé, statut { $status }
remark-preliminary = { $name } { $value } du { $time } est un résultat provisoire
remark-not-a-number = { $name } du { $time } : « { $value } » n'est pas un nombre utilisable
remark-no-value = { $name } du { $time } : pas de valeur
remark-no-unit = { $name } { $value } du { $time } : non utilisé, unité absente
remark-unit = { $name } { $value } du { $time } : non utilisé, conversion en { $unit } impossible
remark-unit-assumed = { $name } { $value } du { $time } : unité absente, { $unit } a été retenu
remark-implausible = { $name } { $value } du { $time } : non utilisé, hors de l'intervalle { $low } à { $high } { $unit }
remark-time-unknown = { $name } { $value } ({ $time }) : non utilisé, l'heure exacte est inconnue
remark-time-invalid = { $name } { $value } : non utilisé, « { $time } » n'est pas une date qui existe
remark-time-issued = { $name } : heure de mesure absente, l'heure du compte rendu ({ $time }) a été retenue
remark-day-only = { $name } : heure absente, { $time } a été retenu
remark-future = { $name } { $value } : non utilisé, { $time } est dans le futur
remark-too-old = { $name } { $value } du { $time } : non utilisé, date de plus de { $limit } h
remark-before-window = { $name } : { $count } valeurs de plus de { $limit } h n'ont pas été utilisées
remark-contradiction = { $name } { $value } du { $time } : non utilisé, en contradiction avec une autre valeur à moins de 10 minutes
remark-disagrees = { $name } { $value } du { $time } : non utilisé, s'écarte de plus de 25 % de { $used }
remark-chosen = { $name } : les valeurs d'une même semaine vont de { $low } à { $high } { $unit } ; { $value } du { $time } a été retenu
remark-procedure-undated = { $name } : réalisé à une date inconnue, considéré comme récent

## Médicament et doses
remark-drug-by-text = « { $text } » a été reconnu comme { $name } par son nom seulement ({ $count } entrées)
remark-medication-missing = { $type } : dans { $count } entrées, le médicament ne peut être identifié
remark-dose-entered-in-error = Dose de { $name } du { $time } : saisie par erreur
remark-dose-status = Dose de { $name } du { $time } : non comptée, statut { $status }
remark-dose-in-progress = { $name } { $value } du { $time } est en cours ; compté en entier
remark-dose-stopped = { $name } du { $time } a été interrompu ; { $value } compté comme administré
remark-dose-time-unknown = Dose de { $name } du { $time } : non comptée, l'heure exacte est inconnue
remark-dose-future = Dose de { $name } du { $time } : non comptée, dans le futur
remark-dose-route = Dose de { $name } du { $time } : non comptée, voie { $route }
remark-dose-unit = Dose de { $name } du { $time } : non comptée, la quantité « { $value } » n'est pas en { $unit }
remark-dose-per-weight = Dose de { $name } du { $time } : non comptée, la quantité « { $value } » dépend de la taille ou du poids
remark-dose-amount = Dose de { $name } du { $time } : non comptée, la quantité « { $value } » est inutilisable
remark-dose-no-amount = Dose de { $name } du { $time } : non comptée, quantité absente
remark-dose-period = Dose de { $name } du { $time } : non comptée, { $value } h n'est pas la durée d'une perfusion
remark-dose-twice = { $name } { $value } du { $time } est enregistré deux fois ; compté une fois
remark-doses-before-window = { $name } : { $count } doses plus anciennes n'ont pas été utilisées
remark-infusion-assumed = { $name } : durée de perfusion supposée pour { $count ->
    [one] { $count } dose
   *[other] { $count } doses
  }
remark-doses-from-order = { $name } : aucune administration enregistrée ; { $count } doses de { $value } du { $first } au { $last } ont été supposées d'après la prescription

## Prescriptions
remark-order-entered-in-error = Une prescription de { $name } a été saisie par erreur
remark-order-forbidden = { $name } : une prescription de ne pas l'administrer a été écartée
remark-order-route = Une prescription de { $name } a été écartée, voie { $route }
remark-order-infusion-assumed = { $name } : durée de perfusion supposée pour { $count } prescriptions
remark-order-no-start = { $name } : { $count } prescriptions sans début exact ; aucune dose n'en a été déduite
remark-order-unclear = { $name } : { $count } prescriptions sans dose ni intervalle clairs ; aucune dose n'en a été déduite

## Pourquoi une prescription n'a pas de schéma posologique
order-unclear-no-dosage = la prescription n'a pas de posologie
order-unclear-no-dose = la prescription n'a pas de dose
order-unclear-dose = la dose n'est pas un nombre utilisable
order-unclear-dose-range = la dose est un intervalle
order-unclear-dose-unit = l'unité de la dose n'est pas celle d'une quantité de ce médicament
order-unclear-per-weight = la dose dépend de la taille ou du poids
order-unclear-several = la prescription a plusieurs posologies
order-unclear-as-needed = le médicament est à donner si besoin
order-unclear-no-timing = la prescription n'a pas d'intervalle
order-unclear-timing = l'intervalle ne peut être compris
order-unclear-once = une dose unique
order-unclear-modified = une extension en modifie le sens

## Ce qui n'a pas pu être lu
remark-partial = « { $key } » n'a pu être lu qu'en partie
remark-unread = « { $key } » n'a pas pu être lu

## Sommes, indicateurs tirés des médicaments et des tests, catégories, jours de la semaine
remark-sum-unclear = { $name } du { $date } : somme non calculée, une partie est inutilisable
remark-sum-sites = { $name } du { $date } : { $count } valeurs sans localisation ont été additionnées
remark-flag-drug-undated = { $name } : { $count } médicaments arrêtés à une date inconnue n'ont pas été comptés
remark-test-indeterminate = { $name } { $value } du { $time } : ni positif ni négatif
remark-category-unknown = { $name } : « { $value } » n'est pas un niveau connu
remark-category-contradiction = { $name } : noté « { $value } » et « { $other } » ; ni l'un ni l'autre n'a été utilisé
remark-order-days = { $name } : les doses de { $count } jours par semaine ont été lues comme une dose toutes les { $value } h en moyenne
