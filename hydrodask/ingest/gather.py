"""Take a batch of librdkafka's messages apart, compiled: structs behind pointers in, columns out, no object each.

`rd_kafka_message_t` is part of librdkafka's public, stable interface: err, rkt, partition, payload, len, key, key_len,
offset, private; nine words of eight bytes, where err and partition fill the first half of theirs.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from hydrodask.kernels import njit

ERROR, TOPIC, PARTITION, VALUE, VALUE_LEN, KEY, KEY_LEN, OFFSET = range(8)
"""Words of a message."""

COUNT, VALUE_BYTES, KEY_BYTES = 0, 1, 2
"""Columns of what is counted for each partition of a batch."""

WORDS = 9

TRACEPARENT_BYTES = 55
"""`00-` trace id `-` span id `-` flags, all in hexadecimal digits (W3C Trace Context)."""

_BYTE_POINTER = ir.IntType(8).as_pointer()
_INT64 = ir.IntType(64)


@intrinsic
def _pointer(_context, address):  # type: ignore[no-untyped-def]
    """Return `address` (int64) as a pointer."""

    def codegen(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


@intrinsic
def _timestamp(_context, function, message, kind):  # type: ignore[no-untyped-def]
    """Call `int64_t function(message, kind)`, all given as addresses: `rd_kafka_message_timestamp`."""

    def codegen(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        kind_of = ir.FunctionType(_INT64, [_BYTE_POINTER, _BYTE_POINTER]).as_pointer()
        pointers = [builder.inttoptr(a, _BYTE_POINTER) for a in arguments[1:]]
        return builder.call(builder.inttoptr(arguments[0], kind_of), pointers)

    return types.int64(function, message, kind), codegen


@intrinsic
def _destroy(_context, function, message):  # type: ignore[no-untyped-def]
    """Call `void function(message)`, both given as addresses: `rd_kafka_message_destroy`."""

    def codegen(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        kind_of = ir.FunctionType(ir.VoidType(), [_BYTE_POINTER]).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind_of), [builder.inttoptr(arguments[1], _BYTE_POINTER)])
        return context.get_dummy_value()

    return types.none(function, message), codegen


@intrinsic
def _move(_context, target, source, count):  # type: ignore[no-untyped-def]
    """Copy `count` bytes from one address to another: as memcpy does, many at a time."""

    def codegen(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        pointers = [builder.inttoptr(a, _BYTE_POINTER) for a in arguments[:2]]
        cgutils.raw_memcpy(builder, *pointers, arguments[2], 1)
        return _context.get_dummy_value()

    return types.none(target, source, count), codegen


@intrinsic
def _headers(_context, function, message, room):  # type: ignore[no-untyped-def]
    """Call `int function(message, room)`, all given as addresses: `rd_kafka_message_headers`."""
    return types.int32(function, message, room), _call(2)


@intrinsic
def _last(_context, function, headers, name, value, size):  # type: ignore[no-untyped-def]
    """Call `int function(headers, name, value, size)`, all given as addresses: `rd_kafka_header_get_last`."""
    return types.int32(function, headers, name, value, size), _call(4)


def _call(count: int) -> Any:
    """Return what makes the call of a C function of so many pointers that gives an int."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [_BYTE_POINTER] * count).as_pointer()
        pointers = [builder.inttoptr(one, _BYTE_POINTER) for one in arguments[1:]]
        return builder.call(builder.inttoptr(arguments[0], kind), pointers)

    return codegen


@njit(cache=True, inline="always")
def _half(word):  # type: ignore[no-untyped-def]
    """Return the 32-bit integer in the first half of a word."""
    return np.int64(np.int32(word & 0xFFFFFFFF))


@njit(cache=True, nogil=True)
def sort_out(pointers, slots, errors, sources, sums):  # type: ignore[no-untyped-def]
    """Give each message the slot of its partition, slots in order of first appearance; return how many there are.

    `pointers` (n,) are addresses of messages. Fills `slots` (n,), `errors` (n,: 0 for a record), `sources` (slots, 2:
    address of the topic, partition) and `sums` (slots, 3), which counts records and their bytes.
    """
    known = 0
    slot = -1
    for i in range(len(pointers)):
        message = carray(_pointer(pointers[i]), (WORDS,), np.int64)
        topic, partition = message[TOPIC], _half(message[PARTITION])
        if slot < 0 or sources[slot, 0] != topic or sources[slot, 1] != partition:
            slot = 0
            while slot < known and (sources[slot, 0] != topic or sources[slot, 1] != partition):
                slot += 1
            if slot == known:
                sources[slot, 0], sources[slot, 1] = topic, partition
                sums[slot, :] = 0
                known += 1
        slots[i] = slot
        errors[i] = _half(message[ERROR])
        if errors[i] == 0:
            sums[slot, COUNT] += 1
            sums[slot, VALUE_BYTES] += message[VALUE_LEN]
            sums[slot, KEY_BYTES] += message[KEY_LEN]
    return known


@njit(cache=True, nogil=True)
def copy(pointers, slots, errors, sums, functions, columns, values, keys):  # type: ignore[no-untyped-def]
    """Copy records into columns, partition by partition, and destroy all messages.

    `functions` are addresses of (timestamp, its kind, destroy). `columns` is (offsets, stamps in ms); `values` and
    `keys` are each (bytes, bounds, present). Slot s fills `sums[s]` places and bytes, behind those of the slots before.
    """
    starts = np.zeros((len(sums) + 1, 3), np.int64)
    for slot in range(len(sums)):
        for column in range(3):
            starts[slot + 1, column] = starts[slot, column] + sums[slot, column]
    offsets, stamps = columns
    values[1][0] = keys[1][0] = 0
    for i in range(len(pointers)):
        if errors[i] == 0:
            message = carray(_pointer(pointers[i]), (WORDS,), np.int64)
            start = starts[slots[i]]
            at = start[COUNT]
            offsets[at] = message[OFFSET]
            stamps[at] = _timestamp(functions[0], pointers[i], functions[1])
            _put(message[VALUE], message[VALUE_LEN], start[VALUE_BYTES], at, values)
            _put(message[KEY], message[KEY_LEN], start[KEY_BYTES], at, keys)
            start[COUNT] += 1
            start[VALUE_BYTES] += message[VALUE_LEN]
            start[KEY_BYTES] += message[KEY_LEN]
        _destroy(functions[2], pointers[i])


@njit(cache=True, inline="always")
def _put(address, length, start, at, blobs):  # type: ignore[no-untyped-def]
    """Copy one value or key to `start` as the blob at place `at`."""
    data, bounds, present = blobs
    bounds[at + 1] = start + length
    present[at] = address != 0
    _move(data.ctypes.data + start, address, length)


@njit(cache=True, nogil=True)  # for traces alone
def sampled(pointers, errors, calls, room, found):  # type: ignore[no-untyped-def]
    """Fill `places` and `texts` with the records that have a sampled traceparent; return how many these are.

    `calls` are addresses: of what gives the headers of a message, of what gives the last header of a name, of the name,
    and of `room` (3,), which they fill. `found` is (places, texts). Sampled is whose flags are odd.
    """
    headers, last, name, address = calls
    places, texts = found
    count = 0
    for i in range(len(pointers)):
        if count == len(places):
            break
        if errors[i] != 0 or _headers(headers, pointers[i], address) != 0:
            continue
        if _last(last, room[0], name, address + 8, address + 16) != 0 or room[2] != TRACEPARENT_BYTES:
            continue
        text = carray(_pointer(room[1]), (TRACEPARENT_BYTES,), np.uint8)
        digit = text[TRACEPARENT_BYTES - 1]
        if (digit - 48 if digit < 58 else digit - 87) % 2 == 1:
            texts[count, :] = text
            places[count] = i
            count += 1
    return count
