// Replays recorded inputs on every mutant, and says where its outputs first differ from the recorded ones.
// Build with -DPORTS=..., see mutate.py: SET(i) and GET(i) copy a row's words to the inputs, and the outputs to a row.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "Vunit.h"
#include "ports.h"

using Words = std::vector<uint32_t>;

static Words read(const char* path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    Words words(file.tellg() / 4);
    file.seekg(0);
    file.read(reinterpret_cast<char*>(words.data()), words.size() * 4);
    return words;
}

// vectors: for each trace its number of rows, then the rows: inputs, outputs, mask of the outputs that count.
int main(int argc, char** argv) {
    const Words vectors = read(argv[1]);
    const uint32_t mutants = std::stoul(argv[2]);
    for (uint32_t mutant = 0; mutant <= mutants; mutant++) {
        bool killed = false;
        uint32_t trace = 0;
        for (size_t at = 0; at < vectors.size() && !killed; trace++) {
            const uint32_t rows = vectors[at++];
            VerilatedContext context;
            Vunit unit{&context};
            unit.mutant = mutant;
            unit.rst = 0;
            unit.clk = 0;
            for (uint32_t row = 0; row < rows; row++, at += INPUTS + 2 * OUTPUTS) {
                if (killed) continue;
                const uint32_t* expected = &vectors[at + INPUTS];
                const uint32_t* mask = expected + OUTPUTS;
                uint32_t got[OUTPUTS];
                set(unit, &vectors[at]);
                unit.eval();
                get(unit, got);
                for (int word = 0; word < OUTPUTS && !killed; word++)
                    if ((got[word] ^ expected[word]) & mask[word]) {
                        std::printf("%u %u %u %d\n", mutant, trace, row, word);
                        killed = true;
                    }
                unit.clk = 1;
                unit.eval();
                unit.clk = 0;
            }
        }
    }
}
