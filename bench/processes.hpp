// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What the benchmarks of several processes share: memory that all of them see, clocks, places on cores, and
/// the line that bench/run reads.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>
#include <sched.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "options.hpp"

namespace muster::bench {

/// Seconds of CLOCK_MONOTONIC: the same clock in every process of a machine.
inline double seconds_now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// User and system time of the calling process.
inline double cpu_seconds() {
    rusage r{};
    getrusage(RUSAGE_SELF, &r);
    return static_cast<double>(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

/// Largest resident memory of the calling process so far, in KiB.
inline long resident_max_kib() {
    rusage r{};
    getrusage(RUSAGE_SELF, &r);
    return r.ru_maxrss;
}

inline void pin_to(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/// A T that this process and all that it forks from now on see. Zero but for T's own initial values.
template <class T>
T& shared_by_all(std::string_view program, std::size_t count = 1) {
    void* memory =
        mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail(program, std::strerror(errno));
    T* const first = static_cast<T*>(memory);
    for (std::size_t i = 0; i < count; ++i) new (first + i) T{};
    return *first;
}

/// The processes of one run. The first one that ends badly ends the benchmark.
class Processes {
public:
    explicit Processes(std::string_view program, unsigned seconds_max = 120)
        : program_(program), seconds_max_(seconds_max) {
        alarm(seconds_max_);
    }
    ~Processes() {
        for (const pid_t child : children_) kill(child, SIGKILL);
    }
    Processes(const Processes&) = delete;
    Processes& operator=(const Processes&) = delete;

    /// Runs `body` in a process of its own, which ends when it returns.
    template <class Body>
    void fork_one(Body body) {
        const pid_t child = fork();
        if (child < 0) fail(program_, std::strerror(errno));
        if (child == 0) {
            children_.clear();
            alarm(seconds_max_);
            body();
            std::fflush(nullptr);
            _exit(0);
        }
        children_.push_back(child);
    }
    /// Waits until `ready` says true. A child that ends meanwhile is a failure.
    template <class Ready>
    void wait_for(Ready ready) {
        while (!ready()) {
            reap(WNOHANG);
            usleep(1000);
        }
    }
    void join() {
        while (!children_.empty()) reap(0);
    }

private:
    void reap(int flags) {
        int status = 0;
        const pid_t ended = waitpid(-1, &status, flags);
        if (ended <= 0) return;
        std::erase(children_, ended);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail(program_, "one of the processes failed");
    }

    const std::string_view program_;
    const unsigned seconds_max_;
    std::vector<pid_t> children_;
};

/// Of sorted values: the one below which `share` of them are.
inline double percentile(const std::vector<double>& sorted, double share) {
    if (sorted.empty()) return 0;
    const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
    return sorted[std::min(at, sorted.size() - 1)];
}

/// What bench/run reads from each program: one line of JSON.
struct Result {
    std::string_view peer; ///< the library, and its back end
    std::string_view mode;
    long payload = 0; ///< bytes
    std::uint64_t messages = 0;
    double seconds = 0;            ///< of all messages; 0: only latencies were asked for
    std::vector<double> latencies; ///< seconds, in any order
    double cpu_seconds = 0;        ///< of all processes
    std::uint64_t allocations = 0; ///< of all processes; only where they are counted
    bool allocations_counted = false;
    long resident_kib = 0; ///< the largest of the processes

    void print() {
        std::sort(latencies.begin(), latencies.end());
        const double count = static_cast<double>(messages);
        fmt::print("{{\"peer\":\"{}\",\"mode\":\"{}\",\"payload\":{},\"n\":{},\"msgs_per_s\":{:.1f},"
                   "\"p50_us\":{:.3f},\"p99_us\":{:.3f},\"p999_us\":{:.3f},\"cpu_s\":{:.4f},"
                   "\"cpu_ns_per_msg\":{:.2f},\"resident_kib\":{}",
                   peer, mode, payload, messages, seconds > 0 ? count / seconds : 0.0,
                   percentile(latencies, 0.5) * 1e6, percentile(latencies, 0.99) * 1e6,
                   percentile(latencies, 0.999) * 1e6, cpu_seconds, cpu_seconds * 1e9 / count, resident_kib);
        if (allocations_counted)
            fmt::print(",\"allocations_per_msg\":{:.6f}", static_cast<double>(allocations) / count);
        fmt::print("}}\n");
    }
};

} // namespace muster::bench
