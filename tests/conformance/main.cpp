// SPDX-License-Identifier: Apache-2.0
// muster-conformance FILE...: runs every case of the files against muster's classes. One line per failing
// case, then "N passed, N failed". Exit code 0: all passed; 1: some failed; 2: a file could not be read or is
// not of the schema. The cases run in a child process, so one that makes a class abort fails alone.
#include "registry.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace muster::conformance;

struct Tally {
    std::size_t passed = 0;
    std::size_t failed = 0;
};

std::string text_or(const json::object& from, std::string_view name, std::string_view absent) {
    const auto* value = from.if_contains(name);
    return value != nullptr && value->is_string() ? std::string{value->get_string()} : std::string{absent};
}

/// Empty: the case passed. Otherwise what was got instead.
std::string run_case(const json::object& test_case) {
    const auto op = text_or(test_case, "op", "");
    const auto* entry = find_operation(op);
    if (entry == nullptr) return "unknown operation \"" + op + "\"";
    try {
        const auto& expect = field(test_case, "expect");
        const Outcome outcome = entry->run(object_field(test_case, "given"));
        for (const auto& value : outcome.values) {
            if (const auto key = unknown_key(expect, value, entry->matching); !key.empty())
                return "failure of the runner: it does not know the key \"" + key +
                       "\" in \"expect\"; its answer: " + json::serialize(value);
            if (!matches(expect, value, entry->matching)) return json::serialize(value);
        }
        return {};
    } catch (const std::exception& problem) {
        return std::string{"error: "} + problem.what();
    }
}

/// Runs the cases from `first` on and writes each outcome to `out`, ended by a zero byte.
[[noreturn]] void run_as_child(const json::array& cases, std::size_t first, int out) {
    for (std::size_t i = first; i < cases.size(); ++i) {
        const std::string got = run_case(cases[i].as_object());
        std::string_view left{got.c_str(), got.size() + 1};
        while (!left.empty()) {
            const ssize_t written = ::write(out, left.data(), left.size());
            if (written < 0) std::_Exit(2);
            left.remove_prefix(static_cast<std::size_t>(written));
        }
    }
    std::cout.flush();
    std::_Exit(0);
}

std::string how_it_ended(int status) {
    if (WIFSIGNALED(status)) return "the process died of " + std::string{::strsignal(WTERMSIG(status))};
    return "the process ended with status " + std::to_string(WEXITSTATUS(status));
}

/// The outcomes of the cases from `first` on; where the child dies, its last one says how.
std::vector<std::string> outcomes_from(const json::array& cases, std::size_t first) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) throw BadCase(std::string{"no pipe: "} + std::strerror(errno));
    std::cout.flush();
    const pid_t child = ::fork();
    if (child < 0) throw BadCase(std::string{"no process: "} + std::strerror(errno));
    if (child == 0) {
        ::close(ends[0]);
        run_as_child(cases, first, ends[1]);
    }
    ::close(ends[1]);
    std::vector<std::string> outcomes;
    std::string partial;
    std::array<char, 4096> chunk;
    ssize_t got = 0;
    while ((got = ::read(ends[0], chunk.data(), chunk.size())) > 0) {
        for (const char c : std::string_view{chunk.data(), static_cast<std::size_t>(got)}) {
            if (c != '\0')
                partial += c;
            else
                outcomes.push_back(std::exchange(partial, {}));
        }
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (first + outcomes.size() < cases.size()) outcomes.push_back(how_it_ended(status));
    return outcomes;
}

void run_file(const json::value& document, Tally& tally) {
    const auto& cases = array_field(document.as_object(), "cases");
    for (const auto& value : cases)
        if (!value.is_object()) throw BadCase(json::serialize(value) + " is no case");
    std::vector<std::string> outcomes;
    while (outcomes.size() < cases.size())
        for (auto& outcome : outcomes_from(cases, outcomes.size())) outcomes.push_back(std::move(outcome));
    for (std::size_t i = 0; i < cases.size(); ++i) {
        if (outcomes[i].empty()) {
            ++tally.passed;
            continue;
        }
        ++tally.failed;
        const auto& test_case = cases[i].as_object();
        const auto* expect = test_case.if_contains("expect");
        std::cout << text_or(test_case, "id", "?") << " | " << text_or(test_case, "why", "") << " | expected "
                  << (expect == nullptr ? "nothing" : json::serialize(*expect)) << " | got " << outcomes[i]
                  << '\n';
    }
}

bool run_path(const char* path, Tally& tally) {
    std::ifstream file{path};
    std::stringstream content;
    if (!file || !(content << file.rdbuf())) {
        std::cerr << path << ": cannot be read\n";
        return false;
    }
    try {
        const auto document = json::parse(content.str());
        run_file(document, tally);
        return true;
    } catch (const std::exception& problem) {
        std::cerr << path << ": is no file of conformance cases: " << problem.what() << '\n';
        return false;
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: muster-conformance FILE...\n";
        return 2;
    }
    Tally tally;
    bool all_read = true;
    for (int i = 1; i < argc; ++i) all_read = run_path(argv[i], tally) && all_read;
    std::cout << tally.passed << " passed, " << tally.failed << " failed\n";
    if (!all_read) return 2;
    return tally.failed == 0 ? 0 : 1;
}
