// SPDX-License-Identifier: Apache-2.0
#include "runtime.hpp"

#include "base/own_thread.hpp"
#include "self_test.hpp"
#include "sockets.hpp"
#include <boost/algorithm/string/join.hpp>
#include <cerrno>
#include <chrono>
#include <muster/ensure.hpp>
#include <sys/random.h>

namespace muster::uring {
namespace {

WallTime read_wall_clock() noexcept {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count()};
}

} // namespace

Runtime::Runtime(const Options& options)
    : log_(options.log_sink ? options.log_sink : stderr_log_sink(), read_wall_clock, options.log) {
    log_.count_into(metrics_);
}

result<std::unique_ptr<net::Runtime>> Runtime::create(Options options) {
    std::unique_ptr<Runtime> runtime(new Runtime(options));
    auto trusted = trusted_options(
        options, [](const Options& tried) { return self_test(tried); }, runtime->log_);
    if (!trusted) return trusted.error();
    Capabilities found;
    auto context = Context::create(*trusted, runtime->metrics_, found);
    if (!context) return context.error();
    runtime->context_ = std::move(*context);
    runtime->resolver_.emplace(*runtime, options.resolve_queue_max);
    runtime->metrics_.gauge("runtime.backend.uring").set(1);
    auto missing = found.missing();
    if (options.task_run_max != TaskRun::Deferred) {
        std::erase_if(missing, [](const std::string& what) { return what.starts_with("deferred"); });
    }
    if (!missing.empty()) {
        runtime->log_.warning("runtime.uring.reduced", "",
                              {{"kernel", found.kernel}, {"missing", boost::algorithm::join(missing, ", ")}});
    }
    return std::unique_ptr<net::Runtime>(std::move(runtime));
}

Runtime::~Runtime() {
    if (thread_.joinable()) {
        MUSTER_ENSURE(!in_runtime_thread(), "a Runtime is not destroyed by its own thread");
        stop();
        thread_.join();
    }
    resolver_.reset(); // nothing comes in from its thread any more
    // The coroutines die while everything they use is there, also through this Runtime.
    if (context_) context_->shut_down();
}

WallTime Runtime::wall_now() const noexcept { return read_wall_clock(); }

net::TimerId Runtime::schedule(Instant when, UniqueFunction<void()> action) {
    return context_->schedule(when, std::move(action));
}

net::Task<result<std::vector<net::Endpoint>>> Runtime::resolve(std::string host, std::uint16_t port,
                                                               Instant deadline) {
    return resolver_->resolve(std::move(host), port, deadline);
}

net::Task<result<std::unique_ptr<net::Connection>>> Runtime::connect(net::Endpoint to,
                                                                     net::ConnectOptions options) {
    return uring::connect(*context_, to, options);
}

result<std::unique_ptr<net::Listener>> Runtime::listen(net::Endpoint at, net::ListenOptions options) {
    return uring::listen(*context_, at, options);
}

void Runtime::fill_entropy(std::span<std::byte> out) {
    while (!out.empty()) {
        const ssize_t got = getrandom(out.data(), out.size(), 0);
        MUSTER_ENSURE(got > 0 || errno == EINTR, "the system has random bytes");
        if (got > 0) out = out.subspan(static_cast<std::size_t>(got));
    }
}

void Runtime::start_thread() {
    MUSTER_ENSURE(!thread_.joinable(), "a Runtime has one thread");
    thread_ = own_thread("muster-loop", [this] { run(); });
}

result<std::unique_ptr<net::Runtime>> make_runtime(Options options) {
    return Runtime::create(std::move(options));
}

} // namespace muster::uring
