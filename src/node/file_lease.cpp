// SPDX-License-Identifier: Apache-2.0
/// FileLease: the only part of this layer that does I/O of its own, and only if the application asks for it.
#include <muster/node/file_lease.hpp>

#include "base/setting_limits.hpp"
#include "lease_worker.hpp"
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>
#include <fcntl.h>
#include <muster/cluster/sbr/lease.hpp>
#include <muster/ensure.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace muster {

namespace {

using std::chrono::milliseconds;

constexpr std::string_view magic = "muster-lease 2\n";
constexpr std::string_view magic_1 = "muster-lease 1\n"; // owner and expiry by the wall clock
constexpr std::size_t file_bytes_max = 4096;             // of which one write is never torn in practice
constexpr std::int64_t serial_max = std::int64_t{1} << 62U;

/// Closes the file, and thereby releases its flock.
class Descriptor {
public:
    explicit Descriptor(int fd) noexcept : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const noexcept { return fd_; }

private:
    int fd_;
};

/// Others hold the lock for one small read and write, so a short patience is enough; a process that hangs
/// with the lock must not block this one.
bool lock_exclusively(int fd) noexcept {
    for (int attempt = 0; attempt < 100; ++attempt) {
        if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK && errno != EINTR) return false;
        std::this_thread::sleep_for(milliseconds{1});
    }
    errno = EWOULDBLOCK;
    return false;
}

/// The errors that an operator has to mend; others may pass by themselves.
bool is_permanent(int errno_value) noexcept {
    constexpr std::array permanent{EACCES,       EPERM,  EROFS, ENOENT, EISDIR,     ENOTDIR, ELOOP,
                                   ENAMETOOLONG, EINVAL, ENXIO, ENODEV, EOPNOTSUPP, ENOSYS};
    return std::find(permanent.begin(), permanent.end(), errno_value) != permanent.end();
}

LeaseAnswer failed(int errno_value, std::string subject, std::string advice = {}) {
    return LeaseAnswer::failed(from_errno(errno_value, std::move(subject), std::move(advice)),
                               is_permanent(errno_value));
}

struct Grant {
    std::string owner;       // empty: free
    std::int64_t serial = 0; // grows with each grant, renewal and release
    milliseconds time_to_live{};
    bool is_new_file = false; // nobody has written it yet

    bool operator==(const Grant&) const = default;
};

/// Takes the text up to the next line break, and that too. nullopt: there is none.
std::optional<std::string_view> take_line(std::string_view& text) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return line;
}

std::optional<std::int64_t> take_number(std::string_view& text, std::int64_t max) {
    const auto line = take_line(text);
    if (!line) return std::nullopt;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(line->data(), line->data() + line->size(), number);
    if (error != std::errc{} || end != line->data() + line->size() || number < 0 || number > max)
        return std::nullopt;
    return number;
}

/// Parses a lease file; nullopt: it is none. Version 1 lacks the time to live, for which `own` is used.
std::optional<Grant> parse(std::string_view text, milliseconds own) {
    if (text.empty()) return Grant{{}, 0, own, true};
    const bool is_1 = text.starts_with(magic_1);
    if (!is_1 && !text.starts_with(magic)) return std::nullopt;
    text.remove_prefix(magic.size());
    const auto owner = take_line(text);
    const auto serial = owner ? take_number(text, serial_max) : std::nullopt;
    if (!serial) return std::nullopt;
    if (is_1) return Grant{std::string(*owner), *serial, own, false};
    const auto time_to_live = take_number(text, milliseconds{setting_duration_max}.count());
    if (!time_to_live || *time_to_live == 0) return std::nullopt;
    return Grant{std::string(*owner), *serial, milliseconds{*time_to_live}, false};
}

/// The answer to a failed operation.
std::optional<LeaseAnswer> write_grant(int fd, const std::string& path, const Grant& grant) {
    const std::string text = std::string(magic) + grant.owner + '\n' + std::to_string(grant.serial) + '\n' +
                             std::to_string(grant.time_to_live.count()) + '\n';
    errno = 0;
    const ssize_t n = ::pwrite(fd, text.data(), text.size(), 0);
    // What may be left of a longer text behind the last line is never read, so the truncation is tidiness.
    if (n != static_cast<ssize_t>(text.size()) || ::ftruncate(fd, n) != 0 || ::fdatasync(fd) != 0)
        return failed(n >= 0 && errno == 0 ? EIO : errno, "writing lease file " + path);
    return std::nullopt;
}

timespec read_clock(clockid_t clock) noexcept {
    timespec t{};
    clock_gettime(clock, &t);
    return t;
}

} // namespace

std::function<Instant()> FileLease::system_monotonic() {
    return [] {
        const timespec t = read_clock(CLOCK_BOOTTIME);
        return Instant{std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec}};
    };
}

std::function<WallTime()> FileLease::system_wall() {
    return [] {
        const timespec t = read_clock(CLOCK_REALTIME);
        return WallTime{static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000};
    };
}

/// All access to the file, on the thread muster-lease unless stated otherwise.
struct FileLease::File {
    enum class Operation : std::uint8_t { Check, Acquire, Release, Renew };
    /// The content that was read last, and since when it is unchanged.
    struct Seen {
        Grant grant;
        Instant since{};
        Instant last_read{};
        std::optional<Instant> made_after; // the grant did not exist yet at that time
    };
    /// The grant of this process. A failed write may have reached the file all the same: then its serial is
    /// this process's, too.
    struct Own {
        Instant granted_at{}; // before it was written
        std::int64_t serial_first = 0;
        std::int64_t serial_last = 0;
    };

    File(std::string p, std::string o, std::function<Instant()> m, milliseconds t,
         std::function<WallTime()> w)
        : path(std::move(p)), owner(std::move(o)), monotonic(std::move(m)), time_to_live(t),
          wall(std::move(w)) {}

    LeaseAnswer run(Operation operation) {
        LeaseAnswer answer = run_unlocked(operation);
        if (answer.error) {
            const std::lock_guard lock(mutex);
            last_error = answer.error;
        }
        return answer;
    }
    /// nullopt once the lease is destroyed: the clocks belong to its user.
    std::optional<std::pair<Instant, WallTime>> now() {
        const std::lock_guard lock(mutex);
        if (ended) return std::nullopt;
        const Instant at = monotonic();
        return std::pair{at, wall()};
    }
    LeaseAnswer cancelled() const {
        return LeaseAnswer::failed(Error{Errc::cancelled, "lease file " + path, {}, {}});
    }

    LeaseAnswer run_unlocked(Operation operation);
    LeaseAnswer run_locked(int descriptor, Operation operation);
    std::optional<LeaseAnswer> read(int descriptor, Grant& grant) const;
    void look(const Grant& grant, Instant now);
    bool is_mine(const Grant& grant, Instant now) const;
    LeaseAnswer of_somebody_else(const Grant& grant, Instant now) const;
    LeaseAnswer take(int descriptor, const Grant& grant, std::pair<Instant, WallTime> now);
    LeaseAnswer give_back(int descriptor, const Grant& grant, Instant now);

    const std::string path;
    const std::string owner;
    const std::function<Instant()> monotonic; // called under mutex
    const milliseconds time_to_live;
    const std::function<WallTime()> wall; // likewise
    std::optional<Seen> seen;
    std::optional<Own> own;

    std::mutex mutex;
    bool ended = false;              ///< mutex; any thread
    std::optional<Error> last_error; ///< mutex; any thread
};

LeaseAnswer FileLease::File::run_unlocked(Operation operation) {
    // flock is per open file: every operation opens its own, so threads exclude each other like processes do.
    const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0660));
    if (file.get() < 0)
        return failed(errno, "opening lease file " + path,
                      "it must be a file, in a directory that exists and is writable");
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return failed(errno, "reading lease file " + path);
    if (!S_ISREG(status.st_mode))
        return LeaseAnswer::failed(Error{Errc::malformed, "lease file " + path, "it is no regular file", {}},
                                   true);
    if (!lock_exclusively(file.get())) {
        const int error = errno;
        return failed(error, "locking lease file " + path,
                      error == EWOULDBLOCK ? "another process keeps it locked"
                                           : "its file system must support flock");
    }
    return run_locked(file.get(), operation);
}

std::optional<LeaseAnswer> FileLease::File::read(int descriptor, Grant& grant) const {
    std::array<char, file_bytes_max> bytes;
    const ssize_t n = ::pread(descriptor, bytes.data(), bytes.size(), 0);
    if (n < 0) return failed(errno, "reading lease file " + path);
    auto parsed = parse(std::string_view(bytes.data(), static_cast<std::size_t>(n)), time_to_live);
    if (!parsed)
        return LeaseAnswer::failed(Error{Errc::malformed,
                                         "lease file " + path,
                                         "it is no lease of this version: delete it when no node uses it",
                                         {}},
                                   true);
    grant = *std::move(parsed);
    return std::nullopt;
}

LeaseAnswer FileLease::File::run_locked(int descriptor, Operation operation) {
    // Under the lock, so that nothing is written between this moment and what is read or written now.
    const auto at = now();
    if (!at) return cancelled();
    Grant grant;
    if (auto failure = read(descriptor, grant)) return *std::move(failure);
    look(grant, at->first);
    const bool mine = is_mine(grant, at->first);
    switch (operation) {
    case Operation::Check: break;
    case Operation::Renew:
        if (mine) return take(descriptor, grant, *at);
        break;
    case Operation::Acquire: {
        // An owner renews its own grant whatever its age: an earlier process may have had it.
        if (grant.owner.empty() || grant.owner == owner) return take(descriptor, grant, *at);
        const LeaseAnswer theirs = of_somebody_else(grant, at->first);
        return theirs.watch ? theirs : take(descriptor, grant, *at);
    }
    case Operation::Release: return give_back(descriptor, grant, at->first);
    }
    return mine ? LeaseOutcome::Held : LeaseOutcome::NotHeld;
}

void FileLease::File::look(const Grant& grant, Instant now) {
    if (seen && seen->grant == grant) {
        seen->last_read = now;
        return;
    }
    const auto before = seen ? std::optional(seen->last_read) : std::nullopt;
    seen = Seen{grant, now, now, before};
}

bool FileLease::File::is_mine(const Grant& grant, Instant now) const {
    return own && grant.owner == owner && grant.serial >= own->serial_first &&
           grant.serial <= own->serial_last && now - own->granted_at < time_to_live;
}

/// Returns Held without a watch when the grant has expired, otherwise NotHeld or Watching with a watch.
LeaseAnswer FileLease::File::of_somebody_else(const Grant& grant, Instant now) const {
    const Duration unchanged_for = now - seen->since;
    if (unchanged_for >= grant.time_to_live) return LeaseOutcome::Held;
    const Duration remaining = grant.time_to_live - unchanged_for;
    const bool alive = seen->made_after && now - *seen->made_after < grant.time_to_live;
    // A grant with a longer time to live than this owner's is not waited for: the settings differ.
    LeaseAnswer answer(alive || remaining > time_to_live ? LeaseOutcome::NotHeld : LeaseOutcome::Watching);
    const auto again = std::min(std::chrono::ceil<milliseconds>(remaining), time_to_live / 20);
    answer.watch =
        LeaseAnswer::Watch{grant.owner, unchanged_for, grant.time_to_live, std::max(again, milliseconds{1})};
    return answer;
}

LeaseAnswer FileLease::File::take(int descriptor, const Grant& grant, std::pair<Instant, WallTime> now) {
    const Grant next{owner,
                     grant.is_new_file ? std::clamp<std::int64_t>(now.second.ms, 0, serial_max / 2)
                                       : grant.serial + 1,
                     time_to_live, false};
    if (is_mine(grant, now.first)) own->serial_last = next.serial;
    if (auto failure = write_grant(descriptor, path, next)) return *std::move(failure);
    own = Own{now.first, next.serial, next.serial};
    look(next, now.first);
    const auto written = this->now();
    if (!written) return cancelled();
    if (written->first - now.first >= time_to_live)
        return LeaseAnswer::failed(
            Error{Errc::timed_out, "writing lease file " + path, "it took longer than the time to live", {}});
    return LeaseOutcome::Held;
}

LeaseAnswer FileLease::File::give_back(int descriptor, const Grant& grant, Instant now) {
    if (grant.owner == owner) {
        const Grant free{{}, grant.serial + 1, time_to_live, false};
        if (auto failure = write_grant(descriptor, path, free)) return *std::move(failure);
        look(free, now);
    }
    own.reset();
    return LeaseOutcome::NotHeld;
}

FileLease::FileLease(std::string path, std::string owner, std::function<Instant()> monotonic,
                     milliseconds time_to_live, std::function<WallTime()> wall)
    : time_to_live_(time_to_live) {
    MUSTER_ENSURE(!owner.empty() && owner.find('\n') == std::string::npos && owner.size() < 1024,
                  "a lease's owner is one line of text");
    MUSTER_ENSURE(time_to_live > milliseconds{0} && time_to_live <= setting_duration_max,
                  "a lease's time to live must be > 0, and at most 8760 hours");
    MUSTER_ENSURE(monotonic && wall, "a lease needs clocks");
    file_ = std::make_shared<File>(std::move(path), std::move(owner), std::move(monotonic), time_to_live,
                                   std::move(wall));
    worker_ = std::make_unique<LeaseWorker>("muster-lease", queue_max);
}

FileLease::~FileLease() {
    {
        const std::lock_guard lock(file_->mutex);
        file_->ended = true;
    }
    worker_.reset();
}

void FileLease::check(Done done) {
    worker_->run(
        "lease file " + file_->path, [file = file_] { return file->run(File::Operation::Check); },
        std::move(done));
}
void FileLease::acquire(Done done) {
    worker_->run(
        "lease file " + file_->path, [file = file_] { return file->run(File::Operation::Acquire); },
        std::move(done));
}
void FileLease::release(Done done) {
    worker_->run(
        "lease file " + file_->path, [file = file_] { return file->run(File::Operation::Release); },
        std::move(done));
}
void FileLease::renew(Done done) {
    worker_->run(
        "lease file " + file_->path, [file = file_] { return file->run(File::Operation::Renew); },
        std::move(done));
}

std::optional<Error> FileLease::last_error() const {
    const std::lock_guard lock(file_->mutex);
    return file_->last_error;
}

} // namespace muster
