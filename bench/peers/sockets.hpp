// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Blocking sockets, and the frames that every peer without a protocol of its own sends over them: a length
/// of 4 bytes, a head of 40 (as long as a small actor message's), and the payload.
#include <arpa/inet.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../processes.hpp"

namespace muster::bench {

inline constexpr std::size_t head_bytes = 40;
inline constexpr std::size_t frame_overhead = 4 + head_bytes;

/// A listening socket at a free port of 127.0.0.1, or at a Unix socket's abstract name.
class BlockingListener {
public:
    BlockingListener(std::string_view program, bool unix_socket) : program_(program), unix_(unix_socket) {
        fd_ = socket(unix_ ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (unix_) {
            sockaddr_un a{};
            a.sun_family = AF_UNIX;
            const socklen_t only_family = sizeof a.sun_family; // the kernel chooses an abstract name
            if (bind(fd_, reinterpret_cast<sockaddr*>(&a), only_family)) fail(program_, std::strerror(errno));
        } else {
            sockaddr_in a{};
            a.sin_family = AF_INET;
            a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            if (bind(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a)) fail(program_, std::strerror(errno));
        }
        if (listen(fd_, 64)) fail(program_, std::strerror(errno));
    }
    ~BlockingListener() { ::close(fd_); }
    BlockingListener(const BlockingListener&) = delete;
    BlockingListener& operator=(const BlockingListener&) = delete;

    int accept_one(const Options& options) const {
        const int fd = ::accept(fd_, nullptr, nullptr);
        if (fd < 0) fail(program_, std::strerror(errno));
        tune(fd, options);
        return fd;
    }
    /// To be called in the process that connects, which inherited this listener.
    int connect_one(const Options& options) const {
        sockaddr_storage a{};
        socklen_t length = sizeof a;
        getsockname(fd_, reinterpret_cast<sockaddr*>(&a), &length);
        const int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        tune(fd, options);
        if (connect(fd, reinterpret_cast<sockaddr*>(&a), length)) fail(program_, std::strerror(errno));
        return fd;
    }

private:
    void tune(int fd, const Options& options) const {
        const int one = 1;
        const int unix_buffer = 1 << 20; // with the system's small one a Unix socket is slower than TCP
        if (unix_) {
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &unix_buffer, sizeof unix_buffer);
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        const std::string control = options.text("cc", "");
        if (!control.empty() && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control.data(),
                                           static_cast<socklen_t>(control.size())))
            fail(program_, "cc=" + control + ": " + std::strerror(errno));
    }

    const std::string_view program_;
    const bool unix_;
    int fd_;
};

inline void send_all(std::string_view program, int fd, const std::byte* bytes, std::size_t count) {
    while (count > 0) {
        const ssize_t sent = ::send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0) fail(program, std::strerror(errno));
        bytes += sent;
        count -= static_cast<std::size_t>(sent);
    }
}

/// `busy`: asks again and again instead of sleeping.
inline void receive_all(std::string_view program, int fd, std::byte* bytes, std::size_t count, bool busy) {
    while (count > 0) {
        const ssize_t got = ::recv(fd, bytes, count, busy ? MSG_DONTWAIT : 0);
        if (got < 0 && errno == EAGAIN) continue;
        if (got <= 0) fail(program, "the connection ended early");
        bytes += got;
        count -= static_cast<std::size_t>(got);
    }
}

} // namespace muster::bench
