// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How a fuzzed script of steps is read.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>

namespace muster::fuzz {

/// Reads the script; behind its end everything is zero.
class Script {
public:
    explicit Script(std::span<const std::byte> bytes) : left_(bytes) {}
    bool ended() const { return left_.empty(); }
    std::uint8_t byte() {
        if (left_.empty()) return 0;
        const auto b = std::to_integer<std::uint8_t>(left_.front());
        left_ = left_.subspan(1);
        return b;
    }
    std::size_t below(std::size_t n) { return byte() % n; }
    bool chance(unsigned of_256) { return byte() < of_256; }
    std::span<const std::byte> bytes(std::size_t n) {
        const auto taken = left_.first(std::min(n, left_.size()));
        left_ = left_.subspan(taken.size());
        return taken;
    }
    /// Mostly small, else at or about a limit, else anything.
    std::uint64_t number() {
        static constexpr std::uint64_t edges[] = {0,
                                                  std::uint64_t{1} << 30,
                                                  (std::uint64_t{1} << 31) - 1,
                                                  std::uint64_t{1} << 40,
                                                  std::uint64_t{1} << 61,
                                                  (std::uint64_t{1} << 62) - 1,
                                                  std::uint64_t{1} << 62,
                                                  (std::uint64_t{1} << 63) - 1,
                                                  ~std::uint64_t{0}};
        const std::uint8_t kind = byte();
        if (kind < 200) return kind % 16;
        if (kind < 240) return edges[kind % std::size(edges)] + byte() % 3 - 1;
        std::uint64_t any = 0;
        for (int i = 0; i < 8; ++i) any = any << 8U | byte();
        return any;
    }

private:
    std::span<const std::byte> left_;
};

} // namespace muster::fuzz
