// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Starts the library's own threads.
#include <csignal>
#include <muster/error.hpp>
#include <pthread.h>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace muster {

/// Starts a thread named `name` (its first 15 bytes, the system's limit), with all signals blocked, since
/// these belong to the program's threads. Throws std::system_error when the system has no thread for us;
/// no_thread() makes an Error of it.
template <class Body>
std::thread own_thread(std::string name, Body body) {
    class Blocked {
    public:
        Blocked() {
            sigset_t all;
            sigfillset(&all);
            pthread_sigmask(SIG_BLOCK, &all, &before_);
        }
        ~Blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
        Blocked(const Blocked&) = delete;
        Blocked& operator=(const Blocked&) = delete;

    private:
        sigset_t before_{};
    };
    const Blocked blocked; // the new thread inherits it
    return std::thread([name = std::move(name), body = std::move(body)]() mutable {
        pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
        body();
    });
}

inline Error no_thread(const std::system_error& why, const std::string& name) {
    return from_errno(why.code().value(), "thread " + name, "raise the limit of threads (ulimit -u)");
}

} // namespace muster
