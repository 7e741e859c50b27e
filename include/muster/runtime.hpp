// SPDX-License-Identifier: Apache-2.0
#pragma once
/// make_runtime, which selects the back end (architecture.md, Layers).
#include <muster/language.hpp> // first

#include <memory>
#include <muster/net/asio_runtime.hpp>
#include <muster/net/runtime.hpp>
#include <optional>
#include <string_view>
#include <utility>

namespace muster {

/// The event loop. Auto probes io_uring; when that cannot be used, it logs the reason and the remedy (code
/// "runtime.uring.unavailable") and uses epoll.
enum class Backend : std::uint8_t { Auto, Uring, Epoll };

std::string_view to_string(Backend backend) noexcept;
std::optional<Backend> parse_backend(std::string_view text) noexcept;

/// Errors: Backend::Uring where io_uring cannot be used (not_supported, permission_denied, no_memory), with
/// the remedy as advice.
result<std::unique_ptr<net::Runtime>> make_runtime(Backend backend, net::RuntimeOptions options = {});
/// The epoll Runtime on the user's own io_context, which must outlive it and be run by one thread at a time.
/// Throws ErrorException with the errors of net::make_asio_runtime.
inline std::unique_ptr<net::Runtime> make_runtime(boost::asio::io_context& context,
                                                  net::RuntimeOptions options = {}) {
    return net::make_asio_runtime(context, std::move(options)).value();
}

} // namespace muster
