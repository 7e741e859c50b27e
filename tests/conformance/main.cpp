// muster-conformance FILE...: runs every case of the files against muster's classes. One line per failing
// case, then "N passed, N failed". Exit code 0: all passed; 1: some failed; 2: a file could not be read or is
// not of the schema.
#include "registry.hpp"

#include <fstream>
#include <iostream>
#include <sstream>

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
            if (!matches(expect, value, entry->matching)) return json::serialize(value);
        }
        return {};
    } catch (const std::exception& problem) {
        return std::string{"error: "} + problem.what();
    }
}

void run_file(const json::value& document, Tally& tally) {
    for (const auto& value : array_field(document.as_object(), "cases")) {
        const auto& test_case = value.as_object();
        const auto got = run_case(test_case);
        if (got.empty()) {
            ++tally.passed;
            continue;
        }
        ++tally.failed;
        const auto* expect = test_case.if_contains("expect");
        std::cout << text_or(test_case, "id", "?") << " | " << text_or(test_case, "why", "") << " | expected "
                  << (expect == nullptr ? "nothing" : json::serialize(*expect)) << " | got " << got << '\n';
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
