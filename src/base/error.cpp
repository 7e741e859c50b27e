// SPDX-License-Identifier: Apache-2.0
#include <boost/system/errc.hpp>
#include <boost/throw_exception.hpp>
#include <cerrno>
#include <fmt/format.h>
#include <muster/error.hpp>
#include <string_view>

namespace muster {
namespace {

namespace errc = boost::system::errc;

std::string_view describe(Errc e) noexcept {
    switch (e) {
    case Errc::end_of_stream: return "the peer closed the connection";
    case Errc::reset: return "the connection was reset";
    case Errc::refused: return "the connection was refused";
    case Errc::unreachable: return "the network or host is unreachable";
    case Errc::timed_out: return "timed out";
    case Errc::cancelled: return "cancelled";
    case Errc::address_in_use: return "the address is in use";
    case Errc::address_not_available: return "the address does not belong to this machine";
    case Errc::permission_denied: return "the operating system forbids it";
    case Errc::no_descriptors: return "no file descriptors are left";
    case Errc::no_memory: return "not enough memory";
    case Errc::not_supported: return "not supported here";
    case Errc::not_found: return "not found";
    case Errc::limit_reached: return "a limit is reached";
    case Errc::closed: return "closed";
    case Errc::malformed: return "malformed";
    case Errc::too_large: return "too large";
    case Errc::mismatch: return "does not match";
    case Errc::invalid_argument: return "invalid";
    case Errc::illegal_transition: return "not a legal transition";
    case Errc::io: return "the operating system reports an error";
    }
    return "unknown muster error";
}

/// The portable condition of a code, so that `ec == boost::system::errc::timed_out` holds; 0 where there is
/// none.
int portable_condition(Errc e) noexcept {
    switch (e) {
    case Errc::reset: return errc::connection_reset;
    case Errc::refused: return errc::connection_refused;
    case Errc::unreachable: return errc::host_unreachable;
    case Errc::timed_out: return errc::timed_out;
    case Errc::cancelled: return errc::operation_canceled;
    case Errc::address_in_use: return errc::address_in_use;
    case Errc::address_not_available: return errc::address_not_available;
    case Errc::permission_denied: return errc::permission_denied;
    case Errc::no_descriptors: return errc::too_many_files_open;
    case Errc::no_memory: return errc::not_enough_memory;
    case Errc::not_supported: return errc::not_supported;
    case Errc::malformed: return errc::bad_message;
    case Errc::too_large: return errc::message_size;
    case Errc::invalid_argument: return errc::invalid_argument;
    case Errc::io: return errc::io_error;
    default: return 0;
    }
}

class MusterCategory final : public boost::system::error_category {
public:
    // The number makes equality independent of the object's address (a program may hold two copies of it).
    constexpr MusterCategory() noexcept : error_category(0x6d75737465722e31) {}
    const char* name() const noexcept override { return "muster"; }
    std::string message(int value) const override { return std::string{describe(Errc{value})}; }
    boost::system::error_condition default_error_condition(int value) const noexcept override {
        const int condition = portable_condition(Errc{value});
        if (condition == 0) return {value, *this};
        return {condition, boost::system::generic_category()};
    }
};

constexpr MusterCategory category_instance;

Errc classify(int errno_value) noexcept {
    switch (errno_value) {
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE: return Errc::reset;
    case ECONNREFUSED: return Errc::refused;
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTUNREACH:
    case EHOSTDOWN: return Errc::unreachable;
    case ETIMEDOUT:
    case ETIME: return Errc::timed_out;
    case ECANCELED: return Errc::cancelled;
    case EADDRINUSE: return Errc::address_in_use;
    case EADDRNOTAVAIL: return Errc::address_not_available;
    case EACCES:
    case EPERM: return Errc::permission_denied;
    case EMFILE:
    case ENFILE: return Errc::no_descriptors;
    case ENOMEM:
    case ENOBUFS: return Errc::no_memory;
    case ENOSYS:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT: return Errc::not_supported;
    case ENOENT: return Errc::not_found;
    case ENOTCONN:
    case ESHUTDOWN: return Errc::closed;
    case EMSGSIZE: return Errc::too_large;
    default: return Errc::io;
    }
}

} // namespace

const boost::system::error_category& muster_category() noexcept { return category_instance; }

boost::system::error_code make_error_code(Errc e) noexcept {
    return {static_cast<int>(e), category_instance};
}

std::string Error::message() const {
    std::string line = subject.empty() ? std::string{} : subject + ": ";
    line += describe(code);
    if (cause) line += fmt::format(" ({})", cause.message());
    if (!advice.empty()) line += "; " + advice;
    return line;
}

void throw_exception_from_error(const Error& e, const boost::source_location& where) {
    boost::throw_exception(ErrorException(e), where);
}

Error from_errno(int errno_value, std::string subject, std::string advice) {
    return {classify(errno_value), std::move(subject), std::move(advice),
            boost::system::error_code{errno_value, boost::system::system_category()}};
}

} // namespace muster
