// SPDX-License-Identifier: Apache-2.0
/// muster-node: the ready-made node. `muster-node --help` and src/doc/muster-node.md describe it.
#include "base/line_writer.hpp"
#include "node_app.hpp"
#include "options.hpp"
#include <cstdio>
#include <exception>
#include <string>
#include <variant>

namespace {

using namespace muster::tools;

ExitCode run_node(NodeOptions options) try {
    NodeApp app(std::move(options));
    return app.run();
} catch (const std::exception& error) {
    // Out of descriptors, threads or memory in a function that reports no Error.
    muster::stderr_lines().write(std::string("muster-node: ") + error.what());
    return ExitCode::CannotStart;
}

} // namespace

int main(int argc, char** argv) {
    if (!Console::fill_standard_descriptors()) return static_cast<int>(ExitCode::CannotStart);
    Console::block_signals();
    auto parsed = parse_options(argc, argv);
    if (const auto* early = std::get_if<EarlyExit>(&parsed)) {
        if (!early->is_error) {
            std::fputs(early->output.c_str(), stdout);
            return 0;
        }
        std::fprintf(stderr, "muster-node: %s\n", early->output.c_str());
        return static_cast<int>(ExitCode::Usage);
    }
    return static_cast<int>(run_node(std::move(std::get<NodeOptions>(parsed))));
}
