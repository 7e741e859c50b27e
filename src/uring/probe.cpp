// SPDX-License-Identifier: Apache-2.0
#include "probe.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace muster::uring {
namespace {

constexpr unsigned trial_entries = 8;
constexpr std::uint16_t trial_group = 0xffff;

std::string kernel_release() {
    utsname name{};
    return uname(&name) == 0 ? name.release : "unknown";
}

/// Whether the running kernel's version is at least this. Used only where the kernel has no other way to
/// tell (multishot receive is a flag that older kernels ignore).
bool kernel_at_least(const std::string& release, unsigned major, unsigned minor) {
    unsigned have_major = 0, have_minor = 0;
    char dot = 0;
    const char* text = release.c_str();
    char* end = nullptr;
    have_major = static_cast<unsigned>(std::strtoul(text, &end, 10));
    dot = *end;
    if (dot == '.') have_minor = static_cast<unsigned>(std::strtoul(end + 1, nullptr, 10));
    return have_major != major ? have_major > major : have_minor >= minor;
}

/// kernel.io_uring_disabled (Linux 6.6): 0 allowed, 1 for a group only, 2 for nobody; -1 not known.
int io_uring_disabled() {
    std::ifstream file("/proc/sys/kernel/io_uring_disabled");
    int value = -1;
    return file >> value ? value : -1;
}

bool under_seccomp_filter() {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("Seccomp:")) return line.find('2') != std::string::npos;
    }
    return false;
}

constexpr const char* seccomp_cure =
    "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile (Docker: "
    "--security-opt seccomp=FILE), or use backend epoll";

std::string permission_cure() {
    switch (io_uring_disabled()) {
    case 2: return "set sysctl kernel.io_uring_disabled=0, or use backend epoll";
    case 1:
        return "set sysctl kernel.io_uring_disabled=0, or put the user into the group of "
               "kernel.io_uring_group, "
               "or use backend epoll";
    default: break;
    }
    return under_seccomp_filter()
               ? seccomp_cure
               : "a security module forbids io_uring to this user: allow it, or use backend epoll";
}

std::string memory_cure() {
    rlimit limit{};
    const bool known = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    if (!known) return "free memory, or use backend epoll";
    return fmt::format(
        "raise the limit of locked memory, now {} KiB (ulimit -l, LimitMEMLOCK=), to 16384 KiB, or use "
        "backend epoll",
        limit.rlim_cur / 1024);
}

std::string missing_cure() {
    const std::string release = kernel_release();
    if (kernel_at_least(release, 5, 19) && under_seccomp_filter()) return seccomp_cure;
    return fmt::format("use Linux 5.19 or newer with CONFIG_IO_URING (this is {}), or use backend epoll",
                       release);
}

} // namespace

Error explain_setup_failure(int error) {
    std::string advice;
    switch (error) {
    case EPERM:
    case EACCES: advice = permission_cure(); break;
    case ENOMEM: advice = memory_cure(); break;
    case EMFILE:
    case ENFILE: advice = "raise the limit of open files (ulimit -n)"; break;
    default: advice = missing_cure(); break;
    }
    Error explained = from_errno(error, "io_uring", std::move(advice));
    // EINVAL is how an older kernel says that it does not know a flag.
    if (error == EINVAL || error == ENOSYS) explained.code = Errc::not_supported;
    return explained;
}

int try_buffer_group(Ring& ring, std::uint16_t flags) noexcept {
    const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return errno;
    const int error = ring.register_buffers(memory, trial_entries, trial_group, flags);
    if (error == 0) ring.unregister_buffers(trial_group);
    munmap(memory, bytes);
    return error;
}

result<Capabilities> examine(Ring& ring) {
    Capabilities found;
    found.kernel = kernel_release();
    found.task_run = ring.task_run();
    if (const int error = try_buffer_group(ring, 0)) return explain_setup_failure(error);
    found.incremental_buffers = try_buffer_group(ring, buffers_incremental) == 0;
    found.multishot_receive = found.task_run == TaskRun::Deferred || kernel_at_least(found.kernel, 6, 0);
    return found;
}

result<Capabilities> probe() {
    const Ring::Setup small{.submission_entries = trial_entries, .completion_entries = 2 * trial_entries};
    auto created = Ring::create(small);
    if (!created.ring) return explain_setup_failure(created.error);
    return examine(*created.ring);
}

std::vector<std::string> Capabilities::missing() const {
    std::vector<std::string> out;
    if (!multishot_receive) out.emplace_back("multishot receive (Linux 6.0)");
    if (task_run != TaskRun::Deferred) out.emplace_back("deferred task work (Linux 6.1)");
    if (!incremental_buffers) out.emplace_back("incremental receive buffers (Linux 6.12)");
    return out;
}

} // namespace muster::uring
