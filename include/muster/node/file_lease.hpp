// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A lease in a file (protocol.md §15.3).
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <muster/cluster/sbr/lease.hpp>
#include <muster/error.hpp>
#include <muster/time.hpp>
#include <optional>
#include <string>

namespace muster {

class LeaseWorker;

/// A lease in a file that all nodes can reach: a directory of one machine, or a network file system with
/// working flock. flock makes each read-and-write one step and is held for that step only. The file holds the
/// owner, a serial that grows with each grant and renewal, and the time to live (protocol.md §15.3). Clocks
/// of two machines are never compared: a grant has expired once this process has seen its serial unchanged
/// for a whole time to live by its own monotonic clock. The owner counts its grant by its own clock, from
/// before the write.
///
/// All file work runs on a thread of the lease's own, `muster-lease`, started by the first operation: a file
/// system that hangs blocks that thread and no other. `done` is called there. With `queue_max` operations
/// waiting a further one fails at once. Thread-safe. The destructor does not wait for the file system:
/// unfinished operations fail with Errc::cancelled, and an operation that hangs starts no further write when
/// it resumes.
class FileLease final : public Lease {
public:
    static constexpr std::size_t queue_max = 16;
    /// CLOCK_BOOTTIME, which a suspended machine does not stop.
    static std::function<Instant()> system_monotonic();
    static std::function<WallTime()> system_wall();

    /// `path` is created when missing, its directory is not. `time_to_live` > 0, and equal on all nodes;
    /// `owner` one line of text, not empty (ENSURE). `monotonic` is read on the thread muster-lease, and
    /// never after the destructor has returned. `wall` gives a new file its first serial, so that a recreated
    /// file repeats none.
    FileLease(std::string path, std::string owner, std::function<Instant()> monotonic = system_monotonic(),
              std::chrono::milliseconds time_to_live = std::chrono::seconds{120},
              std::function<WallTime()> wall = system_wall());
    ~FileLease() override;
    FileLease(const FileLease&) = delete;
    FileLease& operator=(const FileLease&) = delete;

    void check(Done done) override;
    void acquire(Done done) override;
    void release(Done done) override;
    void renew(Done done) override;
    std::chrono::milliseconds time_to_live() const noexcept override { return time_to_live_; }
    /// The error of the last operation that failed.
    std::optional<Error> last_error() const;

private:
    struct File; // shared with the thread, which may hang in a system call for longer than the lease lives
    std::chrono::milliseconds time_to_live_;
    std::shared_ptr<File> file_;
    std::unique_ptr<LeaseWorker> worker_;
};

} // namespace muster
