"""Name the workflows of a journal in one place: a program that reads or continues it must know all of them."""

from annexd.annex.cancel import add_cancelling
from annexd.annex.change import add_changing
from annexd.annex.index import AnnexIndex
from annexd.annex.offer_switch import add_switching
from annexd.annex.resize import add_resizing
from annexd.annex.steps import StepContext
from annexd.workflow import Engine


def index_of(engine: Engine, context: StepContext) -> AnnexIndex:
    """Return the index of an engine's annexes, after adding the workflows of commands on annexes to the engine."""
    index = AnnexIndex(engine)
    add_cancelling(engine, context, index)
    add_resizing(engine, context, index)
    add_changing(engine, context, index)
    add_switching(engine)
    return index
