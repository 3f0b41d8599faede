"""Common mistakes in key files are reported before any call to AWS, and no message quotes a file."""

import pytest

from annexd.aws import Credentials, NotAKey, SecretKey, faults_of, key_in, token_in

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # the example in AWS's documentation
TOKEN = "IQoJb3JpZ2luX2VjEOr//////////" + "A" * 900 + "/+=="


@pytest.mark.parametrize("around", ["{}", "{}\n", "{}\r\n", "  {}\t\r\n\r\n"])
def test_white_space_around_a_key_is_ignored(around: str) -> None:
    assert [key_in(around.format(key).encode()) for key in (KEY_ID, SECRET)] == [KEY_ID, SECRET]
    assert token_in(around.format(TOKEN).encode()) == TOKEN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\r\n", "is empty"),
        (b"\xef\xbb\xbf" + SECRET.encode(), "begins with a byte order mark"),
        (SECRET.encode("utf-16"), "is UTF-16 text, as PowerShell's > writes it"),
        (b"\xfe\xff" + SECRET.encode("utf-16-be"), "is UTF-16 text"),
        (f"{KEY_ID}\n{SECRET}\n".encode(), "must hold one AWS key and nothing else"),
        (f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n".encode(), "use its profile"),
        (f"aws_secret_access_key = {SECRET}\n".encode(), "sets a variable"),
        (f"export AWS_SECRET_ACCESS_KEY={SECRET}\n".encode(), "sets a variable"),
        (f'$Env:AWS_SECRET_ACCESS_KEY="{SECRET}"\r\n'.encode(), "sets a variable"),
        (f"Access key ID,Secret access key\r\n{KEY_ID},{SECRET}\r\n".encode(), "is the console's CSV"),
        (f'{{"Credentials": {{"SecretAccessKey": "{SECRET}"}}}}'.encode(), "is JSON"),
        (f'"{SECRET}"\n'.encode(), "holds the value in quotes"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXkt\n", "is a PEM file"),
        (f"{SECRET}ä".encode(), "must hold one AWS key"),
    ],
)
def test_a_file_without_a_key_is_refused_with_what_it_is(content: bytes, message: str) -> None:
    for read in (key_in, token_in):
        with pytest.raises(NotAKey, match=message) as caught:
            read(content)
        assert SECRET[:8] not in str(caught.value)


def test_a_token_may_be_longer_than_a_key() -> None:
    with pytest.raises(NotAKey):
        key_in(TOKEN.encode())
    with pytest.raises(NotAKey):
        token_in(TOKEN.encode() * 50)


@pytest.mark.parametrize(
    ("key_id", "secret", "token", "message"),
    [
        (SECRET, KEY_ID, None, "the access key ID and the secret are swapped"),
        (KEY_ID, KEY_ID, None, "there is an access key ID in place of the secret access key"),
        (SECRET, SECRET, None, "there is a secret in place of the access key ID"),
        ("ASIAIOSFODNN7EXAMPLE", SECRET, None, "a temporary key, which AWS accepts only with its session token"),
        (KEY_ID, SECRET, TOKEN, "a long-lived key, which has no session token"),
        ("AIDACKCEVSQ6C2EXAMPLE", SECRET, None, "is the ID of a user"),
        ("AROADBQP57FF2AEXAMPLE", SECRET, None, "is the ID of a role"),
    ],
)
def test_malformed_keys_are_reported_without_being_shown(
    key_id: str, secret: str, token: str | None, message: str
) -> None:
    [fault] = faults_of(Credentials(key_id, SecretKey(secret), SecretKey(token) if token else None))
    assert message in fault
    assert SECRET not in fault


@pytest.mark.parametrize(("key_id", "token"), [(KEY_ID, None), ("ASIAIOSFODNN7EXAMPLE", TOKEN), ("test", None)])
def test_keys_that_may_be_right_are_left_to_aws(key_id: str, token: str | None) -> None:
    """Emulators accept any text as a key."""
    assert faults_of(Credentials(key_id, SecretKey("a'secret"), SecretKey(token) if token else None)) == []


def test_another_session_token_is_another_identity_and_none_is_ever_printed() -> None:
    first, second = (Credentials(KEY_ID, SecretKey(SECRET), SecretKey(token)) for token in ("first", "second"))
    assert first.identity != second.identity != Credentials(KEY_ID, SecretKey(SECRET)).identity
    assert "first" not in repr(first) + repr(first.identity)
