"""The inner loops of a slider move, compiled by numba for this machine's vector unit: one pass over the bytes.

Each does, element by element, the very operations of the eager code beside it (`merging.arithmetic`, `merging.steps`),
in the same order and each rounded to float32, so that both give the same bits; no fast-math flag is set where rounding
could differ. Tensors come in as addresses, because their number and dtypes vary and one compiled function serves all.
Imported by `merging.fused` alone, in the background: compiling takes some seconds once on a machine (numba keeps the
result beside this file or in its cache folder, for as long as this very file is not changed: so all of it is here).
"""

# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
# (numba's intrinsics are called without the typing context that their definitions take, and its stubs lack carray)
import numpy as np
from llvmlite import ir
from numba import carray, from_dtype, njit, types
from numba.extending import intrinsic

BLOCK = 1024  # float32 elements of one buffer: a handful of them fit the first-level cache
EXACT = 1 << 16  # elements whose fixed-point magnitudes are summed without rounding (`arithmetic.fixed_sum`)
BINS, SHIFT = 1 << 16, 15  # of a float32 magnitude's 31 bits, 16 name the bin and 15 the place in it

BF16, F32, F32_ROUNDED, F32_DELTA = 1, 2, 3, 4  # kinds of storage; ROUNDED: float32 that holds bfloat16 values
WINDOW, NOISE, MASK = 1, 2, 3  # kinds of rules; 0 keeps all
KINDS = {"Window": WINDOW, "Noise": NOISE, "Mask": MASK}  # by the names of `merging.keep`

_U8, _U64, _I64, _F32, _F64 = types.uint8, types.uint64, types.int64, types.float32, types.float64
_FIFTEEN, _SIXTEEN, _ONE, _HALF = np.uint32(15), np.uint32(16), np.uint32(1), np.uint32(0x7FFF)
_HIGH, _MAGNITUDE = np.uint32(0xFFFF0000), np.uint32(0x7FFFFFFF)

rule_type = np.dtype(
    [
        ("kind", "u1"),
        ("cut", "f4"),  # WINDOW: magnitudes above stay, and
        ("last", "i8"),  # of those equal to it the ones up to this index,
        ("top", "f4"),  # but magnitudes above this one go again (infinity: none), and
        ("top_last", "i8"),  # of those equal to it the ones up to this index
        ("draws", "u4"),  # NOISE: 24-bit draws below stay
        ("first", "u4"),  # NOISE: the stream's two words
        ("second", "u4"),
        ("mask", "u8"),  # MASK: address of one byte per element, not 0 where it stays
        ("scale", "f4"),
        ("weight", "f4"),
    ],
    align=True,
)
_Rule = from_dtype(rule_type)


@intrinsic
def _pointer(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.uint64), codegen


@intrinsic
def _as_float(typingctx, word):
    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), codegen


@intrinsic
def _as_bits(typingctx, value):
    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), codegen


@njit(inline="always")
def _wide(half):
    """The float32 value of a bfloat16 element."""
    return _as_float(np.uint32(np.uint32(half) << _SIXTEEN))


@njit(inline="always")
def _rounded(value):
    """The bits of a float32 value, its upper half rounded to nearest even."""
    bits = _as_bits(value)
    return np.uint32(bits + _HALF + ((bits >> _SIXTEEN) & _ONE))


@njit(inline="always")
def _load(bits, values, address, kind, start, count):
    """`count` elements from `start` on, widened to float32, into a buffer seen as bits and as values."""
    if kind == BF16:
        narrow = carray(_pointer(address + np.uint64(2 * start)), count, np.uint16)
        for i in range(count):
            bits[i] = np.uint32(narrow[i]) << _SIXTEEN
    else:
        wide = carray(_pointer(address + np.uint64(4 * start)), count, np.float32)
        for i in range(count):
            values[i] = wide[i]


@njit(inline="always")
def _store(bits, values, address, kind, start, count):
    """Write a buffer, rounded once to nearest even where the kind is narrower."""
    if kind == BF16:
        narrow = carray(_pointer(address + np.uint64(2 * start)), count, np.uint16)
        for i in range(count):
            narrow[i] = np.uint16((bits[i] + _HALF + ((bits[i] >> _SIXTEEN) & _ONE)) >> _SIXTEEN)
    elif kind == F32:
        wide = carray(_pointer(address + np.uint64(4 * start)), count, np.float32)
        for i in range(count):
            wide[i] = values[i]
    else:
        words = carray(_pointer(address + np.uint64(4 * start)), count, np.uint32)
        for i in range(count):
            words[i] = (bits[i] + _HALF + ((bits[i] >> _SIXTEEN) & _ONE)) & _HIGH


@njit(inline="always")
def _mix(word):
    """`noise._mix`, in 32-bit words (numba widens every operation to 64 bits: the casts cut it back)."""
    word = np.uint32((word ^ (word >> _SIXTEEN)) * np.uint32(0x21F0AAAD))
    word = np.uint32((word ^ (word >> _FIFTEEN)) * np.uint32(0x735A2D97))
    return np.uint32(word ^ (word >> _FIFTEEN))


@njit(inline="always")
def _delta(bits, values, base, source, kind, start, count):
    """The deltas of `count` elements into a buffer: as stored, or model minus base."""
    _load(bits, values, source, F32 if kind == F32_DELTA else kind, start, count)
    if kind != F32_DELTA:
        for i in range(count):
            values[i] = values[i] - base[i]


@njit(inline="always")
def _read(bits, values, own_bits, own, base, base_kind, source, kind, start, count):
    """As `_delta`, where the base is not at hand yet."""
    if kind != F32_DELTA:
        _load(own_bits, own, base, base_kind, start, count)
    _delta(bits, values, own, source, kind, start, count)


@njit(inline="always")
def _keep(values, rule, start, count, weight):
    """Set to 0 what the rule drops; what stays is multiplied by the rule's scale, then by the weight.

    Fields of the rule are read into locals first: a loop that reads them from memory is not vectorised.
    """
    zero, scale = np.float32(0), rule.scale
    if rule.kind == WINDOW:
        cut, top = rule.cut, rule.top
        last = np.int32(min(max(rule.last - start, -1), BLOCK))
        top_last = np.int32(min(max(rule.top_last - start, -1), BLOCK))
        if top == np.float32(np.inf):
            for i in range(count):
                size = abs(values[i])
                stays = (size > cut) | ((size == cut) & (np.int32(i) <= last))
                values[i] = (values[i] if stays else zero) * scale * weight
        else:
            for i in range(count):
                size, place = abs(values[i]), np.int32(i)
                stays = (size > cut) | ((size == cut) & (place <= last))
                goes = (size > top) | ((size == top) & (place <= top_last))
                values[i] = (values[i] if stays & (not goes) else zero) * scale * weight
    elif rule.kind == NOISE:
        first, second, draws, place = rule.first, rule.second, rule.draws, np.uint32(start)
        for i in range(count):
            word = _mix(np.uint32(np.uint32(place + np.uint32(i)) ^ first))
            drawn = np.uint32(_mix(np.uint32(word ^ second)) >> np.uint32(8))
            values[i] = (values[i] if drawn < draws else zero) * scale * weight
    elif rule.kind == MASK:
        mask = carray(_pointer(rule.mask + np.uint64(start)), count, np.uint8)
        for i in range(count):
            values[i] = (values[i] if mask[i] != 0 else zero) * scale * weight
    else:
        for i in range(count):
            values[i] = values[i] * scale * weight


@njit(inline="always")
def _elect(votes, rules, total, sign, share, normalize, count):
    """Turn `total`, the sum of the votes (rows of weighted deltas), into their merge by elected sign."""
    zero, one = np.float32(0), np.float32(1)
    if len(rules) == 2:  # the usual number: one loop, nothing goes through memory
        first, second, w1, w2 = votes[0], votes[1], rules[0].weight, rules[1].weight
        if normalize:
            for i in range(count):
                side = one if total[i] >= zero else -one
                a, b = first[i] * side, second[i] * side
                weight = (w1 if a > zero else zero) + (w2 if b > zero else zero)
                weight = one if weight == zero else weight
                agreeing = (a if a > zero else zero) + (b if b > zero else zero)
                total[i] = agreeing / weight * side + zero
        else:
            for i in range(count):
                side = one if total[i] >= zero else -one
                a, b = first[i] * side, second[i] * side
                total[i] = ((a if a > zero else zero) + (b if b > zero else zero)) * side + zero
        return
    for i in range(count):
        sign[i] = one if total[i] >= zero else -one
        total[i], share[i] = zero, zero
    for j in range(len(rules)):
        values, weight = votes[j], rules[j].weight
        for i in range(count):
            agreeing = values[i] * sign[i]
            stays = agreeing > zero
            total[i] = total[i] + (agreeing if stays else zero)
            share[i] = share[i] + (weight if stays else zero)
    if normalize:
        for i in range(count):
            total[i] = total[i] / (one if share[i] == zero else share[i])
    for i in range(count):
        total[i] = total[i] * sign[i] + zero


@njit(inline="always")
def _sum_of_two(one, two, first, second, out, out_kind, start, count):
    """As `weighted_sum` for two bfloat16 tensors, what every slider between two models does: in registers alone."""
    x = carray(_pointer(one + np.uint64(2 * start)), count, np.uint16)
    y = carray(_pointer(two + np.uint64(2 * start)), count, np.uint16)
    if out_kind == BF16:
        narrow = carray(_pointer(out + np.uint64(2 * start)), count, np.uint16)
        for i in range(count):
            narrow[i] = np.uint16(_rounded(_wide(x[i]) * first + _wide(y[i]) * second) >> _SIXTEEN)
    elif out_kind == F32:
        values = carray(_pointer(out + np.uint64(4 * start)), count, np.float32)
        for i in range(count):
            values[i] = _wide(x[i]) * first + _wide(y[i]) * second
    else:
        words = carray(_pointer(out + np.uint64(4 * start)), count, np.uint32)
        for i in range(count):
            words[i] = _rounded(_wide(x[i]) * first + _wide(y[i]) * second) & _HIGH


@njit(types.void(_U64[::1], _U8[::1], _F32[::1], _U64, _U8, _I64, _I64), nogil=True, cache=True)
def weighted_sum(sources, kinds, factors, out, out_kind, start, end):
    """Elements [start, end) of Σ factor · source."""
    if len(sources) == 2 and kinds[0] == BF16 and kinds[1] == BF16:
        _sum_of_two(sources[0], sources[1], factors[0], factors[1], out, out_kind, start, end - start)
        return
    bits, part_bits = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    total, part = bits.view(np.float32), part_bits.view(np.float32)
    for low in range(start, end, BLOCK):
        count = min(BLOCK, end - low)
        _load(bits, total, sources[0], kinds[0], low, count)
        for i in range(count):
            total[i] = total[i] * factors[0]
        for j in range(1, len(sources)):
            _load(part_bits, part, sources[j], kinds[j], low, count)
            for i in range(count):
                total[i] = total[i] + part[i] * factors[j]
        _store(bits, total, out, out_kind, low, count)


@njit(
    types.void(_U64, _U8, _U64[::1], _U8[::1], _Rule[::1], _U8, _U8, _F32, _U64, _U8, _I64, _I64),
    nogil=True,
    cache=True,
)
def merge_deltas(base, base_kind, sources, kinds, rules, elect, normalize, scale, out, out_kind, start, end):
    """Elements [start, end) of base + scale · (the weighted deltas, summed, or merged by their elected sign)."""
    size = len(sources)
    bits, sign, share = np.empty((size, BLOCK), np.uint32), np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    own_bits, out_bits = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    votes, own, total = bits.view(np.float32), own_bits.view(np.float32), out_bits.view(np.float32)
    for low in range(start, end, BLOCK):
        count = min(BLOCK, end - low)
        _load(own_bits, own, base, base_kind, low, count)
        for j in range(size):
            values = votes[j]
            _delta(bits[j], values, own, sources[j], kinds[j], low, count)
            _keep(values, rules[j], low, count, rules[j].weight)
            if j == 0:
                for i in range(count):
                    total[i] = values[i]
            else:
                for i in range(count):
                    total[i] = total[i] + values[i]
        if elect:
            _elect(votes, rules, total, sign, share, normalize, count)
        for i in range(count):
            total[i] = own[i] + total[i] * scale
        _store(out_bits, total, out, out_kind, low, count)


@njit(_U64(_U64, _U8, _U64, _U8, _I64, _I64), nogil=True, cache=True)
def peak(base, base_kind, source, kind, start, end):
    """The bits of the largest |δ| of elements [start, end)."""
    bits, own_bits = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    values, own = bits.view(np.float32), own_bits.view(np.float32)
    found = np.uint32(0)
    for low in range(start, end, BLOCK):
        count = min(BLOCK, end - low)
        _read(bits, values, own_bits, own, base, base_kind, source, kind, low, count)
        for i in range(count):
            found = max(found, bits[i] & _MAGNITUDE)
    return np.uint64(found)


# Reassociation changes nothing here: every partial sum is a whole number below 2**53, so no order rounds.
@njit(_I64(_U64, _U8, _U64, _U8, _Rule[::1], _F64, _I64, _I64), nogil=True, cache=True, fastmath={"reassoc"})
def kept_sum(base, base_kind, source, kind, rules, factor, start, end):
    """Σ round(|δ| · factor) of the elements of [start, end) that the rule keeps; start is a multiple of EXACT."""
    bits, own_bits = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    values, own = bits.view(np.float32), own_bits.view(np.float32)
    total = np.int64(0)
    for whole in range(start, end, EXACT):
        exact = np.float64(0)
        for low in range(whole, min(whole + EXACT, end), BLOCK):
            count = min(BLOCK, end - low)
            _read(bits, values, own_bits, own, base, base_kind, source, kind, low, count)
            _keep(values, rules[0], low, count, np.float32(1))
            for i in range(count):
                exact += np.rint(abs(np.float64(values[i])) * factor)
        total += np.int64(exact)
    return total


@njit(types.void(_U64, _U8, _U64, _U8, _I64, _I64, _I64[::1]), nogil=True, cache=True)
def histogram(base, base_kind, source, kind, start, end, counts):
    """Count the |δ| of elements [start, end) into BINS bins by their upper 16 bits."""
    bits, own_bits = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    values, own = bits.view(np.float32), own_bits.view(np.float32)
    for low in range(start, end, BLOCK):
        count = min(BLOCK, end - low)
        _read(bits, values, own_bits, own, base, base_kind, source, kind, low, count)
        for i in range(count):
            counts[(bits[i] & _MAGNITUDE) >> np.uint32(SHIFT)] += 1


@njit(_I64(_U64, _U8, _U64, _U8, types.uint32, _I64, _I64, types.uint32[::1], _I64[::1]), nogil=True, cache=True)
def gather(base, base_kind, source, kind, wanted, start, end, magnitudes, places):
    """The magnitudes (as bits) and places of the elements of [start, end) in one bin, in order; how many there are."""
    bits, own_bits = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    values, own = bits.view(np.float32), own_bits.view(np.float32)
    found = 0
    for low in range(start, end, BLOCK):
        count = min(BLOCK, end - low)
        _read(bits, values, own_bits, own, base, base_kind, source, kind, low, count)
        inside = 0
        for i in range(count):
            inside += (bits[i] & _MAGNITUDE) >> np.uint32(SHIFT) == wanted
        if inside:
            for i in range(count):
                size = bits[i] & _MAGNITUDE
                if size >> np.uint32(SHIFT) == wanted:
                    magnitudes[found], places[found] = size, low + i
                    found += 1
    return found
