#include <muster/ensure.hpp>

#include <array>
#include <cstdlib>
#include <fmt/format.h>
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
    if (::write(STDERR_FILENO, line.data(), size) < 0) std::abort(); // nothing is left to tell it to
    std::abort();
}

} // namespace muster::detail
