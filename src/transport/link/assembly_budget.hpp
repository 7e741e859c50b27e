// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Memory for frames of which only a part has arrived, over all links (protocol.md §16).
#include <cstddef>

namespace muster::transport {

/// A frame that lies across receive buffers is assembled in a block of its size. Any peer may begin one of
/// frame_bytes_max on each of its links and stop: the sum has a limit, of which those who are no members nor
/// seeds get half, so that they cannot keep members from theirs. Runtime's thread.
class AssemblyBudget {
public:
    /// A smaller block is not counted: the number of links limits those, and gossip passes whoever holds the
    /// rest.
    static constexpr std::size_t free_bytes = 64 * 1024;

    explicit AssemblyBudget(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}

    /// Reserves `bytes`, or says that there is no room now.
    bool take(std::size_t bytes, bool acquainted) noexcept {
        const std::size_t limit = acquainted ? bytes_max_ : bytes_max_ / 2;
        if (bytes > limit || bytes_ > limit - bytes) return false;
        bytes_ += bytes;
        return true;
    }
    void give_back(std::size_t bytes) noexcept { bytes_ -= bytes; }
    std::size_t bytes() const noexcept { return bytes_; }

private:
    const std::size_t bytes_max_;
    std::size_t bytes_ = 0;
};

} // namespace muster::transport
