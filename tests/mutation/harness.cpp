// Replays recorded inputs on every mutant, and says where its outputs first differ from the recorded ones.
// ports.h, which mutate.py writes, copies a row's words to the inputs, and the outputs to a row.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vunit.h"
#include "ports.h"

// A mutant that never settles ends here.
void vl_fatal(const char*, int, const char*, const char* message) { throw std::runtime_error(message); }

using Words = std::vector<uint32_t>;

static Words read(const char* path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    Words words(file.tellg() / 4);
    file.seekg(0);
    file.read(reinterpret_cast<char*>(words.data()), words.size() * 4);
    return words;
}

static const int ROW = INPUTS + 2 * OUTPUTS;

static bool replay(const uint32_t* at, uint32_t rows, uint32_t mutant, uint32_t trace) {
    VerilatedContext context;
    Vunit unit{&context};
    unit.mutant = mutant;
    unit.clk = 0;
    for (uint32_t row = 0; row < rows; row++, at += ROW) {
        const uint32_t *expected = at + INPUTS, *mask = expected + OUTPUTS;
        uint32_t got[OUTPUTS];
        try {
            set(unit, at);
            unit.eval();
            get(unit, got);
            unit.clk = 1;
            unit.eval();
            unit.clk = 0;
        } catch (const std::runtime_error&) {
            std::printf("%u %u %u %d\n", mutant, trace, row, -1);
            return true;
        }
        for (int word = 0; word < OUTPUTS; word++)
            if ((got[word] ^ expected[word]) & mask[word]) {
                std::printf("%u %u %u %d\n", mutant, trace, row, word);
                return true;
            }
    }
    return false;
}

// vectors: for each trace its number of rows, then the rows: inputs, outputs, mask of the outputs that count.
int main(int argc, char** argv) {
    const Words vectors = read(argv[1]);
    const uint32_t mutants = std::stoul(argv[2]);
    for (uint32_t mutant = 0; mutant <= mutants; mutant++) {
        bool killed = false;
        size_t at = 0;
        for (uint32_t trace = 0; at < vectors.size() && !killed; trace++) {
            const uint32_t rows = vectors[at++];
            killed = replay(&vectors[at], rows, mutant, trace);
            at += size_t(rows) * ROW;
        }
    }
}
