// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What threads other than the Runtime's may use of a transport, for as long as there is one.
#include "counters.hpp"
#include <muster/net/runtime.hpp>
#include <mutex>

namespace muster::transport {

/// A route may be told through while, and after, its transport and Runtime die on another thread. cut() waits
/// for whoever is inside use(), and use() does nothing afterwards.
class Lifeline {
public:
    Lifeline(net::Runtime& runtime, Counters& counters) noexcept : runtime_(&runtime), counters_(&counters) {}

    /// Calls `use(runtime, counters)` unless the transport is gone. Not re-entrant.
    template <class Use>
    void use(Use&& what) {
        const std::scoped_lock lock{mutex_};
        if (runtime_) what(*runtime_, *counters_);
    }
    void cut() {
        const std::scoped_lock lock{mutex_};
        runtime_ = nullptr;
        counters_ = nullptr;
    }

private:
    std::mutex mutex_;
    net::Runtime* runtime_;
    Counters* counters_;
};

} // namespace muster::transport
