// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Host names to addresses, off the Runtime's thread (architecture.md, Threads): getaddrinfo blocks.
#include <functional>
#include <memory>
#include <muster/net/runtime.hpp>

namespace muster::net {

/// The one thread `muster-resolve` of a Runtime, started by the first name that is not a literal address. One
/// lookup at a time; the others wait in a queue with a limit. Runtime's thread only.
///
/// getaddrinfo cannot be cancelled. A request that ends early (deadline, cancellation) completes at once and
/// leaves the queue; if its lookup had begun, the late answer is dropped and counted (`net.resolve.late`).
/// The destructor waits for a lookup in progress for `shutdown_grace` at most and then detaches the thread,
/// which ends by itself when getaddrinfo returns and touches neither the Resolver nor the Runtime any more.
class Resolver {
public:
    using Addresses = result<std::vector<Endpoint>>;
    /// Blocking; runs on the resolver's thread. Must not throw.
    using Lookup = std::function<Addresses(const std::string& host, std::uint16_t port)>;
    static constexpr std::chrono::milliseconds shutdown_grace{250};

    /// `queue_max`: names waiting for the thread, without the one it works on. `lookup`: null is
    /// getaddrinfo(), other functions are for tests.
    Resolver(Runtime& runtime, std::size_t queue_max, Lookup lookup = nullptr);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    /// As Runtime::resolve(). Literals complete without suspension and without the thread.
    Task<Addresses> resolve(std::string host, std::uint16_t port, Instant deadline);

private:
    struct State;
    class Ticket;
    static void serve(std::shared_ptr<State> state);
    result<void> start_thread();

    std::shared_ptr<State> state_;
};

} // namespace muster::net
