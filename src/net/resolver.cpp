// SPDX-License-Identifier: Apache-2.0
#include "resolver.hpp"

#include "base/own_thread.hpp"
#include "sockaddr.hpp"
#include "waiter.hpp"
#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <condition_variable>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <netdb.h>
#include <thread>

namespace muster::net {

namespace asio = boost::asio;

namespace {

Error lookup_error(const std::string& host, int status, int errno_value) {
    const std::string subject = fmt::format("host \"{}\"", host);
    if (status == EAI_SYSTEM) return from_errno(errno_value, subject);
    if (status == EAI_MEMORY) return Error{Errc::no_memory, subject, {}, {}};
    return Error{
        Errc::not_found,
        subject,
        fmt::format("{}; use a name that this machine resolves, or a literal address", gai_strerror(status)),
        {}};
}

Resolver::Addresses system_lookup(const std::string& host, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int status = getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (status != 0) return lookup_error(host, status, errno);
    std::vector<Endpoint> addresses;
    for (const addrinfo* entry = found; entry; entry = entry->ai_next) {
        if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
        Endpoint endpoint = to_endpoint(entry->ai_addr);
        endpoint.port = port;
        if (std::find(addresses.begin(), addresses.end(), endpoint) == addresses.end())
            addresses.push_back(endpoint);
    }
    freeaddrinfo(found);
    if (addresses.empty()) return lookup_error(host, EAI_NONAME, 0);
    return addresses;
}

} // namespace

struct Resolver::State {
    struct Request {
        std::uint64_t id;
        std::string host;
        std::uint16_t port;
    };

    State(Runtime& r, std::size_t max, Lookup l)
        : queue_max(max), lookup(std::move(l)), names(r.metrics().counter("net.resolve.names")),
          failed(r.metrics().counter("net.resolve.failed")), late(r.metrics().counter("net.resolve.late")),
          refused(r.metrics().counter("net.resolve.refused")), runtime(&r) {}

    void answer(std::uint64_t id, Addresses addresses) {
        const auto waiter = waiting.find(id);
        if (waiter == waiting.end()) return late.add();
        waiter->second->complete(std::move(addresses));
    }

    const std::size_t queue_max;
    const Lookup lookup;
    Counter& names;
    Counter& failed;
    Counter& late;
    Counter& refused;

    // The Runtime's thread only.
    std::map<std::uint64_t, Waiter<std::vector<Endpoint>>*> waiting;
    std::uint64_t last_id = 0;
    bool started = false;

    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Request> queue; ///< mutex
    Runtime* runtime;          ///< mutex; null once the Resolver is gone
    bool ended = false;        ///< mutex; the thread touches nothing but its own stack any more
    std::thread thread;        ///< set once by the Runtime's thread
};

/// The place of one request in the tables, released also when its coroutine is destroyed.
class Resolver::Ticket {
public:
    Ticket(std::shared_ptr<State> state, Waiter<std::vector<Endpoint>>& waiter)
        : state_(std::move(state)), id_(++state_->last_id) {
        state_->waiting.emplace(id_, &waiter);
    }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() {
        state_->waiting.erase(id_);
        const std::lock_guard lock(state_->mutex);
        std::erase_if(state_->queue, [this](const State::Request& request) { return request.id == id_; });
    }
    std::uint64_t id() const noexcept { return id_; }

private:
    std::shared_ptr<State> state_;
    std::uint64_t id_;
};

Resolver::Resolver(Runtime& runtime, std::size_t queue_max, Lookup lookup)
    : state_(std::make_shared<State>(runtime, queue_max, lookup ? std::move(lookup) : &system_lookup)) {}

Resolver::~Resolver() {
    std::unique_lock lock(state_->mutex);
    state_->runtime = nullptr;
    state_->queue.clear();
    state_->changed.notify_all();
    if (!state_->thread.joinable()) return;
    const bool ended = state_->changed.wait_for(lock, shutdown_grace, [this] { return state_->ended; });
    lock.unlock();
    if (ended)
        state_->thread.join();
    else
        state_->thread.detach(); // the thread shares the State
}

result<void> Resolver::start_thread() {
    if (state_->started) return {};
    constexpr const char* name = "muster-resolve";
    try {
        state_->thread = own_thread(name, [state = state_]() mutable { serve(std::move(state)); });
    } catch (const std::system_error& e) {
        return no_thread(e, name);
    }
    state_->started = true;
    return {};
}

void Resolver::serve(std::shared_ptr<State> state) {
    std::unique_lock lock(state->mutex);
    for (;;) {
        state->changed.wait(lock, [&] { return !state->runtime || !state->queue.empty(); });
        if (!state->runtime) break;
        const State::Request request = std::move(state->queue.front());
        state->queue.pop_front();
        lock.unlock();
        Addresses addresses = state->lookup(request.host, request.port);
        lock.lock();
        // Under the lock, so that the Runtime cannot be destroyed meanwhile.
        if (!state->runtime) break;
        state->runtime->post([state, id = request.id, addresses = std::move(addresses)]() mutable {
            state->answer(id, std::move(addresses));
        });
    }
    state->ended = true;
    state->changed.notify_all();
}

Task<Resolver::Addresses> Resolver::resolve(std::string host, std::uint16_t port, Instant deadline) {
    if (const auto literal = Endpoint::parse(host, port)) co_return std::vector<Endpoint>{*literal};
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none)
        co_return Error{Errc::cancelled, "resolve", {}, {}};

    const std::shared_ptr<State> state = state_;
    Runtime& runtime = *state->runtime; // only the destructor, on this thread, changes it
    if (auto started = start_thread(); !started) co_return started.error();
    Waiter<std::vector<Endpoint>> waiter;
    const Ticket ticket(state, waiter);
    {
        const std::lock_guard lock(state->mutex);
        if (state->queue.size() >= state->queue_max) {
            state->refused.add();
            co_return Error{Errc::limit_reached,
                            fmt::format("host \"{}\"", host),
                            fmt::format("{} names already wait for muster-resolve", state->queue.size()),
                            {}};
        }
        state->queue.push_back({ticket.id(), host, port});
        state->changed.notify_all();
    }
    state->names.add();

    TimerId id = TimerId::None;
    if (deadline != Instant::max()) {
        auto expire = [&waiter, &host] {
            waiter.complete(Error{Errc::timed_out, fmt::format("host \"{}\"", host), {}, {}});
        };
        id = runtime.schedule(deadline, std::move(expire));
    }
    const TimerGuard timer{runtime, id};
    auto wait = waiter.async_wait(runtime.executor(), Cancellable::Yes, "resolve", asio::deferred);
    auto addresses = co_await std::move(wait);
    if (!addresses) state->failed.add();
    co_return addresses;
}

} // namespace muster::net
