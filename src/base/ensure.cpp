// SPDX-License-Identifier: Apache-2.0
#include "line_writer.hpp"
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <muster/ensure.hpp>
#include <unistd.h>

namespace muster::detail {

void ensure_failed(std::string_view expression, std::string_view reason,
                   std::source_location where) noexcept {
    // No allocation: the heap may be what is broken.
    std::array<char, 1024> line;
    const auto written =
        fmt::format_to_n(line.data(), line.size() - 1, "muster: {}:{}: ENSURE({}) failed: {}",
                         where.file_name(), where.line(), expression, reason);
    *written.out = '\n';
    const auto size = static_cast<std::size_t>(written.out + 1 - line.data());
    // Earlier log lines come first. There may be no reader, so both waits are bounded.
    constexpr std::chrono::milliseconds patience{500};
    wait_for_lines(patience);
    write_last_words(STDERR_FILENO, {line.data(), size}, patience);
    std::abort();
}

} // namespace muster::detail
