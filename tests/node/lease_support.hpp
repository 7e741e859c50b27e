// SPDX-License-Identifier: Apache-2.0
#pragma once
// What tests of leases share: a directory that goes away, and an answer that is waited for.
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <memory>
#include <muster/cluster/sbr/lease.hpp>
#include <mutex>
#include <optional>
#include <string>

namespace muster::test {

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "muster-lease-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

using Operation = void (Lease::*)(Lease::Done);

/// Answers may come on another thread. Counts them.
class Answers {
public:
    Lease::Done done() {
        return [state = state_](LeaseAnswer answer) {
            const std::lock_guard lock(state->mutex);
            state->last = std::move(answer);
            ++state->count;
            state->changed.notify_all();
        };
    }
    /// An answer that never comes is a failure of the test, with Errc::timed_out.
    LeaseAnswer wait() {
        std::unique_lock lock(state_->mutex);
        if (state_->changed.wait_for(lock, std::chrono::seconds{60}, [this] { return state_->count != 0; }))
            return *state_->last;
        ADD_FAILURE() << "nobody answered";
        return LeaseAnswer::failed(Error{Errc::timed_out, "the test", {}, {}});
    }
    int count() const {
        const std::lock_guard lock(state_->mutex);
        return state_->count;
    }

private:
    struct State {
        std::mutex mutex;
        std::condition_variable changed;
        std::optional<LeaseAnswer> last;
        int count = 0;
    };
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

inline LeaseAnswer ask(Lease& lease, Operation operation) {
    Answers answers;
    (lease.*operation)(answers.done());
    LeaseAnswer answer = answers.wait();
    EXPECT_EQ(answers.count(), 1);
    return answer;
}

} // namespace muster::test
