// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A network of the calling thread's own, whose cable can be pulled: connections over its loopback become
/// black holes.
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace muster::test {

/// Sockets that this thread opens while it lives are in it. The thread returns to its former network at the
/// end.
class PrivateNetwork {
public:
    PrivateNetwork() {
        before_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (before_ < 0 || ::unshare(CLONE_NEWNET) != 0) {
            why_not_ = std::string{"no network of its own: "} + std::strerror(errno);
            return;
        }
        inside_ = true;
        if (!set_loopback(true))
            why_not_ = std::string{"no loopback in a network of its own: "} + std::strerror(errno);
    }
    ~PrivateNetwork() {
        if (inside_) ::setns(before_, CLONE_NEWNET);
        if (before_ >= 0) ::close(before_);
    }
    PrivateNetwork(const PrivateNetwork&) = delete;
    PrivateNetwork& operator=(const PrivateNetwork&) = delete;

    /// Why there is none (it takes CAP_SYS_ADMIN); empty when there is.
    const std::string& why_not() const noexcept { return why_not_; }
    /// Nothing arrives any more, and nobody is told so.
    bool pull_the_cable() { return set_loopback(false); }

private:
    static bool set_loopback(bool up) {
        const int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (descriptor < 0) return false;
        ifreq request{};
        std::strcpy(request.ifr_name, "lo");
        bool done = ::ioctl(descriptor, SIOCGIFFLAGS, &request) == 0;
        request.ifr_flags = static_cast<short>(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
        done = done && ::ioctl(descriptor, SIOCSIFFLAGS, &request) == 0;
        ::close(descriptor);
        return done;
    }

    int before_ = -1;
    bool inside_ = false;
    std::string why_not_;
};

} // namespace muster::test
