// A system behind a serial line, as a C interface: bytes in, bytes out, and cycles.
//
// The other end of the line is played here, by the system's own clock: a bit takes `divisor` cycles.

#include "Vtop.h"

#include <verilated.h>

#include <cstdint>
#include <memory>

#define API extern "C" __attribute__((visibility("default")))

namespace {

struct Model {
    VerilatedContext context;
    std::unique_ptr<Vtop> top;
    uint64_t cycles = 0;
    uint32_t divisor;
    uint32_t send_left = 0, send_bits = 0, send_count = 0;  // bits to go, these bits, cycles to go of this bit
    uint32_t take_left = 0, take_bits = 0, take_count = 0;  // of the byte that comes

    explicit Model(uint32_t cycles_a_bit) : divisor{cycles_a_bit} {
        context.fatalOnError(false);
        top = std::make_unique<Vtop>(&context);
        top->rx = 1;
        top->rst = 1;
        for (int i = 0; i < 4; ++i) cycle();
        top->rst = 0;
        cycle();
    }

    ~Model() {
        Verilated::threadContextp(&context);
        top->final();
    }

    void cycle() {
        Verilated::threadContextp(&context);
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
        ++cycles;
    }

    // Whether a byte has been taken over from `byte`.
    bool send(const uint8_t* byte) {
        bool taken = false;
        if (!send_count && !send_left && byte) {
            send_bits = 0x200u | uint32_t(*byte) << 1;
            send_left = 10;
            taken = true;
        }
        if (!send_count && send_left) {
            top->rx = send_bits & 1;
            send_bits >>= 1;
            --send_left;
            send_count = divisor;
        }
        if (send_count) --send_count;
        return taken;
    }

    // Whether a byte has come whole, in `byte`.
    bool take(uint8_t& byte) {
        if (!take_left) {
            if (!top->tx) {
                take_left = 9;
                take_count = divisor + divisor / 2;
            }
            return false;
        }
        if (--take_count) return false;
        take_count = divisor;
        take_bits = take_bits >> 1 | uint32_t(top->tx) << 8;
        if (--take_left) return false;
        byte = uint8_t(take_bits);
        return take_bits >> 8 & 1;
    }
};

}  // namespace

API Model* gs_create(uint32_t divisor) { return new Model(divisor); }

API void gs_destroy(Model* m) { delete m; }

// Clocks `cycles` times while up to `n` bytes of `in` are sent; bytes that come go to `out`, which must have room for
// `cycles` / 10 / `divisor` + 1, and their number to `got`. Returns how many of `in` were taken over.
API uint64_t gs_run(Model* m, uint64_t cycles, const uint8_t* in, uint64_t n, uint8_t* out, uint64_t* got) {
    uint64_t sent = 0;
    *got = 0;
    for (uint64_t i = 0; i < cycles && !m->context.gotFinish(); ++i) {
        sent += m->send(sent < n ? in + sent : nullptr);
        m->cycle();
        uint8_t byte;
        if (m->take(byte)) out[(*got)++] = byte;
    }
    return sent;
}

// Holds the line at `level` for `cycles` cycles, whatever was being sent.
API void gs_hold(Model* m, int level, uint64_t cycles) {
    m->send_left = m->send_count = 0;
    m->top->rx = level & 1;
    for (uint64_t i = 0; i < cycles; ++i) m->cycle();
    m->top->rx = 1;
}

// Whether a byte is under way in either direction.
API int gs_sending(Model* m) { return m->send_left || m->send_count || m->take_left; }

// busy, error, alive, link, from bit 0 up.
API int gs_leds(Model* m) { return m->top->busy | m->top->error << 1 | m->top->alive << 2 | m->top->link << 3; }

API int gs_finished(Model* m) { return m->context.gotFinish(); }

API uint64_t gs_cycles(Model* m) { return m->cycles; }
