// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <utility>

namespace muster::net::test {

namespace {

Task<void> run_body(Stage& stage, Task<void> body, bool& finished) {
    co_await std::move(body);
    finished = true;
    stage.stop();
}

} // namespace

std::vector<Backend> real_backends() {
    std::vector<Backend> real;
    for (const Backend& backend : backends()) {
        if (backend.make(RuntimeOptions{})->real()) real.push_back(backend);
    }
    return real;
}

RuntimeSuite::~RuntimeSuite() = default;

void RuntimeSuite::run(Task<void> body) {
    bool finished = false;
    TaskGroup group(runtime());
    group.spawn(run_body(*stage_, std::move(body), finished));
    auto give_up = [this] { stage_->stop(); };
    const TimerId watchdog = runtime().schedule(runtime().monotonic_now() + 60s, std::move(give_up));
    stage_->run();
    EXPECT_TRUE(finished) << "the test did not come to its end";
    if (!finished) return stage_->destroy();
    runtime().cancel(watchdog);
    // The task's own end comes after its last statement.
    for (int i = 0; i < 1000 && !group.empty(); ++i) {
        runtime().post([this] { stage_->stop(); });
        stage_->run();
    }
}

Task<RuntimeSuite::Pair> RuntimeSuite::connect_pair(Endpoint at, ListenOptions listening,
                                                    ConnectOptions connecting) {
    Pair pair;
    auto listener = runtime().listen(at, std::move(listening));
    if (!listener) {
        ADD_FAILURE() << listener.error().message();
        co_return pair;
    }
    const Endpoint to = (*listener)->local();
    auto client = co_await runtime().connect(to, std::move(connecting));
    auto server = co_await (*listener)->accept();
    if (!client || !server) {
        ADD_FAILURE() << (client ? server.error() : client.error()).message();
        co_return pair;
    }
    pair.client = std::move(*client);
    pair.server = std::move(*server);
    co_return pair;
}

Endpoint RuntimeSuite::vacant() {
    auto listener = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
    EXPECT_TRUE(listener.has_value());
    return (*listener)->local();
}

Task<std::string> receive_text(Connection& connection, std::size_t size) {
    std::string text;
    while (text.size() < size) {
        auto slice = co_await connection.receive();
        if (!slice) break;
        text += slice->text();
    }
    co_return text;
}

Task<Errc> receive_end(Connection& connection) {
    for (;;) {
        auto slice = co_await connection.receive();
        if (!slice) co_return slice.error().code;
    }
}

Task<result<void>> send_text(Connection& connection, std::string text) {
    const Slice slice{std::as_bytes(std::span{text})};
    auto outcome = co_await connection.send(std::span{&slice, 1});
    co_return outcome;
}

std::size_t count_threads(const std::string& name) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream file(entry.path() / "comm");
        std::string comm;
        std::getline(file, comm);
        if (name.empty() || comm == name) ++count;
    }
    return count;
}

} // namespace muster::net::test
