"""The cost of an annex: an estimate from the times at which its instances ran, and AWS's prices of these times.

Only instances are in it: no volumes, addresses and traffic, and no discounts.  The bill is the truth.
"""

from annexd.annex.usage import Usage
from annexd.workflow import Json


def cost_of(usage: Usage | None, now_s: float) -> Json:
    """Return EstimatedCost in US dollars, and how many instances are not in it since their price is unknown.

    EstimatedCost is null if nothing is known, since an invented number would be worse.
    """
    if usage is None:
        return {"EstimatedCost": None, "UnpricedInstances": None}
    until_s = usage.until_s(now_s)
    dollars = usage.dollars + sum(each.cost(until_s) for each in usage.spendings)
    unpriced = sum(each.unpriced(until_s) for each in usage.spendings)
    is_known = not unpriced or dollars > 0
    return {"EstimatedCost": round(dollars, 4) if is_known else None, "UnpricedInstances": unpriced}
