// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Making connections: connect, listen, accept.
#include "context.hpp"
#include "readiness.hpp"
#include <muster/net/runtime.hpp>

namespace muster::uring {

/// As Runtime::connect().
net::Task<result<std::unique_ptr<net::Connection>>> connect(Context& context, net::Endpoint to,
                                                            net::ConnectOptions options);
/// As Runtime::listen().
result<std::unique_ptr<net::Listener>> listen(Context& context, const net::Endpoint& at,
                                              const net::ListenOptions& options);

} // namespace muster::uring
