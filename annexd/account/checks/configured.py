"""Compare HTCondor's configuration with the stack."""

from collections.abc import Iterator

from annexd.account import configuration
from annexd.account.checks.finding import Finding
from annexd.account.checks.view import View
from annexd.account.configuration import KNOBS
from annexd.aws import region_of_function, region_of_url

RUN_SETUP = "condor_annex -setup writes it; then run condor_reconfig"


def knobs(view: View) -> Iterator[Finding]:
    """Check the knobs of this region's own annexd, or else the default ones."""
    local = configuration.local_name(view.region)
    configured = {knob: view.param(f"{local}.{knob}") or view.param(knob) for knob in KNOBS}
    missing = [knob for knob, value in configured.items() if not value]
    if missing:
        yield view.fault("configuration", f"HTCondor's configuration lacks {', '.join(missing)}", RUN_SETUP)
        return
    regions = {knob: _region(str(value)) for knob, value in configured.items()}
    others = {knob: region for knob, region in regions.items() if region not in (None, view.region)}
    expected = configuration.knobs(view.session, view.region, view.seen.outputs if view.seen else {})
    wrong = [knob for knob in KNOBS if configured[knob] != expected[knob]]
    if others:
        names = ", ".join(sorted({str(region) for region in others.values()}))
        yield view.fault("configuration", f"it belongs to another region, {names}: {', '.join(others)}", RUN_SETUP)
    elif wrong:
        yield view.fault("configuration", f"it belongs to another stack: {', '.join(wrong)}", RUN_SETUP)
    else:
        yield view.ok("configuration", "HTCondor is configured for this stack")


def _region(value: str) -> str | None:
    return region_of_function(value) or (region_of_url(value) if "://" in value else None)
