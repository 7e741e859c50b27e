// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The Runtime of a benchmark, by its words backend=auto|uring|epoll and spin=MICROSECONDS.
#include <chrono>
#include <memory>
#include <muster/log.hpp>
#include <muster/net/asio_runtime.hpp>
#include <muster/uring/runtime.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "options.hpp"

namespace muster::bench {

/// Not through muster/runtime.hpp, which has no setting for the spinning of an idle loop. `log`: null is
/// stderr.
inline std::unique_ptr<net::Runtime> make_runtime(std::string_view program, const Options& options,
                                                  std::shared_ptr<LogSink> log = nullptr) {
    const std::string backend = options.text("backend", "auto");
    if (backend != "auto" && backend != "uring" && backend != "epoll")
        fail(program, "backend: use auto, uring or epoll");
    if (backend != "epoll") {
        uring::Options uring_options;
        uring_options.log_sink = log;
        const long spin = options.number("spin", -1);
        if (spin >= 0) uring_options.idle_spin = std::chrono::microseconds{spin};
        auto made = uring::make_runtime(std::move(uring_options));
        if (made) return std::move(*made);
        if (backend == "uring") fail(program, made.error().message());
    }
    net::RuntimeOptions epoll_options;
    epoll_options.log_sink = std::move(log);
    auto made = net::make_asio_runtime(std::move(epoll_options));
    if (!made) fail(program, made.error().message());
    return std::move(*made);
}

} // namespace muster::bench
