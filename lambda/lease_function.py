"""The lease function: ends every annex of one region and account whose lease is over, and looks until it is gone.

One EventBridge rule calls `handler` every five minutes.  Nothing is remembered between runs: each one looks at all
fleets and their instances, cancels and terminates what is over, and the next one does so again.  A run may fail, be
cut off or come twice at any point.

The interface, which the stack, annexd and the tests rely on:

Environment   MAX_LEASE_S    seconds after the creation of a fleet beyond which no tag moves its end
              ANNEX_BUCKET   optional: the bucket whose objects annex/<annex ID>.tar.gz are removed
Event         EventBridge's "Scheduled Event".  `resources[0]` names the rule, `time` the tick.  Any other event does the
              same work, and its receipt has "tick": false, which proves nothing.  Nothing else is read from it.
Context       get_remaining_time_in_millis(), invoked_function_arn (Lambda's own)
Receipt       one line of JSON, the last one printed, below 8,000 bytes:
  receipt       "htcondor-annex-lease": what to filter the log for
  contract      int, CONTRACT below
  tick          bool: the rule called, within the last ten minutes, in this region and account
  rule          ARN of that rule, or null
  at            seconds since the epoch: the tick's time, or when the run began
  account, region, function    account number, region, ARN of the function
  digest        SHA-256 of this file, hex
  max_lease_s   int, or null where MAX_LEASE_S is missing or unreadable
  complete      bool: all pages of fleets and of instances were seen
  rights        {"cancel", "terminate", "stamp", "unprotect"}: true or false as DryRun answered on a living annex;
                null where there is none, or AWS answered otherwise
  fleets        int: fleets of annexes that are not over yet
  instances     int: their living instances
  over          int: fleets whose lease is over and that AWS does not call ended, or that have living instances
  ended         int: instances of annexes that are over which this run ended or saw end
  stuck         int: fleets and instances overdue by three ticks or more that this run could not end
  stuck_ids     their IDs, at most 20
  errors        int; error_texts: at most 10, at most 200 characters each
  throttled     int: calls that AWS asked to repeat later
  calls         int: all calls
  duration_s    float

Tags          htcondor:annex-lease-end on a fleet moves its end; htcondor:annex-cancelled ends it.  Both are UTC,
              2026-11-22T16:20:00Z.  htcondor:annex-fleet, htcondor:annex-id and htcondor:annex-lease-end on instances
              are this function's stamps.
Token         <annex ID>_<end, seconds since the epoch>_<16 hexadecimal digits>, the fleet's client token.

After the receipt the run raises LeaseError if it saw not all, lacks a right, or left something stuck, so that the
function's error metric shows it.  Asynchronous retries must be 0: the next tick is the retry.

Self-contained: it is uploaded as it is, and boto3 comes with the runtime.
"""

from __future__ import annotations

CONTRACT = 2  # raised when annexd must not rely on an older function
RECEIPT = "htcondor-annex-lease"
MAX_LEASE_VARIABLE = "MAX_LEASE_S"
BUCKET_VARIABLE = "ANNEX_BUCKET"
