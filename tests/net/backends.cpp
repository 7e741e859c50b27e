#include "suite.hpp"

#include <boost/asio/io_context.hpp>
#include <muster/net/asio_runtime.hpp>

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

std::unique_ptr<Stage> make_epoll(RuntimeOptions options) {
    return std::make_unique<OwnLoop>(std::move(make_asio_runtime(std::move(options)).value()));
}

std::unique_ptr<Stage> make_hosted(RuntimeOptions options) {
    return std::make_unique<UsersContext>(std::move(options));
}

} // namespace

const std::vector<Backend>& backends() {
    static const std::vector<Backend> all{{"Epoll", &make_epoll}, {"IoContext", &make_hosted}};
    return all;
}

} // namespace muster::net::test
