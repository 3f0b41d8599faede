"""Run all rounds, and classify the differences."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from test.parity.daemon_pair import DaemonPair
from test.parity.differences import differences
from test.parity.known_differences import KNOWN, Finding, known_difference
from test.parity.matrix import Round


@dataclass
class Result:
    """The differences; `asked` counts questions to both daemons, `documented` the occurrences of each known row."""

    asked: int = 0
    documented: Counter[str] = field(default_factory=Counter)
    unknown: list[Finding] = field(default_factory=list)

    @property
    def not_found(self) -> set[str]:
        """Return the rows of the document that did not occur."""
        return {each.row for each in KNOWN} - self.documented.keys()

    def add(self, finding: Finding) -> None:
        if explanation := known_difference(finding):
            self.documented[explanation.row] += 1
        else:
            self.unknown.append(finding)

    def __str__(self) -> str:
        found = [f"{number:6} times: {row}" for row, number in self.documented.most_common()]
        alike = Counter(finding.kind for finding in self.unknown)
        one_of = {finding.kind: finding for finding in self.unknown}
        strange = [f"NOT DOCUMENTED, {number} times: {one_of[kind]}" for kind, number in alike.most_common(50)]
        counts = f"{self.asked} questions, {self.documented.total()} documented differences, {len(self.unknown)} others"
        return "\n".join((counts, *found, *strange))


def ask_all(pair: DaemonPair, rounds: Iterable[Round], result: Result) -> None:
    for each in rounds:
        if pair.uses_tool and "NO_DNS" in each.server.name:
            continue  # HTCondor 23 is fetched with a C library that has different name services
        pair.configure(each.server)
        for client in each.clients:
            for level, answers in zip(each.levels, pair.ask(client, each.levels), strict=True):
                result.asked += 1
                for finding in differences(answers, each.server.name, client.name, level):
                    result.add(finding)
