// SPDX-License-Identifier: Apache-2.0
/// muster-golden FILE...: runs golden files of the reference through the codec. Exit code 0 when all passed.
#include "golden_case.hpp"

#include <cstdio>
#include <exception>
#include <fmt/format.h>

int main(int argc, char** argv) {
    using namespace muster::wire::golden;
    if (argc < 2) {
        fmt::print(stderr, "usage: muster-golden FILE...   (frames.json or decode_cases.json)\n");
        return 2;
    }
    std::size_t passed = 0;
    std::size_t failed = 0;
    for (int i = 1; i < argc; ++i) {
        try {
            for (const Outcome& outcome : run_file(argv[i])) {
                ++(outcome.passed ? passed : failed);
                if (!outcome.note.empty())
                    fmt::print("{} {}: {}\n", outcome.passed ? "ok" : "FAILED", outcome.name, outcome.note);
            }
        } catch (const std::exception& e) {
            fmt::print(stderr, "{}\n", e.what());
            ++failed;
        }
    }
    fmt::print("{} passed, {} failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
