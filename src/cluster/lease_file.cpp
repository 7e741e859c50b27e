/// FileLease: the one place of this layer that touches the world outside, by the caller's wish only.
#include <muster/cluster/lease.hpp>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fcntl.h>
#include <muster/ensure.hpp>
#include <sys/file.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace muster {

namespace {

constexpr std::string_view magic = "muster-lease 1\n";
constexpr std::size_t file_bytes_max = 4096; // of which one write is never torn in practice

/// Closes, and thereby unlocks.
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

/// Others hold the lock for one small read and write, so a short patience is enough; a process that hangs in
/// between must not hang this one too.
bool lock_exclusively(int fd) noexcept {
    for (int attempt = 0; attempt < 100; ++attempt) {
        if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK && errno != EINTR) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    errno = EWOULDBLOCK;
    return false;
}

struct Grant {
    std::string owner; // empty: free
    WallTime expires;
};

result<Grant> read_grant(int fd, const std::string& path) {
    std::array<char, file_bytes_max> bytes;
    const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), 0);
    if (n < 0) return from_errno(errno, "reading lease file " + path);
    if (n == 0) return Grant{};
    const auto malformed = [&] {
        return Error{Errc::malformed, "lease file " + path, "it is no lease: delete it when no node uses it", {}};
    };
    std::string_view text(bytes.data(), static_cast<std::size_t>(n));
    if (!text.starts_with(magic)) return malformed();
    text.remove_prefix(magic.size());
    const std::size_t owner_end = text.find('\n');
    if (owner_end == std::string_view::npos) return malformed();
    const std::string_view expiry = text.substr(owner_end + 1, text.find('\n', owner_end + 1) - owner_end - 1);
    Grant grant{std::string(text.substr(0, owner_end)), {}};
    const auto [end, error] = std::from_chars(expiry.data(), expiry.data() + expiry.size(), grant.expires.ms);
    if (error != std::errc{} || end != expiry.data() + expiry.size()) return malformed();
    return grant;
}

result<void> write_grant(int fd, const std::string& path, const Grant& grant) {
    const std::string text = std::string(magic) + grant.owner + '\n' + std::to_string(grant.expires.ms) + '\n';
    const ssize_t n = ::pwrite(fd, text.data(), text.size(), 0);
    // What may be left of a longer text behind the last line is never read, so the truncation is tidiness.
    if (n != static_cast<ssize_t>(text.size()) || ::ftruncate(fd, n) != 0 || ::fdatasync(fd) != 0)
        return from_errno(n >= 0 && errno == 0 ? EIO : errno, "writing lease file " + path);
    return {};
}

} // namespace

FileLease::FileLease(std::string path, std::string owner, std::function<WallTime()> clock,
                     std::chrono::milliseconds time_to_live)
    : path_(std::move(path)), owner_(std::move(owner)), clock_(std::move(clock)), time_to_live_(time_to_live) {
    MUSTER_ENSURE(!owner_.empty() && owner_.find('\n') == std::string::npos && owner_.size() < 1024,
                  "a lease's owner is one line of text");
    MUSTER_ENSURE(time_to_live_ > std::chrono::milliseconds{0}, "a lease's time to live must be > 0");
}

void FileLease::check(Done done) { done(run(Operation::Check)); }
void FileLease::acquire(Done done) { done(run(Operation::Acquire)); }
void FileLease::release(Done done) { done(run(Operation::Release)); }
void FileLease::renew(Done done) { done(run(Operation::Renew)); }

std::optional<Error> FileLease::last_error() const {
    const std::lock_guard lock(mutex_);
    return last_error_;
}

LeaseOutcome FileLease::run(Operation operation) {
    // flock is per open file: every operation opens its own, so threads exclude each other like processes do.
    errno = 0;
    const Descriptor file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660));
    result<LeaseOutcome> outcome = LeaseOutcome::Failed;
    if (file.get() < 0)
        outcome = from_errno(errno, "opening lease file " + path_, "its directory must exist and be writable");
    else if (!lock_exclusively(file.get()))
        outcome = from_errno(errno, "locking lease file " + path_, "another process keeps it locked");
    else
        outcome = run_locked(file.get(), operation);
    if (outcome) return *outcome;
    const std::lock_guard lock(mutex_);
    last_error_ = outcome.error();
    return LeaseOutcome::Failed;
}

result<LeaseOutcome> FileLease::run_locked(int descriptor, Operation operation) {
    const result<Grant> read = read_grant(descriptor, path_);
    if (!read) return read.error();
    const WallTime now = clock_();
    const bool alive = !read->owner.empty() && read->expires > now;
    const bool mine = alive && read->owner == owner_;
    switch (operation) {
    case Operation::Check: return mine ? LeaseOutcome::Held : LeaseOutcome::NotHeld;
    case Operation::Acquire:
        if (alive && !mine) return LeaseOutcome::NotHeld;
        break;
    case Operation::Renew:
        if (!mine) return LeaseOutcome::NotHeld;
        break;
    case Operation::Release: {
        if (read->owner != owner_) return LeaseOutcome::NotHeld;
        if (auto ok = write_grant(descriptor, path_, Grant{}); !ok) return ok.error();
        return LeaseOutcome::NotHeld;
    }
    }
    if (auto ok = write_grant(descriptor, path_, Grant{owner_, now + time_to_live_}); !ok) return ok.error();
    return LeaseOutcome::Held;
}

} // namespace muster
