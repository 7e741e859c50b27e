// SPDX-License-Identifier: Apache-2.0
#include "self_test.hpp"

#include "context.hpp"
#include "stream.hpp"
#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <cerrno>
#include <exception>
#include <fmt/format.h>
#include <muster/metrics.hpp>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace muster::uring {
namespace {

constexpr std::size_t test_buffer_bytes = 16 * 1024;
constexpr std::size_t test_buffers = 8;
/// More than all buffers hold, in writes that end within a buffer, at its end and behind it; some are
/// received together.
constexpr std::array<std::size_t, 14> writes{1,
                                             3,
                                             4096,
                                             test_buffer_bytes - 4100,
                                             1,
                                             2 * test_buffer_bytes,
                                             5,
                                             20'000,
                                             20'000,
                                             7,
                                             test_buffer_bytes,
                                             33'333,
                                             12'345,
                                             60'000};
constexpr Duration time_max = std::chrono::seconds{1};

struct Trial {
    int writer = -1;
    std::byte (*sent)(std::size_t) noexcept = nullptr;
    Pattern received;
    bool differs = false;
    std::string failure;
};

bool write_pattern(const Trial& trial, std::size_t from, std::size_t count) {
    std::vector<std::byte> bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = trial.sent(from + i);
    return ::send(trial.writer, bytes.data(), count, MSG_DONTWAIT | MSG_NOSIGNAL) ==
           static_cast<ssize_t>(count);
}

/// Every second write waits until what was written before has come: the kernel then waits for bytes, in the
/// other case it finds several writes at once.
net::Task<void> exchange(net::Connection& connection, Trial& trial) {
    std::size_t written = 0;
    for (std::size_t i = 0; i < writes.size(); ++i) {
        if (!write_pattern(trial, written, writes[i])) {
            trial.failure = "the pattern could not be written";
            co_return;
        }
        written += writes[i];
        if (i % 2 == 0 && i + 1 < writes.size()) continue;
        while (trial.received.position() < written) {
            auto received = co_await connection.receive();
            if (!received) {
                trial.failure = received.error().message();
                co_return;
            }
            if (!trial.received.takes({received->data(), received->size()})) {
                trial.differs = true;
                co_return;
            }
        }
    }
    if (trial.received.position() != written) trial.differs = true;
}

Options small(Options options) {
    options.receive_buffer_bytes = test_buffer_bytes;
    options.receive_buffer_count = test_buffers;
    options.submission_entries = 32;
    options.completion_entries = 256;
    options.idle_spin = Duration::zero();
    return options;
}

} // namespace

result<void> self_test(const Options& options, std::byte (*sent)(std::size_t) noexcept) {
    Metrics metrics;
    Capabilities found;
    auto context = Context::create(small(options), metrics, found);
    if (!context) return context.error();
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return from_errno(errno, "socketpair of the self-test");
    Trial trial{.writer = ends[1], .sent = sent};
    bool over = false;
    {
        Connection connection(Stream::open(**context, ends[0], {}, {}), (*context)->get_executor());
        auto done = [&](std::exception_ptr error) {
            if (error) trial.failure = "an exception left it";
            over = true;
            (*context)->stop();
        };
        boost::asio::co_spawn((*context)->get_executor(), exchange(connection, trial), std::move(done));
        const Instant limit = (*context)->now() + time_max;
        while (!over && (*context)->now() < limit) (*context)->run_until(limit);
        (*context)->shut_down(); // a coroutine that still waits uses the connection
    }
    ::close(ends[1]);
    context->reset();
    if (over && !trial.differs && trial.failure.empty()) return {};
    std::string what = trial.differs ? fmt::format("what came after {} bytes is not what was sent",
                                                   trial.received.position())
                       : over        ? trial.failure
                                     : fmt::format("nothing came after {} bytes", trial.received.position());
    return Error{
        Errc::malformed, "io_uring's self-test: " + what, "use backend epoll, or another kernel", {}};
}

result<Options> trusted_options(Options options, const std::function<result<void>(const Options&)>& test,
                                Logger& log) {
    constexpr std::array features{std::pair{&Options::incremental_buffers, "incremental receive buffers"},
                                  std::pair{&Options::multishot_receive, "multishot receive"}};
    auto outcome = test(options);
    for (const auto& [feature, name] : features) {
        if (outcome || outcome.error() != Errc::malformed) break;
        if (!(options.*feature)) continue;
        options.*feature = false;
        log.warning("runtime.uring.distrusted", "", {{"without", name}, {"cause", outcome.error().subject}});
        outcome = test(options);
    }
    if (outcome) return options;
    Error error = outcome.error();
    if (error == Errc::malformed) error.code = Errc::not_supported;
    return error;
}

} // namespace muster::uring
