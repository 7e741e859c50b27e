// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <muster/net/asio_runtime.hpp>
#include <muster/sim/runtime.hpp>
#include <muster/uring/runtime.hpp>

namespace muster::net::test {

namespace {

class OwnLoop final : public Stage {
public:
    explicit OwnLoop(std::unique_ptr<Runtime> runtime) : runtime_(std::move(runtime)) {}
    Runtime& runtime() override { return *runtime_; }
    void run() override { runtime_->run(); }
    void stop() override { runtime_->stop(); }
    void destroy() override { runtime_.reset(); }

private:
    std::unique_ptr<Runtime> runtime_;
};

class UsersContext final : public Stage {
public:
    explicit UsersContext(RuntimeOptions options)
        : runtime_(std::move(make_asio_runtime(context_, std::move(options)).value())) {}
    Runtime& runtime() override { return *runtime_; }
    void run() override {
        context_.restart();
        context_.run();
    }
    void stop() override { context_.stop(); }
    void destroy() override { runtime_.reset(); }

private:
    boost::asio::io_context context_;
    std::unique_ptr<Runtime> runtime_;
};

/// One process on one machine.
class Simulated final : public Stage {
public:
    explicit Simulated(RuntimeOptions options)
        : runtime_(network_.make_runtime(network_.add_host("machine"), std::move(options))) {}
    Runtime& runtime() override { return *runtime_; }
    void run() override { runtime_->run(); }
    void stop() override { runtime_->stop(); }
    bool real() const override { return false; }
    void destroy() override { runtime_.reset(); }

private:
    sim::Network network_;
    std::unique_ptr<sim::Runtime> runtime_;
};

std::unique_ptr<Stage> make_sim(RuntimeOptions options) {
    return std::make_unique<Simulated>(std::move(options));
}

std::unique_ptr<Stage> make_epoll(RuntimeOptions options) {
    return std::make_unique<OwnLoop>(std::move(make_asio_runtime(std::move(options)).value()));
}

std::unique_ptr<Stage> make_hosted(RuntimeOptions options) {
    return std::make_unique<UsersContext>(std::move(options));
}

std::unique_ptr<Stage> make_uring(RuntimeOptions common) {
    uring::Options options;
    static_cast<RuntimeOptions&>(options) = std::move(common);
    return std::make_unique<OwnLoop>(std::move(uring::make_runtime(std::move(options)).value()));
}

/// With nothing that Linux 5.19 lacks, and an idle loop that spins.
std::unique_ptr<Stage> make_uring_basic(RuntimeOptions common) {
    uring::Options options;
    static_cast<RuntimeOptions&>(options) = std::move(common);
    options.task_run_max = uring::TaskRun::Interrupting;
    options.multishot_receive = false;
    options.incremental_buffers = false;
    options.idle_spin = 20us;
    return std::make_unique<OwnLoop>(std::move(uring::make_runtime(std::move(options)).value()));
}

std::vector<Backend> usable_backends() {
    std::vector<Backend> usable{{"Epoll", &make_epoll}, {"IoContext", &make_hosted}, {"Sim", &make_sim}};
    if (const auto found = uring::probe()) {
        usable.push_back({"Uring", &make_uring});
        usable.push_back({"UringBasic", &make_uring_basic});
    } else {
        std::printf("not run: every suite over Uring (%s)\n", found.error().message().c_str());
    }
    return usable;
}

} // namespace

const std::vector<Backend>& backends() {
    static const std::vector<Backend> all = usable_backends();
    return all;
}

} // namespace muster::net::test
