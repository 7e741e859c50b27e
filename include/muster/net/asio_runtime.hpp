#pragma once
/// The Runtime on epoll: for machines and containers that forbid io_uring, and for programs that already run
/// a boost::asio::io_context. No hidden threads: asio's resolver is not used.
#include <memory>
#include <muster/net/runtime.hpp>

namespace boost::asio {
class io_context;
}

namespace muster::net {

/// Run by run(), run_until() or start_thread(). Errors: no_descriptors, no_memory.
result<std::unique_ptr<Runtime>> make_asio_runtime(RuntimeOptions options = {});

/// Lives on the user's `context`, which must outlive it and is run by one thread at a time. run(),
/// run_until(), stop() and start_thread() do nothing: whoever runs `context` runs the Runtime, beside its
/// other handlers. While the Runtime exists, `context` has work. It is destroyed by the thread that runs
/// `context`, or while nobody does. Errors: no_descriptors, no_memory.
result<std::unique_ptr<Runtime>> make_asio_runtime(boost::asio::io_context& context,
                                                   RuntimeOptions options = {});

} // namespace muster::net
