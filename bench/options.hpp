// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The command line of the benchmarks that are programs of their own: key=value, in any order.
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <map>
#include <string>
#include <string_view>

namespace muster::bench {

/// Ends the process with status 1 and one line on stderr, for errors that invalidate every figure.
[[noreturn]] inline void fail(std::string_view program, std::string_view what) {
    fmt::print(stderr, "{}: {}\n", program, what);
    std::exit(1);
}

class Options {
public:
    Options(std::string_view program, int argc, char** argv) {
        for (int i = 1; i < argc; ++i) {
            const std::string_view argument = argv[i];
            const auto equals = argument.find('=');
            if (equals == std::string_view::npos) fail(program, fmt::format("{}: write key=value", argument));
            values_.emplace(argument.substr(0, equals), argument.substr(equals + 1));
        }
    }
    std::string text(const std::string& key, const char* otherwise) const {
        const auto found = values_.find(key);
        return found == values_.end() ? otherwise : found->second;
    }
    long number(const std::string& key, long otherwise) const {
        const auto found = values_.find(key);
        return found == values_.end() ? otherwise : std::stol(found->second);
    }

private:
    std::map<std::string, std::string> values_;
};

} // namespace muster::bench
