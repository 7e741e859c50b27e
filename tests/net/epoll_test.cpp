// SPDX-License-Identifier: Apache-2.0
// What only the epoll Runtime promises.
#include "suite.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <muster/net/asio_runtime.hpp>
#include <stdexcept>

namespace muster::net::test {

namespace {

class EpollSuite : public RuntimeSuite {};

std::vector<Backend> epoll_backends() {
    std::vector<Backend> found;
    for (const Backend& backend : backends()) {
        if (backend.make(RuntimeOptions{})->runtime().backend() == "epoll") found.push_back(backend);
    }
    return found;
}

INSTANTIATE_TEST_SUITE_P(Net, EpollSuite, ::testing::ValuesIn(epoll_backends()), backend_name);

} // namespace

TEST_P(EpollSuite, AMessageCostsOneReceiveAndOneSend) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        const auto receives = runtime().metrics().value("net.receive.calls");
        const auto sends = runtime().metrics().value("net.send.calls");
        for (int round = 0; round < 200; ++round) {
            auto sent = co_await send_text(*pair.client, "ping");
            CO_ASSERT_OK(sent);
            auto slice = co_await pair.server->receive();
            CO_ASSERT_OK(slice);
        }
        EXPECT_EQ(runtime().metrics().value("net.send.calls") - sends, 200);
        // No look in vain: a short read has emptied the socket.
        EXPECT_LE(runtime().metrics().value("net.receive.calls") - receives, 202);
    };
    run(body());
}

TEST_P(EpollSuite, ManySmallPartsCostFewSends) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        const auto sends = runtime().metrics().value("net.send.calls");
        const std::string text = "0123456789abcdef";
        const std::vector<Slice> parts(1000, Slice{std::as_bytes(std::span{text})});
        auto sent = co_await pair.client->send(parts);
        CO_ASSERT_OK(sent);
        EXPECT_LE(runtime().metrics().value("net.send.calls") - sends, 8);
        const auto got = co_await receive_text(*pair.server, 16'000);
        EXPECT_EQ(got.size(), 16'000U);
    };
    run(body());
}

TEST(UsersIoContext, AHandlersExceptionLeavesRunAndTheRuntimeGoesOn) {
    boost::asio::io_context context;
    auto runtime = make_asio_runtime(context).value();
    bool later = false;
    runtime->post([] { throw std::runtime_error("from a handler"); });
    runtime->schedule(runtime->monotonic_now() + 1ms, [&] {
        later = true;
        context.stop();
    });
    EXPECT_THROW(context.run(), std::runtime_error);
    context.restart();
    context.run();
    EXPECT_TRUE(later);
}

TEST(UsersIoContext, RunsDryOnceTheRuntimeIsGone) {
    boost::asio::io_context context;
    auto runtime = make_asio_runtime(context).value();
    runtime->run(); // the user runs the context: nothing happens here
    runtime->stop();
    runtime->run_until(Instant::max());
    runtime->start_thread();
    for (int i = 0; i < 10; ++i) context.poll();
    boost::asio::post(context, [&] { runtime.reset(); });
    context.restart();
    EXPECT_GT(context.run(), 0U); // returns
}

TEST(UsersIoContext, ItsHandlersMaySetTimersAndPost) {
    boost::asio::io_context context;
    auto runtime = make_asio_runtime(context).value();
    context.poll(); // the Runtime sleeps now
    std::vector<int> order;
    boost::asio::post(context, [&] {
        runtime->schedule(runtime->monotonic_now() + 2ms, [&] {
            order.push_back(2);
            context.stop();
        });
        runtime->post([&] { order.push_back(1); });
        EXPECT_FALSE(runtime->in_runtime_thread());
    });
    context.run();
    EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST(UsersIoContext, ATimerSetWhileALaterOneIsArmedIsNotLate) {
    boost::asio::io_context context;
    auto runtime = make_asio_runtime(context).value();
    bool far = false, near = false;
    runtime->schedule(runtime->monotonic_now() + 1h, [&] { far = true; });
    context.poll();
    boost::asio::post(context, [&] {
        runtime->schedule(runtime->monotonic_now() + 1ms, [&] {
            near = true;
            context.stop();
        });
    });
    context.run_for(20s);
    EXPECT_TRUE(near);
    EXPECT_FALSE(far);
}

} // namespace muster::net::test
