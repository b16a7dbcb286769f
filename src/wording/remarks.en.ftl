# Why something of the record was not used, or was used under an assumption.

remark-more = … and { $count } further remarks

## The record as a whole
remark-page-missing = The record is incomplete: the server announced further pages that were not read
remark-broken-entry = { $count } entries of the record were not readable
remark-server-message = The server sent { $count } messages of its own instead of data
remark-unreadable-entry = { $type }: { $count } entries were not readable
remark-unreadable = { $type } is not valid FHIR and was not used
remark-versions = { $type } is present in two versions, and nothing says which is newer; neither was used
remark-modified = { $name }: not used, its meaning is changed by a modifier extension ({ $type })
remark-no-subject = { $name }: not used, the { $type } does not say whose it is
remark-other-subject = { $name }: not used, the { $type } belongs to another person
remark-zone-assumed = { $count } times without a time zone were taken as { $zone }

## The person
remark-birth-date = Date of birth { $date } is not possible and was not used
remark-birth-date-partial = Date of birth { $date } is incomplete; { $taken } was taken
remark-patient-inactive = The patient's record is marked as inactive

## Measurements
remark-entered-in-error = { $name } { $value } of { $time }: entered in error
remark-entered-in-error-bare = { $name }: entered in error
remark-status = { $name } { $value } of { $time }: not used, status is { $status }
remark-preliminary = { $name } { $value } of { $time } is preliminary
remark-not-a-number = { $name } of { $time }: "{ $value }" is not a usable number
remark-no-value = { $name } of { $time }: no value
remark-no-unit = { $name } { $value } of { $time }: not used, unit missing
remark-unit = { $name } { $value } of { $time }: not used, cannot be converted to { $unit }
remark-unit-assumed = { $name } { $value } of { $time }: unit missing, taken as { $unit }
remark-implausible = { $name } { $value } of { $time }: not used, outside { $low } to { $high } { $unit }
remark-time-unknown = { $name } { $value } ({ $time }): not used, the exact time is not known
remark-time-invalid = { $name } { $value }: not used, "{ $time }" is not a date that exists
remark-time-issued = { $name }: time of measurement missing, time of the report ({ $time }) was taken
remark-day-only = { $name }: time of day missing, { $time } was taken
remark-future = { $name } { $value }: not used, { $time } lies in the future
remark-too-old = { $name } { $value } of { $time }: not used, older than { $limit } h
remark-before-window = { $name }: { $count } values older than { $limit } h were not used
remark-contradiction = { $name } { $value } of { $time }: not used, contradicts another value within 10 minutes
remark-disagrees = { $name } { $value } of { $time }: not used, differs by more than 25 % from { $used }
remark-chosen = { $name }: recorded values of one week range from { $low } to { $high } { $unit }; { $value } of { $time } was used
remark-procedure-undated = { $name }: done at an unknown date, taken as recent

## Drug and doses
remark-drug-by-text = "{ $text }" was recognised as { $name } by its name only ({ $count } entries)
remark-medication-missing = { $type }: in { $count } entries the drug cannot be identified
remark-dose-entered-in-error = { $name } dose of { $time }: entered in error
remark-dose-status = { $name } dose of { $time }: not counted, status is { $status }
remark-dose-in-progress = { $name } { $value } of { $time } is still running; counted in full
remark-dose-stopped = { $name } of { $time } was stopped; { $value } was counted as given
remark-dose-time-unknown = { $name } dose of { $time }: not counted, the exact time is not known
remark-dose-future = { $name } dose of { $time }: not counted, lies in the future
remark-dose-route = { $name } dose of { $time }: not counted, route { $route }
remark-dose-unit = { $name } dose of { $time }: not counted, amount "{ $value }" is not in { $unit }
remark-dose-per-weight = { $name } dose of { $time }: not counted, amount "{ $value }" is per body size
remark-dose-amount = { $name } dose of { $time }: not counted, amount "{ $value }" is not usable
remark-dose-no-amount = { $name } dose of { $time }: not counted, amount missing
remark-dose-period = { $name } dose of { $time }: not counted, a period of { $value } h is not the length of one infusion
remark-dose-twice = { $name } { $value } of { $time } is recorded twice; counted once
remark-doses-before-window = { $name }: { $count } older doses were not used
remark-infusion-assumed = { $name }: length of infusion assumed for { $count ->
    [one] { $count } dose
   *[other] { $count } doses
  }
remark-doses-from-order = { $name }: no administration is recorded; { $count } doses of { $value } from { $first } to { $last } were assumed from the order

## Orders
remark-order-entered-in-error = An order of { $name } was entered in error
remark-order-forbidden = { $name }: an order not to give it was left out
remark-order-route = An order of { $name } was left out, route { $route }
remark-order-infusion-assumed = { $name }: length of infusion assumed for { $count } orders
remark-order-no-start = { $name }: { $count } orders without an exact start; no doses were assumed from them
remark-order-unclear = { $name }: { $count } orders without a clear dose and interval; no doses were assumed from them

## Why an order has no regimen
order-unclear-no-dosage = the order has no dosage
order-unclear-no-dose = the order has no dose
order-unclear-dose = the dose is not a usable number
order-unclear-dose-range = the dose is a range
order-unclear-dose-unit = the unit of the dose is not one of the drug's amount
order-unclear-per-weight = the dose is per body size
order-unclear-several = the order has several dosages
order-unclear-as-needed = the drug is to be given as needed
order-unclear-no-timing = the order has no interval
order-unclear-timing = the interval cannot be understood
order-unclear-once = a single dose
order-unclear-modified = its meaning is changed by a modifier extension

## What could not be read
remark-partial = Only part of "{ $key }" could be read
remark-unread = "{ $key }" could not be read

## Sums, flags from medications and tests, categories, days of the week
remark-sum-unclear = { $name } of { $date }: not added up, a part of it cannot be used
remark-sum-sites = { $name } of { $date }: { $count } values without a body site were added up
remark-flag-drug-undated = { $name }: { $count } medications that ended at an unknown time were not counted
remark-test-indeterminate = { $name } { $value } of { $time }: neither positive nor negative
remark-category-unknown = { $name }: "{ $value }" is none of the known levels
remark-category-contradiction = { $name }: recorded as "{ $value }" and as "{ $other }"; neither was used
remark-order-days = { $name }: doses on { $count } days of the week were taken as one every { $value } h on average
