"""Folding newer records into a known state gives the same state as folding the whole history."""

from annexd.workflow import Journal, Refused, Retry, Wait, fold
from test.workflow.store import OWNER, Store, Thing, engine

ORDER = Thing("annex")


def test_a_run_that_folds_on_knows_what_a_restarted_annexd_reads_of_the_whole_history(
    journal: Journal, store: Store
) -> None:
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    unknown, waits = Retry("lost"), Retry("not yet", untouched=True, wait=Wait("the role", 60.0, "make one"))
    store.script = {
        "lease forward after": [unknown],
        "fleet forward before": [waits, waits, Refused("denied")],
        "lease backward before": [unknown],
    }
    assert one.run("1").result == "Failure"
    history = journal.history("1")
    whole = fold("1", history)
    assert whole.seq == history[-1].seq
    for cut in range(1, len(history)):
        assert fold("1", history[cut:], known=fold("1", history[:cut])) == whole
        assert journal.newer("1", history[cut - 1].seq) == history[cut:]
    assert fold("1", (), known=whole) == whole
