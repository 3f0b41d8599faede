"""A missing part of a response does not count as "nothing"."""

from typing import Any

import pytest

from annexd.aws import answers, errors
from annexd.aws.answers import MAX_PAGES, UnknownShape


class Paged:
    """A service that responds to any requests with these pages, and then repeats the last one."""

    def __init__(self, *pages: Any) -> None:
        self.pages, self.asked = list(pages), 0

    def list_rules(self, **_: Any) -> Any:
        self.asked += 1
        return self.pages[min(self.asked, len(self.pages)) - 1]


def rows(*pages: Any) -> list[Any]:
    return list(answers.listed(Paged(*pages), "list_rules", "Rules"))


def test_all_pages_are_read_also_after_an_empty_one() -> None:
    pages = [{"Rules": [{"Name": "a"}], "NextToken": "1"}, {"Rules": [], "NextToken": "2"}, {"Rules": [{"Name": "b"}]}]
    assert [row["Name"] for row in rows(*pages)] == ["a", "b"]


@pytest.mark.parametrize("page", [{}, {"Rules": None}, {"Rules": {}}, {"Rules": "a"}, {"Rules": ["a"]}, None, []])
def test_a_listing_without_its_list_does_not_count_as_empty(page: Any) -> None:
    with pytest.raises(UnknownShape):
        rows(page)


def test_a_repeated_page_and_endless_pages_are_given_up() -> None:
    with pytest.raises(UnknownShape, match="came twice"):
        rows({"Rules": [], "NextToken": "1"})
    endless = Paged(*({"Rules": [], "NextToken": str(i)} for i in range(MAX_PAGES + 10)))
    with pytest.raises(UnknownShape, match="pages"):
        list(answers.listed(endless, "list_rules", "Rules"))
    assert endless.asked == MAX_PAGES


@pytest.mark.parametrize("answer", [{}, {"Arn": None}, {"Arn": ""}, {"Arn": 5}, {"Arn": "a" * 3000}, None, "Arn"])
def test_a_name_is_a_text_of_bounded_length(answer: Any) -> None:
    with pytest.raises(UnknownShape):
        answers.text(answer, "Arn")


@pytest.mark.parametrize("answer", [{}, {"Count": None}, {"Count": True}, {"Count": "0"}, {"Count": 0.5}])
def test_a_count_is_a_number(answer: Any) -> None:
    with pytest.raises(UnknownShape):
        answers.number(answer, "Count")


def test_a_call_with_an_answer_of_unknown_shape_has_an_unknown_effect() -> None:
    error = UnknownShape(what="the answer has no Rules")
    assert errors.is_unknown(error)
    assert not errors.had_no_effect(error)
    assert errors.describe(error, "ListRules") == "ListRules got an answer unlike AWS's: the answer has no Rules"
