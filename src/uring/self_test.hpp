// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whether this kernel delivers what was sent, with the features that the loop would use. Kernels have had
/// faults in the order of bytes with incremental buffers, bundles and multishot receives.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <muster/log.hpp>
#include <muster/uring/runtime.hpp>
#include <span>

namespace muster::uring {

/// Bytes of which every stretch differs from every other: what is lost, doubled or out of its place shows.
class Pattern {
public:
    /// The byte at `position`.
    static std::byte at(std::size_t position) noexcept {
        std::uint64_t mixed = (position / 4 + 1) * 0x9e3779b97f4a7c15U;
        mixed ^= mixed >> 29U;
        return static_cast<std::byte>(mixed >> (8 * (position % 4)));
    }
    /// Whether `bytes` go on where the last ones ended.
    bool takes(std::span<const std::byte> bytes) noexcept {
        for (const std::byte byte : bytes)
            if (byte != at(position_++)) return false;
        return true;
    }
    std::size_t position() const noexcept { return position_; }

private:
    std::size_t position_ = 0;
};

/// Sends a pattern through a pair of sockets and a loop of its own with small buffers, received as
/// `options` say. Ends within a second, usually within one or two milliseconds. Errors: malformed, with
/// what came instead; those of making a Runtime.
/// `sent`: what is sent, for tests of a kernel that would deliver something else.
result<void> self_test(const Options& options,
                       std::byte (*sent)(std::size_t position) noexcept = Pattern::at);

/// `options` without the features with which `test` fails, newest first; each is logged as it is left out.
/// Errors: not_supported when it fails without all of them, too; what else `test` answers but malformed.
result<Options> trusted_options(Options options, const std::function<result<void>(const Options&)>& test,
                                Logger& log);

} // namespace muster::uring
