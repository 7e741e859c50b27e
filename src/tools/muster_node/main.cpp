/// muster-node: the ready-made node. `muster-node --help` and src/doc/muster-node.md describe it.
#include "node_app.hpp"
#include "options.hpp"

#include <cstdio>
#include <variant>

int main(int argc, char** argv) {
    using namespace muster::tools;
    auto parsed = parse_options(argc, argv);
    if (const auto* early = std::get_if<EarlyExit>(&parsed)) {
        if (!early->is_error) {
            std::fputs(early->output.c_str(), stdout);
            return 0;
        }
        std::fprintf(stderr, "muster-node: %s\n", early->output.c_str());
        return static_cast<int>(ExitCode::Usage);
    }
    NodeApp app(std::move(std::get<NodeOptions>(parsed)));
    return static_cast<int>(app.run());
}
