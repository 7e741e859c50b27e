// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Errors as values: the failure (`code`), the thing that failed (`subject`) and the remedy (`advice`).
#include <muster/language.hpp> // first

#include <boost/assert/source_location.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace muster {

/// Conditions that callers tell apart. net/ maps errors of the operating system onto these.
enum class Errc {
    end_of_stream = 1, ///< the peer closed in order (FIN)
    reset,             ///< the peer or the network broke the connection (RST, EPIPE)
    refused,        ///< nobody listens there (ECONNREFUSED): evidence of a dead process, protocol.md §12.7
    unreachable,    ///< no route, network or host unreachable: silence, not evidence
    timed_out,      ///< a deadline passed
    cancelled,      ///< the caller cancelled the operation
    address_in_use, ///< listen: the port is taken
    address_not_available, ///< listen: the address is not of this machine
    permission_denied,     ///< the operating system forbids it (seccomp, privileged port)
    no_descriptors,        ///< EMFILE / ENFILE
    no_memory,             ///< ENOMEM / ENOBUFS, RLIMIT_MEMLOCK
    not_supported,         ///< this kernel or build cannot do it
    not_found,             ///< a host name that does not resolve, an unknown key
    limit_reached,         ///< a documented limit of muster (queue, connections, frame bytes)
    closed,                ///< the object was closed or shut down by its owner
    malformed,             ///< bytes that are no valid message
    too_large,             ///< a frame, count or text above its limit
    mismatch,              ///< peer of another cluster, wire version or incarnation
    invalid_argument,      ///< a setting or argument out of its range
    illegal_transition,    ///< a member status change protocol.md §1.3 refuses
    io,                    ///< any other operating-system error, found in `Error::cause`
};

const boost::system::error_category& muster_category() noexcept;
boost::system::error_code make_error_code(Errc e) noexcept;

/// A failure with its subject and advice. Cheap to move; built only when something fails.
struct Error {
    Errc code{};
    std::string subject; ///< what failed: "127.0.0.1:2551", "setting stable-after", "frame length 4294967295"
    std::string advice;  ///< what would be right: "use 1 to 65535"
    boost::system::error_code cause{}; ///< the operating system's own code where there was one

    /// One line: "<subject>: <what> (<cause>); <advice>", leaving out what is empty.
    std::string message() const;
    friend bool operator==(const Error& e, Errc c) noexcept { return e.code == c; }
};

/// Thrown only by result<T>::value() on an unchecked error; muster itself never throws it across an API.
class ErrorException : public std::runtime_error {
public:
    explicit ErrorException(Error e) : std::runtime_error(e.message()), error_(std::move(e)) {}
    const Error& error() const noexcept { return error_; }

private:
    Error error_;
};

[[noreturn]] void throw_exception_from_error(const Error& e, const boost::source_location& where);

template <class T = void>
using result = boost::system::result<T, Error>;

/// Maps errno onto Errc and keeps it as the cause. `subject` names the operation and its object.
Error from_errno(int errno_value, std::string subject, std::string advice = {});

} // namespace muster

template <>
struct boost::system::is_error_code_enum<muster::Errc> : std::true_type {};
