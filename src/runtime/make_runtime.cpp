// SPDX-License-Identifier: Apache-2.0
#include <muster/ensure.hpp>
#include <muster/net/asio_runtime.hpp>
#include <muster/runtime.hpp>
#include <muster/uring/runtime.hpp>
#include <utility>

namespace muster {
namespace {

result<std::unique_ptr<net::Runtime>> make_uring(const net::RuntimeOptions& common) {
    uring::Options options;
    static_cast<net::RuntimeOptions&>(options) = common;
    return uring::make_runtime(std::move(options));
}

void tell_why_not_uring(net::Runtime& runtime, const Error& why) {
    LogFields fields{{"cause", why.cause ? why.cause.message() : std::string{}}, {"advice", why.advice}};
    runtime.log().warning("runtime.uring.unavailable", "", std::move(fields));
}

} // namespace

std::string_view to_string(Backend backend) noexcept {
    switch (backend) {
    case Backend::Auto: return "auto";
    case Backend::Uring: return "uring";
    case Backend::Epoll: return "epoll";
    }
    return "unknown";
}

std::optional<Backend> parse_backend(std::string_view text) noexcept {
    for (const Backend backend : {Backend::Auto, Backend::Uring, Backend::Epoll}) {
        if (text == to_string(backend)) return backend;
    }
    return std::nullopt;
}

result<std::unique_ptr<net::Runtime>> make_runtime(Backend backend, net::RuntimeOptions options) {
    if (backend == Backend::Epoll) return net::make_asio_runtime(std::move(options));
    auto uring = make_uring(options);
    if (uring || backend == Backend::Uring) return uring;
    auto epoll = net::make_asio_runtime(std::move(options));
    if (epoll) tell_why_not_uring(**epoll, uring.error());
    return epoll;
}

} // namespace muster
