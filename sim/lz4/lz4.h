// The part of the LZ4 interface that Verilator's FST writer calls, where no LZ4 library is installed.
//
// Blocks are legal but not compressed: one sequence of literals (LZ4 block format: a token whose upper half is the number of
// literals, or 15 and further bytes that are added to it up to one below 255; then the literals).
#pragma once
#include <cstring>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    if (capacity < LZ4_compressBound(size)) return 0;
    char* at = target;
    *at++ = char((size < 15 ? size : 15) << 4);
    if (size >= 15) {
        int rest = size - 15;
        for (; rest >= 255; rest -= 255) *at++ = char(255);
        *at++ = char(rest);
    }
    std::memcpy(at, source, size_t(size));
    return int(at - target) + size;
}
