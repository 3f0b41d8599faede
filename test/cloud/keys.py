"""The keys that the emulated account has from the beginning."""

from __future__ import annotations

ACCESS_KEY_ID = "AKIAEMULATEDUSER0000"  # the account's own: it may do everything
SECRET_ACCESS_KEY = "emulated-secret"
CLOCK_KEY = "AKIAEMULATEDCLOCK000"  # the emulator's own EventBridge; its polling is not recorded
CLOCK_SECRET = "emulated"
FUNCTION_KEY = "ASIAEMULATEDLAMBDA00"  # the key of every function's role where IAM is not enforced
OTHER_ACCOUNT = "210987654321"
OTHER_KEY = "AKIAOTHERACCOUNT0000"  # of another, empty account; unknown where IAM is enforced

OWN_KEYS = {ACCESS_KEY_ID: SECRET_ACCESS_KEY, CLOCK_KEY: CLOCK_SECRET}
