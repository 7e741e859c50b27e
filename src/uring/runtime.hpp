// SPDX-License-Identifier: Apache-2.0
#pragma once
/// net::Runtime on a Context.
#include "context.hpp"
#include "net/resolver.hpp"
#include <muster/net/runtime.hpp>
#include <thread>

namespace muster::uring {

class Runtime final : public net::Runtime {
public:
    /// Errors: as uring::make_runtime().
    static result<std::unique_ptr<net::Runtime>> create(Options options);
    ~Runtime() override;

    std::string_view backend() const noexcept override { return "uring"; }
    boost::asio::any_io_executor executor() noexcept override { return context_->get_executor(); }
    Instant monotonic_now() const noexcept override { return context_->now(); }
    WallTime wall_now() const noexcept override;
    net::TimerId schedule(Instant when, UniqueFunction<void()> action) override;
    bool cancel(net::TimerId id) noexcept override { return context_->cancel_timer(id); }
    net::Task<result<std::vector<net::Endpoint>>> resolve(std::string host, std::uint16_t port,
                                                          Instant deadline) override;
    net::Task<result<std::unique_ptr<net::Connection>>> connect(net::Endpoint to,
                                                                net::ConnectOptions options) override;
    result<std::unique_ptr<net::Listener>> listen(net::Endpoint at, net::ListenOptions options) override;
    void fill_entropy(std::span<std::byte> out) override;
    void post(UniqueFunction<void()> action) override { context_->post(std::move(action)); }
    bool in_runtime_thread() const noexcept override { return context_->running_in_this_thread(); }
    void run() override { context_->run(); }
    void run_until(Instant when) override { context_->run_until(when); }
    void stop() noexcept override { context_->stop(); }
    void start_thread() override;
    Logger& log() noexcept override { return log_; }
    Metrics& metrics() noexcept override { return metrics_; }
    const std::shared_ptr<ChunkPool>& chunks() noexcept override { return chunks_; }

private:
    explicit Runtime(const Options& options);

    Logger log_;
    Metrics metrics_;
    std::shared_ptr<ChunkPool> chunks_ = ChunkPool::create();
    std::unique_ptr<Context> context_;
    std::optional<net::Resolver> resolver_;
    std::thread thread_;
};

} // namespace muster::uring
