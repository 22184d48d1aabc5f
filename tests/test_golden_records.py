"""What was written to the log once must be readable for ever, so each kind of record has committed golden files.

A golden file is never edited. When a codec begins to write more, its case in `golden/cases.py` changes and
`python -m tests.golden` adds a file such as `attempt.2.json`: the newest file is what the codec writes, all older
ones must still be read.
"""

from pathlib import Path

import pytest

from tests.golden.codecs import ALL, FOLDER, files_of, from_text


@pytest.mark.parametrize("name", ALL)
def test_a_codec_writes_exactly_what_its_newest_golden_file_holds(name: str) -> None:
    codec, item = ALL[name]
    assert codec.write(item) == from_text(files_of(name)[-1].read_text())


@pytest.mark.parametrize("name", ALL)
def test_a_codec_reads_its_golden_file_as_the_object_that_was_written(name: str) -> None:
    codec, item = ALL[name]
    assert codec.read(from_text(files_of(name)[-1].read_text())) == item


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.name)
def test_every_golden_file_there_ever_was_can_still_be_read(file: Path) -> None:
    codec, item = ALL[file.name.partition(".")[0]]
    assert type(codec.read(from_text(file.read_text()))) is type(item)
