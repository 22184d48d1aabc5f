"""What an endpoint says back of what it was shown in confidence."""

from processors.deliver.echoes import without_echoes
from schemas.stored import MASK


def test_header_values_are_masked_in_an_answer_whole_and_by_their_longer_words() -> None:
    values = ["Bearer a-long-credential", "v1", "another-secret"]
    answer = "got Authorization: Bearer a-long-credential, token a-long-credential, X: another-secret, v1"
    assert without_echoes(answer, values) == f"got Authorization: {MASK}, token {MASK}, X: {MASK}, v1"


def test_an_answer_without_them_is_as_it_was() -> None:
    assert without_echoes("ok", ["Bearer a-long-credential"]) == "ok"
    assert without_echoes("anything", []) == "anything"
