"""Compare the responses of the two daemons."""

from collections.abc import Iterator

from test.parity.daemon_pair import Answers
from test.parity.known_differences import Finding

# Specific to a session or daemon: its name, commands and build.
INDIVIDUAL = frozenset({"Sid", "ConnectSinful", "ValidCommands", "RemoteVersion"})
OUTCOME = "the answer"


def differences(answers: Answers, server: str, client: str, level: str) -> Iterator[Finding]:
    schedd, annexd = answers.schedd, answers.annexd
    if isinstance(schedd, str) or isinstance(annexd, str):
        if schedd != annexd:
            yield Finding(server, client, level, OUTCOME, _brief(schedd), _brief(annexd))
        return
    for name in sorted((schedd.keys() | annexd.keys()) - INDIVIDUAL):
        if schedd.get(name) != annexd.get(name):
            yield Finding(server, client, level, name, schedd.get(name, ""), annexd.get(name, ""))


def _brief(answer: dict[str, str] | str) -> str:
    """Return the error message, or the user and method of the client."""
    return answer if isinstance(answer, str) else f"{answer.get('MyRemoteUserName')} by {answer.get('AuthMethods')}"
