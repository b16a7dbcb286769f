# Cards, English. Arguments are ready to be shown. Summaries must stay under 140 characters.

# ---- plans
regimen-short = { $amount } { $unit } q{ $short }
regimen-long = { $amount } { $unit } every { $interval } over { $duration } h
regimen-at-once = { $amount } { $unit } every { $interval }
regimen-pattern = { $amount } { $unit } at { $pattern } h
regimen-once = { $amount } { $unit } once
regimen-delayed = { $regimen }, put off by { $delay }
length-hours = { $n } h
length-days = { $n } d
length-weeks = { $n } wk
regimen-loading = { $loading } { $unit } once, then { $regimen }
plan-stop = no further doses
plan-keep = keep { $regimen }

# ---- summaries, the first that fits is used
summary-change = { $name }: { $option } predicts { $label } { $value } (target { $range }), { $chance } on target. { $which } { $current }: { $now }, { $direction }.
summary-change-short = { $name }: { $option } predicts { $label } { $value } (target { $range }), { $chance } on target. { $which }: { $now }.
summary-start = { $name }: { $option } predicts { $label } { $value } (target { $range }), { $chance } on target.
summary-on-target = { $name }: { $current } predicts { $label } { $now } (target { $range }), { $chance } on target. Nothing to change.
summary-not-needed = { $name }: without treatment the target is met.
summary-caution = { $name }: { $current } is on target ({ $label } { $now }). { $caution }
summary-unclear = { $name }: { $current } predicts { $label } { $now } (target { $range }), { $direction }. No clearly better dose.
summary-unsuitable = { $name }: no dose of the list is suitable; { $current } predicts { $label } { $now } (target { $range }).
summary-nothing-suitable = { $name }: no dose of the list is suitable for this patient.
summary-watch = { $name }: { $label } predicted { $value } (target { $range }), { $chance } on target.
summary-rule = { $name }: { $rule }
summary-rule-short = { $name }: a rule applies; see the detail.
summary-refused = { $name }: no dose suggested. { $what }
summary-refused-short = { $name }: no dose suggested; the reason is in the detail.
direction-high = { $chance } too high
direction-low = { $chance } too low

# ---- the six blocks
block-based = **Based on**
block-prediction = **Prediction**
block-options = **Options**
block-rules = **Rules**
block-limits = **Limits**
block-ignored = **Ignored or missing**
block-about = **About**
block-why = **Why no dose**
block-help = **What would help**

based-on = { $list }. Newest input: { $newest }.
values-of = { $item }: { $list }
n-levels = { $n ->
    [one] { $n } level
   *[other] { $n } levels
  }
n-doses = { $n ->
    [one] { $n } dose given
   *[other] { $n } doses given
  }
n-more = { $n ->
    [one] { $n } more
   *[other] { $n } more
  }
no-levels = no level yet
level-at = { $value } { $unit } on { $time }
covariate-at = { $item } { $value } { $unit } ({ $time })
covariate-converted = { $item } { $value } { $unit } (recorded { $recorded }, { $time })
age-years = age { $value } years
preliminary = preliminary
present-from-doses = The present regimen ({ $regimen }) is read off the doses given; no order with an interval was found.

prediction-personal = { $parameter } { $value } { $unit } (typical for these covariates: { $typical }).
prediction-population = Population estimate: no level says anything about this patient yet. { $parameter } { $value } { $unit } (90 % of such patients: { $low } to { $high }).
prediction-uncertainty = { $label } on the present plan { $value }, 90 % interval { $low } to { $high }.
prediction-last-level = Last level used: predicted { $predicted }, measured { $measured } { $unit }.
prediction-two-modes = Two explanations fit these levels ({ $first } and { $second } { $unit } for { $parameter }); both are in the intervals. A further level would tell them apart.
prediction-guessed = { $item } not known, all counted: { $list }.
prediction-models = Models averaged by fit: { $list }.

column-goal = chance of { $label } { $range }
column-harm = chance of { $label } ({ $range })
option-row = { $option }: { $values }
option-stop = treatment ends
option-recommended = recommended
option-present = present plan
option-draft = as drafted
which-present = Current
which-draft = Drafted
item-age = age
unit-years = years

limits-inside = { $list }. This patient is inside these limits.
limit-range = { $item } { $low } to { $high } { $unit }
limits-models-out = Left out: { $list }.
limits-next-level = Next level suggested: at the end of an interval.
limits-no-further-level = A level before the third or fourth dose turns this into a personal estimate.
gap-in-doses = no dose is charted between { $from } and { $to }: held, or given and not charted?
nothing-ignored = Nothing was ignored.
ignored-level-distribution = level { $value } { $unit } of { $time }: drawn during an infusion or too soon after it, not used
ignored-level-no-dose = level { $value } { $unit } of { $time }: no dose is known before it, not used

about = Bayesian estimate from published population models; a calculation for a clinician's decision, not an order.
about-investigational = Investigational: this twin is not clinically validated.
about-goal = Target: { $source }.
about-computed = Computed { $time } with { $models }.

# ---- refusals
refuse-missing = Cannot calculate: no usable { $item } in the record.
refuse-stale = Cannot calculate: no { $item } within { $hours } h.
refuse-age-missing = Cannot calculate: the record has no date of birth.
refuse-sex-missing = Cannot calculate: sex is not recorded; renal function depends on it.
refuse-outside = { $item } { $value } is outside the models ({ $low } to { $high }).
refuse-level-without-dose = A level was measured but no dose before it is recorded.
refuse-other-way = The order is for a way of giving it that these models do not cover.
refuse-several-orders = Several orders for this drug are active: which one is given is not clear.
refuse-outside-list = { $amount } { $unit } every { $interval } h over { $duration } h is outside what can be given.
refuse-accumulated = The drug has accumulated: { $label } of the next 24 h is predicted at { $value } (limit { $limit }).
refuse-several-drafts = Several orders for this drug are drafted together; they are not judged one by one.
refuse-draft-unclear = The drafted dose cannot be judged: { $reason }.
refuse-doses-crowded = Two doses stand within 15 minutes of each other: one may be recorded twice.
refuse-doses-unknown = A level was measured, but amount or time of some doses is not recorded.
refuse-misfit = Levels do not fit this patient's model (predicted { $predicted }, measured { $measured } { $unit }).
refuse-not-converged = The fit did not settle on one answer for these levels.
refuse-population = No model covers this patient: { $reason }.
refuse-partial = The record was only read in part: doses, levels or diagnoses may be missing.
help-missing = Record or order { $item }, then ask again.
help-age-missing = Complete the patient's record.
help-sex-missing = Complete the patient's record.
help-outside = Use the local guideline and levels.
help-level-without-dose = Record the doses given, with their times.
help-other-way = Use the guideline for that way of giving it.
help-several-orders = Stop the orders that no longer hold, then ask again.
help-outside-list = At most { $single } { $unit } a dose and { $daily } { $unit } a day, at most { $longest } h apart, infused slowly. Check dose, unit and interval.
help-accumulated = Hold, measure again, and restart on the level.
help-several-drafts = Draft one order with one dose and one interval.
help-draft-unclear = Give one dose and one interval, in codes and units.
help-doses-crowded = Correct the administrations, then ask again.
help-doses-unknown = Record amount and time of each dose given.
help-misfit = Check draw and infusion times; repeat the level.
help-not-converged = Repeat the level, away from the infusion.
help-population = Use the local guideline and levels.
help-partial = Ask again, or look in the chart.

member-outside = { $model } ({ $item } { $value }, built on { $low } to { $high })
member-failed = { $model } (the fit did not converge)
member-missing = { $model } (needs { $item })

# ---- suggestions, links
suggest-change = Change to { $regimen }
suggest-start = Start { $regimen }
suggest-rule = Order { $drug }
action-rule = Draft order: { $drug }
suggest-level = Order a level
action-order = Draft order: { $drug } { $regimen } (replaces the order in force, which must be stopped)
action-start = Draft order: { $drug } { $regimen }
action-update = Change the draft to { $drug } { $regimen }
action-level = Draft order: { $drug } level
level-name = { $drug } level
link-twin = See the curves and what they rest on
link-guideline = Guideline behind the target
link-model = Model: { $model }

