"""Records of operations into rows."""

import msgspec

from projections.writer.cells import moment
from schemas.operation import decode_operation


def operation_cells(value: bytes | None) -> dict[str, object]:
    """The cells of an operation's row.

    Raises:
        MalformedRecordError: it is no record of an operation.
    """
    operation = decode_operation(value)
    cells = msgspec.structs.asdict(operation)
    del cells["at_ms"]
    return cells | {"at": moment(operation.at_ms), "detail": msgspec.json.encode(operation.detail).decode()}
