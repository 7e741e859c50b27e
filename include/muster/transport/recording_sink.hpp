// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A sink that keeps what it is given: for tests and first steps.
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <muster/transport/transport.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace muster {

/// One delivered tell.
struct RemoteTellRecord {
    std::string target_path;
    std::string manifest;
    Slice payload; ///< retains the receive buffer it arrived in
    std::optional<std::string> sender_path;
    bool operator==(const RemoteTellRecord&) const = default;
};

/// Records tells in the order of delivery, up to `records_max` (of more only the number is kept).
/// Thread-safe.
class RecordingSink final : public RemoteMessageSink {
public:
    explicit RecordingSink(std::size_t records_max = 1'000'000) : records_max_(records_max) {}
    void deliver(std::string_view target_path, std::string_view manifest, const Slice& payload,
                 std::optional<std::string_view> sender_path) override;

    std::vector<RemoteTellRecord> records() const;
    /// Tells delivered, kept or not.
    std::size_t count() const;
    bool empty() const { return count() == 0; }
    void clear();
    /// Waits until at least `n` tells were delivered. False at the time-out. Not on the Runtime's thread.
    bool wait_for(std::size_t n, std::chrono::milliseconds timeout) const;

private:
    const std::size_t records_max_;
    mutable std::mutex mutex_;
    mutable std::condition_variable arrived_;
    std::vector<RemoteTellRecord> records_;
    std::size_t count_ = 0;
};

} // namespace muster
