// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The Runtime on epoll: for machines and containers that forbid io_uring, and for programs that already run
/// a boost::asio::io_context. No hidden threads: asio's resolver is not used.
#include <boost/asio/detail/call_stack.hpp>
#include <boost/asio/detail/thread_context.hpp>
#include <boost/asio/detail/thread_info_base.hpp>
#include <memory>
#include <muster/net/runtime.hpp>
#include <utility>

namespace boost::asio {
class io_context;
}

namespace muster::net {

/// A Runtime with a loop of its own, run by run(), run_until() or start_thread(). Errors: no_descriptors,
/// no_memory.
result<std::unique_ptr<Runtime>> make_asio_runtime(RuntimeOptions options = {});

namespace detail {

/// Implements make_asio_runtime(context); takes the caller's mark on Asio's call stack of this thread.
result<std::unique_ptr<Runtime>> make_hosted_runtime(boost::asio::io_context& context, RuntimeOptions options,
                                                     const boost::asio::detail::thread_context& mark);

} // namespace detail

/// A Runtime on the user's `context`, which must outlive it and is run by one thread at a time. run(),
/// run_until(), stop() and start_thread() do nothing: whoever runs `context` runs the Runtime, beside its
/// other handlers. While the Runtime exists, `context` has work. The thread that runs `context` destroys the
/// Runtime, or any thread while none runs it. Errors: no_descriptors, no_memory; not_supported where program
/// and library have an Asio call stack each (a program that hides Boost's symbols: the scheduler of `context`
/// would crash).
///
/// Inline, so that the mark lies on the stack which the program's own handlers of `context` use.
inline result<std::unique_ptr<Runtime>> make_asio_runtime(boost::asio::io_context& context,
                                                          RuntimeOptions options = {}) {
    using boost::asio::detail::thread_context;
    using boost::asio::detail::thread_info_base;
    thread_context mark;
    thread_info_base info;
    const boost::asio::detail::call_stack<thread_context, thread_info_base>::context entry(&mark, info);
    return detail::make_hosted_runtime(context, std::move(options), mark);
}

} // namespace muster::net
