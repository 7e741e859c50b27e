// SPDX-License-Identifier: Apache-2.0
#include "base/own_thread.hpp"
#include "net/resolver.hpp"
#include "sockets.hpp"
#include <cerrno>
#include <muster/net/asio_runtime.hpp>
#include <sys/random.h>
#include <thread>
#include <time.h>

namespace muster::net {

namespace {

WallTime read_wall_clock() noexcept {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return {static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000};
}

class AsioRuntime final : public Runtime {
public:
    AsioRuntime(std::unique_ptr<epoll::EpollLoop> loop, RuntimeOptions options)
        : loop_(std::move(loop)), shared_(std::make_shared<epoll::Shared>(*loop_)),
          log_(options.log_sink ? std::move(options.log_sink) : stderr_log_sink(), &read_wall_clock,
               options.log),
          resolver_(std::in_place, *this, options.resolve_queue_max) {
        shared_->metrics.gauge("runtime.backend.epoll").set(1);
        log_.count_into(shared_->metrics);
        loop_->measure(shared_->metrics.histogram("runtime.timer.lateness_ns"));
    }

    ~AsioRuntime() override {
        MUSTER_ENSURE(!in_runtime_thread(), "a Runtime is not destroyed from inside itself");
        if (thread_.joinable()) {
            loop_->stop();
            thread_.join();
        }
        resolver_.reset();
        // Coroutines are destroyed while everything that their destructors may call still exists.
        loop_->terminate();
    }

    std::string_view backend() const noexcept override { return "epoll"; }
    boost::asio::any_io_executor executor() noexcept override { return shared_->executor; }
    Instant monotonic_now() const noexcept override { return loop_->now(); }
    WallTime wall_now() const noexcept override { return read_wall_clock(); }

    TimerId schedule(Instant when, UniqueFunction<void()> action) override {
        const TimerId id = loop_->schedule(when, std::move(action));
        loop_->timer_set();
        return id;
    }
    bool cancel(TimerId id) noexcept override { return loop_->cancel_timer(id); }

    Task<result<std::vector<Endpoint>>> resolve(std::string host, std::uint16_t port,
                                                Instant deadline) override {
        return resolver_->resolve(std::move(host), port, deadline);
    }
    Task<result<std::unique_ptr<Connection>>> connect(Endpoint to, ConnectOptions options) override {
        return epoll::connect(shared_, to, options);
    }
    result<std::unique_ptr<Listener>> listen(Endpoint at, ListenOptions options) override {
        return epoll::listen(shared_, at, options);
    }

    void fill_entropy(std::span<std::byte> out) override {
        while (!out.empty()) {
            const ssize_t count = getrandom(out.data(), out.size(), 0);
            MUSTER_ENSURE(count > 0 || errno == EINTR, "the system gives random bytes");
            if (count > 0) out = out.subspan(static_cast<std::size_t>(count));
        }
    }

    void post(UniqueFunction<void()> action) override { loop_->post(std::move(action)); }
    bool in_runtime_thread() const noexcept override { return loop_->running_in_this_thread(); }

    void run() override {
        if (!loop_->hosted()) loop_->run();
    }
    void run_until(Instant when) override {
        if (!loop_->hosted()) loop_->run_until(when);
    }
    void stop() noexcept override {
        if (!loop_->hosted()) loop_->stop();
    }
    void start_thread() override {
        if (loop_->hosted()) return;
        MUSTER_ENSURE(!thread_.joinable(), "a Runtime has one thread");
        thread_ = own_thread("muster-loop", [this] { loop_->run(); });
    }

    Logger& log() noexcept override { return log_; }
    Metrics& metrics() noexcept override { return shared_->metrics; }
    const std::shared_ptr<ChunkPool>& chunks() noexcept override { return chunks_; }

private:
    std::unique_ptr<epoll::EpollLoop> loop_;
    std::shared_ptr<epoll::Shared> shared_;
    std::shared_ptr<ChunkPool> chunks_ = ChunkPool::create();
    Logger log_;
    std::optional<Resolver> resolver_;
    std::thread thread_;
};

result<std::unique_ptr<Runtime>> make(result<std::unique_ptr<epoll::EpollLoop>> loop,
                                      RuntimeOptions options) {
    if (!loop) return loop.error();
    return std::make_unique<AsioRuntime>(std::move(*loop), std::move(options));
}

} // namespace

result<std::unique_ptr<Runtime>> make_asio_runtime(RuntimeOptions options) {
    return make(epoll::EpollLoop::create(), std::move(options));
}

result<std::unique_ptr<Runtime>>
detail::make_hosted_runtime(boost::asio::io_context& context, RuntimeOptions options,
                            const boost::asio::detail::thread_context& mark) {
    using boost::asio::detail::thread_context;
    using CallStack = boost::asio::detail::call_stack<thread_context, boost::asio::detail::thread_info_base>;
    if (CallStack::contains(const_cast<thread_context*>(&mark)) == nullptr)
        return Error{
            Errc::not_supported,
            "program and libmuster have an Asio call stack each",
            "link without -Bsymbolic, export boost::asio::detail::* from the program, or link libmuster.a",
            {}};
    return make(epoll::EpollLoop::create(context), std::move(options));
}

} // namespace muster::net
