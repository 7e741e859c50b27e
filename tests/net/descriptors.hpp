// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Finds the socket of a connection, to ask the system how it is set.
#include "net/sockaddr.hpp"

#include <cstdlib>
#include <dirent.h>

namespace muster::net::test {

/// Calls `visit(descriptor, local, remote)` for every connected socket of this process.
template <class Visit>
void for_each_connected(Visit visit) {
    DIR* const all = opendir("/proc/self/fd");
    while (const dirent* entry = readdir(all)) {
        const int descriptor = std::atoi(entry->d_name);
        SocketAddress from;
        SocketAddress to;
        if (getsockname(descriptor, from.fill(), &from.length) != 0 ||
            getpeername(descriptor, to.fill(), &to.length) != 0)
            continue;
        visit(descriptor, to_endpoint(from.get()), to_endpoint(to.get()));
    }
    closedir(all);
}

/// The descriptor of this process that is connected from `local` to `remote`.
inline int descriptor_of(const Endpoint& local, const Endpoint& remote) {
    int found = -1;
    for_each_connected([&](int descriptor, const Endpoint& from, const Endpoint& to) {
        if (from == local && to == remote) found = descriptor;
    });
    return found;
}

} // namespace muster::net::test
