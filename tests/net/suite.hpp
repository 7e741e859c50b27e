// SPDX-License-Identifier: Apache-2.0
#pragma once
/// One suite over every Runtime. A Stage is a Runtime with whoever runs it; the tests only see the contract.
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/net/task_group.hpp>
#include <string>
#include <vector>

/// ASSERT_* for coroutines: gtest's own return from the function, which a coroutine cannot.
#define CO_ASSERT(condition)                                                                                 \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            ADD_FAILURE() << "CO_ASSERT(" #condition ")";                                                    \
            co_return;                                                                                       \
        }                                                                                                    \
    } while (false)
/// The same for a result<T>, with its error.
#define CO_ASSERT_OK(outcome)                                                                                \
    do {                                                                                                     \
        if (!(outcome)) {                                                                                    \
            ADD_FAILURE() << #outcome << ": " << (outcome).error().message();                                \
            co_return;                                                                                       \
        }                                                                                                    \
    } while (false)

namespace muster::net::test {

using namespace std::chrono_literals;

/// A Runtime and its thread of execution: this one, while run() is inside.
class Stage {
public:
    virtual ~Stage() = default;
    virtual Runtime& runtime() = 0;
    /// Runs the Runtime on this thread until stop().
    virtual void run() = 0;
    /// Makes run() return. Runtime's thread.
    virtual void stop() = 0;
    /// Whether sockets, threads and clocks are the system's.
    virtual bool real() const { return true; }
    /// Destroys the Runtime, with whatever is in flight.
    virtual void destroy() = 0;
};

struct Backend {
    std::string name;
    std::function<std::unique_ptr<Stage>(RuntimeOptions)> make;
};

/// Every Runtime that can be used on this machine; says which cannot and why.
const std::vector<Backend>& backends();
/// Those with sockets and threads of the system.
std::vector<Backend> real_backends();

inline std::string backend_name(const ::testing::TestParamInfo<Backend>& info) { return info.param.name; }

class RuntimeSuite : public ::testing::TestWithParam<Backend> {
protected:
    RuntimeSuite() : stage_(GetParam().make(RuntimeOptions{})) {}
    ~RuntimeSuite() override;

    Runtime& runtime() { return stage_->runtime(); }
    Stage& stage() { return *stage_; }
    /// Runs `body` as a task to its end. Fails when that takes longer than any machine needs.
    void run(Task<void> body);
    /// Two ends of one connection on loopback.
    struct Pair {
        std::unique_ptr<Connection> client;
        std::unique_ptr<Connection> server;
    };
    Task<Pair> connect_pair(Endpoint at, ListenOptions listening, ConnectOptions connecting);
    Task<Pair> connect_pair(Endpoint at = Endpoint::loopback_v4(0)) { return connect_pair(at, {}, {}); }
    /// An endpoint of this machine on which nobody listens.
    Endpoint vacant();

    std::unique_ptr<Stage> stage_;
};

/// Everything that comes until `size` bytes are there; fewer when the stream ends before.
Task<std::string> receive_text(Connection& connection, std::size_t size);
/// The error with which the stream ends; the bytes before it are dropped.
Task<Errc> receive_end(Connection& connection);
Task<result<void>> send_text(Connection& connection, std::string text);
/// Threads of this process whose name is `name`; all of them when it is empty.
std::size_t count_threads(const std::string& name = {});

} // namespace muster::net::test
