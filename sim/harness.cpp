// A generated core behind a C interface: bus transfers, clocking and memory access without a call per cycle.
//
// A cycle is one evaluation with the clock low, which settles what follows from the inputs, and one with the clock high,
// the rising edge. Between calls the clock is high, and outputs show the state after the last edge.

#include "Vtop.h"

#include <verilated.h>
#include <verilated_syms.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#if VM_TRACE
#include "waves.h"
#endif

#define API extern "C" __attribute__((visibility("default")))

namespace {

struct Memory {
    std::string name;
    void* data;
    uint32_t depth, bits, bytes;  // words, bits of a word, bytes that a word takes
};

struct Model {
    VerilatedContext context;
    std::unique_ptr<Vtop> top;
    std::vector<Memory> memories;
    uint64_t cycles = 0;
    uint64_t state;  // of the generator of random numbers
    uint32_t stall;  // chance of an idle cycle before a transfer, of 1000
#if VM_TRACE
    std::unique_ptr<WaveFile> file;
    std::unique_ptr<Waves> waves;
    bool recording = true;
#endif

    Model(int wave_file, uint64_t seed, uint32_t stall_permille)
        : state{seed * 2 + 1}, stall{stall_permille} {
        context.fatalOnError(false);  // a failed assertion ends the run, not the process
#if VM_TRACE
        context.traceEverOn(true);
#endif
        top = std::make_unique<Vtop>(&context);
#if VM_TRACE
        file = std::make_unique<WaveFile>(wave_file);
        waves = std::make_unique<Waves>(*file, *top);
#else
        (void)wave_file;
#endif
        for (const auto& scope : *context.scopeNameMap()) {
            if (!scope.second->varsp()) continue;
            for (const auto& entry : *scope.second->varsp()) {
                const VerilatedVar& var = entry.second;
                if (var.udims() != 1) continue;
                memories.push_back({std::string{scope.first} + "." + entry.first, var.datap(),
                                    uint32_t(var.elements(1)), var.entBits(), var.entSize()});
            }
        }
        idle();
    }

    ~Model() {
        Verilated::threadContextp(&context);  // otherwise that of the model made last, which may be gone
        close();
        top->final();
    }

    void close() {
#if VM_TRACE
        if (!waves) return;
        waves.reset();
        file->close();
#endif
    }

    // A new call: a signal that came in an earlier one has been seen to.
    void begin() {
#if VM_TRACE
        file->interrupted = false;
#endif
    }

    // Whether the caller should have a look: the simulation is over, or a signal has come.
    bool stopped() {
#if VM_TRACE
        if (file->interrupted) return true;
#endif
        return context.gotFinish();
    }

    uint32_t random() {  // splitmix64
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return uint32_t(z >> 32);
    }

    void evaluate(bool level) {
        Verilated::threadContextp(&context);  // where a failed assertion goes
        top->clk = level;
        top->eval();
#if VM_TRACE
        if (waves && recording) waves->dump(context.time());
        if (file->error) context.gotFinish(true);
#endif
        context.timeInc(1);
    }

    void cycle() {
        evaluate(false);
        evaluate(true);
        ++cycles;
    }

    // No request; with random stalls the other request signals hold random values, for they must not matter.
    void idle() {
        top->bus___05Fvalid = 0;
        if (!stall) return;
        top->bus___05Fwrite = random() & 1;
        top->bus___05Faddr = random() & 0xffffff;
        top->bus___05Fw_data = random();
    }

    bool transfer(bool write, uint32_t addr, uint32_t& data, uint64_t limit) {
        while (stall && random() % 1000 < stall) {
            idle();
            cycle();
        }
        top->bus___05Fvalid = 1;
        top->bus___05Fwrite = write;
        top->bus___05Faddr = addr & 0xffffff;
        top->bus___05Fw_data = write ? data : 0;
        for (uint64_t i = 0; i < limit && !context.gotFinish(); ++i) {
            evaluate(false);
            const bool ready = top->bus___05Fready;
            if (ready && !write) data = top->bus___05Fr_data;
            evaluate(true);
            ++cycles;
            if (ready) return true;
        }
        return false;
    }
};

}  // namespace

// `wave_file`: an open file that becomes the model's.
API Model* gg_create(int wave_file, uint64_t seed, uint32_t stall) { return new Model(wave_file, seed, stall); }

API void gg_destroy(Model* m) { delete m; }

// Finishes the wave file. The model lives on, for views of its memories may.
API void gg_close(Model* m) { m->close(); }

// The error number of the wave file, 0 for none. After an error the simulation is over.
API int gg_wave_error(Model* m) {
#if VM_TRACE
    return m->file->error;
#else
    (void)m;
    return 0;
#endif
}

// Whether the following cycles go to the wave file; they do at first.
API void gg_record(Model* m, int on) {
#if VM_TRACE
    m->recording = on != 0;
#else
    (void)m, (void)on;
#endif
}

API uint64_t gg_step(Model* m, uint64_t n) {
    uint64_t i = 0;
    for (m->begin(); i < n && !m->stopped(); ++i) m->cycle();
    return i;
}

API void gg_reset(Model* m, uint64_t n) {
    m->begin();
    m->idle();
    m->top->rst = 1;
    for (uint64_t i = 0; i < n; ++i) m->cycle();
    m->top->rst = 0;
    m->cycle();  // the model has a register behind its reset
}

// Clocks until `busy` is low or one of the `count` words changes whose numbers are in `watched`, at most `n` cycles; returns the
// cycles that passed.
API uint64_t gg_run(Model* m, uint64_t n, const uint32_t* words, const uint32_t* watched, uint64_t count) {
    std::vector<uint32_t> before(count);
    for (uint64_t w = 0; w < count; ++w) before[w] = words[watched[w]];
    const auto changed = [&] {
        for (uint64_t w = 0; w < count; ++w)
            if (words[watched[w]] != before[w]) return true;
        return false;
    };
    uint64_t i = 0;
    for (m->begin(); i < n && m->top->busy && !m->stopped() && !changed(); ++i) m->cycle();
    return i;
}

// The transfers return how many succeeded; one that gets no answer in `limit` cycles is the last.
API uint64_t gg_write(Model* m, const uint32_t* addr, const uint32_t* data, uint64_t n, uint64_t limit) {
    uint64_t i = 0;
    m->begin();
    for (uint32_t word; i < n; ++i)
        if (!m->transfer(true, addr[i], word = data[i], limit)) break;
    m->idle();
    return i;
}

API uint64_t gg_write_block(Model* m, uint32_t addr, const uint32_t* data, uint64_t n, uint64_t limit) {
    uint64_t i = 0;
    m->begin();
    for (uint32_t word; i < n; ++i)
        if (!m->transfer(true, addr + uint32_t(i), word = data[i], limit)) break;
    m->idle();
    return i;
}

API uint64_t gg_read(Model* m, uint32_t addr, uint64_t n, uint32_t* data, uint64_t limit) {
    uint64_t i = 0;
    m->begin();
    for (; i < n; ++i)
        if (!m->transfer(false, addr + uint32_t(i), data[i], limit)) break;
    m->idle();
    return i;
}

API int gg_busy(Model* m) { return m->top->busy; }

API int gg_error(Model* m) { return m->top->error; }

// An assertion failed, or the design asked to stop.
API int gg_finished(Model* m) {
    fflush(stdout);
    return m->context.gotFinish();
}

API uint64_t gg_cycles(Model* m) { return m->cycles; }

API uint32_t gg_memories(Model* m) { return uint32_t(m->memories.size()); }

API const char* gg_memory(Model* m, uint32_t index, void** data, uint32_t* depth, uint32_t* bits, uint32_t* bytes) {
    const Memory& memory = m->memories[index];
    *data = memory.data;
    *depth = memory.depth;
    *bits = memory.bits;
    *bytes = memory.bytes;
    return memory.name.c_str();
}
